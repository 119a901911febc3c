//! The rails at work: plans, checks, turns, streams.

mod check;
mod llm_rails;
mod plan;
pub(crate) mod stream;

pub(crate) use check::Checked;
pub use check::{Blocked, OnRailError};
pub use llm_rails::{LlmRails, LlmRailsBuilder};
