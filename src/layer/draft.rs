//! The input rails over a request, in their order: what they make of its texts, and what has to be asked about it.
//!
//! A [`Draft`] is a request that the rails have rewritten and searched. What is left is to [ask](super::questions) about it, as the
//! rails before the asking one left it: that may go on while the service already works on it.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    ops::Range,
};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::StatusCode;

use super::{
    cache::{Hasher, Key, VerdictCache},
    guard::Guard,
    judge::rewrite,
    policy::{Blocked, History},
    questions::{Round, questions},
    reading::Reading,
    request::Refusal,
    results::{ToolResult, tool_results},
    select::{is_tool_result, selected},
};
use crate::{
    library::{AskContext, Subject},
    message::{Message, Role},
    rails::{Checked, Policy, RailSet, Stage},
    wire::{ChatRequest, Edit, TextKind, patch, repack},
};

/// How many texts of a request are rewritten, or asked about, at the same time.
pub(super) const TOGETHER: usize = 8;

/// How many texts may be rewritten for one question that may be asked.
const REWRITES: usize = 32;

/// A request as the rails have it so far.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// By where they begin.
    edits: BTreeMap<usize, (Range<usize>, Change)>,
    changes: usize,
    /// What the rails of each stage are asked.
    pub(super) rounds: Vec<Round>,
    pub(super) results: Vec<ToolResult>,
    /// How often what is remembered under a key has to pass before it is.
    pub(super) unasked: HashMap<Key, usize>,
}

/// What takes the place of a text.
#[derive(Debug)]
enum Change {
    Text(String),
    /// A text that has to be packed as the one was that it replaces.
    File(String),
}

/// Why a request does not go in.
#[derive(Debug)]
pub(super) enum Stop {
    /// A rail blocked it.
    Blocked(Blocked),
    /// It is over a limit.
    Refused(Refusal),
}

impl From<Blocked> for Stop {
    fn from(blocked: Blocked) -> Self {
        Self::Blocked(blocked)
    }
}

/// What a draft is made with.
#[derive(Clone, Copy)]
pub(super) struct Drafting<'a> {
    pub(super) guard: &'a Guard,
    pub(super) ask: &'a AskContext,
    pub(super) cache: &'a VerdictCache,
    /// Under what verdicts are remembered: the rails, and who asks, where that decides.
    pub(super) hasher: &'a Hasher,
    pub(super) history: History,
}

