//! `retrieve_relevant_chunks`: what the knowledge base knows of the user's last message.

use serde_json::{Value, json};

use super::{super::text::text_of, Asked};
use crate::{actions::ActionResult, error::BoxError};

impl Asked<'_> {
    pub(in crate::rails::dialog) async fn retrieve_relevant_chunks(
        self,
    ) -> Result<ActionResult, BoxError> {
        let variables = self.run.variables();
        let asked = variables
            .get("last_user_message")
            .filter(|message| !message.is_null() && *message != "");
        let found = match asked {
            Some(message) => self
                .turn
                .engine
                .search_chunks(&text_of(Some(message)))
                .await?
                .map(|chunks| (message, chunks)),
            None => None,
        };
        let (text, chunks, message) = match found {
            Some((message, chunks)) => (chunks.join("\n"), json!(chunks), message.clone()),
            None => {
                // Chunks that the application brought along are kept.
                let kept = variables
                    .get("relevant_chunks")
                    .map_or("", |chunks| chunks.as_str().unwrap_or_default());
                let separate = variables
                    .get("relevant_chunks_sep")
                    .cloned()
                    .unwrap_or_else(|| json!([]));
                (format!("{kept}\n"), separate, Value::Null)
            }
        };
        Ok(ActionResult::value(text.as_str())
            .with_context("relevant_chunks", text)
            .with_context("relevant_chunks_sep", chunks)
            .with_context("retrieved_for", message))
    }

    /// The chunks that were retrieved for the user's last message, or, with `any`, at any time.
    pub(in crate::rails::dialog) fn retrieved_chunks(self, any: bool) -> Value {
        let shown = |chunks: &Value| chunks.as_str().unwrap_or_default().trim().into();
        if any {
            let chunks = self.run.variables().get("relevant_chunks");
            return chunks.map_or(Value::Null, shown);
        }
        for event in self.run.events().iter().rev() {
            match event.kind() {
                "UserMessage" => return Value::Null,
                "ContextUpdate" => {
                    if let Some(chunks) = event
                        .object("data")
                        .and_then(|data| data.get("relevant_chunks"))
                    {
                        return shown(chunks);
                    }
                }
                _ => {}
            }
        }
        Value::Null
    }
}
