//! Python's methods and operators on values of templates.

use minijinja::{
    Error, ErrorKind, State,
    value::{Kwargs, Rest, Value, ValueKind, from_args},
};

use super::{environment::to_value, python};
use crate::value::{Arguments, Binary, Dict, Value as Py, ValueError, format_braces};

/// How deep a value is converted.
const DEPTH: usize = 64;

/// Calls Python's method `name` of `value`.
///
/// # Errors
///
/// Where Python has no such method, or it changes the value: values of templates do not change.
pub(super) fn call(
    _: &mut State<'_, '_>,
    value: &Value,
    name: &str,
    arguments: &[Value],
) -> Result<Value, Error> {
    let (positional, named): (Rest<Value>, Kwargs) = from_args(arguments)?;
    let mut receiver = to_python(value, DEPTH)?;
    let mut given = Arguments::default();
    for argument in positional.iter() {
        given.positional.push(to_python(argument, DEPTH)?);
    }
    for key in named.args() {
        let argument: Value = named.get(key)?;
        given
            .named
            .push((key.to_owned(), to_python(&argument, DEPTH)?));
    }
    let result = match (&receiver, name) {
        (Py::Str(template), "format") => {
            let named = given.named.iter();
            let named: Dict = named
                .map(|(name, value)| (name.as_str(), value.clone()))
                .collect();
            format_braces(template, &given.positional, &named).map(Py::from)
        }
        (Py::Str(template), "format_map") => match given.positional.as_slice() {
            [Py::Dict(named)] => format_braces(template, &[], named).map(Py::from),
            _ => Err(ValueError::type_error("`format_map` takes a dictionary")),
        },
        _ if !receiver.has_method(name) || receiver.is_changed_by(name) => {
            return Err(Error::from(ErrorKind::UnknownMethod));
        }
        _ => receiver.call_method(name, &given),
    };
    result.map(|value| from_python(&value)).map_err(failed)
}

/// `left % right`.
///
/// # Errors
///
/// As in Python.
pub(super) fn modulo(left: &Value, right: &Value) -> Result<Value, Error> {
    let left = to_python(left, DEPTH)?;
    let right = to_python(right, DEPTH)?;
    let result = left.binary(Binary::Modulo, &right);
    result.map(|value| from_python(&value)).map_err(failed)
}

/// What a loop goes through, as a sequence that knows its length.
///
/// # Errors
///
/// Where an iterator fails.
pub(super) fn sequence(items: Value) -> Result<Value, Error> {
    match items.as_str() {
        Some(text) => Ok(text.chars().map(|c| Value::from(c.to_string())).collect()),
        None if items.kind() == ValueKind::Iterable && items.len().is_none() => {
            Ok(items.try_iter()?.collect())
        }
        None => Ok(items),
    }
}

fn failed(error: ValueError) -> Error {
    Error::new(ErrorKind::InvalidOperation, error.to_string())
}

fn to_python(value: &Value, depth: usize) -> Result<Py, Error> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "the value is nested too deep",
        ));
    };
    Ok(match value.kind() {
        ValueKind::Undefined => Py::str(""),
        ValueKind::None => Py::None,
        ValueKind::Bool => Py::Bool(value.is_true()),
        ValueKind::Number => match i64::try_from(value.clone()) {
            Ok(number) if value.is_integer() => Py::Int(number),
            _ => Py::Float(f64::try_from(value.clone())?),
        },
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter()?;
            let items: Vec<Py> = items
                .map(|item| to_python(&item, depth))
                .collect::<Result<_, _>>()?;
            if value.is_tuple() {
                Py::tuple(items)
            } else {
                Py::list(items)
            }
        }
        ValueKind::Map => {
            let mut entries = Dict::new();
            for key in value.try_iter()? {
                let item = value.get_item(&key)?;
                let key = crate::value::Key::new(to_python(&key, depth)?).map_err(failed)?;
                entries.insert(key, to_python(&item, depth)?);
            }
            Py::Dict(entries)
        }
        _ => match value.as_str() {
            Some(text) => Py::str(text),
            None => Py::from(python::to_str(value)),
        },
    })
}

fn from_python(value: &Py) -> Value {
    match value {
        Py::Tuple(items) => {
            let items: Vec<Value> = items.iter().map(from_python).collect();
            Value::from(minijinja::value::Tuple::from(items))
        }
        Py::List(items) => items.iter().map(from_python).collect(),
        _ => to_value(value.to_json()),
    }
}
