//! What a worker prints, in the log.

use std::{
    io::{self, BufRead as _},
    time::{Duration, Instant},
};

/// How much of a line is logged, in bytes.
const MAX_LINE: usize = 4 << 10;
/// How many lines are logged in a [`PERIOD`]; of more, only how many there were.
const MOST_LINES: usize = 200;
const PERIOD: Duration = Duration::from_secs(1);

/// Reads `output` to its end, and logs it line by line. It is read as fast as it comes, so that a flood of it holds nobody up.
pub(super) fn log(output: impl io::Read) {
    let mut reader = io::BufReader::new(output);
    let mut budget = Budget::new(Instant::now());
    let mut line = Vec::new();
    loop {
        let piece = match reader.fill_buf() {
            Ok([]) => break,
            Ok(piece) => piece,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        let end = memchr::memchr(b'\n', piece);
        let taken = end.unwrap_or(piece.len());
        let room = MAX_LINE.saturating_sub(line.len());
        line.extend_from_slice(piece.get(..taken.min(room)).unwrap_or_default());
        reader.consume(end.map_or(taken, |end| end + 1));
        if end.is_some() {
            write(&line, &mut budget);
            line.clear();
        }
    }
    if !line.is_empty() {
        write(&line, &mut budget);
    }
    budget.close();
}

fn write(line: &[u8], budget: &mut Budget) {
    if budget.take(Instant::now()) {
        tracing::info!(target: "tower_guardrails::python", "{}", String::from_utf8_lossy(line).trim_end());
    }
}

/// How many lines may yet be logged.
struct Budget {
    since: Instant,
    logged: usize,
    dropped: usize,
}

impl Budget {
    fn new(now: Instant) -> Self {
        Self {
            since: now,
            logged: 0,
            dropped: 0,
        }
    }

    /// Whether one more line is logged.
    fn take(&mut self, now: Instant) -> bool {
        if now.duration_since(self.since) >= PERIOD {
            self.close();
            *self = Self::new(now);
        }
        let fits = self.logged < MOST_LINES;
        if fits {
            self.logged += 1;
        } else {
            self.dropped += 1;
        }
        fits
    }

    fn close(&self) {
        if self.dropped > 0 {
            tracing::warn!(target: "tower_guardrails::python", lines = self.dropped, "Python prints too much: some lines are left out");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_the_next_second_is_new() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        let logged = (0..1000).filter(|_| budget.take(start)).count();
        assert_eq!(logged, MOST_LINES);
        assert_eq!(budget.dropped, 1000 - MOST_LINES);
        assert!(budget.take(start + PERIOD));
        assert_eq!(budget.dropped, 0);
    }
}
