//! The input rails over a request: what they make of its texts, and what has to be asked about it.
//!
//! A [`Draft`] is a request that the rails have rewritten and searched. What is left is to ask about it: that may go on while
//! the service already works on it.

use std::{borrow::Cow, ops::Range};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};

use super::{
    cache::{Key, VerdictCache},
    guard::Guard,
    judge::{check_patterns, rewrite},
    policy::{Blocked, History},
    results::{ToolResult, is_tool_result, tool_results},
};
use crate::{
    library::{AskContext, Subject},
    message::{Message, Role},
    rails::{Checked, RailSet, Stage},
    wire::{BodyEdit, ChatRequest, Edit, RequestMessage, Text, TextKind, patch},
};

/// How many texts of a request are asked about at the same time.
const TOGETHER: usize = 8;

/// A request as the rails have it so far.
#[derive(Debug, Default)]
pub(super) struct Draft {
    edits: Vec<BodyEdit>,
    questions: Vec<Question>,
    results: Vec<ToolResult>,
}

/// A message to ask about.
#[derive(Debug)]
struct Question {
    /// The stage whose rails are asked, by its number.
    stage: usize,
    text: String,
    /// What came with the text, where a rail looks at it.
    media: Vec<serde_json::Value>,
    /// What was said before, where a rail looks at it.
    history: Vec<Message>,
    /// Where the message's content lies.
    contents: Vec<Range<usize>>,
    /// What it is remembered under when it passes.
    key: Option<Key>,
}

/// What a draft is made with.
#[derive(Clone, Copy)]
pub(super) struct Drafting<'a> {
    pub(super) guard: &'a Guard,
    pub(super) ask: &'a AskContext,
    pub(super) cache: &'a VerdictCache,
    /// Who asks, where verdicts depend on it.
    pub(super) client: &'a [Vec<u8>],
    pub(super) history: History,
}

