//! `rails.options` and `rails.enforcement`: what becomes of a single rail's verdicts and failures.
//!
//! Both are keys of this crate. The reference does not know them and passes over them, so that a rails directory
//! which has them still loads there.

use std::time::Duration;

use indexmap::IndexMap;
use serde::{Serialize, Serializer};

use super::{
    flow_reference::FlowReference,
    rails::Rails,
    read::{Fields, Read, Report},
    suggest::nearest,
    yaml::Node,
};
use crate::verdict::{Enforcement, OnRailError};

/// The longest time limit that a rail can have: a day.
const MAX_TIMEOUT: f64 = 86_400.0;

/// What `rails.options` says of one rail. None: it says nothing, and the application's settings count.
///
/// ```
/// # use std::time::Duration;
/// # use tower_guardrails::{RailsConfig, verdict::{Enforcement, OnRailError}};
/// let yaml = "
/// models: []
/// rails:
///   input:
///     flows: [regex check input, my check]
///   enforcement: monitor
///   options:
///     my check: {timeout: 2.5, on_error: pass, enforcement: enforce}
/// ";
/// let rails = RailsConfig::from_content(yaml, "")?.rails;
/// let options = rails.rail_options(&rails.input.flows[1]);
/// assert_eq!(options.timeout, Some(Duration::from_millis(2500)));
/// assert_eq!(options.on_error, Some(OnRailError::Pass));
/// assert_eq!(options.enforcement, Some(Enforcement::Enforce));
/// let options = rails.rail_options(&rails.input.flows[0]);
/// assert_eq!((options.timeout, options.enforcement), (None, Some(Enforcement::Monitor)));
/// # Ok::<(), tower_guardrails::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct RailOptions {
    /// `timeout`: how long the rail may take; in the file, seconds above 0 and up to a day, with a fraction.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "seconds")]
    pub timeout: Option<Duration>,
    /// `on_error`: `block` or `pass`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_error: Option<OnRailError>,
    /// `enforcement`: `enforce` or `monitor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforcement: Option<Enforcement>,
}

impl RailOptions {
    /// These, and where they say nothing, those.
    fn or(self, other: Self) -> Self {
        Self {
            timeout: self.timeout.or(other.timeout),
            on_error: self.on_error.or(other.on_error),
            enforcement: self.enforcement.or(other.enforcement),
        }
    }
}

#[allow(
    clippy::ref_option,
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's signature"
)]
fn seconds<S: Serializer>(timeout: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    timeout
        .map(|timeout| timeout.as_secs_f64())
        .serialize(serializer)
}

impl Rails {
    /// What `rails.options` and `rails.enforcement` say of a rail.
    ///
    /// An entry under the rail's whole line (`content safety check input $model=guard`) counts before one under its
    /// name, key by key, and both before `rails.enforcement`.
    pub fn rail_options(&self, flow: &FlowReference) -> RailOptions {
        let under = |key: &str| self.options.get(key).copied().unwrap_or_default();
        let whole = RailOptions {
            enforcement: self.enforcement,
            ..RailOptions::default()
        };
        under(flow.text.trim()).or(under(&flow.name)).or(whole)
    }
}

/// Notes entries of `rails.options` that no rail has.
pub(super) fn check_names(rails: &Rails, root: &Node, report: &mut Report) {
    let flows = || rails.lines().map(|(_, line)| line);
    let entries = root.get("rails").and_then(|rails| rails.get("options"));
    for entry in entries.and_then(Node::entries).unwrap_or_default() {
        let Some(key) = entry.key.as_str() else {
            continue;
        };
        if flows().any(|flow| flow.text.trim() == key.trim() || flow.name == key.trim()) {
            continue;
        }
        let names = flows().flat_map(|flow| [flow.name.as_str(), flow.text.as_str()]);
        let hint = nearest(key, names)
            .map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
        let message = format!("`rails.options` names `{key}`, which is no configured rail{hint}");
        report.warn(&entry.key.at, message);
    }
}

/// The entries of `rails.options` with their names as they are looked up.
pub(super) fn read_options(fields: &mut Fields<'_>) -> IndexMap<String, RailOptions> {
    let entries: IndexMap<String, RailOptions> = fields.or_default("options");
    let trimmed = entries.into_iter();
    trimmed
        .map(|(name, options)| (name.trim().to_owned(), options))
        .collect()
}

impl Read for RailOptions {
    fn read(node: &Node, path: &str, report: &mut Report) -> Option<Self> {
        let mut fields = Fields::open(node, path, report)?;
        let seconds: Option<f64> = fields.optional("timeout");
        let on_error = fields.optional("on_error");
        let enforcement = fields.optional("enforcement");
        let timeout = seconds
            .filter(|seconds| *seconds > 0.0 && *seconds <= MAX_TIMEOUT)
            .map(Duration::from_secs_f64)
            .filter(|timeout| !timeout.is_zero());
        if let Some(seconds) = seconds
            && timeout.is_none()
        {
            let message = format!(
                "`{path}.timeout` must be above 0 and at most {MAX_TIMEOUT} seconds, not {seconds}"
            );
            fields.report.fault(node.place_of("timeout"), message);
        }
        fields.close();
        Some(Self {
            timeout,
            on_error,
            enforcement,
        })
    }
}

