//! Reading typed values off the tree: every fault is noted and reading goes on.

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::{
    suggest::{is_similar, nearest},
    yaml::{Entry, Kind, Mark, Node},
};
use crate::error::Fault;

/// What was found while reading.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<Fault>,
    /// Keys of which nothing is read, with their paths: unknown ones, and those that another one of their name overrides.
    pub(super) unread: Vec<(String, Fault)>,
}

impl Report {
    pub(super) fn fault(&mut self, mark: &Mark, message: impl Into<String>) {
        self.faults.push(mark.fault(message));
    }

    pub(super) fn warn(&mut self, mark: &Mark, message: impl Into<String>) {
        self.warnings.push(mark.fault(message));
    }

    fn wrong(&mut self, node: &Node, path: &str, expected: &str) {
        let message = format!("`{path}` must be {expected}, not {}", node.kind_name());
        self.fault(&node.at, message);
    }
}

/// Whether a key at `path` of which nothing is read may switch a rail off: `rails` itself, mistyped or not, and what stands
/// under it but for how the dialog is led and how actions are called.
pub(super) fn may_switch_off(path: &str) -> bool {
    let mut steps = path.split('.');
    let top = steps.next().unwrap_or(path);
    match (top, steps.next(), steps.next()) {
        ("rails", Some("dialog" | "actions"), Some(_)) => false,
        ("rails", ..) => true,
        (top, None, _) => is_similar(top, "rails"),
        _ => false,
    }
}

/// A type that can be read; faults are noted, with `path` naming the key.
pub(super) trait Read: Sized {
    /// Whether null is one of its values.
    const NULLABLE: bool = false;
    fn read(node: &Node, path: &str, report: &mut Report) -> Option<Self>;
}

/// A boolean as pydantic accepts it.
pub(super) fn lenient_bool(node: &Node) -> Option<bool> {
    match &node.kind {
        Kind::Bool(value) => Some(*value),
        Kind::Integer(0) => Some(false),
        Kind::Integer(1) => Some(true),
        Kind::Float(value) if *value == 0.0 => Some(false),
        Kind::Float(value) if *value == 1.0 => Some(true),
        Kind::String(text) => bool_of_text(text),
        _ => None,
    }
}

/// A boolean in words as pydantic accepts it.
pub(crate) fn bool_of_text(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// An integer as pydantic accepts it.
pub(super) fn lenient_integer(node: &Node) -> Option<i64> {
    match &node.kind {
        Kind::Integer(value) => Some(*value),
        Kind::Bool(value) => Some(i64::from(*value)),
        Kind::Float(value) => whole(*value),
        Kind::String(text) => {
            let text = text.trim();
            let plain = match text.split_once('.') {
                Some((whole, zeros)) if zeros.bytes().all(|byte| byte == b'0') => whole,
                _ => text,
            };
            if plain.starts_with('_') || plain.ends_with('_') || plain.contains("__") {
                return None;
            }
            plain.replace('_', "").parse().ok()
        }
        _ => None,
    }
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "the range is checked before"
)]
fn whole(value: f64) -> Option<i64> {
    (value.fract() == 0.0 && value.abs() < 9.0e15).then_some(value as i64)
}

