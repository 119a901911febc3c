//! Finding the entities of a text.

use std::{ops::Range, sync::OnceLock};

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Class, Hir, HirKind};

use super::{
    checksums::is_digit,
    context,
    entity::{Check, Entity, Pattern},
    settle::{AsciiSet, Rule, Signs, Spaced},
    view::View,
};
use crate::{
    compute::Stop,
    pattern::{Patterns, SearchError},
};

/// An entity in a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    /// Where it stands, in bytes.
    pub(super) range: Range<usize>,
    /// How sure it is, from 0 to 1.
    pub(super) score: f64,
    /// Which of the entities that are looked for.
    pub(super) entity: usize,
}

/// Code that finds the places of an entity in the text, each with how sure it is.
type Find = fn(&View<'_>) -> Vec<(Range<usize>, f64)>;

/// What finds one entity.
#[derive(Debug)]
pub(super) enum Finder {
    /// Built-in patterns.
    Table(Table),
    /// Code, with the words that make what it finds likelier.
    Code(Find, &'static [&'static str], Hint),
    /// Patterns of a configuration.
    Custom(Custom),
}

/// What a text must hold at least for there to be anything to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hint {
    At,
    Dot,
    #[cfg(feature = "phone-numbers")]
    Digits(usize),
}

/// An entity of the table, compiled.
#[derive(Debug)]
pub(super) struct Table {
    entity: &'static Entity,
    patterns: Vec<(Regex, &'static Pattern, usize)>,
}

impl Table {
    /// Compiles the patterns of `entity`.
    ///
    /// # Errors
    ///
    /// A pattern that is none, which a test excludes.
    pub(super) fn new(entity: &'static Entity) -> Result<Self, regex::Error> {
        let patterns = entity.patterns.iter().map(|pattern| {
            let mut builder = RegexBuilder::new(pattern.regex);
            let regex = builder.case_insensitive(true).build()?;
            Ok((regex, pattern, fewest_digits(pattern.regex)))
        });
        let patterns = patterns.collect::<Result<_, _>>()?;
        Ok(Self { entity, patterns })
    }
}

/// A recognizer of a configuration.
#[derive(Debug)]
pub(super) struct Custom {
    pub(super) patterns: Patterns,
    pub(super) scores: Vec<f64>,
    /// Words that are sensitive themselves, with their score.
    pub(super) deny: Option<(Regex, f64)>,
    pub(super) context: Vec<String>,
}

/// Which entities are looked for, each with all that finds it.
#[derive(Debug, Default)]
pub(super) struct Detector {
    /// Their names.
    pub(super) entities: Vec<String>,
    /// What finds them, with the place of the entity's name.
    pub(super) finders: Vec<(usize, Finder)>,
    rule: OnceLock<Rule>,
}

/// What the view of a text holds, counted once for all finders.
struct Holds {
    digits: usize,
    at: bool,
    dot: bool,
}

impl Holds {
    fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
        Self {
            digits,
            at: memchr::memchr(b'@', bytes).is_some(),
            dot: memchr::memchr(b'.', bytes).is_some(),
        }
    }

    fn suit(&self, hint: Hint) -> bool {
        match hint {
            Hint::At => self.at,
            Hint::Dot => self.dot,
            #[cfg(feature = "phone-numbers")]
            Hint::Digits(digits) => self.digits >= digits,
        }
    }
}

impl Detector {
    /// What parts one match from the next.
    pub(super) fn rule(&self) -> Rule {
        *self.rule.get_or_init(|| self.find_rule())
    }

    fn find_rule(&self) -> Rule {
        let none = Rule {
            spaced: Spaced::None,
            signs: Signs {
                at: false,
                dot: false,
                digit: false,
                any: false,
            },
            mail: false,
            holds: AsciiSet::NONE,
        };
        self.finders.iter().fold(none, |rule, (_, finder)| {
            let mut rule = rule;
            match finder {
                Finder::Code(_, _, Hint::At) => {
                    rule.signs.at = true;
                    rule.mail = true;
                }
                Finder::Code(_, _, Hint::Dot) => rule.signs.dot = true,
                #[cfg(feature = "phone-numbers")]
                Finder::Code(_, _, Hint::Digits(_)) => {
                    rule.signs.digit = true;
                    rule.spaced = rule.spaced.max(Spaced::Digits);
                    rule.holds = rule.holds.with(super::phone::HOLDS);
                }
                Finder::Table(table) => {
                    for (_, pattern, digits) in &table.patterns {
                        rule.signs.digit |= *digits > 0;
                        rule.signs.any |= *digits == 0;
                        rule.spaced = rule.spaced.max(spaced(pattern.regex));
                        rule.holds = rule.holds.or(held(pattern.regex));
                    }
                }
                Finder::Custom(_) => {
                    rule.spaced = Spaced::Letters;
                    rule.holds = AsciiSet::ALL;
                }
            }
            rule
        })
    }

