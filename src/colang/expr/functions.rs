//! The functions that expressions may call: `len` in Colang 1.0, these all in 2.x.
//!
//! Functions that look into the interpreter (`flow`, `action`, `flows_info`) are the scope's.

use std::{
    hash::{BuildHasher, RandomState},
    num::NonZeroUsize,
    sync::{LazyLock, Mutex, PoisonError},
};

use lru::LruCache;

use super::{
    Dialect,
    objects::{Comparison, Pattern},
};
use crate::value::{
    Arguments, Dict, Value, ValueError, entries, parse_int_radix, to_float, to_int, to_set,
};

/// Calls a function of the dialect; none where there is no such function.
pub(super) fn call(
    name: &str,
    arguments: &Arguments,
    dialect: Dialect,
) -> Option<Result<Value, ValueError>> {
    if dialect == Dialect::V1 && name != "len" {
        return None;
    }
    Some(match name {
        "len" => arguments
            .all(["obj"])
            .and_then(|[value]| value.try_len())
            .map(Value::from),
        "search" => search(arguments).map(Value::Bool),
        "find_all" => find_all(arguments),
        "regex" => regex(arguments),
        "uid" => arguments.all([]).map(|[]| Value::from(uid())),
        "rand" => arguments.all([]).map(|[]| Value::Float(random())),
        "randint" => random_int(arguments),
        "pretty_str" => arguments
            .all(["data"])
            .and_then(|[value]| pretty(value))
            .map(Value::from),
        "escape" => arguments
            .all(["string"])
            .and_then(|[value]| escape(value))
            .map(Value::from),
        "is_int" => is(arguments, |value| {
            matches!(value, Value::Int(_) | Value::Bool(_))
        }),
        "is_float" => is(arguments, |value| matches!(value, Value::Float(_))),
        "is_bool" => is(arguments, |value| matches!(value, Value::Bool(_))),
        "is_str" => is(arguments, |value| matches!(value, Value::Str(_))),
        "is_regex" => is(arguments, |value| value.as_object::<Pattern>().is_some()),
        "type" => arguments
            .all(["val"])
            .map(|[value]| Value::from(value.type_name())),
        "int" => int(arguments),
        "float" => arguments
            .bind(["x"], 0)
            .and_then(|[value]| value.map_or(Ok(Value::Float(0.0)), to_float)),
        "str" => {
            let text = |value: Option<&Value>| value.map_or_else(String::new, Value::to_string);
            arguments
                .bind(["object"], 0)
                .map(|[value]| Value::from(text(value)))
        }
        "list" => sequence(arguments).map(Value::list),
        "tuple" => sequence(arguments).map(Value::tuple),
        "set" => sequence(arguments)
            .and_then(|items| to_set(&Value::list(items)))
            .map(Value::Set),
        "dict" => dict(arguments).map(Value::Dict),
        "less_than" | "equal_less_than" | "greater_than" | "equal_greater_than"
        | "not_equal_to" => comparison(name, arguments),
        _ => return None,
    })
}

fn is(arguments: &Arguments, property: impl Fn(&Value) -> bool) -> Result<Value, ValueError> {
    arguments
        .all(["val"])
        .map(|[value]| Value::Bool(property(value.plain())))
}

fn comparison(name: &str, arguments: &Arguments) -> Result<Value, ValueError> {
    let [reference] = arguments.all(["v_ref"])?;
    match Comparison::of_function(name, reference) {
        Some(comparison) => comparison.map(Value::object),
        None => Err(ValueError::attribute(format!(
            "there is no function `{name}`"
        ))),
    }
}

fn int(arguments: &Arguments) -> Result<Value, ValueError> {
    let [value, base] = arguments.bind(["x", "base"], 0)?;
    match (value, base) {
        (None, _) => Ok(Value::Int(0)),
        (Some(value), None) => to_int(value),
        (Some(value), Some(base)) => {
            let base = base
                .as_int()
                .ok_or_else(|| ValueError::type_error("a base is a whole number"))?;
            parse_int_radix(text_of(value)?, base).map(Value::Int)
        }
    }
}

