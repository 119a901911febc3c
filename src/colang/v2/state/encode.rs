//! Values to JSON and back, without loss: what is no plain JSON is an object with one key that says what it is.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::{
    refs::{ActionRef, ContextRef, EventRef, FlowRef, StatusRef},
    signal::{Kind, Signal},
};
use crate::{
    colang::expr::{Comparison, Pattern},
    value::{Dict, Key, Value},
};

/// How deep values may be nested that are read.
const MAX_DEPTH: usize = 200;

pub(super) fn to_json(value: &Value) -> Json {
    match value {
        Value::None | Value::Bool(_) | Value::Int(_) | Value::Str(_) => value.to_json(),
        Value::Float(number) if number.is_finite() => json!({"float": number}),
        Value::Float(number) => json!({"float": number.to_string()}),
        Value::List(items) => items.iter().map(to_json).collect(),
        Value::Tuple(items) => json!({"tuple": items.iter().map(to_json).collect::<Json>()}),
        Value::Set(set) => {
            let items: Json = set.iter().map(|key| to_json(key.value())).collect();
            json!({"set": items})
        }
        Value::Dict(dict) => json!({"dict": dict_to_json(dict)}),
        // Of other objects, such as outcomes of rails, all is in their JSON.
        Value::Object(object) => {
            object_to_json(value).unwrap_or_else(|| json!({"json": object.to_json()}))
        }
    }
}

pub(super) fn dict_to_json(dict: &Dict) -> Json {
    dict.iter()
        .map(|(key, value)| json!([to_json(key.value()), to_json(value)]))
        .collect()
}

fn object_to_json(value: &Value) -> Option<Json> {
    if let Some(flow) = value.as_object::<FlowRef>() {
        return Some(json!({"flow": &*flow.uid}));
    }
    if let Some(action) = value.as_object::<ActionRef>() {
        return Some(json!({"action": &*action.uid}));
    }
    if let Some(context) = value.as_object::<ContextRef>() {
        return Some(json!({"context": &*context.uid}));
    }
    if let Some(status) = value.as_object::<StatusRef>() {
        return Some(json!({"status": [status.class, status.value]}));
    }
    if let Some(pattern) = value.as_object::<Pattern>() {
        return Some(json!({"regex": pattern.as_str()}));
    }
    if let Some(comparison) = value.as_object::<Comparison>() {
        let (name, reference) = comparison.parts();
        return Some(json!({"comparison": [name, to_json(reference)]}));
    }
    let event = value.as_object::<EventRef>()?;
    let signal = &event.signal;
    Some(json!({"event": {
        "name": &*signal.name,
        "arguments": dict_to_json(&signal.arguments),
        "flow": signal.flow.as_deref(),
        "action": signal.action.as_deref(),
    }}))
}

pub(super) fn dict_from_json(json: &Json) -> Option<Dict> {
    read_dict(json, 0)
}

fn read(json: &Json, depth: usize) -> Option<Value> {
    if depth > MAX_DEPTH {
        return None;
    }
    match json {
        Json::Array(items) => {
            let items: Option<Vec<Value>> =
                items.iter().map(|item| read(item, depth + 1)).collect();
            Some(Value::list(items?))
        }
        Json::Object(object) => {
            let (tag, inner) = object.iter().next()?;
            read_tagged(tag, inner, depth + 1)
        }
        plain => Some(Value::from_json(plain)),
    }
}

fn read_tagged(tag: &str, inner: &Json, depth: usize) -> Option<Value> {
    let items = || -> Option<Vec<Value>> {
        let items = inner.as_array()?;
        items.iter().map(|item| read(item, depth)).collect()
    };
    let uid = || inner.as_str().map(Arc::<str>::from);
    Some(match tag {
        "float" => Value::Float(match inner {
            Json::String(text) => text.parse().ok()?,
            number => number.as_f64()?,
        }),
        "tuple" => Value::tuple(items()?),
        "set" => {
            let keys: Option<_> = items()?
                .into_iter()
                .map(|item| Key::new(item).ok())
                .collect();
            Value::Set(keys?)
        }
        "dict" => Value::Dict(read_dict(inner, depth)?),
        "json" => Value::from_json(inner),
        "flow" => Value::object(FlowRef { uid: uid()? }),
        "action" => Value::object(ActionRef { uid: uid()? }),
        "context" => Value::object(ContextRef { uid: uid()? }),
        "regex" => Value::object(Pattern::new(inner.as_str()?).ok()?),
        "comparison" => {
            let name = inner.get(0)?.as_str()?;
            let reference = read(inner.get(1)?, depth)?;
            Value::object(Comparison::of_function(name, &reference)?.ok()?)
        }
        "status" => Value::object(StatusRef {
            class: known(inner.get(0)?.as_str()?, &["FlowStatus", "ActionStatus"])?,
            value: known(
                inner.get(1)?.as_str()?,
                &[
                    "initialized",
                    "waiting",
                    "starting",
                    "started",
                    "stopping",
                    "stopped",
                    "finished",
                ],
            )?,
        }),
        "event" => {
            let name = inner.get("name")?.as_str()?;
            let mut signal = Signal::new(name, read_dict(inner.get("arguments")?, depth)?);
            signal.kind = Kind::of(name);
            let text = |key: &str| inner.get(key).and_then(Json::as_str).map(Arc::from);
            signal.flow = text("flow");
            signal.action = text("action");
            Value::object(EventRef::new(signal))
        }
        _ => return None,
    })
}

fn known(text: &str, all: &[&'static str]) -> Option<&'static str> {
    all.iter().find(|own| **own == text).copied()
}

fn read_dict(json: &Json, depth: usize) -> Option<Dict> {
    if depth > MAX_DEPTH {
        return None;
    }
    let entries = json.as_array()?.iter().map(|entry| {
        let key = Key::new(read(entry.get(0)?, depth + 1)?).ok()?;
        Some((key, read(entry.get(1)?, depth + 1)?))
    });
    entries
        .collect::<Option<Vec<_>>>()
        .map(|all| all.into_iter().collect())
}
