//! Chat-shaped bodies: what is chat, reading, patching, refusing.
//!
//! A [`WireFormat`] knows one provider's bodies: where text lies in a request and in a reply, buffered or streamed, and
//! what a refusal looks like. It knows no rail and awaits nothing: bytes in, borrowed texts with their places out.
//!
//! # Writing a format
//!
//! A type that implements [`WireFormat`] claims paths, and reads a request into a [`ChatRequest`]: who says what, and where in the
//! body it stands. What it cannot read as the service will, it refuses ([`Unreadable`]).
//!
//! Of a reply it gives every string that some reader may show, each with
//! - its [`Channel`]: all texts of one channel are what a client puts together. Places that some client reads alone have channels
//!   of their own, and so has every element that clients merge by an index.
//! - its [`Relation`]: it appends to its channel, stands alone, or repeats what another channel says (log-probabilities, `done`
//!   snapshots), so that it is judged once and rewritten alike.
//! - its [`TextClass`]: whether rails that ask a model read it, whether it is JSON itself, whether it belongs to a call of a tool, and
//!   what may take its place. A text that is not certainly structural or opaque is [`TextClass::TEXT`].
//! - its span: the token that the layer patches.
//!
//! A streamed reply has a [`StreamFormat`], made for it: it reads records (the layer knows how bytes are cut into them, by
//! [`WireFormat::framing`]), hears which of them have left, and goes on from there when it has to refuse.
//!
//! The layer does the rest: holding, judging, rewriting, taking choices out, limits.

pub mod json;

mod answer;
mod answer_writer;
mod anthropic;
mod blocks;
mod converse;
mod detect;
mod endpoints;
mod format;
mod gemini;
mod ids;
mod keys;
mod ollama;
mod openai_chat;
mod openai_completions;
mod packed;
mod path;
mod refusal;
mod reply;
mod request;
mod responses;
mod shape;
mod texts;
mod tokens;
mod unreadable;
mod walk;

use std::sync::Arc;

pub use self::{
    answer_writer::{AnswerStream, AnswerWriter, Parameters},
    anthropic::AnthropicMessages,
    converse::BedrockConverse,
    detect::{Endpoint, classify},
    format::{
        Answer, Asked, Claim, ModelProtocol, Question, RequestHead, StreamFormat, WireFormat,
    },
    gemini::Gemini,
    json::{BodyEdit, Edit, JsonLimits, patch},
    ollama::Ollama,
    openai_chat::OpenAiChat,
    openai_completions::OpenAiCompletions,
    path::{NormalPath, Readings},
    reply::{
        CallPiece, CallText, Channel, ChoiceSpan, HoldsJson, ListElement, Patch, RecordKind,
        Relation, ReplyText, ReplyTexts, TextClass, without_choices,
    },
    request::{ChatRequest, RequestFacts, RequestMessage, Text, TextKind},
    responses::OpenAiResponses,
    shape::{Shape, shape_of},
    unreadable::Unreadable,
};

pub(crate) use self::{answer_writer::add_own, packed::repack};

/// The formats of the crate. The first one's errors are what a client reads where no format is known.
pub fn formats() -> Arc<[Arc<dyn WireFormat>]> {
    Arc::new([
        Arc::new(OpenAiChat) as Arc<dyn WireFormat>,
        Arc::new(OpenAiCompletions),
        Arc::new(OpenAiResponses),
        Arc::new(AnthropicMessages),
        Arc::new(Gemini),
        Arc::new(Ollama),
        Arc::new(BedrockConverse),
    ])
}
