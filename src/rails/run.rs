//! Rails on a text: one after the other, each reading what the last one made of it, or together.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use futures_util::stream::{FuturesUnordered, StreamExt};

use super::{check::Checked, plan::CompiledRail};
use crate::{
    error::Error,
    library::{AskContext, Judge, Seen, Subject, Witness},
    verdict::{Block, Outcome, Place},
};

/// Rails that check a text.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    /// Those that rewrite first: in this order they run, unless together.
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

    /// Judges `subject`, within the rail's time.
    async fn judge(&self, subject: Subject<'_>, context: &AskContext, watched: bool) -> Ran {
        let (started, clock) = (SystemTime::now(), Instant::now());
        let witness = watched.then(|| Arc::new(Witness::default()));
        let outcome = match &self.judge {
            Judge::Patterns(patterns) => match patterns.patterns.find(subject.text) {
                Ok(None) => Ok(Outcome::Allow),
                Ok(Some(_)) => Ok(Outcome::Block(Block::default())),
                Err(error) => Err(Error::Rail {
                    rail: self.name.to_string(),
                    source: error.into(),
                }),
            },
            Judge::Ask(ask) => {
                let watched_context = witness.as_ref().map(|witness| context.watched(witness));
                let context = watched_context.as_ref().unwrap_or(context);
                let asked = tokio::time::timeout(self.timeout, ask.ask(subject, context));
                asked.await.unwrap_or_else(|_| {
                    Err(Error::RailTimeout {
                        rail: self.name.to_string(),
                        limit: self.timeout,
                    })
                })
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
    use crate::library::Ask;

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
}
