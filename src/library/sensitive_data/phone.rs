//! Telephone numbers, as people of a few countries write their own, and international ones.

use std::{
    ops::{Range, RangeInclusive},
    sync::LazyLock,
};

use phonenumber::country::Id;
use regex::Regex;

use super::{
    entity::{after, before},
    phone_plans::{Plans, code},
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
    let mut plans = Plans::default();
    for region in &REGIONS {
        plans.is_national(region.id, code(region.id), "0123456789");
    }
}

/// The telephone numbers.
pub(super) fn numbers(view: &View<'_>) -> Vec<(Range<usize>, f64)> {
    Search {
        view,
        text: view.seen(),
        codes: REGIONS.each_ref().map(|region| code(region.id)),
        plans: Plans::default(),
        found: Vec::new(),
    }
    .run()
}

/// What stands between the groups of a number, in the view.
const BETWEEN: &str = r"[-/ ()\[\].~]";

/// What a number may hold, with the words of its extension.
pub(super) const HOLDS: &str =
    "0123456789 \t+-/()[].~#;:=,_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A search through the view of a text.
struct Search<'v> {
    view: &'v View<'v>,
    text: &'v str,
    codes: [u16; REGIONS.len()],
    plans: Plans,
    found: Vec<(Range<usize>, f64)>,
}

impl Search<'_> {
    fn run(mut self) -> Vec<(Range<usize>, f64)> {
        static CANDIDATE: LazyLock<Option<Regex>> = LazyLock::new(|| {
            let pattern = format!(
                r"(?:[+(\[]{BETWEEN}{{0,4}}){{0,2}}[0-9]{{1,20}}(?:{BETWEEN}{{0,4}}[0-9]{{1,20}}){{0,22}}"
            );
            Regex::new(&pattern).ok()
        });
        let Some(candidate) = CANDIDATE.as_ref() else {
            return Vec::new();
        };
        let mut from = 0;
        while let Some(number) = candidate.find_at(self.text, from) {
            let end = number.end() + self.extension(number.end());
            from = end;
            let digits = number.as_str().bytes().filter(u8::is_ascii_digit).count();
            if digits < FEWEST_DIGITS || is_date(self.text, &number.range()) {
                continue;
            }
            let whole = number.start()..end;
            if self.stands_alone(&whole) && self.is_number(&number.range()) {
                self.push(whole);
            } else {
                self.parts(number.range());
            }
        }
        self.found
    }

    /// How many bytes of an extension follow at `from`: `ext. 12`.
    fn extension(&self, from: usize) -> usize {
        static EXTENSION: LazyLock<Option<Regex>> = LazyLock::new(|| {
            let words = r"e?xt(?:ensi[o_]n?)?n?|___|anexo|int|[xX#~]";
            let pattern = format!(
                r"^(?i:(?:;ext=|[ \t,]{{0,4}}(?:{words})[:.]?[ \t,-]{{0,4}})[0-9]{{1,9}}#?|[- ]{{1,2}}[0-9]{{1,5}}#)"
            );
            Regex::new(&pattern).ok()
        });
        let near = self.text.get(from..(from + 40).min(self.text.len()));
        let found = near.and_then(|near| EXTENSION.as_ref()?.find(near));
        let Some(found) = found else {
            return 0;
        };
        // In the view any three letters of another script look like the Russian word.
        let place = self.view.place(&(from..from + found.end()));
        let said = self.view.text().get(place).unwrap_or_default();
        if found.as_str().contains('_') && !said.to_lowercase().contains("доб") {
            return 0;
        }
        found.end()
    }

    fn push(&mut self, seen: Range<usize>) {
        self.found.push((self.view.place(&seen), SCORE));
    }

    fn is_number_alone(&mut self, seen: &Range<usize>) -> bool {
        self.stands_alone(seen) && self.is_number(seen)
    }

    /// Splits a candidate that is no number as a whole (two with a slash between them, a number with another before it), and adds
    /// the parts that are.
    fn parts(&mut self, candidate: Range<usize>) {
        static SEPARATORS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
            [
                r"/+",
                r"[(\[]",
                r"[ \t]+-+[ \t]*|-+[ \t]+",
                r"\.+[ \t]+",
                r"[ \t]+",
            ]
            .iter()
            .filter_map(|separator| Regex::new(separator).ok())
            .collect()
        });
        let content = self.text.get(candidate.clone()).unwrap_or_default();
        for (kind, separator) in SEPARATORS.iter().enumerate() {
            let mut any = false;
            let mut from = 0;
            // A bracket belongs to what it opens; what comes after a slash or a dash may hold more of them.
            let (opens, leaves_rest) = (kind == 1, kind == 0 || kind == 2);
            let ends = separator
                .find_iter(content)
                .map(|cut| (cut.start(), if opens { cut.start() } else { cut.end() }));
            for (end, next) in ends.chain([(content.len(), content.len())]) {
                let part = candidate.start + from..candidate.start + end;
                from = next;
                let part = trimmed(self.text, part);
                if part != candidate && self.is_number_alone(&part) {
                    any = true;
                    self.push(part);
                }
            }
            if leaves_rest
                && !any
                && let Some(cut) = separator.find_iter(content).find(|cut| cut.start() > 0)
            {
                let start = candidate.start + cut.end();
                let part = trimmed(self.text, start..candidate.end);
                if self.is_number_alone(&part) {
                    any = true;
                    self.push(part);
                }
            }
            if any {
                return;
            }
        }
    }

    fn is_number(&mut self, seen: &Range<usize>) -> bool {
        let content = self.text.get(seen.clone()).unwrap_or_default();
        let count = content.bytes().filter(u8::is_ascii_digit).count();
        if !DIGITS.contains(&count) || !is_bracketed(content) {
            return false;
        }
        let digits: String = content.chars().filter(char::is_ascii_digit).collect();
        if content.contains('+') {
            return self.plans.is_international(&digits);
        }
        // Numbers of other countries, as one dials them there.
        let abroad = digits.starts_with("00") || digits.starts_with("011");
        let Self { plans, codes, .. } = self;
        REGIONS.iter().zip(codes).any(|(region, code)| {
            digits.starts_with(region.first)
                && (abroad || region.digits.contains(&digits.len()))
                && plans.is_national(region.id, *code, &digits)
        })
    }

    /// No letter touches it, nor a sign of money or percent; and it is no part of an id.
    fn stands_alone(&self, seen: &Range<usize>) -> bool {
        let range = self.view.place(seen);
        let text = self.view.text();
        let touches = |c: char| {
            c.is_ascii_alphabetic() || "%$€£¥".contains(c) || ('\u{c0}'..='\u{24f}').contains(&c)
        };
        let opens = after(self.text, seen.start).is_some_and(|c| "+([".contains(c));
        (opens || !before(text, range.start).is_some_and(touches) && !self.ends_id(seen))
            && !after(text, range.end).is_some_and(|c| touches(c) || c == '_')
    }

    /// Whether digits without any sign between them are the end of an id: `call_1839366227`, `order-1839366227`.
    fn ends_id(&self, seen: &Range<usize>) -> bool {
        let head = self.text.get(..seen.start).unwrap_or_default();
        if head.ends_with('_') {
            return true;
        }
        let Some(name) = head.strip_suffix('-') else {
            return false;
        };
        let digits = self.text.get(seen.clone()).unwrap_or_default();
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return false;
        }
        let letters = name.bytes().rev().take_while(u8::is_ascii_alphanumeric);
        let word = name
            .get(name.len() - letters.take(16).count()..)
            .unwrap_or_default();
        let says_number = |known: &&str| word.eq_ignore_ascii_case(known);
        word.bytes().any(|byte| byte.is_ascii_alphabetic())
            && ![
                "tel",
                "phone",
                "telephone",
                "mobile",
                "cell",
                "fax",
                "call",
                "ph",
            ]
            .iter()
            .any(says_number)
    }
}

