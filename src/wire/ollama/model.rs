//! Asking the model behind the endpoint, as rails do.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::Ollama;
use crate::{
    error::{ModelError, ModelErrorKind},
    wire::{
        Answer, Asked, ModelProtocol, NormalPath, Question, RequestHead, add_own,
        answer::{answer_of, piece_of},
    },
};

impl ModelProtocol for Ollama {
    fn question(&self, head: &RequestHead<'_>, question: &Question) -> Result<Asked, ModelError> {
        let messages: Vec<Value> = question
            .messages
            .iter()
            .map(
                |message| json!({"role": message.role.as_str(), "content": message.content.text()}),
            )
            .collect();
        let mut options = Map::new();
        for (name, option) in [
            ("temperature", "temperature"),
            ("top_p", "top_p"),
            ("stop", "stop"),
            ("seed", "seed"),
            ("max_tokens", "num_predict"),
            ("max_completion_tokens", "num_predict"),
        ] {
            if let Some(value) = question.parameters.get(name) {
                options.insert(option.to_owned(), value.clone());
            }
        }
        let mut body = json!({
            "model": question.model,
            "messages": messages,
            "stream": question.stream,
            "options": options,
        });
        if let Value::Object(body) = &mut body {
            add_own(body, &question.own);
        }
        // Generation has no roles: chat stands beside it.
        let path = head.uri.path();
        let is_generate = NormalPath::new(path).ends_with("/api/generate");
        let before = path.rfind('/').and_then(|slash| path.get(..slash));
        Ok(Asked {
            path: before
                .filter(|_| is_generate)
                .map(|before| format!("{before}/chat")),
            body: body.to_string().into(),
        })
    }

    fn answer(&self, status: StatusCode, body: &[u8]) -> Result<Answer, ModelError> {
        let reply = answer_of(status, body)?;
        let message = reply.get("message");
        let text = |key: &str| message?.get(key)?.as_str().map(str::to_owned);
        let content = text("content").ok_or_else(|| {
            let message = "the answer has no `message` with a `content`";
            ModelError::new(ModelErrorKind::InvalidResponse, "", message)
        })?;
        let tokens = |key: &str| reply.get(key)?.as_u64();
        Ok(Answer {
            content,
            reasoning: text("thinking").filter(|thinking| !thinking.is_empty()),
            tool_calls: Vec::new(),
            finish_reason: reply
                .get("done_reason")
                .and_then(Value::as_str)
                .map(str::to_owned),
            tokens: tokens("prompt_eval_count").zip(tokens("eval_count")),
        })
    }

    fn streams(&self, _head: &RequestHead<'_>) -> bool {
        true
    }

    fn piece(&self, data: &[u8]) -> Result<Option<Answer>, ModelError> {
        let record = piece_of(data)?;
        let text = |path: &str| record.pointer(path).and_then(Value::as_str);
        let tokens = |key: &str| record.get(key)?.as_u64();
        Ok(Some(Answer {
            content: text("/message/content").unwrap_or_default().to_owned(),
            reasoning: text("/message/thinking").map(str::to_owned),
            finish_reason: text("/done_reason").map(str::to_owned),
            tokens: tokens("prompt_eval_count").zip(tokens("eval_count")),
            ..Answer::default()
        }))
    }
}
