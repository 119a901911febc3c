//! `generate_value`: `$x = ...`, a value from the conversation.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value, json};

use super::Asked;
use crate::{actions::ActionResult, error::BoxError};

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
        match super::super::interpreter::literal(value) {
            Some(value) => Ok(ActionResult::value(value)),
            None => Err("the model's answer is no value".into()),
        }
    }
}
