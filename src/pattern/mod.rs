//! Python's regular expressions: translation, searching, and exact hold-back in streams.
//!
//! [`Patterns`] judges a whole text as Python's `re.search` does. [`Hold`] judges a stream: it tells
//! at every moment which bytes no match can reach any more, whatever comes next.
//!
//! A pattern is parsed in Python's syntax (`syntax`), then written for the `regex` crate, and for
//! `fancy-regex` where it looks around or refers back (`search`). What neither does like Python,
//! and streams, run on an automaton over characters (`nfa`).

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
