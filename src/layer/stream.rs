//! A reply that is a stream of records.
//!
//! Records queue as they came. Their texts are appended to tracks, and a record leaves the queue, in its own bytes, when all
//! text that it carries is cleared. Nothing here waits: the body drives it.
//!
//! ```text
//! bytes -> records -> queue --(cleared)--> output
//!                \-> tracks -> jobs -> verdicts -/
//! ```

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};

use super::{
    alike::{Alike, offset_in},
    buffered::{Buffered, Resolved, starts_like_json},
    channels::{Job, Judged, Of, Ticket},
    edits::Rewriting,
    guard::{Guard, Halt, Refused},
    intake::{Intake, Taken},
    policy::{BlockResponse, Blocked},
    queue::{Queue, Queued},
};
use crate::{
    framing::{Framer, Framing, FramingError, NewRecord, Record, RecordWriter},
    wire::{RecordKind, ReplyTexts, StreamFormat, patch},
};

/// How many bytes of records may wait for each byte of text that may: most of a record is no text.
const ENVELOPE: usize = 4;

/// How many records that have left are kept for their memory.
const SPARE: usize = 16;

/// How long records have to wait for comments to go before them: what is cleared at once leaves in its order.
const LONG_HELD: Duration = Duration::from_millis(300);

/// A guarded stream.
#[derive(Debug)]
pub(super) struct GuardedStream {
    guard: Guard,
    intake: Intake,
    input: Input,
    stream: Box<dyn StreamFormat>,
    writer: RecordWriter,
    queue: Queue,
    /// Comments that wait for a verdict of their own while others are held.
    comments: VecDeque<Queued>,
    out: VecDeque<Bytes>,
    out_len: usize,
    state: State,
    /// How long reading and matching took.
    spent: Duration,
    /// The upstream ended before a choice did.
    cut_off: bool,
    /// Since when records wait.
    held_since: Option<Instant>,
    /// The choices of the record that leaves: kept for its memory.
    left: Vec<u32>,
    /// What records have in common, and the shape of the one that left last.
    alike: Alike,
    left_alike: Option<u32>,
    /// The text of a record without its escapes, and records that have left: kept for their memory.
    decoded: String,
    spare: Vec<Queued>,
    /// The piece of the upstream that records are cut from, where it holds several.
    piece: Bytes,
}

/// What the bytes are taken for.
#[derive(Debug)]
enum Input {
    /// Nothing but white space and a byte order mark, or a part of it, has come.
    Start(Start),
    Records(Framer),
    /// JSON under the name of a stream: collected, then judged as a body.
    Collecting(Vec<u8>),
    Whole(Box<Buffered>),
}

/// The beginning of a stream, before it shows what it is.
#[derive(Debug, Default)]
struct Start {
    /// What has come since the last line's end.
    line: Vec<u8>,
    blank: usize,
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

impl GuardedStream {
    /// A stream that has read nothing.
    pub(super) fn new(guard: Guard, framing: Framing) -> Self {
        let input = match framing {
            Framing::Sse => Input::Start(Start::default()),
            _ => Input::Records(Framer::new(framing, guard.limits.stream_event)),
        };
        Self {
            intake: Intake::streamed(&guard),
            stream: guard.format.stream(&guard.facts),
            guard,
            input,
            writer: RecordWriter::new(framing),
            queue: Queue::default(),
            comments: VecDeque::new(),
            out: VecDeque::new(),
            out_len: 0,
            state: State::Reading,
            spent: Duration::ZERO,
            cut_off: false,
            held_since: None,
            left: Vec::new(),
            alike: Alike::default(),
            left_alike: None,
            decoded: String::new(),
            spare: Vec::new(),
            piece: Bytes::new(),
        }
    }

    /// What every part of the exchange knows.
    pub(super) fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Whether records like the last one are not read anew.
    #[cfg(test)]
    pub(super) fn has_shape(&self) -> bool {
        self.alike.shape().is_some()
    }

