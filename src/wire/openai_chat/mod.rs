//! OpenAI Chat Completions, and all that speak it: Azure, vLLM, llama.cpp, gateways.
//!
//! Read of a request: every string under `messages`, whatever the part's type, and every string under keys that the API
//! does not document. Not read, since the app writes them and not its users: `tools`, `functions`, `response_format`,
//! `metadata` and the other documented keys but `prediction`. Images, sounds and documents in binary formats pass unread;
//! text that is packed in base64 is unpacked.

mod answer;
mod calls;
mod logprobs;
mod refuse;
mod reply;
mod request;
mod shape;
mod stream;
mod vocabulary;

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

use self::{calls::CallNumbers, reply::Whole, stream::ChatStream};
use super::{
    AnswerWriter, AnthropicMessages, BedrockConverse, BodyEdit, ChatRequest, ChoiceSpan, Claim,
    Edit, JsonLimits, NormalPath, ReplyTexts, RequestFacts, RequestHead, StreamFormat, Unreadable,
    WireFormat,
};

/// OpenAI Chat Completions.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenAiChat;

impl WireFormat for OpenAiChat {
    fn name(&self) -> &'static str {
        "openai_chat"
    }

    fn claims(&self, path: &NormalPath<'_>) -> Claim {
        if path.ends_with("/chat/completions") {
            return Claim::Chat;
        }
        let mut segments = path
            .as_str()
            .rsplit('/')
            .skip_while(|last| *last == "messages");
        let (id, kind, before) = (segments.next(), segments.next(), segments.next());
        // What was stored, deferred, or is made while nobody waits.
        let is_stored = match kind {
            Some("completions") => before == Some("chat") && id != Some("batches"),
            Some("deferred-completion" | "async-result") => true,
            _ => false,
        };
        match is_stored && id.is_some_and(|id| !id.is_empty()) {
            true => Claim::Stored,
            false => Claim::No,
        }
    }

    fn looks_like_request(&self, body: &[u8]) -> bool {
        // Others' bodies have messages, too, and what only they have.
        shape::looks_like_request(body)
            && !AnthropicMessages.looks_like_request(body)
            && !BedrockConverse.looks_like_request(body)
    }

    fn read_request<'a>(
        &self,
        _head: &RequestHead<'_>,
        body: &'a [u8],
        limits: &JsonLimits,
    ) -> Result<ChatRequest<'a>, Unreadable> {
        request::read(body, limits)
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
        reply::read(
            body,
            limits,
            Whole::Reply,
            &mut CallNumbers::default(),
            &mut texts,
        )?;
        Ok(texts)
    }

    fn refuse_reply(&self, facts: &RequestFacts, message: &str) -> Bytes {
        refuse::reply(facts, message)
    }

    fn refuse_choice(&self, _body: &[u8], choice: &ChoiceSpan, message: &str) -> Vec<BodyEdit> {
        let refusal = refuse::choice(choice.index, message);
        vec![(choice.span.clone(), Edit::Raw(refusal.into()))]
    }

    fn error_body(&self, status: StatusCode, code: &str, message: &str) -> Bytes {
        refuse::error(status.as_u16(), code, message).into()
    }

    fn stream(&self, facts: &RequestFacts) -> Box<dyn StreamFormat> {
        Box::new(ChatStream::new(facts))
    }

    fn answers(&self) -> Option<&dyn AnswerWriter> {
        Some(self)
    }
}

#[cfg(test)]
mod tests;
