//! What an application decides: which messages are checked, and what a client is answered.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{Response, StatusCode};

pub use crate::{
    rails::Blocked,
    verdict::{Enforcement, OnRailError},
};

/// Which messages of a request are checked.
///
/// `system`, `developer` and earlier `assistant` messages are the application's own and are not checked by any of
/// these; an assistant message that stands last is one that the client wants continued, and is checked by
/// [`All`](History::All) and [`LastTurn`](History::LastTurn).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum History {
    /// All of them: a client may put anything anywhere. Verdicts of rails that ask a model are remembered, so that a
    /// conversation costs one check for each new message.
    #[default]
    All,
    /// Those after the last assistant message.
    LastTurn,
    /// The last user message only, as the reference does; of the results of tools, for which there are rails of their own, those
    /// at the conversation's end.
    LastMessage,
}

/// What becomes of a conversation in which a rail blocks an earlier message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum BlockedHistory {
    /// The earlier message goes in with a note in the place of its text, and the last turn decides about the answer. A client that
    /// keeps a blocked message in its history can talk on.
    #[default]
    Remove,
    /// The conversation is blocked, as it is for a message of the last turn.
    Block,
}

/// Whether the dialogue of a rails directory answers: its user messages and flows, its knowledge base, the rails that need a whole
/// turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Dialogue {
    /// It does, where the directory has one; the service is its model. `dialogue: own_model` in the config keeps the model of type
    /// `main` that the config names.
    #[default]
    Auto,
    /// It does not: the rails check around the service. A directory that has nothing else, or rails that need a turn, is a fault.
    Off,
}

/// What becomes of a request to an endpoint that makes a model run on text which the layer does not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum UnreadEndpoints {
    /// It is refused with 403.
    #[default]
    Refuse,
    /// It passes, unchecked, and so does its reply.
    Pass,
}

/// Makes the answer to a block.
pub type Answer = Arc<dyn Fn(&Blocked) -> Response<Bytes> + Send + Sync>;

/// What a client is answered when a rail blocks.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum BlockResponse {
    /// An ordinary answer that says the rail's refusal, with the finish reason `content_filter`.
    #[default]
    Refusal,
    /// An error of this status in the wire format's own shape. A stream that is already on its way ends with an
    /// error event instead.
    Status(StatusCode),
    /// What this function answers. A stream that is already on its way ends with an error event instead.
    Custom(Answer),
}

impl BlockResponse {
    /// An answer made by `answer`.
    ///
    /// ```
    /// use tower_guardrails::layer::BlockResponse;
    ///
    /// let teapot = BlockResponse::custom(|blocked| {
    ///     let mut response = http::Response::new(bytes::Bytes::from(format!("blocked by {}", blocked.rail)));
    ///     *response.status_mut() = http::StatusCode::IM_A_TEAPOT;
    ///     response
    /// });
    /// ```
    pub fn custom(answer: impl Fn(&Blocked) -> Response<Bytes> + Send + Sync + 'static) -> Self {
        Self::Custom(Arc::new(answer))
    }
}

impl fmt::Debug for BlockResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refusal => f.write_str("Refusal"),
            Self::Status(status) => f.debug_tuple("Status").field(status).finish(),
            Self::Custom(_) => f.write_str("Custom(..)"),
        }
    }
}
