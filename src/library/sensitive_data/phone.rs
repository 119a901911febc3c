//! Telephone numbers, as people of a few countries write their own, and international ones.

use std::{
    ops::{Range, RangeInclusive},
    sync::LazyLock,
};

use phonenumber::country::Id;
use regex::Regex;

use super::{
    checksums::{digit, is_digit},
    entity::{after, before},
    view::View,
};

/// How sure a number that the plan of a country knows is.
const SCORE: f64 = 0.4;
/// A country whose numbers are known without `+`.
struct Region {
    id: Id,
    /// What its numbers begin with.
    first: &'static [char],
    /// How many digits they have, with the prefix.
    digits: RangeInclusive<usize>,
}

const ANY: &[char] = &['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'];

#[rustfmt::skip]
const REGIONS: [Region; 8] = [
    Region { id: Id::US, first: ANY, digits: 10..=11 },
    Region { id: Id::CA, first: ANY, digits: 10..=11 },
    Region { id: Id::GB, first: &['0'], digits: 8..=12 },
    Region { id: Id::DE, first: &['0'], digits: 6..=16 },
    Region { id: Id::FR, first: &['0'], digits: 10..=14 },
    Region { id: Id::IL, first: &['0', '1'], digits: 8..=13 },
    Region { id: Id::IN, first: ANY, digits: 8..=14 },
    Region { id: Id::BR, first: ANY, digits: 8..=14 },
];
/// The digits of a number with all prefixes.
const DIGITS: Range<usize> = FEWEST_DIGITS..20;
/// The digits that a number has at least.
pub(super) const FEWEST_DIGITS: usize = 6;

/// Reads the numbering plans, which takes a fraction of a second, before the first text comes.
pub(super) fn prepare() {
    for region in &REGIONS {
        is_valid(Some(region.id), "0123456789");
    }
}

/// The telephone numbers.
pub(super) fn numbers(view: &View<'_>) -> Vec<(Range<usize>, f64)> {
    let text = view.text();
    static CANDIDATE: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let between = r"[-‐-―−ー－-／  \u{ad}\u{200b}\u{2060}\u{3000}()（）［］.\[\]/~⁓∼～]";
        let extension = concat!(
            r"(?:;ext=|[  \t,]{0,4}(?:e?xt(?:ensi[oó]n?)?n?|доб|anexo|int|[xX#~＃])[:.．]?[  \t,-]{0,4})\d{1,9}#?",
            r"|[- ]{1,2}\d{1,5}#"
        );
        let pattern = format!(
            r"(?:[+＋(\[（［]{between}{{0,4}}){{0,2}}\d{{1,20}}(?:{between}{{0,4}}\d{{1,20}}){{0,22}}(?P<extension>(?i:{extension}))?"
        );
        Regex::new(&pattern).ok()
    });
    let Some(candidate) = CANDIDATE.as_ref() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for whole in candidate.find_iter(text) {
        let digits = whole.as_str().chars().filter(|c| is_digit(*c)).count();
        if digits < FEWEST_DIGITS {
            continue;
        }
        let Some(parts_of) = candidate.captures_at(text, whole.start()) else {
            continue;
        };
        let end = parts_of
            .name("extension")
            .map_or(whole.end(), |extension| extension.start());
        let number = whole.start()..end;
        if is_date(text, &number) {
            continue;
        }
        if stands_alone(text, &whole.range()) && is_number(text.get(number.clone())) {
            found.push((whole.range(), SCORE));
        } else {
            parts(text, number, &mut found);
        }
    }
    found
}

/// What of a candidate that is no number is one: of two with a slash between them, of a number with another before it.
fn parts(text: &str, candidate: Range<usize>, found: &mut Vec<(Range<usize>, f64)>) {
    static SEPARATORS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
        [
            r"/+",
            r"[(\[（［]",
            r"\s+[-‐-―－]+\s*|[-‐-―－]+\s+",
            r"\.+\s+",
            r"\s+",
        ]
        .iter()
        .filter_map(|separator| Regex::new(separator).ok())
        .collect()
    });
    let content = text.get(candidate.clone()).unwrap_or_default();
    for separator in SEPARATORS.iter() {
        let mut any = false;
        let mut from = 0;
        let opens = separator.as_str().contains('(');
        let leaves_rest = separator.as_str().contains('/') || separator.as_str().contains('―');
        let ends = separator
            .find_iter(content)
            .map(|cut| (cut.start(), if opens { cut.start() } else { cut.end() }));
        for (end, next) in ends.chain([(content.len(), content.len())]) {
            let part = candidate.start + from..candidate.start + end;
            from = next;
            let part = trimmed(text, part);
            if part != candidate && stands_alone(text, &part) && is_number(text.get(part.clone())) {
                any = true;
                found.push((part, SCORE));
            }
        }
        // What comes after a slash or a dash may hold more of them.
        if leaves_rest
            && !any
            && let Some(cut) = separator.find_iter(content).find(|cut| cut.start() > 0)
        {
            let start = candidate.start + cut.end();
            let part = trimmed(text, start..candidate.end);
            if stands_alone(text, &part) && is_number(text.get(part.clone())) {
                any = true;
                found.push((part, SCORE));
            }
        }
        if any {
            return;
        }
    }
}

