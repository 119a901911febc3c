//! What variables hold for flows, actions and events: names of them. What they say is looked up in the state.

use std::sync::Arc;

use super::signal::Signal;
use crate::value::{Dict, Key, Object, Value};

/// An instance of a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FlowRef {
    pub(super) uid: Arc<str>,
}

/// An action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ActionRef {
    pub(super) uid: Arc<str>,
}

/// How deep events may stand in each other's arguments: `send A(before=$event)` after `match A() as $event`, again and again.
const MAX_EVENT_DEPTH: usize = 16;

/// An event that came.
#[derive(Debug, Clone)]
pub(super) struct EventRef {
    pub(super) signal: Arc<Signal>,
    /// How many events stand in each other's arguments, from this one on.
    depth: usize,
}

impl EventRef {
    /// Holds `signal`. Of its arguments, those that hold too long a chain of events are left out.
    pub(super) fn new(mut signal: Signal) -> Self {
        let deep: Vec<Key> = signal
            .arguments
            .iter()
            .filter(|(_, value)| event_depth(value) >= MAX_EVENT_DEPTH)
            .map(|(key, _)| key.clone())
            .collect();
        for key in deep {
            signal.arguments.insert(key, Value::None);
        }
        let depth = signal.arguments.iter().map(|(_, value)| event_depth(value));
        Self {
            depth: 1 + depth.max().unwrap_or(0),
            signal: Arc::new(signal),
        }
    }
}

/// How many events stand in each other's arguments in a value. Lists and dictionaries are not nested without an end: expressions make
/// none that are.
fn event_depth(value: &Value) -> usize {
    match value {
        Value::Object(_) => value.as_object::<EventRef>().map_or(0, |event| event.depth),
        Value::List(items) | Value::Tuple(items) => {
            items.iter().map(event_depth).max().unwrap_or(0)
        }
        Value::Dict(dict) => {
            let depths = dict.iter().map(|(_, value)| event_depth(value));
            depths.max().unwrap_or(0)
        }
        _ => 0,
    }
}

/// The variables of a flow, to be shared with another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ContextRef {
    pub(super) uid: Arc<str>,
}

/// A status: `$flow.status`, with its `value` and `name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StatusRef {
    pub(super) class: &'static str,
    pub(super) value: &'static str,
}

macro_rules! reference {
    ($type:ty, $name:literal) => {
        impl Object for $type {
            fn type_name(&self) -> &str {
                $name
            }

            fn text(&self) -> String {
                format!("{}[uid={}]", $name, self.uid)
            }

            fn equals(&self, other: &dyn Object) -> bool {
                other.downcast_ref::<Self>() == Some(self)
            }
        }
    };
}

reference!(FlowRef, "FlowState");
reference!(ActionRef, "Action");
reference!(ContextRef, "dict");

impl Object for EventRef {
    fn type_name(&self) -> &str {
        self.signal.kind.type_name()
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        match name {
            "name" => Some(Value::Str(Arc::clone(&self.signal.name))),
            "arguments" => Some(Value::Dict(self.signal.arguments.clone())),
            _ => self.signal.arguments.get(name).cloned(),
        }
    }

    fn text(&self) -> String {
        let arguments = Value::Dict(self.signal.arguments.clone());
        format!("{} {arguments}", self.signal.name)
    }

    fn equals(&self, other: &dyn Object) -> bool {
        other.downcast_ref::<Self>().is_some_and(|other| {
            other.signal.name == self.signal.name && other.signal.arguments == self.signal.arguments
        })
    }

    fn to_json(&self) -> serde_json::Value {
        let mut all = Dict::new();
        all.insert("type", Value::Str(Arc::clone(&self.signal.name)));
        for (key, value) in self.signal.arguments.iter() {
            all.insert(key.clone(), value.clone());
        }
        Value::Dict(all).to_json()
    }
}

impl Object for StatusRef {
    fn type_name(&self) -> &str {
        self.class
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        match name {
            "value" => Some(Value::from(self.value)),
            "name" => Some(Value::from(self.value.to_uppercase())),
            _ => None,
        }
    }

    fn text(&self) -> String {
        format!("{}.{}", self.class, self.value.to_uppercase())
    }

    fn equals(&self, other: &dyn Object) -> bool {
        other.downcast_ref::<Self>() == Some(self)
    }
}
