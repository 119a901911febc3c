//! A reply that is one body.

use std::{ops::Range, time::Instant};

use bytes::Bytes;

use super::{
    guard::{Guard, Halt, Refused},
    policy::{BlockResponse, Blocked},
    rewrites::{Place, Rewriting, Spot},
    track_id::{Source, TrackId},
    tracks::{Job, Need, Of, Said, Ticket, Tracks},
};
use crate::{
    rails::Checked,
    wire::{BodyEdit, ChoiceSpan, Edit, Patch, Relation, ReplyText, patch},
};

/// What a structural field is replaced by when it matches a pattern.
pub(super) const REMOVED: &str = "removed";

/// A body under the output rails: read at once, judged on the spot or by jobs, then [resolved](Whole::resolve).
#[derive(Debug)]
pub(super) struct Whole {
    guard: Guard,
    tracks: Tracks,
    body: Bytes,
    /// Where each track's texts lie in the body.
    places: Vec<Place>,
    edits: Vec<BodyEdit>,
    choices: Vec<ChoiceSpan>,
    blocked: Vec<(u32, Blocked)>,
    refused: Option<Refused>,
}

/// What becomes of a body.
#[derive(Debug)]
pub(super) enum Resolved {
    /// It leaves as it came.
    Untouched,
    /// It leaves as this.
    Edited(Bytes),
    /// It does not leave.
    Refused(Refused),
}

impl Whole {
    /// Reads `body`.
    pub(super) fn new(guard: Guard, body: Bytes) -> Self {
        let tracks = Tracks::whole(&guard);
        let mut whole = Self {
            guard,
            tracks,
            body,
            places: Vec::new(),
            edits: Vec::new(),
            choices: Vec::new(),
            blocked: Vec::new(),
            refused: None,
        };
        let started = Instant::now();
        whole.read();
        for halt in whole.tracks.finish() {
            whole.halt(halt);
        }
        whole.tracks.report_patterns(started.elapsed());
        whole
    }

    fn read(&mut self) {
        let body = self.body.clone();
        if body.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        match self
            .guard
            .format
            .read_reply(&body, &self.guard.json_limits())
        {
            Ok(texts) if texts.ambiguous || first_significant(&body) == Some(b'[') => {
                let message =
                    "the model's reply is ambiguous: a list, or keys that stand twice or in another letter case"
                        .to_owned();
                self.refused = Some(Refused::Unreadable {
                    code: "unreadable_reply",
                    message,
                });
            }
            Ok(texts) => {
                let mut needs = Vec::new();
                for text in &texts.texts {
                    if text.relation == Relation::Alone {
                        match self.tracks.is_caught(text) {
                            Ok(true) => {
                                self.edits
                                    .push((text.span.clone(), Edit::Text(REMOVED.into())));
                            }
                            Ok(false) => {}
                            Err(halt) => self.halt(halt),
                        }
                        continue;
                    }
                    needs.clear();
                    let id = TrackId::field(text.channel);
                    match self.tracks.push(id, Said::of(text), &mut needs) {
                        Ok(()) => self
                            .places
                            .extend(needs.first().and_then(|need| place_of(need, text))),
                        Err(halt) => self.halt(halt),
                    }
                    if let Err(halt) = self.tracks.check_alone(text) {
                        self.halt(halt);
                    }
                }
                for piece in &texts.calls {
                    self.tracks.push_call(piece, &mut self.places);
                }
                self.choices = texts.choices;
            }
            Err(unreadable) => match std::str::from_utf8(&body) {
                // JSON that one reader refuses may be read by another; text that is no JSON is judged as it stands.
                Ok(text) if !starts_like_json(&body) && !text.contains('\0') => {
                    let id = TrackId::of(Source::Unparsed);
                    let said = Said::loose(text, true);
                    if let Err(halt) = self.tracks.push(id, said, &mut Vec::new()) {
                        self.halt(halt);
                    }
                }
                _ => {
                    let message = format!("the model's reply cannot be read: {unreadable}");
                    self.refused = Some(Refused::Unreadable {
                        code: "unreadable_reply",
                        message,
                    });
                }
            },
        }
    }