    /// The entities in `text` whose score is `threshold` or more: the surest first.
    ///
    /// # Errors
    ///
    /// A pattern of the configuration came to no answer.
    pub(super) fn find(
        &self,
        text: &str,
        threshold: f64,
        stop: &Stop,
    ) -> Result<Vec<Found>, SearchError> {
        let view = View::of(text);
        let holds = Holds::of(view.seen());
        let mut all = Vec::new();
        for (entity, finder) in &self.finders {
            if stop.is_set() {
                return Err(SearchError::Stopped);
            }
            let mut found = Vec::new();
            let mut push = |range: Range<usize>, score: f64| {
                if score > 0.0 {
                    found.push(Found {
                        range,
                        score,
                        entity: *entity,
                    });
                }
            };
            match finder {
                Finder::Table(table) => table.find(view.seen(), &holds, &mut |range, score| {
                    push(view.place(&range), score);
                }),
                Finder::Code(find, _, hint) if holds.suit(*hint) => {
                    find(&view)
                        .into_iter()
                        .for_each(|(range, score)| push(range, score));
                }
                Finder::Code(..) => {}
                Finder::Custom(custom) => {
                    for found in custom.patterns.find_all_until(text, stop)? {
                        let score = custom.scores.get(found.pattern).copied();
                        push(found.range, score.unwrap_or(1.0));
                    }
                    if let Some((deny, score)) = &custom.deny {
                        let words = deny.find_iter(text).filter(|found| !found.is_empty());
                        words.for_each(|found| push(found.range(), *score));
                    }
                }
            }
            for found in without_duplicates(found) {
                let score = finder.enhanced(found.score, text, found.range.start);
                if score >= threshold {
                    all.push(Found { score, ..found });
                }
            }
        }
        let mut all = without_duplicates(all);
        all.sort_by(|left, right| {
            right
                .score
                .total_cmp(&left.score)
                .then(left.range.start.cmp(&right.range.start))
                .then(right.range.end.cmp(&left.range.end))
        });
        Ok(all)
    }
}

impl Finder {
    fn enhanced(&self, score: f64, text: &str, start: usize) -> f64 {
        if score >= 1.0 {
            return score;
        }
        match self {
            Self::Table(table) => {
                context::enhanced(score, text, start, table.entity.context.iter().copied())
            }
            Self::Code(_, words, _) => context::enhanced(score, text, start, words.iter().copied()),
            Self::Custom(custom) if custom.context.is_empty() => score,
            Self::Custom(custom) => context::enhanced(
                score,
                text,
                start,
                custom.context.iter().map(String::as_str),
            ),
        }
    }
}

impl Table {
    fn find(&self, text: &str, holds: &Holds, push: &mut impl FnMut(Range<usize>, f64)) {
        for (regex, pattern, digits) in &self.patterns {
            if holds.digits < *digits {
                continue;
            }
            let mut from = 0;
            while let Some((whole, mut range)) = next(regex, text, from) {
                let stands = pattern.stands.is_none_or(|stands| stands(text, &range));
                let end = match pattern.ends {
                    Some(ends) => ends(text, &range),
                    None => Some(range.end),
                };
                let Some(end) = end.filter(|_| stands) else {
                    // None begins here, but one may a character later.
                    let character = text.get(whole.start..).and_then(|rest| rest.chars().next());
                    from = whole.start + character.map_or(1, char::len_utf8);
                    continue;
                };
                range.end = end;
                from = end.max(whole.start + 1);
                match (self.entity.check)(text.get(range.clone()).unwrap_or_default()) {
                    Check::Valid => push(range, 1.0),
                    Check::Unknown => push(range, pattern.score),
                    Check::Invalid => {}
                }
            }
        }
    }
}

/// The next match from `from`, and what of it is the entity: the group `number` where there is one.
fn next(regex: &Regex, text: &str, from: usize) -> Option<(Range<usize>, Range<usize>)> {
    if from > text.len() {
        return None;
    }
    if regex.captures_len() == 1 {
        let found = regex.find_at(text, from)?.range();
        return Some((found.clone(), found));
    }
    let found = regex.captures_at(text, from)?;
    Some((found.get(0)?.range(), found.name("number")?.range()))
}