    /// The next released bytes: all that are ready, together.
    pub(super) fn take_output(&mut self) -> Option<Bytes> {
        let first = self.out.pop_front()?;
        let together = match self.out.is_empty() {
            true => first,
            false => {
                let mut together = BytesMut::with_capacity(self.out_len);
                together.extend_from_slice(&first);
                for piece in self.out.drain(..) {
                    together.extend_from_slice(&piece);
                }
                together.freeze()
            }
        };
        self.out_len = 0;
        Some(together)
    }

    fn send(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.out_len += bytes.len();
        // What was cut from one piece and leaves together is put together again.
        if let Some(last) = self.out.back_mut()
            && let Some(start) = offset_in(&self.piece, last)
            && offset_in(&self.piece, &bytes) == Some(start + last.len())
        {
            *last = self.piece.slice(start..start + last.len() + bytes.len());
            return;
        }
        self.out.push_back(bytes);
    }

    /// Whether the upstream may be read on.
    pub(super) fn wants_input(&self) -> bool {
        self.state == State::Reading
            && !(self.intake.channels.is_asking()
                && self.queue.text > self.guard.limits.held_stream / 2)
    }

    /// Whether nothing more will be read: the upstream can be dropped.
    pub(super) fn has_read_all(&self) -> bool {
        self.state != State::Reading
    }

    /// How many released bytes wait to be taken.
    pub(super) fn output_len(&self) -> usize {
        self.out_len
    }

    /// Whether nothing more will be released.
    pub(super) fn has_ended(&self) -> bool {
        self.state == State::Ended && self.out.is_empty()
    }

    /// Whether something has come that may not leave yet.
    pub(super) fn is_held(&self) -> bool {
        !self.queue.is_empty() && self.state != State::Ended
    }

    /// What to send a client that waits for what is held, so that nobody takes the connection for dead.
    pub(super) fn heartbeat(&self, framing: Framing) -> Option<Bytes> {
        let is_stream = matches!(self.input, Input::Records(_));
        framing.heartbeat().filter(|_| self.is_held() && is_stream)
    }

    /// Reads the next decoded bytes of the upstream.
    pub(super) fn push(&mut self, bytes: Bytes) {
        if self.state != State::Reading || bytes.is_empty() {
            return;
        }
        let started = Instant::now();
        match &mut self.input {
            Input::Start(start) => {
                start.line.extend_from_slice(&bytes);
                self.begin();
            }
            Input::Records(framer) => framer.push(bytes),
            Input::Collecting(body) => body.extend_from_slice(&bytes),
            Input::Whole(_) => {}
        }
        if let Input::Collecting(body) = &self.input
            && body.len() > self.guard.limits.reply_body
        {
            self.fail(
                "reply_too_large",
                "the reply is larger than the guardrails read",
            );
        }
        self.read_records();
        self.release();
        if let Input::Start(start) = &self.input
            && start.line.len() > self.guard.limits.stream_event
        {
            self.fail_held();
        }
        self.check_held();
        self.spent += started.elapsed();
    }

