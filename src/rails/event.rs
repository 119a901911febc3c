//! Events: what a turn is made of.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    error::{Error, Result},
    llm::SharedEvent,
};

/// One event: an object with a `type`. A clone is cheap.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct Event(SharedEvent);

impl Event {
    /// An event of type `kind` without fields.
    pub(crate) fn new(kind: &str) -> Self {
        let mut fields = Map::new();
        fields.insert("type".to_owned(), kind.into());
        Self(Arc::new(fields))
    }

    /// A `ContextUpdate` of `data`.
    pub(crate) fn context_update(data: Map<String, Value>) -> Self {
        Self::new("ContextUpdate").with("data", data)
    }

    /// Reads an event as a caller or an action gives it.
    ///
    /// # Errors
    ///
    /// Where it is no object with a `type`.
    pub(crate) fn from_value(value: Value) -> Result<Self> {
        let event = match value {
            Value::Object(fields) => Self::from_fields(fields),
            _ => None,
        };
        event.ok_or_else(|| Error::invalid_input("an event is an object with a `type`"))
    }

    /// The event of these fields; none without a `type`.
    pub(crate) fn from_fields(fields: Map<String, Value>) -> Option<Self> {
        let is_event = fields.get("type").is_some_and(Value::is_string);
        is_event.then(|| Self(Arc::new(fields)))
    }

    /// Sets a field.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        Arc::make_mut(&mut self.0).insert(name.to_owned(), value.into());
        self
    }

    /// The event's type.
    pub(crate) fn kind(&self) -> &str {
        self.text("type").unwrap_or_default()
    }

    /// A field.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A field that is a text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// A field that is an object.
    pub(crate) fn object(&self, name: &str) -> Option<&Map<String, Value>> {
        self.get(name).and_then(Value::as_object)
    }

    /// All fields, the type among them.
    pub(crate) fn fields(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The fields, to be kept.
    pub(crate) fn shared(&self) -> &SharedEvent {
        &self.0
    }

    /// Whether the events are equal, their fields in the same order: then the comparison costs what reading them does.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.has(&other.0)
    }

    /// Whether these are the fields, in their order.
    pub(crate) fn has(&self, fields: &Map<String, Value>) -> bool {
        self.0.len() == fields.len() && self.0.iter().eq(fields)
    }

    /// Whether the event is a bot intent of this name.
    pub(crate) fn is_bot_intent(&self, intent: &str) -> bool {
        self.kind() == "BotIntent" && self.text("intent") == Some(intent)
    }

    /// Whether the event ends the turn: an explicit stop, or what a rail reports instead of an answer.
    pub(crate) fn is_stop(&self) -> bool {
        self.is_bot_intent("stop") || self.kind().ends_with("Exception")
    }

    /// The event as an object.
    pub(crate) fn to_value(&self) -> Value {
        Value::Object(self.fields().clone())
    }
}
