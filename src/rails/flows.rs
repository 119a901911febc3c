//! Colang flows as rails: one flow judges one text, outside of a turn.

use std::{fmt, sync::Arc};

use futures_core::future::BoxFuture;
use serde_json::{Map, Value};

use super::{
    dialog::{Engine, INTERNAL_ERROR, Run, Turn},
    event::Event,
    log::ProcessingLog,
};
use crate::{
    error::{Error, Result},
    library::{self, Ask, AskContext, Subject},
    llm::Model,
    verdict::{Block, Outcome, Place},
};

/// A flow as a rail.
pub(crate) struct FlowRail {
    engine: Arc<Engine>,
    place: Place,
    /// With its parameters, as `rails.*.flows` names it.
    flow: String,
}

impl FlowRail {
    pub(crate) fn new(engine: &Arc<Engine>, place: Place, flow: &str) -> Self {
        Self {
            engine: Arc::clone(engine),
            place,
            flow: flow.to_owned(),
        }
    }
}

impl fmt::Debug for FlowRail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowRail")
            .field("place", &self.place)
            .field("flow", &self.flow)
            .finish_non_exhaustive()
    }
}

impl Ask for FlowRail {
    fn is_steady(&self) -> bool {
        false
    }

    fn rewrites(&self) -> bool {
        let variable = library::text_variable(self.place);
        self.engine.flows.may_set(&self.flow, variable)
    }

    fn ask<'a>(
        &'a self,
        subject: Subject<'a>,
        context: &'a AskContext,
    ) -> BoxFuture<'a, Result<Outcome, Error>> {
        let judged = Judged {
            text: subject.text,
            user_message: subject.user_message,
        };
        Box::pin(judge(
            &self.engine,
            self.place,
            &self.flow,
            judged,
            context.main.clone(),
        ))
    }
}

/// The text that a flow judges, with what stands around it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judged<'a> {
    /// The text.
    pub(crate) text: &'a str,
    /// The last that the user said: of an input rail, the text itself.
    pub(crate) user_message: &'a str,
}

/// Runs the flow `flow` (with its parameters, as `rails.*.flows` names it) on a text: one that says or stops something
/// blocks, one that rewrites `$user_message` or `$bot_message` transforms.
///
/// `main` stands in for the main model of this call.
///
/// # Errors
///
/// Where a model fails, or the flow cannot go on. An action that fails is a block that says so.
pub(crate) async fn judge(
    engine: &Arc<Engine>,
    place: Place,
    flow: &str,
    judged: Judged<'_>,
    main: Option<Arc<dyn Model>>,
) -> Result<Outcome> {
    let turn = Turn::new(Arc::clone(engine), None, None, main, None);
    let mut run = Run::new(&engine.flows);
    let variable = if place == Place::Output {
        "bot_message"
    } else {
        "user_message"
    };
    let triggered = if place == Place::Output {
        "triggered_output_rail"
    } else {
        "triggered_input_rail"
    };
    let mut context = Map::new();
    context.insert("user_message".to_owned(), judged.user_message.into());
    context.insert(variable.to_owned(), judged.text.into());
    context.insert(triggered.to_owned(), flow.into());
    let mut before = vec![
        Event::new("UtteranceUserActionFinished").with("final_transcript", judged.user_message),
    ];
    if place == Place::Output {
        before.push(Event::new("UserMessage").with("text", judged.user_message));
    }
    before.push(Event::context_update(context));
    run.extend(before)?;
    // No other flow goes on: the conversation is only there to be looked at.
    run.end_flows()?;
    let new = turn
        .run_rail_flow(&mut run, flow, &ProcessingLog::default())
        .await?;
    let variable = run.variable(variable);
    Ok(outcome_of(
        &new,
        judged.text,
        variable.as_ref().and_then(Value::as_str),
    ))
}

fn outcome_of(new: &[Event], before: &str, after: Option<&str>) -> Outcome {
    let said = new
        .iter()
        .filter(|event| event.kind() == "StartUtteranceBotAction");
    let said: Vec<&str> = said.filter_map(|event| event.text("script")).collect();
    let exception = new.iter().find(|event| event.kind().ends_with("Exception"));
    let failed = new.iter().any(|event| {
        event.kind() == "InternalSystemActionFinished" && event.text("status") == Some("failed")
    });
    if new.iter().any(Event::is_stop) || !said.is_empty() || failed {
        let reason = exception.map(|event| {
            let message = event.text("message").unwrap_or_default();
            format!("{}: {message}", event.kind())
        });
        let message = if said.is_empty() {
            failed.then(|| INTERNAL_ERROR.to_owned())
        } else {
            Some(said.join("\n"))
        };
        return Outcome::Block(Block {
            reason,
            message,
            failed,
        });
    }
    match after {
        Some(after) if after != before => Outcome::Transform(after.to_owned()),
        _ => Outcome::Allow,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LlmRails, RailsConfig, verdict::Outcome};

    const FLOWS: &str = r#"
define subflow no maps
  if "map" in $user_message
    bot refuse maps
    stop

define bot refuse maps
  "No maps."

define subflow shorten
  $bot_message = $bot_message[0:3]

define subflow limit
  $most = execute number(value=$most)
  if $most == "2"
    stop

define subflow broken
  $x = execute no_such_action
"#;

    async fn judged(place: Place, flow: &str, text: &str) -> Outcome {
        let config = RailsConfig::from_content("models: []\n", FLOWS).unwrap();
        let number = async |crate::actions::Args(call): crate::actions::Args<serde_json::Value>| {
            Ok::<_, std::convert::Infallible>(call["value"].clone())
        };
        let rails = LlmRails::builder(config)
            .action("number", number)
            .build()
            .unwrap();
        let judged = Judged {
            text,
            user_message: if place == Place::Output {
                "hello"
            } else {
                text
            },
        };
        judge(rails.engine(), place, flow, judged, None)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_flow_that_speaks_blocks() {
        let Outcome::Block(block) = judged(Place::Input, "no maps", "a map").await else {
            panic!("it passes");
        };
        assert_eq!(block.message.as_deref(), Some("No maps."));
        assert!(!block.failed);
        assert_eq!(
            judged(Place::Input, "no maps", "a cup").await,
            Outcome::Allow
        );
    }

    #[tokio::test]
    async fn a_flow_that_rewrites_transforms() {
        assert_eq!(
            judged(Place::Output, "shorten", "abcdef").await,
            Outcome::Transform("abc".to_owned())
        );
        assert_eq!(
            judged(Place::Output, "shorten", "abc").await,
            Outcome::Allow
        );
    }

    #[tokio::test]
    async fn a_flow_takes_parameters() {
        assert!(judged(Place::Input, "limit(most=2)", "x").await.is_block());
        assert_eq!(
            judged(Place::Input, "limit $most=3", "x").await,
            Outcome::Allow
        );
    }

    #[tokio::test]
    async fn an_action_that_fails_is_a_failed_block() {
        let Outcome::Block(block) = judged(Place::Input, "broken", "x").await else {
            panic!("it passes");
        };
        assert!(block.failed);
        assert_eq!(
            block.message.as_deref(),
            Some("Action 'no_such_action' not found.")
        );
    }
}
