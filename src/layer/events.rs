//! A reply that is a stream of events.
//!
//! Events queue as they came. Their texts are appended to tracks, and an event leaves the queue, in its own bytes, when all
//! text that it carries is cleared. Nothing here waits: the body drives it.
//!
//! ```text
//! bytes -> events -> queue --(cleared)--> output
//!                \-> tracks -> jobs -> verdicts -/
//! ```

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};

use super::{
    guard::{Guard, Halt, Refused},
    policy::{BlockResponse, Blocked},
    rewrites::{Place, Rewriting},
    track_id::{Source, TrackId},
    tracks::{Job, Need, Of, Said, Ticket, Tracks},
    whole::{REMOVED, Resolved, Whole, first_significant, place_of, starts_like_json},
};
use crate::{
    framing::{self, Framer, NewRecord, Record, RecordWriter},
    rails::Checked,
    wire::{
        BodyEdit, ChoiceSpan, Edit, RecordKind, Relation, ReplyTexts, StreamFormat,
        json::unescape_leniently, patch,
    },
};

/// A guarded stream of events.
#[derive(Debug)]
pub(super) struct Events {
    guard: Guard,
    tracks: Tracks,
    framing: Framing,
    queue: VecDeque<Queued>,
    queued_bytes: usize,
    stream: Box<dyn StreamFormat>,
    writer: RecordWriter,
    choices: Vec<Choice>,
    out: VecDeque<Bytes>,
    state: State,
    /// How long reading and matching took.
    spent: Duration,
    /// The upstream ended before a choice did.
    cut_off: bool,
    /// The upstream said that it failed: a choice that is not finished then is not cut off.
    said_error: bool,
}

#[derive(Debug)]
enum Framing {
    /// Nothing but white space and a byte order mark, or a part of it, has come.
    Start(Vec<u8>),
    Events(Framer),
    /// JSON under the name of a stream: collected, then judged as a body.
    Collecting(Vec<u8>),
    Whole(Box<Whole>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The upstream is read.
    Reading,
    /// The upstream has ended; verdicts are out.
    Settling,
    /// Nothing more will be released.
    Ended,
}

#[derive(Debug, Clone, Copy)]
struct Choice {
    index: u32,
    blocked: bool,
    finished: bool,
}

#[derive(Debug, Default)]
struct Queued {
    record: Record,
    needs: Vec<Need>,
    choices: Vec<ChoiceSpan>,
    /// What takes blocked choices out of the payload.
    removals: Vec<BodyEdit>,
    /// Where texts lie in the payload that a rail may rewrite.
    places: Vec<Place>,
    /// What is to be changed in the payload when the event leaves.
    edits: Vec<BodyEdit>,
    /// Waits for every verdict.
    last: bool,
}

impl Queued {
    /// Bytes that carry no text.
    fn raw(raw: Bytes) -> Self {
        Self {
            record: Record {
                raw,
                ..Record::default()
            },
            ..Self::default()
        }
    }
}

impl Events {
    /// A stream that has read nothing.
    pub(super) fn new(guard: Guard, framing: framing::Framing) -> Self {
        let read = match framing {
            framing::Framing::Sse => Framing::Start(Vec::new()),
            _ => Framing::Events(Framer::new(framing, guard.limits.stream_event)),
        };
        Self {
            tracks: Tracks::streamed(&guard),
            stream: guard.format.stream(&guard.facts),
            guard,
            framing: read,
            writer: RecordWriter::new(framing),
            queue: VecDeque::new(),
            queued_bytes: 0,
            choices: Vec::new(),
            out: VecDeque::new(),
            state: State::Reading,
            spent: Duration::ZERO,
            cut_off: false,
            said_error: false,
        }
    }

    /// What every part of the exchange knows.
    pub(super) fn guard(&self) -> &Guard {
        &self.guard
    }

    /// The next released bytes: all that are ready, together.
    pub(super) fn take_output(&mut self) -> Option<Bytes> {
        let first = self.out.pop_front()?;
        if self.out.is_empty() {
            return Some(first);
        }
        let mut together =
            BytesMut::with_capacity(first.len() + self.out.iter().map(Bytes::len).sum::<usize>());
        together.extend_from_slice(&first);
        for piece in self.out.drain(..) {
            together.extend_from_slice(&piece);
        }
        Some(together.freeze())
    }

    /// Whether the upstream may be read on.
    pub(super) fn wants_input(&self) -> bool {
        self.state == State::Reading
            && !(self.tracks.is_asking() && self.queued_bytes > self.guard.limits.held_stream / 2)
    }