    /// The next text to ask about.
    pub(super) fn next_job(&mut self) -> Option<Job> {
        if self.refused.is_some() {
            return None;
        }
        self.tracks.next_job()
    }

    /// Gives a job's verdict back.
    pub(super) fn job_done(&mut self, ticket: Ticket, checked: Checked) {
        match self.tracks.job_done(ticket, checked) {
            Ok(None) => {}
            Ok(Some(text)) => {
                if !self.rewrite(ticket, text)
                    && let Some(halt) = self.tracks.cannot_rewrite(ticket)
                {
                    self.halt(halt);
                }
            }
            Err(halt) => self.halt(halt),
        }
    }

    /// Puts `text` in the place of what was asked about; whether there is such a place.
    fn rewrite(&mut self, ticket: Ticket, text: String) -> bool {
        match ticket.of {
            Of::Text(track) => {
                let mut rewriting = Rewriting::new(&self.tracks, track, text);
                rewriting.edit(&self.places, &mut self.edits);
                rewriting.is_placed()
            }
            Of::Calls(track) => {
                let rewriting = self.tracks.rewritten_calls(track, &text);
                rewriting.is_some_and(|mut rewriting| {
                    rewriting.edit(&self.places, &mut self.edits);
                    rewriting.is_placed()
                })
            }
        }
    }

    fn halt(&mut self, halt: Halt) {
        match halt.choice {
            Some(choice)
                if !halt.blocked.failed
                    && matches!(self.guard.block_response, BlockResponse::Refusal) =>
            {
                self.tracks.abandon(choice);
                if !self.blocked.iter().any(|(other, _)| *other == choice) {
                    self.blocked.push((choice, halt.blocked));
                }
            }
            _ => {
                self.refused.get_or_insert(Refused::Blocked(halt.blocked));
            }
        }
    }

    /// Whether no verdict is out or to come.
    pub(super) fn is_settled(&self) -> bool {
        self.refused.is_some() || self.tracks.is_settled()
    }

    /// The body as it came.
    pub(super) fn body(&self) -> Bytes {
        self.body.clone()
    }

    /// What becomes of the body, once there is no further job.
    pub(super) fn resolve(self) -> Resolved {
        if let Some(refused) = self.refused {
            return Resolved::Refused(refused);
        }
        if self.blocked.is_empty() && self.edits.is_empty() {
            return Resolved::Untouched;
        }
        let mut replaced = Vec::new();
        for (index, blocked) in &self.blocked {
            // Every object that calls itself this choice is replaced, should there be two.
            let mut found = self
                .choices
                .iter()
                .filter(|choice| choice.index == *index)
                .peekable();
            if found.peek().is_none() {
                return Resolved::Refused(Refused::Blocked(blocked.clone()));
            }
            for choice in found {
                let format = &self.guard.format;
                replaced.extend(format.refuse_choice(&self.body, choice, &blocked.message));
            }
        }
        let is_inside = |span: &Range<usize>| {
            replaced.iter().any(|(outer, _): &(Range<usize>, _)| {
                outer.start <= span.start && span.end <= outer.end
            })
        };
        let texts = self.edits.into_iter();
        let mut edits: Vec<BodyEdit> = texts.filter(|(span, _)| !is_inside(span)).collect();
        edits.extend(replaced);
        Resolved::Edited(patch(&self.body, &edits).into())
    }
}

/// Where a text lies that a rail may rewrite, or that repeats one; none where nothing can be put there.
pub(super) fn place_of(need: &Need, text: &ReplyText<'_>) -> Option<Place> {
    let is_place = text.class.patch != Patch::No;
    let Of::Text(track) = need.of else {
        return None;
    };
    is_place.then(|| Place {
        spot: Spot::Text {
            track,
            start: need.end.saturating_sub(text.text.len() as u64),
            end: need.end,
        },
        span: text.span.clone(),
    })
}

/// Whether the first byte that is no white space, after a byte order mark, opens JSON.
pub(super) fn starts_like_json(body: &[u8]) -> bool {
    matches!(first_significant(body), Some(b'{' | b'['))
}

/// The first byte that is neither white space nor of a byte order mark.
pub(super) fn first_significant(body: &[u8]) -> Option<u8> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    body.iter()
        .copied()
        .find(|byte| !byte.is_ascii_whitespace())
}
