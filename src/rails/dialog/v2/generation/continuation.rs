//! How the conversation goes on: a flow of one action of the bot.

use serde_json::{Value, json};

use super::{
    super::super::Conversation as _,
    Writing,
    flow::{dynamic_name, made, no_flow},
    reading,
};
use crate::{actions::ActionResult, error::BoxError, llm::colang_history};

/// How many flows the prompt shows.
const SHOWN_FLOWS: usize = 10;

impl Writing<'_> {
    pub(super) async fn flow_continuation(&self) -> Result<ActionResult, BoxError> {
        let told: Vec<_> = self
            .moment
            .events()
            .told()
            .map(|event| std::sync::Arc::clone(event.shared()))
            .collect();
        let history = colang_history(&told);
        let last = history.rsplit('\n').next().unwrap_or_default();
        let examples = self
            .flows_like(last, SHOWN_FLOWS)
            .await?
            .ok_or("there are no flows to show to the model as examples")?
            .concat();
        let context = [("examples", json!(examples.trim_matches('\n')))];
        let temperature = self.arguments.get("temperature").and_then(Value::as_f64);
        let temperature = temperature.unwrap_or(0.0);
        let answer = self
            .ask("generate_flow_continuation", temperature, &context)
            .await?;
        let answer = reading::without_leading_lines(&answer);
        let Some(first) = answer.lines().next() else {
            return Ok(no_flow());
        };
        let mut intent = first.trim_start_matches(' ');
        for label in [
            "bot intent: ",
            "bot action: ",
            "user intent: ",
            "user action: ",
        ] {
            intent = intent.strip_prefix(label).unwrap_or(intent);
        }
        let mut intent = Some(intent.trim_matches(' '));
        if !intent.is_some_and(|intent| intent.starts_with("bot ")) {
            intent = reading::labelled(answer, "bot intent: ");
        }
        let intent = intent.map(|intent| reading::flow_name(intent.trim_matches(' ')));
        let intent = intent.unwrap_or_else(|| "bot go on".to_owned());
        let action = reading::bot_action(answer).unwrap_or_default();
        let name = dynamic_name(&intent);
        let body = format!("@meta(bot_intent=\"{intent}\")\nflow {name}\n  {action}");
        Ok(made(&name, &body))
    }

    pub(super) fn created_flow(&self) -> Result<ActionResult, BoxError> {
        let name = dynamic_name(&reading::flow_name(self.text("name")?));
        let mut body = format!("flow {name}\n  {}", self.text("body")?);
        if let Some(decorators) = self.arguments.get("decorators").and_then(Value::as_str)
            && !decorators.is_empty()
        {
            body = format!("{}\n{body}", decorators.trim_end_matches('\n'));
        }
        Ok(made(&name, &body))
    }
}
