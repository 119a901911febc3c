//! `prompts:`: what a model is asked for a task.

use serde::{Deserialize, Serialize};

/// One entry of `prompts:`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TaskPrompt {
    /// The task, such as `self_check_input`; may end in ` $variant=x` or ` $model=x`.
    pub task: String,
    /// The template of a single text.
    #[serde(default)]
    pub content: Option<String>,
    /// The templates of several messages.
    #[serde(default)]
    pub messages: Option<Vec<PromptMessage>>,
    /// The models that the prompt is for: `engine`, `engine/model` or part of it. None: any.
    #[serde(default)]
    pub models: Option<Vec<String>>,
    /// The parser of the model's answer.
    #[serde(default)]
    pub output_parser: Option<String>,
    /// The most characters that the rendered prompt may have; the history is cut to fit.
    #[serde(default = "default_max_length")]
    pub max_length: Option<u64>,
    /// The prompting mode that the prompt is for.
    #[serde(default = "default_mode")]
    pub mode: Option<String>,
    /// Texts at which the model stops.
    #[serde(default)]
    pub stop: Option<Vec<String>>,
    /// The most tokens that the model may answer.
    #[serde(default)]
    pub max_tokens: Option<u64>,
}

/// One message of a prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PromptMessage {
    /// A typed message.
    Typed(MessageTemplate),
    /// A text that expands to several messages, such as `{{ history | to_chat_messages }}`.
    Expanding(String),
}

/// A typed message of a prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MessageTemplate {
    /// `system`, `user`, `bot` or `assistant`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The template.
    pub content: String,
}

#[allow(
    clippy::unnecessary_wraps,
    reason = "the default of a field of this type"
)]
fn default_max_length() -> Option<u64> {
    Some(16_000)
}

#[allow(
    clippy::unnecessary_wraps,
    reason = "the default of a field of this type"
)]
fn default_mode() -> Option<String> {
    Some("standard".to_owned())
}
