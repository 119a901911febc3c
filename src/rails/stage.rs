//! The rails of a place in the order of the config, in stages: all rails of a stage read the same text.

use std::{sync::Arc, time::Instant};

use super::{
    check::{Checked, Policy, settle, settle_search},
    plan::{CompiledRail, RailSet},
    run::{Ran, Run},
};
use crate::{
    library::{AskContext, Judge, PatternRail, Subject},
    verdict::Enforcement,
};

/// What rails may do to a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Powers {
    /// What counts for rails whose options do not say.
    pub(crate) enforcement: Enforcement,
    /// Whether all rails of a way (of requests, or of replies) only monitor. They work on a copy then, which they do rewrite, so
    /// that each judges the text that it would judge if all were enforced.
    pub(crate) on_a_copy: bool,
}

impl Powers {
    /// Whether `rail` changes the text that the rails behind it read.
    pub(crate) fn let_rewrite(self, rail: &CompiledRail) -> bool {
        rail.rewrites() && (self.on_a_copy || rail.is_enforced(self.enforcement))
    }
}

/// Rails that judge a text, and those right behind them that rewrite it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stage<'a> {
    judges: &'a [CompiledRail],
    rewriters: &'a [CompiledRail],
    parallel: bool,
}

impl RailSet {
    /// The rails in their order, cut behind those that rewrite: what a stage leaves is what the next one reads.
    pub(crate) fn stages(&self, powers: Powers) -> impl Iterator<Item = Stage<'_>> {
        let parallel = self.parallel;
        let mut rest = self.rails.as_slice();
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let rewriting = rest.iter().position(|rail| powers.let_rewrite(rail));
            let (judges, after) = rest.split_at(rewriting.unwrap_or(rest.len()));
            let judging = after.iter().position(|rail| !powers.let_rewrite(rail));
            let (rewriters, after) = after.split_at(judging.unwrap_or(after.len()));
            rest = after;
            Some(Stage {
                judges,
                rewriters,
                parallel,
            })
        })
    }
}

impl<'a> Stage<'a> {
    /// Whether a rail that only judges asks a model or a service about the text.
    pub(crate) fn asks(&self) -> bool {
        let mut judges = self.judges.iter();
        judges.any(|rail| matches!(rail.judge, Judge::Ask(_)))
    }

    /// Whether a rail may rewrite the text.
    pub(crate) fn rewrites(&self) -> bool {
        !self.rewriters.is_empty()
    }

    /// Whether a rail asks a model or a service to rewrite the text.
    pub(crate) fn asks_to_rewrite(&self) -> bool {
        let mut rewriters = self.rewriters.iter();
        rewriters.any(|rail| match &rail.judge {
            Judge::Ask(ask) => ask.rewriter().is_none(),
            Judge::Patterns(_) => false,
        })
    }

    /// The rails that judge by patterns.
    pub(crate) fn patterns(
        &self,
    ) -> impl Iterator<Item = (&'a CompiledRail, &'a Arc<PatternRail>)> + use<'a> {
        self.judges.iter().filter_map(|rail| match &rail.judge {
            Judge::Patterns(patterns) => Some((rail, patterns)),
            Judge::Ask(_) => None,
        })
    }

    /// Searches `text`, of any length, by the patterns: a long one where that delays nobody, within the rail's time.
    pub(crate) async fn search(&self, text: &str, policy: Policy<'_>) -> Checked {
        for (rail, patterns) in self.patterns() {
            let started = Instant::now();
            let found = rail.search(patterns, text).await;
            match settle_search(rail, found, started.elapsed(), policy) {
                Checked::Allow => {}
                other => return other,
            }
        }
        Checked::Allow
    }

    /// Runs the rails that only judge. The patterns have [searched](Self::search) the text before, and do so again only where an
    /// action of the application has rewritten it meanwhile.
    pub(crate) async fn judge(
        &self,
        subject: Subject<'_>,
        context: &AskContext,
        policy: Policy<'_>,
    ) -> Checked {
        // Where there is nothing but pictures, those judge that see them.
        let is_blind = |rail: &CompiledRail| {
            subject.text.is_empty() && !subject.media.is_empty() && !rail.sees_media()
        };
        let rails = self.judges.iter().filter(|rail| !is_blind(rail)).collect();
        run(rails, self.parallel, subject, context, policy).await
    }

    /// Runs the rails that may rewrite the text, each on what the last one made of it.
    pub(crate) async fn rewrite(
        &self,
        subject: Subject<'_>,
        context: &AskContext,
        policy: Policy<'_>,
    ) -> Checked {
        let rails = self.rewriters.iter().collect();
        run(rails, false, subject, context, policy).await
    }
}

/// Runs `rails`, in order or together.
async fn run(
    rails: Vec<&CompiledRail>,
    parallel: bool,
    subject: Subject<'_>,
    context: &AskContext,
    policy: Policy<'_>,
) -> Checked {
    let run = Run {
        rails,
        parallel,
        patterns_have_read: true,
        watched: false,
    };
    let settle = |rail: &CompiledRail, ran: Ran| settle(rail, ran.outcome, ran.duration, policy);
    run.check(subject, context, &settle).await
}
