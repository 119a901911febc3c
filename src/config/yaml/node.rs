//! The tree: values with their places.

use std::{fmt, path::Path, sync::Arc};

use crate::error::Fault;

/// Where a key or a value stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) file: Option<Arc<Path>>,
    /// From 1; 0 where the value was not read from a text.
    pub(crate) line: usize,
    /// From 1.
    pub(crate) column: usize,
}

impl Mark {
    /// A fault at this place.
    pub(crate) fn fault(&self, message: impl Into<String>) -> Fault {
        let mut fault = Fault::new(message);
        if let Some(file) = &self.file {
            fault = fault.in_file(file.as_ref());
        }
        if self.line > 0 {
            fault = fault.at(self.line, self.column);
        }
        fault
    }
}

/// A value with its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) at: Mark,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    String(String),
    /// A date or a time: Python makes an object of it, which is no text.
    Timestamp(String),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: Node,
    pub(crate) value: Node,
}

/// The places of a mapping's keys, and of the keys of the mappings in it, kept beside what was read of them.
#[derive(Clone, Default)]
pub(crate) struct Places {
    at: Mark,
    keys: Arc<[(String, Mark)]>,
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

impl PartialEq for Places {
    /// Places do not count.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Places {
    /// The places of a mapping.
    pub(crate) fn of(node: &Node) -> Self {
        let mut keys = Vec::new();
        for entry in node.entries().unwrap_or_default() {
            let key = entry.key.key_text();
            for inner in entry.value.entries().unwrap_or_default() {
                let path = format!("{key}.{}", inner.key.key_text());
                keys.push((path, inner.key.at.clone()));
            }
            keys.push((key, entry.key.at.clone()));
        }
        Self {
            at: node.at.clone(),
            keys: keys.into(),
        }
    }

    /// The place of the key at `path`, or of the mapping.
    pub(crate) fn place_of(&self, path: &str) -> &Mark {
        self.find(path).unwrap_or(&self.at)
    }

    /// The place of the key at `path`.
    pub(crate) fn find(&self, path: &str) -> Option<&Mark> {
        let mut keys = self.keys.iter();
        keys.find(|(key, _)| key == path).map(|(_, mark)| mark)
    }
}

impl PartialEq for Node {
    /// Places do not count.
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

impl Node {
    /// An empty mapping that stands nowhere.
    pub(crate) fn empty_mapping() -> Self {
        Self {
            kind: Kind::Mapping(Vec::new()),
            at: Mark::default(),
        }
    }

    /// The entries, if this is a mapping.
    pub(crate) fn entries(&self) -> Option<&[Entry]> {
        match &self.kind {
            Kind::Mapping(entries) => Some(entries),
            _ => None,
        }
    }

    /// The items, if this is a sequence.
    pub(crate) fn items(&self) -> Option<&[Node]> {
        match &self.kind {
            Kind::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// The text, if this is one.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::String(text) => Some(text),
            _ => None,
        }
    }

    /// Whether this is null.
    pub(crate) fn is_null(&self) -> bool {
        self.kind == Kind::Null
    }

    /// The entry under a text key, if this is a mapping that has it.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        let entries = self.entries()?;
        entries.iter().find(|entry| entry.key.as_str() == Some(key))
    }

    /// The value under a text key.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The place of the key or item at a path such as `input.patterns[2]`, or of as much of the path as there is.
    pub(crate) fn place_of(&self, path: &str) -> &Mark {
        let (mut node, mut mark) = (self, &self.at);
        for step in path.split('.') {
            let (key, indices) = step.split_once('[').unwrap_or((step, ""));
            if !key.is_empty() {
                let Some(entry) = node.entry(key) else {
                    return mark;
                };
                (node, mark) = (&entry.value, &entry.key.at);
            }
            for index in indices.split('[').filter(|index| !index.is_empty()) {
                let index = index.trim_end_matches(']').parse::<usize>().ok();
                let item = index.and_then(|index| node.items()?.get(index));
                let Some(item) = item else {
                    return mark;
                };
                (node, mark) = (item, &item.at);
            }
        }
        mark
    }

    /// What kind of value this is, in words for a message.
    pub(crate) fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "a boolean",
            Kind::Integer(_) | Kind::Float(_) => "a number",
            Kind::String(_) => "a text",
            Kind::Timestamp(_) => "a date",
            Kind::Sequence(_) => "a list",
            Kind::Mapping(_) => "a mapping",
        }
    }

    /// The value as a key of JSON, as Python writes it.
    pub(crate) fn key_text(&self) -> String {
        match &self.kind {
            Kind::String(text) | Kind::Timestamp(text) => text.clone(),
            Kind::Null => "null".to_owned(),
            Kind::Bool(value) => value.to_string(),
            Kind::Integer(value) => value.to_string(),
            Kind::Float(value) => value.to_string(),
            Kind::Sequence(_) | Kind::Mapping(_) => String::new(),
        }
    }

    /// The value as JSON. Infinite numbers become null.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::from(*value),
            Kind::Integer(value) => Value::from(*value),
            Kind::Float(value) => Value::from(*value),
            Kind::String(text) | Kind::Timestamp(text) => Value::from(text.as_str()),
            Kind::Sequence(items) => items.iter().map(Self::to_json).collect(),
            Kind::Mapping(entries) => entries
                .iter()
                .map(|entry| (entry.key.key_text(), entry.value.to_json()))
                .collect(),
        }
    }

    /// The value as `serde_yaml`'s, as resolved here.
    pub(crate) fn to_yaml(&self) -> serde_yaml::Value {
        use serde_yaml::Value;
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::from(*value),
            Kind::Integer(value) => Value::from(*value),
            Kind::Float(value) => Value::from(*value),
            Kind::String(text) | Kind::Timestamp(text) => Value::from(text.as_str()),
            Kind::Sequence(items) => Value::Sequence(items.iter().map(Self::to_yaml).collect()),
            Kind::Mapping(entries) => Value::Mapping(
                entries
                    .iter()
                    .map(|entry| (entry.key.to_yaml(), entry.value.to_yaml()))
                    .collect(),
            ),
        }
    }
}
