//! Events: what comes in, what goes out, and what flows tell each other.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::value::{Dict, Value};

/// An event of the UMIM kind, or one between flows.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its type, for example `UtteranceUserActionFinished`.
    pub name: Arc<str>,
    /// All else that it says.
    pub arguments: Dict,
    /// Whether the machine made it for flows only.
    pub(super) is_internal: bool,
}

/// A JSON object that is no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an event needs a `type`, which is a text")]
pub struct EventError;

impl Event {
    /// An event of the outside.
    pub fn new(name: impl Into<Arc<str>>, arguments: Dict) -> Self {
        Self {
            name: name.into(),
            arguments,
            is_internal: false,
        }
    }

    /// An event between flows.
    pub(super) fn internal(name: &str, arguments: Dict) -> Self {
        Self {
            is_internal: true,
            ..Self::new(name, arguments)
        }
    }

    /// The event that a JSON object says.
    ///
    /// # Errors
    ///
    /// The object has no `type`.
    pub fn from_json(json: &Map<String, Json>) -> Result<Self, EventError> {
        let name = json.get("type").and_then(Json::as_str).ok_or(EventError)?;
        let arguments = json.iter().filter(|(key, _)| *key != "type");
        let arguments = arguments.map(|(key, value)| (key.as_str(), Value::from_json(value)));
        Ok(Self::new(name, arguments.collect()))
    }

    /// The event as a JSON object, its `type` first.
    pub fn to_json(&self) -> Map<String, Json> {
        let mut json = Map::new();
        json.insert("type".to_owned(), Json::from(&*self.name));
        for (key, value) in self.arguments.iter() {
            json.insert(key.value().to_string(), value.to_json());
        }
        json
    }

    /// The action that the event starts: `UtteranceBotAction` for `StartUtteranceBotAction`.
    pub fn started_action(&self) -> Option<&str> {
        let action = self.name.strip_prefix("Start")?;
        action.ends_with("Action").then_some(action)
    }

    /// The identifier of the event's action, where it has one.
    pub fn action_uid(&self) -> Option<&str> {
        self.arguments.get("action_uid").and_then(Value::as_str)
    }
}