    /// Whether nothing more will be read: the upstream can be dropped.
    pub(super) fn has_read_all(&self) -> bool {
        self.state != State::Reading
    }

    /// How many released bytes wait to be taken.
    pub(super) fn output_len(&self) -> usize {
        self.out.iter().map(Bytes::len).sum()
    }

    /// Whether nothing more will be released.
    pub(super) fn has_ended(&self) -> bool {
        self.state == State::Ended && self.out.is_empty()
    }

    /// Reads the next decoded bytes of the upstream.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.state != State::Reading {
            return;
        }
        let started = Instant::now();
        let (mut blank, mut too_much) = (Vec::new(), false);
        match &mut self.framing {
            Framing::Start(start) => {
                start.extend_from_slice(bytes);
                blank = start.drain(..blank_lines(start)).collect();
                if first_significant(start).is_some() && !BYTE_ORDER_MARK.starts_with(start) {
                    let start = std::mem::take(start);
                    if starts_like_json(&start) {
                        self.framing = Framing::Collecting(start);
                    } else {
                        let mut reader =
                            Framer::new(framing::Framing::Sse, self.guard.limits.stream_event);
                        reader.push(start.into());
                        self.framing = Framing::Events(reader);
                    }
                } else {
                    too_much = start.len() > self.guard.limits.held_stream;
                }
            }
            Framing::Events(reader) => reader.push(Bytes::copy_from_slice(bytes)),
            Framing::Collecting(body) => body.extend_from_slice(bytes),
            Framing::Whole(_) => {}
        }
        if !blank.is_empty() {
            self.enqueue(Queued::raw(blank.into()));
        }
        if let Framing::Collecting(body) = &self.framing
            && body.len() > self.guard.limits.reply_body
        {
            self.fail(
                "reply_too_large",
                "the reply is larger than the guardrails read",
            );
        }
        self.read_events();
        self.release();
        if too_much || self.queued_bytes > self.guard.limits.held_stream {
            self.fail(
                "held_too_much",
                "more of the reply waits for the guardrails than they hold",
            );
        }
        self.spent += started.elapsed();
    }

    /// Notes the end of the upstream's reply.
    pub(super) fn finish(&mut self) {
        if self.state != State::Reading {
            return;
        }
        match &mut self.framing {
            Framing::Start(rest) => {
                let rest = std::mem::take(rest);
                self.enqueue(Queued::raw(rest.into()));
            }
            Framing::Events(reader) => {
                reader.finish();
                self.read_events();
                if self.state == State::Reading && self.is_cut_off() {
                    // What is held may be the beginning of a match whose rest was lost.
                    self.tracks.cut_off();
                    self.cut_off = true;
                    self.enqueue(Queued {
                        last: true,
                        ..Queued::default()
                    });
                    self.state = State::Settling;
                }
            }
            Framing::Collecting(body) => {
                let body = std::mem::take(body);
                let whole = Whole::new(self.guard.clone(), body.into());
                self.framing = Framing::Whole(Box::new(whole));
            }
            Framing::Whole(_) => {}
        }
        if self.state == State::Reading {
            self.end_input(Record::default());
        }
        self.release();
    }

    /// Notes that the upstream broke off: what is cleared leaves, the rest does not.
    pub(super) fn break_off(&mut self) {
        self.release();
        self.queue.clear();
        self.state = State::Ended;
        self.guard.verdict.finish();
    }

    /// The next text to ask about; one at a time.
    pub(super) fn next_job(&mut self) -> Option<Job> {
        if self.state == State::Ended {
            return None;
        }
        match &mut self.framing {
            Framing::Whole(whole) => whole.next_job(),
            _ => self.tracks.next_job(),
        }
    }

    /// Gives a job's verdict back.
    pub(super) fn job_done(&mut self, ticket: Ticket, checked: Checked) {
        if let Framing::Whole(whole) = &mut self.framing {
            whole.job_done(ticket, checked);
        } else {
            let halt = match self.tracks.job_done(ticket, checked) {
                Ok(None) => None,
                Ok(Some(text)) => self.rewrite(ticket, text),
                Err(halt) => Some(halt),
            };
            if let Some(halt) = halt {
                self.halt(halt);
            }
        }
        self.release();
    }

    /// Puts `text` in the place of the texts of a track, in the events that wait.
    fn rewrite(&mut self, ticket: Ticket, text: String) -> Option<Halt> {
        let is_placed = match ticket.of {
            // Part of the text has left.
            Of::Text(_) if !self.tracks.rewrites() => false,
            Of::Text(track) => {
                let mut rewriting = Rewriting::new(&self.tracks, track, text);
                for queued in &mut self.queue {
                    rewriting.edit(&queued.places, &mut queued.edits);
                }
                rewriting.is_placed()
            }
            Of::Calls(track) => match self.tracks.rewritten_calls(track, &text) {
                Some(mut rewriting) => {
                    for queued in &mut self.queue {
                        rewriting.edit(&queued.places, &mut queued.edits);
                    }
                    rewriting.is_placed()
                }
                None => false,
            },
        };
        if is_placed {
            None
        } else {
            self.tracks.cannot_rewrite(ticket)
        }
    }

    fn read_events(&mut self) {
        while self.state == State::Reading {
            let Framing::Events(reader) = &mut self.framing else {
                return;
            };
            match reader.next() {
                None => return,
                Some(Ok(record)) => self.read_record(record),
                Some(Err(error)) => {
                    tracing::warn!(%error, "an event of a guarded stream cannot be read");
                    self.fail(
                        "stream_event_too_large",
                        "an event of the reply is larger than the guardrails read",
                    );
                }
            }
        }
    }

    fn read_record(&mut self, record: Record) {
        let mut queued = Queued::default();
        let name = record.name.as_deref().unwrap_or_default();
        for aside in [name, &record.aside] {
            if aside.is_empty() {
                continue;
            }
            let Some(text) = self.plain_text(aside) else {
                return;
            };
            let said = format!("{text}\n");
            let id = TrackId::of(Source::Aside);
            if !self.take_text(id, Said::loose(&said, false), &mut queued.needs) {
                return;
            }
        }
        if record.data.is_none() {
            queued.record = record;
            return self.enqueue(queued);
        }
        let limits = self.guard.json_limits();
        let mut texts = ReplyTexts::default();
        match self.stream.read(&record, &limits, &mut texts) {
            // What follows the end is none of the client's.
            Ok(()) if texts.kind == RecordKind::Done && texts.texts.is_empty() => {
                self.end_input(record);
            }
            Ok(()) => {
                let Some(edits) = self.take_texts(&texts, &mut queued.needs, &mut queued.places)
                else {
                    return;
                };
                queued.edits = edits;
                queued.choices = std::mem::take(&mut texts.choices);
                let is_last = texts.kind == RecordKind::Done;
                drop(texts);
                queued.record = record;
                self.enqueue(queued);
                if is_last {
                    self.end_input(Record::default());
                }
            }
            Err(unreadable) => {
                tracing::debug!(%unreadable, "a record of a guarded stream is not what the format says");
                drop(texts);
                if self.take_junk(&record, &mut queued) {
                    queued.record = record;
                    self.enqueue(queued);
                }
            }
        }
    }

    /// Takes in a payload that is not what the format says; false where the stream has ended by it.
    fn take_junk(&mut self, record: &Record, queued: &mut Queued) -> bool {
        let data = record.data.clone().unwrap_or_default();
        if memchr::memchr(b'\n', &data).is_none() {
            return self.take_line(&data, &mut queued.needs);
        }
        // Some readers take every line for a record of its own.
        data.split(|byte| *byte == b'\n').all(|line| {
            let line = Record {
                name: record.name.clone(),
                data: Some(data.slice_ref(line)),
                ..Record::default()
            };
            let limits = self.guard.json_limits();
            let mut texts = ReplyTexts::default();
            match self.stream.read(&line, &limits, &mut texts) {
                Ok(()) if texts.kind == RecordKind::Done => true,
                Ok(()) => match self.take_texts(&texts, &mut queued.needs, &mut Vec::new()) {
                    Some(edits) if edits.is_empty() => {
                        queued.choices.append(&mut texts.choices);
                        true
                    }
                    Some(_) => {
                        self.fail("unreadable_reply", "an event of the reply cannot be read");
                        false
                    }
                    None => false,
                },
                Err(_) => {
                    let line = line.data.clone().unwrap_or_default();
                    self.take_line(&line, &mut queued.needs)
                }
            }
        })
    }

    fn take_line(&mut self, line: &[u8], needs: &mut Vec<Need>) -> bool {
        if starts_like_json(line) {
            // JSON that one reader refuses may be read by another.
            self.fail("unreadable_reply", "an event of the reply cannot be read");
            return false;
        }
        let Some(text) = self.plain_text(line) else {
            return false;
        };
        // Also where nothing is escaped: a match may begin in one event and end in another.
        let id = TrackId::of(Source::Unparsed);
        let plain = unescape_leniently(&text);
        self.take_text(id, Said::loose(&text, true), needs)
            && self.take_text(id.unescaped(), Said::loose(&plain, false), needs)
    }

    /// The text of bytes that are no JSON; none, and the stream ends, where they are no text either.
    fn plain_text(&mut self, bytes: &[u8]) -> Option<String> {
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => Some(text.to_owned()),
            _ => {
                self.fail(
                    "unreadable_reply",
                    "the reply is no text, or in a coding that it does not name",
                );
                None
            }
        }
    }

    /// Takes in what an event says: the edits that remove caught structural fields. None: the stream has ended by it.
    fn take_texts(
        &mut self,
        texts: &ReplyTexts<'_>,
        needs: &mut Vec<Need>,
        places: &mut Vec<Place>,
    ) -> Option<Vec<BodyEdit>> {
        if texts.ambiguous {
            // One client reads the first of two keys, another the last: no track follows both.
            let message =
                "an event of the reply has keys that stand twice or in another letter case";
            self.fail("unreadable_reply", message);
            return None;
        }
        self.said_error |= texts.kind == RecordKind::Error;
        let mut edits = Vec::new();
        for text in &texts.texts {
            if text.relation == Relation::Alone {
                match self.tracks.is_caught(text) {
                    Ok(true) => edits.push((text.span.clone(), Edit::Text(REMOVED.into()))),
                    Ok(false) => {}
                    Err(halt) => self.halt(halt),
                }
                if self.state != State::Reading {
                    return None;
                }
                continue;
            }
            let before = needs.len();
            let id = TrackId::field(text.channel);
            if !self.take_text(id, Said::of(text), needs) {
                return None;
            }
            if self.tracks.rewrites() {
                places.extend(needs.get(before).and_then(|need| place_of(need, text)));
            }
            if text
                .channel
                .choice
                .is_some_and(|choice| self.has_finished(choice))
            {
                // Some clients have stopped listening, others go on: it is judged joined and by itself.
                if !self.take_text(id.after_finish(), Said::of(text), needs) {
                    return None;
                }
            }
        }
        for piece in &texts.calls {
            if !piece.choice.is_some_and(|choice| self.is_blocked(choice)) {
                needs.extend(self.tracks.push_call(piece, places));
            }
        }
        for choice in &texts.choices {
            let known = self.choice(choice.index);
            known.finished |= choice.finish;
            if choice.finish {
                self.tracks.finish_choice(choice.index);
            }
        }
        Some(edits)
    }

    fn has_finished(&self, index: u32) -> bool {
        self.choices
            .iter()
            .any(|choice| choice.index == index && choice.finished)
    }

    /// Appends a text to its track; false where the stream has ended by it.
    fn take_text(&mut self, id: TrackId, said: Said<'_>, needs: &mut Vec<Need>) -> bool {
        if id.choice().is_some_and(|choice| self.is_blocked(choice)) {
            return true;
        }
        if let Err(halt) = self.tracks.push(id, said, needs) {
            self.halt(halt);
        }
        self.state == State::Reading
    }

    /// The upstream has said all; `record` is its last one.
    fn end_input(&mut self, record: Record) {
        for halt in self.tracks.finish() {
            self.halt(halt);
            if self.state == State::Ended {
                return;
            }
        }
        self.enqueue(Queued {
            record,
            last: true,
            ..Queued::default()
        });
        self.state = State::Settling;
    }

    /// A rail stopped a text.
    fn halt(&mut self, halt: Halt) {
        if self.state == State::Ended {
            return;
        }
        // What was cleared before it still leaves.
        self.release();
        match halt.choice {
            _ if halt.blocked.failed => self.fail(
                "rail_execution_failure",
                "a guardrail could not judge the reply",
            ),
            Some(choice) if matches!(self.guard.block_response, BlockResponse::Refusal) => {
                self.block_choice(choice, &halt.blocked);
            }
            _ => self.block_all(&halt.blocked),
        }
    }

    fn block_choice(&mut self, index: u32, blocked: &Blocked) {
        let choice = self.choice(index);
        if choice.blocked {
            return;
        }
        choice.blocked = true;
        self.tracks.abandon(index);
        let mut refusal = Vec::new();
        self.stream
            .refuse_choice(index, &blocked.message, &mut refusal);
        let refusal = self.written(&refusal);
        if self.guard.facts.choices.unwrap_or(1) <= 1 {
            self.queue.clear();
            self.out.push_back(refusal);
            return self.end_with_mark();
        }
        self.drop_blocked();
        // Before the others' records, of which the last may have come.
        self.queued_bytes += refusal.len();
        self.queue.push_front(Queued::raw(refusal));
    }

    fn block_all(&mut self, blocked: &Blocked) {
        self.queue.clear();
        if matches!(self.guard.block_response, BlockResponse::Refusal) {
            if self.choices.is_empty() {
                self.choice(0);
            }
            let mut refusals = Vec::new();
            for choice in std::mem::take(&mut self.choices) {
                if !choice.blocked {
                    self.stream
                        .refuse_choice(choice.index, &blocked.message, &mut refusals);
                }
            }
            let refusals = self.written(&refusals);
            self.out.push_back(refusals);
        } else {
            let mut error = Vec::new();
            self.stream
                .fail("content_filter", &blocked.message, &mut error);
            let error = self.written(&error);
            self.out.push_back(error);
        }
        self.end_with_mark();
    }

    /// Ends the stream with an error event.
    fn fail(&mut self, code: &'static str, message: &str) {
        if self.state == State::Ended {
            return;
        }
        // What was cleared before it still leaves.
        self.release();
        if self.state == State::Ended {
            return;
        }
        self.guard.verdict.refuse(message);
        self.queue.clear();
        let mut error = Vec::new();
        self.stream.fail(code, message, &mut error);
        let error = self.written(&error);
        self.out.push_back(error);
        self.end_with_mark();
    }

    /// New records as they are sent.
    fn written(&mut self, records: &[NewRecord]) -> Bytes {
        let mut bytes = BytesMut::new();
        for record in records {
            self.writer.write(record, &mut bytes);
        }
        bytes.freeze()
    }

    fn end_with_mark(&mut self) {
        let mut mark = Vec::new();
        self.stream.end(&mut mark);
        let mut mark: BytesMut = self.written(&mark).into();
        self.writer.end(&mut mark);
        self.out.push_back(mark.freeze());
        self.end();
    }

    fn end(&mut self) {
        self.queued_bytes = 0;
        self.state = State::Ended;
        self.tracks.report_patterns(self.spent);
        self.guard.verdict.finish();
    }

    /// Takes the blocked choices out of the events that wait.
    fn drop_blocked(&mut self) {
        let blocked: Vec<u32> = self
            .choices
            .iter()
            .filter(|choice| choice.blocked)
            .map(|choice| choice.index)
            .collect();
        let is_blocked = |index: u32| blocked.contains(&index);
        let (tracks, stream) = (&self.tracks, &*self.stream);
        self.queue
            .retain_mut(|queued| keep_unblocked(queued, stream, tracks, &is_blocked));
        self.queued_bytes = self
            .queue
            .iter()
            .map(|queued| queued.record.raw.len())
            .sum();
    }

    fn enqueue(&mut self, mut queued: Queued) {
        if self.choices.iter().any(|choice| choice.blocked) {
            let choices = &self.choices;
            let is_blocked = |index: u32| {
                choices
                    .iter()
                    .any(|choice| choice.index == index && choice.blocked)
            };
            if !keep_unblocked(&mut queued, &*self.stream, &self.tracks, &is_blocked) {
                return;
            }
        }
        self.queued_bytes += queued.record.raw.len();
        self.queue.push_back(queued);
    }

    /// Releases, in order, what is cleared.
    fn release(&mut self) {
        if self.state == State::Ended {
            return;
        }
        // Choices whose calls are not judged yet: the others' events go before them.
        let mut waiting: Vec<u32> = Vec::new();
        let mut at = 0;
        while let Some(next) = self.queue.get(at) {
            let mut uncleared = next
                .needs
                .iter()
                .filter(|need| !self.tracks.is_cleared(**need))
                .peekable();
            let is_held = uncleared.peek().is_some();
            let goes_behind = is_held || next.choices.iter().any(|c| waiting.contains(&c.index));
            if self.choices.len() > 1
                && goes_behind
                && !next.choices.is_empty()
                && uncleared.all(|need| matches!(need.of, Of::Calls(_)))
            {
                waiting.extend(next.choices.iter().map(|choice| choice.index));
                at += 1;
                continue;
            }
            if is_held
                || (next.last && !self.tracks.is_settled())
                || (at > 0 && next.choices.is_empty())
            {
                if self.cut_off && self.tracks.is_settled() {
                    self.queue.clear();
                    self.end();
                }
                return;
            }
            if next.last && matches!(self.framing, Framing::Whole(_)) {
                return self.release_whole();
            }
            let Some(mut front) = self.queue.remove(at) else {
                return;
            };
            self.queued_bytes = self.queued_bytes.saturating_sub(front.record.raw.len());
            let is_last = front.last;
            self.send(&mut front);
            if is_last {
                return self.end();
            }
        }
    }

    /// Hands a record on, as what was decided of it left it.
    fn send(&mut self, front: &mut Queued) {
        self.tracks.edit_grown(&front.places, &mut front.edits);
        front.edits.append(&mut front.removals);
        let record = &mut front.record;
        if let Some(data) = &record.data
            && !front.edits.is_empty()
        {
            let data: Bytes = patch(data, &front.edits).into();
            let mut raw = BytesMut::new();
            self.writer.rewrite(record, &data, &mut raw);
            record.raw = raw.freeze();
            record.data = Some(data);
        } else if !record.raw.is_empty() {
            record.raw = self.writer.pass(record);
        }
        let left: Vec<u32> = front
            .choices
            .iter()
            .map(|choice| choice.index)
            .filter(|index| !self.is_blocked(*index))
            .collect();
        self.stream.released(record, &left);
        if !record.raw.is_empty() {
            self.out.push_back(std::mem::take(&mut record.raw));
        }
    }

    fn release_whole(&mut self) {
        let Framing::Whole(whole) =
            std::mem::replace(&mut self.framing, Framing::Start(Vec::new()))
        else {
            return;
        };
        if !whole.is_settled() {
            self.framing = Framing::Whole(whole);
            return;
        }
        let body = whole.body();
        self.queue.clear();
        match whole.resolve() {
            Resolved::Untouched => self.out.push_back(body),
            Resolved::Edited(body) => self.out.push_back(body),
            Resolved::Refused(Refused::Blocked(blocked)) if blocked.failed => {
                return self.fail(
                    "rail_execution_failure",
                    "a guardrail could not judge the reply",
                );
            }
            Resolved::Refused(Refused::Blocked(blocked)) => return self.block_all(&blocked),
            Resolved::Refused(Refused::Unreadable { code, message }) => {
                return self.fail(code, &message);
            }
        }
        self.end();
    }

    /// Whether the upstream ended before a choice did, without a word.
    fn is_cut_off(&self) -> bool {
        !self.said_error
            && !self.tracks.is_held_to_end()
            && self
                .choices
                .iter()
                .any(|choice| !choice.finished && !choice.blocked)
    }

    fn is_blocked(&self, index: u32) -> bool {
        self.choices
            .iter()
            .any(|choice| choice.index == index && choice.blocked)
    }

    fn choice(&mut self, index: u32) -> &mut Choice {
        let position = match self.choices.iter().position(|choice| choice.index == index) {
            Some(position) => position,
            None => {
                self.choices.push(Choice {
                    index,
                    blocked: false,
                    finished: false,
                });
                self.choices.len() - 1
            }
        };
        &mut self.choices[position]
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// How many bytes of blank lines a stream begins with: they leave before it shows what the stream is.
fn blank_lines(start: &[u8]) -> usize {
    let blank = start
        .iter()
        .position(|byte| !byte.is_ascii_whitespace())
        .unwrap_or(start.len());
    let last = start
        .iter()
        .take(blank)
        .rposition(|byte| matches!(byte, b'\n' | b'\r'));
    last.map_or(0, |last| last + 1)
}

/// Takes blocked choices out of a record; whether anything is left of it.
fn keep_unblocked(
    queued: &mut Queued,
    stream: &dyn StreamFormat,
    tracks: &Tracks,
    is_blocked: &dyn Fn(u32) -> bool,
) -> bool {
    if !queued.choices.iter().any(|choice| is_blocked(choice.index)) {
        return true;
    }
    let data = queued.record.data.as_deref().unwrap_or_default();
    let Some(removals) = stream.without(data, &queued.choices, is_blocked) else {
        return false;
    };
    queued.removals = removals;
    queued
        .needs
        .retain(|need| !tracks.choice_of(*need).is_some_and(is_blocked));
    true
}
