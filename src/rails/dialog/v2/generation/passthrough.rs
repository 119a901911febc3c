//! `PassthroughLLMAction`: the model answers the user's message as it is.

use super::Writing;
use crate::{actions::ActionResult, error::BoxError, message::Message};

const TASK: &str = "general";

impl Writing<'_> {
    pub(super) async fn passthrough(&self) -> Result<ActionResult, BoxError> {
        let message = self.text("user_message")?;
        let asked = self.asked;
        asked.turn.forward(Some(&message.into()))?;
        let messages = vec![Message::user(message)];
        let (turn, params) = (asked.turn, asked.llm_params());
        // What output rails have still to see is not streamed.
        let reply = if self.moment.flows.has("output rails") {
            turn.call(asked.action, TASK, messages, params, asked.log)
                .await?
        } else {
            turn.call_streaming(asked.action, TASK, messages, params, asked.log)
                .await?
        };
        Ok(ActionResult::value(asked.parse(TASK, &reply.content)?))
    }
}
