//! Replays the fuzz targets' seeds: `fuzz/seeds/TARGET/*`.
//!
//! With `FUZZ_SECONDS=N` each target then runs for N seconds on inputs that are made from its seeds by chance: less than `cargo fuzz`,
//! which learns from the code that an input reaches, but with nothing to install. `FUZZ_START=N` begins with other inputs.

#![allow(clippy::print_stderr, reason = "who fuzzes reads what was found")]

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

#[path = "../fuzz/checks.rs"]
mod checks;

/// Runs `check` on each seed of `target`, and on each of its beginnings.
fn replay(target: &str, check: fn(&[u8])) {
    replay_some(target, 1, check);
}

/// Runs `check` on each seed of `target`, and on every `step`th of its beginnings.
fn replay_some(target: &str, step: usize, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target);
    let mut seeds = Vec::new();
    for entry in fs::read_dir(&folder).expect("the seeds are checked in") {
        let seed = fs::read(entry.expect("a readable folder").path()).expect("a readable seed");
        for end in (0..seed.len()).step_by(step) {
            check(&seed[..end]);
        }
        check(&seed);
        seeds.push(seed);
    }
    assert!(!seeds.is_empty(), "no seeds in {}", folder.display());
    seeds.sort();
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    if let Some(seconds) = number("FUZZ_SECONDS") {
        let chance = Chance(number("FUZZ_START").unwrap_or(1));
        let count = run_for(Duration::from_secs(seconds), &seeds, chance, check);
        eprintln!("{target}: {count} inputs");
    }
}

/// Runs `check` on inputs made from `seeds`; gives how many. The input that fails is shown.
fn run_for(time: Duration, seeds: &[Vec<u8>], mut chance: Chance, check: fn(&[u8])) -> u64 {
    /// Shows the input that it holds when a check panics.
    struct Shown<'a>(&'a [u8]);
    impl Drop for Shown<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("the input was b\"{}\"", self.0.escape_ascii());
            }
        }
    }
    let end = Instant::now() + time;
    let mut count = 0;
    while Instant::now() < end {
        let input = made(seeds, &mut chance);
        let shown = Shown(&input);
        let begin = Instant::now();
        check(&input);
        assert!(begin.elapsed() < Duration::from_secs(20), "too slow");
        drop(shown);
        count += 1;
    }
    count
}

/// An input made from seeds: pieces of them are moved, copied, taken out and changed.
fn made(seeds: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    const PIECES: [&[u8]; 24] = [
        b"\n",
        b"\n\n",
        b"  ",
        b"\"",
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b"(",
        b")",
        b"$",
        b":",
        b"\0",
        b"\xff",
        b"\xc3\xa9",
        b"\xf0\x9f\x98\x80",
        b"\\u0041",
        b"99999999999",
        b"-1",
        b"null",
        b"*",
        b"?",
        b"|",
    ];
    let pick = |chance: &mut Chance| seeds[chance.below(seeds.len())].clone();
    let mut input = pick(chance);
    for _ in 0..=chance.below(8) {
        let at = chance.below(input.len() + 1);
        let length = chance.below(16).min(input.len() - at);
        match chance.below(7) {
            0 => drop(input.drain(at..at + length)),
            1 => {
                let copy = input[at..at + length].to_vec();
                let to = chance.below(input.len() + 1);
                input.splice(to..to, copy);
            }
            2 => {
                let other = pick(chance);
                let from = chance.below(other.len() + 1);
                let until = (from + 1 + chance.below(64)).min(other.len());
                input.splice(at..at, other[from..until].iter().copied());
            }
            3 => {
                let piece = PIECES[chance.below(PIECES.len())];
                input.splice(at..at, piece.iter().copied());
            }
            4 => {
                let piece = PIECES[chance.below(PIECES.len())];
                input.splice(at..at + length, piece.iter().copied());
            }
            5 if at < input.len() => input[at] ^= 1 << chance.below(8),
            _ => input.truncate(at.max(2)),
        }
    }
    input.truncate(4096);
    input
}

/// Numbers by chance (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % (limit.max(1) as u64)).unwrap_or(0)
    }
}

#[test]
fn strict_json() {
    replay("strict_json", checks::strict_json);
}

#[test]
fn sse() {
    replay("sse", checks::sse);
}

#[test]
fn framing() {
    replay("framing", checks::framing);
}

#[test]
fn stream_guard() {
    replay("stream_guard", checks::stream_guard);
}

#[test]
fn colang() {
    replay("colang", checks::colang);
}

#[test]
fn cut() {
    replay("cut", checks::cut);
}

#[test]
fn wire() {
    replay("wire", checks::wire);
}

#[test]
fn config() {
    // Each reads the whole standard library.
    replay_some("config", 16, checks::config);
}

#[test]
fn expression() {
    replay("expression", checks::expression);
}

#[test]
fn pattern() {
    replay("pattern", checks::pattern);
}

#[test]
fn template() {
    replay("template", checks::template);
}
