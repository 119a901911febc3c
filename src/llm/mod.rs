//! Models: the [`Model`] trait, the providers, prompts and the parsing of answers.

mod ask;
pub(crate) mod cache;
pub(crate) mod completion;
mod models;
pub(crate) mod parse_output;
pub(crate) mod prompt;
pub(crate) mod provider;
mod python_json;
pub(crate) mod reasoning;
pub(crate) mod template;

pub(crate) use ask::ask;
pub use models::Models;
pub use parse_output::{OutputParser, OutputParsers, ParseError, Parsed, Verdict};
pub use prompt::PromptError;
pub(crate) use prompt::{History, Scope};
pub(crate) use python_json::dumps;
pub use template::TemplateError;
pub(crate) use template::{SharedEvent, colang_history, is_told, parse_literal};

use std::fmt;

use futures_core::{future::BoxFuture, stream::BoxStream};
use serde_json::{Map, Value};

use crate::{
    error::ModelError,
    message::{Message, ToolCall},
};

/// The engines that are known by name, in Markdown: `docs/engines.md`.
///
/// ```
/// assert!(tower_guardrails::llm::engines_markdown().contains("GROQ_API_KEY"));
/// ```
pub fn engines_markdown() -> String {
    provider::markdown()
}

/// Anything that answers a conversation: a provider's endpoint, the service under the layer, a test's script.
///
/// Dropping a returned future or stream cancels the call.
pub trait Model: Send + Sync + fmt::Debug {
    /// The model's name, as errors and logs show it.
    fn name(&self) -> &str;

    /// The provider's name, against which prompts are chosen; empty where unknown.
    fn provider(&self) -> &str {
        ""
    }

    /// Asks for one whole answer.
    fn complete(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelReply, ModelError>>;

    /// Asks for an answer as it is made. Unless overridden: one piece, when it is whole.
    fn stream(
        &self,
        request: ModelRequest,
    ) -> BoxFuture<'_, Result<BoxStream<'static, Result<ModelChunk, ModelError>>, ModelError>> {
        Box::pin(async move {
            let reply = self.complete(request).await?;
            let stream: BoxStream<'static, _> = Box::pin(futures_util::stream::once(async move {
                Ok(ModelChunk::from(reply))
            }));
            Ok(stream)
        })
    }
}

/// What a model is asked.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ModelRequest {
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// Everything else of the request's body: `temperature`, `max_tokens`, `stop`, `tools` …; over the model's own parameters.
    pub parameters: Map<String, Value>,
}

impl ModelRequest {
    /// A request for `messages` with no parameters.
    pub fn new(messages: Vec<Message>) -> Self {
        Self {
            messages,
            parameters: Map::new(),
        }
    }
}

/// What a model answered.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ModelReply {
    /// The text.
    pub content: String,
    /// What it thought before.
    pub reasoning: Option<String>,
    /// The tools that it calls.
    pub tool_calls: Vec<ToolCall>,
    /// Whether the text is no answer that could be read as a verdict: the model refused to answer, or its thoughts do not end, or
    /// stand elsewhere than before the text.
    pub is_unclear: bool,
    /// Why it ended: `stop`, `length`, `tool_calls` …
    pub finish_reason: Option<String>,
    /// Tokens read and written.
    pub usage: Option<Usage>,
    /// The id and the other top-level keys of the provider's answer.
    pub metadata: Map<String, Value>,
}

/// Tokens read and written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Usage {
    /// Tokens of the request.
    pub prompt_tokens: u64,
    /// Tokens of the answer.
    pub completion_tokens: u64,
    /// Both.
    pub total_tokens: u64,
}

/// A piece of an answer.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ModelChunk {
    /// More text.
    pub content: String,
    /// More of what it thinks.
    pub reasoning: Option<String>,
    /// The whole tool calls, in the last piece.
    pub tool_calls: Vec<ToolCall>,
    /// Why it ended, in the last piece.
    pub finish_reason: Option<String>,
    /// Tokens, in the last piece.
    pub usage: Option<Usage>,
    /// The id and the other top-level keys of the provider's event.
    pub metadata: Map<String, Value>,
}

impl From<ModelReply> for ModelChunk {
    fn from(reply: ModelReply) -> Self {
        let ModelReply {
            content,
            reasoning,
            tool_calls,
            is_unclear: _,
            finish_reason,
            usage,
            metadata,
        } = reply;
        Self {
            content,
            reasoning,
            tool_calls,
            finish_reason,
            usage,
            metadata,
        }
    }
}
