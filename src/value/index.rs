//! Subscripts and slices.

use std::sync::Arc;

use super::{Value, ValueError};

/// The three parts of `[lower:upper:step]`, as they were evaluated.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slice {
    pub(crate) lower: Value,
    pub(crate) upper: Value,
    pub(crate) step: Value,
}

impl Value {
    /// `self[key]`.
    ///
    /// # Errors
    ///
    /// The value has no elements, or none under this key.
    pub fn item(&self, key: &Value) -> Result<Value, ValueError> {
        match self {
            Self::Dict(dict) => match dict.get_value(key) {
                Some(value) => Ok(value.clone()),
                None => {
                    super::Key::new(key.clone())?;
                    Err(ValueError::key(format!("no key {}", key.repr())))
                }
            },
            Self::List(items) | Self::Tuple(items) => {
                let index = self.position(key, items.len())?;
                items.get(index).cloned().ok_or_else(out_of_range)
            }
            Self::Str(text) if text.is_ascii() => {
                let index = self.position(key, text.len())?;
                let byte = text.as_bytes().get(index).ok_or_else(out_of_range)?;
                Ok(Value::from(char::from(*byte)))
            }
            Self::Str(text) => {
                let index = self.position(key, text.chars().count())?;
                text.chars()
                    .nth(index)
                    .map(Value::from)
                    .ok_or_else(out_of_range)
            }
            Self::Object(object) => object
                .item(key)
                .ok_or_else(|| ValueError::key(format!("no element {}", key.repr()))),
            _ => Err(not_subscriptable(self)),
        }
    }

    /// `self[lower:upper:step]`.
    pub(crate) fn slice(&self, slice: &Slice) -> Result<Value, ValueError> {
        match self.plain() {
            Self::List(items) => Ok(Self::List(Arc::new(pick(items, slice)?))),
            Self::Tuple(items) => Ok(Self::Tuple(Arc::new(pick(items, slice)?))),
            Self::Str(text) => {
                let characters: Vec<char> = text.chars().collect();
                Ok(Value::from(
                    pick(&characters, slice)?.into_iter().collect::<String>(),
                ))
            }
            _ => Err(not_subscriptable(self)),
        }
    }

    /// The place that an index names in a sequence of `length`, counted from the end if negative.
    fn position(&self, key: &Value, length: usize) -> Result<usize, ValueError> {
        let index = key.as_int().ok_or_else(|| {
            ValueError::type_error(format!(
                "an index of a {} is a whole number, not {}",
                self.type_name(),
                key.type_name()
            ))
        })?;
        from_end(index, length)
            .filter(|index| *index < length)
            .ok_or_else(out_of_range)
    }
}

/// The index as a place, counted from the end if negative; none before the start.
pub(super) fn from_end(index: i64, length: usize) -> Option<usize> {
    if index < 0 {
        length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)
    } else {
        usize::try_from(index).ok()
    }
}

fn out_of_range() -> ValueError {
    ValueError::index("the index is out of range")
}

fn not_subscriptable(value: &Value) -> ValueError {
    ValueError::type_error(format!(
        "a value of type {} has no elements to pick from",
        value.type_name()
    ))
}

/// The elements that a slice picks.
fn pick<T: Clone>(items: &[T], slice: &Slice) -> Result<Vec<T>, ValueError> {
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let step = bound(&slice.step)?.unwrap_or(1);
    if step == 0 {
        return Err(ValueError::invalid("the step of a slice cannot be zero"));
    }
    let (lowest, highest) = if step > 0 {
        (0, length)
    } else {
        (-1, length - 1)
    };
    let clamp = |bound: i64| {
        let bound = if bound < 0 {
            bound.saturating_add(length)
        } else {
            bound
        };
        bound.clamp(lowest, highest)
    };
    let start = bound(&slice.lower)?.map_or(if step > 0 { lowest } else { highest }, clamp);
    let stop = bound(&slice.upper)?.map_or(if step > 0 { highest } else { lowest }, clamp);
    let mut picked = Vec::new();
    let mut index = start;
    while if step > 0 { index < stop } else { index > stop } {
        picked.extend(
            usize::try_from(index)
                .ok()
                .and_then(|index| items.get(index))
                .cloned(),
        );
        index = index.saturating_add(step);
    }
    Ok(picked)
}

fn bound(value: &Value) -> Result<Option<i64>, ValueError> {
    match value {
        Value::None => Ok(None),
        _ => value.as_int().map(Some).ok_or_else(|| {
            ValueError::type_error(format!(
                "the bounds of a slice are whole numbers, not {}",
                value.type_name()
            ))
        }),
    }
}
