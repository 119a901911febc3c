//! What an entity is: its patterns, the words that speak for it, and its check.

use std::ops::Range;

/// A kind of sensitive data that patterns find.
#[derive(Debug)]
pub(super) struct Entity {
    /// Its name, as `entities` lists it.
    pub(super) name: &'static str,
    /// What it looks like.
    pub(super) patterns: &'static [Pattern],
    /// Words that make it likelier where one stands before it, in lower case.
    pub(super) context: &'static [&'static str],
    /// What its digits and letters say of themselves.
    pub(super) check: fn(&str) -> Check,
}

/// What a check says of a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// It is one, beyond doubt: its score is 1.
    Valid,
    /// It is none.
    Invalid,
    /// Nothing: the pattern's score stands.
    Unknown,
}

impl Check {
    /// One or the other.
    pub(super) const fn valid_if(valid: bool) -> Self {
        if valid { Self::Valid } else { Self::Invalid }
    }

    /// Nothing, unless it is wrong.
    pub(super) const fn unless(wrong: bool) -> Self {
        if wrong { Self::Invalid } else { Self::Unknown }
    }
}

/// Whether a match may stand where it does in the text.
type Stands = fn(&str, &Range<usize>) -> bool;
/// Where a match in the text ends; none: it is none.
type Ends = fn(&str, &Range<usize>) -> Option<usize>;

/// A pattern with how sure a match is, from 0 to 1. Letter case does not count.
#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) regex: &'static str,
    pub(super) score: f64,
    /// Whether it may stand there: the text, and the match.
    pub(super) stands: Option<Stands>,
    /// Where a match really ends, where the pattern cannot tell: the text, and the match. None: nowhere.
    pub(super) ends: Option<Ends>,
}

/// A pattern.
pub(super) const fn pattern(regex: &'static str, score: f64) -> Pattern {
    Pattern {
        regex,
        score,
        stands: None,
        ends: None,
    }
}

impl Pattern {
    /// Sets where it may stand; a match elsewhere is none.
    pub(super) const fn stands(mut self, stands: Stands) -> Self {
        self.stands = Some(stands);
        self
    }

    /// Sets where a match really ends.
    pub(super) const fn ends(mut self, ends: Ends) -> Self {
        self.ends = Some(ends);
        self
    }
}

/// For entities without a check.
pub(super) fn unchecked(_: &str) -> Check {
    Check::Unknown
}

/// The character before a match.
pub(super) fn before(text: &str, start: usize) -> Option<char> {
    text.get(..start)?.chars().next_back()
}

/// The character after a match.
pub(super) fn after(text: &str, end: usize) -> Option<char> {
    text.get(end..)?.chars().next()
}
