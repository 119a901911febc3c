//! Ollama's own chat and generation: JSON by lines, streamed unless the request says otherwise.
//!
//! A request for generation is a conversation of one message: its `prompt`. `context` holds tokens of earlier turns, which cannot be
//! read: a request with it is refused.

mod answer;
mod model;
mod reply;
mod request;
mod stream;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use self::stream::OllamaStream;
use super::{
    AnswerWriter, BodyEdit, ChatRequest, ChoiceSpan, Claim, JsonLimits, ModelProtocol, NormalPath,
    ReplyTexts, RequestFacts, RequestHead, StreamFormat, Unreadable, WireFormat,
};
use crate::framing::Framing;

/// Ollama chat and generation.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ollama;

/// [`RequestFacts::variant`] of a request for generation.
const GENERATE: &str = "generate";

impl WireFormat for Ollama {
    fn name(&self) -> &'static str {
        "ollama"
    }

    fn claims(&self, path: &NormalPath<'_>) -> Claim {
        match path.ends_with("/api/chat") || path.ends_with("/api/generate") {
            true => Claim::Chat,
            false => Claim::No,
        }
    }

    fn looks_like_request(&self, _body: &[u8]) -> bool {
        // Its bodies are those of Chat Completions: the path says which it is.
        false
    }

    fn read_request<'a>(
        &self,
        head: &RequestHead<'_>,
        body: &'a [u8],
        limits: &JsonLimits,
    ) -> Result<ChatRequest<'a>, Unreadable> {
        request::read(head, body, limits)
    }

    fn offered_tools(&self, request: &ChatRequest<'_>, body: &[u8]) -> Value {
        let span = request.tools.clone();
        let tools = span.and_then(|span| body.get(span));
        let tools = tools.and_then(|json| serde_json::from_slice(json).ok());
        tools.unwrap_or_else(|| json!([]))
    }

    fn read_reply<'a>(
        &self,
        body: &'a [u8],
        limits: &JsonLimits,
    ) -> Result<ReplyTexts<'a>, Unreadable> {
        let mut texts = ReplyTexts::default();
        reply::read(body, limits, 0, &mut texts)?;
        Ok(texts)
    }

    fn refuse_reply(&self, facts: &RequestFacts, message: &str) -> Bytes {
        let mut reply = stream::record(facts, message);
        stream::end(&mut reply);
        reply.to_string().into()
    }

    fn refuse_choice(&self, body: &[u8], choice: &ChoiceSpan, message: &str) -> Vec<BodyEdit> {
        stream::refusal_edits(body, choice, message)
    }

    fn error_body(&self, _status: StatusCode, _code: &str, message: &str) -> Bytes {
        json!({"error": message}).to_string().into()
    }

    fn framing(&self, facts: &RequestFacts, content_type: &str) -> Option<Framing> {
        match content_type {
            "" => Some(Framing::Ndjson),
            // Some servers label their lines so.
            "application/json" if facts.stream => Some(Framing::Ndjson),
            named => Framing::of_content_type(named),
        }
    }

    fn stream(&self, facts: &RequestFacts) -> Box<dyn StreamFormat> {
        Box::new(OllamaStream::new(facts))
    }

    fn model(&self) -> Option<&dyn ModelProtocol> {
        Some(self)
    }

    fn answers(&self) -> Option<&dyn AnswerWriter> {
        Some(self)
    }
}
