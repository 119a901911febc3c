//! Replays the fuzz targets' seeds: `fuzz/seeds/TARGET/*`.

use std::{fs, path::Path};

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
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("the seeds are checked in") {
        let seed = fs::read(entry.expect("a readable folder").path()).expect("a readable seed");
        for end in (0..seed.len()).step_by(step) {
            check(&seed[..end]);
        }
        check(&seed);
        count += 1;
    }
    assert!(count > 0, "no seeds in {}", folder.display());
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
