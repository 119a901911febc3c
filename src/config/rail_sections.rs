//! `rails.config`: kept as written, since each section belongs to a rail.

use std::fmt;

use serde::{Serialize, Serializer, de::DeserializeOwned};
use serde_json::Value;

use super::{
    read::{Fields, Read, Report},
    secrets,
    suggest::nearest,
    yaml::{self, Node},
};
use crate::error::Fault;

/// The settings of the library rails, a section a rail, with the place of each key.
///
/// Printed and serialised, keys in them (`api_key` and its like) are `***`.
#[derive(Clone, PartialEq)]
pub struct RailSections {
    pub(super) node: Node,
}

impl Default for RailSections {
    fn default() -> Self {
        Self {
            node: Node::empty_mapping(),
        }
    }
}

impl RailSections {
    /// The names of the sections, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let entries = self.node.entries().unwrap_or_default();
        entries.iter().filter_map(|entry| entry.key.as_str())
    }

    /// A section as written, if it is there.
    pub fn get(&self, name: &str) -> Option<serde_yaml::Value> {
        self.node.get(name).map(Node::to_yaml)
    }

    /// A section read as `T`; the default of `T` where there is none.
    ///
    /// # Errors
    ///
    /// What does not fit, with its place.
    pub fn read<T: DeserializeOwned + Default>(&self, name: &str) -> Result<T, Fault> {
        match self.node.get(name) {
            Some(section) if !section.is_null() => {
                yaml::from_node(section).map_err(|mut fault: Fault| {
                    fault.message = format!("`rails.config.{name}`: {}", fault.message);
                    fault
                })
            }
            _ => Ok(T::default()),
        }
    }

    /// The keys that are none of `known`, with their places and what may be meant. A path of `known` is `section.key`; after
    /// its last step anything may follow, the step `*` stands for any name, and a step with `[]` for a list of mappings.
    pub(crate) fn unknown_keys(&self, known: &[&str]) -> Vec<Fault> {
        let paths: Vec<Vec<&str>> = known.iter().map(|path| path.split('.').collect()).collect();
        let tails: Vec<&[&str]> = paths.iter().map(Vec::as_slice).collect();
        let mut faults = Vec::new();
        unknown_in(&self.node, "rails.config", &tails, &mut faults);
        faults
    }

    /// A fault at the place of `path`, such as `regex_detection.input.patterns[2]`, or as near to it as there is a key.
    pub fn fault(&self, path: &str, message: impl Into<String>) -> Fault {
        self.node.place_of(path).fault(message)
    }
}

/// Notes the keys of the mapping `node` at `path` that none of `known` begins with, and those of the mappings in it.
fn unknown_in(node: &Node, path: &str, known: &[&[&str]], faults: &mut Vec<Fault>) {
    for entry in node.entries().unwrap_or_default() {
        let key = entry.key.key_text();
        let mut tails = Vec::new();
        for path in known {
            if let Some((step, tail)) = path.split_first()
                && (*step == "*" || step.trim_end_matches("[]") == key)
            {
                tails.push(tail);
            }
        }
        let path = format!("{path}.{key}");
        if tails.is_empty() {
            let names = known.iter().filter_map(|path| path.first());
            let names = names.map(|step| step.trim_end_matches("[]"));
            let hint = match nearest(&key, names) {
                Some(meant) => format!("; did you mean `{meant}`?"),
                None => "; remove it, or put what is your own under `custom_data`".to_owned(),
            };
            let message = format!("unknown key `{path}`, which no rail reads{hint}");
            faults.push(entry.key.at.fault(message));
        } else if tails.iter().all(|tail| !tail.is_empty()) {
            unknown_in(&entry.value, &path, &tails, faults);
            for item in entry.value.items().unwrap_or_default() {
                unknown_in(item, &path, &tails, faults);
            }
        }
    }
}

impl Serialize for RailSections {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.node.to_json() {
            Value::Object(sections) => secrets::serialize(&sections, serializer),
            other => other.serialize(serializer),
        }
    }
}

impl fmt::Debug for RailSections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.node.to_json() {
            Value::Object(sections) => secrets::Shown(&sections).fmt(f),
            other => other.fmt(f),
        }
    }
}

impl Read for RailSections {
    fn read(node: &Node, path: &str, report: &mut Report) -> Option<Self> {
        Fields::open(node, path, report)?;
        Some(Self { node: node.clone() })
    }
}
