//! What a call takes in and gives back.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{log::GenerationLog, options::GenerationOptions, state::State};
use crate::{
    message::{Message, ToolCall},
    verdict::Place,
};

/// A call of [`LlmRails::generate_with`](super::LlmRails::generate_with): messages, options, the state of earlier calls.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct GenerationRequest {
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// What is switched for this call.
    pub options: Option<GenerationOptions>,
    /// What an earlier call left behind; with it, `messages` are only the new ones.
    pub state: Option<State>,
}

impl GenerationRequest {
    /// A call for `messages`.
    pub fn new(messages: impl IntoIterator<Item = Message>) -> Self {
        Self {
            messages: messages.into_iter().collect(),
            options: None,
            state: None,
        }
    }

    /// A call for a single text of the user.
    pub fn prompt(text: impl Into<String>) -> Self {
        Self::new([Message::user(text.into())])
    }

    /// Sets the options.
    #[must_use]
    pub fn options(mut self, options: GenerationOptions) -> Self {
        self.options = Some(options);
        self
    }

    /// Sets the state; an empty one starts a conversation whose state is returned.
    #[must_use]
    pub fn state(mut self, state: State) -> Self {
        self.state = Some(state);
        self
    }
}

impl<const N: usize> From<[Message; N]> for GenerationRequest {
    fn from(messages: [Message; N]) -> Self {
        Self::new(messages)
    }
}

impl From<Vec<Message>> for GenerationRequest {
    fn from(messages: Vec<Message>) -> Self {
        Self::new(messages)
    }
}

impl From<&str> for GenerationRequest {
    fn from(text: &str) -> Self {
        Self::prompt(text)
    }
}

/// What [`LlmRails::generate_with`](super::LlmRails::generate_with) gives.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GenerationResponse {
    /// The answer, or what a rail reports instead of one. Its `tool_calls` and `reasoning_content` are beside it.
    pub message: Message,
    /// The tools that the model calls.
    pub tool_calls: Vec<ToolCall>,
    /// What the model thought before it spoke.
    pub reasoning_content: Option<String>,
    /// The context variables that the options ask for.
    pub output_data: Option<Map<String, Value>>,
    /// What the options ask to log.
    pub log: Option<GenerationLog>,
    /// What the next call needs, where a state was given.
    pub state: Option<State>,
}

/// What rails say of a conversation that is only checked.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RailsResult {
    /// Whether it passed.
    pub status: RailStatus,
    /// The text as the rails left it; the refusal where it is blocked.
    pub content: String,
    /// The rail that blocked, with its parameters.
    pub rail: Option<String>,
}

/// Whether a conversation passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RailStatus {
    /// As it was.
    Passed,
    /// Rewritten.
    Modified,
    /// Not.
    Blocked,
}

/// Which rails [`LlmRails::check_rails`](super::LlmRails::check_rails) runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RailType {
    /// The input rails.
    Input,
    /// The output rails.
    Output,
}

impl RailType {
    /// Where these rails stand.
    pub(crate) fn place(self) -> Place {
        match self {
            Self::Input => Place::Input,
            Self::Output => Place::Output,
        }
    }

    /// The name in options: `input` or `output`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
        }
    }
}
