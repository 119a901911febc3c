//! Nodes to typed values, collecting every fault on the way.

use super::yaml::{Map, Node, NodeKind};
use crate::error::Fault;

/// Reads values and keeps what is wrong with them.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<Fault>,
    /// Unknown keys under `rails`, where one switches a rail off.
    pub(super) unknown_rails_keys: Vec<Fault>,
}

impl Reader {
    fn wrong<T>(&mut self, node: &Node, path: &str, wanted: &str) -> Option<T> {
        self.faults.push(node.place.fault(format!(
            "{path}: {wanted} is expected, not {}",
            node.kind_name()
        )));
        None
    }

    /// A mapping.
    pub(super) fn map<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n Map> {
        match node.as_map() {
            Some(map) => Some(map),
            None => self.wrong(node, path, "a mapping"),
        }
    }

    /// A list.
    pub(super) fn list<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n [Node]> {
        match node.as_list() {
            Some(list) => Some(list),
            None => self.wrong(node, path, "a list"),
        }
    }

    /// A text. A number is none: `colang_version: 1.0` has to be quoted.
    pub(super) fn text(&mut self, node: &Node, path: &str) -> Option<String> {
        match &node.kind {
            NodeKind::Text(text) => Some(text.clone()),
            _ => self.wrong(node, path, "a text"),
        }
    }

    /// A text, or nothing.
    pub(super) fn optional_text(&mut self, node: &Node, path: &str) -> Option<String> {
        match node.kind {
            NodeKind::Null => None,
            _ => self.text(node, path),
        }
    }

    /// A boolean, also written as a word or as 0 and 1.
    pub(super) fn boolean(&mut self, node: &Node, path: &str) -> Option<bool> {
        match &node.kind {
            NodeKind::Bool(value) => Some(*value),
            NodeKind::Int(0) => Some(false),
            NodeKind::Int(1) => Some(true),
            NodeKind::Text(text) => match text.to_lowercase().as_str() {
                "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
                "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
                _ => self.wrong(node, path, "a boolean"),
            },
            _ => self.wrong(node, path, "a boolean"),
        }
    }

    /// A whole number of at least `least`, also written as a text.
    pub(super) fn integer(&mut self, node: &Node, path: &str, least: i64) -> Option<i64> {
        let value = match &node.kind {
            NodeKind::Int(value) => Some(*value),
            NodeKind::Float(value) if value.fract() == 0.0 && value.abs() < 1e15 => {
                format!("{value:.0}").parse().ok()
            }
            NodeKind::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        match value {
            None => self.wrong(node, path, "a whole number"),
            Some(value) if value < least => {
                self.faults.push(
                    node.place
                        .fault(format!("{path}: {value} is less than {least}")),
                );
                None
            }
            value => value,
        }
    }

    /// A number, also written as a text.
    pub(super) fn number(&mut self, node: &Node, path: &str) -> Option<f64> {
        match &node.kind {
            NodeKind::Float(value) => Some(*value),
            NodeKind::Int(value) => value.to_string().parse().ok(),
            NodeKind::Text(text) if text.trim().parse::<f64>().is_ok() => text.trim().parse().ok(),
            _ => self.wrong(node, path, "a number"),
        }
    }

    /// A list of texts.
    pub(super) fn texts(&mut self, node: &Node, path: &str) -> Option<Vec<String>> {
        let list = self.list(node, path)?;
        Some(
            list.iter()
                .filter_map(|item| self.text(item, path))
                .collect(),
        )
    }

    /// Warns of keys that are not known. Those under `rails` are kept apart, too.
    pub(super) fn known_keys(&mut self, map: &Map, path: &str, known: &[&str]) {
        for (key, _) in &map.entries {
            if known.contains(&key.name.as_str()) {
                continue;
            }
            let full = if path.is_empty() {
                key.name.clone()
            } else {
                format!("{path}.{}", key.name)
            };
            let hint = match super::suggest(&key.name, known.iter().copied()) {
                Some(close) => format!("; did you mean `{close}`?"),
                None => String::new(),
            };
            let fault = key
                .place
                .fault(format!("the key `{full}` is not known{hint}"));
            if path == "rails" || path.starts_with("rails.") {
                self.unknown_rails_keys.push(fault.clone());
            }
            self.warnings.push(fault);
        }
    }
}
