//! Sets of characters as Python understands them: `\w`, `\d`, `\s`, and case folding.
//!
//! Python's `\w` is `str.isalnum()` or `_`: letters and numbers of every kind, but no combining
//! marks, so it differs from the `\w` of the `regex` crate. The tables are those of `regex-syntax`
//! and of the standard library, whose Unicode versions are newer than those of some Pythons.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange, HirKind};

/// Python's `\w`.
pub(in crate::pattern) fn word() -> Arc<ClassUnicode> {
    static SET: LazyLock<Arc<ClassUnicode>> =
        LazyLock::new(|| Arc::new(table(WORD_SYNTAX).unwrap_or_else(word_fallback)));
    Arc::clone(&SET)
}

/// [`word`] in the syntax of the `regex` crate.
pub(in crate::pattern) const WORD_SYNTAX: &str = r"[\p{L}\p{N}_]";

/// Python's `\d`.
pub(in crate::pattern) fn digit() -> Arc<ClassUnicode> {
    static SET: LazyLock<Arc<ClassUnicode>> =
        LazyLock::new(|| Arc::new(table(r"\p{Nd}").unwrap_or_else(ascii_digit)));
    Arc::clone(&SET)
}

/// Python's `\s`: `str.isspace()`.
pub(in crate::pattern) fn space() -> Arc<ClassUnicode> {
    static SET: LazyLock<Arc<ClassUnicode>> = LazyLock::new(|| {
        Arc::new(of_ranges(&[
            ('\t', '\r'),
            ('\x1c', ' '),
            ('\u{85}', '\u{85}'),
            ('\u{a0}', '\u{a0}'),
            ('\u{1680}', '\u{1680}'),
            ('\u{2000}', '\u{200a}'),
            ('\u{2028}', '\u{2029}'),
            ('\u{202f}', '\u{202f}'),
            ('\u{205f}', '\u{205f}'),
            ('\u{3000}', '\u{3000}'),
        ]))
    });
    Arc::clone(&SET)
}