/// The part without what is no part of a number at its ends.
fn trimmed(text: &str, part: Range<usize>) -> Range<usize> {
    let content = text.get(part.clone()).unwrap_or_default();
    let head = content.len()
        - content
            .trim_start_matches(|c: char| !c.is_ascii_digit() && !"+([".contains(c))
            .len();
    let tail = content.len()
        - content
            .trim_end_matches(|c: char| !c.is_ascii_digit())
            .len();
    if head + tail >= content.len() {
        return part.start..part.start;
    }
    part.start + head..part.end - tail
}

/// Its brackets, if any, close, and none stands in another.
fn is_bracketed(content: &str) -> bool {
    let mut open = false;
    for c in content.chars() {
        match c {
            '(' | '[' if open => return false,
            '(' | '[' => open = true,
            ')' | ']' if !open => return false,
            ')' | ']' => open = false,
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
            "６５０－２５３－００００",
            "＋４４ ２０ ７９４６ ０９５８",
            "650\u{a0}253\u{a0}0000",
            "650‐253‐0000",
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
            "call_1839366227",
            "6502530000_x",
            "order-6502530000",
            "chatcmpl-6502530000",
            "550e8400-e29b-41d4-a716-446655440000",
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
        ] {
            assert_eq!(all(text), Vec::<&str>::new(), "{text}");
        }
    }
}
