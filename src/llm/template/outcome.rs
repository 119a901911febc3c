//! A rail's outcome as a value of templates: as in flows, the verdict by its attributes, and else the value of earlier versions.

use std::{fmt, sync::Arc};

use minijinja::{
    Error, State,
    value::{DynObject, Enumerator, Object, ObjectRepr, Value},
};
use serde_json::{Map, Value as Json};

use super::{environment::to_value, python};
use crate::value::outcome_parts;

/// The outcome.
#[derive(Debug)]
pub(super) struct OutcomeValue {
    verdict: Map<String, Json>,
    answer: Value,
}

impl OutcomeValue {
    /// The outcome that `json` describes as a template's value; none for anything else.
    pub(super) fn value(json: &Json) -> Option<Value> {
        let (verdict, answer) = outcome_parts(json.as_object()?)?;
        Some(Value::from_object(Self {
            verdict: verdict
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
            answer: to_value(answer.clone()),
        }))
    }
}

impl Object for OutcomeValue {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        match self.answer.as_object().map(DynObject::repr) {
            Some(repr) => repr,
            None => ObjectRepr::Plain,
        }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        if let Some(found) = key.as_str().and_then(|key| self.verdict.get(key)) {
            return Some(to_value(found.clone()));
        }
        let found = self.answer.get_item(key).ok()?;
        (!found.is_undefined()).then_some(found)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        match self.answer.try_iter() {
            Ok(items) => Enumerator::Iter(Box::new(items.collect::<Vec<_>>().into_iter())),
            Err(_) => Enumerator::NonEnumerable,
        }
    }

    fn is_true(self: &Arc<Self>) -> bool {
        self.answer.is_true()
    }

    fn call_method(
        self: &Arc<Self>,
        state: &mut State<'_, '_>,
        method: &str,
        arguments: &[Value],
    ) -> Result<Value, Error> {
        self.answer.call_method(state, method, arguments)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        python::write_str(f, &self.answer)
    }
}