/// A number as pydantic accepts it.
#[allow(
    clippy::cast_precision_loss,
    reason = "a float is asked for, as Python's float() does"
)]
pub(super) fn lenient_float(node: &Node) -> Option<f64> {
    match &node.kind {
        Kind::Float(value) => Some(*value),
        Kind::Integer(value) => Some(*value as f64),
        Kind::Bool(value) => Some(f64::from(u8::from(*value))),
        Kind::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

impl Read for String {
    fn read(node: &Node, path: &str, report: &mut Report) -> Option<Self> {
        if let Kind::String(text) = &node.kind {
            return Some(text.clone());
        }
        let hint = match node.kind {
            Kind::Null | Kind::Sequence(_) | Kind::Mapping(_) => "a text",
            _ => "a text (put it in quotes)",
        };
        report.wrong(node, path, hint);
        None
    }
}

impl Read for bool {
    fn read(node: &Node, path: &str, report: &mut Report) -> Option<Self> {
        let value = lenient_bool(node);
        if value.is_none() {
            report.wrong(node, path, "true or false");
        }
        value
    }
}

impl Read for i64 {
    fn read(node: &Node, path: &str, report: &mut Report) -> Option<Self> {
        let value = lenient_integer(node);
        if value.is_none() {
            report.wrong(node, path, "a whole number");
        }
        value
    }
}

impl Read for usize {
    /// Negative numbers, which the reference takes for zero wherever it counts with them, are zero.
    fn read(node: &Node, path: &str, report: &mut Report) -> Option<Self> {
        i64::read(node, path, report).map(|value| Self::try_from(value).unwrap_or(0))
    }
}

impl Read for f64 {
    fn read(node: &Node, path: &str, report: &mut Report) -> Option<Self> {
        let value = lenient_float(node);
        if value.is_none() {
            report.wrong(node, path, "a number");
        }
        value
    }
}

impl<T: Read> Read for Option<T> {
    const NULLABLE: bool = true;
    fn read(node: &Node, path: &str, report: &mut Report) -> Option<Self> {
        if node.is_null() {
            return Some(None);
        }
        T::read(node, path, report).map(Some)
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(node: &Node, path: &str, report: &mut Report) -> Option<Self> {
        let Some(items) = node.items() else {
            report.wrong(node, path, "a list");
            return None;
        };
        let read =
            |(index, item): (usize, &Node)| T::read(item, &format!("{path}[{index}]"), report);
        Some(items.iter().enumerate().filter_map(read).collect())
    }
}

impl<T: Read> Read for IndexMap<String, T> {
    fn read(node: &Node, path: &str, report: &mut Report) -> Option<Self> {
        let Some(entries) = node.entries() else {
            report.wrong(node, path, "a mapping");
            return None;
        };
        let mut map = Self::with_capacity(entries.len());
        for entry in entries {
            let path = format!("{path}.{}", entry.key.key_text());
            let key = String::read(&entry.key, &path, report);
            let value = T::read(&entry.value, &path, report);
            if let (Some(key), Some(value)) = (key, value) {
                map.insert(key, value);
            }
        }
        Some(map)
    }
}

impl Read for Value {
    fn read(node: &Node, _path: &str, _report: &mut Report) -> Option<Self> {
        Some(node.to_json())
    }
}

impl Read for Map<String, Value> {
    fn read(node: &Node, path: &str, report: &mut Report) -> Option<Self> {
        match node.to_json() {
            Value::Object(map) => Some(map),
            _ => {
                report.wrong(node, path, "a mapping");
                None
            }
        }
    }
}

/// The keys of a mapping, each read once; what is left over at the end is unknown.
pub(super) struct Fields<'a> {
    pub(super) node: &'a Node,
    entries: &'a [Entry],
    path: &'a str,
    known: Vec<&'static str>,
    pub(super) report: &'a mut Report,
}

impl<'a> Fields<'a> {
    /// Opens a mapping.
    pub(super) fn open(node: &'a Node, path: &'a str, report: &'a mut Report) -> Option<Self> {
        let Some(entries) = node.entries() else {
            let of = if path.is_empty() { "the file" } else { path };
            report.wrong(node, of, "a mapping");
            return None;
        };
        Some(Self {
            node,
            entries,
            path,
            known: Vec::new(),
            report,
        })
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// The value of a key, if it is there and right.
    pub(super) fn optional<T: Read>(&mut self, key: &'static str) -> Option<T> {
        self.known.push(key);
        let mut entries = self.entries.iter();
        let entry = entries.find(|entry| entry.key.as_str() == Some(key))?;
        let path = self.path_of(key);
        if entry.value.is_null() && !T::NULLABLE {
            // Null has no place of its own that a reader would look at: the key's is shown.
            let message = format!("`{path}` is left empty; fill it in or drop the key");
            self.report.fault(&entry.key.at, message);
            return None;
        }
        T::read(&entry.value, &path, self.report)
    }

    /// The value of a key, or what it is without it.
    pub(super) fn or<T: Read>(&mut self, key: &'static str, default: T) -> T {
        self.optional(key).unwrap_or(default)
    }

    /// The value of a key, or the type's default.
    pub(super) fn or_default<T: Read + Default>(&mut self, key: &'static str) -> T {
        self.optional(key).unwrap_or_default()
    }

    /// The value of a key that must be there.
    pub(super) fn required<T: Read>(&mut self, key: &'static str) -> Option<T> {
        if self.node.get(key).is_none() {
            let message = format!("`{}` is missing", self.path_of(key));
            self.report.fault(&self.node.at, message);
            self.known.push(key);
            return None;
        }
        self.optional(key)
    }

    /// Marks a key as known without reading it.
    pub(super) fn knows(&mut self, key: &'static str) {
        self.known.push(key);
    }

    /// Notes the keys that nobody read.
    pub(super) fn close(self) {
        for entry in self.entries {
            let key = entry.key.key_text();
            if self.known.contains(&key.as_str()) {
                continue;
            }
            let path = self.path_of(&key);
            let meant = nearest(&key, self.known.iter().copied());
            let hint = meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
            let fault = entry.key.at.fault(format!("unknown key `{path}`{hint}"));
            self.report.unread.push((path, fault));
        }
    }
}

/// Reads a section: each key into the field of its name, or that field's default.
///
/// Keys after `nullable` may be null, which is the type's default.
macro_rules! read_section {
    ($section:ty { $($key:ident),* $(,)? $(; nullable $($nullable:ident),*)? }) => {
        impl $crate::config::read::Read for $section {
            fn read(
                node: &$crate::config::yaml::Node,
                path: &str,
                report: &mut $crate::config::read::Report,
            ) -> Option<Self> {
                let mut fields = $crate::config::read::Fields::open(node, path, report)?;
                let default = Self::default();
                let section = Self {
                    $($key: fields.or(stringify!($key), default.$key),)*
                    $($($nullable: fields
                        .or(stringify!($nullable), Some(default.$nullable))
                        .unwrap_or_default(),)*)?
                };
                fields.close();
                Some(section)
            }
        }
    };
}
pub(super) use read_section;

/// Reads a mapping of two texts that must be there.
pub(super) fn two_texts(
    node: &Node,
    path: &str,
    keys: [&'static str; 2],
    report: &mut Report,
) -> Option<(String, String)> {
    let mut fields = Fields::open(node, path, report)?;
    let [one, other] = keys.map(|key| fields.required(key));
    fields.close();
    Some((one?, other?))
}
