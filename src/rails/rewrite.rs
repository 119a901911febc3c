//! Rails that rewrite come first, each seeing what the one before it made of the text; then those that only judge.

use futures_util::stream::{FuturesUnordered, StreamExt};

use super::{
    check::{Checked, OnRailError},
    plan::{CompiledRail, RailSet},
};
use crate::{
    library::{AskContext, Judge, Subject},
    verdict::GuardrailsVerdict,
};

impl CompiledRail {
    /// Whether it may rewrite the text.
    pub(crate) fn rewrites(&self) -> bool {
        match &self.judge {
            Judge::Patterns(_) => false,
            Judge::Ask(ask) => ask.rewrites(),
        }
    }
}

impl RailSet {
    /// Whether a rail may rewrite the text: then nothing of it leaves as it came before that rail has read it.
    pub(crate) fn rewrites(&self) -> bool {
        self.rails.iter().any(CompiledRail::rewrites)
    }

    /// Runs the rails that may rewrite, in order.
    pub(crate) async fn rewrite(
        &self,
        subject: Subject<'_>,
        context: &AskContext,
        on_error: OnRailError,
        verdict: &GuardrailsVerdict,
    ) -> Checked {
        let mut rewritten: Option<String> = None;
        for rail in self.rails.iter().filter(|rail| rail.rewrites()) {
            let text = rewritten.as_deref().unwrap_or(subject.text);
            let subject = Subject { text, ..subject };
            match rail.check(subject, context, on_error, verdict).await {
                Checked::Allow => {}
                Checked::Transform(text) => rewritten = Some(text),
                block @ Checked::Block(_) => return block,
            }
        }
        match rewritten {
            Some(text) if text != subject.text => Checked::Transform(text),
            _ => Checked::Allow,
        }
    }

    /// Runs the rails that ask and only judge, in order or together.
    pub(crate) async fn judge(
        &self,
        subject: Subject<'_>,
        context: &AskContext,
        on_error: OnRailError,
        verdict: &GuardrailsVerdict,
    ) -> Checked {
        let judging = self.asking().filter(|rail| !rail.rewrites());
        if self.parallel {
            let mut running: FuturesUnordered<_> = judging
                .map(|rail| rail.check(subject, context, on_error, verdict))
                .collect();
            while let Some(checked) = running.next().await {
                // Dropping `running` cancels the others.
                if checked != Checked::Allow {
                    return checked;
                }
            }
            return Checked::Allow;
        }
        for rail in judging {
            let checked = rail.check(subject, context, on_error, verdict).await;
            if checked != Checked::Allow {
                return checked;
            }
        }
        Checked::Allow
    }
}
