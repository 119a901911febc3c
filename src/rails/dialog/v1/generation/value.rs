//! `generate_value`: `$x = ...`, a value from the conversation.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value, json};

use super::Asked;
use crate::{
    actions::ActionResult,
    colang::expr::{Dialect, Expr, NoScope},
    error::BoxError,
};

/// A flow that itself asks for a value would teach the model to answer `...`.
static ASKS_FOR_VALUE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"=\s+\.\.\.").expect("the pattern is valid"));

impl Asked<'_> {
    pub(super) async fn value(
        self,
        arguments: &Map<String, Value>,
    ) -> Result<ActionResult, BoxError> {
        let engine = &self.turn.engine;
        let instructions = arguments
            .get("instructions")
            .cloned()
            .ok_or("`generate_value` needs instructions")?;
        let given = arguments.get("var_name").and_then(Value::as_str);
        let start = self.run.last("StartInternalSystemAction");
        let name = given
            .or_else(|| start?.text("action_result_key"))
            .unwrap_or_default();
        let mut examples = String::new();
        for flow in engine
            .indexes
            .flows_like(engine, &format!("${name} = "), 5)
            .await?
            .iter()
            .rev()
        {
            if !ASKS_FOR_VALUE.is_match(flow) {
                examples.push_str(flow);
                examples.push_str("\n\n");
            }
        }
        let context = [
            ("examples", json!(examples)),
            ("instructions", instructions),
            ("var_name", json!(name)),
        ];
        let answer = self.ask_coolly("generate_value", &context).await?;
        let line = answer.trim().split('\n').next().unwrap_or_default();
        let value = line.strip_suffix(';').unwrap_or(line);
        Ok(ActionResult::value(text_of(value)))
    }
}

/// The text that a model wrote: without the quotes around it, where it stands in some. A value is always a text.
fn text_of(value: &str) -> String {
    let quotes = ['"', '\''];
    let literal = (value.starts_with(quotes) && value.ends_with(quotes))
        .then(|| literal(value))
        .flatten();
    literal.unwrap_or_else(|| value.to_owned())
}

fn literal(text: &str) -> Option<String> {
    let value = Expr::parse(text, Dialect::V1).ok()?.eval(&NoScope).ok()?;
    value.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::text_of;

    #[test]
    fn values_are_texts() {
        assert_eq!(text_of("\"Ann\""), "Ann");
        assert_eq!(text_of("'it\\'s'"), "it's");
        assert_eq!(text_of("not valid ("), "not valid (");
        assert_eq!(text_of("5"), "5");
    }
}
