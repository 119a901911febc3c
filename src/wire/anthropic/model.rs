//! Asking the model behind the endpoint, as rails do.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{AnthropicMessages, STREAMED};
use crate::{
    error::{ModelError, ModelErrorKind},
    message::{Role, ToolCall},
    wire::{
        Answer, Asked, ModelProtocol, Question, RequestHead, add_own,
        answer::{answer_of, piece_of},
    },
};

/// How many tokens an answer may have where the rail does not say: the API wants a number.
const MAX_TOKENS: u64 = 1024;

impl ModelProtocol for AnthropicMessages {
    fn question(&self, head: &RequestHead<'_>, question: &Question) -> Result<Asked, ModelError> {
        let mut system = Vec::new();
        let mut messages = Vec::new();
        for message in &question.messages {
            let text = message.content.text();
            match message.role {
                Role::System | Role::Developer => system.push(text.into_owned()),
                Role::Assistant => messages.push(json!({"role": "assistant", "content": text})),
                _ => messages.push(json!({"role": "user", "content": text})),
            }
        }
        if messages.is_empty() {
            // The API wants a turn of the user's: a prompt that is all system is one.
            messages.push(json!({"role": "user", "content": system.join("\n\n")}));
            system.clear();
        }
        let parameters = &question.parameters;
        let mut body = Map::new();
        let path = head.uri.path();
        let lower = path.to_ascii_lowercase();
        // Clouds name the model in the path, and the API's version in the body.
        if lower.contains("rawpredict") {
            body.insert("anthropic_version".to_owned(), "vertex-2023-10-16".into());
        } else if lower.contains("/invoke") {
            body.insert("anthropic_version".to_owned(), "bedrock-2023-05-31".into());
        } else {
            body.insert("model".to_owned(), question.model.as_str().into());
        }
        let limit = parameters
            .get("max_tokens")
            .or_else(|| parameters.get("max_completion_tokens"));
        let limit = limit.and_then(Value::as_u64).unwrap_or(MAX_TOKENS);
        body.insert("max_tokens".to_owned(), limit.into());
        if !system.is_empty() {
            body.insert("system".to_owned(), system.join("\n\n").into());
        }
        body.insert("messages".to_owned(), messages.into());
        if let Some(temperature) = parameters.get("temperature").and_then(Value::as_f64) {
            body.insert("temperature".to_owned(), temperature.clamp(0.0, 1.0).into());
        }
        if let Some(top_p) = parameters.get("top_p").filter(|top_p| top_p.is_number()) {
            body.insert("top_p".to_owned(), top_p.clone());
        }
        match parameters.get("stop") {
            Some(Value::String(stop)) => {
                body.insert("stop_sequences".to_owned(), json!([stop]));
            }
            Some(stop @ Value::Array(_)) => {
                body.insert("stop_sequences".to_owned(), stop.clone());
            }
            _ => {}
        }
        if question.stream {
            body.insert("stream".to_owned(), true.into());
        }
        add_own(&mut body, &question.own);
        Ok(Asked {
            path: path_of(head, &lower, question.stream),
            body: Value::Object(body).to_string().into(),
        })
    }

    fn answer(&self, status: StatusCode, body: &[u8]) -> Result<Answer, ModelError> {
        let reply = answer_of(status, body)?;
        let blocks = reply.get("content").and_then(Value::as_array);
        let blocks = blocks.ok_or_else(|| {
            let message = "the answer has no `content`";
            ModelError::new(ModelErrorKind::InvalidResponse, "", message)
        })?;
        let mut answer = Answer::default();
        for block in blocks {
            let text = |key: &str| block.get(key).and_then(Value::as_str).unwrap_or_default();
            match text("type") {
                "text" => answer.content.push_str(text("text")),
                "thinking" => answer
                    .reasoning
                    .get_or_insert_default()
                    .push_str(text("thinking")),
                "tool_use" => answer.tool_calls.push(ToolCall {
                    id: Some(text("id").to_owned()),
                    name: text("name").to_owned(),
                    arguments: block.get("input").cloned().unwrap_or_default(),
                }),
                _ => {}
            }
        }
        answer.finish_reason = reason_of(reply.get("stop_reason"));
        let tokens = |key: &str| reply.pointer(&format!("/usage/{key}"))?.as_u64();
        answer.tokens = tokens("input_tokens").zip(tokens("output_tokens"));
        Ok(answer)
    }

    fn streams(&self, head: &RequestHead<'_>) -> bool {
        // A cloud's own stream is asked for at another path, in another framing.
        let path = head.uri.path().to_ascii_lowercase();
        let path = path.trim_end_matches('/');
        !path.ends_with("/invoke") && !path.ends_with(STREAMED)
    }

    fn piece(&self, data: &[u8]) -> Result<Option<Answer>, ModelError> {
        let record = piece_of(data)?;
        let text = |path: &str| record.pointer(path).and_then(Value::as_str);
        let tokens = |path: &str| record.pointer(path).and_then(Value::as_u64);
        let mut piece = Answer::default();
        match text("/type").unwrap_or_default() {
            "message_start" => {
                let read = tokens("/message/usage/input_tokens");
                piece.tokens = read.map(|read| (read, 0));
            }
            "content_block_start" => {
                let begun = text("/content_block/text").unwrap_or_default();
                begun.clone_into(&mut piece.content);
            }
            "content_block_delta" => {
                let more = text("/delta/text").unwrap_or_default();
                more.clone_into(&mut piece.content);
                piece.reasoning = text("/delta/thinking").map(str::to_owned);
            }
            "message_delta" => {
                piece.finish_reason = reason_of(record.pointer("/delta/stop_reason"));
                let written = tokens("/usage/output_tokens");
                piece.tokens = written.map(|written| (0, written));
            }
            "message_stop" => return Ok(None),
            _ => {}
        }
        Ok(Some(piece))
    }
}

/// Why an answer ended, in the words of Chat Completions.
fn reason_of(stop: Option<&Value>) -> Option<String> {
    let word = match stop?.as_str()? {
        "end_turn" | "stop_sequence" => "stop",
        "max_tokens" | "model_context_window_exceeded" => "length",
        "tool_use" => "tool_calls",
        "refusal" => "content_filter",
        other => other,
    };
    Some(word.to_owned())
}

/// Where the question goes: where the client's request does, for a whole answer or a stream.
fn path_of(head: &RequestHead<'_>, lower: &str, stream: bool) -> Option<String> {
    let path = head.uri.path().trim_end_matches('/');
    let cut = |ending: &str| {
        let length = path.len().checked_sub(ending.len())?;
        lower
            .trim_end_matches('/')
            .ends_with(ending)
            .then(|| path.get(..length))?
    };
    let raw = cut(":streamrawpredict").or(cut(":rawpredict"));
    let mut path = if let Some(path) = cut("/count_tokens") {
        path.to_owned()
    } else if let Some(path) = raw {
        match stream {
            true => format!("{path}:streamRawPredict"),
            false => format!("{path}:rawPredict"),
        }
    } else {
        format!("{}/invoke", cut(STREAMED)?)
    };
    if let Some(query) = head.uri.query() {
        path = format!("{path}?{query}");
    }
    Some(path)
}
