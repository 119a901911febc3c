//! A reply that is one body.

use std::time::Instant;

use bytes::Bytes;

use super::{
    channels::{Job, Judged, Of, Ticket},
    edits::Rewriting,
    guard::{Guard, Halt, Refused},
    intake::{Intake, Taken},
    policy::{BlockResponse, Blocked},
};
use crate::wire::{BodyEdit, ChoiceSpan, ReplyTexts, patch};

/// A body under the output rails: read at once, judged on the spot or by jobs, then [resolved](Buffered::resolve).
#[derive(Debug)]
pub(super) struct Buffered {
    guard: Guard,
    intake: Intake,
    body: Bytes,
    taken: Taken,
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

impl Buffered {
    /// Reads `body`. `is_success`: it is a reply, and no error in the place of one.
    pub(super) fn new(guard: Guard, is_success: bool, body: Bytes) -> Self {
        let mut buffered = Self {
            intake: Intake::whole(&guard),
            guard,
            body,
            taken: Taken::default(),
            choices: Vec::new(),
            blocked: Vec::new(),
            refused: None,
        };
        let started = Instant::now();
        buffered.read(is_success);
        buffered.intake.finish();
        buffered.act_on_halts();
        buffered.intake.channels.report_patterns(started.elapsed());
        buffered
    }

    fn read(&mut self, is_success: bool) {
        let body = self.body.clone();
        if body.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let read: Result<ReplyTexts<'_>, _> = self
            .guard
            .format
            .read_reply(&body, &self.guard.reply_json_limits());
        match read {
            Ok(texts) if texts.ambiguous && is_success => self.refuse(
                "the model's reply is ambiguous: keys stand twice or in another letter case, or it is a list",
            ),
            Ok(texts) => {
                self.intake.take(&texts, &mut self.taken);
                self.choices = texts.choices;
            }
            Err(unreadable) => {
                let text = match std::str::from_utf8(&body) {
                    // JSON that one reader refuses may be read by another; text that is no JSON is judged as it stands.
                    Ok(text) if !starts_like_json(&body) && !text.contains('\0') => text.into(),
                    // Nobody takes an error for a reply: all of it is judged as text, and its reader gets it.
                    _ if !is_success => String::from_utf8_lossy(&body),
                    _ => {
                        let message = format!("the model's reply cannot be read: {unreadable}");
                        return self.refuse(&message);
                    }
                };
                self.intake.take_unparsed(&text, &mut self.taken);
            }
        }
    }

    fn refuse(&mut self, message: &str) {
        if self.guard.only_watches_replies() {
            tracing::warn!("a reply that is only watched is not judged: {message}");
        }
        self.refused = Some(Refused::Unreadable {
            code: "unreadable_reply",
            message: message.to_owned(),
        });
    }

    /// What to ask about next.
    pub(super) fn next_job(&mut self) -> Option<Job> {
        if self.refused.is_some() {
            return None;
        }
        self.intake.channels.next_job()
    }

    /// Gives a job's verdict back.
    pub(super) fn job_done(&mut self, tickets: &[Ticket], judged: Judged) {
        match judged {
            Judged::Blocked(blocked) => {
                let halt = self.intake.channels.blocked(tickets, blocked);
                self.halt(halt);
            }
            Judged::Passed(rewritten) => {
                let mut rewritten = rewritten.into_iter();
                for ticket in tickets {
                    let texts = rewritten.next().flatten();
                    match self.intake.channels.passed(*ticket, texts) {
                        Ok(None) => {}
                        Ok(Some(texts)) => {
                            if !self.rewrite(*ticket, texts)
                                && let Some(halt) = self.intake.channels.cannot_rewrite(*ticket)
                            {
                                self.halt(halt);
                            }
                        }
                        Err(halt) => self.halt(halt),
                    }
                }
            }
        }
    }

    /// Puts `texts` in the place of what was asked about; whether there is such a place.
    fn rewrite(&mut self, ticket: Ticket, texts: Vec<String>) -> bool {
        let Taken { sites, edits, .. } = &mut self.taken;
        match ticket.of {
            Of::Text(track) => {
                let mut rewriting = Rewriting::new(&self.intake.channels, track, texts);
                rewriting.edit(sites, edits);
                rewriting.is_placed()
            }
            Of::Calls(track) => {
                let rewriting = self.intake.channels.rewritten_calls(track, &texts.concat());
                rewriting.is_some_and(|mut rewriting| {
                    rewriting.edit(sites, edits);
                    rewriting.is_placed()
                })
            }
            Of::Asides => false,
        }
    }

    fn act_on_halts(&mut self) {
        for halt in self.intake.halts() {
            self.halt(halt);
        }
    }

    fn halt(&mut self, halt: Halt) {
        match halt.choice {
            Some(choice)
                if !halt.blocked.failed
                    && matches!(self.guard.block_response, BlockResponse::Refusal) =>
            {
                if !self.blocked.iter().any(|(other, _)| *other == choice) {
                    self.intake.block(choice);
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
        self.refused.is_some() || self.intake.channels.is_settled()
    }

    /// The body as it came.
    pub(super) fn body(&self) -> Bytes {
        self.body.clone()
    }

    /// What every part of the exchange knows.
    pub(super) fn guard(&self) -> &Guard {
        &self.guard
    }

    /// What becomes of the body, once there is no further job; and what every part of the exchange knows.
    pub(super) fn into_resolved(mut self) -> (Guard, Resolved) {
        let resolved = self.resolve();
        (self.guard, resolved)
    }

    /// The first of these.
    fn resolve(&mut self) -> Resolved {
        if let Some(refused) = self.refused.take() {
            return Resolved::Refused(refused);
        }
        if self.blocked.is_empty() && self.taken.edits.is_empty() {
            return Resolved::Untouched;
        }
        // Where a refusal takes the place of more than a text's, it wins: see `patch`.
        let mut edits: Vec<BodyEdit> = std::mem::take(&mut self.taken.edits);
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
                edits.extend(format.refuse_choice(&self.body, choice, &blocked.message));
            }
        }
        Resolved::Edited(patch(&self.body, &edits).into())
    }
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
