//! The whole answer of a provider.

use serde_json::{Map, Value};

use super::settings::Settings;
use crate::{
    error::{ModelError, ModelErrorKind},
    llm::{ModelReply, Usage, reasoning},
    message::ToolCall,
};

/// The top-level keys of an answer that have their own place in a [`ModelReply`].
const KNOWN_KEYS: [&str; 4] = ["choices", "usage", "object", "created"];

impl Settings {
    /// The answer in `payload`.
    pub(super) fn reply(&self, payload: Value) -> Result<ModelReply, ModelError> {
        let invalid = |message| {
            self.endpoint
                .error(ModelErrorKind::InvalidResponse, message)
        };
        let Value::Object(payload) = payload else {
            return Err(invalid("the answer is no object"));
        };
        if payload.get("error").is_some_and(|error| !error.is_null()) {
            return Err(self.endpoint.event_error(&Value::Object(payload)));
        }
        let choice = payload.get("choices").and_then(|choices| choices.get(0));
        let choice = choice.ok_or_else(|| invalid("the answer has no `choices`"))?;
        let message = choice.get("message").and_then(Value::as_object);
        let message =
            message.ok_or_else(|| invalid("the answer's first choice has no `message`"))?;

        let mut content = message.get("content").map(text_of).unwrap_or_default();
        if content.is_empty() {
            // What a model says instead of an answer is what it says.
            content = message.get("refusal").map(text_of).unwrap_or_default();
        }
        let refuses = message
            .get("refusal")
            .is_some_and(|refusal| !text_of(refusal).is_empty());
        let finish_reason = text_at(choice, "finish_reason");
        let is_unclear = refuses
            || finish_reason.as_deref() == Some("content_filter")
            || reasoning::answer(&content).is_none();
        let (reasoning, content) = match reasoning_of(message) {
            Some(given) => (Some(given), content),
            None => match reasoning::split(&content) {
                Some((thoughts, rest)) => (Some(thoughts), rest),
                None => (None, content),
            },
        };
        let calls = message.get("tool_calls").and_then(Value::as_array);
        Ok(ModelReply {
            content,
            reasoning,
            tool_calls: calls.into_iter().flatten().map(tool_call).collect(),
            is_unclear,
            finish_reason,
            usage: payload.get("usage").and_then(usage_of),
            metadata: metadata_of(&payload),
        })
    }
}

/// The text of `content`: itself, or that of its parts.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part.get("text"));
            texts.filter_map(Value::as_str).collect()
        }
        _ => String::new(),
    }
}

/// What the model thought, under the names that providers use.
pub(super) fn reasoning_of(message: &Map<String, Value>) -> Option<String> {
    let named = ["reasoning_content", "reasoning"].iter();
    let mut texts = named.filter_map(|name| message.get(*name).and_then(Value::as_str));
    texts.find(|text| !text.is_empty()).map(str::to_owned)
}

pub(super) fn usage_of(usage: &Value) -> Option<Usage> {
    let count = |name| usage.get(name).and_then(Value::as_u64);
    usage.as_object()?;
    let prompt_tokens = count("prompt_tokens").unwrap_or_default();
    let completion_tokens = count("completion_tokens").unwrap_or_default();
    let total = count("total_tokens").filter(|total| *total > 0);
    Some(Usage {
        prompt_tokens,
        completion_tokens,
        total_tokens: total.unwrap_or(prompt_tokens.saturating_add(completion_tokens)),
    })
}

pub(super) fn metadata_of(payload: &Map<String, Value>) -> Map<String, Value> {
    let kept = payload
        .iter()
        .filter(|(key, value)| !KNOWN_KEYS.contains(&key.as_str()) && !value.is_null());
    kept.map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

pub(super) fn text_at(value: &Value, key: &str) -> Option<String> {
    let text = value.get(key).and_then(Value::as_str);
    text.filter(|text| !text.is_empty()).map(str::to_owned)
}

fn tool_call(call: &Value) -> ToolCall {
    let function = call.get("function").unwrap_or(&Value::Null);
    let arguments = match function.get("arguments") {
        Some(Value::String(text)) => arguments_of(text),
        None | Some(Value::Null) => Value::Object(Map::new()),
        Some(arguments) => arguments.clone(),
    };
    ToolCall {
        id: text_at(call, "id"),
        name: text_at(function, "name").unwrap_or_default(),
        arguments,
    }
}

/// The object that `text` writes, else the text itself.
pub(super) fn arguments_of(text: &str) -> Value {
    if text.trim().is_empty() {
        return Value::Object(Map::new());
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Value::Object(object),
        _ => Value::String(text.to_owned()),
    }
}
