//! OpenAI Responses, stored replies included.
//!
//! Read of a request: every string under `input`, the variables of a stored prompt, and every string under keys that the API does not
//! document. What tools said, the server's own among them, are messages of the role `tool`. Not read, since the app writes them:
//! `instructions`, `tools`, `text` and the other documented keys. `previous_response_id`, `conversation` and references to items stand
//! for text at the provider, which cannot be seen.
//!
//! A reply is one choice; its refusal is `incomplete` for the reason `content_filter`. What a reply repeats of its request (`instructions`,
//! `tools`, `metadata`) is judged by patterns only.

mod answer;
mod item;
mod model;
mod refuse;
mod reply;
mod request;
mod stream;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::Value;

use self::stream::ResponseStream;
use super::{
    AnswerWriter, BodyEdit, ChatRequest, ChoiceSpan, Claim, JsonLimits, ModelProtocol, NormalPath,
    OpenAiChat, ReplyTexts, RequestFacts, RequestHead, StreamFormat, Unreadable, WireFormat,
};

/// OpenAI Responses.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenAiResponses;

impl WireFormat for OpenAiResponses {
    fn name(&self) -> &'static str {
        "openai_responses"
    }

    fn claims(&self, path: &NormalPath<'_>) -> Claim {
        let path = path.as_str();
        let (before, rest) = match path.strip_suffix("/responses") {
            Some("") => return Claim::Chat,
            Some(before) => (before, None),
            None => match path.rsplit_once("/responses/") {
                Some((before, rest)) => (before, Some(rest)),
                None => return Claim::No,
            },
        };
        // Applications have replies of their own: only where an API's version stands before.
        let last = before.rsplit('/').next().unwrap_or_default();
        let is_api = last == "openai"
            || last
                .strip_prefix('v')
                .is_some_and(|version| version.starts_with(|first: char| first.is_ascii_digit()));
        if !is_api {
            return Claim::No;
        }
        let Some(rest) = rest else {
            return Claim::Chat;
        };
        let mut rest = rest.split('/');
        match (rest.next(), rest.next(), rest.next()) {
            (Some("compact" | "input_tokens"), None, None) => Claim::Chat,
            (Some(_), None | Some("input_items" | "cancel"), None) => Claim::Stored,
            _ => Claim::No,
        }
    }

    fn looks_like_request(&self, _body: &[u8]) -> bool {
        // A search has an `input`, too: the path says whether it is this one.
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

    fn read_head(&self, head: &RequestHead<'_>) -> RequestFacts {
        RequestFacts {
            stream: *head.method == Method::GET && head.query("stream") == Some("true"),
            ..RequestFacts::default()
        }
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
        refuse::reply(facts, message).to_string().into()
    }

    fn refuse_choice(&self, body: &[u8], choice: &ChoiceSpan, message: &str) -> Vec<BodyEdit> {
        refuse::edits(body, choice, message)
    }

    fn error_body(&self, status: StatusCode, code: &str, message: &str) -> Bytes {
        OpenAiChat.error_body(status, code, message)
    }

    fn stream(&self, facts: &RequestFacts) -> Box<dyn StreamFormat> {
        Box::new(ResponseStream::new(facts))
    }

    fn model(&self) -> Option<&dyn ModelProtocol> {
        Some(self)
    }

    fn answers(&self) -> Option<&dyn AnswerWriter> {
        Some(self)
    }
}

#[cfg(test)]
mod tests;
