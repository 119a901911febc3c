//! Searching by patterns, and holding a stream back by them.

use std::{hint::black_box, sync::Arc};

use divan::{Bencher, counter::BytesCount};
use tower_guardrails::pattern::{HoldLimits, HoldProgram, Patterns};

fn main() {
    divan::main();
}

fn patterns(count: usize) -> Patterns {
    let sources: Vec<String> = (0..count)
        .map(|n| match n % 5 {
            0 => format!(r"\bsecret{n}\b"),
            1 => format!(r"key{n}-[0-9a-f]{{8,32}}"),
            2 => format!(r"(?i:password{n})\s*[:=]"),
            3 => format!(r"\b\d{{3}}-\d{{2}}-{n:04}\b"),
            _ => format!(r"\b[\w.+]+@host{n}\.example\b"),
        })
        .collect();
    Patterns::compile(&sources, false).unwrap_or_else(|errors| unreachable!("{errors:?}"))
}

fn text(piece: &str) -> String {
    let mut text = String::new();
    while text.len() < 12 << 10 {
        text.push_str(piece);
    }
    text
}

const ENGLISH: &str = "The quick brown fox jumps over the lazy dog, and then it rests a while. ";
const RUSSIAN: &str = "Быстрая лиса прыгает через ленивую собаку, а потом отдыхает на поляне. ";

#[divan::bench(args = [1, 50])]
fn find_ascii(bencher: Bencher<'_, '_>, count: usize) {
    let (patterns, text) = (patterns(count), text(ENGLISH));
    bencher
        .counter(BytesCount::of_str(&text))
        .bench(|| black_box(&patterns).find(black_box(&text)).is_ok());
}

#[divan::bench(args = [1, 50])]
fn find_non_ascii(bencher: Bencher<'_, '_>, count: usize) {
    let (patterns, text) = (patterns(count), text(RUSSIAN));
    bencher
        .counter(BytesCount::of_str(&text))
        .bench(|| black_box(&patterns).find(black_box(&text)).is_ok());
}

/// 3,072 tokens of four bytes; divide by that for one.
fn hold(bencher: Bencher<'_, '_>, count: usize, piece: &str) {
    let program: Arc<HoldProgram> = Arc::new(patterns(count).hold_program(HoldLimits::default()));
    let text = text(piece);
    let mut hold = program.start();
    bencher
        .counter(BytesCount::of_str(&text))
        .bench_local(move || {
            hold.reset();
            for token in text.as_bytes().chunks(4) {
                hold.push(black_box(token));
            }
            hold.held_from()
        });
}

#[divan::bench(args = [1, 50])]
fn hold_english(bencher: Bencher<'_, '_>, count: usize) {
    hold(bencher, count, ENGLISH);
}

#[divan::bench(args = [1, 50])]
fn hold_russian(bencher: Bencher<'_, '_>, count: usize) {
    hold(bencher, count, RUSSIAN);
}

/// What the hold is compared with.
#[divan::bench]
fn plain_push(bencher: Bencher<'_, '_>) {
    let text = text(ENGLISH);
    let mut buffer = Vec::with_capacity(text.len());
    bencher
        .counter(BytesCount::of_str(&text))
        .bench_local(move || {
            buffer.clear();
            for token in text.as_bytes().chunks(4) {
                buffer.extend_from_slice(black_box(token));
            }
            buffer.len()
        });
}
