//! A line of `rails.*.flows`: a flow's name with its parameters.

use indexmap::IndexMap;
use serde::{Serialize, Serializer};

use super::yaml::Place;

/// A flow that `rails.*.flows` names, such as `content safety check input $model=guard`.
///
/// ```
/// use tower_guardrails::config::FlowReference;
///
/// let flow = FlowReference::parse("content safety check input $model=guard");
/// assert_eq!(flow.name, "content safety check input");
/// assert_eq!(flow.parameters["model"], "guard");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlowReference {
    /// The flow's name.
    pub name: String,
    /// Its parameters, without quotes.
    pub parameters: IndexMap<String, String>,
    /// As configured.
    pub text: String,
    pub(crate) place: Place,
}

impl FlowReference {
    /// Reads `name $a=x` and `name(a=x, b='y z')`.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        let (name, list) = match (text.split_once('('), text.split_once('$')) {
            (Some((name, list)), _) if text.ends_with(')') && !name.contains('$') => {
                (name, list.strip_suffix(')').unwrap_or(list))
            }
            (_, Some((name, list))) => (name, list),
            _ => (text, ""),
        };
        let mut parameters = IndexMap::new();
        for item in split_outside_quotes(list) {
            let (key, value) = item.split_once('=').unwrap_or((item, ""));
            let key = key.trim().trim_start_matches('$');
            if !key.is_empty() {
                parameters.insert(key.to_owned(), unquote(value.trim()).to_owned());
            }
        }
        Self {
            name: name.trim().to_owned(),
            parameters,
            text: text.to_owned(),
            place: Place::default(),
        }
    }
}

impl Serialize for FlowReference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

fn split_outside_quotes(list: &str) -> Vec<&str> {
    let (mut quote, mut start, mut items) = (None, 0, Vec::new());
    for (index, character) in list.char_indices() {
        match (quote, character) {
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (None, ',') => {
                items.push(&list[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    items.push(&list[start..]);
    items
}

fn unquote(text: &str) -> &str {
    let quoted = |quote: char| {
        text.strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote))
    };
    quoted('"').or_else(|| quoted('\'')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_parameters_are_read() {
        let flow = FlowReference::parse("check(a=x, b='y, z')");
        assert_eq!(flow.name, "check");
        assert_eq!(
            flow.parameters
                .iter()
                .map(|(k, v)| format!("{k}={v}"))
                .collect::<Vec<_>>(),
            ["a=x", "b=y, z"]
        );
        let flow = FlowReference::parse("self check input $variant=\"strict\"");
        assert_eq!(
            (flow.name.as_str(), flow.parameters["variant"].as_str()),
            ("self check input", "strict")
        );
        assert!(
            FlowReference::parse("regex check input")
                .parameters
                .is_empty()
        );
    }
}
