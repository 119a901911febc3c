//! Checks: a text against the rails of one place.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::stream::{FuturesUnordered, StreamExt};

use super::plan::{CompiledRail, RailSet};
use crate::{
    error::Error,
    library::{AskContext, Judge, Subject},
    verdict::{Decision, GuardrailsVerdict, Outcome, RailReport},
};

/// What becomes of a request or a reply when a rail fails: an error of its model or service, a time-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnRailError {
    /// It does not pass: the client gets an error response.
    #[default]
    Block,
    /// It passes; the verdict shows the failure.
    Pass,
}

/// What the rails of a place made of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Checked {
    /// It passes.
    Allow,
    /// It passes as this one.
    Transform(String),
    /// It does not pass.
    Block(Blocked),
}

/// Which rail blocked, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Blocked {
    /// The rail's flow name, as configured.
    pub rail: Arc<str>,
    /// The refusal for the client.
    pub message: Arc<str>,
    /// Why, for the operator.
    pub reason: Option<String>,
    /// Whether the rail failed rather than judged.
    pub failed: bool,
}

impl RailSet {
    /// Checks `text` by the rails that judge on the spot; those that ask are skipped.
    pub(crate) fn check_local(
        &self,
        text: &str,
        on_error: OnRailError,
        verdict: &GuardrailsVerdict,
    ) -> Checked {
        for (rail, patterns) in self.patterns() {
            let started = Instant::now();
            let outcome = match patterns.patterns.find(text) {
                Ok(None) => Ok(Outcome::Allow),
                Ok(Some(found)) => Ok(Outcome::block(format!(
                    "pattern {} matches",
                    found.pattern + 1
                ))),
                Err(error) => Err(Error::Rail {
                    rail: rail.name.to_string(),
                    source: error.into(),
                }),
            };
            match settle(rail, outcome, started.elapsed(), on_error, verdict) {
                Checked::Allow => {}
                other => return other,
            }
        }
        Checked::Allow
    }

    /// Checks `subject` by the rails that ask, in order or together; those that judge on the spot are skipped.
    pub(crate) async fn check_asking(
        &self,
        subject: Subject<'_>,
        context: &AskContext,
        on_error: OnRailError,
        verdict: &GuardrailsVerdict,
    ) -> Checked {
        if self.parallel {
            return self
                .check_together(subject, context, on_error, verdict)
                .await;
        }
        let mut rewritten: Option<String> = None;
        for rail in self.asking() {
            let text = rewritten.as_deref().unwrap_or(subject.text);
            let subject = Subject { text, ..subject };
            match rail.check(subject, context, on_error, verdict).await {
                Checked::Allow => {}
                Checked::Transform(text) => rewritten = Some(text),
                block @ Checked::Block(_) => return block,
            }
        }
        rewritten.map_or(Checked::Allow, Checked::Transform)
    }

    async fn check_together(
        &self,
        subject: Subject<'_>,
        context: &AskContext,
        on_error: OnRailError,
        verdict: &GuardrailsVerdict,
    ) -> Checked {
        let mut running: FuturesUnordered<_> = self
            .asking()
            .enumerate()
            .map(|(index, rail)| async move {
                (index, rail.check(subject, context, on_error, verdict).await)
            })
            .collect();
        let mut rewritten: Option<(usize, String)> = None;
        while let Some((index, checked)) = running.next().await {
            match checked {
                Checked::Allow => {}
                // Each saw the original text; the later in the config's order wins.
                Checked::Transform(text) => {
                    if rewritten.as_ref().is_none_or(|(other, _)| *other < index) {
                        rewritten = Some((index, text));
                    }
                }
                // Dropping `running` cancels the others.
                block @ Checked::Block(_) => return block,
            }
        }
        rewritten.map_or(Checked::Allow, |(_, text)| Checked::Transform(text))
    }
}

impl CompiledRail {
    pub(super) async fn check(
        &self,
        subject: Subject<'_>,
        context: &AskContext,
        on_error: OnRailError,
        verdict: &GuardrailsVerdict,
    ) -> Checked {
        let Judge::Ask(ask) = &self.judge else {
            return Checked::Allow;
        };
        let started = Instant::now();
        let outcome = match tokio::time::timeout(self.timeout, ask.ask(subject, context)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::RailTimeout {
                rail: self.name.to_string(),
                limit: self.timeout,
            }),
        };
        settle(self, outcome, started.elapsed(), on_error, verdict)
    }

    /// This rail's block, for `reason`.
    pub(crate) fn blocked(&self, reason: Option<String>) -> Blocked {
        Blocked {
            rail: Arc::clone(&self.name),
            message: Arc::clone(&self.refusal),
            reason,
            failed: false,
        }
    }

    /// A report of one text of this rail.
    pub(crate) fn report(
        &self,
        decision: Decision,
        reason: Option<String>,
        duration: Duration,
    ) -> RailReport {
        RailReport {
            decision,
            reason,
            texts: 1,
            duration,
            ..RailReport::new(Arc::clone(&self.name), self.place)
        }
    }
}

/// Records what `rail` came to, and turns it into what happens to the text.
fn settle(
    rail: &CompiledRail,
    outcome: Result<Outcome, Error>,
    duration: Duration,
    on_error: OnRailError,
    verdict: &GuardrailsVerdict,
) -> Checked {
    let (decision, reason, checked) = match outcome {
        Ok(Outcome::Allow) => (Decision::Allowed, None, Checked::Allow),
        Ok(Outcome::Transform(text)) => (Decision::Transformed, None, Checked::Transform(text)),
        Ok(Outcome::Block(block)) => {
            let mut blocked = rail.blocked(block.reason.clone());
            blocked.failed = block.failed;
            if let Some(message) = block.message {
                blocked.message = message.into();
            }
            let decision = if block.failed {
                Decision::FailedClosed
            } else {
                Decision::Blocked
            };
            (decision, block.reason, Checked::Block(blocked))
        }
        Err(error) => {
            let reason = describe(&error);
            tracing::warn!(rail = %rail.name, error = %reason, "a rail failed");
            match on_error {
                OnRailError::Pass => (Decision::FailedOpen, Some(reason), Checked::Allow),
                OnRailError::Block => {
                    let blocked = Blocked {
                        failed: true,
                        ..rail.blocked(Some(reason.clone()))
                    };
                    (
                        Decision::FailedClosed,
                        Some(reason),
                        Checked::Block(blocked),
                    )
                }
            }
        }
    };
    verdict.add(rail.report(decision, reason, duration));
    checked
}

/// An error with its causes, in one line.
fn describe(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
