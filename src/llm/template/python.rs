//! Values as Python prints them.

use std::fmt::{self, Write};

use minijinja::value::{Value, ValueKind};

use crate::value::write_quoted;

/// The deepest nesting that is printed; what lies deeper is `...`.
const DEPTH_LIMIT: usize = 64;

/// What Python's `str(value)` gives; nothing for an undefined value.
pub(super) fn write_str(out: &mut dyn Write, value: &Value) -> fmt::Result {
    match (value.kind(), value.as_str()) {
        (ValueKind::Undefined, _) => Ok(()),
        (_, Some(text)) => out.write_str(text),
        _ => write_repr(out, value, 0),
    }
}

/// What Python's `str(value)` gives.
pub(super) fn to_str(value: &Value) -> String {
    let mut text = String::new();
    // Writing to a `String` does not fail.
    let _ = write_str(&mut text, value);
    text
}

/// What Python's `repr(value)` gives.
pub(super) fn repr(value: &Value) -> String {
    let mut text = String::new();
    // Writing to a `String` does not fail.
    let _ = write_repr(&mut text, value, 0);
    text
}

fn write_repr(mut out: &mut dyn Write, value: &Value, depth: usize) -> fmt::Result {
    if depth > DEPTH_LIMIT {
        return out.write_str("...");
    }
    match value.kind() {
        ValueKind::Undefined => out.write_str("Undefined"),
        ValueKind::None => out.write_str("None"),
        ValueKind::Bool if value.is_true() => out.write_str("True"),
        ValueKind::Bool => out.write_str("False"),
        ValueKind::Number if !value.is_integer() => match f64::try_from(value.clone()) {
            Ok(number) => write_float(out, number),
            Err(_) => write!(out, "{value}"),
        },
        ValueKind::String => write_quoted(value.as_str().unwrap_or_default(), &mut out),
        ValueKind::Seq | ValueKind::Iterable => {
            let (open, close) = if value.is_tuple() {
                ('(', ')')
            } else {
                ('[', ']')
            };
            out.write_char(open)?;
            let mut count = 0;
            if let Ok(items) = value.try_iter() {
                for item in items {
                    out.write_str(if count > 0 { ", " } else { "" })?;
                    write_repr(out, &item, depth + 1)?;
                    count += 1;
                }
            }
            if value.is_tuple() && count == 1 {
                out.write_char(',')?;
            }
            out.write_char(close)
        }
        ValueKind::Map => {
            out.write_char('{')?;
            if let Ok(keys) = value.try_iter() {
                for (index, key) in keys.enumerate() {
                    out.write_str(if index > 0 { ", " } else { "" })?;
                    write_repr(out, &key, depth + 1)?;
                    out.write_str(": ")?;
                    write_repr(out, &value.get_item(&key).unwrap_or_default(), depth + 1)?;
                }
            }
            out.write_char('}')
        }
        _ => write!(out, "{value}"),
    }
}

/// A float as `repr` writes it: the shortest digits, with an exponent from 1e16 up and below 1e-4.
fn write_float(out: &mut dyn Write, number: f64) -> fmt::Result {
    if number.is_nan() {
        return out.write_str("nan");
    }
    if number.is_infinite() {
        return out.write_str(if number > 0.0 { "inf" } else { "-inf" });
    }
    let size = number.abs();
    if size != 0.0 && !(1e-4..1e16).contains(&size) {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => ('-', exponent),
            None => ('+', exponent),
        };
        return write!(out, "{digits}e{sign}{exponent:0>2}");
    }
    write!(out, "{number:?}")
}
