//! Asking the model behind the endpoint, as rails do.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::Gemini;
use crate::{
    error::{ModelError, ModelErrorKind},
    message::{Role, ToolCall},
    wire::{Answer, Asked, ModelProtocol, Question, RequestHead, answer::answer_of},
};

impl ModelProtocol for Gemini {
    fn question(&self, head: &RequestHead<'_>, question: &Question) -> Result<Asked, ModelError> {
        let part = |text: &str| json!([{"text": text}]);
        let mut system = Vec::new();
        let mut contents = Vec::new();
        for message in &question.messages {
            let text = message.content.text();
            match message.role {
                Role::System | Role::Developer => system.push(text.into_owned()),
                Role::Assistant => contents.push(json!({"role": "model", "parts": part(&text)})),
                _ => contents.push(json!({"role": "user", "parts": part(&text)})),
            }
        }
        if contents.is_empty() {
            // The API wants a turn of the user's: a prompt that is all system is one.
            contents.push(json!({"role": "user", "parts": part(&system.join("\n\n"))}));
            system.clear();
        }
        let mut config = Map::new();
        for (name, key) in [
            ("temperature", "temperature"),
            ("top_p", "topP"),
            ("max_tokens", "maxOutputTokens"),
            ("max_completion_tokens", "maxOutputTokens"),
            ("seed", "seed"),
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
        let mut body = json!({"contents": contents, "generationConfig": config});
        if !system.is_empty() {
            body["systemInstruction"] = json!({"parts": part(&system.join("\n\n"))});
        }
        Ok(Asked {
            path: Some(path_of(head)?),
            body: body.to_string().into(),
        })
    }

    fn answer(&self, status: StatusCode, body: &[u8]) -> Result<Answer, ModelError> {
        let reply = answer_of(status, body)?;
        let candidate = reply.pointer("/candidates/0").ok_or_else(|| {
            let message = "the answer has no candidate";
            ModelError::new(ModelErrorKind::InvalidResponse, "", message)
        })?;
        let mut answer = Answer::default();
        let parts = candidate
            .pointer("/content/parts")
            .and_then(Value::as_array);
        for part in parts.into_iter().flatten() {
            let text = part.get("text").and_then(Value::as_str).unwrap_or_default();
            match part.get("thought").and_then(Value::as_bool) {
                Some(true) => answer.reasoning.get_or_insert_default().push_str(text),
                _ => answer.content.push_str(text),
            }
            if let Some(call) = part.get("functionCall") {
                let text = |key: &str| call.get(key).and_then(Value::as_str).map(str::to_owned);
                answer.tool_calls.push(ToolCall {
                    id: text("id"),
                    name: text("name").unwrap_or_default(),
                    arguments: call.get("args").cloned().unwrap_or_default(),
                });
            }
        }
        let reason = candidate.get("finishReason").and_then(Value::as_str);
        answer.finish_reason = reason.map(|reason| {
            let word = match reason {
                "STOP" => "stop",
                "MAX_TOKENS" => "length",
                "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" => {
                    "content_filter"
                }
                other => other,
            };
            word.to_owned()
        });
        let tokens = |key: &str| reply.get("usageMetadata")?.get(key)?.as_u64();
        answer.tokens = tokens("promptTokenCount").zip(tokens("candidatesTokenCount"));
        Ok(answer)
    }
}

/// Where the question goes: to the same model, for a whole answer.
fn path_of(head: &RequestHead<'_>) -> Result<String, ModelError> {
    let path = head.uri.path();
    let method = path
        .rfind(':')
        .or_else(|| path.to_ascii_lowercase().rfind("%3a"));
    let before = method.and_then(|at| path.get(..at)).ok_or_else(|| {
        let message = "the request's path names no model and method";
        ModelError::new(ModelErrorKind::Configuration, "", message)
    })?;
    // The key may stand in the query; how the client's reply is to be framed does not hold for this one.
    let query = head.uri.query().unwrap_or_default().split('&');
    let query: Vec<&str> = query
        .filter(|parameter| !parameter.is_empty() && !parameter.starts_with("alt="))
        .collect();
    let path = format!("{before}:generateContent");
    Ok(match query.is_empty() {
        true => path,
        false => format!("{path}?{}", query.join("&")),
    })
}
