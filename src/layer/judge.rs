//! Texts under rails: each rail reads a text as those before it left it.

use std::borrow::Cow;

use super::{
    channels::{Job, Judged, Of, Piece},
    guard::Guard,
    policy::Blocked,
};
use crate::{
    library::{AskContext, Subject},
    rails::{Checked, Policy, Stage},
    wire::{
        Edit,
        json::{Document, Kind, unescape_leniently},
        patch,
    },
};

/// Lets the rewriting rails of `stage` rewrite a text. Of JSON (a tool call's arguments) each string and each number is rewritten
/// by itself, so that it stays JSON; a number that becomes another text becomes a string.
///
/// Gives [`Checked::Transform`] where the text is another one now.
pub(super) async fn rewrite(
    guard: &Guard,
    stage: Stage<'_>,
    subject: Subject<'_>,
    is_json: bool,
    ask: &AskContext,
    policy: Policy<'_>,
) -> Checked {
    if !is_json {
        return stage.rewrite(subject, ask, policy).await;
    }
    let Ok(document) = Document::read(subject.text.as_bytes(), &guard.json_limits()) else {
        // No JSON after all: there is nothing to break.
        return stage.rewrite(subject, ask, policy).await;
    };
    let texts: Vec<_> = document
        .values()
        .filter_map(|value| match value.kind() {
            Kind::Number => Some((value.span(), value.source().into())),
            _ => Some((value.span(), value.as_str()?)),
        })
        .filter(|(_, text)| !text.is_empty())
        .collect();
    let mut edits = Vec::new();
    for (span, text) in texts {
        let subject = Subject {
            text: &text,
            ..subject
        };
        match stage.rewrite(subject, ask, policy).await {
            Checked::Allow => {}
            Checked::Transform(text) => edits.push((span, Edit::Text(text.into()))),
            block @ Checked::Block(_) => return block,
        }
    }
    if edits.is_empty() {
        return Checked::Allow;
    }
    let bytes = patch(subject.text.as_bytes(), &edits);
    Checked::Transform(String::from_utf8_lossy(&bytes).into_owned())
}

/// Judges texts of a reply, together, by the rails in their order. Where no rail rewrites, their tracks have searched them for
/// patterns.
pub(super) async fn judge_job(guard: &Guard, ask: &AskContext, job: &Job) -> Judged {
    let plan = guard.rails.plan();
    if let [calls] = job.pieces.as_slice()
        && let Of::Calls(_) = calls.ticket.of
    {
        let subject = Subject::calls(&calls.text, &guard.user_message, guard.tools.as_deref());
        return match plan.calls.check(subject, ask, guard.policy_out()).await {
            Checked::Allow => Judged::Passed(Vec::new()),
            Checked::Transform(text) => Judged::Passed(vec![Some(vec![text])]),
            Checked::Block(blocked) => Judged::Blocked(blocked),
        };
    }
    let mut left: Vec<Left<'_>> = job.pieces.iter().map(Left::new).collect();
    let powers = guard.powers_out();
    let are_searched = !plan.output.rewrites(powers);
    for stage in plan.output.stages(powers) {
        let judging = Judging { guard, ask, stage };
        if let Err(blocked) = judging.judge(&mut left, are_searched).await {
            return Judged::Blocked(blocked);
        }
    }
    Judged::Passed(left.into_iter().map(|left| left.texts).collect())
}

/// A piece of a reply as rails have left it so far.
struct Left<'p> {
    piece: &'p Piece,
    /// What took the place of its texts.
    texts: Option<Vec<String>>,
}

impl<'p> Left<'p> {
    fn new(piece: &'p Piece) -> Self {
        Self { piece, texts: None }
    }

    /// Its texts, which some client shows one by one.
    fn texts(&self) -> Vec<&str> {
        let Self { piece, texts } = self;
        match texts {
            Some(texts) => texts.iter().map(String::as_str).collect(),
            None if piece.ends.len() > 1 => {
                let starts = std::iter::once(0).chain(piece.ends.iter().copied());
                let texts = starts.zip(&piece.ends);
                texts
                    .filter_map(|(start, end)| piece.text.get(start..*end))
                    .collect()
            }
            None => vec![&piece.text],
        }
    }

    fn joined(&self) -> Cow<'p, str> {
        match &self.texts {
            Some(texts) => texts.concat().into(),
            None => Cow::Borrowed(&self.piece.text),
        }
    }
}

/// A stage of the output rails at work.
#[derive(Clone, Copy)]
struct Judging<'a> {
    guard: &'a Guard,
    ask: &'a AskContext,
    stage: Stage<'a>,
}

