//! Checks: a text against the rails of one place.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    plan::{CompiledRail, RailSet},
    run::{Ran, Run},
    stage::Powers,
};
use crate::{
    error::Error,
    library::{AskContext, Judge, Subject},
    pattern::Match,
    verdict::{Decision, Enforcement, GuardrailsVerdict, Outcome, RailReport},
};

pub use crate::verdict::OnRailError;

/// What counts where a rail's own options say nothing, and where its reports go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy<'a> {
    pub(crate) on_error: OnRailError,
    pub(crate) powers: Powers,
    pub(crate) verdict: &'a GuardrailsVerdict,
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
    /// Checks a short `text` by the pattern rails, on the spot; those that ask are skipped.
    pub(crate) fn check_local(&self, text: &str, policy: Policy<'_>) -> Checked {
        for (rail, patterns) in self.patterns() {
            let started = Instant::now();
            let found = patterns.patterns.find(text).map_err(|error| Error::Rail {
                rail: rail.name.to_string(),
                source: error.into(),
            });
            match settle_search(rail, found, started.elapsed(), policy) {
                Checked::Allow => {}
                other => return other,
            }
        }
        Checked::Allow
    }

    /// Whether a pattern rail that acts on what it finds stops a short `text`. Nobody is told.
    pub(crate) fn stops(&self, text: &str, enforcement: Enforcement) -> bool {
        let mut rails = self.patterns();
        rails.any(|(rail, patterns)| {
            rail.is_enforced(enforcement)
                && match patterns.patterns.find(text) {
                    Ok(found) => found.is_some(),
                    Err(error) => {
                        tracing::warn!(rail = %rail.name, %error, "a rail failed");
                        rail.options.on_error != Some(OnRailError::Pass)
                    }
                }
        })
    }

    /// Whether a rail reads what texts say, so that others need not.
    pub(crate) fn reads_text(&self) -> bool {
        self.rails.iter().any(|rail| match &rail.judge {
            Judge::Patterns(_) => true,
            Judge::Ask(ask) => ask.reads_text(),
        })
    }

    /// Whether a rail is shown the pictures, sound and files that come with a text.
    pub(crate) fn sees_media(&self) -> bool {
        self.rails.iter().any(CompiledRail::sees_media)
    }

    /// Whether a rail may rewrite the text: then nothing of it leaves as it came before that rail has read it.
    pub(crate) fn rewrites(&self, powers: Powers) -> bool {
        self.rails.iter().any(|rail| powers.let_rewrite(rail))
    }

    /// Whether no rail acts on what it finds.
    pub(crate) fn only_monitors(&self, enforcement: Enforcement) -> bool {
        self.rails.iter().all(|rail| !rail.is_enforced(enforcement))
    }

    /// Runs all rails, in order, each on what the last one made of the text.
    pub(crate) async fn check(
        &self,
        subject: Subject<'_>,
        context: &AskContext,
        policy: Policy<'_>,
    ) -> Checked {
        let run = Run {
            rails: self.rails.iter().collect(),
            parallel: self.parallel,
            patterns_have_read: false,
            watched: false,
        };
        let settle =
            |rail: &CompiledRail, ran: Ran| settle(rail, ran.outcome, ran.duration, policy);
        run.check(subject, context, &settle).await
    }
}

impl CompiledRail {
    /// Whether it is shown the pictures, sound and files that come with a text.
    pub(super) fn sees_media(&self) -> bool {
        match &self.judge {
            Judge::Patterns(_) => false,
            Judge::Ask(ask) => ask.sees_media(),
        }
    }

    /// Whether it acts on what it finds, where `default` counts for rails whose options do not say.
    pub(crate) fn is_enforced(&self, default: Enforcement) -> bool {
        self.options.enforcement.unwrap_or(default) == Enforcement::Enforce
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

/// Why a pattern rail blocks, for the operator: it has no words of its own.
fn pattern_matches(pattern: usize) -> String {
    format!("pattern {} matches", pattern + 1)
}

/// As [`settle`], of a pattern rail.
pub(super) fn settle_search(
    rail: &CompiledRail,
    found: Result<Option<Match>, Error>,
    duration: Duration,
    policy: Policy<'_>,
) -> Checked {
    let outcome = found.map(|found| {
        found.map_or(Outcome::Allow, |found| {
            Outcome::block(pattern_matches(found.pattern))
        })
    });
    settle(rail, outcome, duration, policy)
}

/// Records what `rail` came to, and turns it into what happens to the text.
pub(super) fn settle(
    rail: &CompiledRail,
    outcome: Result<Outcome, Error>,
    duration: Duration,
    policy: Policy<'_>,
) -> Checked {
    let is_enforced = rail.is_enforced(policy.powers.enforcement);
    let on_error = match rail.options.on_error {
        _ if !is_enforced => OnRailError::Pass,
        Some(own) => own,
        None => policy.on_error,
    };
    let (decision, reason, checked) = match outcome {
        Ok(Outcome::Allow) => (Decision::Allowed, None, Checked::Allow),
        Ok(Outcome::Transform(text)) if !is_enforced => {
            let left = match policy.powers.on_a_copy {
                true => Checked::Transform(text),
                false => Checked::Allow,
            };
            (Decision::WouldTransform, None, left)
        }
        Ok(Outcome::Transform(text)) => (Decision::Transformed, None, Checked::Transform(text)),
        Ok(Outcome::Block(block)) if block.failed && on_error == OnRailError::Pass => {
            (Decision::FailedOpen, block.reason, Checked::Allow)
        }
        Ok(Outcome::Block(block)) if !is_enforced => {
            (Decision::WouldBlock, block.reason, Checked::Allow)
        }
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
            let reason = error.for_log();
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
    if matches!(decision, Decision::WouldBlock | Decision::WouldTransform) {
        tracing::info!(rail = %rail.name, ?decision, ?reason, "a rail that only monitors");
    }
    policy.verdict.add(rail.report(decision, reason, duration));
    checked
}
