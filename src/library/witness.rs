//! What a compiled rail did while it judged, for logs.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use serde_json::{Map, Value};

use super::Finding;
use crate::{llm::ModelReply, message::Message};

/// Sees what one run of a rail finds, and whom it asks.
#[derive(Debug, Default)]
pub(crate) struct Witness(Mutex<Seen>);

/// What a witness saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// What the verdict rests on.
    pub(crate) metadata: Map<String, Value>,
    /// The models that were asked, in order.
    pub(crate) calls: Vec<Asked>,
}

/// A model that was asked.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) model: String,
    pub(crate) provider: String,
    pub(crate) messages: Vec<Message>,
    /// What it answered; nothing where it failed.
    pub(crate) reply: ModelReply,
    pub(crate) started: SystemTime,
    pub(crate) duration: Duration,
}

impl Witness {
    pub(super) fn found(&self, finding: &Finding) {
        self.seen(|seen| seen.metadata.clone_from(&finding.metadata));
    }

    pub(super) fn asked(&self, asked: Asked) {
        self.seen(|seen| seen.calls.push(asked));
    }

    /// What was seen until now.
    pub(crate) fn take(&self) -> Seen {
        self.seen(std::mem::take)
    }

    fn seen<T>(&self, act: impl FnOnce(&mut Seen) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
