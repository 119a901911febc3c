//! The answer without a dialog: the conversation itself in passthrough mode, else the general prompt.

use serde_json::{Value, json};

use super::{
    super::super::text::{self, text_of},
    Asked,
};
use crate::{
    actions::ActionResult,
    error::BoxError,
    rails::{event::Event, messages},
};

const TASK: &str = "general";

impl Asked<'_> {
    pub(super) async fn general_answer(self, message: &Event) -> Result<ActionResult, BoxError> {
        let passthrough = self.turn.engine.config.passthrough;
        let text = if passthrough {
            self.turn.forward(message.get("text"))?;
            let prompt = self.raw_prompt(message.get("text"), false)?;
            let params = self.llm_params();
            let reply = self
                .turn
                .call_streaming(self.action, TASK, prompt, params, self.log)
                .await?;
            self.parse(TASK, &reply.content)?
        } else {
            let relevant_chunks = match self
                .turn
                .engine
                .search_chunks(&text_of(message.get("text")))
                .await?
            {
                Some(chunks) => Value::String(chunks.join("\n")),
                None => self.retrieved_chunks(true),
            };
            let prompt = self.render(TASK, &[("relevant_chunks", relevant_chunks)])?;
            let mut params = self.llm_params();
            params.entry("stop").or_insert_with(|| json!(["User:"]));
            let reply = self
                .turn
                .call_streaming(self.action, TASK, prompt, params, self.log)
                .await?;
            text::general_answer(&self.parse(TASK, &reply.content)?).to_owned()
        };
        // Of a streamed answer this comes too late to be said again.
        self.turn.say(&text).await;
        let mut result = self.with_reasoning(ActionResult::default());
        let calls = if passthrough {
            self.turn.take_tool_calls()
        } else {
            Vec::new()
        };
        let event = if calls.is_empty() {
            Event::new("BotMessage").with("text", text)
        } else {
            Event::new("BotToolCalls").with("tool_calls", messages::tool_calls_value(&calls))
        };
        result.events.push(event.to_value());
        Ok(result)
    }

    /// Adds what the model thought to `result`.
    pub(super) fn with_reasoning(self, mut result: ActionResult) -> ActionResult {
        if let Some(reasoning) = self.turn.take_reasoning() {
            result
                .context_updates
                .insert("bot_thinking".to_owned(), reasoning.as_str().into());
            result.events.push(
                Event::new("BotThinking")
                    .with("content", reasoning)
                    .to_value(),
            );
        }
        result
    }
}
