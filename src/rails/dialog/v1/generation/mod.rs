//! The built-in actions that ask a model for the next part of a dialog: intent, step, message, value.

mod bot_message;
mod bot_string;
mod general;
mod intent;
mod next_step;
mod single_call;
mod value;

use super::{
    super::{Asked, Called, Turn},
    Run,
};
use crate::{actions::ActionResult, error::BoxError};

pub(in crate::rails::dialog) use single_call::PendingMessage;

/// The names of the actions here. All are part of the machinery.
pub(in crate::rails::dialog) const NAMES: [&str; 6] = [
    "generate_user_intent",
    "generate_next_steps",
    "generate_bot_message",
    "generate_value",
    "generate_intent_steps_message",
    "retrieve_relevant_chunks",
];

/// Runs the action; none where it is not one of these.
pub(super) async fn run(
    turn: &Turn,
    run: &Run,
    called: Called<'_>,
) -> Option<Result<ActionResult, BoxError>> {
    let asked = Asked {
        turn,
        run,
        log: called.log,
        action: called.action,
    };
    Some(match called.action {
        "generate_user_intent" => asked.user_intent().await,
        "generate_next_steps" => asked.next_steps().await,
        "generate_bot_message" => asked.bot_message().await,
        "generate_value" => asked.value(called.arguments).await,
        "generate_intent_steps_message" => asked.intent_steps_message().await,
        "retrieve_relevant_chunks" => asked.retrieve_relevant_chunks().await,
        _ => return None,
    })
}
