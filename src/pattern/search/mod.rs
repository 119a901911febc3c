//! Searching text by a list of patterns, as `re.search` would by one after the other.

mod backtrack;
mod emit;
mod engine;
mod memo;
mod pike;
#[cfg(test)]
mod tests;

use std::ops::Range;

use self::{
    emit::{Needs, Target, emit},
    engine::{Engine, Search, Traits},
};
use super::error::{PatternError, SearchError};
use crate::compute::Stop;

pub(in crate::pattern) use self::engine::Pattern;

/// Where a pattern matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The pattern's place in the list, from 0.
    pub pattern: usize,
    /// The matched bytes.
    pub range: Range<usize>,
}

/// A list of patterns in Python's syntax, compiled.
///
/// Searching takes time linear in the text, with back-references as well: their steps are limited, and a search that needs more
/// is an error.
///
/// ```
/// use tower_guardrails::pattern::Patterns;
///
/// let patterns = Patterns::compile(&[r"\bsecret\b", r"\d{3}-\d{4}"], false).unwrap();
/// let found = patterns.find("call 555-1234").unwrap().unwrap();
/// assert_eq!((found.pattern, found.range), (1, 5..13));
/// assert!(patterns.find("secrets are safe").unwrap().is_none());
/// ```
#[derive(Debug)]
pub struct Patterns {
    patterns: Vec<Pattern>,
    together: Option<Together>,
}

/// The patterns as sets: which of them can match at all?
#[derive(Debug)]
struct Together {
    /// The places of the sets' members in the list of all patterns.
    members: Vec<usize>,
    /// Exact where `needs` allows it.
    plain: regex::RegexSet,
    /// Matches where any member may match; `None` where `plain` does too, whatever the text.
    superset: Option<regex::RegexSet>,
    needs: Needs,
}

impl Patterns {
    /// Compiles patterns, case-insensitively if asked, as Python's `re.IGNORECASE`.
    ///
    /// # Errors
    ///
    /// One error for each pattern that Python refuses, or that is beyond a limit: 256 KiB of
    /// pattern, 100 groups in groups, 64 MiB compiled. Character names (`\N{..}`) are refused.
    pub fn compile<S: AsRef<str>>(
        patterns: &[S],
        case_insensitive: bool,
    ) -> Result<Self, Vec<PatternError>> {
        let mut compiled = Vec::with_capacity(patterns.len());
        let mut errors = Vec::new();
        for (index, pattern) in patterns.iter().enumerate() {
            let pattern = pattern.as_ref();
            match Pattern::new(pattern, case_insensitive) {
                Ok(pattern) => compiled.push(pattern),
                Err(fault) => errors.push(PatternError {
                    index,
                    pattern: pattern.to_owned(),
                    message: fault.message,
                    position: fault.position,
                }),
            }
        }
        if errors.is_empty() {
            Ok(Self {
                together: Together::new(&compiled),
                patterns: compiled,
            })
        } else {
            Err(errors)
        }
    }

