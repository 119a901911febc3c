//! What the actions that ask a model share: prompts and their answers, the chunks of the knowledge base.

mod prompt;
mod retrieve;

use super::{Conversation, Turn};
use crate::rails::log::ProcessingLog;

/// What an action works with that asks a model.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) turn: &'a Turn,
    pub(super) run: &'a dyn Conversation,
    pub(super) log: &'a ProcessingLog,
    pub(super) action: &'a str,
}
