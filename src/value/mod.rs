//! Python-like values: what Colang variables hold, actions take and return.
//!
//! The reference evaluates expressions with Python, so a rails directory relies on Python's rules: what is true, how
//! `1 == 1.0 == True` compare and hash, how a float or a nested list reads as text. [`Value`] follows those rules.
//!
//! Containers are shared and copied when written to, so that a clone costs a reference count. One difference to Python
//! follows: a change through one variable is never seen through another one that held the same list.
//!
//! ```
//! use tower_guardrails::value::Value;
//!
//! let order = Value::from_json(&serde_json::json!({"id": 7, "tags": ["new", "it's"], "total": 1e16}));
//! assert_eq!(order.to_string(), r#"{'id': 7, 'tags': ['new', "it's"], 'total': 1e+16}"#);
//! assert!(order.is_truthy());
//! assert_eq!(Value::from(1), Value::from(1.0));
//! ```

mod types;
// What `types` holds, in reading order.
mod braces;
mod dict;
mod error;
mod format;
mod index;
mod json;
mod methods;
mod number;
mod object;
mod ops;
mod outcome;
mod text;

#[cfg(test)]
mod tests;

pub(crate) use self::text::write_quoted;
pub(crate) use self::{
    braces::format_braces,
    index::Slice,
    methods::{entries, to_set},
    number::{parse_float, parse_int_radix, to_float, to_int},
    ops::{Binary, Order},
    outcome::{ANSWER, parts as outcome_parts},
    types::{MAX_LENGTH, MAX_NESTING},
};
pub use self::{
    dict::{Dict, Key, Set},
    error::{ErrorKind, ValueError},
    methods::Arguments,
    object::Object,
    types::Value,
};
