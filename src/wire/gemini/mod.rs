//! Gemini, also on Vertex: `generateContent`, `streamGenerateContent` as events or as one JSON array, and `countTokens`.
//!
//! The protocol is Protobuf's JSON: every key may be written in `camelCase` or in `snake_case`, and both are read. Results of functions
//! and of the server's own tools are messages of the role `tool`. Not read, since the app writes them: `systemInstruction`, `tools`,
//! `generationConfig` and the other documented keys. `cachedContent` is text at the provider, which cannot be seen.

mod answer;
mod model;
mod refuse;
mod reply;
mod request;
mod stream;

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

use self::stream::GeminiStream;
use super::{
    AnswerWriter, BodyEdit, ChatRequest, ChoiceSpan, Claim, Edit, JsonLimits, ModelProtocol,
    NormalPath, ReplyTexts, RequestFacts, RequestHead, StreamFormat, Unreadable, WireFormat, keys,
};
use crate::framing::Framing;

/// Gemini's `generateContent` and `streamGenerateContent`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gemini;

/// [`RequestFacts::variant`] of a request whose stream is one JSON array.
const ARRAY: &str = "array";
/// [`RequestFacts::variant`] of a request whose stream is one of events.
const EVENTS: &str = "events";

/// The methods that are read, in lower case.
const METHODS: [&str; 3] = ["generatecontent", "streamgeneratecontent", "counttokens"];

impl WireFormat for Gemini {
    fn name(&self) -> &'static str {
        "gemini"
    }

    fn claims(&self, path: &NormalPath<'_>) -> Claim {
        let Some((before, method)) = path.as_str().rsplit_once(':') else {
            return Claim::No;
        };
        let is_model = ["/models/", "/tunedmodels/", "/endpoints/"]
            .iter()
            .any(|place| before.contains(place));
        match is_model && METHODS.contains(&method) {
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
        reply::read(body, limits, &mut Vec::new(), &mut texts)?;
        Ok(texts)
    }

    fn refuse_reply(&self, facts: &RequestFacts, message: &str) -> Bytes {
        refuse::reply(facts, 0, message).to_string().into()
    }

    fn refuse_choice(&self, _body: &[u8], choice: &ChoiceSpan, message: &str) -> Vec<BodyEdit> {
        let refusal = refuse::candidate(choice.index, message).to_string();
        vec![(choice.span.clone(), Edit::Raw(refusal.into_bytes().into()))]
    }

    fn error_body(&self, status: StatusCode, _code: &str, message: &str) -> Bytes {
        refuse::error(status, message)
    }

    fn framing(&self, facts: &RequestFacts, content_type: &str) -> Option<Framing> {
        match (content_type, facts.variant) {
            ("" | "application/json", ARRAY) => Some(Framing::JsonArray),
            ("", _) => Some(Framing::Sse),
            (named, _) => Framing::of_content_type(named),
        }
    }

    fn stream(&self, facts: &RequestFacts) -> Box<dyn StreamFormat> {
        Box::new(GeminiStream::new(facts))
    }

    fn model(&self) -> Option<&dyn ModelProtocol> {
        Some(self)
    }

    fn answers(&self) -> Option<&dyn AnswerWriter> {
        Some(self)
    }
}

/// Whether a key is one of `known`, which are in `camelCase`, only to readers that fold letters.
fn is_only_folded(key: &str, known: &[&str]) -> bool {
    keys::is_folded_camel(&camel(key), known)
}

/// A key in `camelCase`, as the documentation writes it.
fn camel(key: &str) -> String {
    let mut camel = String::with_capacity(key.len());
    let mut after = false;
    for character in key.chars() {
        match character {
            '_' => after = true,
            _ if after => {
                camel.extend(character.to_uppercase());
                after = false;
            }
            _ => camel.push(character),
        }
    }
    camel
}
