//! The body of a request.

use serde_json::{Map, Value, json};

use super::settings::Settings;
use crate::{
    llm::{ModelRequest, python_json},
    message::{Content, Message},
};

impl Settings {
    /// The body that asks `request`.
    pub(super) fn body(&self, request: ModelRequest, stream: bool) -> Map<String, Value> {
        let mut body = Map::new();
        body.insert("model".into(), self.model.clone().into());
        let messages = request.messages.iter().map(wire_message).collect();
        body.insert("messages".into(), Value::Array(messages));
        if stream {
            body.insert("stream".into(), true.into());
            if self.usage_in_stream {
                body.insert("stream_options".into(), json!({"include_usage": true}));
            }
        }
        let mut parameters = self.body.clone();
        parameters.extend(request.parameters);
        let stop_says_nothing = match parameters.get("stop") {
            Some(Value::Null) => true,
            Some(Value::Array(texts)) => texts.is_empty(),
            _ => false,
        };
        if stop_says_nothing {
            parameters.shift_remove("stop");
        }
        if is_reasoning_model(&self.model) {
            adapt_to_reasoning_model(&mut parameters);
        }
        body.extend(parameters);
        body
    }
}

/// Whether `model` is one of OpenAI's that thinks first, and therefore refuses some parameters.
fn is_reasoning_model(model: &str) -> bool {
    let model = model.to_lowercase();
    let o_series = ["o1", "o3", "o4"].iter().any(|name| {
        let rest = model.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    });
    let gpt_5 = model == "gpt-5" || model.starts_with("gpt-5-");
    o_series
        || gpt_5 && !model.contains("chat")
        || model.starts_with("gpt-5.")
        || model.starts_with("gpt-6")
}

fn adapt_to_reasoning_model(parameters: &mut Map<String, Value>) {
    parameters.shift_remove("temperature");
    parameters.shift_remove("stop");
    if let Some(limit) = parameters.shift_remove("max_tokens") {
        parameters.entry("max_completion_tokens").or_insert(limit);
    }
}

/// A message as the protocol spells it. What it thought is not sent back: providers refuse it.
fn wire_message(message: &Message) -> Value {
    let mut wire = Map::new();
    wire.insert("role".into(), message.role.as_str().into());
    let content = match &message.content {
        Content::None if message.has_no_content() => None,
        Content::None => Some(Value::Null),
        Content::Text(text) => Some(Value::String(text.clone())),
        Content::Parts(parts) => Some(Value::Array(parts.clone())),
        Content::Data(data) => Some(Value::Object(data.clone())),
    };
    if let Some(content) = content {
        wire.insert("content".into(), content);
    }
    if !message.tool_calls.is_empty() {
        let calls = message.tool_calls.iter().map(|call| {
            let arguments = match &call.arguments {
                Value::String(text) => text.clone(),
                Value::Null => "{}".to_owned(),
                arguments => python_json::dumps(arguments),
            };
            json!({
                "id": call.id.as_deref().unwrap_or_default(),
                "type": "function",
                "function": {"name": call.name, "arguments": arguments},
            })
        });
        wire.insert("tool_calls".into(), calls.collect());
    }
    if let Some(id) = &message.tool_call_id {
        wire.insert("tool_call_id".into(), id.clone().into());
    }
    if let Some(name) = &message.name {
        wire.insert("name".into(), name.clone().into());
    }
    for (key, value) in &message.extra {
        wire.entry(key.clone()).or_insert_with(|| value.clone());
    }
    Value::Object(wire)
}
