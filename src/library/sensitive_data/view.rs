//! A text as patterns see it: in ASCII, so that they run fast on any script, and with what matters to them kept.
//!
//! - Letters of scripts that are written without spaces (Chinese, Japanese, Korean, Thai …) part words: `メールはa@b.jpです`. To
//!   `\b` they would be letters like those of the address.
//! - Wide signs and dashes are those of ASCII.
//! - Other letters become `_`, digits ASCII digits, spaces of any width a space.
//! - What is not seen at all (zero width spaces, soft hyphens) is left out.

use std::{borrow::Cow, ops::Range};

use super::checksums::digit;

/// What stands for whatever is neither letter, digit nor space.
const OTHER: char = '\u{1f}';
/// How far apart the places are that are known in both texts, in bytes of the view.
const APART: usize = 256;

/// A text with its view.
#[derive(Debug)]
pub(super) struct View<'t> {
    text: &'t str,
    seen: Cow<'t, str>,
    /// Places in the view with those in the text, where they differ.
    places: Vec<(usize, usize)>,
    parts_words: bool,
}

impl<'t> View<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self::new(text, true)
    }

    /// `parts_words`: whether letters of scripts without spaces part words.
    pub(super) fn new(text: &'t str, parts_words: bool) -> Self {
        let mut view = Self {
            text,
            seen: Cow::Borrowed(text),
            places: Vec::new(),
            parts_words,
        };
        if text.is_ascii() {
            return view;
        }
        let mut seen = String::with_capacity(text.len());
        let mut next = 0;
        for (place, c) in text.char_indices() {
            if seen.len() >= next {
                view.places.push((seen.len(), place));
                next = seen.len() + APART;
            }
            seen.extend(view.seen_as(c));
        }
        view.seen = Cow::Owned(seen);
        view
    }

    /// The text itself.
    pub(super) fn text(&self) -> &'t str {
        self.text
    }

    /// The text as patterns see it.
    pub(super) fn seen(&self) -> &str {
        &self.seen
    }

    fn seen_as(&self, c: char) -> Option<char> {
        if c.is_ascii() {
            return Some(c);
        }
        if is_invisible(c) {
            return None;
        }
        Some(if let Some(sign) = ascii_sign(c) {
            sign
        } else if c.is_whitespace() {
            ' '
        } else if let Some(digit) = digit(c).and_then(|digit| char::from_digit(digit, 10)) {
            digit
        } else if is_letter(c) && !(self.parts_words && is_unspaced(c)) {
            '_'
        } else {
            OTHER
        })
    }

    /// Where in the text stands what stands in the view at `seen`.
    pub(super) fn place(&self, seen: &Range<usize>) -> Range<usize> {
        if matches!(self.seen, Cow::Borrowed(_)) {
            return seen.clone();
        }
        let end = self.walk(seen.end);
        let mut start = self.walk(seen.start);
        // What is not seen before it is no part of it.
        let before = self.text.get(start..).unwrap_or_default().chars();
        start += before
            .take_while(|c| self.seen_as(*c).is_none())
            .map(char::len_utf8)
            .sum::<usize>();
        start..end.max(start)
    }

    fn walk(&self, seen: usize) -> usize {
        let known = self.places.partition_point(|(known, _)| *known <= seen);
        let known = known.checked_sub(1).and_then(|at| self.places.get(at));
        let (mut at, mut place) = known.copied().unwrap_or_default();
        for c in self.text.get(place..).unwrap_or_default().chars() {
            if at >= seen {
                break;
            }
            place += c.len_utf8();
            at += usize::from(self.seen_as(c).is_some());
        }
        place
    }
}

/// The sign of ASCII that a wide one, or a dash, stands for.
fn ascii_sign(c: char) -> Option<char> {
    match c {
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{30fc}' => Some('-'),
        '\u{2053}' | '\u{223c}' => Some('~'),
        '\u{ff01}'..='\u{ff5e}' => {
            let sign = char::from_u32(u32::from(c) - 0xfee0)?;
            sign.is_ascii_punctuation().then_some(sign)
        }
        _ => None,
    }
}

/// As `\w` has it, but for digits.
fn is_letter(c: char) -> bool {
    c.is_alphanumeric()
}

/// Marks that take no room.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}'
            | '\u{2066}'..='\u{2069}' | '\u{feff}'
    )
}

/// Letters of scripts that put no spaces between words, or add endings to foreign words without one.
pub(super) fn is_unspaced(c: char) -> bool {
    matches!(
        c,
        // Thai, Lao, Tibetan, Myanmar; Hangul Jamo; Khmer.
        '\u{e00}'..='\u{eff}' | '\u{f00}'..='\u{109f}' | '\u{1100}'..='\u{11ff}' | '\u{1780}'..='\u{17ff}'
            // Tai Le to Tai Tham.
            | '\u{1950}'..='\u{1aaf}'
            // Radicals, kana, Bopomofo, Hangul, Yi, Han with all their extensions.
            | '\u{2e80}'..='\u{2fff}' | '\u{3005}'..='\u{3007}' | '\u{3021}'..='\u{a4cf}'
            | '\u{a960}'..='\u{a97f}' | '\u{aa60}'..='\u{aadf}' | '\u{ac00}'..='\u{d7ff}'
            | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ffdc}' | '\u{1aff0}'..='\u{1b16f}'
            | '\u{20000}'..='\u{3ffff}'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_see_ascii() {
        let seen = |text: &str| View::of(text).seen().to_owned();
        assert_eq!(seen("卡号4111到期"), "\u{1f}\u{1f}4111\u{1f}\u{1f}");
        assert_eq!(seen("é1\u{a0}２\u{200b}3–x"), "_1 23-x");
        assert_eq!(View::new("号é", false).seen(), "__");
    }

    #[test]
    fn places_are_those_of_the_text() {
        let text = "é\u{200b}41\u{200b}11\u{200b}号";
        let view = View::of(text);
        let at = view.seen().find("4111").unwrap();
        assert_eq!(&text[view.place(&(at..at + 4))], "41\u{200b}11");
    }

    proptest! {
        #[test]
        fn what_is_ascii_is_found_where_it_stands(before in "(?s).{0,600}", after in ".{0,5}") {
            let text = format!("{before}\u{3042}#needle#{after}");
            let view = View::of(&text);
            let at = view.seen().find("#needle#").unwrap();
            prop_assert_eq!(&text[view.place(&(at..at + 8))], "#needle#");
            prop_assert!(view.seen().is_ascii());
            let all = view.place(&(0..view.seen().len()));
            prop_assert!(text.is_char_boundary(all.start) && text.is_char_boundary(all.end));
        }
    }
}
