//! One stream.

use std::sync::Arc;

use super::{
    super::nfa::{CharClass, INVALID, Side},
    program::HoldProgram,
    steps::{Known, Steps},
    threads::{self, Scratch, Stepper, Thread},
};

/// How many steps are taken without memory before streams begin to remember anew.
const UNREMEMBERED: u32 = if cfg!(test) { 5 } else { 4096 };

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
    /// The steps that were taken before, by any stream.
    steps: Arc<Steps>,
    threads: Threads,
    /// Where threads began, after a step: kept for its memory.
    spare: Vec<u64>,
    /// What steps need that are not remembered.
    scratch: Option<Box<Scratch>>,
    /// Where the next character begins.
    place: u64,
    /// Bytes of a character that is not complete.
    pending: [u8; 4],
    pending_len: usize,
    /// Bytes pushed after the end.
    ignored: u64,
    phase: Phase,
}

/// The threads of a stream.
#[derive(Debug)]
enum Threads {
    /// At a place that is remembered, with where each of them began.
    Known { place: u32, starts: Vec<u64> },
    /// As they are.
    Own {
        threads: Vec<Thread>,
        /// What they were before the last step: kept for its memory.
        spare: Vec<Thread>,
        left: Side,
        /// How many steps were taken so.
        steps: u32,
    },
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
            steps: program.steps(),
            program,
            threads: Threads::none(Side::Start),
            spare: Vec::new(),
            scratch: None,
            place: 0,
            pending: [0; 4],
            pending_len: 0,
            ignored: 0,
            phase: Phase::Reading,
        }
    }

    /// Takes the next bytes of the stream.
    pub fn push(&mut self, chunk: &[u8]) {
        if self.steps.generation != self.program.generation() {
            self.remember_anew();
        }
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
            let (threads, left) = self.threads.all(&self.steps);
            let matched = match threads.is_empty() {
                true => None,
                false => {
                    let scratch = scratch(&mut self.scratch, &self.program);
                    threads::finish(&self.program, scratch, left, &threads)
                }
            };
            self.phase = match matched {
                Some(pattern) => Phase::Matched { pattern, held_from },
                None => Phase::Finished,
            };
        }
    }

    /// Begins another stream.
    pub fn reset(&mut self) {
        self.threads = Threads::none(Side::Start);
        self.place = 0;
        self.pending_len = 0;
        self.ignored = 0;
        self.phase = Phase::Reading;
    }

    /// Where the oldest thread began, or the end of what is read.
    fn oldest(&self) -> u64 {
        self.threads.oldest().unwrap_or(self.place)
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
        let mut at = 0;
        while at < text.len() {
            if self.phase != Phase::Reading {
                self.ignored += (text.len() - at) as u64;
                return;
            }
            at += self.skip_idle(text.get(at..).unwrap_or_default());
            let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) else {
                return;
            };
            self.advance(self.program.nfa.alphabet.class(c), c.len_utf8());
            at += c.len_utf8();
        }
    }

    /// Passes over the characters with which no match begins, as long as no match may be in progress; how many bytes they are.
    fn skip_idle(&mut self, text: &str) -> usize {
        let Threads::Known { place, starts } = &mut self.threads else {
            return 0;
        };
        if !starts.is_empty() {
            return 0;
        }
        let idle = self.program.idle();
        let begins = |byte: &u8| !idle.get(usize::from(*byte)).is_some_and(|idle| *idle);
        let bytes = text.as_bytes();
        let length = bytes.iter().position(begins).unwrap_or(bytes.len());
        if let Some(last) = length.checked_sub(1).and_then(|last| bytes.get(last)) {
            let alphabet = &self.program.nfa.alphabet;
            *place = Steps::idle(alphabet.side(alphabet.ascii_class(*last)));
            self.place += length as u64;
        }
        length
    }

    /// One step over a character of `len` bytes.
    fn advance(&mut self, class: CharClass, len: usize) {
        if let Threads::Known { place, starts } = &mut self.threads {
            let known = match self.steps.step(*place, class) {
                Some(known) => Some(known),
                None => {
                    let scratch = scratch(&mut self.scratch, &self.program);
                    self.steps.learn(&self.program, scratch, *place, class)
                }
            };
            match known {
                Some(Known::Idle(next)) => {
                    *place = next;
                    starts.clear();
                    self.place += len as u64;
                    return;
                }
                Some(Known::Move(step)) => match step.matched {
                    Some(pattern) => return self.matches(pattern, len),
                    None => {
                        step.starts(starts, self.place, &mut self.spare);
                        std::mem::swap(starts, &mut self.spare);
                        *place = step.next;
                        self.place += len as u64;
                        return self.check_length();
                    }
                },
                None => {
                    let (threads, left) = self.threads.all(&self.steps);
                    self.threads = Threads::Own {
                        threads,
                        spare: Vec::new(),
                        left,
                        steps: 0,
                    };
                }
            }
        }
        self.advance_alone(class, len);
    }

    /// The same, without memory.
    fn advance_alone(&mut self, class: CharClass, len: usize) {
        let Threads::Own {
            threads,
            spare,
            left,
            steps,
        } = &mut self.threads
        else {
            return;
        };
        let matched = Stepper {
            program: &self.program,
            scratch: scratch(&mut self.scratch, &self.program),
            left: *left,
            class,
        }
        .step(threads, self.place, spare);
        if let Some(pattern) = matched {
            return self.matches(pattern, len);
        }
        std::mem::swap(threads, spare);
        *left = self.program.nfa.alphabet.side(class);
        *steps += 1;
        let (left, steps) = (*left, *steps);
        self.place += len as u64;
        if threads.is_empty() {
            self.threads = Threads::none(left);
        } else if steps >= UNREMEMBERED {
            self.program.forget(&self.steps);
            self.remember_anew();
        }
        self.check_length();
    }

    /// Goes on with what the streams of the program remember now.
    fn remember_anew(&mut self) {
        let (threads, left) = self.threads.all(&self.steps);
        self.steps = self.program.steps();
        let states = threads.iter().map(|(state, _)| *state).collect();
        self.threads = match self.steps.find_or_make(left, states) {
            Some(place) => Threads::Known {
                place,
                starts: threads.into_iter().map(|(_, start)| start).collect(),
            },
            None => Threads::Own {
                threads,
                spare: Vec::new(),
                left,
                steps: 0,
            },
        };
    }

    fn matches(&mut self, pattern: u32, len: usize) {
        let held_from = self.oldest();
        self.phase = Phase::Matched { pattern, held_from };
        self.place += len as u64;
    }

    /// Stops where a match in progress is longer than may be held.
    fn check_length(&mut self) {
        let limit = self.program.max_hold;
        let oldest = self.oldest();
        if !self.program.has_unbounded() || self.place - oldest <= limit {
            return;
        }
        let (threads, _) = self.threads.all(&self.steps);
        let overflows = |thread: &Thread| {
            self.place - thread.1 > limit && self.program.is_unbounded(threads::state(*thread))
        };
        if threads.iter().any(overflows) {
            self.phase = Phase::Overflowed { held_from: oldest };
        }
    }
}

impl Threads {
    fn none(left: Side) -> Self {
        Self::Known {
            place: Steps::idle(left),
            starts: Vec::new(),
        }
    }

    /// Where the oldest began.
    fn oldest(&self) -> Option<u64> {
        match self {
            Self::Known { starts, .. } => starts.first().copied(),
            Self::Own { threads, .. } => threads.first().map(|(_, start)| *start),
        }
    }

    /// All of them, the oldest first, and what is on the left.
    fn all(&self, steps: &Steps) -> (Vec<Thread>, Side) {
        match self {
            Self::Known { place, starts } => match steps.place(*place) {
                Some(place) => {
                    let threads = place.threads.iter().copied().zip(starts.iter().copied());
                    (threads.collect(), place.left)
                }
                None => (Vec::new(), Side::Other),
            },
            Self::Own { threads, left, .. } => (threads.clone(), *left),
        }
    }
}

/// What steps need that are not remembered.
fn scratch<'s>(scratch: &'s mut Option<Box<Scratch>>, program: &HoldProgram) -> &'s mut Scratch {
    scratch.get_or_insert_with(|| Box::new(Scratch::new(program)))
}
