//! Chat-shaped bodies: what is chat, reading, patching, refusing.
//!
//! A [`WireFormat`] knows one provider's bodies: where text lies in a request and in a reply, buffered or streamed, and
//! what a refusal looks like. It knows no rail, no HTTP and no stream: bytes in, borrowed texts with their places out.

pub mod json;

mod detect;
mod endpoints;
mod keys;
mod openai_chat;
mod packed;
mod path;
mod reply;
mod request;
mod shape;
mod unreadable;

use std::fmt::Debug;

use bytes::Bytes;

pub use self::{
    detect::{Endpoint, classify},
    json::{Edit, JsonLimits, patch},
    openai_chat::OpenAiChat,
    path::{NormalPath, Readings},
    reply::{
        CallPiece, CallText, Channel, ChannelKind, ChoiceSpan, EventKind, ListElement, ReplyHead,
        ReplyText, ReplyTexts, StreamHead,
    },
    request::{ChatRequest, RequestFacts, RequestMessage, Text, TextKind},
    shape::{Shape, shape_of},
    unreadable::Unreadable,
};

/// How one provider's chat bodies are read and refused.
pub trait WireFormat: Debug + Send + Sync + 'static {
    /// The format's name, for logs.
    fn name(&self) -> &'static str;

    /// Whether `path` is where requests of this format go.
    fn is_endpoint(&self, path: &NormalPath<'_>) -> bool;

    /// Reads a request.
    ///
    /// # Errors
    /// If the body could be read in another way by the service that gets it: broken or ambiguous JSON, a shape that
    /// is not the format's.
    fn read_request<'a>(
        &self,
        body: &'a [u8],
        limits: &JsonLimits,
    ) -> Result<ChatRequest<'a>, Unreadable>;

    /// Whether a body on a path that is not known looks like a request of this format to some reader, however lenient.
    fn looks_like_request(&self, body: &[u8]) -> bool;

    /// Reads a whole reply, an error included.
    ///
    /// # Errors
    /// If the body is not JSON.
    fn read_reply<'a>(
        &self,
        body: &'a [u8],
        limits: &JsonLimits,
    ) -> Result<ReplyTexts<'a>, Unreadable>;

    /// Reads the payload of one event of a streamed reply.
    ///
    /// # Errors
    /// If the payload is neither JSON nor the mark that ends the stream.
    fn read_event<'a>(
        &self,
        data: &'a [u8],
        limits: &JsonLimits,
    ) -> Result<ReplyTexts<'a>, Unreadable>;

    /// A whole reply that says `message` in the place of the model.
    fn refuse_reply(&self, facts: &RequestFacts, message: &str) -> Bytes;

    /// The same, as a whole stream.
    fn refuse_stream(&self, facts: &RequestFacts, message: &str) -> Bytes;

    /// What replaces the JSON of one choice of the buffered reply `body`.
    fn refuse_choice(&self, body: &[u8], choice: &ChoiceSpan, message: &str) -> Vec<u8>;

    /// The events that end one choice of a running stream with `message`. `role_sent` says whether the client has seen
    /// an event of the choice.
    fn refuse_choice_event(
        &self,
        head: &StreamHead,
        choice: u32,
        role_sent: bool,
        message: &str,
    ) -> Bytes;

    /// The event that ends a stream.
    fn end_of_stream(&self) -> Bytes;

    /// The body of an error response.
    fn error_body(&self, status: u16, code: &str, message: &str) -> Bytes;

    /// An error in the middle of a stream.
    fn error_event(&self, code: &str, message: &str) -> Bytes;
}

/// The formats that are read.
pub const FORMATS: &[&dyn WireFormat] = &[&OpenAiChat];
