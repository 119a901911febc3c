//! What a turn tells its caller beside the answer.

use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// What a turn tells its caller beside the answer. It can be looked at also where the turn fails.
#[derive(Debug, Default)]
pub(crate) struct Report(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    forward: Option<Value>,
    finish_reason: Option<String>,
    predefined: usize,
    said: usize,
}

impl Report {
    fn told<T>(&self, with: impl FnOnce(&mut Told) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes that the caller's own request is to be answered by the model, and what rails have made of the user's last message.
    pub(super) fn forward(&self, user_message: Value) {
        self.told(|told| told.forward = Some(user_message));
    }

    /// What rails have made of the user's last message, where the caller's own request is to be answered by the model.
    pub(crate) fn take_forward(&self) -> Option<Value> {
        self.told(|told| told.forward.take())
    }

    /// Notes why the answer of the model ended that was asked last.
    pub(super) fn note_finish(&self, reason: Option<&str>) {
        let reason = reason.map(str::to_owned);
        self.told(|told| told.finish_reason = reason);
    }

    /// Why the answer of the model ended that was asked last.
    pub(crate) fn finish_reason(&self) -> Option<String> {
        self.told(|told| told.finish_reason.clone())
    }

    /// Notes a message that the configuration words, with nothing of the conversation in it.
    pub(super) fn note_predefined(&self) {
        self.told(|told| told.predefined += 1);
    }

    /// Notes how many messages the turn has said.
    pub(super) fn note_said(&self, count: usize) {
        self.told(|told| told.said = count);
    }

    /// Whether all that was said is worded by the configuration, and something was said.
    pub(crate) fn is_predefined(&self) -> bool {
        self.told(|told| told.said > 0 && told.said == told.predefined)
    }
}