impl Drafting<'_> {
    pub(super) fn rails(&self) -> &RailSet {
        &self.guard.rails.plan().input
    }

    pub(super) fn policy(&self) -> Policy<'_> {
        self.guard.policy_in()
    }

    pub(super) fn stages(&self) -> impl Iterator<Item = Stage<'_>> {
        self.rails().stages(self.guard.powers_in())
    }

    /// Lets the rails that rewrite and those that judge on the spot read `request`.
    pub(super) async fn draft(&self, request: &ChatRequest<'_>) -> Result<Draft, Stop> {
        self.check_size(request)?;
        let rails = self.rails();
        let mut draft = Draft::default();
        let results = &self.guard.rails.plan().results;
        if !results.is_empty() {
            draft.results = tool_results(request, self.history);
        }
        // Rails that only look at how results are made leave what they say to the input rails.
        let judges_results = results.reads_text();
        if rails.is_empty() {
            self.check_questions(draft.asked())?;
            return Ok(draft);
        }
        let asks = rails.asking().next().is_some();
        let sees_media = asks && rails.sees_media();
        let messages = selected(&request.messages, self.history);
        let mut read: Vec<Reading<'_>> = Vec::with_capacity(messages.len() + 1);
        if !request.other_texts.is_empty() {
            read.push(Reading::new(None, &request.other_texts, false));
        }
        read.extend(messages.iter().map(|(index, message)| {
            let is_left_out = judges_results && is_tool_result(message);
            let mut reading = Reading::new(Some(*index), &message.texts, is_left_out);
            if sees_media {
                reading.media = &message.media;
            }
            reading
        }));
        if asks && rails.is_steady() {
            for reading in &mut read {
                let key = reading.key(self.hasher);
                reading.has_passed = self.cache.has_passed(key);
                reading.key = Some(key);
            }
        }
        let is_result = |index: Option<usize>| {
            let message = index.and_then(|index| request.messages.get(index));
            judges_results && message.is_some_and(is_tool_result)
        };
        for (number, stage) in self.stages().enumerate() {
            for reading in &read {
                reading.search(stage, self.policy()).await?;
            }
            if stage.asks() {
                let (said, before) = match rails.is_steady() {
                    true => Default::default(),
                    false => said_before(request, &read),
                };
                draft.rounds.push(Round {
                    stage: number,
                    questions: questions(&read, &before, &is_result),
                    said,
                });
            }
            if stage.rewrites() {
                self.rewrite(&mut read, &mut draft, stage).await?;
            }
        }
        let rewritten = read.iter().filter(|reading| reading.is_rewritten);
        draft.settle_keys(rewritten.filter_map(|reading| reading.key).collect());
        self.check_questions(draft.asked())?;
        Ok(draft)
    }

    /// Whether the texts are not more than the rails may be given.
    fn check_size(&self, request: &ChatRequest<'_>) -> Result<(), Stop> {
        let limit = self.guard.limits.request_text;
        let texts = request.messages.iter().flat_map(|message| &message.texts);
        let size: usize = texts
            .chain(&request.other_texts)
            .map(|text| text.text.len())
            .sum();
        match size > limit {
            true => Err(Stop::Refused(over(format!(
                "the request has more than {limit} bytes of text"
            )))),
            false => Ok(()),
        }
    }

    fn check_questions(&self, asked: usize) -> Result<(), Stop> {
        let limit = self.guard.limits.questions;
        match asked > limit {
            true => Err(Stop::Refused(over(format!(
                "the guardrails would be asked {asked} questions about the request, of at most {limit}"
            )))),
            false => Ok(()),
        }
    }

    async fn rewrite(
        &self,
        read: &mut [Reading<'_>],
        draft: &mut Draft,
        stage: Stage<'_>,
    ) -> Result<(), Stop> {
        let mut jobs = Vec::new();
        for (number, reading) in read
            .iter()
            .enumerate()
            .filter(|(_, reading)| !reading.has_passed)
        {
            for (place, (text, current)) in reading.texts().enumerate() {
                if may_be_rewritten(text.kind) && !current.is_empty() {
                    jobs.push((number, place, text, current));
                }
            }
        }
        // Rails that rewrite on the spot ask nobody.
        let limit = self.guard.limits.questions.saturating_mul(REWRITES);
        if stage.asks_to_rewrite() && jobs.len() > limit {
            return Err(Stop::Refused(over(format!(
                "the guardrails would be asked to rewrite {} texts of the request, of at most {limit}",
                jobs.len()
            ))));
        }
        let jobs: Vec<_> = jobs
            .into_iter()
            .map(|(number, place, text, current)| async move {
                let is_json = text.kind == TextKind::ToolArguments;
                let checked = self.rewritten(stage, current, is_json).await;
                (number, place, text, checked)
            })
            .collect();
        let mut running = stream::iter(jobs).buffer_unordered(TOGETHER);
        let mut done = Vec::new();
        while let Some((number, place, text, checked)) = running.next().await {
            match checked {
                Checked::Allow => {}
                Checked::Block(blocked) => return Err(blocked.into()),
                Checked::Transform(_) if !text.is_patchable() => {
                    return Err(cannot_rewrite(self.rails()).into());
                }
                Checked::Transform(new) => done.push((number, place, text, new)),
            }
        }
        drop(running);
        for (number, place, text, new) in done {
            let new = fitting(text.kind, new);
            let change = match text.kind {
                TextKind::File => Change::File(new.clone()),
                _ => Change::Text(new.clone()),
            };
            draft.edit(text.span.clone(), change);
            if let Some(reading) = read.get_mut(number) {
                reading.replace(place, new);
            }
        }
        for reading in read.iter_mut().filter(|reading| !reading.has_passed) {
            self.rewrite_joined(reading, draft, stage).await?;
        }
        Ok(())
    }

    async fn rewritten(&self, stage: Stage<'_>, text: &str, is_json: bool) -> Checked {
        let subject = Subject::input(text);
        rewrite(self.guard, stage, subject, is_json, self.ask, self.policy()).await
    }

    /// Lets the rails rewrite a content of several texts as readers join it: what lies across them is in none alone.
    async fn rewrite_joined(
        &self,
        reading: &mut Reading<'_>,
        draft: &mut Draft,
        stage: Stage<'_>,
    ) -> Result<(), Blocked> {
        for (kinds, content) in reading.joined() {
            match self.rewritten(stage, &content, false).await {
                Checked::Allow => {}
                Checked::Block(blocked) => return Err(blocked),
                Checked::Transform(new) => {
                    draft.replace(reading.spans(kinds), new.clone());
                    reading.replace_all(kinds, new);
                }
            }
        }
        Ok(())
    }
}

impl Draft {
    /// How much is to be asked.
    pub(super) fn asked(&self) -> usize {
        let rounds = self.rounds.iter();
        rounds.map(Round::texts).sum::<usize>() + self.results.len()
    }

    /// Whether something is left to be asked.
    pub(super) fn is_open(&self) -> bool {
        self.rounds.iter().any(|round| round.texts() > 0) || !self.results.is_empty()
    }

