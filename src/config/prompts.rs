//! `prompts:`: what a model is asked for a task.

use serde::{Deserialize, Serialize};

use super::{
    read::{Fields, Read, Report, two_texts},
    yaml::{Kind, Node, Places},
};
use crate::error::Fault;

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
    #[serde(skip)]
    pub(crate) places: Places,
}

impl TaskPrompt {
    /// A fault of the entry, at its key `path`; where it has no such key, at its first line.
    pub fn fault(&self, path: &str, message: impl Into<String>) -> Fault {
        self.places.place_of(path).fault(message)
    }
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

impl Read for TaskPrompt {
    fn read(node: &Node, path: &str, report: &mut Report) -> Option<Self> {
        let mut fields = Fields::open(node, path, report)?;
        let task = fields.required("task");
        let content = fields.or_default::<Option<String>>("content");
        let messages = fields.or_default::<Option<Vec<PromptMessage>>>("messages");
        let models = fields.or_default("models");
        let output_parser = fields.or_default("output_parser");
        let max_length = fields.or("max_length", Some(16_000));
        let mode = fields.or("mode", default_mode());
        let stop = fields.or_default("stop");
        let max_tokens = fields.or_default("max_tokens");
        fields.close();
        let filled = |key: &str| {
            node.get(key).is_some_and(|value| match &value.kind {
                Kind::Null => false,
                Kind::String(text) => !text.is_empty(),
                Kind::Sequence(items) => !items.is_empty(),
                _ => true,
            })
        };
        match (filled("content"), filled("messages")) {
            (false, false) => {
                report.fault(&node.at, format!("`{path}` needs `content` or `messages`"));
            }
            (true, true) => {
                let message = format!("`{path}` has both `content` and `messages`; drop one");
                report.fault(node.place_of("messages"), message);
            }
            _ => {}
        }
        Some(Self {
            task: task?,
            content,
            messages,
            models,
            output_parser,
            max_length: positive(max_length, node, path, "max_length", report),
            mode,
            stop,
            max_tokens: positive(max_tokens, node, path, "max_tokens", report),
            places: Places::of(node),
        })
    }
}

fn positive(
    value: Option<i64>,
    node: &Node,
    path: &str,
    key: &str,
    report: &mut Report,
) -> Option<u64> {
    let value = value?;
    let positive = u64::try_from(value).ok().filter(|value| *value > 0);
    if positive.is_none() {
        let message = format!("`{path}.{key}` must be 1 or more, not {value}");
        report.fault(node.place_of(key), message);
    }
    positive
}

impl Read for PromptMessage {
    fn read(node: &Node, path: &str, report: &mut Report) -> Option<Self> {
        if let Kind::String(text) = &node.kind {
            return Some(Self::Expanding(text.clone()));
        }
        let (kind, content) = two_texts(node, path, ["type", "content"], report)?;
        Some(Self::Typed(MessageTemplate { kind, content }))
    }
}