/// `\w` with the flag `a`.
pub(in crate::pattern) fn ascii_word() -> ClassUnicode {
    of_ranges(&[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')])
}

/// `\d` with the flag `a`.
pub(in crate::pattern) fn ascii_digit() -> ClassUnicode {
    of_ranges(&[('0', '9')])
}

/// `\s` with the flag `a`.
pub(in crate::pattern) fn ascii_space() -> ClassUnicode {
    of_ranges(&[('\t', '\r'), (' ', ' ')])
}

/// The set of one character.
pub(in crate::pattern) fn single(c: char) -> ClassUnicode {
    of_ranges(&[(c, c)])
}

/// The set of a range of code points; surrogates, which no text holds, are left out.
pub(in crate::pattern) fn of_points(low: u32, high: u32) -> ClassUnicode {
    let below = (low, high.min(0xd7ff));
    let above = (low.max(0xe000), high.min(0x10_ffff));
    ClassUnicode::new(
        [below, above]
            .into_iter()
            .filter(|(low, high)| low <= high)
            .filter_map(|(low, high)| {
                Some(ClassUnicodeRange::new(
                    char::from_u32(low)?,
                    char::from_u32(high)?,
                ))
            }),
    )
}

/// Whether the set holds the character.
pub(in crate::pattern) fn holds(set: &ClassUnicode, c: char) -> bool {
    set.ranges()
        .binary_search_by(|range| {
            if range.end() < c {
                std::cmp::Ordering::Less
            } else if range.start() > c {
                std::cmp::Ordering::Greater
            } else {
                std::cmp::Ordering::Equal
            }
        })
        .is_ok()
}

/// The single character of a set that has just one.
pub(in crate::pattern) fn only(set: &ClassUnicode) -> Option<char> {
    match set.ranges() {
        [range] if range.start() == range.end() => Some(range.start()),
        _ => None,
    }
}

/// What a literal matches without regard to case.
pub(in crate::pattern) fn fold_literal(c: char, ascii: bool) -> ClassUnicode {
    if ascii {
        return fold_set(&single(c), true);
    }
    let cased = CASES.lower(c) != c || CASES.has_upper(c);
    if cased {
        fold_set(&single(c), false)
    } else {
        single(c)
    }
}

/// What a set matches without regard to case. Python lowers both sides, then adds what shares an
/// upper case with a lower case of the set; a text character is a member when its lower case is.
pub(in crate::pattern) fn fold_set(set: &ClassUnicode, ascii: bool) -> ClassUnicode {
    let mut folded = set.clone();
    if ascii {
        for (lower, upper) in ('a'..='z').zip('A'..='Z') {
            if holds(set, lower) || holds(set, upper) {
                folded.union(&single(lower));
                folded.union(&single(upper));
            }
        }
        return folded;
    }
    let mut lowered: Vec<char> = Vec::new();
    for &(upper, lower) in &CASES.pairs {
        if holds(set, upper) && !holds(set, lower) {
            lowered.push(lower);
        }
    }
    folded.union(&of_chars(&lowered));
    let same: Vec<char> = SAME_UPPER
        .iter()
        .filter(|group| group.iter().any(|c| holds(&folded, *c)))
        .flat_map(|group| group.iter().copied())
        .collect();
    folded.union(&of_chars(&same));
    let raised: Vec<char> = CASES
        .pairs
        .iter()
        .filter(|(_, lower)| holds(&folded, *lower))
        .map(|(upper, _)| *upper)
        .collect();
    folded.union(&of_chars(&raised));
    folded
}

/// Lower-case characters that share their upper case.
const SAME_UPPER: &[&[char]] = &[
    &['i', 'ı'],
    &['s', 'ſ'],
    &['µ', 'μ'],
    &['\u{345}', 'ι', '\u{1fbe}'],
    &['\u{390}', '\u{1fd3}'],
    &['\u{3b0}', '\u{1fe3}'],
    &['β', 'ϐ'],
    &['ε', 'ϵ'],
    &['θ', 'ϑ'],
    &['κ', 'ϰ'],
    &['π', 'ϖ'],
    &['ρ', 'ϱ'],
    &['ς', 'σ'],
    &['φ', 'ϕ'],
    &['в', '\u{1c80}'],
    &['д', '\u{1c81}'],
    &['о', '\u{1c82}'],
    &['с', '\u{1c83}'],
    &['т', '\u{1c84}', '\u{1c85}'],
    &['ъ', '\u{1c86}'],
    &['ѣ', '\u{1c87}'],
    &['\u{1c88}', '\u{a64b}'],
    &['\u{1e61}', '\u{1e9b}'],
    &['\u{fb05}', '\u{fb06}'],
];

static CASES: LazyLock<Cases> = LazyLock::new(Cases::new);

struct Cases {
    /// Characters with the single character that is their lower case, by character.
    pairs: Vec<(char, char)>,
    lowers: HashMap<char, char>,
}

impl Cases {
    fn new() -> Self {
        // No character beyond has cases.
        let pairs: Vec<(char, char)> = ('\0'..='\u{1ffff}')
            .filter_map(|c| {
                // Only `İ` lowers to more than one character; the first is its simple lower case.
                let lower = c.to_lowercase().next()?;
                (lower != c).then_some((c, lower))
            })
            .collect();
        Self {
            lowers: pairs.iter().copied().collect(),
            pairs,
        }
    }

    fn lower(&self, c: char) -> char {
        self.lowers.get(&c).copied().unwrap_or(c)
    }

    /// Whether the simple upper case of `c` is another character.
    fn has_upper(&self, c: char) -> bool {
        let mut upper = c.to_uppercase();
        match (upper.next(), upper.next()) {
            (Some(single), None) => single != c,
            // The full upper case is longer; a simple one is what lowers to `c`.
            _ => self.pairs.iter().any(|(_, lower)| *lower == c),
        }
    }
}

fn of_ranges(ranges: &[(char, char)]) -> ClassUnicode {
    ClassUnicode::new(
        ranges
            .iter()
            .map(|(low, high)| ClassUnicodeRange::new(*low, *high)),
    )
}

fn of_chars(chars: &[char]) -> ClassUnicode {
    ClassUnicode::new(chars.iter().map(|c| ClassUnicodeRange::new(*c, *c)))
}

fn table(syntax: &str) -> Option<ClassUnicode> {
    match regex_syntax::parse(syntax).ok()?.into_kind() {
        HirKind::Class(regex_syntax::hir::Class::Unicode(set)) => Some(set),
        _ => None,
    }
}

/// `\w` by the standard library alone, for a `regex-syntax` built without its tables.
fn word_fallback() -> ClassUnicode {
    let chars: Vec<char> = ('\0'..=char::MAX)
        .filter(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    of_chars(&chars)
}