/// The part without what is no part of a number at its ends.
fn trimmed(text: &str, part: Range<usize>) -> Range<usize> {
    let content = text.get(part.clone()).unwrap_or_default();
    let head = content.len()
        - content
            .trim_start_matches(|c: char| !is_digit(c) && !"+＋([（［".contains(c))
            .len();
    let tail = content.len() - content.trim_end_matches(|c: char| !is_digit(c)).len();
    if head + tail >= content.len() {
        return part.start..part.start;
    }
    part.start + head..part.end - tail
}

fn is_number(content: Option<&str>) -> bool {
    let content = content.unwrap_or_default();
    let digits: String = content
        .chars()
        .filter_map(|c| char::from_digit(digit(c)?, 10))
        .collect();
    if !DIGITS.contains(&digits.len()) || !is_bracketed(content) {
        return false;
    }
    if content.contains(['+', '＋']) {
        return is_international(&digits);
    }
    // Numbers of other countries, as one dials them there.
    let abroad = digits.starts_with("00") || digits.starts_with("011");
    REGIONS.iter().any(|region| {
        digits.starts_with(region.first)
            && (abroad || region.digits.contains(&digits.len()))
            && is_valid(Some(region.id), &digits)
    })
}

/// Whether `digits` are a number with its country's code.
fn is_international(digits: &str) -> bool {
    let Ok(number) = phonenumber::parse(None, format!("+{digits}")) else {
        return false;
    };
    if phonenumber::is_valid(&number) {
        return true;
    }
    // The parser cuts off, once or twice, what looks like the prefix of calls within the country; here it is part of the number.
    let code = number.code().value().to_string();
    let national = number.national().to_string();
    let Some(rest) = digits.strip_prefix(&code) else {
        return false;
    };
    let cut = rest.strip_suffix(&national).unwrap_or_default();
    !cut.is_empty()
        && (1..=2).any(|times| is_valid(None, &format!("+{code}{}{rest}", cut.repeat(times))))
}

fn is_valid(region: Option<Id>, digits: &str) -> bool {
    phonenumber::parse(region, digits).is_ok_and(|number| phonenumber::is_valid(&number))
}

/// No letter touches it, nor a sign of money or percent.
fn stands_alone(text: &str, range: &Range<usize>) -> bool {
    let touches = |c: char| {
        c.is_ascii_alphabetic() || "%$€£¥".contains(c) || ('\u{c0}'..='\u{24f}').contains(&c)
    };
    let opens = after(text, range.start).is_some_and(|c| "+＋([（［".contains(c));
    (opens || !before(text, range.start).is_some_and(touches))
        && !after(text, range.end).is_some_and(touches)
}

/// Its brackets, if any, close, and none stands in another.
fn is_bracketed(content: &str) -> bool {
    let mut open = false;
    for c in content.chars() {
        match c {
            '(' | '[' | '（' | '［' if open => return false,
            '(' | '[' | '（' | '［' => open = true,
            ')' | ']' | '）' | '］' if !open => return false,
            ')' | ']' | '）' | '］' => open = false,
            _ => {}
        }
    }
    !open
}

/// Dates with slashes, and times, are made of digits too.
fn is_date(text: &str, range: &Range<usize>) -> bool {
    static DATE: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?:[0-3]?\d/[01]?\d|[01]?\d/[0-3]?\d)/(?:[12]\d)?\d{2}").ok()
    });
    static TIME: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"[12]\d{3}[-/]?[01]\d[-/]?[0-3]\d +[0-2]\d$").ok());
    static PAGES: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"\d{1,5}-+\d{1,5}\s{0,4}\(\d{1,4}").ok());
    let content = text.get(range.clone()).unwrap_or_default();
    let is = |pattern: &LazyLock<Option<Regex>>| {
        pattern
            .as_ref()
            .is_some_and(|pattern| pattern.is_match(content))
    };
    is(&DATE) || is(&PAGES) || is(&TIME) && after(text, range.end) == Some(':')
}

#[cfg(test)]
mod tests {
    use super::{View, numbers};

    fn all(text: &str) -> Vec<&str> {
        numbers(&View::of(text))
            .into_iter()
            .map(|(range, _)| &text[range])
            .collect()
    }

    #[test]
    fn numbers_of_many_countries() {
        for text in [
            "(212) 555-0123",
            "+44 20 7946 0958",
            "020 7946 0958",
            "+1-650-253-0000 ext. 12",
            "+49 30 901820",
            "+972 3-123-4567",
            "+81 3-1234-5678",
            "650.253.0000",
            "+7 847 293 88 33",
        ] {
            assert_eq!(all(&format!("Call {text}, please")), [text]);
        }
        assert_eq!(
            all("650 253 0000 / 212 736 5000"),
            ["650 253 0000", "212 736 5000"]
        );
    }

    #[test]
    fn other_digits_are_no_numbers() {
        for text in [
            "31/10/96",
            "1234",
            "20120102 08:00",
            "$6502530000",
            "a6502530000",
            "12345-12345 (1234",
            "(((",
        ] {
            assert_eq!(all(text), Vec::<&str>::new(), "{text}");
        }
    }
}
