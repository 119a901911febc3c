//! Asking the model behind the endpoint, as rails do.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::Gemini;
use crate::{
    error::{ModelError, ModelErrorKind},
    message::{Role, ToolCall},
    wire::{
        Answer, Asked, ModelProtocol, Question, RequestHead, add_own,
        answer::{answer_of, piece_of},
    },
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
        if let Value::Object(body) = &mut body {
            add_own(body, &question.own);
        }
        Ok(Asked {
            path: Some(path_of(head, question.stream)?),
            body: body.to_string().into(),
        })
    }

    fn answer(&self, status: StatusCode, body: &[u8]) -> Result<Answer, ModelError> {
        let reply = answer_of(status, body)?;
        if reply.pointer("/candidates/0").is_none() {
            let message = "the answer has no candidate";
            return Err(ModelError::new(
                ModelErrorKind::InvalidResponse,
                "",
                message,
            ));
        }
        Ok(read(&reply))
    }

    fn streams(&self, _head: &RequestHead<'_>) -> bool {
        true
    }

    fn piece(&self, data: &[u8]) -> Result<Option<Answer>, ModelError> {
        piece_of(data).map(|record| Some(read(&record)))
    }
}

/// What a reply, or a record of one, says.
fn read(reply: &Value) -> Answer {
    let mut answer = Answer::default();
    let parts = reply.pointer("/candidates/0/content/parts");
    for part in parts.and_then(Value::as_array).into_iter().flatten() {
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
    let reason = reply.pointer("/candidates/0/finishReason");
    answer.finish_reason = reason.and_then(Value::as_str).map(|reason| {
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
    answer
}

/// Where the question goes: to the same model, for a whole answer or a stream.
fn path_of(head: &RequestHead<'_>, stream: bool) -> Result<String, ModelError> {
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
    let mut query: Vec<&str> = query
        .filter(|parameter| !parameter.is_empty() && !parameter.starts_with("alt="))
        .collect();
    let method = match stream {
        true => "streamGenerateContent",
        false => "generateContent",
    };
    if stream {
        query.push("alt=sse");
    }
    let path = format!("{before}:{method}");
    Ok(match query.is_empty() {
        true => path,
        false => format!("{path}?{}", query.join("&")),
    })
}
