//! Python's regular expressions: translation, searching, and exact hold-back in streams.
//!
//! [`Patterns`] judges a whole text as Python's `re.search` does. [`Hold`] judges a stream: it tells
//! at every moment which bytes no match can reach any more, whatever comes next.
//!
//! A pattern is parsed in Python's syntax (`syntax`), then written for the `regex` crate (`search`). What that does not do like
//! Python, and streams, run on an automaton over characters (`nfa`); where a pattern looks around or refers back, by
//! backtracking that tries nothing twice.

mod error;
mod hold;
#[cfg(test)]
mod naive;
mod nfa;
mod search;
mod syntax;

pub use self::{
    error::{PatternError, SearchError},
    hold::{Hold, HoldLimits, HoldProgram, Holding},
    search::{Match, Patterns},
};
