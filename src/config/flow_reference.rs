//! The lines of `rails.*.flows`: a flow's name with its parameters.

use indexmap::IndexMap;
use serde::{Serialize, Serializer};

use super::{
    read::{Read, Report},
    yaml::{Mark, Node},
};

/// A flow as `rails.*.flows` names it: `content safety check input $model=guard`, `check(list='a b', strict)`.
///
/// ```
/// # use tower_guardrails::config::FlowReference;
/// let flow = FlowReference::parse("content safety check input $model=guard");
/// assert_eq!(flow.name, "content safety check input");
/// assert_eq!(flow.parameter("model"), Some("guard"));
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct FlowReference {
    /// The name, without parameters.
    pub name: String,
    /// The parameters in their order; empty where a parameter has no value.
    pub parameters: IndexMap<String, String>,
    /// The line as configured.
    pub text: String,
    pub(crate) at: Mark,
}

impl FlowReference {
    /// Reads a line. Whatever it says, it names a flow: what cannot be read as a parameter is left out.
    pub fn parse(text: &str) -> Self {
        let line = text.trim();
        let (name, arguments, form) = match (line.split_once('('), line.split_once('$')) {
            (Some((name, rest)), _) => (name, rest.split(')').next().unwrap_or(rest), ','),
            (None, Some((name, rest))) => (name, rest, '$'),
            (None, None) => (line, "", ','),
        };
        let parameters = split_outside_quotes(arguments, form)
            .into_iter()
            .map(str::trim)
            .filter(|argument| !argument.is_empty())
            .map(|argument| match argument.split_once('=') {
                Some((key, value)) => (name_of(key), unquoted(value.trim()).to_owned()),
                None => (name_of(argument), String::new()),
            })
            .collect();
        Self {
            name: name.trim().to_owned(),
            parameters,
            text: text.to_owned(),
            at: Mark::default(),
        }
    }

    /// The value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }
}

fn name_of(key: &str) -> String {
    key.trim().trim_start_matches('$').to_owned()
}

/// Splits at commas, and at `$` with a space before it where parameters are written so.
fn split_outside_quotes(text: &str, form: char) -> Vec<&str> {
    let (mut parts, mut start, mut quote, mut before) = (Vec::new(), 0, None, ' ');
    for (position, character) in text.char_indices() {
        match quote {
            Some(open) if character == open => quote = None,
            Some(_) => {}
            None if matches!(character, '\'' | '"') && before == '=' => quote = Some(character),
            None if character == ',' || (form == '$' && character == '$' && before == ' ') => {
                parts.push(&text[start..position]);
                start = position + character.len_utf8();
            }
            None => {}
        }
        before = character;
    }
    parts.push(&text[start..]);
    parts
}

fn unquoted(value: &str) -> &str {
    for quote in ['\'', '"'] {
        let inner = value.strip_prefix(quote);
        if let Some(inner) = inner.and_then(|value| value.strip_suffix(quote)) {
            return inner;
        }
    }
    value
}

impl From<&str> for FlowReference {
    fn from(text: &str) -> Self {
        Self::parse(text)
    }
}

impl PartialEq for FlowReference {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Serialize for FlowReference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl Read for FlowReference {
    fn read(node: &Node, path: &str, report: &mut Report) -> Option<Self> {
        let mut flow = Self::parse(&String::read(node, path, report)?);
        if flow.name.is_empty() {
            report.fault(&node.at, format!("`{path}` names no flow"));
            return None;
        }
        flow.at = node.at.clone();
        Some(flow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_in_both_forms() {
        let read = |text: &str| {
            let flow = FlowReference::parse(text);
            let parameters: Vec<String> = flow
                .parameters
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            (flow.name, parameters.join(";"))
        };
        let is = |name: &str, parameters: &str| (name.to_owned(), parameters.to_owned());
        assert_eq!(read(" self check input "), is("self check input", ""));
        assert_eq!(read("check $model=x"), is("check", "model=x"));
        assert_eq!(
            read("check $model=x $classifier='a b'"),
            is("check", "model=x;classifier=a b")
        );
        assert_eq!(read("flow(a=x,b='y z')"), is("flow", "a=x;b=y z"));
        assert_eq!(
            read("flow(a=\"x, y\", strict)"),
            is("flow", "a=x, y;strict=")
        );
        assert_eq!(read("flow($a=1)"), is("flow", "a=1"));
        assert_eq!(read("flow("), is("flow", ""));
        assert_eq!(read("check $a=it's, $b=2"), is("check", "a=it's;b=2"));
    }
}
