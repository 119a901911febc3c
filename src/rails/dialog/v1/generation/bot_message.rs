//! `generate_bot_message`: a bot intent in words: predefined, a variable's, or a model's.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{super::super::text, Asked, bot_string::with_template_variables};
use crate::{
    actions::ActionResult,
    error::BoxError,
    message::{Content, Message, Role},
    rails::{event::Event, messages::content_value},
};

const TASK: &str = "generate_bot_message";

/// What is said where there is nothing to say.
pub(super) const NOTHING_TO_SAY: &str = "I'm not sure what to say.";

impl Asked<'_> {
    pub(super) async fn bot_message(self) -> Result<ActionResult, BoxError> {
        let engine = &self.turn.engine;
        let intent_event = self
            .run
            .last("BotIntent")
            .ok_or("no bot intent to put in words")?;
        // `bot "Hello"` without a name: as in the reference, only a message with a name can be said in place.
        let intent = intent_event
            .text("intent")
            .ok_or("a message in place needs a name: `bot greet guest \"Hello\"`")?;
        let mut result = ActionResult::default();
        // A streamed answer is checked in the stream.
        if self.turn.sink.is_some() && engine.streams_output_rails() {
            result = result.with_context("skip_output_rails", true);
        }
        let utterance = if let Some(predefined) = engine.bot_message(intent) {
            // What the application wrote itself is not checked.
            result = result.with_context("skip_output_rails", true);
            let template = with_template_variables(predefined);
            if !template.contains("{{") && !template.contains("{%") {
                self.turn.report.note_predefined();
            }
            engine.render_message(&template, &|name| self.run.variable(name))?
        } else if let Some(value) = intent
            .strip_prefix('$')
            .and_then(|name| self.run.variable(name))
        {
            match value {
                Value::String(text) => text,
                Value::Null | Value::Bool(false) => String::new(),
                other => return Err(format!("`{intent}` is no text: {other}").into()),
            }
        } else {
            if engine.config.rails.dialog.single_call.enabled
                && let Some(result) = self.message_of_single_call().await?
            {
                return Ok(result);
            }
            let (message, prompt) = self.generated_message(intent).await?;
            result = result.with_context("_last_bot_prompt", prompt);
            message
        };
        let utterance = match utterance.as_str() {
            "" => NOTHING_TO_SAY.to_owned(),
            text => text::with_line_breaks(text),
        };
        self.turn.say(&utterance).await;
        let result = self.with_reasoning(result);
        Ok(result.with_event(Event::new("BotMessage").with("text", utterance).to_value()))
    }

    /// The message that a model makes, and what it was asked.
    async fn generated_message(self, intent: &str) -> Result<(String, Value), BoxError> {
        let engine = &self.turn.engine;
        if engine.config.passthrough {
            let said = self
                .run
                .variable("user_message")
                .filter(|said| !said.is_null() && *said != "");
            if self.turn.raw.is_none() && said.is_none() {
                return Err("there is no prompt to pass through".into());
            }
            self.turn.forward(said.as_ref())?;
            let prompt = match &said {
                Some(said) => self.raw_prompt(Some(said), true)?,
                None => self.turn.raw.as_deref().cloned().unwrap_or_default(),
            };
            let asked = shown(&prompt);
            let reply = self
                .turn
                .call_streaming(self.action, TASK, prompt, self.llm_params(), self.log)
                .await?;
            return Ok((self.parse("general", &reply.content)?, asked));
        }
        let mut examples = String::new();
        if let Some(index) = engine.indexes.bot_messages(engine).await? {
            for hit in index.search(intent, 5, None).await?.iter().rev() {
                let _ = write!(examples, "bot {}\n  \"{}\"\n\n", hit.text, hit.meta);
            }
        }
        let context = [
            ("examples", json!(examples)),
            ("relevant_chunks", self.retrieved_chunks(false)),
        ];
        let prompt = self.render(TASK, &context)?;
        let prefix = match engine.output_parser(TASK) {
            Some("verbose_v1" | "bot_message") => "Bot message: \"",
            _ => "  \"",
        };
        let asked = shown(&prompt);
        self.turn.expect_frame(prefix, "\"");
        let reply = self
            .turn
            .call_streaming(self.action, TASK, prompt, self.llm_params(), self.log)
            .await?;
        let message = text::message(&self.parse(TASK, &reply.content)?);
        Ok((text::unquoted(&message).to_owned(), asked))
    }
}

/// A prompt as the context keeps it: a single text of the user as such, else the messages.
fn shown(prompt: &[Message]) -> Value {
    match prompt {
        [
            Message {
                role: Role::User,
                content: Content::Text(text),
                ..
            },
        ] => text.as_str().into(),
        messages => {
            let messages = messages.iter();
            messages.map(|message| json!({"type": message.role.as_str(), "content": content_value(&message.content)})).collect()
        }
    }
}
