//! `docs/rails.md` says what the declarations say.

use std::path::Path;

#[test]
fn rails_docs_are_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rails.md");
    let current = tower_guardrails::library::markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &current).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(
        written == current,
        "docs/rails.md is not current: run `UPDATE_DOCS=1 cargo test rails_docs`"
    );
}

#[test]
fn engines_docs_are_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/engines.md");
    let current = tower_guardrails::llm::engines_markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &current).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == current,
        "docs/engines.md is not current: run `UPDATE_DOCS=1 cargo test engines_docs`"
    );
}
