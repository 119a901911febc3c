//! How one pattern is searched.

use std::{ops::Range, sync::Arc};

use super::{
    super::{
        error::SearchError,
        nfa::Nfa,
        syntax::{
            ast::Node,
            parser::{self, Fault},
        },
    },
    backtrack::{self, Exhausted, Program},
    emit::{Needs, Target, emit},
    pike,
};
use crate::compute::Stop;

/// Memory of one compiled pattern, and of a set of them, in bytes.
pub(super) const SIZE_LIMIT: usize = 64 << 20;
/// States of the automaton that searches where the `regex` crate cannot.
const MOST_STATES: usize = 100_000;
/// Groups in groups of what is written for the engines.
const NEST_LIMIT: u32 = 2_000;

/// One pattern, ready to search.
#[derive(Debug)]
pub(in crate::pattern) struct Pattern {
    pub(in crate::pattern) source: String,
    pub(in crate::pattern) node: Arc<Node>,
    pub(super) engine: Engine,
}

#[derive(Debug)]
pub(super) enum Engine {
    /// Linear time.
    Automaton {
        /// Exact for the texts that `needs` allows; `None` if too large.
        plain: Option<Box<regex::Regex>>,
        needs: Needs,
        /// For all other texts; `None` if there are none.
        nfa: Option<Box<Nfa>>,
    },
    /// Look-around, atomic groups, back-references.
    Backtracking(Box<Program>),
}

/// What decides whether the `regex` crate is exact for a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Traits {
    ascii: bool,
    empty: bool,
    ends_in_line_feed: bool,
}

impl Traits {
    pub(super) fn of(text: &str) -> Self {
        Self {
            ascii: text.is_ascii(),
            empty: text.is_empty(),
            ends_in_line_feed: text.ends_with('\n'),
        }
    }

    pub(super) fn suit(self, needs: Needs) -> bool {
        (!needs.word || self.ascii && !self.empty) && (!needs.end_text || !self.ends_in_line_feed)
    }
}

impl Pattern {
    pub(super) fn new(source: &str, ignore_case: bool) -> Result<Self, Fault> {
        let node = parser::parse(source, ignore_case)?;
        let engine = if node.needs_backtracking() {
            Program::new(&node).map(|program| Engine::Backtracking(Box::new(program)))
        } else {
            automaton(&node)
        };
        let engine = engine.ok_or_else(|| {
            Fault::without_place("the pattern cannot be compiled: it is too large".to_owned())
        })?;
        Ok(Self {
            source: source.to_owned(),
            node: Arc::new(node),
            engine,
        })
    }

    /// Whether the `regex` crate judges such a text alone.
    pub(super) fn is_quick(&self, traits: Traits) -> bool {
        match &self.engine {
            Engine::Automaton { plain, needs, .. } => plain.is_some() && traits.suit(*needs),
            Engine::Backtracking(_) => false,
        }
    }

    /// Begins searching `text`. `index` names the pattern in errors.
    pub(super) fn search<'a>(
        &'a self,
        index: usize,
        text: &'a str,
        traits: Traits,
        stop: &'a Stop,
    ) -> Search<'a> {
        let by = match &self.engine {
            Engine::Automaton {
                plain: Some(plain),
                needs,
                ..
            } if traits.suit(*needs) => By::Regex(plain),
            Engine::Automaton { nfa: Some(nfa), .. } => By::Threads(nfa),
            Engine::Automaton { nfa: None, .. } => By::Nothing,
            Engine::Backtracking(program) => By::Backtracking(program.search(text, stop)),
        };
        Search { index, text, by }
    }
}

/// A search for one pattern in one text.
pub(super) struct Search<'a> {
    index: usize,
    text: &'a str,
    by: By<'a>,
}

enum By<'a> {
    Regex(&'a regex::Regex),
    Threads(&'a Nfa),
    Backtracking(backtrack::Search<'a>),
    Nothing,
}

impl Search<'_> {
    /// The first match that starts at `from` or later.
    pub(super) fn find_at(&mut self, from: usize) -> Result<Option<Range<usize>>, SearchError> {
        let index = self.index;
        match &mut self.by {
            By::Regex(regex) => Ok(regex.find_at(self.text, from).map(|found| found.range())),
            By::Threads(nfa) => Ok(pike::find_at(nfa, self.text, from)),
            By::Backtracking(search) => search.find_at(from).map_err(|exhausted| match exhausted {
                Exhausted::Steps(limit) => SearchError::BacktrackLimit { index, limit },
                Exhausted::Memory => SearchError::Engine {
                    index,
                    message: "it takes too much memory on a text of this length".to_owned(),
                },
                Exhausted::Stopped => SearchError::Stopped,
            }),
            By::Nothing => Err(SearchError::Engine {
                index,
                message: "no engine for this text".to_owned(),
            }),
        }
    }
}

fn automaton(node: &Node) -> Option<Engine> {
    let needs = Needs::of(node);
    let plain = plain(&emit(node, Target::Plain)).ok().map(Box::new);
    let nfa = if needs.any() || plain.is_none() {
        Some(Box::new(Nfa::new(&[(0, node)], MOST_STATES).ok()?))
    } else {
        None
    };
    Some(Engine::Automaton { plain, needs, nfa })
}

fn plain(pattern: &str) -> Result<regex::Regex, regex::Error> {
    regex::RegexBuilder::new(pattern)
        .size_limit(SIZE_LIMIT)
        .nest_limit(NEST_LIMIT)
        .build()
}

/// The patterns as one set, for searching all at once.
pub(super) fn set(patterns: &[String]) -> Option<regex::RegexSet> {
    regex::RegexSetBuilder::new(patterns)
        .size_limit(SIZE_LIMIT)
        .nest_limit(NEST_LIMIT)
        .build()
        .ok()
}
