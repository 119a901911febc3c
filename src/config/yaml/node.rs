//! The tree of a document.

use std::sync::Arc;

use crate::error::Fault;

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Place {
    /// The file, relative to the rails directory; empty for a text.
    pub(crate) file: Arc<str>,
    /// From 1.
    pub(crate) line: usize,
    /// From 1, in characters.
    pub(crate) column: usize,
}

impl Place {
    /// A fault here.
    pub(crate) fn fault(&self, message: impl Into<String>) -> Fault {
        let fault = Fault::new(message);
        let fault = if self.file.is_empty() {
            fault
        } else {
            fault.in_file(&*self.file)
        };
        if self.line == 0 {
            fault
        } else {
            fault.at(self.line, self.column)
        }
    }
}

/// A value with its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) kind: NodeKind,
    pub(crate) place: Place,
}

/// A value.
#[derive(Debug, Clone)]
pub(crate) enum NodeKind {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Map),
}

/// A mapping's key with its place.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) place: Place,
}

/// A mapping, in the order of the file; no key twice.
#[derive(Debug, Clone, Default)]
pub(crate) struct Map {
    pub(crate) entries: Vec<(Key, Node)>,
}

impl Map {
    /// The value of `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&Node> {
        self.entries
            .iter()
            .find(|(key, _)| key.name == name)
            .map(|(_, node)| node)
    }

    /// Sets a key; the one that is there is replaced in its place.
    pub(crate) fn set(&mut self, key: Key, node: Node) {
        match self
            .entries
            .iter_mut()
            .find(|(other, _)| other.name == key.name)
        {
            Some(entry) => *entry = (key, node),
            None => self.entries.push((key, node)),
        }
    }
}

impl Node {
    /// The mapping, where it is one.
    pub(crate) fn as_map(&self) -> Option<&Map> {
        match &self.kind {
            NodeKind::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The list, where it is one.
    pub(crate) fn as_list(&self) -> Option<&[Node]> {
        match &self.kind {
            NodeKind::List(list) => Some(list),
            _ => None,
        }
    }

    /// The value at a path such as `regex_detection.input.patterns[2]`, or the last one on the way to it.
    pub(crate) fn nearest(&self, path: &str) -> &Self {
        let mut node = self;
        for step in path
            .split(['.', '['])
            .map(|step| step.trim_end_matches(']'))
        {
            let next = match &node.kind {
                NodeKind::Map(map) => map.get(step),
                NodeKind::List(list) => {
                    step.parse::<usize>().ok().and_then(|index| list.get(index))
                }
                _ => None,
            };
            match next {
                Some(next) => node = next,
                None => return node,
            }
        }
        node
    }

    /// What kind of value it is, in words.
    pub(crate) fn kind_name(&self) -> &'static str {
        match &self.kind {
            NodeKind::Null => "nothing",
            NodeKind::Bool(_) => "a boolean",
            NodeKind::Int(_) | NodeKind::Float(_) => "a number",
            NodeKind::Text(_) => "a text",
            NodeKind::List(_) => "a list",
            NodeKind::Map(_) => "a mapping",
        }
    }

    /// The value without its places.
    pub(crate) fn to_yaml(&self) -> serde_yaml::Value {
        use serde_yaml::Value;
        match &self.kind {
            NodeKind::Null => Value::Null,
            NodeKind::Bool(value) => Value::Bool(*value),
            NodeKind::Int(value) => Value::Number((*value).into()),
            NodeKind::Float(value) => Value::Number((*value).into()),
            NodeKind::Text(text) => Value::String(text.clone()),
            NodeKind::List(list) => Value::Sequence(list.iter().map(Self::to_yaml).collect()),
            NodeKind::Map(map) => {
                let entries = map.entries.iter();
                Value::Mapping(
                    entries
                        .map(|(key, node)| (key.name.clone().into(), node.to_yaml()))
                        .collect(),
                )
            }
        }
    }

    /// The value as JSON; numbers that JSON lacks become null.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.kind {
            NodeKind::Null => Value::Null,
            NodeKind::Bool(value) => Value::Bool(*value),
            NodeKind::Int(value) => Value::Number((*value).into()),
            NodeKind::Float(value) => {
                serde_json::Number::from_f64(*value).map_or(Value::Null, Value::Number)
            }
            NodeKind::Text(text) => Value::String(text.clone()),
            NodeKind::List(list) => Value::Array(list.iter().map(Self::to_json).collect()),
            NodeKind::Map(map) => {
                let entries = map.entries.iter();
                Value::Object(
                    entries
                        .map(|(key, node)| (key.name.clone(), node.to_json()))
                        .collect(),
                )
            }
        }
    }
}