fn sequence(arguments: &Arguments) -> Result<Vec<Value>, ValueError> {
    let [items] = arguments.bind(["iterable"], 0)?;
    items.map_or_else(|| Ok(Vec::new()), Value::iterate)
}

fn dict(arguments: &Arguments) -> Result<Dict, ValueError> {
    let positional = Arguments::positional(arguments.positional.iter().cloned());
    let [items] = positional.bind(["entries"], 0)?;
    let mut dict: Dict = items
        .map_or_else(|| Ok(Vec::new()), entries)?
        .into_iter()
        .collect();
    dict.extend(
        arguments
            .named
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone())),
    );
    Ok(dict)
}

fn text_of(value: &Value) -> Result<&str, ValueError> {
    value.as_str().ok_or_else(|| {
        ValueError::type_error(format!(
            "a text is needed, not a value of type {}",
            value.type_name()
        ))
    })
}

fn regex(arguments: &Arguments) -> Result<Value, ValueError> {
    let [pattern] = arguments.all(["pattern"])?;
    compiled(pattern).map(Value::object)
}

fn search(arguments: &Arguments) -> Result<bool, ValueError> {
    let [pattern, text] = arguments.all(["pattern", "string"])?;
    compiled(pattern)?.search(text_of(text)?)
}

fn find_all(arguments: &Arguments) -> Result<Value, ValueError> {
    let [pattern, text] = arguments.all(["pattern", "string"])?;
    compiled(pattern)?.find_all(text_of(text)?)
}

/// The pattern itself, or the one of this text. Those last used are kept, since flows use the same few again and again.
fn compiled(pattern: &Value) -> Result<Pattern, ValueError> {
    const KEPT: NonZeroUsize = NonZeroUsize::new(64).unwrap();
    static PATTERNS: LazyLock<Mutex<LruCache<String, Pattern>>> =
        LazyLock::new(|| Mutex::new(LruCache::new(KEPT)));
    if let Some(pattern) = pattern.as_object::<Pattern>() {
        return Ok(pattern.clone());
    }
    let text = text_of(pattern)?;
    if let Some(known) = PATTERNS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get(text)
    {
        return Ok(known.clone());
    }
    let compiled = Pattern::new(text)?;
    PATTERNS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .put(text.to_owned(), compiled.clone());
    Ok(compiled)
}

/// 64 random bits, good enough to tell things apart; not for secrets.
fn random_bits() -> u64 {
    RandomState::new().hash_one(std::time::SystemTime::now())
}

/// A number from 0 up to, not including, 1.
#[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
fn random() -> f64 {
    (random_bits() >> 11) as f64 / (1_u64 << 53) as f64
}

fn random_int(arguments: &Arguments) -> Result<Value, ValueError> {
    let [top] = arguments.all(["top"])?;
    let top = top
        .as_float()
        .ok_or_else(|| ValueError::type_error("a number is needed"))?;
    to_int(&Value::Float(random() * top))
}

/// A random identifier in the form of a UUID of version 4.
pub(crate) fn uid() -> String {
    let (high, low) = (random_bits(), random_bits());
    let high = (high & 0xffff_ffff_ffff_0fff) | 0x4000;
    let low = (low & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

/// Containers as indented JSON, anything else as its text.
fn pretty(value: &Value) -> Result<String, ValueError> {
    let value = value.plain();
    match value {
        Value::Dict(_) | Value::List(_) => {
            let mut out = Vec::new();
            let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
            let mut serializer = serde_json::Serializer::with_formatter(&mut out, indent);
            serde::Serialize::serialize(value, &mut serializer)
                .map_err(|error| ValueError::invalid(error.to_string()))?;
            Ok(escape_non_ascii(&String::from_utf8_lossy(&out)))
        }
        Value::Set(_) => Err(ValueError::type_error("a set has no JSON form")),
        _ => Ok(value.to_string()),
    }
}

/// JSON as Python writes it: ASCII only.
fn escape_non_ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            out.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

/// A text that can stand in a text of Colang, its quotes and double braces escaped.
fn escape(value: &Value) -> Result<String, ValueError> {
    Ok(text_of(value)?
        .replace('\\', "\\\\")
        .replace("{{", "\\{")
        .replace("}}", "\\}")
        .replace('\'', "\\'")
        .replace('"', "\\\""))
}
