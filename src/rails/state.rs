//! What one call leaves for the next.

use serde::{Serialize, Serializer, ser::SerializeStruct as _};
use serde_json::Value;

use super::{event::Event, events::Events};
use crate::error::{Error, Result};

/// What one call leaves for the next: its own events. It can be stored as JSON.
///
/// As in the reference, the events of the state that a call was given are not in the one that it gives back, so that the call
/// after sees the last call only. Who wants more of the conversation sends it as messages, or joins the `events` of the states.
///
/// ```
/// use tower_guardrails::rails::State;
///
/// let state = State::from_value(&serde_json::json!({"events": []}))?;
/// assert_eq!(serde_json::to_value(&state).unwrap(), serde_json::json!({"events": []}));
/// # Ok::<(), tower_guardrails::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    pub(crate) events: Events,
}

impl State {
    /// Reads a state; an empty object starts a conversation.
    ///
    /// # Errors
    ///
    /// Where it is not what an earlier call returned.
    pub fn from_value(value: &Value) -> Result<Self> {
        let Some(state) = value.as_object() else {
            return Err(Error::invalid_input("a state is an object"));
        };
        if state.is_empty() {
            return Ok(Self::default());
        }
        if state.contains_key("state")
            || state.get("version").is_some_and(|version| version == "2.x")
        {
            return Err(Error::invalid_input(
                "the state is of Colang 2.x, and this configuration is of Colang 1.0",
            ));
        }
        match state.get("events") {
            Some(Value::Array(events)) => {
                let events = events
                    .iter()
                    .cloned()
                    .map(Event::from_value)
                    .collect::<Result<_>>()?;
                Ok(Self { events })
            }
            Some(_) => Err(Error::invalid_input("`events` of a state is a list")),
            None => Err(Error::invalid_input(
                "a state has `events`; an empty object starts a new conversation",
            )),
        }
    }
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut state = serializer.serialize_struct("State", 1)?;
        state.serialize_field("events", &self.events)?;
        state.end()
    }
}
