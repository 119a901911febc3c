//! Exact hold-back: judging a stream without letting a byte of a match pass, and without waiting.
//!
//! The automaton of all patterns runs over the stream with an ordered list of threads, each with
//! the offset where it began. A thread lives as long as some continuation makes a match of it, so
//! the oldest thread tells where the hold begins.

mod program;
mod state;
mod steps;
#[cfg(test)]
mod tests;
mod threads;

pub use self::{
    program::{HoldLimits, HoldProgram, Holding},
    state::Hold,
};
