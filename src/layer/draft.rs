//! The input rails over a request: what they make of its texts, and what has to be asked about it.
//!
//! A [`Draft`] is a request that the rails have rewritten and searched. What is left is to ask about it: that may go on while
//! the service already works on it.

use std::{borrow::Cow, collections::BTreeMap, ops::Range};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::StatusCode;

use super::{
    cache::{Hasher, Key, VerdictCache},
    guard::Guard,
    judge::rewrite,
    policy::{Blocked, History},
    reading::{CONTENT, Reading},
    request::Refusal,
    results::{ToolResult, tool_results},
    select::{is_tool_result, selected},
};
use crate::{
    library::{AskContext, Judge, Subject},
    message::{Message, Role},
    rails::{Checked, RailSet},
    wire::{ChatRequest, Edit, TextKind, patch, repack},
};

/// How many texts of a request are asked about at the same time.
const TOGETHER: usize = 8;

/// As many messages are asked about one by one; of more, the small ones are asked about together.
const FEW: usize = 8;

/// The most bytes of texts that are asked about together.
const PACK: usize = 8 << 10;

/// How many texts may be rewritten for one question that may be asked.
const REWRITES: usize = 32;

/// A request as the rails have it so far.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// By where they begin.
    edits: BTreeMap<usize, (Range<usize>, Change)>,
    changes: usize,
    questions: Vec<Question>,
    results: Vec<ToolResult>,
    /// What the user and the assistant said, where a rail looks at it.
    said: Vec<Message>,
}

/// What takes the place of a text.
#[derive(Debug)]
enum Change {
    Text(String),
    /// A text that has to be packed as the one was that it replaces.
    File(String),
}

