//! Events: what a turn is made of.

use serde_json::{Map, Value};

pub(crate) use crate::colang::v1::Event;
use crate::error::{Error, Result};

/// What turns ask of events beside what the interpreter does.
pub(crate) trait EventExt: Sized {
    /// A `ContextUpdate` of `data`.
    fn context_update(data: Map<String, Value>) -> Self;

    /// Reads an event as a caller or an action gives it.
    ///
    /// # Errors
    ///
    /// Where it is no object with a `type`.
    fn from_value(value: Value) -> Result<Self>;

    /// Whether the event ends the turn: an explicit stop, or what a rail reports instead of an answer.
    fn is_stop(&self) -> bool;

    /// The event as an object.
    fn to_value(&self) -> Value;
}

impl EventExt for Event {
    fn context_update(data: Map<String, Value>) -> Self {
        Self::new("ContextUpdate").with("data", data)
    }

    fn from_value(value: Value) -> Result<Self> {
        let event = match value {
            Value::Object(fields) => Self::from_fields(fields),
            _ => None,
        };
        event.ok_or_else(|| Error::invalid_input("an event is an object with a `type`"))
    }

    fn is_stop(&self) -> bool {
        self.is_bot_intent("stop") || self.kind().ends_with("Exception")
    }

    fn to_value(&self) -> Value {
        Value::Object(self.fields().clone())
    }
}
