//! Texts of a dialog: what a user said, and what a model wrote, its lines, its message, its quotes.

use serde_json::Value;

pub(super) use crate::llm::completion::{message, unquoted};

/// The text of a user's message: of its parts, those that are text, with spaces between.
pub(super) fn text_of(content: Option<&Value>) -> String {
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let texts = parts
                .iter()
                .filter(|part| part.get("type").is_some_and(|kind| kind == "text"));
            texts
                .filter_map(|part| part.get("text")?.as_str())
                .collect::<Vec<_>>()
                .join(" ")
        }
        _ => String::new(),
    }
}

/// The first line that is not empty, trimmed.
pub(super) fn first_line(text: &str) -> Option<&str> {
    text.split('\n')
        .map(str::trim)
        .find(|line| !line.is_empty())
}

/// The first `count` lines that are neither empty nor comments, trimmed.
pub(super) fn first_lines(text: &str, count: usize) -> Vec<&str> {
    text.split('\n')
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .take(count)
        .collect()
}

/// A general answer as it is said: trimmed, and without the quotes around it, where there are two.
pub(super) fn general_answer(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(text)
}

/// `\n` written as two characters is a line break.
pub(super) fn with_line_breaks(text: &str) -> String {
    text.replace("\\n", "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_general_answer_loses_the_quotes_around_it() {
        assert_eq!(general_answer(" \"Yes\" "), "Yes");
        assert_eq!(general_answer("\"Yes\", he said."), "\"Yes\", he said.");
        assert_eq!(general_answer("\""), "\"");
        assert_eq!(general_answer(" Hi. "), "Hi.");
    }

    #[test]
    fn comments_are_no_lines() {
        assert_eq!(first_lines("# note\n\n a\nb\nc", 2), ["a", "b"]);
        assert_eq!(first_line(" \n x \n"), Some("x"));
        assert_eq!(first_line(""), None);
    }
}
