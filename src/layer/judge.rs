//! Texts under rails that rewrite: each rail reads them as those before it left them.

use super::{
    guard::Guard,
    tracks::{Job, Of},
};
use crate::{
    library::{AskContext, Subject},
    rails::{Checked, RailSet, Stage},
    wire::{
        Edit,
        json::{Document, Kind, unescape_leniently},
        patch,
    },
};

/// Lets the rewriting rails of a stage rewrite a text. Of JSON (a tool call's arguments) each string and each number is rewritten
/// by itself, so that it stays JSON; a number that becomes another text becomes a string.
///
/// Gives [`Checked::Transform`] where the text is another one now.
pub(super) async fn rewrite(
    guard: &Guard,
    stage: Stage<'_>,
    subject: Subject<'_>,
    is_json: bool,
    ask: &AskContext,
) -> Checked {
    if !is_json {
        return stage.rewrite(subject, ask, guard.policy()).await;
    }
    let Ok(document) = Document::read(subject.text.as_bytes(), &guard.json_limits()) else {
        // No JSON after all: there is nothing to break.
        return stage.rewrite(subject, ask, guard.policy()).await;
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
        let rewritten = stage.rewrite(subject, ask, guard.policy());
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

/// Judges a text of a reply. Where no rail rewrites, the track has searched it for patterns.
pub(super) async fn judge_job(guard: &Guard, ask: &AskContext, job: &Job) -> Checked {
    let plan = guard.rails.plan();
    if let Of::Calls(_) = job.ticket.of {
        let subject = Subject::calls(&job.text, &guard.user_message, guard.tools.as_deref());
        return plan.calls.check(subject, ask, guard.policy()).await;
    }
    let output = &plan.output;
    let subject = Subject::output(&job.text, &guard.user_message);
    if output.rewrites(guard.enforcement) {
        return judge_whole(guard, output, subject, job.is_json, ask).await;
    }
    output.judge(subject, ask, guard.policy()).await
}

/// Judges a whole text by all rails of `set`, in their order.
pub(super) async fn judge_whole(
    guard: &Guard,
    set: &RailSet,
    subject: Subject<'_>,
    is_json: bool,
    ask: &AskContext,
) -> Checked {
    let mut left: Option<String> = None;
    for stage in set.stages(guard.enforcement) {
        let text = left.as_deref().unwrap_or(subject.text);
        let found = check_patterns(guard, stage, text, is_json).await;
        if let Some(block) = found {
            return block;
        }
        // One that only judges may still rewrite, through an action of the application.
        let judged = stage
            .judge(Subject { text, ..subject }, ask, guard.policy())
            .await;
        let judged = match judged {
            Checked::Allow => None,
            Checked::Transform(text) => Some(text),
            block @ Checked::Block(_) => return block,
        };
        left = judged.or(left);
        if !stage.rewrites() {
            continue;
        }
        let text = left.as_deref().unwrap_or(subject.text);
        match rewrite(guard, stage, Subject { text, ..subject }, is_json, ask).await {
            Checked::Allow => {}
            Checked::Transform(text) => left = Some(text),
            block @ Checked::Block(_) => return block,
        }
    }
    left.map_or(Checked::Allow, Checked::Transform)
}

/// The block of the first pattern of a stage that matches `text`, or its JSON's strings as a reader has them.
pub(super) async fn check_patterns(
    guard: &Guard,
    stage: Stage<'_>,
    text: &str,
    is_json: bool,
) -> Option<Checked> {
    if let block @ Checked::Block(_) = stage.check_patterns(text, guard.policy()).await {
        return Some(block);
    }
    let plain = is_json
        .then(|| unescape_leniently(text))
        .filter(|plain| plain != text)?;
    match stage.check_patterns(&plain, guard.policy()).await {
        block @ Checked::Block(_) => Some(block),
        _ => None,
    }
}
