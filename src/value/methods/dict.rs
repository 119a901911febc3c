//! Methods of dictionaries.

use super::{Answer, Arguments};
use crate::value::{Dict, Key, Value, ValueError, types::MAX_LENGTH};

pub(super) const NAMES: &[&str] = &[
    "clear",
    "copy",
    "get",
    "items",
    "keys",
    "pop",
    "popitem",
    "setdefault",
    "update",
    "values",
];

pub(super) fn call(dict: &mut Dict, name: &str, arguments: &Arguments) -> Answer {
    NAMES
        .contains(&name)
        .then(|| call_known(dict, name, arguments))
}

fn call_known(dict: &mut Dict, name: &str, arguments: &Arguments) -> Result<Value, ValueError> {
    match name {
        "get" => {
            let [key, default] = arguments.bind(["key", "default"], 1)?;
            let key = key.unwrap_or(&Value::None);
            Key::new(key.clone())?;
            Ok(dict.get_value(key).or(default).cloned().unwrap_or_default())
        }
        "keys" => {
            arguments.all([])?;
            Ok(Value::list(dict.iter().map(|(key, _)| key.clone())))
        }
        "values" => {
            arguments.all([])?;
            Ok(Value::list(dict.iter().map(|(_, value)| value.clone())))
        }
        "items" => {
            arguments.all([])?;
            Ok(Value::list(dict.iter().map(|(key, value)| {
                Value::tuple([key.value().clone(), value.clone()])
            })))
        }
        "copy" => {
            arguments.all([])?;
            Ok(Value::Dict(dict.clone().with_attributes(false)))
        }
        "clear" => {
            arguments.all([])?;
            *dict = Dict::new().with_attributes(dict.has_attributes());
            Ok(Value::None)
        }
        "pop" => {
            let [key, default] = arguments.bind(["key", "default"], 1)?;
            let key = Key::new(key.cloned().unwrap_or_default())?;
            dict.remove_key(&key)
                .or_else(|| default.cloned())
                .ok_or_else(|| ValueError::key(format!("no key {}", key.value().repr())))
        }
        "popitem" => {
            arguments.all([])?;
            let (key, value) = dict
                .pop()
                .ok_or_else(|| ValueError::key("the dictionary is empty"))?;
            Ok(Value::tuple([key.into_value(), value]))
        }
        "setdefault" => {
            let [key, default] = arguments.bind(["key", "default"], 1)?;
            let key = Key::new(key.cloned().unwrap_or_default())?;
            if let Some(value) = dict.get_value(key.value()) {
                return Ok(value.clone());
            }
            let default = default.cloned().unwrap_or_default();
            insert(dict, key, default.clone())?;
            Ok(default)
        }
        _ => update(dict, arguments).map(|()| Value::None),
    }
}

fn update(dict: &mut Dict, arguments: &Arguments) -> Result<(), ValueError> {
    let positional = Arguments {
        positional: arguments.positional.clone(),
        named: Vec::new(),
    };
    let [other] = positional.bind(["other"], 0)?;
    match other {
        None => {}
        Some(Value::Dict(other)) => {
            for (key, value) in other.iter() {
                insert(dict, key.clone(), value.clone())?;
            }
        }
        Some(pairs) => {
            for (key, value) in entries(pairs)? {
                insert(dict, key, value)?;
            }
        }
    }
    for (name, value) in &arguments.named {
        insert(dict, Key::from(name.as_str()), value.clone())?;
    }
    Ok(())
}

/// Keys and values of a dictionary, or of a sequence of pairs.
pub(crate) fn entries(value: &Value) -> Result<Vec<(Key, Value)>, ValueError> {
    if let Value::Dict(dict) = value.plain() {
        return Ok(dict
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect());
    }
    let pair = |item: Value| match item.iterate()?.as_slice() {
        [key, value] => Ok((Key::new(key.clone())?, value.clone())),
        _ => Err(ValueError::invalid(
            "each entry must be a pair of key and value",
        )),
    };
    value.iterate()?.into_iter().map(pair).collect()
}

fn insert(dict: &mut Dict, key: Key, value: Value) -> Result<(), ValueError> {
    if dict.len() >= MAX_LENGTH {
        return Err(ValueError::limit("a dictionary has at most 100000 entries"));
    }
    dict.insert(key, value);
    Ok(())
}
