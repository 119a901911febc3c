//! One stream.

use std::sync::Arc;

use super::{
    super::nfa::{CharClass, INVALID, Side},
    program::HoldProgram,
    threads::{self, Scratch, Stepper, Thread},
};

/// What is held back of one stream: the tail that could still become part of a match.
///
/// Every byte before [`held_from`](Self::held_from) can be released: no match of the whole text
/// contains it, whatever comes next. What is held is the shortest such tail. Bytes are pushed as
/// they come, cut anywhere. After a match or an overflow nothing more is released.
///
/// ```
/// use std::sync::Arc;
/// use tower_guardrails::pattern::{HoldLimits, Patterns};
///
/// let patterns = Patterns::compile(&[r"sk-\w{4}"], false).unwrap();
/// let program = Arc::new(patterns.hold_program(HoldLimits::default()));
/// let mut hold = program.start();
/// hold.push_str("the key is sk");
/// assert_eq!(hold.held_from(), 11);
/// hold.push_str("ating");
/// assert_eq!(hold.held_from(), 18);
/// hold.push_str(" sk-12345");
/// assert_eq!((hold.matched(), hold.held_from()), (Some(0), 19));
/// ```
#[derive(Debug)]
pub struct Hold {
    program: Arc<HoldProgram>,
    threads: Vec<Thread>,
    next: Vec<Thread>,
    scratch: Scratch,
    /// What the last character was to the looks.
    left: Side,
    /// Where the next character begins.
    place: u64,
    /// Bytes of a character that is not complete.
    pending: [u8; 4],
    pending_len: usize,
    /// Bytes pushed after the end.
    ignored: u64,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Reading,
    Matched { pattern: u32, held_from: u64 },
    Overflowed { held_from: u64 },
    Finished,
}

impl Hold {
    pub(super) fn new(program: Arc<HoldProgram>) -> Self {
        Self {
            scratch: Scratch::new(&program),
            program,
            threads: Vec::new(),
            next: Vec::new(),
            left: Side::Start,
            place: 0,
            pending: [0; 4],
            pending_len: 0,
            ignored: 0,
            phase: Phase::Reading,
        }
    }

    /// Takes the next bytes of the stream.
    pub fn push(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        while self.pending_len > 0 && self.phase == Phase::Reading {
            let Some((byte, after)) = rest.split_first() else {
                return;
            };
            if self.complete(*byte) {
                rest = after;
            }
        }
        while self.phase == Phase::Reading && !rest.is_empty() {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.push_chars(text);
                    return;
                }
                Err(error) => {
                    let (valid, invalid) = rest.split_at(error.valid_up_to());
                    self.push_chars(std::str::from_utf8(valid).unwrap_or_default());
                    match error.error_len() {
                        Some(len) => {
                            self.advance(INVALID, len);
                            rest = invalid.get(len..).unwrap_or_default();
                        }
                        None => {
                            self.keep(invalid);
                            return;
                        }
                    }
                }
            }
        }
        self.ignored += rest.len() as u64;
    }

    /// Takes the next characters of the stream.
    pub fn push_str(&mut self, text: &str) {
        self.push(text.as_bytes());
    }

    /// The offset in bytes from the start of the stream from which on bytes must be held. It never
    /// goes back.
    #[must_use]
    pub fn held_from(&self) -> u64 {
        match self.phase {
            Phase::Reading => self.oldest(),
            Phase::Matched { held_from, .. } | Phase::Overflowed { held_from } => held_from,
            Phase::Finished => self.place,
        }
    }

    /// How many bytes have been pushed.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.place + self.pending_len as u64 + self.ignored
    }

    /// The place in the list of the pattern that has matched, from 0. Where several match at the
    /// same character, it is the first.
    #[must_use]
    pub fn matched(&self) -> Option<usize> {
        match self.phase {
            Phase::Matched { pattern, .. } => Some(pattern as usize),
            _ => None,
        }
    }

    /// Whether more had to be held than allowed for a pattern whose matches have no greatest
    /// length. The stream must be blocked.
    #[must_use]
    pub fn overflowed(&self) -> bool {
        matches!(self.phase, Phase::Overflowed { .. })
    }

    /// Ends the stream: all looks are decided, and what does not match is no longer held. Bytes
    /// pushed later are not read.
    pub fn finish(&mut self) {
        if self.pending_len > 0 && self.phase == Phase::Reading {
            let len = self.pending_len;
            self.pending_len = 0;
            self.advance(INVALID, len);
        }
        if self.phase == Phase::Reading {
            let held_from = self.oldest();
            let matched =
                threads::finish(&self.program, &mut self.scratch, self.left, &self.threads);
            self.phase = match matched {
                Some(pattern) => Phase::Matched { pattern, held_from },
                None => Phase::Finished,
            };
        }
    }

    /// Begins another stream.
    pub fn reset(&mut self) {
        self.threads.clear();
        self.left = Side::Start;
        self.place = 0;
        self.pending_len = 0;
        self.ignored = 0;
        self.phase = Phase::Reading;
    }

    /// Where the oldest thread began, or the end of what is read.
    fn oldest(&self) -> u64 {
        self.threads.first().map_or(self.place, |(_, start)| *start)
    }

    fn keep(&mut self, bytes: &[u8]) {
        for (slot, byte) in self.pending.iter_mut().zip(bytes) {
            *slot = *byte;
        }
        self.pending_len = bytes.len().min(self.pending.len());
    }

    /// Adds a byte to an incomplete character. Not taken where the byte begins another one.
    fn complete(&mut self, byte: u8) -> bool {
        let len = self.pending_len;
        let Some(slot) = self.pending.get_mut(len) else {
            self.pending_len = 0;
            self.advance(INVALID, len);
            return false;
        };
        *slot = byte;
        let bytes = self.pending;
        match std::str::from_utf8(bytes.get(..=len).unwrap_or_default()) {
            Ok(text) => {
                self.pending_len = 0;
                self.push_chars(text);
                true
            }
            Err(error) if error.error_len().is_none() => {
                self.pending_len = len + 1;
                true
            }
            Err(_) => {
                self.pending_len = 0;
                self.advance(INVALID, len);
                false
            }
        }
    }

    fn push_chars(&mut self, text: &str) {
        for (offset, c) in text.char_indices() {
            if self.phase != Phase::Reading {
                self.ignored += (text.len() - offset) as u64;
                return;
            }
            self.advance(self.program.nfa.alphabet.class(c), c.len_utf8());
        }
    }

    /// One step over a character of `len` bytes.
    fn advance(&mut self, class: CharClass, len: usize) {
        let matched = Stepper {
            program: &self.program,
            scratch: &mut self.scratch,
            left: self.left,
            class,
        }
        .step(&self.threads, self.place, &mut self.next);
        if let Some(pattern) = matched {
            let held_from = self.oldest();
            self.phase = Phase::Matched { pattern, held_from };
            self.place += len as u64;
            return;
        }
        std::mem::swap(&mut self.threads, &mut self.next);
        self.place += len as u64;
        self.left = self.program.nfa.alphabet.side(class);
        let limit = self.program.max_hold;
        if self.program.has_unbounded() && self.place - self.oldest() > limit {
            let overflows = |thread: &Thread| {
                self.place - thread.1 > limit && self.program.is_unbounded(threads::state(*thread))
            };
            if self.threads.iter().any(overflows) {
                self.phase = Phase::Overflowed {
                    held_from: self.oldest(),
                };
            }
        }
    }
}
