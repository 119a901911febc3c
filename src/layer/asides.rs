//! What stands beside the payloads of a stream: comments, names of records, unknown fields. A client may show or log them, so
//! that rails read them; what says nothing, and what was read before, holds nothing up.

use std::collections::VecDeque;

/// The lines beside the payloads, for rails that ask.
#[derive(Debug, Default)]
pub(super) struct Asides {
    /// Whether rails ask about them at all.
    is_asked: bool,
    /// Whether a rail may stop them: what is only monitored holds nothing up.
    is_held: bool,
    waiting: Vec<Box<str>>,
    /// The lines of the question that is out.
    out: Vec<Box<str>>,
    /// How many lines were taken in, up to which they were asked about, and up to which they passed.
    read: u64,
    asked: u64,
    passed: u64,
    /// Lines that passed, since they come again.
    known: VecDeque<Box<str>>,
}

/// How many lines are remembered.
const REMEMBERED: usize = 64;
/// How long remembered lines are at most.
const LONGEST: usize = 256;

impl Asides {
    pub(super) fn new(is_asked: bool, is_held: bool) -> Self {
        Self {
            is_asked,
            is_held,
            ..Self::default()
        }
    }

    /// Takes a line in; up to where lines have to pass for it to leave.
    pub(super) fn push(&mut self, line: &str) -> Option<u64> {
        let line = line.trim();
        if !self.is_asked || says_nothing(line) {
            return None;
        }
        if self.known.iter().any(|known| **known == *line) {
            return None;
        }
        self.waiting.push(line.into());
        self.read += 1;
        Some(self.read)
    }

    /// The lines to ask about next, and up to where they reach.
    pub(super) fn next_job(&mut self) -> Option<(u64, String)> {
        if self.waiting.is_empty() || self.asked != self.passed {
            return None;
        }
        self.asked = self.read;
        self.out = std::mem::take(&mut self.waiting);
        Some((self.asked, self.out.join("\n")))
    }

    /// Notes that the lines up to `end` passed.
    pub(super) fn passed(&mut self, end: u64) {
        self.passed = end;
        for line in self.out.drain(..).filter(|line| line.len() <= LONGEST) {
            if self.known.len() == REMEMBERED {
                self.known.pop_front();
            }
            self.known.push_back(line);
        }
    }

    /// Whether the lines up to `end` may leave.
    pub(super) fn is_cleared(&self, end: u64) -> bool {
        !self.is_held || end <= self.passed
    }

    /// Whether no verdict is out or to come.
    pub(super) fn is_settled(&self) -> bool {
        self.passed == self.read
    }
}

/// Whether a line is one that servers send to keep a connection busy, or to number events.
fn says_nothing(line: &str) -> bool {
    let said = line.trim_start_matches(':').trim();
    let value = said.split_once(':').map_or(said, |(field, value)| {
        match matches!(field.trim(), "id" | "retry") {
            true => value.trim(),
            false => said,
        }
    });
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit()) && value.len() < 7;
    is_number
        || [
            "ping",
            "keep-alive",
            "keepalive",
            "keep alive",
            "heartbeat",
            "OPENROUTER PROCESSING",
            "message",
            "data",
            "error",
        ]
        .contains(&said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passed_is_not_asked_about_again() {
        let mut asides = Asides::new(true, true);
        for heartbeat in [":", ": ping", "retry: 3000", "id: 12", ": keep-alive"] {
            assert_eq!(asides.push(heartbeat), None, "{heartbeat}");
        }
        assert_eq!(asides.push(": step one"), Some(1));
        assert_eq!(asides.push("id: call me"), Some(2));
        assert_eq!(
            asides.next_job(),
            Some((2, ": step one\nid: call me".into()))
        );
        assert_eq!(asides.push(": two"), Some(3));
        assert_eq!(asides.next_job(), None);
        assert!(!asides.is_cleared(1) && !asides.is_settled());
        asides.passed(2);
        assert!(asides.is_cleared(2) && !asides.is_cleared(3));
        assert_eq!(asides.push(": step one"), None);
        assert_eq!(asides.next_job(), Some((3, ": two".into())));
        asides.passed(3);
        assert!(asides.is_settled());
    }

    #[test]
    fn what_is_only_watched_leaves_at_once() {
        let mut asides = Asides::new(true, false);
        assert_eq!(asides.push(": one"), Some(1));
        assert!(asides.is_cleared(1) && !asides.is_settled());
        assert_eq!(Asides::new(false, false).push(": one"), None);
    }
}
