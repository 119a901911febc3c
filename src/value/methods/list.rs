//! Methods of lists and tuples.

use std::sync::Arc;

use super::{Answer, Arguments};
use crate::value::{
    Value, ValueError, index::from_end, ops::Order, ops::same_or_equal, types::MAX_LENGTH,
};

pub(super) const NAMES: &[&str] = &[
    "append", "clear", "copy", "count", "extend", "index", "insert", "pop", "remove", "reverse",
    "sort",
];

pub(super) fn call(items: &mut Arc<Vec<Value>>, name: &str, arguments: &Arguments) -> Answer {
    NAMES
        .contains(&name)
        .then(|| call_known(items, name, arguments))
}

fn call_known(
    items: &mut Arc<Vec<Value>>,
    name: &str,
    arguments: &Arguments,
) -> Result<Value, ValueError> {
    match name {
        "append" => {
            let [value] = arguments.all(["object"])?;
            with_room(items, 1)?.push(value.clone());
        }
        "extend" => {
            let [values] = arguments.all(["iterable"])?;
            let values = values.iterate()?;
            with_room(items, values.len())?.extend(values);
        }
        "insert" => {
            let [index, value] = arguments.all(["index", "object"])?;
            let index = whole(index)?;
            let place = from_end(index, items.len()).unwrap_or(0).min(items.len());
            with_room(items, 1)?.insert(place, value.clone());
        }
        "remove" => {
            let [value] = arguments.all(["value"])?;
            let place = find(items, value)?;
            Arc::make_mut(items).remove(place);
        }
        "pop" => {
            let [index] = arguments.bind(["index"], 0)?;
            let index = index.map_or(Ok(-1), whole)?;
            let place = from_end(index, items.len()).filter(|place| *place < items.len());
            let place = place
                .ok_or_else(|| ValueError::index("there is nothing to take out at this index"))?;
            return Ok(Arc::make_mut(items).remove(place));
        }
        "clear" => {
            arguments.all([])?;
            *items = Arc::default();
        }
        "reverse" => {
            arguments.all([])?;
            Arc::make_mut(items).reverse();
        }
        "sort" => {
            let [key, reverse] = arguments.bind(["key", "reverse"], 0)?;
            if key.is_some_and(|key| !key.is_none()) {
                return Err(ValueError::type_error(
                    "sorting by a key function is not supported",
                ));
            }
            sort(
                Arc::make_mut(items).as_mut_slice(),
                reverse.is_some_and(Value::is_truthy),
            )?;
        }
        "copy" => {
            arguments.all([])?;
            return Ok(Value::List(Arc::new(items.to_vec())));
        }
        _ => return search(items, name, arguments),
    }
    Ok(Value::None)
}

pub(super) fn call_tuple(items: &Arc<Vec<Value>>, name: &str, arguments: &Arguments) -> Answer {
    matches!(name, "index" | "count").then(|| search(items, name, arguments))
}

/// `index` and `count`.
fn search(items: &[Value], name: &str, arguments: &Arguments) -> Result<Value, ValueError> {
    if name == "count" {
        let [value] = arguments.all(["value"])?;
        return Ok(Value::from(
            items
                .iter()
                .filter(|item| same_or_equal(item, value))
                .count(),
        ));
    }
    let [value, start, stop] = arguments.bind(["value", "start", "stop"], 1)?;
    let value = value.unwrap_or(&Value::None);
    let place = |bound: Option<&Value>, absent: usize| match bound {
        Some(bound) => whole(bound).map(|index| from_end(index, items.len()).unwrap_or(0)),
        None => Ok(absent),
    };
    let (start, stop) = (place(start, 0)?, place(stop, items.len())?.min(items.len()));
    let part = items.get(start..stop).unwrap_or_default();
    find(part, value).map(|found| Value::from(start + found))
}

fn find(items: &[Value], value: &Value) -> Result<usize, ValueError> {
    items
        .iter()
        .position(|item| same_or_equal(item, value))
        .ok_or_else(|| ValueError::invalid(format!("{} is not among the elements", value.repr())))
}

fn whole(value: &Value) -> Result<i64, ValueError> {
    value
        .as_int()
        .ok_or_else(|| ValueError::type_error("an index is a whole number"))
}

fn with_room(items: &mut Arc<Vec<Value>>, more: usize) -> Result<&mut Vec<Value>, ValueError> {
    if items.len().saturating_add(more) > MAX_LENGTH {
        return Err(ValueError::limit("a list has at most 100000 elements"));
    }
    Ok(Arc::make_mut(items))
}

/// Sorts and keeps the order of equal elements, also when reversed.
fn sort(items: &mut [Value], reverse: bool) -> Result<(), ValueError> {
    let mut failure = None;
    let mut less = |left: &Value, right: &Value| {
        left.ordered(Order::Less, right).unwrap_or_else(|error| {
            failure.get_or_insert(error);
            false
        })
    };
    // A merge sort of our own would only repeat this: the standard one needs no total order to be safe, but may panic on
    // an inconsistent one, which NaN makes. Insertion by binary search never does.
    let mut sorted: Vec<Value> = Vec::with_capacity(items.len());
    for item in items.iter() {
        let place = sorted.partition_point(|own| {
            let after = if reverse {
                less(own, item)
            } else {
                less(item, own)
            };
            !after
        });
        sorted.insert(place, item.clone());
    }
    if let Some(error) = failure {
        return Err(error);
    }
    items.clone_from_slice(&sorted);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorting_keeps_equal_elements_in_order_and_refuses_mixed_types() {
        let mut items = [Value::from(2), Value::from(1.0), Value::from(true)];
        sort(&mut items, false).unwrap();
        assert_eq!(Value::list(items.clone()).to_string(), "[1.0, True, 2]");
        sort(&mut items, true).unwrap();
        assert_eq!(Value::list(items.clone()).to_string(), "[2, 1.0, True]");
        assert!(sort(&mut [Value::from(1), Value::from("a")], false).is_err());
    }
}
