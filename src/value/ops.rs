//! Operators: equality, order, arithmetic, sets, membership.

use std::{cmp::Ordering, sync::Arc};

use super::{
    Dict, Key, Set, Value, ValueError, format,
    number::{self, Pair},
    types::MAX_LENGTH,
};

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self.plain(), other.plain()) {
            (Self::None, Self::None) => true,
            (Self::Str(left), Self::Str(right)) => left == right,
            (Self::List(left), Self::List(right)) | (Self::Tuple(left), Self::Tuple(right)) => {
                Arc::ptr_eq(left, right)
                    || (left.len() == right.len()
                        && left
                            .iter()
                            .zip(right.iter())
                            .all(|(left, right)| same_or_equal(left, right)))
            }
            (Self::Dict(left), Self::Dict(right)) => left == right,
            (Self::Set(left), Self::Set(right)) => left == right,
            (Self::Object(left), Self::Object(right)) => {
                Arc::ptr_eq(left, right) || left.equals(right.as_ref())
            }
            (left, right) => number::compare(left, right) == Some(Ordering::Equal),
        }
    }
}

/// How containers compare their elements: an element finds itself, even `NaN`.
pub(super) fn same_or_equal(left: &Value, right: &Value) -> bool {
    left.is_same(right) || left == right
}

/// The operators that order values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

/// The operators between two values that make a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Modulo,
    Power,
    ShiftLeft,
    ShiftRight,
    And,
    Or,
    Xor,
}

impl Binary {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::FloorDivide => "//",
            Self::Modulo => "%",
            Self::Power => "**",
            Self::ShiftLeft => "<<",
            Self::ShiftRight => ">>",
            Self::And => "&",
            Self::Or => "|",
            Self::Xor => "^",
        }
    }
}

impl Value {
    /// `self < other` and its like.
    pub(crate) fn ordered(&self, order: Order, other: &Self) -> Result<bool, ValueError> {
        match (self.plain(), other.plain()) {
            (Self::Str(left), Self::Str(right)) => Ok(order.holds(left.cmp(right))),
            (Self::List(left), Self::List(right)) | (Self::Tuple(left), Self::Tuple(right)) => {
                match left
                    .iter()
                    .zip(right.iter())
                    .find(|(left, right)| !same_or_equal(left, right))
                {
                    Some((left, right)) => left.ordered(order, right),
                    None => Ok(order.holds(left.len().cmp(&right.len()))),
                }
            }
            (Self::Set(left), Self::Set(right)) => Ok(match order {
                Order::Less => left.is_subset(right) && left.len() < right.len(),
                Order::LessOrEqual => left.is_subset(right),
                Order::Greater => right.is_subset(left) && right.len() < left.len(),
                Order::GreaterOrEqual => right.is_subset(left),
            }),
            (left, right) if Pair::new(left, right).is_some() => {
                Ok(number::compare(left, right).is_some_and(|ordering| order.holds(ordering)))
            }
            _ => Err(ValueError::type_error(format!(
                "values of types {} and {} have no order",
                self.type_name(),
                other.type_name()
            ))),
        }
    }

    /// `item in self`.
    ///
    /// # Errors
    ///
    /// The value holds nothing that could be looked for, or `item` cannot be in it.
    pub fn contains(&self, item: &Self) -> Result<bool, ValueError> {
        match self.plain() {
            Self::Str(text) => match item.plain() {
                Self::Str(part) => Ok(text.contains(&**part)),
                _ => Err(ValueError::type_error(format!(
                    "a text holds texts only, not a value of type {}",
                    item.type_name()
                ))),
            },
            Self::List(items) | Self::Tuple(items) => {
                Ok(items.iter().any(|own| same_or_equal(own, item)))
            }
            Self::Dict(dict) => {
                Key::new(item.clone())?;
                Ok(dict.get_value(item).is_some())
            }
            Self::Set(set) => Ok(set.contains(&Key::new(item.clone())?)),
            _ => Err(ValueError::type_error(format!(
                "nothing can be looked for in a value of type {}",
                self.type_name()
            ))),
        }
    }

    /// The result of an operator between two values.
    pub(crate) fn binary(&self, operator: Binary, other: &Self) -> Result<Self, ValueError> {
        let (left, right) = (self.plain(), other.plain());
        if let (Binary::Modulo, Self::Str(template)) = (operator, left) {
            return format::percent(template, right).map(Self::from);
        }
        let result = match operator {
            Binary::And | Binary::Or | Binary::Xor => bits(operator, left, right),
            Binary::ShiftLeft | Binary::ShiftRight => match (left.as_int(), right.as_int()) {
                (Some(left), Some(right)) if operator == Binary::ShiftLeft => {
                    Some(number::shift_left(left, right))
                }
                (Some(left), Some(right)) => Some(number::shift_right(left, right)),
                _ => None,
            },
            _ => match Pair::new(left, right) {
                Some(pair) => Some(arithmetic(operator, pair)),
                None => sequences(operator, left, right),
            },
        };
        result.unwrap_or_else(|| {
            Err(ValueError::type_error(format!(
                "`{}` does not work between values of types {} and {}",
                operator.symbol(),
                self.type_name(),
                other.type_name()
            )))
        })
    }