impl Drafting<'_> {
    fn rails(&self) -> &RailSet {
        &self.guard.rails.plan().input
    }

    /// Lets the rails that rewrite and those that judge on the spot read `request`.
    pub(super) async fn draft(&self, request: &ChatRequest<'_>) -> Result<Draft, Blocked> {
        let rails = self.rails();
        let mut draft = Draft::default();
        let results = &self.guard.rails.plan().results;
        if !results.is_empty() {
            draft.results = tool_results(request, self.history);
        }
        // Rails that only look at how results are made leave what they say to the input rails.
        let judges_results = results.reads_text();
        if rails.is_empty() {
            return Ok(draft);
        }
        let stages = || rails.stages(self.guard.enforcement);
        for text in &request.other_texts {
            for stage in stages() {
                blocked_by_patterns(self.guard, stage, &text.text, false).await?;
            }
        }
        let messages = selected(&request.messages, self.history);
        let mut read: Vec<Reading<'_>> = messages
            .iter()
            .map(|(index, message)| Reading::new(*index, message, judges_results))
            .collect();
        let asks = rails.asking().next().is_some();
        let sees_media = asks && rails.sees_media();
        if asks && rails.is_steady() {
            for reading in &mut read {
                let key = self.cache.key(self.client, &reading.identity(sees_media));
                reading.has_passed = self.cache.has_passed(key);
                reading.key = Some(key);
            }
        }
        // Each question with the number of its reading.
        let mut questions: Vec<(usize, Question)> = Vec::new();
        for (number, stage) in stages().enumerate() {
            for reading in &read {
                reading.search(self.guard, stage).await?;
            }
            if stage.asks() {
                let asked = self.questions(request, &read, number, judges_results);
                questions.extend(asked);
            }
            if stage.rewrites() {
                self.rewrite(&mut read, &mut draft, stage).await?;
            }
        }
        let asking = stages().filter(Stage::asks).count();
        let last = stages().count().saturating_sub(1);
        let settled = questions.into_iter().map(|(of, mut question)| {
            let reading = read.get(of);
            // A message that passes is not rewritten the next time either: only one that was not may be remembered.
            let is_steady = asking == 1 && reading.is_some_and(|reading| !reading.is_rewritten);
            question.key = reading
                .and_then(|reading| reading.key)
                .filter(|_| is_steady);
            if question.stage != last {
                question.contents.clear();
            }
            question
        });
        draft.questions = settled.collect();
        Ok(draft)
    }

    /// What the rails of a stage are asked, each with the number of its reading.
    fn questions(
        &self,
        request: &ChatRequest<'_>,
        read: &[Reading<'_>],
        stage: usize,
        judges_results: bool,
    ) -> Vec<(usize, Question)> {
        let looks_back = !self.rails().is_steady();
        let sees_media = self.rails().sees_media();
        let is_result = |message: &RequestMessage<'_>| judges_results && is_tool_result(message);
        let rewritten: Vec<(usize, String)> = read
            .iter()
            .filter(|reading| reading.is_rewritten)
            .map(|reading| (reading.index, reading.content().into_owned()))
            .collect();
        let mut questions = Vec::new();
        for (number, reading) in read.iter().enumerate() {
            let text = reading.asked();
            let media = if sees_media {
                media_of(reading.message)
            } else {
                Vec::new()
            };
            if text.is_empty() && media.is_empty() || reading.has_passed {
                continue;
            }
            let history = if looks_back {
                said_before(request, reading.index, &rewritten)
            } else {
                Vec::new()
            };
            let question = Question {
                stage,
                text,
                media,
                history,
                contents: if is_result(reading.message) {
                    Vec::new()
                } else {
                    reading.contents()
                },
                key: None,
            };
            questions.push((number, question));
        }
        questions
    }

    async fn rewrite(
        &self,
        read: &mut [Reading<'_>],
        draft: &mut Draft,
        stage: Stage<'_>,
    ) -> Result<(), Blocked> {
        let mut jobs = Vec::new();
        for (number, reading) in read
            .iter()
            .enumerate()
            .filter(|(_, reading)| !reading.has_passed)
        {
            for (place, (text, current)) in reading.texts().enumerate() {
                if may_be_rewritten(text.kind) && !current.is_empty() {
                    jobs.push((number, place, text, current.to_owned()));
                }
            }
        }
        let jobs: Vec<_> = jobs
            .into_iter()
            .map(|(number, place, text, current)| async move {
                let is_json = text.kind == TextKind::ToolArguments;
                let subject = Subject::input(&current);
                let checked = rewrite(self.guard, stage, subject, is_json, self.ask).await;
                (number, place, text, checked)
            })
            .collect();
        let mut running = stream::iter(jobs).buffer_unordered(TOGETHER);
        let mut done = Vec::new();
        while let Some((number, place, text, checked)) = running.next().await {
            match checked {
                Checked::Allow => {}
                Checked::Block(blocked) => return Err(blocked),
                Checked::Transform(_) if !text.is_patchable() => {
                    return Err(cannot_rewrite(self.rails()));
                }
                Checked::Transform(new) => done.push((number, place, text.span.clone(), new)),
            }
        }
        drop(running);
        for (number, place, span, new) in done {
            draft.edits.retain(|(edited, _)| *edited != span);
            draft.edits.push((span, Edit::Text(new.clone().into())));
            if let Some(reading) = read.get_mut(number) {
                reading.is_rewritten = true;
                reading.replace(place, new);
            }
        }
        for reading in read.iter_mut().filter(|reading| !reading.has_passed) {
            self.rewrite_joined(reading, draft, stage).await?;
        }
        Ok(())
    }

    /// Lets the rails rewrite a content of several texts as the model will read it: what lies across them is in none alone.
    async fn rewrite_joined(
        &self,
        reading: &mut Reading<'_>,
        draft: &mut Draft,
        stage: Stage<'_>,
    ) -> Result<(), Blocked> {
        let contents = reading.texts().filter(|(text, _)| is_content(text));
        if contents.filter(|(_, current)| !current.is_empty()).count() < 2 {
            return Ok(());
        }
        let content = reading.content().into_owned();
        let subject = Subject::input(&content);
        match rewrite(self.guard, stage, subject, false, self.ask).await {
            Checked::Allow => Ok(()),
            Checked::Block(blocked) => Err(blocked),
            Checked::Transform(_) if !reading.is_patchable() => Err(cannot_rewrite(self.rails())),
            Checked::Transform(new) => {
                draft.replace(reading.contents(), new.clone());
                reading.replace_content(new);
                Ok(())
            }
        }
    }

    /// Asks about what `draft` leaves to be asked. Dropping the future cancels what is asked.
    pub(super) async fn judge(&self, draft: &mut Draft) -> Result<(), Blocked> {
        self.judge_results(draft).await?;
        let rails = self.rails();
        let questions = std::mem::take(&mut draft.questions);
        let questions: Vec<_> = questions
            .into_iter()
            .map(|question| async move {
                let subject = Subject::input(&question.text)
                    .with_media(&question.media)
                    .after(&question.history);
                let stage = rails.stages(self.guard.enforcement).nth(question.stage);
                let checked = match stage {
                    Some(stage) => stage.judge(subject, self.ask, self.guard.policy()).await,
                    None => Checked::Block(cannot_rewrite(rails)),
                };
                (question, checked)
            })
            .collect();
        let mut running = stream::iter(questions).buffer_unordered(TOGETHER);
        while let Some((question, checked)) = running.next().await {
            match checked {
                Checked::Allow => {
                    if let Some(key) = question.key
                        && !self.guard.verdict.has_failures()
                        && self.guard.verdict.would_block().is_empty()
                    {
                        self.cache.remember(key);
                    }
                }
                Checked::Block(blocked) => return Err(blocked),
                Checked::Transform(_) if question.contents.is_empty() => {
                    return Err(cannot_rewrite(rails));
                }
                Checked::Transform(text) => draft.replace(question.contents, text),
            }
        }
        Ok(())
    }
}

impl Drafting<'_> {
    /// Lets the tool input rails judge the results of tools.
    async fn judge_results(&self, draft: &mut Draft) -> Result<(), Blocked> {
        let rails = &self.guard.rails.plan().results;
        let results = std::mem::take(&mut draft.results);
        let results: Vec<_> = results
            .into_iter()
            .map(|result| async move {
                let user_message = &self.guard.user_message;
                let subject = Subject::result(&result.text, user_message, result.context());
                let checked = rails.check(subject, self.ask, self.guard.policy()).await;
                (result, checked)
            })
            .collect();
        let mut running = stream::iter(results).buffered(TOGETHER);
        while let Some((result, checked)) = running.next().await {
            match checked {
                Checked::Allow => {}
                Checked::Block(blocked) => return Err(blocked),
                Checked::Transform(_) if result.contents.is_empty() => {
                    return Err(cannot_rewrite(rails));
                }
                Checked::Transform(text) => draft.replace(result.contents, text),
            }
        }
        Ok(())
    }
}

