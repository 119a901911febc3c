//! Why a pattern is refused, and why a search ends without an answer.

use std::fmt;

/// A pattern that Python's `re` refuses, or that is beyond a limit of this crate.
///
/// Displayed as Python displays its `re.error`: the message, then the position in characters from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PatternError {
    /// The pattern's place in the list that was compiled, from 0.
    pub index: usize,
    /// The pattern.
    pub pattern: String,
    /// What is wrong, in Python's words where Python refuses it too.
    pub message: String,
    /// Where, in characters from 0; `None` where the fault has no single place.
    pub position: Option<usize>,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let Some(position) = self.position else {
            return Ok(());
        };
        write!(f, " at position {position}")?;
        if self.pattern.contains('\n') {
            let before: Vec<char> = self.pattern.chars().take(position).collect();
            let line = before.iter().filter(|c| **c == '\n').count() + 1;
            let column = before.iter().rev().take_while(|c| **c != '\n').count() + 1;
            write!(f, " (line {line}, column {column})")?;
        }
        Ok(())
    }
}

impl std::error::Error for PatternError {}

/// A search that came to no answer. Who judges text by it must treat the text as matched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// A pattern with look-around or back-references took more steps than allowed for a text of this length.
    #[error("pattern {index} took more than {limit} steps")]
    BacktrackLimit {
        /// The pattern's place in the list, from 0.
        index: usize,
        /// The number of steps allowed.
        limit: u64,
    },
    /// Nobody waited for the answer any more.
    #[error("the search was given up")]
    Stopped,
    /// The search failed in another way.
    #[error("pattern {index} could not be searched: {message}")]
    Engine {
        /// The pattern's place in the list, from 0.
        index: usize,
        /// How.
        message: String,
    },
}
