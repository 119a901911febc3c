//! Prompts and answers of the tasks here.

use serde_json::Value;

use super::Asked;
use crate::{error::BoxError, llm::Parsed, message::Message};

impl Asked<'_> {
    /// What the model is asked for `task`.
    ///
    /// # Errors
    ///
    /// Where the task has no prompt, or its template fails.
    pub(super) fn render(
        self,
        task: &str,
        context: &[(&str, Value)],
    ) -> Result<Vec<Message>, BoxError> {
        let lookup = |name: &str| {
            context
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.clone())
        };
        Ok(self
            .turn
            .engine
            .prompts
            .render_history(task, &lookup, self.run.events())?
            .into_messages())
    }

    /// The model's answer to `task`, read by the task's parser.
    ///
    /// # Errors
    ///
    /// Where the parser cannot read it, or gives no text.
    pub(super) fn parse(self, task: &str, answer: &str) -> Result<String, BoxError> {
        match self.turn.engine.prompts.parse(task, answer)? {
            Parsed::Text(text) => Ok(text),
            Parsed::Verdict(_) => {
                Err(format!("the output parser of `{task}` gives a verdict, not a text").into())
            }
        }
    }
}