impl Draft {
    /// Whether something is left to be asked.
    pub(super) fn is_open(&self) -> bool {
        !self.questions.is_empty() || !self.results.is_empty()
    }

    /// Puts `text` in the place of a content: its first text takes it, the others nothing.
    fn replace(&mut self, contents: Vec<Range<usize>>, text: String) {
        let mut text = Some(text);
        for span in contents {
            self.edits.retain(|(edited, _)| *edited != span);
            let new = text.take().unwrap_or_default();
            self.edits.push((span, Edit::Text(new.into())));
        }
    }

    /// How many changes there are so far.
    pub(super) fn changes(&self) -> usize {
        self.edits.len()
    }

    /// The body as it is to go on; none: as it came.
    pub(super) fn body(&self, original: &Bytes) -> Option<Bytes> {
        (!self.edits.is_empty()).then(|| patch(original, &self.edits).into())
    }
}

/// A message with its texts as the rails have them so far.
struct Reading<'r> {
    index: usize,
    message: &'r RequestMessage<'r>,
    texts: Vec<Cow<'r, str>>,
    key: Option<Key>,
    has_passed: bool,
    is_rewritten: bool,
}

impl<'r> Reading<'r> {
    /// Reads a message. Where rails of their own judge the results of tools, what these say is left to them.
    fn new(index: usize, message: &'r RequestMessage<'r>, judges_results: bool) -> Self {
        let is_result = judges_results && is_tool_result(message);
        let texts = message.texts.iter().map(|text| match text.kind {
            TextKind::Content if is_result => Cow::Borrowed(""),
            _ => Cow::Borrowed(&*text.text),
        });
        Self {
            index,
            message,
            texts: texts.collect(),
            key: None,
            has_passed: false,
            is_rewritten: false,
        }
    }

    /// Puts `new` in the place of a text. The strings in a tool call's arguments are in the new arguments.
    fn replace(&mut self, place: usize, new: String) {
        let Some(replaced) = self.message.texts.get(place) else {
            return;
        };
        for (text, current) in self.message.texts.iter().zip(&mut self.texts) {
            if text.kind == TextKind::Nested && text.span == replaced.span {
                *current = Cow::Borrowed("");
            }
        }
        if let Some(current) = self.texts.get_mut(place) {
            *current = Cow::Owned(new);
        }
    }

    /// Puts `new` in the place of the content: its first text takes it, the others nothing.
    fn replace_content(&mut self, new: String) {
        let mut new = Some(new);
        for (text, current) in self.message.texts.iter().zip(&mut self.texts) {
            if is_content(text) {
                *current = Cow::Owned(new.take().unwrap_or_default());
            }
        }
        self.is_rewritten = true;
    }

    /// Whether another text may stand wherever the content stands.
    fn is_patchable(&self) -> bool {
        let mut contents = self.message.texts.iter().filter(|text| is_content(text));
        contents.all(Text::is_patchable)
    }

    fn texts(&self) -> impl Iterator<Item = (&Text<'r>, &str)> {
        let texts = self.texts.iter().map(|text| &**text);
        self.message.texts.iter().zip(texts)
    }