/// Messages to ask about.
#[derive(Debug)]
struct Question {
    /// Each way in which readers may join what the messages say.
    texts: Vec<String>,
    /// What came with the text, where a rail looks at it.
    media: Vec<serde_json::Value>,
    /// How much was said before.
    said_before: usize,
    /// Where the message's content lies, if another text may stand there.
    contents: Vec<Range<usize>>,
    /// What the messages are remembered under when they pass.
    keys: Vec<Key>,
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
    fn rails(&self) -> &RailSet {
        &self.guard.rails.plan().input
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
            self.check_questions(draft.results.len())?;
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
        if rails.rewrites(self.guard.enforcement) {
            self.rewrite(&mut read, &mut draft).await?;
        }
        for reading in &read {
            reading.search(self.guard, rails).await?;
        }
        if asks {
            let before = match rails.is_steady() {
                true => Vec::new(),
                false => draft.take_said(request, &read),
            };
            let is_result = |index: Option<usize>| {
                let message = index.and_then(|index| request.messages.get(index));
                judges_results && message.is_some_and(is_tool_result)
            };
            draft.questions = questions(&read, &before, &is_result);
        }
        let asked: usize = draft
            .questions
            .iter()
            .map(|question| question.texts.len())
            .sum();
        self.check_questions(asked + draft.results.len())?;
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

    async fn rewrite(&self, read: &mut [Reading<'_>], draft: &mut Draft) -> Result<(), Stop> {
        let mut jobs = Vec::new();
        for (number, reading) in read
            .iter()
            .enumerate()
            .filter(|(_, reading)| !reading.has_passed)
        {
            for (place, (text, current)) in reading.texts().enumerate() {
                if may_be_rewritten(text.kind) && !current.is_empty() {
                    jobs.push((number, place, text));
                }
            }
        }
        // Rails that rewrite on the spot ask nobody.
        let mut asking = self.rails().asking().filter(|rail| rail.rewrites());
        let asks = asking.any(|rail| match &rail.judge {
            Judge::Ask(ask) => ask.rewriter().is_none(),
            Judge::Patterns(_) => false,
        });
        let limit = self.guard.limits.questions.saturating_mul(REWRITES);
        if asks && jobs.len() > limit {
            return Err(Stop::Refused(over(format!(
                "the guardrails would be asked to rewrite {} texts of the request, of at most {limit}",
                jobs.len()
            ))));
        }
        let jobs: Vec<_> = jobs
            .into_iter()
            .map(|(number, place, text)| async move {
                let is_json = text.kind == TextKind::ToolArguments;
                let subject = Subject::input(&text.text);
                let checked = rewrite(self.guard, self.rails(), subject, is_json, self.ask).await;
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
            self.rewrite_joined(reading, draft).await?;
        }
        Ok(())
    }

    /// Lets the rails rewrite a content of several texts as readers join it: what lies across them is in none alone.
    async fn rewrite_joined(
        &self,
        reading: &mut Reading<'_>,
        draft: &mut Draft,
    ) -> Result<(), Blocked> {
        for (kinds, content) in reading.joined() {
            let subject = Subject::input(&content);
            match rewrite(self.guard, self.rails(), subject, false, self.ask).await {
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

    /// Asks about what `draft` leaves to be asked. Dropping the future cancels what is asked.
    pub(super) async fn judge(&self, draft: &mut Draft) -> Result<(), Blocked> {
        self.judge_results(draft).await?;
        let rails = self.rails();
        let questions = std::mem::take(&mut draft.questions);
        let said = std::mem::take(&mut draft.said);
        let said = &said;
        let questions = questions.into_iter().map(|question| async move {
            let before = said.get(..question.said_before).unwrap_or_default();
            let mut changed = None;
            for text in &question.texts {
                let subject = Subject::input(text)
                    .with_media(&question.media)
                    .after(before);
                match rails.judge(subject, self.ask, self.guard.policy()).await {
                    Checked::Allow => {}
                    Checked::Transform(text) => changed = Some(text),
                    block @ Checked::Block(_) => return (question, block),
                }
            }
            (question, changed.map_or(Checked::Allow, Checked::Transform))
        });
        let mut running = stream::iter(questions).buffer_unordered(TOGETHER);
        while let Some((question, checked)) = running.next().await {
            match checked {
                Checked::Allow => {
                    if !self.guard.verdict.has_failures()
                        && self.guard.verdict.would_block().is_empty()
                    {
                        question
                            .keys
                            .iter()
                            .for_each(|key| self.cache.remember(*key));
                    }
                }
                Checked::Block(blocked) => return Err(blocked),
                Checked::Transform(_)
                    if question.contents.is_empty() || question.texts.len() > 1 =>
                {
                    return Err(cannot_rewrite(rails));
                }
                Checked::Transform(text) => draft.replace(question.contents, text),
            }
        }
        Ok(())
    }

    /// Lets the tool input rails judge the results of tools.
    async fn judge_results(&self, draft: &mut Draft) -> Result<(), Blocked> {
        let rails = &self.guard.rails.plan().results;
        let results = std::mem::take(&mut draft.results);
        let results = results.into_iter().map(|result| async move {
            let user_message = &self.guard.user_message;
            let subject = Subject::result(&result.text, user_message, result.context());
            let checked = rails.check(subject, self.ask, self.guard.policy()).await;
            (result, checked)
        });
        let mut running = stream::iter(results).buffered(TOGETHER);
        while let Some((result, checked)) = running.next().await {
            match checked {
                Checked::Allow => {}
                Checked::Block(blocked) => return Err(blocked),
                Checked::Transform(text) => match result.content_of(text) {
                    Some(content) if !result.contents.is_empty() => {
                        draft.replace(result.contents, content);
                    }
                    _ => return Err(cannot_rewrite(rails)),
                },
            }
        }
        Ok(())
    }
}

/// The questions about what has not passed before. Of many messages, small ones are asked about together; the last one never is.
fn questions(
    read: &[Reading<'_>],
    said_before: &[usize],
    is_result: &dyn Fn(Option<usize>) -> bool,
) -> Vec<Question> {
    let asked = read.iter().filter(|reading| !reading.has_passed);
    let mut asked: Vec<_> = asked.map(|reading| (reading, reading.asked())).collect();
    for (reading, texts) in &mut asked {
        if texts.is_empty() && !reading.media.is_empty() {
            texts.push(String::new());
        }
    }
    asked.retain(|(_, texts)| !texts.is_empty());
    let last = asked.len().saturating_sub(1);
    let are_few = asked.len() <= FEW;
    let mut questions = Vec::new();
    let mut pack: Option<Question> = None;
    for (number, (reading, texts)) in asked.into_iter().enumerate() {
        let key = reading.key.filter(|_| !reading.is_rewritten);
        let length: usize = texts.iter().map(String::len).sum();
        if !are_few && number != last && length < PACK && reading.media.is_empty() {
            let text = texts.join("\n");
            let packed = pack.as_mut().and_then(|pack| pack.texts.first_mut());
            match packed.filter(|packed| packed.len() + text.len() < PACK) {
                Some(packed) => {
                    packed.push('\n');
                    packed.push_str(&text);
                }
                None => questions.extend(pack.replace(Question {
                    texts: vec![text],
                    media: Vec::new(),
                    said_before: 0,
                    contents: Vec::new(),
                    keys: Vec::new(),
                })),
            }
            if let Some(pack) = &mut pack {
                pack.keys.extend(key);
            }
            continue;
        }
        let said_before = reading
            .index
            .and_then(|index| said_before.get(index))
            .copied();
        let media = reading.media.iter();
        questions.push(Question {
            texts,
            media: media
                .filter_map(|part| serde_json::from_str(part).ok())
                .collect(),
            said_before: said_before.unwrap_or_default(),
            contents: match is_result(reading.index) || !reading.is_content_only() {
                true => Vec::new(),
                false => reading.spans(CONTENT),
            },
            keys: key.into_iter().collect(),
        });
    }
    questions.extend(pack);
    questions
}

impl Draft {
    /// Whether something is left to be asked.
    pub(super) fn is_open(&self) -> bool {
        !self.questions.is_empty() || !self.results.is_empty()
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

    /// Puts `text` in the place of a content: its first text takes it, the others nothing.
    fn replace(&mut self, contents: Vec<Range<usize>>, text: String) {
        let mut text = Some(text);
        for span in contents {
            self.edit(span, Change::Text(text.take().unwrap_or_default()));
        }
    }

    /// Keeps what the user and the assistant said; gives for each message how much of that stands before it.
    fn take_said(&mut self, request: &ChatRequest<'_>, read: &[Reading<'_>]) -> Vec<usize> {
        let rewritten: BTreeMap<usize, Cow<'_, str>> = read
            .iter()
            .filter(|reading| reading.is_rewritten)
            .filter_map(|reading| Some((reading.index?, reading.content())))
            .collect();
        let mut before = Vec::with_capacity(request.messages.len());
        for (index, message) in request.messages.iter().enumerate() {
            before.push(self.said.len());
            if matches!(message.role, Role::User | Role::Assistant) {
                let mut said = message.to_message();
                if let Some(content) = rewritten.get(&index) {
                    said.content = content.clone().into_owned().into();
                }
                self.said.push(said);
            }
        }
        before
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

/// The refusal of a request that is over a limit.
fn over(message: String) -> Refusal {
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message)
}

fn cannot_rewrite(rails: &RailSet) -> Blocked {
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
    use crate::wire::Text;

    fn message(text: &str) -> Text<'_> {
        Text {
            kind: TextKind::Content,
            text: text.into(),
            span: 0..text.len(),
        }
    }

    #[test]
    fn many_small_messages_are_few_questions() {
        let texts: Vec<Vec<Text<'_>>> = (0..1500).map(|_| vec![message("a short one")]).collect();
        let read: Vec<_> = texts
            .iter()
            .enumerate()
            .map(|(index, texts)| Reading::new(Some(index), texts, false))
            .collect();
        let asked = questions(&read, &[], &|_| false);
        assert!(asked.len() <= 5, "{}", asked.len());
        // The last one is asked about alone.
        assert!(
            asked
                .iter()
                .any(|question| question.texts == ["a short one"])
        );
        let all: usize = asked
            .iter()
            .map(|question| question.texts[0].lines().count())
            .sum();
        assert_eq!(all, 1500);
        let few = questions(read.get(..FEW).unwrap(), &[], &|_| false);
        assert_eq!(few.len(), FEW);
    }

    #[test]
    fn a_name_stays_a_name() {
        let fitted = fitting(TextKind::Name, "<EMAIL ADDRESS>".repeat(9));
        assert!(fitted.starts_with("_EMAIL_ADDRESS_") && fitted.len() == 64);
        assert_eq!(fitting(TextKind::Content, "<X>".to_owned()), "<X>");
    }
}