    /// `-self`.
    pub(crate) fn negate(&self) -> Result<Self, ValueError> {
        match self.plain() {
            Self::Float(number) => Ok(Self::Float(-number)),
            _ => match self.as_int() {
                Some(number) => Pair::Ints(0, number).subtract(),
                None => Err(not_a_number("-", self)),
            },
        }
    }

    /// `+self`.
    pub(crate) fn positive(&self) -> Result<Self, ValueError> {
        match self.plain() {
            Self::Float(number) => Ok(Self::Float(*number)),
            _ => self
                .as_int()
                .map(Self::Int)
                .ok_or_else(|| not_a_number("+", self)),
        }
    }

    /// `~self`.
    pub(crate) fn invert(&self) -> Result<Self, ValueError> {
        self.as_int()
            .map(|number| Self::Int(!number))
            .ok_or_else(|| not_a_number("~", self))
    }
}

fn not_a_number(symbol: &str, value: &Value) -> ValueError {
    ValueError::type_error(format!(
        "`{symbol}` does not work on a value of type {}",
        value.type_name()
    ))
}

fn arithmetic(operator: Binary, pair: Pair) -> Result<Value, ValueError> {
    match operator {
        Binary::Add => pair.add(),
        Binary::Subtract => pair.subtract(),
        Binary::Multiply => pair.multiply(),
        Binary::Divide => pair.divide(),
        Binary::FloorDivide => pair.floor_divide(),
        Binary::Modulo => pair.modulo(),
        _ => pair.power(),
    }
}

fn bits(operator: Binary, left: &Value, right: &Value) -> Option<Result<Value, ValueError>> {
    let result = match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => Value::Bool(match operator {
            Binary::And => left & right,
            Binary::Or => left | right,
            _ => left ^ right,
        }),
        (Value::Set(left), Value::Set(right)) => Value::Set(match operator {
            Binary::And => left
                .iter()
                .filter(|key| right.contains(key))
                .cloned()
                .collect(),
            Binary::Or => left.iter().chain(right.iter()).cloned().collect(),
            _ => symmetric_difference(left, right),
        }),
        (Value::Dict(left), Value::Dict(right)) if operator == Binary::Or => {
            Value::Dict(merged(left, right))
        }
        _ => {
            let (left, right) = (left.as_int()?, right.as_int()?);
            Value::Int(match operator {
                Binary::And => left & right,
                Binary::Or => left | right,
                _ => left ^ right,
            })
        }
    };
    Some(Ok(result))
}

pub(super) fn symmetric_difference(left: &Set, right: &Set) -> Set {
    let only_left = left.iter().filter(|key| !right.contains(key));
    let only_right = right.iter().filter(|key| !left.contains(key));
    only_left.chain(only_right).cloned().collect()
}

fn merged(left: &Dict, right: &Dict) -> Dict {
    let mut merged = left.clone().with_attributes(false);
    merged.extend(
        right
            .iter()
            .map(|(key, value)| (key.clone(), value.clone())),
    );
    merged
}

fn sequences(operator: Binary, left: &Value, right: &Value) -> Option<Result<Value, ValueError>> {
    match (operator, left, right) {
        (Binary::Add, _, _) => concatenate(left, right),
        (Binary::Multiply, _, _) => match (left.as_int(), right.as_int()) {
            (None, Some(times)) => repeat(left, times),
            (Some(times), None) => repeat(right, times),
            _ => None,
        },
        (Binary::Subtract, Value::Set(left), Value::Set(right)) => {
            let rest = left.iter().filter(|key| !right.contains(key)).cloned();
            Some(Ok(Value::Set(rest.collect())))
        }
        _ => None,
    }
}

fn too_long() -> ValueError {
    ValueError::limit("the result would be longer than 100000 characters or elements")
}

fn concatenate(left: &Value, right: &Value) -> Option<Result<Value, ValueError>> {
    let joined = match (left, right) {
        (Value::Str(left), Value::Str(right)) => Value::from([&**left, &**right].concat()),
        (Value::List(left), Value::List(right)) => {
            Value::List(Arc::new([&left[..], &right[..]].concat()))
        }
        (Value::Tuple(left), Value::Tuple(right)) => {
            Value::Tuple(Arc::new([&left[..], &right[..]].concat()))
        }
        _ => return None,
    };
    Some(if joined.length().unwrap_or(0) > MAX_LENGTH {
        Err(too_long())
    } else {
        Ok(joined)
    })
}

fn repeat(value: &Value, times: i64) -> Option<Result<Value, ValueError>> {
    if !matches!(value, Value::Str(_) | Value::List(_) | Value::Tuple(_)) {
        return None;
    }
    let times = usize::try_from(times).unwrap_or(0);
    if value.length().unwrap_or(0).saturating_mul(times) > MAX_LENGTH {
        return Some(Err(too_long()));
    }
    // An empty one stays empty, however often it is repeated.
    let times = times.min(MAX_LENGTH);
    Some(Ok(match value {
        Value::List(items) => Value::List(Arc::new(repeated(items, times))),
        Value::Tuple(items) => Value::Tuple(Arc::new(repeated(items, times))),
        _ => Value::from(value.as_str().unwrap_or_default().repeat(times)),
    }))
}

fn repeated(items: &[Value], times: usize) -> Vec<Value> {
    std::iter::repeat_n(items, times)
        .flatten()
        .cloned()
        .collect()
}