/// Without those that stand in another of the same entity that is as sure.
fn without_duplicates(mut found: Vec<Found>) -> Vec<Found> {
    found.sort_by(|left, right| {
        (left.entity, left.range.start, right.range.end)
            .cmp(&(right.entity, right.range.start, left.range.end))
            .then(right.score.total_cmp(&left.score))
    });
    let mut kept: Vec<Found> = Vec::with_capacity(found.len());
    // Only those that reach so far can hold the next one.
    let mut reaching: Vec<Found> = Vec::new();
    for next in found {
        reaching.retain(|other| other.entity == next.entity && other.range.end >= next.range.start);
        let held = reaching
            .iter()
            .any(|other| other.range.end >= next.range.end && other.score >= next.score);
        if !held {
            reaching.push(next.clone());
            kept.push(next);
        }
    }
    kept
}

/// What matches of a pattern with spaces in them are made of.
fn spaced(pattern: &str) -> Spaced {
    let mut parser = regex_syntax::ParserBuilder::new();
    let hir = parser.case_insensitive(true).build().parse(pattern);
    let Ok(hir) = hir else {
        return Spaced::Letters;
    };
    let has = |wanted: fn(char) -> bool| may_hold(&hir, &wanted);
    match (has(char::is_whitespace), has(char::is_alphabetic)) {
        (false, _) => Spaced::None,
        (true, false) => Spaced::Digits,
        (true, true) => Spaced::Letters,
    }
}

/// The characters of ASCII that matches of a pattern may hold.
fn held(pattern: &str) -> AsciiSet {
    let mut parser = regex_syntax::ParserBuilder::new();
    let hir = parser.case_insensitive(true).build().parse(pattern);
    let Ok(hir) = hir else {
        return AsciiSet::ALL;
    };
    let all = (0..128_u8).filter(|byte| may_hold(&hir, &|c| c == char::from(*byte)));
    all.fold(AsciiSet::NONE, AsciiSet::with_byte)
}

/// Whether a match may hold a character that `wanted` says yes to.
fn may_hold(hir: &Hir, wanted: &dyn Fn(char) -> bool) -> bool {
    match hir.kind() {
        HirKind::Literal(literal) => String::from_utf8_lossy(&literal.0).chars().any(wanted),
        HirKind::Class(Class::Unicode(class)) => class.iter().any(|range| {
            // Ends of large ranges, and all that is in ASCII.
            let mut ascii = range.start()..=range.end().min('\u{7f}');
            ascii.any(wanted) || wanted(range.end())
        }),
        HirKind::Class(Class::Bytes(_)) => true,
        HirKind::Empty | HirKind::Look(_) => false,
        HirKind::Repetition(repetition) => may_hold(&repetition.sub, wanted),
        HirKind::Capture(capture) => may_hold(&capture.sub, wanted),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().any(|part| may_hold(part, wanted))
        }
    }
}

/// How many digits a match of the pattern has at least.
fn fewest_digits(pattern: &str) -> usize {
    fn fewest(hir: &Hir) -> usize {
        match hir.kind() {
            HirKind::Literal(literal) => {
                let text = String::from_utf8_lossy(&literal.0);
                text.chars().filter(|c| is_digit(*c)).count()
            }
            HirKind::Class(Class::Unicode(class)) => {
                let digits = |range: &regex_syntax::hir::ClassUnicodeRange| {
                    is_digit(range.start()) && is_digit(range.end())
                };
                usize::from(class.iter().all(digits))
            }
            HirKind::Class(Class::Bytes(_)) | HirKind::Empty | HirKind::Look(_) => 0,
            HirKind::Repetition(repetition) => {
                let times = usize::try_from(repetition.min).unwrap_or(usize::MAX);
                fewest(&repetition.sub).saturating_mul(times)
            }
            HirKind::Capture(capture) => fewest(&capture.sub),
            HirKind::Concat(parts) => parts.iter().map(fewest).sum(),
            HirKind::Alternation(parts) => parts.iter().map(fewest).min().unwrap_or(0),
        }
    }
    let mut parser = regex_syntax::ParserBuilder::new();
    let hir = parser.case_insensitive(true).build().parse(pattern);
    hir.map_or(0, |hir| fewest(&hir))
}
