//! Asking the model behind the endpoint, as rails do.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{BedrockConverse, METHODS};
use crate::{
    error::{ModelError, ModelErrorKind},
    message::{Role, ToolCall},
    wire::{Answer, Asked, ModelProtocol, Question, RequestHead, answer::answer_of},
};

impl ModelProtocol for BedrockConverse {
    fn question(&self, head: &RequestHead<'_>, question: &Question) -> Result<Asked, ModelError> {
        let mut system = Vec::new();
        let mut messages = Vec::new();
        for message in &question.messages {
            let text = message.content.text();
            let role = match message.role {
                Role::System | Role::Developer => {
                    system.push(json!({"text": text}));
                    continue;
                }
                Role::Assistant => "assistant",
                _ => "user",
            };
            messages.push(json!({"role": role, "content": [{"text": text}]}));
        }
        if messages.is_empty() {
            // The API wants a turn of the user's: a prompt that is all system is one.
            messages.push(json!({"role": "user", "content": system}));
            system = Vec::new();
        }
        let mut config = Map::new();
        for (name, key) in [
            ("temperature", "temperature"),
            ("top_p", "topP"),
            ("max_tokens", "maxTokens"),
            ("max_completion_tokens", "maxTokens"),
        ] {
            if let Some(value) = question.parameters.get(name) {
                config.insert(key.to_owned(), value.clone());
            }
        }
        match question.parameters.get("stop") {
            Some(Value::String(stop)) => {
                config.insert("stopSequences".to_owned(), json!([stop]));
            }
            Some(stop @ Value::Array(_)) => {
                config.insert("stopSequences".to_owned(), stop.clone());
            }
            _ => {}
        }
        let mut body = json!({"messages": messages, "inferenceConfig": config});
        if !system.is_empty() {
            body["system"] = system.into();
        }
        Ok(Asked {
            path: Some(path_of(head)?),
            body: body.to_string().into(),
        })
    }

    fn answer(&self, status: StatusCode, body: &[u8]) -> Result<Answer, ModelError> {
        let reply = answer_of(status, body)?;
        let blocks = reply.pointer("/output/message/content");
        let blocks = blocks.and_then(Value::as_array).ok_or_else(|| {
            let message = "the answer has no `output` with a message";
            ModelError::new(ModelErrorKind::InvalidResponse, "", message)
        })?;
        let mut answer = Answer::default();
        for block in blocks {
            let text = |path: &str| block.pointer(path).and_then(Value::as_str);
            answer.content.push_str(text("/text").unwrap_or_default());
            if let Some(thought) = text("/reasoningContent/reasoningText/text") {
                answer.reasoning.get_or_insert_default().push_str(thought);
            }
            if let Some(call) = block.get("toolUse") {
                answer.tool_calls.push(ToolCall {
                    id: text("/toolUse/toolUseId").map(str::to_owned),
                    name: text("/toolUse/name").unwrap_or_default().to_owned(),
                    arguments: call.get("input").cloned().unwrap_or_default(),
                });
            }
        }
        let stop = reply.get("stopReason").and_then(Value::as_str);
        answer.finish_reason = stop.map(|stop| {
            let word = match stop {
                "end_turn" | "stop_sequence" => "stop",
                "max_tokens" | "model_context_window_exceeded" => "length",
                "tool_use" => "tool_calls",
                "guardrail_intervened" | "content_filtered" => "content_filter",
                other => other,
            };
            word.to_owned()
        });
        let tokens = |key: &str| reply.pointer(&format!("/usage/{key}"))?.as_u64();
        answer.tokens = tokens("inputTokens").zip(tokens("outputTokens"));
        Ok(answer)
    }
}

/// Where the question goes: to the same model, for a whole answer.
fn path_of(head: &RequestHead<'_>) -> Result<String, ModelError> {
    let path = head.uri.path().trim_end_matches('/');
    let lower = path.to_ascii_lowercase();
    let method = METHODS.iter().find(|method| lower.ends_with(*method));
    let before = method.and_then(|method| path.get(..path.len() - method.len()));
    let before = before.ok_or_else(|| {
        let message = "the request's path names no model and method";
        ModelError::new(ModelErrorKind::Configuration, "", message)
    })?;
    Ok(match head.uri.query() {
        Some(query) => format!("{before}/converse?{query}"),
        None => format!("{before}/converse"),
    })
}
