//! What `init` registers for prompts: filters, variables, and parsers of models' answers.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value};

use super::{Python, call};
use crate::{
    error::BoxError,
    llm::{OutputParsers, ParseError, Parsed, Verdict, template::Templates},
};

/// How long one of them may take. A prompt waits for it on its thread.
const LIMIT: Duration = Duration::from_secs(5);

impl Python {
    /// Adds the filters, the variables and the parsers. Parsers that are registered already stay.
    pub(crate) fn add_to_prompts(
        self: &Arc<Self>,
        templates: &mut Templates,
        parsers: &mut OutputParsers,
    ) {
        for name in &self.facts.filters {
            let (python, filter) = (Arc::clone(self), name.clone());
            templates.add_filter(name.clone(), move |value, arguments| {
                let more = [("value", value), ("arguments", arguments.into())];
                python
                    .help("filter", &filter, more)
                    .map_err(|error| error.to_string())
            });
        }
        for variable in &self.facts.variables {
            let (python, facts) = (Arc::clone(self), variable.clone());
            templates.add_context(
                variable.name.clone(),
                Arc::new(move || {
                    if !facts.is_called {
                        return facts.value.clone();
                    }
                    python.help("variable", &facts.name, []).unwrap_or_else(|error| {
                        tracing::warn!(variable = facts.name, %error, "a variable of prompts cannot be computed: it is empty");
                        Value::Null
                    })
                }),
            );
        }
        for name in &self.facts.parsers {
            if parsers.is_registered(name) {
                continue;
            }
            let (python, parser) = (Arc::clone(self), name.clone());
            parsers.register(
                name.clone(),
                Arc::new(move |answer| {
                    let unreadable = |reason: String| ParseError::Unreadable {
                        parser: parser.clone(),
                        reason,
                    };
                    let parsed = python.help("parser", &parser, [("value", answer.into())]);
                    parsed_of(parsed.map_err(|error| unreadable(error.to_string()))?).ok_or_else(
                        || unreadable("it gives neither a text nor a verdict".to_owned()),
                    )
                }),
            );
        }
    }

    /// Has the worker compute something while a thread waits.
    fn help<const N: usize>(
        &self,
        kind: &str,
        name: &str,
        more: [(&str, Value); N],
    ) -> Result<Value, BoxError> {
        let mut request = Map::new();
        request.insert("do".to_owned(), kind.into());
        request.insert("name".to_owned(), name.into());
        let more = more.into_iter();
        request.extend(more.map(|(key, value)| (key.to_owned(), value)));
        let line = call::run_blocking(&self.pool, request, LIMIT.min(self.limit))?;
        Ok(line.ok.unwrap_or_default())
    }
}

/// What a parser gives: a text, or as the reference's, whether the text is safe and then what it violates.
fn parsed_of(value: Value) -> Option<Parsed> {
    let verdict = |is_safe: bool, categories: Vec<String>| {
        Parsed::Verdict(match is_safe {
            true => Verdict::Safe,
            false => Verdict::Unsafe { categories },
        })
    };
    match value {
        Value::String(text) => Some(Parsed::Text(text)),
        Value::Bool(is_safe) => Some(verdict(is_safe, Vec::new())),
        Value::Array(items) => {
            let is_safe = items.first()?.as_bool()?;
            let text = |item: &Value| {
                item.as_str()
                    .map_or_else(|| item.to_string(), str::to_owned)
            };
            Some(verdict(is_safe, items.iter().skip(1).map(text).collect()))
        }
        Value::Null | Value::Number(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parsers_give_texts_or_verdicts() {
        assert_eq!(parsed_of(json!("x")), Some(Parsed::Text("x".to_owned())));
        assert_eq!(
            parsed_of(json!([true])),
            Some(Parsed::Verdict(Verdict::Safe))
        );
        let categories = vec!["S1".to_owned()];
        assert_eq!(
            parsed_of(json!([false, "S1"])),
            Some(Parsed::Verdict(Verdict::Unsafe { categories }))
        );
        assert_eq!(parsed_of(json!(["safe"])), None);
        assert_eq!(parsed_of(json!(null)), None);
        assert_eq!(parsed_of(json!([])), None);
    }
}
