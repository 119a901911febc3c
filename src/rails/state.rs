//! What one call leaves for the next.

use serde::{Serialize, Serializer, ser::SerializeStruct as _};
use serde_json::{Value, json};

use super::{event::Event, events::Events};
use crate::{
    colang::v2::{self, StateSnapshot},
    error::{Error, Result},
};

/// The version in a stored state of Colang 2.x.
const VERSION_2: &str = "2.x";

/// What one call leaves for the next. It can be stored as JSON.
///
/// In Colang 1.0 it is the call's own events. As in the reference, the events of the state that a call was given are not in the one
/// that it gives back, so that the call after sees the last call only. Who wants more of the conversation sends it as messages, or
/// joins the `events` of the states.
///
/// In Colang 2.x it is the whole conversation: how far each flow has come, the variables, the actions that run.
///
/// ```
/// use tower_guardrails::rails::State;
///
/// let state = State::from_value(&serde_json::json!({"events": []}))?;
/// assert_eq!(serde_json::to_value(&state).unwrap(), serde_json::json!({"events": []}));
/// # Ok::<(), tower_guardrails::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct State(Kind);

#[derive(Debug, Clone)]
enum Kind {
    /// Nothing yet: a conversation that begins.
    Empty,
    /// Colang 1.0.
    Events(Events),
    /// Colang 2.x, as it runs.
    Running(Box<v2::State>),
    /// Colang 2.x, as it was stored.
    Stored(Box<StateSnapshot>),
}

impl Default for State {
    fn default() -> Self {
        Self(Kind::Empty)
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Kind::Events(one), Kind::Events(two)) => one == two,
            _ => serde_json::to_value(self).ok() == serde_json::to_value(other).ok(),
        }
    }
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
        if state
            .get("version")
            .is_some_and(|version| version == VERSION_2)
        {
            let stored = state.get("state").cloned().unwrap_or_default();
            let stored = serde_json::from_value(stored).map_err(|error| {
                Error::InvalidInput(format!(
                    "the `state` of a conversation in Colang 2.x: {error}"
                ))
            })?;
            return Ok(Self(Kind::Stored(Box::new(stored))));
        }
        match state.get("events") {
            Some(Value::Array(events)) if !state.contains_key("state") => {
                let events = events
                    .iter()
                    .cloned()
                    .map(Event::from_value)
                    .collect::<Result<_>>()?;
                Ok(Self(Kind::Events(events)))
            }
            Some(_) => Err(Error::invalid_input("`events` of a state is a list")),
            None => Err(Error::invalid_input(
                "a state has `events`; an empty object starts a new conversation",
            )),
        }
    }

    pub(crate) fn of_events(events: Events) -> Self {
        Self(Kind::Events(events))
    }

    pub(crate) fn running(state: v2::State) -> Self {
        Self(Kind::Running(Box::new(state)))
    }

    /// The events of a conversation in Colang 1.0.
    ///
    /// # Errors
    ///
    /// Where the state is of Colang 2.x.
    pub(crate) fn into_events(self) -> Result<Events> {
        match self.0 {
            Kind::Empty => Ok(Events::default()),
            Kind::Events(events) => Ok(events),
            Kind::Running(_) | Kind::Stored(_) => Err(Error::invalid_input(
                "the state is of Colang 2.x, and this configuration is of Colang 1.0",
            )),
        }
    }

    /// The state of a conversation in Colang 2.x, restored where it was stored; none where it has not begun.
    ///
    /// # Errors
    ///
    /// Where the state is of Colang 1.0, or cannot be restored.
    pub(crate) fn into_v2(
        self,
        restore: impl FnOnce(StateSnapshot) -> Result<v2::State>,
    ) -> Result<Option<v2::State>> {
        match self.0 {
            Kind::Empty => Ok(None),
            Kind::Running(state) => Ok(Some(*state)),
            Kind::Stored(snapshot) => restore(*snapshot).map(Some),
            Kind::Events(_) => Err(Error::invalid_input(
                "the state is of Colang 1.0, and this configuration is of Colang 2.x",
            )),
        }
    }
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stored = |snapshot: &StateSnapshot| json!({"version": VERSION_2, "state": snapshot});
        match &self.0 {
            Kind::Empty => json!({}).serialize(serializer),
            Kind::Events(events) => {
                let mut state = serializer.serialize_struct("State", 1)?;
                state.serialize_field("events", events)?;
                state.end()
            }
            Kind::Running(state) => stored(&state.snapshot()).serialize(serializer),
            Kind::Stored(snapshot) => stored(snapshot).serialize(serializer),
        }
    }
}
