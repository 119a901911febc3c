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
    emit::{Needs, Target, emit},
    pike,
};

/// Memory of one compiled pattern, and of a set of them, in bytes.
pub(super) const SIZE_LIMIT: usize = 64 << 20;
/// States of the automaton that searches where the `regex` crate cannot.
const MOST_STATES: usize = 100_000;
/// Steps of one backtracking search.
const BACKTRACK_LIMIT: usize = 1_000_000;
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
    /// Look-around, back-references, or too large for an automaton.
    Backtracking(Box<fancy_regex::Regex>),
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
            backtracking(&node)?
        } else {
            automaton(&node).map_or_else(|| backtracking(&node), Ok)?
        };
        Ok(Self {
            source: source.to_owned(),
            node: Arc::new(node),
            engine,
        })
    }

    /// Whether the pattern is searched by backtracking.
    pub(in crate::pattern) fn is_backtracking(&self) -> bool {
        matches!(self.engine, Engine::Backtracking(_))
    }

    /// The first match that starts at `from` or later.
    pub(super) fn find_at(
        &self,
        index: usize,
        text: &str,
        traits: Traits,
        from: usize,
    ) -> Result<Option<Range<usize>>, SearchError> {
        match &self.engine {
            Engine::Automaton { plain, needs, nfa } => match (plain, nfa) {
                (Some(plain), _) if traits.suit(*needs) => {
                    Ok(plain.find_at(text, from).map(|found| found.range()))
                }
                (_, Some(nfa)) => Ok(pike::find_at(nfa, text, from)),
                (_, None) => Err(SearchError::Engine {
                    index,
                    message: "no engine for this text".to_owned(),
                }),
            },
            Engine::Backtracking(regex) => match regex.find_from_pos(text, from) {
                Ok(found) => Ok(found.map(|found| found.range())),
                Err(fancy_regex::Error::RuntimeError(
                    fancy_regex::RuntimeError::BacktrackLimitExceeded,
                )) => Err(SearchError::BacktrackLimit {
                    index,
                    limit: BACKTRACK_LIMIT,
                }),
                Err(error) => Err(SearchError::Engine {
                    index,
                    message: error.to_string(),
                }),
            },
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

fn backtracking(node: &Node) -> Result<Engine, Fault> {
    fancy_regex::RegexBuilder::new(&emit(node, Target::Backtracking))
        .backtrack_limit(BACKTRACK_LIMIT)
        .delegate_size_limit(SIZE_LIMIT)
        .build()
        .map(|regex| Engine::Backtracking(Box::new(regex)))
        .map_err(|error| Fault::without_place(format!("the pattern cannot be compiled: {error}")))
}
