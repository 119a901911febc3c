//! The built-in actions that ask a model for the next part of a dialog: intent, step, message, value.

mod bot_message;
mod bot_string;
mod general;
mod intent;
mod next_step;
mod prompt;
mod retrieve;
mod single_call;
mod value;

use serde_json::{Map, Value};

use super::{super::log::ProcessingLog, Run, Turn};
use crate::{actions::ActionResult, error::BoxError};

pub(super) use single_call::PendingMessage;

/// The names of the actions here. All are part of the machinery.
pub(super) const NAMES: [&str; 6] = [
    "generate_user_intent",
    "generate_next_steps",
    "generate_bot_message",
    "generate_value",
    "generate_intent_steps_message",
    "retrieve_relevant_chunks",
];

/// Runs the action `name`; none where it is not one of these.
pub(super) async fn run(
    turn: &Turn,
    run: &Run,
    name: &str,
    arguments: &Map<String, Value>,
    log: &ProcessingLog,
) -> Option<Result<ActionResult, BoxError>> {
    let asked = Asked {
        turn,
        run,
        log,
        action: name,
    };
    Some(match name {
        "generate_user_intent" => asked.user_intent().await,
        "generate_next_steps" => asked.next_steps().await,
        "generate_bot_message" => asked.bot_message().await,
        "generate_value" => asked.value(arguments).await,
        "generate_intent_steps_message" => asked.intent_steps_message().await,
        "retrieve_relevant_chunks" => asked.retrieve_relevant_chunks().await,
        _ => return None,
    })
}

/// What an action of this room works with.
#[derive(Clone, Copy)]
struct Asked<'a> {
    turn: &'a Turn,
    run: &'a Run,
    log: &'a ProcessingLog,
    action: &'a str,
}
