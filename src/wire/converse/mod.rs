//! Bedrock Converse and ConverseStream, and its count of tokens.
//!
//! Read of a request: every string under `messages`, the variables of a stored prompt, what goes to the model past the API
//! (`additionalModelRequestFields`), and every string under keys that the API does not document. Results of tools are messages of the role
//! `tool`. Not read, since the app writes them: `system`, `toolConfig`, `requestMetadata` and the other documented keys. Pictures, films and
//! documents in binary formats pass unread.
//!
//! A reply is one choice; a block says `stopReason: "guardrail_intervened"`.
//!
//! Requests that are signed (SigV4) cannot be changed: who changes a body, as a rail that masks does, breaks the signature. The layer
//! stands before the signer, in front of a service that does not check, or where a Bedrock API key (a bearer token) is used. It never signs.

mod model;
mod refuse;
mod reply;
mod request;
mod stream;

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

use self::stream::ConverseStream;
use super::{
    BodyEdit, ChatRequest, ChoiceSpan, Claim, JsonLimits, ModelProtocol, NormalPath, ReplyTexts,
    RequestFacts, RequestHead, StreamFormat, Unreadable, WireFormat,
};
use crate::framing::Framing;

/// Bedrock Converse and ConverseStream.
#[derive(Debug, Clone, Copy, Default)]
pub struct BedrockConverse;

/// The ends of the paths that are read, in lower case.
const METHODS: [&str; 3] = ["/converse", "/converse-stream", "/count-tokens"];

impl WireFormat for BedrockConverse {
    fn name(&self) -> &'static str {
        "bedrock_converse"
    }

    fn claims(&self, path: &NormalPath<'_>) -> Claim {
        let is_method = METHODS.iter().any(|method| path.ends_with(method));
        match is_method && path.as_str().contains("/model/") {
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

    fn refuse_reply(&self, _facts: &RequestFacts, message: &str) -> Bytes {
        refuse::reply(message).to_string().into()
    }

    fn refuse_choice(&self, body: &[u8], choice: &ChoiceSpan, message: &str) -> Vec<BodyEdit> {
        refuse::edits(body, choice, message)
    }

    fn error_body(&self, status: StatusCode, _code: &str, message: &str) -> Bytes {
        refuse::error(status, message)
    }

    fn framing(&self, _facts: &RequestFacts, content_type: &str) -> Option<Framing> {
        match content_type {
            "" => Some(Framing::AwsEventStream),
            named => Framing::of_content_type(named),
        }
    }

    fn stream(&self, _facts: &RequestFacts) -> Box<dyn StreamFormat> {
        Box::new(ConverseStream::default())
    }

    fn model(&self) -> Option<&dyn ModelProtocol> {
        Some(self)
    }
}
