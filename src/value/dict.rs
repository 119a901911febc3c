//! Dictionaries and sets, and the values that can be keys of them.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use indexmap::{Equivalent, IndexMap, IndexSet};

use super::{Value, ValueError, number, object};

/// A value that can be a key: anything but lists, dictionaries and sets, and tuples that hold such.
///
/// Equal numbers are the same key, whatever their types: `1`, `1.0` and `True`.
#[derive(Debug, Clone)]
pub struct Key(Value);

impl Key {
    /// A key of this value.
    ///
    /// # Errors
    ///
    /// The value is, or holds, a list, a dictionary or a set.
    pub fn new(value: Value) -> Result<Self, ValueError> {
        if is_hashable(value.plain()) {
            Ok(Self(value.plain().clone()))
        } else {
            Err(ValueError::type_error(format!(
                "a value of type {} cannot be a key",
                value.type_name()
            )))
        }
    }

    /// The value.
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// The value, given away.
    pub fn into_value(self) -> Value {
        self.0
    }

    /// The text, if the key is one.
    pub fn as_str(&self) -> Option<&str> {
        self.0.as_str()
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self(Value::from(text))
    }
}

impl From<String> for Key {
    fn from(text: String) -> Self {
        Self(Value::from(text))
    }
}

fn is_hashable(value: &Value) -> bool {
    match value {
        Value::List(_) | Value::Dict(_) | Value::Set(_) => false,
        Value::Tuple(items) => items.iter().all(is_hashable),
        _ => true,
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        // A key finds itself again, even where it does not equal itself (NaN).
        self.0.is_same(&other.0) || self.0 == other.0
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash(&self.0, state);
    }
}

impl Equivalent<Key> for str {
    fn equivalent(&self, key: &Key) -> bool {
        key.as_str() == Some(self)
    }
}

fn hash<H: Hasher>(value: &Value, state: &mut H) {
    match value {
        // Exactly what `str` feeds, so that a dictionary can be asked for a `&str`.
        Value::Str(text) => text.hash(state),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => number::hash(value, state),
        Value::Tuple(items) => items.iter().for_each(|item| hash(item, state)),
        Value::Object(shared) => object::address(shared).hash(state),
        Value::None | Value::List(_) | Value::Dict(_) | Value::Set(_) => {}
    }
}

/// A dictionary in the order of insertion. Cheap to clone: copied when written to.
#[derive(Debug, Clone, Default)]
pub struct Dict {
    entries: Arc<IndexMap<Key, Value>>,
    attributes: bool,
}

impl Dict {
    /// An empty dictionary.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value under a text key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.get(key)
    }

    /// The value under any key; none for values that cannot be keys.
    pub fn get_value(&self, key: &Value) -> Option<&Value> {
        match key {
            Value::Str(text) => self.entries.get(&**text),
            _ => self.entries.get(&Key::new(key.clone()).ok()?),
        }
    }

    /// Whether there is an entry under this text key.
    pub fn contains_key(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Sets an entry; the key's place stays where it was. Answers what stood there before.
    pub fn insert(&mut self, key: impl Into<Key>, value: impl Into<Value>) -> Option<Value> {
        Arc::make_mut(&mut self.entries).insert(key.into(), value.into())
    }

    /// Removes an entry and keeps the order of the others.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        self.entries
            .contains_key(key)
            .then(|| Arc::make_mut(&mut self.entries).shift_remove(key))
            .flatten()
    }

    /// Removes the entry under any key and keeps the order of the others.
    pub fn remove_key(&mut self, key: &Key) -> Option<Value> {
        Arc::make_mut(&mut self.entries).shift_remove(key)
    }

    /// Removes the entry that was inserted last.
    pub fn pop(&mut self) -> Option<(Key, Value)> {
        Arc::make_mut(&mut self.entries).pop()
    }

    /// The value under a key, to be changed.
    pub fn get_mut(&mut self, key: &Value) -> Option<&mut Value> {
        let key = Key::new(key.clone()).ok()?;
        Arc::make_mut(&mut self.entries).get_mut(&key)
    }

    /// The entries, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Key, &Value)> + DoubleEndedIterator {
        self.entries.iter()
    }

    /// The text keys with their values, in order.
    pub fn iter_str(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries
            .iter()
            .filter_map(|(key, value)| Some((key.as_str()?, value)))
    }

    /// Whether keys can be read as attributes (`$order.id`), which gives `None` where there is no such key.
    ///
    /// Expressions see the dictionary of a variable, and the dictionaries reached through its attributes, like that.
    pub fn has_attributes(&self) -> bool {
        self.attributes
    }

    /// The same dictionary, with or without attributes.
    #[must_use]
    pub fn with_attributes(mut self, attributes: bool) -> Self {
        self.attributes = attributes;
        self
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.entries, &other.entries)
    }
}

impl PartialEq for Dict {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other)
            || (self.len() == other.len()
                && self.entries.iter().all(|(key, value)| {
                    other
                        .entries
                        .get(key)
                        .is_some_and(|own| value.is_same(own) || value == own)
                }))
    }
}

impl<K: Into<Key>, V: Into<Value>> FromIterator<(K, V)> for Dict {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let entries = entries
            .into_iter()
            .map(|(key, value)| (key.into(), value.into()))
            .collect();
        Self {
            entries: Arc::new(entries),
            attributes: false,
        }
    }
}

impl<K: Into<Key>, V: Into<Value>> Extend<(K, V)> for Dict {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        let own = Arc::make_mut(&mut self.entries);
        own.extend(
            entries
                .into_iter()
                .map(|(key, value)| (key.into(), value.into())),
        );
    }
}

/// A set in the order of insertion. Cheap to clone: copied when written to.
#[derive(Debug, Clone, Default)]
pub struct Set(Arc<IndexSet<Key>>);

impl Set {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the set holds this element.
    pub fn contains(&self, key: &Key) -> bool {
        self.0.contains(key)
    }

    /// Adds an element; answers whether it is new.
    pub fn insert(&mut self, key: Key) -> bool {
        Arc::make_mut(&mut self.0).insert(key)
    }

    /// Removes an element; answers whether it was there.
    pub fn remove(&mut self, key: &Key) -> bool {
        Arc::make_mut(&mut self.0).shift_remove(key)
    }

    /// The elements.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Key> + DoubleEndedIterator {
        self.0.iter()
    }

    /// Whether every element is one of the other's.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl PartialEq for Set {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other) || *self.0 == *other.0
    }
}

impl FromIterator<Key> for Set {
    fn from_iter<I: IntoIterator<Item = Key>>(keys: I) -> Self {
        Self(Arc::new(keys.into_iter().collect()))
    }
}
