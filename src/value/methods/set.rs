//! Methods of sets.

use super::{Answer, Arguments};
use crate::value::{Key, Set, Value, ValueError, ops::symmetric_difference, types::MAX_LENGTH};

pub(super) const NAMES: &[&str] = &[
    "add",
    "clear",
    "copy",
    "difference",
    "difference_update",
    "discard",
    "intersection",
    "intersection_update",
    "isdisjoint",
    "issubset",
    "issuperset",
    "pop",
    "remove",
    "symmetric_difference",
    "symmetric_difference_update",
    "union",
    "update",
];

pub(super) fn call(set: &mut Set, name: &str, arguments: &Arguments) -> Answer {
    NAMES
        .contains(&name)
        .then(|| call_known(set, name, arguments))
}

fn call_known(set: &mut Set, name: &str, arguments: &Arguments) -> Result<Value, ValueError> {
    match name {
        "add" => {
            if set.len() >= MAX_LENGTH {
                return Err(ValueError::limit("a set has at most 100000 elements"));
            }
            set.insert(one_key(arguments)?);
        }
        "discard" => {
            set.remove(&one_key(arguments)?);
        }
        "remove" => {
            let key = one_key(arguments)?;
            if !set.remove(&key) {
                return Err(ValueError::key(format!(
                    "no element {}",
                    key.value().repr()
                )));
            }
        }
        "pop" => {
            arguments.all([])?;
            let key = set.iter().next().cloned();
            let key = key.ok_or_else(|| ValueError::key("the set is empty"))?;
            set.remove(&key);
            return Ok(key.into_value());
        }
        "clear" => {
            arguments.all([])?;
            *set = Set::new();
        }
        "copy" => {
            arguments.all([])?;
            return Ok(Value::Set(set.clone()));
        }
        "isdisjoint" => {
            let other = one_set(arguments)?;
            return Ok(Value::Bool(!set.iter().any(|key| other.contains(key))));
        }
        "issubset" => return Ok(Value::Bool(set.is_subset(&one_set(arguments)?))),
        "issuperset" => return Ok(Value::Bool(one_set(arguments)?.is_subset(set))),
        "symmetric_difference" => {
            return Ok(Value::Set(symmetric_difference(set, &one_set(arguments)?)));
        }
        "symmetric_difference_update" => *set = symmetric_difference(set, &one_set(arguments)?),
        "update" => *set = combined(set, "union", arguments)?,
        _ => match name.strip_suffix("_update") {
            Some(operation) => *set = combined(set, operation, arguments)?,
            None => return combined(set, name, arguments).map(Value::Set),
        },
    }
    Ok(Value::None)
}

/// `union`, `intersection` and `difference` with any number of others.
fn combined(set: &Set, operation: &str, arguments: &Arguments) -> Result<Set, ValueError> {
    let no_names = Arguments {
        positional: Vec::new(),
        named: arguments.named.clone(),
    };
    no_names.all([])?;
    let mut result = set.clone();
    for other in &arguments.positional {
        let other = to_set(other)?;
        result = match operation {
            "union" => result.iter().chain(other.iter()).cloned().collect(),
            "intersection" => result
                .iter()
                .filter(|key| other.contains(key))
                .cloned()
                .collect(),
            _ => result
                .iter()
                .filter(|key| !other.contains(key))
                .cloned()
                .collect(),
        };
        if result.len() > MAX_LENGTH {
            return Err(ValueError::limit("a set has at most 100000 elements"));
        }
    }
    Ok(result)
}

fn one_key(arguments: &Arguments) -> Result<Key, ValueError> {
    let [value] = arguments.all(["element"])?;
    Key::new(value.clone())
}

fn one_set(arguments: &Arguments) -> Result<Set, ValueError> {
    let [value] = arguments.all(["other"])?;
    to_set(value)
}

/// The elements of anything that can be iterated over.
pub(crate) fn to_set(value: &Value) -> Result<Set, ValueError> {
    match value.plain() {
        Value::Set(set) => Ok(set.clone()),
        _ => value
            .iterate()?
            .into_iter()
            .map(Key::new)
            .collect::<Result<_, _>>(),
    }
}
