//! What the questions of a dialogue took, and which of them failed.

use std::{
    any::Any,
    fmt,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use http::Response;

use crate::llm::Usage;

/// What the questions of one dialogue took, and the last one that failed.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    tokens: Option<(u64, u64)>,
    failure: Option<Failure>,
}

/// Why a question has no answer.
pub(super) enum Failure {
    /// The service answered with an error.
    Answered(Response<Bytes>),
    /// The service failed: its own error.
    Service(Box<dyn Any + Send>),
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(response) => {
                f.debug_tuple("Answered").field(&response.status()).finish()
            }
            Self::Service(_) => f.write_str("Service(..)"),
        }
    }
}

impl Tally {
    fn counted<T>(&self, with: impl FnOnce(&mut Counted) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds what an answer took.
    pub(super) fn count(&self, usage: Option<Usage>) {
        let Some(usage) = usage else { return };
        self.counted(|counted| {
            let (read, written) = counted.tokens.get_or_insert_default();
            *read = read.saturating_add(usage.prompt_tokens);
            *written = written.saturating_add(usage.completion_tokens);
        });
    }

    /// Tokens read and written over all answers; none where no answer said.
    pub(super) fn tokens(&self) -> Option<(u64, u64)> {
        self.counted(|counted| counted.tokens)
    }

    /// Notes a failure.
    pub(super) fn fail(&self, failure: Failure) {
        self.counted(|counted| counted.failure = Some(failure));
    }

    /// The last failure.
    pub(super) fn take_failure(&self) -> Option<Failure> {
        self.counted(|counted| counted.failure.take())
    }
}