    /// Whether there is no pattern.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// How many patterns there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.patterns.len()
    }

    /// A pattern as it was written.
    #[must_use]
    pub fn source(&self, index: usize) -> Option<&str> {
        self.patterns
            .get(index)
            .map(|pattern| pattern.source.as_str())
    }

    pub(in crate::pattern) fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// The match of the first pattern, in the order of the list, that matches anywhere.
    ///
    /// # Errors
    ///
    /// A pattern before it came to no answer.
    pub fn find(&self, text: &str) -> Result<Option<Match>, SearchError> {
        self.find_until(text, &Stop::default())
    }

    /// The same, as long as `stop` is not set.
    ///
    /// # Errors
    ///
    /// As [`find`](Self::find), and where it was stopped.
    pub(crate) fn find_until(&self, text: &str, stop: &Stop) -> Result<Option<Match>, SearchError> {
        let mut found = self.search(text, stop).map(|found| Ok(found?.1));
        found.next().transpose()
    }

    /// Whether a search of `text` takes no more than automata of the `regex` crate, which mostly read a GB a second or half of that.
    pub(crate) fn is_quick(&self, text: &str) -> bool {
        let traits = Traits::of(text);
        let mut patterns = self.patterns.iter();
        patterns.all(|pattern| pattern.is_quick(traits))
    }

    /// The places of all patterns that match anywhere, in the order of the list.
    ///
    /// # Errors
    ///
    /// A pattern came to no answer.
    pub fn matching(&self, text: &str) -> Result<Vec<usize>, SearchError> {
        self.matching_until(text, &Stop::default())
    }

    /// The same, as long as `stop` is not set.
    ///
    /// # Errors
    ///
    /// As [`matching`](Self::matching), and where it was stopped.
    pub(crate) fn matching_until(
        &self,
        text: &str,
        stop: &Stop,
    ) -> Result<Vec<usize>, SearchError> {
        self.search(text, stop)
            .map(|found| found.map(|(_, found)| found.pattern))
            .collect()
    }

    /// Every match of every pattern, pattern by pattern: of each the leftmost, then the leftmost
    /// after its end. Matches of nothing are left out; those of different patterns may overlap.
    ///
    /// # Errors
    ///
    /// A pattern came to no answer.
    pub fn find_all(&self, text: &str) -> Result<Vec<Match>, SearchError> {
        self.find_all_until(text, &Stop::default())
    }

    /// The same, as long as `stop` is not set.
    ///
    /// # Errors
    ///
    /// As [`find_all`](Self::find_all), and where it was stopped.
    pub(crate) fn find_all_until(
        &self,
        text: &str,
        stop: &Stop,
    ) -> Result<Vec<Match>, SearchError> {
        let mut all = Vec::new();
        for found in self.search(text, stop) {
            let (mut search, mut found) = found?;
            loop {
                if stop.is_set() {
                    return Err(SearchError::Stopped);
                }
                let (pattern, end) = (found.pattern, found.range.end);
                let from = if found.range.is_empty() {
                    end + text
                        .get(end..)
                        .and_then(|rest| rest.chars().next())
                        .map_or(1, char::len_utf8)
                } else {
                    all.push(found);
                    end
                };
                if from > text.len() {
                    break;
                }
                match search.find_at(from)? {
                    Some(range) => found = Match { pattern, range },
                    None => break,
                }
            }
        }
        Ok(all)
    }

    /// The first match of each pattern that matches, in the order of the list, with the search that found it.
    fn search<'a>(
        &'a self,
        text: &'a str,
        stop: &'a Stop,
    ) -> impl Iterator<Item = Result<(Search<'a>, Match), SearchError>> + 'a {
        let traits = Traits::of(text);
        let possible = self
            .together
            .as_ref()
            .map(|together| together.possible(text, traits));
        let mut candidates = possible.into_iter().flatten().peekable();
        let together = self.together.is_some();
        self.patterns
            .iter()
            .enumerate()
            .filter(move |(index, _)| !together || candidates.next_if_eq(index).is_some())
            .filter_map(move |(index, pattern)| {
                let mut search = pattern.search(index, text, traits, stop);
                let found = search.find_at(0).transpose()?;
                Some(found.map(|range| {
                    let pattern = index;
                    (search, Match { pattern, range })
                }))
            })
    }
}

impl Together {
    /// `None` where there is nothing to gain, or the sets would be too large.
    fn new(patterns: &[Pattern]) -> Option<Self> {
        let mut members = Vec::new();
        let mut plain = Vec::new();
        let mut superset = Vec::new();
        let mut needs = Needs::NONE;
        let mut backtracks = false;
        for (index, pattern) in patterns.iter().enumerate() {
            members.push(index);
            let wide = emit(&pattern.node, Target::Superset);
            match &pattern.engine {
                Engine::Automaton { needs: own, .. } => {
                    needs = needs.or(*own);
                    plain.push(emit(&pattern.node, Target::Plain));
                }
                Engine::Backtracking(_) => {
                    backtracks = true;
                    plain.push(wide.clone());
                }
            }
            superset.push(wide);
        }
        if members.is_empty() || members.len() == 1 && !needs.any() && !backtracks {
            return None;
        }
        Some(Self {
            members,
            plain: engine::set(&plain)?,
            superset: if needs.any() {
                Some(engine::set(&superset)?)
            } else {
                None
            },
            needs,
        })
    }

    /// The patterns that may match, in the order of the list.
    fn possible(&self, text: &str, traits: Traits) -> Vec<usize> {
        let set = match &self.superset {
            Some(superset) if !traits.suit(self.needs) => superset,
            _ => &self.plain,
        };
        if !set.is_match(text) {
            return Vec::new();
        }
        set.matches(text)
            .into_iter()
            .filter_map(|member| self.members.get(member).copied())
            .collect()
    }
}
