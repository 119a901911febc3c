//! The neutral conversation: what every wire format is read into and every rail reads.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Who speaks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Role {
    /// The application, setting the frame.
    System,
    /// The application, in the newer spelling.
    Developer,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// The result of a tool.
    Tool,
    /// The result of a tool, in the older spelling.
    Function,
    /// Variables for the rails; never sent to a model.
    Context,
    /// An event for the rails; never sent to a model.
    Event,
    /// What a rail reports instead of an answer where `enable_rails_exceptions` is set.
    Exception,
    /// Any other word.
    #[serde(untagged)]
    Other(String),
}

impl Role {
    /// The role that a wire format spells `name`; exact, a role in another letter case is [`Role::Other`].
    pub fn from_name(name: &str) -> Self {
        match name {
            "system" => Self::System,
            "developer" => Self::Developer,
            "user" => Self::User,
            "assistant" => Self::Assistant,
            "tool" => Self::Tool,
            "function" => Self::Function,
            "context" => Self::Context,
            "event" => Self::Event,
            "exception" => Self::Exception,
            other => Self::Other(other.to_owned()),
        }
    }

    /// The role's name on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::System => "system",
            Self::Developer => "developer",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
            Self::Function => "function",
            Self::Context => "context",
            Self::Event => "event",
            Self::Exception => "exception",
            Self::Other(other) => other,
        }
    }
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Content {
    /// Nothing: JSON `null`, or no such key.
    #[default]
    None,
    /// A text.
    Text(String),
    /// Parts: texts, images and whatever else a provider knows, as they came.
    Parts(Vec<Value>),
    /// The object of a context, event or exception message.
    Data(Map<String, Value>),
}

impl Content {
    /// The content's text: the string, or the `text` of each part, joined without a separator.
    ///
    /// ```
    /// # use tower_guardrails::message::Content;
    /// let parts = vec![serde_json::json!({"type": "text", "text": "a"}), serde_json::json!({"type": "text", "text": "b"})];
    /// assert_eq!(Content::Parts(parts).text(), "ab");
    /// ```
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Parts(parts) => {
                let texts = parts.iter().filter_map(|part| {
                    part.as_str()
                        .or_else(|| part.get("text").and_then(Value::as_str))
                });
                texts.collect::<String>().into()
            }
            Self::None | Self::Data(_) => "".into(),
        }
    }

    /// Whether there is nothing at all.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// A call of a tool that a model asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The call's id, which the tool's result repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The tool's name.
    pub name: String,
    /// The arguments; an object where the model wrote valid JSON, else the text that it wrote.
    #[serde(default)]
    pub arguments: Value,
}

/// One message of a conversation.
///
/// ```
/// use tower_guardrails::Message;
///
/// let message = Message::user("What is the capital of France?");
/// assert_eq!(message.content.text(), "What is the capital of France?");
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Read", into = "Read")]
#[non_exhaustive]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: Content,
    /// The speaker's or the tool's name.
    pub name: Option<String>,
    /// The tools that an assistant message calls.
    pub tool_calls: Vec<ToolCall>,
    /// The call that a tool message answers.
    pub tool_call_id: Option<String>,
    /// What a reasoning model thought before it spoke.
    pub reasoning_content: Option<String>,
    /// Every other key of the message, as it came.
    pub extra: Map<String, Value>,
    /// Whether the key `content` is left out, where there is nothing to say: a model then is sent none, not null.
    omits_content: bool,
}

/// A message in JSON.
#[derive(Serialize, Deserialize)]
struct Read {
    role: Role,
    /// None where there is no such key, which is not the same as null.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    content: Option<Content>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Content>, D::Error> {
    Content::deserialize(deserializer).map(Some)
}

impl From<Read> for Message {
    fn from(read: Read) -> Self {
        Self {
            role: read.role,
            omits_content: read.content.is_none(),
            content: read.content.unwrap_or_default(),
            name: read.name,
            tool_calls: read.tool_calls,
            tool_call_id: read.tool_call_id,
            reasoning_content: read.reasoning_content,
            extra: read.extra,
        }
    }
}

impl From<Message> for Read {
    fn from(message: Message) -> Self {
        Self {
            content: (!message.has_no_content()).then_some(message.content),
            role: message.role,
            name: message.name,
            tool_calls: message.tool_calls,
            tool_call_id: message.tool_call_id,
            reasoning_content: message.reasoning_content,
            extra: message.extra,
        }
    }
}

impl Message {
    /// A message of `role` that says `content`.
    pub fn new(role: Role, content: impl Into<Content>) -> Self {
        Self {
            role,
            content: content.into(),
            name: None,
            tool_calls: Vec::new(),
            tool_call_id: None,
            reasoning_content: None,
            extra: Map::new(),
            omits_content: false,
        }
    }

    /// Whether the message has no content, not even null.
    pub(crate) fn has_no_content(&self) -> bool {
        self.omits_content && self.content.is_none()
    }

    /// Leaves the key `content` out where it would be null.
    pub(crate) fn leave_out_empty_content(&mut self) {
        self.omits_content = true;
    }

    /// What a person says.
    pub fn user(content: impl Into<Content>) -> Self {
        Self::new(Role::User, content)
    }

    /// What a model says.
    pub fn assistant(content: impl Into<Content>) -> Self {
        Self::new(Role::Assistant, content)
    }

    /// What the application says.
    pub fn system(content: impl Into<Content>) -> Self {
        Self::new(Role::System, content)
    }

    /// Variables for the rails, such as `relevant_chunks`.
    pub fn context(variables: Map<String, Value>) -> Self {
        Self::new(Role::Context, Content::Data(variables))
    }

    /// An event for the rails.
    pub fn event(event: Map<String, Value>) -> Self {
        Self::new(Role::Event, Content::Data(event))
    }

    /// The result of the tool call `tool_call_id`.
    pub fn tool(tool_call_id: impl Into<String>, content: impl Into<Content>) -> Self {
        Self {
            tool_call_id: Some(tool_call_id.into()),
            ..Self::new(Role::Tool, content)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_content_and_null_are_two_things_in_json() {
        for json in [
            json!({"role": "user"}),
            json!({"role": "tool", "content": null, "tool_call_id": "1"}),
            json!({"role": "user", "content": "hi", "x": 1}),
        ] {
            let message: Message = serde_json::from_value(json.clone()).unwrap();
            assert_eq!(message.has_no_content(), json.get("content").is_none());
            assert_eq!(serde_json::to_value(&message).unwrap(), json);
        }
    }
}
