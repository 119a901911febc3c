//! Asking the model behind the endpoint, as rails do.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::OpenAiResponses;
use crate::{
    error::{ModelError, ModelErrorKind},
    message::ToolCall,
    wire::{
        Answer, Asked, ModelProtocol, Question, RequestHead, add_own,
        answer::{answer_of, piece_of},
    },
};

impl ModelProtocol for OpenAiResponses {
    fn question(&self, head: &RequestHead<'_>, question: &Question) -> Result<Asked, ModelError> {
        let messages: Vec<Value> = question
            .messages
            .iter()
            .map(
                |message| json!({"role": message.role.as_str(), "content": message.content.text()}),
            )
            .collect();
        let mut body = Map::new();
        body.insert("model".to_owned(), question.model.as_str().into());
        body.insert("input".to_owned(), messages.into());
        // A judge's words are nobody's to fetch later.
        body.insert("store".to_owned(), false.into());
        for (name, key) in [
            ("temperature", "temperature"),
            ("top_p", "top_p"),
            ("max_tokens", "max_output_tokens"),
            ("max_completion_tokens", "max_output_tokens"),
        ] {
            if let Some(value) = question.parameters.get(name) {
                body.insert(key.to_owned(), value.clone());
            }
        }
        // The API's least is 16.
        if let Some(limit) = body.get_mut("max_output_tokens")
            && let Some(tokens) = limit.as_u64()
        {
            *limit = tokens.max(16).into();
        }
        let path = head.uri.path();
        let before = path.to_ascii_lowercase().rfind("/responses/");
        let path = before
            .and_then(|at| path.get(..at.saturating_add("/responses".len())))
            .map(|path| match head.uri.query() {
                Some(query) => format!("{path}?{query}"),
                None => path.to_owned(),
            });
        if question.stream {
            body.insert("stream".to_owned(), true.into());
        }
        add_own(&mut body, &question.own);
        Ok(Asked {
            path,
            body: Value::Object(body).to_string().into(),
        })
    }

    fn answer(&self, status: StatusCode, body: &[u8]) -> Result<Answer, ModelError> {
        let reply = answer_of(status, body)?;
        let output = reply.get("output").and_then(Value::as_array);
        let output = output.ok_or_else(|| {
            let message = "the answer has no `output`";
            ModelError::new(ModelErrorKind::InvalidResponse, "", message)
        })?;
        let mut answer = Answer::default();
        for item in output {
            let text = |value: &Value, key: &str| {
                value
                    .get(key)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            let list = |key: &str| {
                item.get(key)
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
            };
            match text(item, "type").as_str() {
                "message" => {
                    for part in list("content") {
                        answer.content.push_str(&text(part, "text"));
                        // What a model says instead of an answer is what it says.
                        answer.content.push_str(&text(part, "refusal"));
                    }
                }
                "reasoning" => {
                    for part in list("summary").chain(list("content")) {
                        answer
                            .reasoning
                            .get_or_insert_default()
                            .push_str(&text(part, "text"));
                    }
                }
                "function_call" => answer.tool_calls.push(ToolCall {
                    id: Some(text(item, "call_id")),
                    name: text(item, "name"),
                    arguments: serde_json::from_str(&text(item, "arguments")).unwrap_or_default(),
                }),
                _ => {}
            }
        }
        end_of(&reply, &mut answer);
        Ok(answer)
    }

    fn streams(&self, _head: &RequestHead<'_>) -> bool {
        true
    }

    fn piece(&self, data: &[u8]) -> Result<Option<Answer>, ModelError> {
        if data.trim_ascii() == b"[DONE]" {
            return Ok(None);
        }
        let record = piece_of(data)?;
        let text = |path: &str| record.pointer(path).and_then(Value::as_str);
        let mut piece = Answer::default();
        match text("/type").unwrap_or_default() {
            "response.output_text.delta" | "response.refusal.delta" => {
                text("/delta")
                    .unwrap_or_default()
                    .clone_into(&mut piece.content);
            }
            "response.completed" | "response.incomplete" => {
                if let Some(response) = record.get("response") {
                    end_of(response, &mut piece);
                }
            }
            "response.failed" | "error" => {
                let message = "the service under the guardrails reported an error in its stream";
                return Err(ModelError::new(ModelErrorKind::Server, "", message));
            }
            _ => {}
        }
        Ok(Some(piece))
    }
}

/// Why a reply ended, and what it took.
fn end_of(reply: &Value, answer: &mut Answer) {
    let reason = reply.pointer("/incomplete_details/reason");
    let reason = match reason.and_then(Value::as_str) {
        Some("max_output_tokens") => "length",
        Some(other) => other,
        None => "stop",
    };
    answer.finish_reason = Some(reason.to_owned());
    let tokens = |key: &str| reply.get("usage")?.get(key)?.as_u64();
    answer.tokens = tokens("input_tokens").zip(tokens("output_tokens"));
}
