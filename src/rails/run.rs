//! Rails on a text: one after the other, each reading what the last one made of it, or together.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tracing::{Instrument as _, field};

use super::{check::Checked, plan::CompiledRail};
use crate::{
    compute,
    error::{BoxError, Error},
    library::{AskContext, Judge, PatternRail, Seen, Subject, Witness},
    observe::captures_content,
    pattern::Match,
    verdict::{Block, Outcome, Place},
};

/// Rails that check a text.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    /// In the order in which they run, unless together.
    pub(crate) rails: Vec<&'a CompiledRail>,
    /// Whether they run together.
    pub(crate) parallel: bool,
    /// Whether the rails that judge by patterns have read the text before, so that they need to only where it was rewritten.
    pub(crate) patterns_have_read: bool,
    /// Whether what each does is seen, for a log.
    pub(crate) watched: bool,
}

/// What one rail came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) outcome: Result<Outcome, Error>,
    pub(crate) started: SystemTime,
    pub(crate) duration: Duration,
    /// What was seen, where it is watched.
    pub(crate) seen: Option<Seen>,
}

/// Records what a rail came to, and says what that means for the text.
type Settle<'a> = &'a (dyn Fn(&CompiledRail, Ran) -> Checked + Sync);

impl Run<'_> {
    /// Checks `subject`. The first block ends it, and cancels the rails that still run.
    pub(crate) async fn check(
        &self,
        subject: Subject<'_>,
        context: &AskContext,
        settle: Settle<'_>,
    ) -> Checked {
        if self.parallel {
            self.together(subject, context, settle).await
        } else {
            self.in_order(subject, context, settle).await
        }
    }

    async fn in_order(
        &self,
        subject: Subject<'_>,
        context: &AskContext,
        settle: Settle<'_>,
    ) -> Checked {
        let mut rewritten: Option<String> = None;
        for rail in &self.rails {
            if self.patterns_have_read && rewritten.is_none() && rail.is_local() {
                continue;
            }
            let subject = match rewritten.as_deref() {
                Some(text) => rail.rewritten(subject, text),
                None => subject,
            };
            let ran = rail.judge(subject, context, self.watched).await;
            match settle(rail, ran) {
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

    async fn together(
        &self,
        subject: Subject<'_>,
        context: &AskContext,
        settle: Settle<'_>,
    ) -> Checked {
        let (local, asking): (Vec<_>, Vec<_>) =
            self.rails.iter().copied().partition(|rail| rail.is_local());
        // These take no time: nobody is asked about a text that they block.
        if !self.patterns_have_read {
            for rail in local {
                let ran = rail.judge(subject, context, self.watched).await;
                if let block @ Checked::Block(_) = settle(rail, ran) {
                    return block;
                }
            }
        }
        let mut running: FuturesUnordered<_> = asking
            .into_iter()
            .map(|rail| async move { (rail, rail.judge(subject, context, self.watched).await) })
            .collect();
        while let Some((rail, mut ran)) = running.next().await {
            if let Ok(Outcome::Transform(text)) = &ran.outcome
                && text != subject.text
            {
                // The others read the text as it came: what they say of it says nothing of this one.
                ran.outcome = Ok(Outcome::Block(Block {
                    reason: Some("it rewrote a text that other rails judge meanwhile".to_owned()),
                    message: None,
                    failed: true,
                }));
            }
            // Dropping `running` cancels the others.
            if let block @ Checked::Block(_) = settle(rail, ran) {
                return block;
            }
        }
        Checked::Allow
    }
}

impl CompiledRail {
    /// Whether it judges on the spot.
    fn is_local(&self) -> bool {
        matches!(self.judge, Judge::Patterns(_))
    }

    /// `subject` with the text that an earlier rail made of it.
    fn rewritten<'a>(&self, subject: Subject<'a>, text: &'a str) -> Subject<'a> {
        let mut subject = subject;
        subject.text = text;
        if self.place == Place::Input {
            subject.user_message = text;
        }
        subject
    }

    /// The first match of the rail's patterns, within the rail's time.
    pub(super) async fn search(
        &self,
        rail: &Arc<PatternRail>,
        text: &str,
    ) -> Result<Option<Match>, Error> {
        let is_near = rail.pace.may_stay(text.len()) && rail.patterns.is_quick(text);
        if is_near {
            let found = rail.pace.timed(|| rail.patterns.find(text));
            return found.map_err(|error| Error::Rail {
                rail: self.name.to_string(),
                source: error.into(),
            });
        }
        let rail = Arc::clone(rail);
        let search = compute::on_text(text, move |text, stop| rail.patterns.find_until(text, stop));
        let search = async {
            let failed = |source: BoxError| Error::Rail {
                rail: self.name.to_string(),
                source,
            };
            let found = search.await.map_err(|lost| failed(lost.into()))?;
            found.map_err(|error| failed(error.into()))
        };
        self.in_time(search).await
    }

    /// What `judging` comes to, within the rail's time.
    async fn in_time<T>(
        &self,
        judging: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let judged = tokio::time::timeout(self.timeout, judging).await;
        judged.unwrap_or_else(|_| {
            Err(Error::RailTimeout {
                rail: self.name.to_string(),
                limit: self.timeout,
            })
        })
    }

    /// Judges `subject`, within the rail's time, in a span of its own.
    async fn judge(&self, subject: Subject<'_>, context: &AskContext, watched: bool) -> Ran {
        let span = tracing::debug_span!(
            "guardrails.rail",
            rail.r#type = self.place.key(),
            rail.name = %self.name,
            rail.stop = field::Empty,
            guardrails.rail.input = field::Empty,
            guardrails.rail.reason = field::Empty,
            error.r#type = field::Empty,
        );
        if span.is_disabled() {
            return self.judge_unseen(subject, context, watched).await;
        }
        if captures_content() {
            span.record("guardrails.rail.input", subject.text);
        }
        let judging = self.judge_unseen(subject, context, watched);
        let ran = judging.instrument(span.clone()).await;
        match &ran.outcome {
            Ok(Outcome::Block(block)) => {
                span.record("rail.stop", true);
                if let Some(reason) = block.reason.as_deref().filter(|_| captures_content()) {
                    span.record("guardrails.rail.reason", reason);
                }
            }
            Ok(_) => {
                span.record("rail.stop", false);
            }
            Err(_) => {
                span.record("error.type", "rail_execution_failure");
            }
        }
        ran
    }

    async fn judge_unseen(&self, subject: Subject<'_>, context: &AskContext, watched: bool) -> Ran {
        let (started, clock) = (SystemTime::now(), Instant::now());
        let witness = watched.then(|| Arc::new(Witness::default()));
        let outcome = match &self.judge {
            Judge::Patterns(patterns) => {
                let found = self.search(patterns, subject.text).await;
                found.map(|found| match found {
                    None => Outcome::Allow,
                    Some(_) => Outcome::Block(Block::default()),
                })
            }
            Judge::Ask(ask) => {
                let watched_context = witness.as_ref().map(|witness| context.watched(witness));
                let context = watched_context.as_ref().unwrap_or(context);
                self.in_time(ask.ask(subject, context)).await
            }
        };
        Ran {
            outcome,
            started,
            duration: clock.elapsed(),
            seen: witness.map(|witness| witness.take()),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_core::future::BoxFuture;

    use super::*;
    use crate::{
        library::Ask,
        pattern::{HoldLimits, Patterns},
    };

    /// A rail that does not say that it rewrites.
    #[derive(Debug)]
    struct Shouts;

    impl Ask for Shouts {
        fn rewrites(&self) -> bool {
            false
        }

        fn ask<'a>(
            &'a self,
            subject: Subject<'a>,
            _: &'a AskContext,
        ) -> BoxFuture<'a, Result<Outcome, Error>> {
            let text = subject.text.to_uppercase();
            Box::pin(std::future::ready(Ok(Outcome::Transform(text))))
        }
    }

    fn settle(_: &CompiledRail, ran: Ran) -> Checked {
        match ran.outcome.unwrap() {
            Outcome::Allow => Checked::Allow,
            Outcome::Transform(text) => Checked::Transform(text),
            Outcome::Block(block) => Checked::Block(crate::rails::Blocked {
                rail: "".into(),
                message: "".into(),
                reason: block.reason,
                failed: block.failed,
            }),
        }
    }

    async fn checked(parallel: bool, text: &str) -> Checked {
        let line = crate::config::FlowReference::from("shout");
        let judge = Judge::Ask(Arc::new(Shouts));
        let options = crate::config::RailOptions::default();
        let rail = CompiledRail::new(&line, Place::Input, judge, "".into(), options);
        let run = Run {
            rails: vec![&rail],
            parallel,
            patterns_have_read: false,
            watched: false,
        };
        run.check(Subject::input(text), &AskContext::default(), &settle)
            .await
    }

    #[tokio::test]
    async fn a_rewrite_that_nobody_expects_is_no_rewrite_beside_other_rails() {
        assert_eq!(
            checked(false, "hi").await,
            Checked::Transform("HI".to_owned())
        );
        assert!(matches!(checked(true, "hi").await, Checked::Block(blocked) if blocked.failed));
        // What stays as it was is none.
        assert_eq!(checked(true, "HI").await, Checked::Allow);
        assert_eq!(checked(false, "HI").await, Checked::Allow);
    }

    #[tokio::test]
    async fn a_long_search_ends_at_the_time_limit_and_delays_nobody() {
        let patterns = Patterns::compile(&[r"(?:(a|aa)+)+\1$"], false).unwrap();
        let hold = Arc::new(patterns.hold_program(HoldLimits::default()));
        let judge = Judge::Patterns(Arc::new(PatternRail {
            patterns,
            hold,
            pace: compute::Pace::default(),
        }));
        let line = crate::config::FlowReference::from("regex check input");
        let options = crate::config::RailOptions::default();
        let mut rail = CompiledRail::new(&line, Place::Input, judge, "".into(), options);
        rail.timeout = Duration::from_millis(100);
        let text = format!("{}c", "a".repeat(1 << 20));
        let context = AskContext::default();
        // One thread serves both.
        let mut beats = 0;
        let heart = async {
            loop {
                tokio::time::sleep(Duration::from_millis(5)).await;
                beats += 1;
            }
        };
        let ran = tokio::select! {
            ran = rail.judge(Subject::input(&text), &context, false) => ran,
            () = heart => unreachable!(),
        };
        assert!(
            matches!(ran.outcome, Err(Error::RailTimeout { .. })),
            "{ran:?}"
        );
        assert!(beats >= 3, "{beats}");
    }
}