impl Judging<'_> {
    /// Lets the stage judge what is `left`, and then rewrite it.
    async fn judge(self, left: &mut [Left<'_>], are_searched: bool) -> Result<(), Blocked> {
        if !are_searched {
            for left in &*left {
                self.search(left).await?;
            }
        }
        if self.stage.asks() {
            match &mut *left {
                [left] => self.judge_one(left).await?,
                left => self.judge_together(left).await?,
            }
        }
        if self.stage.rewrites() {
            for left in left {
                self.rewrite(left).await?;
            }
        }
        Ok(())
    }

    fn subject<'t>(&'t self, text: &'t str) -> Subject<'t> {
        Subject::output(text, &self.guard.user_message)
    }

    /// Searches all of a piece, and each text of it, since an anchor matches at its ends.
    async fn search(self, left: &Left<'_>) -> Result<(), Blocked> {
        let may_be_json = left.piece.may_be_json;
        let policy = self.guard.policy_out();
        search(self.stage, &left.joined(), may_be_json, policy).await?;
        let texts = left.texts();
        if texts.len() > 1 {
            for text in texts {
                search(self.stage, text, may_be_json, policy).await?;
            }
        }
        Ok(())
    }

    async fn judge_together(self, left: &mut [Left<'_>]) -> Result<(), Blocked> {
        let together: Vec<Cow<'_, str>> = left.iter().map(Left::joined).collect();
        let together = together.join("\n");
        let subject = self.subject(&together);
        let judged = self.stage.judge(subject, self.ask, self.guard.policy_out());
        match judged.await {
            Checked::Allow => Ok(()),
            Checked::Block(blocked) => Err(blocked),
            // Of which of them? Each is judged by itself.
            Checked::Transform(_) => {
                for left in left {
                    self.judge_one(left).await?;
                }
                Ok(())
            }
        }
    }

    async fn judge_one(self, left: &mut Left<'_>) -> Result<(), Blocked> {
        let policy = self.guard.policy_out();
        // A client that shows texts apart reads the end of each as an end.
        let texts = left.texts();
        if texts.len() > 1 {
            let apart = texts.join("\n");
            let judged = self.stage.judge(self.subject(&apart), self.ask, policy);
            if let Checked::Block(blocked) = judged.await {
                return Err(blocked);
            }
        }
        let joined = left.joined();
        let judged = self.stage.judge(self.subject(&joined), self.ask, policy);
        match judged.await {
            Checked::Allow => Ok(()),
            // One that only judges may still rewrite, through an action of the application.
            Checked::Transform(text) => {
                left.texts = Some(vec![text]);
                Ok(())
            }
            Checked::Block(blocked) => Err(blocked),
        }
    }

    /// Lets the rails rewrite a piece: each of its texts alone first where some client shows it so, then all of them joined.
    async fn rewrite(self, left: &mut Left<'_>) -> Result<(), Blocked> {
        let (guard, is_json) = (self.guard, left.piece.is_json);
        let rewritten = async |text: &str| {
            let subject = self.subject(text);
            let policy = guard.policy_out();
            match rewrite(guard, self.stage, subject, is_json, self.ask, policy).await {
                Checked::Allow => Ok(None),
                Checked::Transform(text) => Ok(Some(text)),
                Checked::Block(blocked) => Err(blocked),
            }
        };
        let texts = left.texts();
        if texts.len() > 1 {
            let (mut alone, mut has_changed) = (Vec::with_capacity(texts.len()), false);
            for text in texts {
                let new = rewritten(text).await?;
                has_changed |= new.is_some();
                alone.push(new.unwrap_or_else(|| text.to_owned()));
            }
            if has_changed {
                left.texts = Some(alone);
            }
        }
        if let Some(new) = rewritten(&left.joined()).await? {
            left.texts = Some(vec![new]);
        }
        Ok(())
    }
}

/// Searches `text` by the patterns of a stage, and where it may be JSON the strings of it as a reader has them.
///
/// # Errors
///
/// The block of the first that matches.
pub(super) async fn search(
    stage: Stage<'_>,
    text: &str,
    may_be_json: bool,
    policy: Policy<'_>,
) -> Result<(), Blocked> {
    if let Checked::Block(blocked) = stage.search(text, policy).await {
        return Err(blocked);
    }
    let plain = may_be_json.then(|| unescape_leniently(text));
    if let Some(plain) = plain.filter(|plain| plain != text)
        && let Checked::Block(blocked) = stage.search(&plain, policy).await
    {
        return Err(blocked);
    }
    Ok(())
}
