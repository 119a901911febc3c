//! Anthropic Messages, also as Bedrock's `invoke` and Vertex's `rawPredict` carry it.
//!
//! Read of a request: every string under `messages`, and every string under keys that the API does not document. Results of tools,
//! the server's own among them, are messages of the role `tool`. Not read, since the app writes them: `system`, `tools`, `metadata` and
//! the other documented keys. Signatures and encrypted content pass; a text under a signature is never rewritten.
//!
//! A reply is one choice, a block of the answer says `stop_reason: "refusal"`.
//!
//! What is signed (SigV4) cannot be changed: see [`BedrockConverse`](super::BedrockConverse).

mod answer;
mod model;
mod refuse;
mod reply;
mod request;
mod stream;

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

use self::stream::MessageStream;
use super::{
    AnswerWriter, BodyEdit, ChatRequest, ChoiceSpan, Claim, JsonLimits, ModelProtocol, NormalPath,
    ReplyTexts, RequestFacts, RequestHead, StreamFormat, Unreadable, WireFormat,
};
use crate::framing::Framing;

/// Anthropic Messages.
#[derive(Debug, Clone, Copy, Default)]
pub struct AnthropicMessages;

impl WireFormat for AnthropicMessages {
    fn name(&self) -> &'static str {
        "anthropic_messages"
    }

    fn claims(&self, path: &NormalPath<'_>) -> Claim {
        match is_messages(path.as_str()) {
            true => Claim::Chat,
            false => Claim::No,
        }
    }

    fn looks_like_request(&self, body: &[u8]) -> bool {
        request::looks_like_request(body)
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
        request::offered_tools(request, body)
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
        refuse::reply(facts, message)
    }

    fn refuse_choice(&self, body: &[u8], choice: &ChoiceSpan, message: &str) -> Vec<BodyEdit> {
        refuse::edits(body, choice, message)
    }

    fn error_body(&self, status: StatusCode, _code: &str, message: &str) -> Bytes {
        refuse::error(Some(status), message)
    }

    fn framing(&self, facts: &RequestFacts, content_type: &str) -> Option<Framing> {
        match (content_type, facts.variant) {
            ("" | "application/vnd.amazon.eventstream", CHUNKS) => Some(Framing::AwsChunks),
            ("", _) => Some(Framing::Sse),
            (named, _) => Framing::of_content_type(named),
        }
    }

    fn stream(&self, facts: &RequestFacts) -> Box<dyn StreamFormat> {
        Box::new(MessageStream::new(facts))
    }

    fn model(&self) -> Option<&dyn ModelProtocol> {
        Some(self)
    }

    fn answers(&self) -> Option<&dyn AnswerWriter> {
        Some(self)
    }
}

/// Where Bedrock streams a reply, in chunks of AWS event stream.
const STREAMED: &str = "/invoke-with-response-stream";

/// [`RequestFacts::variant`] of a request whose reply comes in such chunks.
const CHUNKS: &str = "chunks";

/// Whether requests of the format go to `path`, which is in lower case: the API's own path under any prefix, its count of tokens, and
/// the paths of clouds that carry the same body for Anthropic's models.
fn is_messages(path: &str) -> bool {
    let path = path.strip_suffix("/count_tokens").unwrap_or(path);
    if let Some(before) = path.strip_suffix("/messages") {
        // Threads and stored completions of OpenAI's have messages, too.
        let last = before.rsplit('/').next().unwrap_or_default();
        return last == "anthropic" || is_version(last);
    }
    let is_raw = path.ends_with(":rawpredict") || path.ends_with(":streamrawpredict");
    if is_raw {
        return path.contains("/publishers/anthropic/models/");
    }
    let model = path
        .strip_suffix("/invoke")
        .or_else(|| path.strip_suffix(STREAMED))
        .and_then(|path| path.rsplit_once("/model/"));
    model.is_some_and(|(_, model)| model.contains("anthropic.claude"))
}

/// Whether a segment is `v1`, `v2beta` and the like.
fn is_version(segment: &str) -> bool {
    let mut rest = segment.strip_prefix('v').unwrap_or_default().chars();
    rest.next().is_some_and(|first| first.is_ascii_digit())
}

#[cfg(test)]
mod tests;
