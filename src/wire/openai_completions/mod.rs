//! OpenAI Completions, the older API: a text goes on. Mistral's fill-in-the-middle has the same body.
//!
//! Every `prompt` is a message of the user, `suffix` and strings under keys that the API does not document are read with it. Prompts of
//! tokens are refused: they are a text that cannot be read here.

mod answer;
mod reply;
mod request;
mod stream;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use self::stream::CompletionStream;
use super::{
    Answer, AnswerWriter, Asked, BodyEdit, ChatRequest, ChoiceSpan, Claim, Edit, JsonLimits,
    ModelProtocol, NormalPath, OpenAiChat, Question, ReplyTexts, RequestFacts, RequestHead,
    StreamFormat, Unreadable, WireFormat, add_own,
    answer::{answer_of, piece_of},
    ids::{fresh_id, now},
};
use crate::error::{ModelError, ModelErrorKind};

/// OpenAI Completions.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenAiCompletions;

impl WireFormat for OpenAiCompletions {
    fn name(&self) -> &'static str {
        "openai_completions"
    }

    fn claims(&self, path: &NormalPath<'_>) -> Claim {
        let path = path.as_str();
        // Chat and agents have paths of the same end, and bodies of their own.
        let before = path.strip_suffix("/completions").unwrap_or("/chat");
        match before.ends_with("/chat") || before.ends_with("/agents") {
            true => Claim::No,
            false => Claim::Chat,
        }
    }

    fn looks_like_request(&self, _body: &[u8]) -> bool {
        // Many services take a `prompt`: the path says whether it is this one.
        false
    }

    fn read_request<'a>(
        &self,
        _head: &RequestHead<'_>,
        body: &'a [u8],
        limits: &JsonLimits,
    ) -> Result<ChatRequest<'a>, Unreadable> {
        request::read(body, limits)
    }

    fn offered_tools(&self, _request: &ChatRequest<'_>, _body: &[u8]) -> Value {
        json!([])
    }

    fn read_reply<'a>(
        &self,
        body: &'a [u8],
        limits: &JsonLimits,
    ) -> Result<ReplyTexts<'a>, Unreadable> {
        let mut texts = ReplyTexts::default();
        reply::read(body, limits, &mut texts)?;
        Ok(texts)
    }

    fn refuse_reply(&self, facts: &RequestFacts, message: &str) -> Bytes {
        let count = facts.choices.unwrap_or(1).clamp(1, MOST_CHOICES);
        let choices: Vec<Value> = (0..count)
            .map(|index| choice(index, message, "content_filter"))
            .collect();
        let mut reply = head(&fresh_id("cmpl-"), facts.model.as_deref(), now(), &choices);
        reply["usage"] = json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0});
        reply.to_string().into()
    }

    fn refuse_choice(&self, _body: &[u8], span: &ChoiceSpan, message: &str) -> Vec<BodyEdit> {
        let refusal = choice(span.index.into(), message, "content_filter").to_string();
        vec![(span.span.clone(), Edit::Raw(refusal.into_bytes().into()))]
    }

    fn error_body(&self, status: StatusCode, code: &str, message: &str) -> Bytes {
        OpenAiChat.error_body(status, code, message)
    }

    fn stream(&self, facts: &RequestFacts) -> Box<dyn StreamFormat> {
        Box::new(CompletionStream::new(facts))
    }

    fn model(&self) -> Option<&dyn ModelProtocol> {
        Some(self)
    }

    fn answers(&self) -> Option<&dyn AnswerWriter> {
        Some(self)
    }
}

/// The most choices that the API gives.
const MOST_CHOICES: u64 = 128;

/// A reply, or a record of a stream.
fn head(id: &str, model: Option<&str>, created: u64, choices: &[Value]) -> Value {
    json!({
        "id": id,
        "object": "text_completion",
        "created": created,
        "model": model.unwrap_or_default(),
        "choices": choices,
    })
}

fn choice(index: u64, text: &str, finish_reason: impl Into<Value>) -> Value {
    json!({"text": text, "index": index, "logprobs": null, "finish_reason": finish_reason.into()})
}

impl ModelProtocol for OpenAiCompletions {
    fn question(&self, _head: &RequestHead<'_>, question: &Question) -> Result<Asked, ModelError> {
        let texts = question
            .messages
            .iter()
            .map(|message| message.content.text());
        let prompt = texts.collect::<Vec<_>>().join("\n\n");
        let mut body = question.parameters.clone();
        // What the older API does not know is refused by some servers.
        body.retain(|key, _| {
            matches!(
                key.as_str(),
                "temperature" | "max_tokens" | "stop" | "top_p"
            )
        });
        if !body.contains_key("max_tokens") {
            let limit = question.parameters.get("max_completion_tokens").cloned();
            // The API's own default is 16 tokens.
            body.insert("max_tokens".to_owned(), limit.unwrap_or(json!(1024)));
        }
        body.insert("model".to_owned(), question.model.as_str().into());
        body.insert("prompt".to_owned(), prompt.into());
        if question.stream {
            body.insert("stream".to_owned(), true.into());
            body.insert("stream_options".to_owned(), json!({"include_usage": true}));
        }
        add_own(&mut body, &question.own);
        Ok(Asked {
            path: None,
            body: Value::Object(body).to_string().into(),
        })
    }

    fn answer(&self, status: StatusCode, body: &[u8]) -> Result<Answer, ModelError> {
        let reply = answer_of(status, body)?;
        let choice = reply.pointer("/choices/0");
        let text = |key: &str| choice?.get(key)?.as_str().map(str::to_owned);
        let content = text("text").ok_or_else(|| {
            let message = "the answer has no `choices` with a `text`";
            ModelError::new(ModelErrorKind::InvalidResponse, "", message)
        })?;
        let tokens = |key: &str| reply.get("usage")?.get(key)?.as_u64();
        Ok(Answer {
            content,
            finish_reason: text("finish_reason"),
            tokens: tokens("prompt_tokens").zip(tokens("completion_tokens")),
            ..Answer::default()
        })
    }

    fn streams(&self, _head: &RequestHead<'_>) -> bool {
        true
    }

    fn piece(&self, data: &[u8]) -> Result<Option<Answer>, ModelError> {
        if data.trim_ascii() == b"[DONE]" {
            return Ok(None);
        }
        let record = piece_of(data)?;
        let choice = record.pointer("/choices/0");
        let text = |key: &str| choice?.get(key)?.as_str().map(str::to_owned);
        let tokens = |key: &str| record.get("usage")?.get(key)?.as_u64();
        Ok(Some(Answer {
            content: text("text").unwrap_or_default(),
            finish_reason: text("finish_reason"),
            tokens: tokens("prompt_tokens").zip(tokens("completion_tokens")),
            ..Answer::default()
        }))
    }
}