    /// Looks what the stream is, once something shows it. Blank lines leave before.
    fn begin(&mut self) {
        let Input::Start(start) = &mut self.input else {
            return;
        };
        let text = start
            .line
            .strip_prefix(BYTE_ORDER_MARK)
            .unwrap_or(&start.line);
        let skipped = start.line.len() - text.len();
        let at = start.blank.max(skipped);
        let blank = start
            .line
            .iter()
            .skip(at)
            .position(|byte| !byte.is_ascii_whitespace());
        let end = blank.map_or(start.line.len(), |blank| at + blank);
        let last = start
            .line
            .get(at..end)
            .and_then(|blank| blank.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')));
        start.blank = end;
        let mut leaves = Vec::new();
        if let Some(last) = last {
            leaves = start.line.drain(..at + last + 1).collect();
            start.blank = end - leaves.len();
        }
        let shows = blank.is_some() && !BYTE_ORDER_MARK.starts_with(&start.line);
        if shows {
            let line = std::mem::take(&mut start.line);
            self.input = match starts_like_json(&line) {
                true => Input::Collecting(line),
                false => {
                    let mut framer = Framer::new(Framing::Sse, self.guard.limits.stream_event);
                    framer.push(line.into());
                    Input::Records(framer)
                }
            };
        }
        if !leaves.is_empty() {
            self.enqueue(Queued {
                record: raw(leaves.into()),
                ..Queued::default()
            });
        }
    }

    /// Ends a stream of which more waits than is held.
    fn check_held(&mut self) {
        let held = self.guard.limits.held_stream;
        if self.queue.text > held || self.queue.bytes > held.saturating_mul(ENVELOPE) {
            self.fail_held();
        }
    }

    fn fail_held(&mut self) {
        self.fail(
            "held_too_much",
            "more of the reply waits for the guardrails than they hold",
        );
    }

    /// Notes the end of the upstream's reply.
    pub(super) fn finish(&mut self) {
        if self.state != State::Reading {
            return;
        }
        match &mut self.input {
            Input::Start(start) => {
                let rest = std::mem::take(&mut start.line);
                self.enqueue(Queued {
                    record: raw(rest.into()),
                    ..Queued::default()
                });
            }
            Input::Records(framer) => {
                framer.finish();
                self.read_records();
                if self.state == State::Reading && self.is_cut_off() {
                    // What is held may be the beginning of a match whose rest was lost.
                    self.intake.channels.cut_off();
                    self.cut_off = true;
                    self.enqueue(Queued {
                        last: true,
                        ..Queued::default()
                    });
                    self.state = State::Settling;
                }
            }
            Input::Collecting(body) => {
                let body = std::mem::take(body);
                let whole = Buffered::new(self.guard.clone(), true, body.into());
                self.input = Input::Whole(Box::new(whole));
            }
            Input::Whole(_) => {}
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
        self.comments.clear();
        self.state = State::Ended;
        self.guard.verdict.finish();
    }

    /// What to ask about next; one question at a time.
    pub(super) fn next_job(&mut self) -> Option<Job> {
        if self.state == State::Ended {
            return None;
        }
        match &mut self.input {
            Input::Whole(whole) => whole.next_job(),
            _ => self.intake.channels.next_job(),
        }
    }

    /// Gives a job's verdict back.
    pub(super) fn job_done(&mut self, tickets: &[Ticket], judged: Judged) {
        if let Input::Whole(whole) = &mut self.input {
            whole.job_done(tickets, judged);
            return self.release();
        }
        let mut halts = Vec::new();
        match judged {
            Judged::Blocked(blocked) => {
                halts.push(self.intake.channels.blocked(tickets, blocked));
            }
            Judged::Passed(rewritten) => {
                let mut rewritten = rewritten.into_iter();
                for ticket in tickets {
                    let texts = rewritten.next().flatten();
                    match self.intake.channels.passed(*ticket, texts) {
                        Ok(None) => {}
                        Ok(Some(texts)) => halts.extend(self.rewrite(*ticket, texts)),
                        Err(halt) => halts.push(halt),
                    }
                }
            }
        }
        for halt in halts {
            self.halt(halt);
        }
        self.release();
    }

    /// Puts `texts` in the place of the texts of a track, in the records that wait.
    fn rewrite(&mut self, ticket: Ticket, texts: Vec<String>) -> Option<Halt> {
        let channels = &mut self.intake.channels;
        let is_placed = match ticket.of {
            // Part of the text has left.
            Of::Text(_) if !channels.rewrites() => false,
            Of::Text(track) => {
                let mut rewriting = Rewriting::new(channels, track, texts);
                for queued in self.queue.iter_mut() {
                    rewriting.edit(&queued.sites, &mut queued.edits);
                }
                rewriting.is_placed()
            }
            Of::Calls(track) => match channels.rewritten_calls(track, &texts.concat()) {
                Some(mut rewriting) => {
                    for queued in self.queue.iter_mut() {
                        rewriting.edit(&queued.sites, &mut queued.edits);
                    }
                    rewriting.is_placed()
                }
                None => false,
            },
            Of::Asides => false,
        };
        if is_placed {
            None
        } else {
            channels.cannot_rewrite(ticket)
        }
    }

    fn read_records(&mut self) {
        while self.state == State::Reading {
            self.read_alike();
            let Input::Records(framer) = &mut self.input else {
                return;
            };
            match framer.next() {
                None => return,
                Some(Ok(record)) => self.read_record(record),
                Some(Err(error)) => {
                    tracing::warn!(%error, "a record of a guarded stream cannot be read");
                    let (code, message) = match error {
                        FramingError::TooLong { .. } => (
                            "stream_event_too_large",
                            "an event of the reply is larger than the guardrails read",
                        ),
                        _ => ("unreadable_reply", "the reply's stream is broken"),
                    };
                    self.fail(code, message);
                }
            }
        }
    }

    /// Reads the records that are like the last one, as long as such come next.
    fn read_alike(&mut self) {
        while self.state == State::Reading {
            let (Input::Records(framer), Some(shape)) = (&mut self.input, self.alike.shape())
            else {
                return;
            };
            let limit = self.guard.limits.stream_event;
            let Some(cut) = framer.fresh().and_then(|fresh| shape.cut(fresh, limit)) else {
                return;
            };
            if let Some(piece) = framer.piece().filter(|piece| piece.len() > cut.length)
                && offset_in(&self.piece, piece).is_none()
            {
                self.piece = piece.clone();
            }
            let raw = framer.take_fresh(cut.length);
            shape.decode(&raw, &cut, &mut self.decoded);
            let mut queued = self.spare.pop().unwrap_or_default();
            let mut taken = queued.give_up();
            let texts = shape.texts(&raw, &cut, &self.decoded);
            self.intake.take_alike(texts, &shape.constants, &mut taken);
            let channels = &self.intake.channels;
            let mut leaves = self.queue.is_empty()
                && self.comments.is_empty()
                && !self.intake.has_halts()
                && taken.edits.is_empty()
                && taken.needs.iter().all(|need| channels.is_cleared(*need));
            if leaves {
                channels.edit_grown(&taken.sites, &mut taken.edits);
                leaves = taken.edits.is_empty();
                // If not, they are found again when the record leaves.
                taken.edits.clear();
            }
            if leaves {
                let text = shape.said(&raw, &cut, &self.decoded);
                let number = shape.number_of(&raw, &cut);
                let is_known = self.left_alike == Some(shape.number)
                    && self.stream.released_alike(text, number);
                if !is_known {
                    self.left.clear();
                    self.left.extend(shape.choices());
                    let record = shape.record(raw.clone());
                    self.stream.released(&record, &self.left);
                    self.left_alike = Some(shape.number);
                }
                queued.take_back(taken);
                self.spare.push(queued.emptied());
                self.send(raw);
                continue;
            }
            shape.choices_of(&cut, &mut queued.choices);
            queued.alike = Some(shape.number);
            queued.record = shape.record(raw);
            queued.take_back(taken);
            self.act_on_halts();
            if self.state == State::Reading {
                self.enqueue(queued);
            }
        }
    }

    fn read_record(&mut self, record: Record) {
        let mut taken = Taken::default();
        let name = record.name.as_deref().unwrap_or_default();
        let name = match self.stream.is_own_name(name) {
            true => b"",
            false => name,
        };
        for aside in [name, &record.aside] {
            if aside.is_empty() {
                continue;
            }
            let Some(text) = self.plain_text(aside) else {
                return;
            };
            self.intake.take_aside(&text, &mut taken);
        }
        if record.data.is_none() {
            self.act_on_halts();
            return self.pass_comment(Queued::new(record, Vec::new(), taken));
        }
        let limits = self.guard.reply_json_limits();
        let mut texts = ReplyTexts::default();
        let read = self.stream.read(&record, &limits, &mut texts);
        if let Err(unreadable) = &read {
            tracing::debug!(%unreadable, "a record of a guarded stream is not what the format says");
        }
        let is_last = read.is_ok() && texts.kind == RecordKind::Done;
        let mut choices = Vec::new();
        match read {
            Ok(()) if self.reads_otherwise(&record, true) => {
                return self.fail_unreadable("an event of the reply can be read in two ways");
            }
            Ok(()) => {
                if texts.ambiguous {
                    // One client reads the first of two keys, another the last: no track follows both.
                    return self.fail_unreadable(
                        "an event of the reply has keys that stand twice or in another letter case",
                    );
                }
                self.intake.take(&texts, &mut taken);
                if self.intake.has_halts() || !taken.edits.is_empty() || self.takes_name(&record) {
                    self.alike.forget();
                } else {
                    self.alike.note(&record, &texts, &self.intake.channels);
                }
                choices = std::mem::take(&mut texts.choices);
                drop(texts);
            }
            Err(_) => {
                self.alike.forget();
                drop(texts);
                if !self.take_unparsed(&record, &mut choices, &mut taken) {
                    return;
                }
            }
        }
        self.act_on_halts();
        if self.state != State::Reading {
            return;
        }
        if is_last && choices.is_empty() && taken.needs.is_empty() {
            // What follows the end is none of the client's.
            return self.end_input(record);
        }
        self.enqueue(Queued::new(record, choices, taken));
        if is_last {
            self.end_input(Record::default());
        }
    }

    /// Whether the record's name is judged as a text.
    fn takes_name(&self, record: &Record) -> bool {
        !self
            .stream
            .is_own_name(record.name.as_deref().unwrap_or_default())
    }

    /// Whether some client reads a reply in a record where the standard has none. `is_read`: the payload is one itself.
    fn reads_otherwise(&mut self, record: &Record, is_read: bool) -> bool {
        if record.aside.is_empty() && !is_read {
            return false;
        }
        let limits = self.guard.reply_json_limits();
        let mut payloads = record.lenient_payloads();
        payloads.any(|payload| {
            if !starts_like_json(payload) {
                return false;
            }
            let record = Record {
                data: Some(Bytes::copy_from_slice(payload)),
                ..Record::default()
            };
            let mut texts = ReplyTexts::default();
            let read = self.stream.read(&record, &limits, &mut texts);
            // A line of a payload of several is mostly no JSON by itself.
            read.is_ok() && (!texts.choices.is_empty() || !texts.calls.is_empty())
        })
    }

    /// Takes in a payload that is not what the format says; false where the stream has ended by it.
    fn take_unparsed(
        &mut self,
        record: &Record,
        choices: &mut Vec<crate::wire::ChoiceSpan>,
        taken: &mut Taken,
    ) -> bool {
        let data = record.data.clone().unwrap_or_default();
        // Some readers take every line for a record of its own.
        let lines = data.split(|byte| *byte == b'\n');
        let is_one = memchr::memchr(b'\n', &data).is_none();
        for line in lines {
            if !is_one {
                let line = Record {
                    name: record.name.clone(),
                    data: Some(data.slice_ref(line)),
                    ..Record::default()
                };
                let limits = self.guard.reply_json_limits();
                let mut texts = ReplyTexts::default();
                if self.stream.read(&line, &limits, &mut texts).is_ok() {
                    if texts.kind == RecordKind::Done {
                        continue;
                    }
                    let before = taken.edits.len();
                    self.intake.take(&texts, taken);
                    choices.append(&mut texts.choices);
                    // The spans are those of the line: nothing can be put there.
                    taken.sites.clear();
                    if taken.edits.len() > before || texts.ambiguous {
                        self.fail_unreadable("an event of the reply cannot be read");
                        return false;
                    }
                    continue;
                }
            }
            let payload = line.trim_ascii_start();
            let payload = payload.strip_prefix(b"data:").unwrap_or(payload);
            if starts_like_json(payload) {
                // JSON that one reader refuses may be read by another.
                self.fail_unreadable("an event of the reply cannot be read");
                return false;
            }
            let Some(text) = self.plain_text(line) else {
                return false;
            };
            self.intake.take_unparsed(&text, taken);
        }
        true
    }

    /// Acts on what rails stopped while a record was taken in.
    fn act_on_halts(&mut self) {
        for halt in self.intake.halts() {
            self.halt(halt);
        }
    }

    /// The text of bytes that are no JSON; none, and the stream ends, where they are no text either.
    fn plain_text(&mut self, bytes: &[u8]) -> Option<String> {
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => Some(text.to_owned()),
            _ => {
                self.fail_unreadable("the reply is no text, or in a coding that it does not name");
                None
            }
        }
    }

    /// The upstream has said all; `record` is its last one.
    fn end_input(&mut self, record: Record) {
        self.intake.finish();
        for halt in self.intake.halts() {
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
        if self.state == State::Ended || self.intake.choices.is_blocked(index) {
            return;
        }
        self.intake.block(index);
        self.alike.forget();
        let mut refusal = Vec::new();
        self.stream
            .refuse_choice(index, &blocked.message, &mut refusal);
        let refusal = self.written(&refusal);
        if self.guard.facts.choices.unwrap_or(1) <= 1 {
            self.queue.clear();
            self.send(refusal);
            return self.end_with_mark();
        }
        let Intake {
            channels, choices, ..
        } = &self.intake;
        self.queue.drop_blocked(&*self.stream, channels, choices);
        // Before the others' records, of which the last may have come.
        self.queue.push_front(Queued {
            record: raw(refusal),
            ..Queued::default()
        });
    }

    fn block_all(&mut self, blocked: &Blocked) {
        if self.state == State::Ended {
            return;
        }
        self.queue.clear();
        let mut records = Vec::new();
        if matches!(self.guard.block_response, BlockResponse::Refusal) {
            if self.intake.choices.len() == 0 {
                self.intake.choices.note(0, false);
            }
            for (index, choice) in self.intake.choices.all() {
                if !choice.blocked {
                    self.stream
                        .refuse_choice(index, &blocked.message, &mut records);
                }
            }
        } else {
            self.stream
                .fail("content_filter", &blocked.message, &mut records);
        }
        let records = self.written(&records);
        self.send(records);
        self.end_with_mark();
    }

    fn fail_unreadable(&mut self, message: &str) {
        self.fail("unreadable_reply", message);
    }

    /// Ends the stream with an error.
    fn fail(&mut self, code: &'static str, message: &str) {
        if self.state == State::Ended {
            return;
        }
        // What was cleared before it still leaves.
        self.release();
        if self.state == State::Ended {
            return;
        }
        if self.guard.only_watches_replies() {
            tracing::warn!(
                code,
                "a reply that is only watched is judged no further: {message}"
            );
            return self.end();
        }
        self.guard.verdict.refuse(message);
        self.queue.clear();
        let mut error = Vec::new();
        self.stream.fail(code, message, &mut error);
        let error = self.written(&error);
        self.send(error);
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
        let mut bytes = BytesMut::new();
        for record in &mark {
            self.writer.write(record, &mut bytes);
        }
        self.writer.end(&mut bytes);
        self.send(bytes.freeze());
        self.end();
    }

    fn end(&mut self) {
        self.queue.clear();
        self.comments.clear();
        self.state = State::Ended;
        self.intake.channels.report_patterns(self.spent);
        self.guard.verdict.finish();
    }

    fn enqueue(&mut self, queued: Queued) {
        let Intake {
            channels, choices, ..
        } = &self.intake;
        self.queue.push(queued, &*self.stream, channels, choices);
        if !self.queue.is_empty() {
            self.held_since.get_or_insert_with(Instant::now);
        }
    }

    /// A record without a payload. Comments go before what is held.
    fn pass_comment(&mut self, queued: Queued) {
        if self.state != State::Reading {
            return;
        }
        self.release();
        let mut lines = queued.record.aside.split(|byte| *byte == b'\n');
        let is_comment = queued.record.name.is_none()
            && lines.all(|line| line.is_empty() || line.starts_with(b":"));
        let waits = self
            .held_since
            .is_some_and(|since| since.elapsed() >= LONG_HELD);
        if self.queue.is_empty()
            || !is_comment
            || !waits
            || self.reads_otherwise(&queued.record, false)
        {
            if self.reads_otherwise(&queued.record, false) {
                return self.fail_unreadable("a comment of the reply can be read as an event");
            }
            return self.enqueue(queued);
        }
        self.comments.push_back(queued);
    }

    /// Releases, in order, what is cleared.
    fn release(&mut self) {
        if self.state == State::Ended {
            return;
        }
        let channels = &self.intake.channels;
        while let Some(comment) = self.comments.front()
            && comment.needs.iter().all(|need| channels.is_cleared(*need))
        {
            if let Some(comment) = self.comments.pop_front() {
                let raw = comment.record.raw;
                self.out_len += raw.len();
                self.out.push_back(raw);
            }
        }
        loop {
            let choices = self.intake.choices.len();
            let next = self.queue.next_cleared(&self.intake.channels, choices);
            let Some(queued) = next else {
                if self.queue.is_empty() {
                    self.held_since = None;
                }
                if self.cut_off && self.intake.channels.is_settled() {
                    self.end();
                }
                return;
            };
            if queued.last && matches!(self.input, Input::Whole(_)) {
                return self.release_whole(queued);
            }
            let is_last = queued.last;
            self.leave(queued);
            if is_last {
                return self.end();
            }
        }
    }

    /// Hands a record on, as what was decided of it left it.
    fn leave(&mut self, mut queued: Queued) {
        self.intake
            .channels
            .edit_grown(&queued.sites, &mut queued.edits);
        queued.edits.append(&mut queued.removals);
        let mut record = std::mem::take(&mut queued.record);
        let bytes = match &record.data {
            Some(data) if !queued.edits.is_empty() => {
                let data: Bytes = patch(data, &queued.edits).into();
                let mut raw = BytesMut::new();
                self.writer.rewrite(&record, &data, &mut raw);
                record.data = Some(data);
                raw.freeze()
            }
            _ => self.writer.pass(&record),
        };
        let choices = queued.choices.iter().map(|choice| choice.index);
        let left = choices.filter(|index| !self.intake.choices.is_blocked(*index));
        self.left.clear();
        self.left.extend(left);
        let shape = queued.alike.filter(|_| queued.edits.is_empty());
        let is_known = shape.is_some() && shape == self.left_alike && self.tells_alike(&record);
        if !is_known {
            self.stream.released(&record, &self.left);
        }
        self.left_alike = shape;
        self.send(bytes);
        if self.spare.len() < SPARE {
            self.spare.push(queued.emptied());
        }
    }

    /// Tells the format by what the record differs from the one that left before it; whether that was enough.
    fn tells_alike(&mut self, record: &Record) -> bool {
        let shape = self.alike.shape();
        let Some(shape) = shape.filter(|shape| Some(shape.number) == self.left_alike) else {
            return false;
        };
        let raw = &record.raw;
        let Some(cut) = shape.cut(raw, usize::MAX) else {
            return false;
        };
        shape.decode(raw, &cut, &mut self.decoded);
        let text = shape.said(raw, &cut, &self.decoded);
        let number = shape.number_of(raw, &cut);
        self.stream.released_alike(text, number)
    }

    fn release_whole(&mut self, last: Queued) {
        let input = std::mem::replace(&mut self.input, Input::Start(Start::default()));
        let Input::Whole(whole) = input else {
            return;
        };
        if !whole.is_settled() {
            self.input = Input::Whole(whole);
            return self.queue.push_front(last);
        }
        let body = whole.body();
        match whole.into_resolved().1 {
            Resolved::Untouched => self.send(body),
            Resolved::Edited(body) => self.send(body),
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
        !self.intake.said_error
            && !self.intake.channels.is_held_to_end()
            && self
                .intake
                .choices
                .all()
                .any(|(_, choice)| !choice.finished && !choice.blocked)
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Bytes that carry no text.
fn raw(raw: Bytes) -> Record {
    Record {
        raw,
        ..Record::default()
    }
}
