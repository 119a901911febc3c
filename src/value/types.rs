//! The type itself: its kinds, how to make one and how to look into one.

use std::sync::Arc;

use super::{Dict, Key, Object, Set, ValueError};

/// The longest text or sequence that an operation makes, in characters or elements (the reference's own limit).
pub(crate) const MAX_LENGTH: usize = 100_000;

/// How deep lists and dictionaries may be nested by expressions.
pub(crate) const MAX_NESTING: usize = 128;

/// A Python-like value. Cheap to clone.
///
/// `==` is Python's: numbers and booleans compare by value across their types, `NaN` equals nothing, sets ignore order.
/// [`Display`](std::fmt::Display) is `str()`, [`Value::repr`] is `repr()`.
#[derive(Debug, Clone, Default)]
pub enum Value {
    /// `None`.
    #[default]
    None,
    /// `True` or `False`.
    Bool(bool),
    /// A whole number. Operations that leave the range of 64 bits fail.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A text.
    Str(Arc<str>),
    /// A list.
    List(Arc<Vec<Value>>),
    /// A tuple.
    Tuple(Arc<Vec<Value>>),
    /// A dictionary, in the order of insertion.
    Dict(Dict),
    /// A set, in the order of insertion.
    Set(Set),
    /// An object of the host.
    Object(Arc<dyn Object>),
}

impl Value {
    /// A text.
    pub fn str(text: impl AsRef<str>) -> Self {
        Self::Str(Arc::from(text.as_ref()))
    }

    /// A list of anything that turns into values.
    pub fn list<T: Into<Self>>(items: impl IntoIterator<Item = T>) -> Self {
        Self::List(Arc::new(items.into_iter().map(Into::into).collect()))
    }

    /// A tuple of anything that turns into values.
    pub fn tuple<T: Into<Self>>(items: impl IntoIterator<Item = T>) -> Self {
        Self::Tuple(Arc::new(items.into_iter().map(Into::into).collect()))
    }

    /// A dictionary with text keys.
    pub fn dict<K: AsRef<str>, V: Into<Self>>(entries: impl IntoIterator<Item = (K, V)>) -> Self {
        Self::Dict(
            entries
                .into_iter()
                .map(|(key, value)| (Key::from(key.as_ref()), value.into()))
                .collect::<Dict>(),
        )
    }

    /// An object of the host.
    pub fn object(object: impl Object) -> Self {
        Self::Object(Arc::new(object))
    }

