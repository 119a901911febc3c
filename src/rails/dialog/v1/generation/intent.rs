//! `generate_user_intent`: what the user means, or, where no user messages are defined, the answer itself.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::{
    super::super::text::{self, text_of},
    Asked,
};
use crate::{actions::ActionResult, error::BoxError, rails::event::Event};

const UNKNOWN: &str = "unknown message";

impl Asked<'_> {
    pub(super) async fn user_intent(self) -> Result<ActionResult, BoxError> {
        let engine = &self.turn.engine;
        if engine.config.rails.dialog.single_call.enabled {
            return self.intent_steps_message().await;
        }
        let message = self
            .run
            .last("UserMessage")
            .ok_or("no user message to find the intent of")?;
        if !engine.has_user_messages() {
            return self.general_answer(message).await;
        }
        let mut examples = String::new();
        let mut intents: Vec<String> = Vec::new();
        if let Some(index) = engine.indexes.user_messages(engine).await? {
            let text = text_of(message.get("text"));
            let settings = &engine.config.rails.dialog.user_messages;
            if settings.embeddings_only {
                let found = index
                    .search(
                        &text,
                        5,
                        settings
                            .embeddings_only_similarity_threshold
                            .map(|least| least as f32),
                    )
                    .await?;
                let intent = found.first().map(|hit| hit.meta.clone());
                if let Some(intent) =
                    intent.or_else(|| settings.embeddings_only_fallback_intent.clone())
                {
                    return Ok(user_intent(&intent));
                }
            }
            // The most alike comes last, next to the question.
            for hit in index.search(&text, 5, None).await?.iter().rev() {
                let _ = write!(examples, "user \"{}\"\n  {}\n\n", hit.text, hit.meta);
                if !intents.contains(&hit.meta) {
                    intents.push(hit.meta.clone());
                }
            }
        }
        let context = [
            ("examples", json!(examples)),
            ("potential_user_intents", json!(intents.join(", "))),
        ];
        let answer = self.ask_coolly("generate_user_intent", &context).await?;
        let intent = text::first_line(&answer).unwrap_or(UNKNOWN);
        Ok(user_intent(intent.strip_prefix("user ").unwrap_or(intent)))
    }

    /// Asks for `task` at the lowest temperature, and reads the answer by the task's parser.
    pub(super) async fn ask_coolly(
        self,
        task: &str,
        context: &[(&str, Value)],
    ) -> Result<String, BoxError> {
        let prompt = self.render(task, context)?;
        let mut params = Map::new();
        params.insert(
            "temperature".to_owned(),
            json!(self.turn.engine.config.lowest_temperature),
        );
        let reply = self
            .turn
            .call(self.action, task, prompt, params, self.log)
            .await?;
        self.parse(task, &reply.content)
    }
}

fn user_intent(intent: &str) -> ActionResult {
    ActionResult::default().with_event(Event::new("UserIntent").with("intent", intent).to_value())
}
