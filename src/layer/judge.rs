//! Texts under rails that rewrite: rewritten first, then judged as rewritten.

use std::borrow::Cow;

use super::{
    channels::{Job, Judged, Of, Piece},
    guard::Guard,
    policy::Blocked,
};
use crate::{
    library::{AskContext, Subject},
    rails::{Checked, RailSet},
    wire::{
        Edit,
        json::{Document, Kind, unescape_leniently},
        patch,
    },
};

/// Lets the rewriting rails of `set` rewrite `text`. Of JSON (a tool call's arguments) each string and each number is rewritten
/// by itself, so that it stays JSON; a number that becomes another text becomes a string.
///
/// Gives [`Checked::Transform`] where the text is another one now.
pub(super) async fn rewrite(
    guard: &Guard,
    set: &RailSet,
    subject: Subject<'_>,
    is_json: bool,
    ask: &AskContext,
) -> Checked {
    if !is_json {
        return set.rewrite(subject, ask, guard.policy()).await;
    }
    let Ok(document) = Document::read(subject.text.as_bytes(), &guard.json_limits()) else {
        // No JSON after all: there is nothing to break.
        return set.rewrite(subject, ask, guard.policy()).await;
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
        let rewritten = set.rewrite(subject, ask, guard.policy());
        match rewritten.await {
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

/// Judges texts of a reply, together. Where no rail rewrites, their tracks have searched them for patterns.
pub(super) async fn judge_job(guard: &Guard, ask: &AskContext, job: &Job) -> Judged {
    let plan = guard.rails.plan();
    if let [calls] = job.pieces.as_slice()
        && let Of::Calls(_) = calls.ticket.of
    {
        let subject = Subject::calls(&calls.text, &guard.user_message, guard.tools.as_deref());
        return match plan.calls.check(subject, ask, guard.policy()).await {
            Checked::Allow => Judged::Passed(Vec::new()),
            Checked::Transform(text) => Judged::Passed(vec![Some(vec![text])]),
            Checked::Block(blocked) => Judged::Blocked(blocked),
        };
    }
    let mut rewritten = Vec::with_capacity(job.pieces.len());
    if plan.output.rewrites(guard.enforcement) {
        for piece in &job.pieces {
            match rewrite_piece(guard, ask, piece).await {
                Ok(texts) => rewritten.push(texts),
                Err(blocked) => return Judged::Blocked(blocked),
            }
        }
    }
    if let [piece] = job.pieces.as_slice() {
        let texts = rewritten.pop().flatten();
        return judge_piece(guard, ask, piece, texts).await;
    }
    rewritten.resize(job.pieces.len(), None);
    let said = |(piece, texts): (&Piece, &Option<Vec<String>>)| match texts {
        Some(texts) => texts.concat(),
        None => piece.text.clone(),
    };
    let together: Vec<String> = job.pieces.iter().zip(&rewritten).map(said).collect();
    let together = together.join("\n");
    let subject = Subject::output(&together, &guard.user_message);
    match plan.output.judge(subject, ask, guard.policy()).await {
        Checked::Allow => Judged::Passed(rewritten),
        Checked::Block(blocked) => Judged::Blocked(blocked),
        // Of which of them? Each is judged by itself.
        Checked::Transform(_) => {
            let mut passed = Vec::with_capacity(rewritten.len());
            for (piece, texts) in job.pieces.iter().zip(rewritten) {
                match judge_piece(guard, ask, piece, texts).await {
                    Judged::Passed(texts) => passed.push(texts.into_iter().next().flatten()),
                    blocked @ Judged::Blocked(_) => return blocked,
                }
            }
            Judged::Passed(passed)
        }
    }
}

/// Lets rails rewrite a piece, each of its texts alone first where some client shows it so, then all of them joined, and searches
/// what became of it for patterns.
async fn rewrite_piece(
    guard: &Guard,
    ask: &AskContext,
    piece: &Piece,
) -> Result<Option<Vec<String>>, Blocked> {
    let output = &guard.rails.plan().output;
    let mut texts = None;
    if piece.ends.len() > 1 {
        let (mut alone, mut start, mut has_changed) = (Vec::new(), 0, false);
        for end in &piece.ends {
            let text = piece.text.get(start..*end).unwrap_or_default();
            start = *end;
            let subject = Subject::output(text, &guard.user_message);
            match rewrite(guard, output, subject, piece.is_json, ask).await {
                Checked::Allow => alone.push(text.to_owned()),
                Checked::Transform(text) => {
                    has_changed = true;
                    alone.push(text);
                }
                Checked::Block(blocked) => return Err(blocked),
            }
        }
        texts = has_changed.then_some(alone);
    }
    let joined = match &texts {
        Some(texts) => texts.concat().into(),
        None => Cow::Borrowed(&*piece.text),
    };
    let subject = Subject::output(&joined, &guard.user_message);
    let joined = match rewrite(guard, output, subject, piece.is_json, ask).await {
        Checked::Allow => joined,
        Checked::Transform(text) => {
            texts = Some(vec![text.clone()]);
            text.into()
        }
        Checked::Block(blocked) => return Err(blocked),
    };
    match check_patterns(guard, output, &joined, piece.is_json).await {
        Some(Checked::Block(blocked)) => Err(blocked),
        _ => Ok(texts),
    }
}

/// Asks about a piece, as rails have rewritten it.
async fn judge_piece(
    guard: &Guard,
    ask: &AskContext,
    piece: &Piece,
    texts: Option<Vec<String>>,
) -> Judged {
    let output = &guard.rails.plan().output;
    let joined = match &texts {
        Some(texts) => texts.concat().into(),
        None => Cow::Borrowed(&*piece.text),
    };
    // A client that shows texts apart reads the end of each as an end.
    if piece.ends.len() > 1 {
        let apart = apart(piece, texts.as_deref());
        let subject = Subject::output(&apart, &guard.user_message);
        if let Checked::Block(blocked) = output.judge(subject, ask, guard.policy()).await {
            return Judged::Blocked(blocked);
        }
    }
    let subject = Subject::output(&joined, &guard.user_message);
    match output.judge(subject, ask, guard.policy()).await {
        Checked::Allow => Judged::Passed(vec![texts]),
        // One that only judges may still rewrite, through an action of the application.
        Checked::Transform(text) => Judged::Passed(vec![Some(vec![text])]),
        Checked::Block(blocked) => Judged::Blocked(blocked),
    }
}

/// The texts of a piece, a line each.
fn apart(piece: &Piece, texts: Option<&[String]>) -> String {
    match texts {
        Some(texts) => texts.join("\n"),
        None => {
            let starts = std::iter::once(0).chain(piece.ends.iter().copied());
            let texts = starts.zip(&piece.ends);
            let texts: Vec<&str> = texts
                .filter_map(|(start, end)| piece.text.get(start..*end))
                .collect();
            texts.join("\n")
        }
    }
}

/// The block of the first pattern that matches `text`, or its JSON's strings as a reader has them.
pub(super) async fn check_patterns(
    guard: &Guard,
    set: &RailSet,
    text: &str,
    is_json: bool,
) -> Option<Checked> {
    if let block @ Checked::Block(_) = set.check_patterns(text, guard.policy()).await {
        return Some(block);
    }
    let plain = is_json
        .then(|| unescape_leniently(text))
        .filter(|plain| plain != text)?;
    match set.check_patterns(&plain, guard.policy()).await {
        block @ Checked::Block(_) => Some(block),
        _ => None,
    }
}
