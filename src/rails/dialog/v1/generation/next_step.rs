//! `generate_next_steps`: what the bot does next, where no flow says.

use serde_json::json;

use super::{
    super::{super::text, flows::is_flow_body},
    Asked,
};
use crate::{actions::ActionResult, error::BoxError, rails::event::Event};

const GENERAL: &str = "general response";

impl Asked<'_> {
    pub(super) async fn next_steps(self) -> Result<ActionResult, BoxError> {
        let engine = &self.turn.engine;
        let intent = self
            .run
            .last("UserIntent")
            .ok_or("no user intent to go on from")?;
        if engine.config.rails.dialog.single_call.enabled {
            let next = intent
                .object("additional_info")
                .and_then(|info| info.get("bot_intent_event"));
            let next = next
                .cloned()
                .ok_or("the intent was not found by a single call")?;
            return Ok(ActionResult::default().with_event(next));
        }
        let mut examples = String::new();
        let intent = intent.text("intent").unwrap_or_default();
        for flow in engine
            .indexes
            .flows_like(engine, intent, 5)
            .await?
            .iter()
            .rev()
        {
            examples.push_str(flow);
            examples.push_str("\n\n");
        }
        let answer = self
            .ask_coolly("generate_next_steps", &[("examples", json!(examples))])
            .await?;
        let next = if engine.config.enable_multi_step_generation {
            self.flow_of(&answer)
        } else {
            bot_intent(&one_step(&answer))
        };
        Ok(ActionResult::default().with_event(next.to_value()))
    }

    /// The longest start of `answer` that is a flow, as the event that starts it.
    fn flow_of(self, answer: &str) -> Event {
        let mut lines: Vec<&str> = answer.split('\n').collect();
        while !lines.is_empty() {
            let body = lines.join("\n");
            if is_flow_body(&body) {
                return Event::new("start_flow")
                    .with("flow_id", self.turn.unique_name())
                    .with("flow_body", body);
            }
            lines.pop();
        }
        bot_intent(GENERAL)
    }
}

fn bot_intent(intent: &str) -> Event {
    Event::new("BotIntent").with("intent", intent)
}

/// The bot intent on the first line; models like to add the message, or more, on the same line.
fn one_step(answer: &str) -> String {
    let Some(intent) = text::first_line(answer).and_then(|line| line.strip_prefix("bot ")) else {
        return GENERAL.to_owned();
    };
    let mut intent = intent;
    for end in ['"', ','] {
        if let Some((start, _)) = intent.split_once(end) {
            intent = start.trim();
        }
    }
    intent.to_owned()
}

#[cfg(test)]
mod tests {
    use super::one_step;

    #[test]
    fn a_step_is_the_intent_alone() {
        assert_eq!(
            one_step("\nbot greet guest \"Hi\", and more"),
            "greet guest"
        );
        assert_eq!(one_step("bot greet, offer help"), "greet");
        assert_eq!(one_step("greet"), "general response");
    }
}
