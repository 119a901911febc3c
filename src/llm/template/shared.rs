//! A conversation's events as a value of templates: a list that is converted only as far as a template looks into it.

use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr, Value};

use super::{environment::to_value, history::SharedEvent};

/// The list.
#[derive(Debug)]
pub(super) struct SharedEvents(Vec<SharedEvent>);

impl SharedEvents {
    /// The events as a template's value.
    pub(super) fn value(events: Vec<SharedEvent>) -> Value {
        Value::from_object(Self(events))
    }

    pub(super) fn events(&self) -> &[SharedEvent] {
        &self.0
    }
}

impl Object for SharedEvents {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let index = key.as_usize()?;
        self.0.get(index).map(to_value)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.0.len())
    }
}