impl Read for OnRailError {
    fn read(node: &Node, path: &str, report: &mut Report) -> Option<Self> {
        one_of(
            node,
            path,
            [("block", Self::Block), ("pass", Self::Pass)],
            report,
        )
    }
}

impl Read for Enforcement {
    fn read(node: &Node, path: &str, report: &mut Report) -> Option<Self> {
        one_of(
            node,
            path,
            [("enforce", Self::Enforce), ("monitor", Self::Monitor)],
            report,
        )
    }
}

fn one_of<T: Copy>(
    node: &Node,
    path: &str,
    [one, other]: [(&str, T); 2],
    report: &mut Report,
) -> Option<T> {
    let text = node.as_str();
    let found = [one, other]
        .iter()
        .find(|(name, _)| text == Some(name))
        .copied();
    if found.is_none() {
        let given = text.map_or_else(|| node.kind_name().to_owned(), |text| format!("`{text}`"));
        let message = format!("`{path}` must be `{}` or `{}`, not {given}", one.0, other.0);
        report.fault(&node.at, message);
    }
    found.map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RailsConfig;

    fn load(rails: &str) -> RailsConfig {
        RailsConfig::from_content(&format!("models: []\nrails:\n{rails}"), "").unwrap()
    }

    #[test]
    fn the_line_counts_before_the_name_and_the_name_before_the_whole() {
        let rails = load(
            "  input: {flows: ['check $a=1', 'check $a=2', other]}\n  enforcement: monitor\n  options:\n    check: {timeout: 3, on_error: pass}\n    'check $a=2': {timeout: '0.5', enforcement: enforce}\n",
        )
        .rails;
        let of = |index: usize| {
            let options = rails.rail_options(&rails.input.flows[index]);
            (
                options.timeout.map(|timeout| timeout.as_millis()),
                options.on_error,
                options.enforcement,
            )
        };
        assert_eq!(
            of(0),
            (
                Some(3000),
                Some(OnRailError::Pass),
                Some(Enforcement::Monitor)
            )
        );
        assert_eq!(
            of(1),
            (
                Some(500),
                Some(OnRailError::Pass),
                Some(Enforcement::Enforce)
            )
        );
        assert_eq!(of(2), (None, None, Some(Enforcement::Monitor)));
        assert_eq!(load("  input: {flows: [x]}\n").rails.enforcement, None);
        let json = serde_json::to_value(&rails).unwrap();
        assert_eq!(
            json["options"]["check $a=2"],
            serde_json::json!({"timeout": 0.5, "enforcement": "enforce"})
        );
    }

    #[test]
    fn what_is_wrong_has_its_line() {
        let yaml = "models: []\nrails:\n  enforcement: watch\n  options:\n    a: {timeout: 0}\n    b:\n      timeout: soon\n      on_error: allow\n      enforcement:\n    c: 3\n    d: {timeout: 1e9}\n    e: {timeout: .nan}\n";
        let error = RailsConfig::from_content(yaml, "").unwrap_err();
        let lines: Vec<_> = error.faults.iter().filter_map(|fault| fault.line).collect();
        assert_eq!(lines, [3, 5, 7, 8, 9, 10, 11, 12], "{error}");
        assert!(
            error
                .to_string()
                .contains("must be `block` or `pass`, not `allow`")
        );
    }

    #[test]
    fn an_entry_without_a_rail_is_a_warning() {
        let config = load(
            "  input: {flows: [regex check input]}\n  output: {flows: ['check $a=1']}\n  options:\n    regex chek input: {timeout: 1}\n    check: {on_erorr: pass}\n",
        );
        let shown: Vec<String> = config.warnings().iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "line 6:5: `rails.options` names `regex chek input`, which is no configured rail; did you mean `regex check input`?",
                "line 7:13: unknown key `rails.options.check.on_erorr`; did you mean `on_error`?",
            ]
        );
    }

    #[test]
    fn joined_configurations_keep_the_later_entries() {
        let one = load("  enforcement: monitor\n  options: {a: {timeout: 1}, b: {timeout: 1}}\n");
        let two = load("  options: {b: {on_error: pass}}\n");
        let rails = (one + two).unwrap().rails;
        let of = |name: &str| rails.rail_options(&FlowReference::parse(name));
        assert!(of("a").timeout.is_some());
        assert_eq!(
            (of("b").timeout, of("b").on_error, of("b").enforcement),
            (None, Some(OnRailError::Pass), None)
        );
    }
}
