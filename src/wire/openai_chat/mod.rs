//! OpenAI Chat Completions, and all that speak it: Azure, vLLM, llama.cpp, gateways.
//!
//! Read of a request: every string under `messages`, whatever the part's type, and every string under keys that the API
//! does not document. Not read, since the app writes them and not its users: `tools`, `functions`, `response_format`,
//! `prediction`, `metadata` and the other documented keys. Images, sounds and documents in binary formats pass unread;
//! text that is packed in base64 is unpacked.

mod refuse;
mod reply;
mod request;
mod shape;

use bytes::Bytes;

use self::reply::Whole;
use super::{
    ChatRequest, ChoiceSpan, EventKind, JsonLimits, NormalPath, ReplyTexts, RequestFacts,
    StreamHead, Unreadable, WireFormat,
};

/// OpenAI Chat Completions.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenAiChat;

impl WireFormat for OpenAiChat {
    fn name(&self) -> &'static str {
        "openai_chat"
    }

    fn is_endpoint(&self, path: &NormalPath<'_>) -> bool {
        path.ends_with("/chat/completions")
    }

    fn read_request<'a>(
        &self,
        body: &'a [u8],
        limits: &JsonLimits,
    ) -> Result<ChatRequest<'a>, Unreadable> {
        request::read(body, limits)
    }

    fn looks_like_request(&self, body: &[u8]) -> bool {
        shape::looks_like_request(body)
    }

    fn read_reply<'a>(
        &self,
        body: &'a [u8],
        limits: &JsonLimits,
    ) -> Result<ReplyTexts<'a>, Unreadable> {
        reply::read(body, limits, Whole::Reply)
    }

    fn read_event<'a>(
        &self,
        data: &'a [u8],
        limits: &JsonLimits,
    ) -> Result<ReplyTexts<'a>, Unreadable> {
        match data.trim_ascii() {
            b"[DONE]" => Ok(ReplyTexts {
                kind: EventKind::Done,
                ..ReplyTexts::default()
            }),
            b"" => Ok(ReplyTexts::default()),
            _ => reply::read(data, limits, Whole::Event),
        }
    }

    fn refuse_reply(&self, facts: &RequestFacts, message: &str) -> Bytes {
        refuse::reply(facts, message)
    }

    fn refuse_stream(&self, facts: &RequestFacts, message: &str) -> Bytes {
        refuse::stream(facts, message)
    }

    fn refuse_choice(&self, _body: &[u8], choice: &ChoiceSpan, message: &str) -> Vec<u8> {
        refuse::choice(choice.index, message)
    }

    fn refuse_choice_event(
        &self,
        head: &StreamHead,
        choice: u32,
        role_sent: bool,
        message: &str,
    ) -> Bytes {
        refuse::choice_events(head, choice, role_sent, message)
    }

    fn end_of_stream(&self) -> Bytes {
        Bytes::from_static(refuse::END_OF_STREAM)
    }

    fn error_body(&self, status: u16, code: &str, message: &str) -> Bytes {
        refuse::error(status, code, message).into()
    }

    fn error_event(&self, code: &str, message: &str) -> Bytes {
        refuse::error_event(code, message)
    }
}

#[cfg(test)]
mod tests;
