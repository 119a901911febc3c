//! How far a text that still grows is settled: no match reaches from before that place to behind it, whatever follows.
//!
//! That depends on what is looked for. A match without spaces ends at a space. A number in groups is all digits and signs, so that
//! a word parts it from what follows. A match of groups of digits and letters has a digit at least every [`NO_DIGIT`] bytes: a word
//! of [`LETTERS`] letters with no digit in the [`NO_DIGIT`] bytes before its end lies in none.
//!
//! Matches of one entity with nothing but spaces between them are masked as one, so that the word before such a space must not end
//! in a match.

use super::{checksums::is_digit, context, view::is_unspaced};

/// How many letters a word must have: shorter ones stand in plates, post codes and account numbers.
const LETTERS: usize = 5;
/// How many bytes before the end of the word there may be no digit: more than any number with its letters has.
const NO_DIGIT: usize = 96;
/// How many bytes before a place decide what is found from there on: words that speak for it, and labels.
const DECIDES: usize = context::REACH + 512;
/// How far back a word is looked for, in bytes: each piece of a text is looked at as it comes.
const LOOKS_BACK: usize = 4096;
/// How many letters of scripts without spaces the name in an address of mail may have. See `web::emails`.
pub(super) const NAME: usize = 64;

/// What parts one match from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    /// What matches with spaces in them are made of.
    pub(super) spaced: Spaced,
    /// Signs without which a word holds no match.
    pub(super) signs: Signs,
    /// Whether addresses of mail are looked for, whose names may be of any letters.
    pub(super) mail: bool,
    /// What matches may hold, but for addresses of mail and of pages: any other sign parts what stands before it from what follows.
    pub(super) holds: AsciiSet,
}

/// A set of characters of ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AsciiSet(u128);

impl AsciiSet {
    pub(super) const NONE: Self = Self(0);
    pub(super) const ALL: Self = Self(u128::MAX);

    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[cfg(feature = "phone-numbers")]
    pub(super) fn with(self, characters: &str) -> Self {
        characters.bytes().fold(self, Self::with_byte)
    }

    pub(super) fn with_byte(self, byte: u8) -> Self {
        Self(self.0 | 1_u128.checked_shl(byte.into()).unwrap_or(0))
    }

    /// Whether `c` is a character of ASCII that is not in the set.
    fn lacks(self, c: char) -> bool {
        c.is_ascii() && self.0 & 1 << u32::from(c) == 0
    }
}

/// What matches with spaces in them are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Spaced {
    /// There are none.
    None,
    /// Digits and signs, and the words of extensions.
    Digits,
    /// Digits and letters.
    Letters,
}

/// Signs of which every match has at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signs {
    pub(super) at: bool,
    pub(super) dot: bool,
    /// Any digit.
    pub(super) digit: bool,
    /// Anything that is no letter: there are matches without a digit.
    pub(super) any: bool,
}

impl Rule {
    /// The byte of `text` up to which it is settled, whatever follows; 0 where none is near its end.
    pub(super) fn settled(self, text: &str) -> usize {
        let from = floor(text, text.len().saturating_sub(LOOKS_BACK));
        let near = text.get(from..).unwrap_or_default();
        let mut end = near.len();
        // A space must follow a word, or it may go on.
        while let Some(head) = near.get(..end)
            && let Some((space, c)) = head.char_indices().rev().find(|(_, c)| separates(*c))
        {
            let is_last = end == near.len();
            if is_last && let Some(settled) = self.within(near, space) {
                return from + settled;
            }
            // Only over spaces are matches joined, and in no match is such a one.
            let parts = c != ' ' && self.holds.lacks(c);
            if parts || self.is_settled(near.get(..space).unwrap_or_default(), from == 0) {
                return from + space;
            }
            end = space;
        }
        if end == near.len() && from == 0 || !near.contains(separates) {
            return self.within(near, 0).map_or(0, |settled| from + settled);
        }
        0
    }

    /// Where the last word of `text`, which begins after `start`, is settled: between two letters of a script without spaces.
    fn within(self, text: &str, start: usize) -> Option<usize> {
        if self.spaced == Spaced::Letters {
            return None;
        }
        let word = text.get(start..)?;
        if self.mail && word.contains('@') {
            return None;
        }
        // What follows may be the sign of an address whose name they are.
        let kept = if self.mail { NAME + 1 } else { 0 };
        let mut letters = word.char_indices().rev().skip(kept).peekable();
        while let Some((at, c)) = letters.next() {
            if is_unspaced(c)
                && letters
                    .peek()
                    .is_some_and(|(_, before)| is_unspaced(*before))
            {
                return Some(start + at).filter(|at| *at > 0);
            }
        }
        None
    }

    /// Whether `text`, after which a space stands, ends in a word that no match reaches over; `is_all`: nothing stands before it.
    fn is_settled(self, text: &str, is_all: bool) -> bool {
        let punctuation = |c: char| ".,;:!?)]\"'".contains(c);
        let begin = text
            .char_indices()
            .rev()
            .find(|(_, c)| separates(*c))
            .map(|(at, c)| at + c.len_utf8());
        // Of a word that begins too far back nothing is known.
        let Some(begin) = begin.or(is_all.then_some(0)) else {
            return false;
        };
        let whole = text.get(begin..).unwrap_or_default();
        let word = whole.trim_end_matches(punctuation);
        if self.ends_in_sign(whole, word) {
            return true;
        }
        let letters = word.trim_start_matches(['(', '[', '"', '\'']);
        match self.spaced {
            Spaced::None => !whole.is_empty() && !self.signs.holds(whole),
            Spaced::Digits => {
                !self.signs.holds(whole)
                    && letters.chars().count() >= 2
                    && letters.chars().all(char::is_alphabetic)
                    && !begins_extension(letters)
            }
            Spaced::Letters => {
                let near = floor(text, text.len().saturating_sub(NO_DIGIT));
                letters.chars().count() >= LETTERS
                    && letters.chars().all(char::is_alphabetic)
                    && !text.get(near..).unwrap_or_default().contains(is_digit)
            }
        }
    }
}

