//! `$x = ..."instructions"`: a value from the conversation.

use serde_json::{Value as Json, json};

use super::{Writing, examples::SHOWN_FLOWS};
use crate::{actions::ActionResult, error::BoxError, llm::parse_literal};

const TASK: &str = "generate_value_from_instruction";
const TEMPERATURE: f64 = 0.1;

impl Writing<'_> {
    pub(super) async fn value(&self) -> Result<ActionResult, BoxError> {
        let instructions = self.text("instructions")?;
        let name = self.arguments.get("var_name").and_then(Json::as_str);
        let mut examples = String::new();
        if let Some(name) = name {
            let flows = self.flows_like(&format!("${name} = "), SHOWN_FLOWS).await?;
            // A flow that itself asks for a value would teach the model to answer with that.
            for flow in flows.unwrap_or_default() {
                if !flow.contains("GenerateValueAction") {
                    examples.push_str(&flow);
                    examples.push_str("\n\n");
                }
            }
        }
        let name = name.unwrap_or("result");
        let context = [
            ("examples", json!(examples)),
            ("instructions", json!(instructions)),
            ("var_name", json!(name)),
        ];
        let answer = self.ask(TASK, TEMPERATURE, &context).await?;
        let text = literal_of(&answer, name);
        match parse_literal(text) {
            Some(value) => Ok(ActionResult::value(value)),
            None => Err(format!("the model gives no value, but `{text}`").into()),
        }
    }
}

/// The literal on the first line: without the variable that it is for, and the `;` of other languages.
fn literal_of<'a>(answer: &'a str, name: &str) -> &'a str {
    let line = answer.trim().split('\n').next().unwrap_or_default();
    let line = line.strip_suffix(';').unwrap_or(line).trim();
    let rest = line.trim_start_matches('$').strip_prefix(name);
    let rest = rest.and_then(|rest| rest.trim_start().strip_prefix('='));
    rest.filter(|rest| !rest.starts_with('='))
        .unwrap_or(line)
        .trim()
}

#[cfg(test)]
mod tests {
    use super::literal_of;

    #[test]
    fn the_literal_stands_alone() {
        for (answer, literal) in [
            ("\"Ann\"", "\"Ann\""),
            ("4;\nmore", "4"),
            ("n = 4", "4"),
            ("$n = [1]", "[1]"),
            ("number", "number"),
        ] {
            assert_eq!(literal_of(answer, "n"), literal);
        }
    }
}
