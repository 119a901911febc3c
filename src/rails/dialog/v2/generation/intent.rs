//! What the user means, and what the bot does then.

use serde_json::json;

use super::{Writing, reading};
use crate::{actions::ActionResult, error::BoxError};

impl Writing<'_> {
    pub(super) async fn user_intent(&self) -> Result<ActionResult, BoxError> {
        let action = self.text("user_action")?;
        let intents = self.intents(action).await?;
        if intents.is_decided {
            return Ok(ActionResult::value(intents.names.first().cloned()));
        }
        let context = [
            ("examples", json!(intents.examples)),
            ("potential_user_intents", json!(intents.names.join(", "))),
            ("user_action", json!(action)),
        ];
        let task = "generate_user_intent_from_user_action";
        let answer = self.ask(task, self.lowest_temperature(), &context).await?;
        Ok(ActionResult::value(reading::user_intent(&answer)))
    }

    pub(super) async fn user_intent_and_bot_action(&self) -> Result<ActionResult, BoxError> {
        let action = self.text("user_action")?;
        let intents = self.intents(action).await?;
        let context = [
            ("examples", json!(intents.examples)),
            ("potential_user_intents", json!(intents.names.join(", "))),
            ("user_action", json!(action)),
        ];
        let task = "generate_user_intent_and_bot_action_from_user_action";
        let answer = self.ask(task, self.lowest_temperature(), &context).await?;
        let bot_intent = reading::labelled(&answer, "bot intent: ");
        Ok(ActionResult::value(json!({
            "user_intent": reading::user_intent(&answer),
            "bot_intent": bot_intent.map(|intent| reading::flow_name(intent.trim_matches(' '))),
            "bot_action": reading::bot_action(&answer).unwrap_or_default(),
        })))
    }
}