    /// The content's texts, joined as the model will read them.
    fn content(&self) -> Cow<'_, str> {
        let mut contents = self.texts().filter(|(text, _)| is_content(text));
        let Some((_, first)) = contents.next() else {
            return Cow::Borrowed("");
        };
        let mut content = Cow::Borrowed(first);
        for (_, text) in contents {
            content.to_mut().push_str(text);
        }
        content
    }

    /// The joined content, and each text alone: an anchor matches at the ends of either.
    async fn search(&self, guard: &Guard, stage: Stage<'_>) -> Result<(), Blocked> {
        let content = self.content();
        blocked_by_patterns(guard, stage, &content, false).await?;
        for (text, current) in self.texts() {
            if !is_content(text) || current.len() != content.len() {
                let is_json = self.is_rewritten && text.kind == TextKind::ToolArguments;
                blocked_by_patterns(guard, stage, current, is_json).await?;
            }
        }
        Ok(())
    }

    /// What rails that ask a model are given: the content, then the other texts, a line each.
    fn asked(&self) -> String {
        let mut asked = self.content().into_owned();
        for (_, other) in self.texts().filter(|(text, _)| !is_content(text)) {
            if !asked.is_empty() {
                asked.push('\n');
            }
            asked.push_str(other);
        }
        asked
    }

    /// What tells the message from every other one.
    fn identity(&self, with_media: bool) -> String {
        let mut identity = String::new();
        for part in self.message.media.iter().filter(|_| with_media) {
            identity.push_str(&format!("m{}:", part.len()));
            identity.push_str(part);
        }
        for (text, current) in self.texts() {
            let mark = if is_content(text) { 'c' } else { 'o' };
            identity.push_str(&format!("{mark}{}:", current.len()));
            identity.push_str(current);
        }
        identity
    }

    fn contents(&self) -> Vec<Range<usize>> {
        let contents = self.texts().filter(|(text, _)| is_content(text));
        contents.map(|(text, _)| text.span.clone()).collect()
    }
}

/// The message's pictures, sound and files, as parts.
fn media_of(message: &RequestMessage<'_>) -> Vec<serde_json::Value> {
    let parts = message.media.iter();
    parts
        .filter_map(|part| serde_json::from_str(part).ok())
        .collect()
}

async fn blocked_by_patterns(
    guard: &Guard,
    stage: Stage<'_>,
    text: &str,
    is_json: bool,
) -> Result<(), Blocked> {
    match check_patterns(guard, stage, text, is_json).await {
        Some(Checked::Block(blocked)) => Err(blocked),
        _ => Ok(()),
    }
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

/// What the user and the assistant said before the message `index`.
fn said_before(
    request: &ChatRequest<'_>,
    index: usize,
    rewritten: &[(usize, String)],
) -> Vec<Message> {
    let before = request.messages.iter().enumerate().take(index);
    before
        .filter(|(_, message)| matches!(message.role, Role::User | Role::Assistant))
        .map(|(index, message)| {
            let mut said = message.to_message();
            if let Some((_, content)) = rewritten.iter().find(|(other, _)| *other == index) {
                said.content = content.clone().into();
            }
            said
        })
        .collect()
}

/// Which messages the rails read, each with its index.
pub(super) fn selected<'r, 'a>(
    messages: &'r [RequestMessage<'a>],
    history: History,
) -> Vec<(usize, &'r RequestMessage<'a>)> {
    let is_own = |message: &RequestMessage<'_>| {
        matches!(
            message.role,
            Role::System | Role::Developer | Role::Assistant
        )
    };
    let last = messages.len().saturating_sub(1);
    // An assistant message that stands last is one that the client wants continued.
    let is_prefill = |index: usize, message: &RequestMessage<'_>| {
        index == last && message.role == Role::Assistant
    };
    match history {
        History::LastMessage => messages
            .iter()
            .rev()
            .enumerate()
            .map(|(index, message)| (messages.len() - 1 - index, message))
            .find(|(_, message)| message.role == Role::User)
            .into_iter()
            .collect(),
        History::All | History::LastTurn => {
            let from = match history {
                History::LastTurn => messages
                    .iter()
                    .enumerate()
                    .rposition(|(index, message)| message.role == Role::Assistant && index != last)
                    .map_or(0, |index| index + 1),
                _ => 0,
            };
            let all = messages.iter().enumerate().skip(from);
            all.filter(|(index, message)| !is_own(message) || is_prefill(*index, message))
                .collect()
        }
    }
}

fn is_content(text: &Text<'_>) -> bool {
    text.kind == TextKind::Content
}
