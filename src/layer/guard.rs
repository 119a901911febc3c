//! What every part of a guarded exchange knows.

use std::sync::Arc;

use serde_json::Value;

use super::{
    encoding::Accepted,
    limits::Limits,
    policy::{BlockResponse, Blocked, OnRailError},
};
use crate::{
    rails::{LlmRails, Policy},
    verdict::{Enforcement, GuardrailsVerdict},
    wire::{JsonLimits, RequestFacts, WireFormat},
};

/// One guarded request, and the reply to it.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    pub(super) format: Arc<dyn WireFormat>,
    pub(super) rails: LlmRails,
    pub(super) facts: RequestFacts,
    /// What the user said last, for rails that judge an answer by its question.
    pub(super) user_message: String,
    /// The tools that the request offers, where rails judge calls by them.
    pub(super) tools: Option<Arc<Value>>,
    /// The codings in which the client takes a reply.
    pub(super) accepted: Accepted,
    pub(super) verdict: GuardrailsVerdict,
    pub(super) limits: Limits,
    pub(super) on_rail_error: OnRailError,
    pub(super) enforcement: Enforcement,
    pub(super) block_response: BlockResponse,
}

impl Guard {
    /// What counts where a rail's own options say nothing.
    pub(super) fn policy(&self) -> Policy<'_> {
        Policy {
            on_error: self.on_rail_error,
            enforcement: self.enforcement,
            verdict: &self.verdict,
        }
    }

    /// The limits of the JSON reader.
    pub(super) fn json_limits(&self) -> JsonLimits {
        JsonLimits {
            max_depth: self.limits.json_depth,
            ..JsonLimits::default()
        }
    }
}

/// Rails stopped a text.
#[derive(Debug)]
pub(super) struct Halt {
    /// The choice that it belongs to; none: the reply as a whole.
    pub(super) choice: Option<u32>,
    pub(super) blocked: Blocked,
}

/// Why a reply does not leave at all.
#[derive(Debug, Clone)]
pub(super) enum Refused {
    /// A rail blocked all of it.
    Blocked(Blocked),
    /// It cannot be read, or is over a limit.
    Unreadable { code: &'static str, message: String },
}
