//! Whether an element is what an event is about.

use serde_json::{Map, Value};

use super::{super::program::Op, StateError};
use crate::value::Value as Py;

/// An event: an object with a `type`.
pub(super) type Event = Map<String, Value>;

pub(super) fn text<'a>(event: &'a Event, name: &str) -> Option<&'a str> {
    event.get(name).and_then(Value::as_str)
}

pub(super) fn kind(event: &Event) -> &str {
    text(event, "type").unwrap_or_default()
}

pub(super) fn is_stop(event: &Event) -> bool {
    kind(event) == "BotIntent" && text(event, "intent") == Some("stop")
}

/// Whether an element acts, rather than waits. `bot ...` waits.
pub(super) fn is_actionable(op: &Op) -> bool {
    match op {
        Op::Action {
            name, parameters, ..
        } => name != "utter" || parameters.get("value").is_none_or(|value| !is_any(value)),
        _ => false,
    }
}

fn is_any(value: &Value) -> bool {
    value.as_str() == Some("...")
}

/// Whether a pattern stands for a value; numbers and booleans compare as in Python.
fn fits(pattern: &Value, value: Option<&Value>) -> bool {
    is_any(pattern)
        || match value {
            Some(value) => {
                pattern == value
                    || (!value.is_string() && Py::from_json(pattern) == Py::from_json(value))
            }
            None => pattern.is_null(),
        }
}

/// Whether an element is what an event is about.
pub(super) fn is_match(op: &Op, event: &Event) -> Result<bool, StateError> {
    let matched = match kind(event) {
        "UserIntent" => match op {
            Op::User { intent, .. } => fits(intent, event.get("intent")),
            _ => false,
        },
        "BotIntent" => match op {
            Op::Action {
                name, parameters, ..
            } => {
                name == "utter"
                    && parameters
                        .get("value")
                        .is_some_and(|value| fits(value, event.get("intent")))
            }
            _ => false,
        },
        "InternalSystemActionFinished" => match op {
            Op::Action { name, .. } => {
                text(event, "status") == Some("success")
                    && text(event, "action_name") == Some(name.as_str())
            }
            _ => false,
        },
        "UtteranceUserActionFinished" => field_fits(op, event, "final_transcript")?,
        "StartUtteranceBotAction" => field_fits(op, event, "script")?,
        other => match op {
            Op::Event { kind, fields } => {
                kind == other
                    && fields
                        .iter()
                        .filter(|(name, _)| !name.starts_with('_'))
                        .all(|(name, pattern)| fits(pattern, event.get(name)))
            }
            _ => false,
        },
    };
    Ok(matched)
}

/// Of utterances only the text is compared; a flow that waits for one must name it.
fn field_fits(op: &Op, event: &Event, field: &'static str) -> Result<bool, StateError> {
    match op {
        Op::Event { kind, fields } if Some(kind.as_str()) == text(event, "type") => {
            match fields.get(field) {
                Some(pattern) => Ok(fits(pattern, event.get(field))),
                None => Err(StateError::MissingField {
                    event: kind.clone(),
                    field,
                }),
            }
        }
        _ => Ok(false),
    }
}
