//! The methods of Python's built-in types, as far as they make sense in expressions.
//!
//! Left out: `format` and `format_map` (the reference forbids them), and what needs types that expressions do not have
//! (`encode`, `maketrans`, `translate`). `keys`, `values` and `items` give lists instead of views.

mod arguments;
mod dict;
mod list;
mod set;
mod str;

use super::{Value, ValueError};

pub use self::arguments::Arguments;
pub(crate) use self::{dict::entries, set::to_set};

impl Value {
    /// Calls a method. Those that change their value (`append`, `update`, …) change `self`.
    ///
    /// ```
    /// use tower_guardrails::value::{Arguments, Value};
    ///
    /// let mut list = Value::list([1, 2]);
    /// list.call_method("append", &Arguments::positional([Value::from(3)]))?;
    /// assert_eq!(list.to_string(), "[1, 2, 3]");
    /// # Ok::<(), tower_guardrails::value::ValueError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// There is no such method, or it does not take these arguments.
    pub fn call_method(&mut self, name: &str, arguments: &Arguments) -> Result<Self, ValueError> {
        let result = match self {
            Self::Str(text) => str::call(text, name, arguments),
            Self::List(items) => list::call(items, name, arguments),
            Self::Tuple(items) => list::call_tuple(items, name, arguments),
            Self::Dict(dict) => dict::call(dict, name, arguments),
            Self::Set(set) => set::call(set, name, arguments),
            Self::Float(number) => match name {
                "is_integer" => Some(Ok(Self::Bool(number.fract() == 0.0))),
                "conjugate" => Some(Ok(Self::Float(*number))),
                _ => None,
            },
            Self::Object(object) => object.call(name, arguments),
            Self::None => None,
            Self::Bool(_) | Self::Int(_) => match (name, self.as_int()) {
                ("bit_length", Some(number)) => Some(Ok(Self::from(
                    u64::BITS - number.unsigned_abs().leading_zeros(),
                ))),
                ("conjugate", Some(number)) => Some(Ok(Self::Int(number))),
                _ => None,
            },
        };
        result.unwrap_or_else(|| {
            Err(ValueError::attribute(format!(
                "a value of type {} has no method `{name}`",
                self.type_name()
            )))
        })
    }

    /// Whether the value's type has this method.
    pub(crate) fn has_method(&self, name: &str) -> bool {
        match self {
            Self::Str(_) => str::NAMES.contains(&name),
            Self::List(_) => list::NAMES.contains(&name),
            Self::Tuple(_) => matches!(name, "index" | "count"),
            Self::Dict(_) => dict::NAMES.contains(&name),
            Self::Set(_) => set::NAMES.contains(&name),
            Self::Float(_) => matches!(name, "is_integer" | "conjugate"),
            Self::Bool(_) | Self::Int(_) => matches!(name, "bit_length" | "conjugate"),
            Self::Object(object) => object
                .stands_for()
                .is_some_and(|value| value.has_method(name)),
            Self::None => false,
        }
    }

    /// Whether the method changes the value that it is called on.
    pub(crate) fn is_changed_by(&self, name: &str) -> bool {
        match self {
            Self::List(_) => {
                matches!(
                    name,
                    "append"
                        | "extend"
                        | "insert"
                        | "remove"
                        | "pop"
                        | "clear"
                        | "sort"
                        | "reverse"
                )
            }
            Self::Dict(_) => matches!(name, "pop" | "popitem" | "setdefault" | "update" | "clear"),
            Self::Set(_) => {
                matches!(
                    name,
                    "add" | "remove" | "discard" | "pop" | "clear" | "update"
                ) || name.ends_with("_update")
            }
            _ => false,
        }
    }
}

/// The answer of a method: none where there is no such method.
type Answer = Option<Result<Value, ValueError>>;