    /// Keeps of the keys under which texts are remembered those of texts that no rail rewrote.
    fn settle_keys(&mut self, rewritten: Vec<Key>) {
        for question in self
            .rounds
            .iter_mut()
            .flat_map(|round| &mut round.questions)
        {
            question.keys.retain(|key| !rewritten.contains(key));
            for key in &question.keys {
                *self.unasked.entry(*key).or_default() += 1;
            }
        }
    }

    fn edit(&mut self, span: Range<usize>, change: Change) {
        self.changes += 1;
        // A string that some readers unpack and some do not is packed again: what it packs is what says something.
        let is_file = matches!(self.edits.get(&span.start), Some((_, Change::File(_))));
        if is_file && matches!(change, Change::Text(_)) {
            return;
        }
        self.edits.insert(span.start, (span, change));
    }

    /// Puts `text` in the place of a text.
    pub(super) fn edit_text(&mut self, span: Range<usize>, text: String) {
        self.edit(span, Change::Text(text));
    }

    /// Puts `text` in the place of a text that is packed.
    pub(super) fn edit_file(&mut self, span: Range<usize>, text: String) {
        self.edit(span, Change::File(text));
    }

    /// Puts `text` in the place of a content: its first text takes it, the others nothing.
    pub(super) fn replace(&mut self, contents: Vec<Range<usize>>, text: String) {
        let mut text = Some(text);
        for span in contents {
            self.edit(span, Change::Text(text.take().unwrap_or_default()));
        }
    }

    /// How many changes there are so far.
    pub(super) fn changes(&self) -> usize {
        self.changes
    }

    /// The body as it is to go on; none: as it came.
    pub(super) fn body(&self, original: &Bytes) -> Option<Bytes> {
        let edits = self.edits.values().map(|(span, change)| {
            let text: Cow<'_, str> = match change {
                Change::Text(text) => text.into(),
                Change::File(text) => {
                    let token = original.get(span.clone()).unwrap_or_default();
                    let packed: Option<String> = serde_json::from_slice(token).ok();
                    match packed.and_then(|packed| repack(&packed, text)) {
                        Some(packed) => packed.into(),
                        None => text.into(),
                    }
                }
            };
            (span.clone(), Edit::Text(text))
        });
        let edits: Vec<_> = edits.collect();
        (!edits.is_empty()).then(|| patch(original, &edits).into())
    }
}

/// What the user and the assistant said, as the rails have it so far, and for each message how much of that stands before it.
fn said_before(request: &ChatRequest<'_>, read: &[Reading<'_>]) -> (Vec<Message>, Vec<usize>) {
    let rewritten: BTreeMap<usize, Cow<'_, str>> = read
        .iter()
        .filter(|reading| reading.is_rewritten)
        .filter_map(|reading| Some((reading.index?, reading.content())))
        .collect();
    let mut all = Vec::new();
    let mut before = Vec::with_capacity(request.messages.len());
    for (index, message) in request.messages.iter().enumerate() {
        before.push(all.len());
        if matches!(message.role, Role::User | Role::Assistant) {
            let mut said = message.to_message();
            if let Some(content) = rewritten.get(&index) {
                said.content = content.clone().into_owned().into();
            }
            all.push(said);
        }
    }
    (all, before)
}

/// The refusal of a request that is over a limit.
fn over(message: String) -> Refusal {
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message)
}

pub(super) fn cannot_rewrite(rails: &RailSet) -> Blocked {
    let reason = "a rail rewrote a text that cannot be changed where it stands";
    match rails.asking().find(|rail| rail.rewrites()) {
        Some(rail) => Blocked {
            failed: true,
            ..rail.blocked(Some(reason.to_owned()))
        },
        None => Blocked {
            rail: "".into(),
            message: "".into(),
            reason: Some(reason.to_owned()),
            failed: true,
        },
    }
}

/// Whether another text may take the place of a text of this kind: names of tools and ids link one thing to another, and the
/// strings in a tool call's arguments are rewritten in the arguments.
fn may_be_rewritten(kind: TextKind) -> bool {
    !matches!(
        kind,
        TextKind::ToolName | TextKind::Id | TextKind::Key | TextKind::Nested
    )
}

/// A rewritten text as its place takes it: a speaker's name has no spaces, brackets and slashes, and 64 letters at most.
fn fitting(kind: TextKind, new: String) -> String {
    const LONGEST: usize = 64;
    if kind != TextKind::Name {
        return new;
    }
    let is_odd = |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '|' | '\\' | '/');
    let letters = new.chars().map(|c| if is_odd(c) { '_' } else { c });
    letters.take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_a_name() {
        let fitted = fitting(TextKind::Name, "<EMAIL ADDRESS>".repeat(9));
        assert!(fitted.starts_with("_EMAIL_ADDRESS_") && fitted.len() == 64);
        assert_eq!(fitting(TextKind::Content, "<X>".to_owned()), "<X>");
    }
}
