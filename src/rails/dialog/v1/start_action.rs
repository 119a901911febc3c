//! Running the action that a flow of Colang 1.0 asks for, and what comes of it.

use serde_json::{Map, Value, json};

use super::{
    super::{
        Called, Conversation, INTERNAL_ERROR, Turn,
        actions::{Settled, resolve, settle},
    },
    Run, generation,
    parallel::Beside,
};
use crate::{
    actions::ActionResult,
    error::{BoxError, Result},
    rails::{event::Event, log::ProcessingLog},
};

impl Turn {
    /// Runs the action of `start`, and gives the events that follow it.
    ///
    /// # Errors
    ///
    /// Where a model fails. Any other failure is said to the user, and the turn ends.
    pub(super) async fn start_action(
        &self,
        run: &Run,
        start: &Event,
        log: &ProcessingLog,
    ) -> Result<Vec<Event>> {
        let name = start.text("action_name").unwrap_or_default();
        let key = start.text("action_result_key");
        let params = start.object("action_params").cloned().unwrap_or_default();
        let called = Called {
            action: name,
            arguments: &resolve(run, params),
            log,
        };
        let (result, status) = match self.run_action(run, called).await? {
            Some(Ok(result)) => (result, "success"),
            Some(Err(error)) => {
                let reason = crate::error::for_log(&*error);
                tracing::warn!(action = name, error = %reason, "an action failed");
                self.note_failure(format!("the action `{name}` failed: {reason}"));
                (internal_error(INTERNAL_ERROR), "failed")
            }
            None => {
                tracing::warn!(action = name, "an action is not there: nobody provides it");
                self.note_failure(format!("nobody provides the action `{name}`"));
                (
                    internal_error(&format!("Action '{name}' not found.")),
                    "failed",
                )
            }
        };
        let ActionResult {
            value,
            events,
            mut context_updates,
            ..
        } = result;
        let value = if status == "failed" {
            Value::Null
        } else {
            value
        };
        if let Some(key) = key {
            context_updates.insert(key.to_owned(), value.clone());
        }
        let mut next = Vec::with_capacity(2 + events.len());
        if !context_updates.is_empty() {
            next.push(Event::context_update(context_updates));
        }
        let finished = Event::new("InternalSystemActionFinished")
            .with("action_name", name)
            .with(
                "action_params",
                start.get("action_params").cloned().unwrap_or_default(),
            )
            .with("action_result_key", key)
            .with("status", status)
            .with("is_success", status != "failed")
            .with("return_value", value)
            .with("is_system_action", self.engine.is_system(name));
        next.push(finished);
        for event in events {
            next.push(Event::from_value(event)?);
        }
        Ok(next)
    }
}

/// Whether `action` is part of the language.
pub(crate) fn has_action(action: &str) -> bool {
    is_system_action(action)
        || matches!(
            action,
            "run_input_rails_in_parallel" | "run_output_rails_in_parallel"
        )
}

/// Whether `action` is part of the language and of its machinery.
pub(in crate::rails::dialog) fn is_system_action(action: &str) -> bool {
    action == "create_event" || generation::NAMES.contains(&action)
}

/// Runs an action that is part of the language; none where there is no such action.
///
/// # Errors
///
/// Where a model fails, or a rail that runs beside others cannot go on.
pub(super) async fn built_in(
    turn: &Turn,
    run: &Run,
    called: Called<'_>,
) -> Result<Option<Settled>> {
    let beside = match called.action {
        "create_event" => return Ok(Some(create_event(run, called.arguments))),
        "run_input_rails_in_parallel" => Some(Beside::Input),
        "run_output_rails_in_parallel" => Some(Beside::Output),
        _ => None,
    };
    if let Some(beside) = beside {
        let result = turn.run_beside(run, beside, called.arguments, called.log);
        return result.await.map(|result| Some(Ok(result)));
    }
    match generation::run(turn, run, called).await {
        Some(result) => settle(called.action, result).map(Some),
        None => Ok(None),
    }
}

/// `create event X(a=$b)`.
fn create_event(run: &Run, arguments: &Map<String, Value>) -> Result<ActionResult, BoxError> {
    let fields = arguments
        .get("event")
        .and_then(Value::as_object)
        .ok_or("`create event` needs an event")?;
    let kind = fields
        .get("_type")
        .and_then(Value::as_str)
        .ok_or("an event needs a type")?;
    let mut event = Event::new(kind);
    for (name, value) in fields.iter().filter(|(name, _)| *name != "_type") {
        let value = match value.as_str().and_then(|text| text.strip_prefix('$')) {
            Some(variable) => run.variable(variable).unwrap_or_default(),
            None => value.clone(),
        };
        event = event.with(name, value);
    }
    Ok(ActionResult {
        events: vec![event.to_value()],
        ..ActionResult::default()
    })
}

/// Says `message` and ends the turn, which is then forgotten.
fn internal_error(message: &str) -> ActionResult {
    ActionResult {
        events: vec![
            json!({"type": "BotIntent", "intent": "inform internal error occurred"}),
            json!({"type": "StartUtteranceBotAction", "script": message}),
            json!({"type": "hide_prev_turn"}),
            json!({"type": "BotIntent", "intent": "stop"}),
        ],
        ..ActionResult::default()
    }
}