    /// Python's name of the value's type: `NoneType`, `bool`, `int`, `float`, `str`, `list`, …
    pub fn type_name(&self) -> &str {
        match self {
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) => "str",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Dict(dict) if dict.has_attributes() => "AttributeDict",
            Self::Dict(_) => "dict",
            Self::Set(_) => "set",
            Self::Object(object) => object.type_name(),
        }
    }

    /// Whether this is `None`.
    pub fn is_none(&self) -> bool {
        matches!(self.plain(), Self::None)
    }

    /// The value itself, or the one that an object [stands for](Object::stands_for).
    pub(crate) fn plain(&self) -> &Self {
        match self {
            Self::Object(object) => object.stands_for().map_or(self, Self::plain),
            _ => self,
        }
    }

    /// The text, if this is one.
    pub fn as_str(&self) -> Option<&str> {
        match self.plain() {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, if this is one (a boolean is 0 or 1, as in Python).
    pub fn as_int(&self) -> Option<i64> {
        match self.plain() {
            Self::Int(number) => Some(*number),
            Self::Bool(flag) => Some(i64::from(*flag)),
            _ => None,
        }
    }

    /// The number, if this is one.
    pub fn as_float(&self) -> Option<f64> {
        match self.plain() {
            Self::Float(number) => Some(*number),
            #[expect(clippy::cast_precision_loss, reason = "what float() does")]
            _ => self.as_int().map(|number| number as f64),
        }
    }

    /// The boolean, if this is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self.plain() {
            Self::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    /// The elements, if this is a list or a tuple.
    pub fn as_slice(&self) -> Option<&[Value]> {
        match self.plain() {
            Self::List(items) | Self::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// The dictionary, if this is one.
    pub fn as_dict(&self) -> Option<&Dict> {
        match self.plain() {
            Self::Dict(dict) => Some(dict),
            _ => None,
        }
    }

    /// The object of type `T`, if this is one.
    pub fn as_object<T: Object>(&self) -> Option<&T> {
        match self {
            Self::Object(object) => object.as_ref().downcast_ref(),
            _ => None,
        }
    }

    /// The entry `key` of a dictionary or the attribute `key` of an object.
    pub fn get(&self, key: &str) -> Option<Value> {
        match self {
            Self::Dict(dict) => dict.get(key).cloned(),
            Self::Object(object) => object.attribute(key),
            _ => None,
        }
    }

    /// Whether the value counts as true.
    pub fn is_truthy(&self) -> bool {
        match self {
            Self::None => false,
            Self::Bool(flag) => *flag,
            Self::Int(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Str(text) => !text.is_empty(),
            Self::List(items) | Self::Tuple(items) => !items.is_empty(),
            Self::Dict(dict) => !dict.is_empty(),
            Self::Set(set) => !set.is_empty(),
            Self::Object(object) => object.is_truthy(),
        }
    }

    /// Whether both are the same object (`is`). Small values that Python shares (numbers, texts) are the same when equal.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self.plain(), other.plain()) {
            (Self::None, Self::None) => true,
            (Self::Bool(left), Self::Bool(right)) => left == right,
            (Self::Int(left), Self::Int(right)) => left == right,
            (Self::Float(left), Self::Float(right)) => left.to_bits() == right.to_bits(),
            (Self::Str(left), Self::Str(right)) => left == right,
            (Self::List(left), Self::List(right)) => Arc::ptr_eq(left, right),
            (Self::Tuple(left), Self::Tuple(right)) => {
                Arc::ptr_eq(left, right) || (left.is_empty() && right.is_empty())
            }
            (Self::Dict(left), Self::Dict(right)) => left.is_same(right),
            (Self::Set(left), Self::Set(right)) => left.is_same(right),
            (Self::Object(left), Self::Object(right)) => Arc::ptr_eq(left, right),
            _ => false,
        }
    }

    /// `len(x)`.
    ///
    /// # Errors
    ///
    /// The value has no length.
    pub fn try_len(&self) -> Result<usize, ValueError> {
        self.length().ok_or_else(|| {
            ValueError::type_error(format!(
                "a value of type {} has no length",
                self.type_name()
            ))
        })
    }

    /// The number of characters or elements, of what has such a number.
    pub(crate) fn length(&self) -> Option<usize> {
        match self.plain() {
            Self::Str(text) => Some(text.chars().count()),
            Self::List(items) | Self::Tuple(items) => Some(items.len()),
            Self::Dict(dict) => Some(dict.len()),
            Self::Set(set) => Some(set.len()),
            _ => None,
        }
    }

    /// What iterating over the value yields: elements, characters, a dictionary's keys.
    ///
    /// # Errors
    ///
    /// The value cannot be iterated over.
    pub fn iterate(&self) -> Result<Vec<Value>, ValueError> {
        Ok(match self.plain() {
            Self::Str(text) => text.chars().map(Value::from).collect(),
            Self::List(items) | Self::Tuple(items) => items.to_vec(),
            Self::Dict(dict) => dict.iter().map(|(key, _)| key.value().clone()).collect(),
            Self::Set(set) => set.iter().map(|key| key.value().clone()).collect(),
            _ => {
                return Err(ValueError::type_error(format!(
                    "a value of type {} cannot be iterated over",
                    self.type_name()
                )));
            }
        })
    }

    /// Whether the value, nested at most `levels` deep, costs no more than `budget` to walk through; takes the cost from
    /// the budget. A value that holds another one many times costs it as often, since its text does.
    pub(crate) fn walks_within(&self, levels: usize, budget: &mut usize) -> bool {
        let Some(rest) = budget.checked_sub(1) else {
            return false;
        };
        *budget = rest;
        let Some(levels) = levels.checked_sub(1) else {
            return !matches!(
                self,
                Self::List(_) | Self::Tuple(_) | Self::Dict(_) | Self::Set(_)
            );
        };
        match self {
            Self::Str(text) => budget.checked_sub(text.len() / 16).is_some_and(|rest| {
                *budget = rest;
                true
            }),
            Self::List(items) | Self::Tuple(items) => {
                items.iter().all(|item| item.walks_within(levels, budget))
            }
            Self::Dict(dict) => dict.iter().all(|(key, value)| {
                key.value().walks_within(levels, budget) && value.walks_within(levels, budget)
            }),
            Self::Set(set) => set
                .iter()
                .all(|key| key.value().walks_within(levels, budget)),
            _ => true,
        }
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

macro_rules! from_integer {
    ($($integer:ty),*) => {
        $(impl From<$integer> for Value {
            fn from(number: $integer) -> Self {
                Self::Int(number.into())
            }
        })*
    };
}

from_integer!(i64, i32, u32, i16, u16, u8);

impl From<usize> for Value {
    /// Numbers beyond the range of 64 bits with a sign become the largest of that range.
    fn from(number: usize) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::str(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Str(text.into())
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::str(text)
    }
}

impl From<Arc<str>> for Value {
    fn from(text: Arc<str>) -> Self {
        Self::Str(text)
    }
}

impl From<char> for Value {
    fn from(character: char) -> Self {
        Self::str(character.encode_utf8(&mut [0; 4]))
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Self::list(items)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::None, Into::into)
    }
}

impl From<Dict> for Value {
    fn from(dict: Dict) -> Self {
        Self::Dict(dict)
    }
}

impl From<Set> for Value {
    fn from(set: Set) -> Self {
        Self::Set(set)
    }
}
