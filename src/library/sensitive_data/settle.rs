//! How far a text that still grows is settled.
//!
//! What patterns find with spaces in it, numbers in groups, has digits all along. So a plain word with no digit near before
//! it belongs to none of it: nothing reaches from before its end to behind it. The text is settled up to the last such word.

use super::{checksums::is_digit, context};

/// How many letters a word must have: shorter ones stand in plates, post codes and account numbers.
const LETTERS: usize = 5;
/// How many bytes before the end of the word there may be no digit: more than any number with its letters has.
const NO_DIGIT: usize = 96;
/// How many bytes before a place decide what is found from there on: words that speak for it, and labels.
const DECIDES: usize = context::REACH + 256;

/// How far back a word is looked for, in bytes: each piece of a text is looked at as it comes.
const LOOKS_BACK: usize = 4096;

/// The byte of `text` up to which it is settled, whatever follows; 0 where none is near its end.
pub(super) fn settled(text: &str) -> usize {
    let mut end = text.len();
    while text.len() - end < LOOKS_BACK
        && let Some(head) = text.get(..end)
    {
        // A space must follow, or the word may go on.
        let Some((space, _)) = head.char_indices().rev().find(|(_, c)| separates(*c)) else {
            return 0;
        };
        if is_settled(text.get(..space).unwrap_or_default()) {
            return space;
        }
        end = space;
    }
    0
}

/// Where to begin in `text` so that from `from` on the same is found as in all of it.
pub(super) fn begin(text: &str, from: usize) -> usize {
    let mut before = from.saturating_sub(DECIDES);
    while !text.is_char_boundary(before) {
        before -= 1;
    }
    text.get(..before).map_or(0, settled)
}

/// Whether `text`, after which a space stands, ends in such a word.
fn is_settled(text: &str) -> bool {
    let punctuation = |c: char| ".,;:!?)]\"'".contains(c);
    let word = text.trim_end_matches(punctuation);
    let begin = word
        .char_indices()
        .rev()
        .find(|(_, c)| separates(*c))
        .map_or(0, |(at, c)| at + c.len_utf8());
    let word = word.get(begin..).unwrap_or_default();
    let letters = word.trim_start_matches(['(', '[', '"', '\'']);
    let mut near = text.len().saturating_sub(NO_DIGIT);
    while !text.is_char_boundary(near) {
        near -= 1;
    }
    letters.chars().count() >= LETTERS
        && letters.chars().all(char::is_alphabetic)
        && !text.get(near..).unwrap_or_default().contains(is_digit)
}

fn separates(c: char) -> bool {
    c.is_whitespace() || "。，、；：！？".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_settle_a_text() {
        let upto = |text: &str| text[..settled(text)].to_owned();
        assert_eq!(upto("Hello there, my card"), "Hello there,");
        assert_eq!(upto("Hello there, my"), "Hello there,");
        assert_eq!(upto("Hello there"), "Hello");
        assert_eq!(upto("Hello"), "");
        assert_eq!(upto("Hello 4012 8888 extension 5"), "Hello");
        assert_eq!(
            upto("write ann@example.com please now"),
            "write ann@example.com please"
        );
        assert_eq!(upto("see example. Or"), "see example.");
        assert_eq!(upto("こんにちは、世界"), "こんにちは");
        assert_eq!(upto(""), "");
    }
}