impl Rule {
    /// Whether a sign at the end of the word `whole`, which is `word` with some punctuation, is in no match.
    fn ends_in_sign(self, whole: &str, word: &str) -> bool {
        let is_address = self.mail && whole.contains('@') || self.signs.dot && whole.contains('.');
        let last = word.chars().next_back();
        let behind = whole.get(word.len()..).unwrap_or_default().chars();
        let mut signs = last.into_iter().chain(behind);
        !is_address && signs.any(|c| !c.is_ascii_alphanumeric() && self.holds.lacks(c))
    }
}

impl Signs {
    fn holds(self, word: &str) -> bool {
        word.chars().any(|c| match c {
            '@' => self.at || self.any,
            '.' => self.dot || self.any,
            c if is_digit(c) => self.digit || self.any,
            c => self.any && !c.is_alphabetic(),
        })
    }
}

/// Where to begin in `text` so that from `from` on, up to which it is settled, the same is found as in all of it.
pub(super) fn begin(text: &str, from: usize) -> usize {
    floor(text, from.saturating_sub(DECIDES))
}

/// The words between a telephone number and its extension.
fn begins_extension(word: &str) -> bool {
    const WORDS: [&str; 6] = ["ext", "xt", "int", "anexo", "доб", "xx"];
    let lower: String = word.chars().take(8).flat_map(char::to_lowercase).collect();
    WORDS.iter().any(|known| lower.starts_with(known))
}

fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn separates(c: char) -> bool {
    c.is_whitespace() || "。，、；：！？".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: Rule = Rule {
        spaced: Spaced::None,
        signs: Signs {
            at: true,
            dot: false,
            digit: false,
            any: false,
        },
        mail: true,
        holds: AsciiSet::NONE,
    };
    const NUMBERS: Rule = Rule {
        spaced: Spaced::Digits,
        signs: Signs {
            digit: true,
            ..MAIL.signs
        },
        mail: true,
        holds: AsciiSet(0b11_1111_1111 << b'0' | 1 << b' ' | 1 << b'-' | 1 << b'('),
    };
    const ALL: Rule = Rule {
        spaced: Spaced::Letters,
        signs: Signs {
            at: true,
            dot: true,
            digit: true,
            any: true,
        },
        mail: true,
        holds: AsciiSet::ALL,
    };

    #[test]
    fn plain_words_settle_a_text() {
        let upto = |text: &str| text[..ALL.settled(text)].to_owned();
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

    #[test]
    fn what_is_looked_for_decides() {
        let upto = |rule: Rule, text: &str| text[..rule.settled(text)].to_owned();
        let code = "def f0(a, b):\n    return a + b * 0\n\nde";
        assert_eq!(upto(MAIL, code), "def f0(a, b):\n    return a + b * 0\n");
        assert_eq!(upto(NUMBERS, code), "def f0(a, b):\n    return a + b * 0\n");
        assert_eq!(upto(NUMBERS, "| 12 | 34.5 | 6"), "| 12 | 34.5 |");
        assert_eq!(upto(NUMBERS, "0.12 0.3 7\n0.5 0.25 1"), "0.12 0.3 7");
        assert_eq!(
            upto(NUMBERS, r#"{"a": [1, 2], "b": "#),
            r#"{"a": [1, 2], "b":"#
        );
        assert_eq!(upto(NUMBERS, r#"{"a": [1, 2"#), r#"{"a": [1,"#);
        assert_eq!(upto(NUMBERS, "so ann@example.com| y"), "so");
        assert_eq!(
            upto(MAIL, "12:30:01 GET /x?y=1 200 "),
            "12:30:01 GET /x?y=1 200"
        );
        assert_eq!(upto(MAIL, "to ann@example.com "), "to");
        assert_eq!(upto(NUMBERS, "call 212 555"), "call");
        assert_eq!(upto(NUMBERS, "212 555 0123 ext "), "");
        assert_eq!(upto(NUMBERS, "212 555 0123 and 3"), "212 555 0123 and");
        let thai = "สวัสดีครับ".repeat(20);
        assert!(MAIL.settled(&thai) > thai.len() / 2);
        assert!(NUMBERS.settled(&format!("{thai} {thai}")) > thai.len());
        let numbers = Rule {
            mail: false,
            ..NUMBERS
        };
        assert_eq!(upto(numbers, "请拨打電話12"), "请拨打電");
        assert_eq!(upto(MAIL, &format!("a@{thai}")), "");
    }

    /// A text that does not settle is not read again for each piece.
    #[test]
    fn only_the_end_of_a_text_is_looked_at() {
        let long = "x".repeat(1 << 20);
        let started = std::time::Instant::now();
        for _ in 0..1_000 {
            assert_eq!(ALL.settled(&long), 0);
        }
        assert!(started.elapsed().as_secs() < 10);
        assert!(begin(&long, 1 << 20) >= (1 << 20) - DECIDES);
    }
}
