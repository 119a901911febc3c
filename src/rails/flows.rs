//! Colang flows as rails: one flow judges one text, outside of a turn.

use std::{fmt, sync::Arc};

use futures_core::future::BoxFuture;
use serde_json::{Map, Value, json};

use super::{
    dialog::{Attachments, Conversation as _, Engine, Flows, INTERNAL_ERROR, Turn, v1::Run, v2},
    event::Event,
    log::ProcessingLog,
    messages::tool_calls_value,
};
use crate::{
    colang::v1::flow_name,
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
        let main = context.main.clone();
        Box::pin(judge(&self.engine, self.place, &self.flow, subject, main))
    }
}

/// Runs the flow `flow` (with its parameters, as `rails.*.flows` names it) on a text: one that says or stops something
/// blocks, one that rewrites the variable of its place (`$user_message`, `$bot_message`, `$tool_message`, `$tool_calls`)
/// transforms.
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
    subject: Subject<'_>,
    main: Option<Arc<dyn Model>>,
) -> Result<Outcome> {
    let attachments = Attachments {
        main,
        ..Attachments::default()
    };
    let turn = Turn::new(Arc::clone(engine), None, None, attachments);
    let flows = match &engine.flows {
        Flows::V1(flows) => flows,
        Flows::V2(flows) => return v2::judge(flows, &turn, place, flow, subject).await,
    };
    let mut run = Run::new(flows);
    let variable = library::text_variable(place);
    let text = match place {
        Place::ToolOutput => serde_json::from_str(subject.text).unwrap_or_default(),
        _ => Value::from(subject.text),
    };
    let mut context = variables(place, subject);
    context.insert("user_message".to_owned(), subject.user_message.into());
    context.insert(variable.to_owned(), text.clone());
    context.insert(triggered(place).to_owned(), flow.into());
    let mut before = vec![
        Event::new("UtteranceUserActionFinished").with("final_transcript", subject.user_message),
    ];
    if place != Place::Input {
        before.push(Event::new("UserMessage").with("text", subject.user_message));
    }
    before.push(Event::context_update(context));
    run.extend(before)?;
    // No other flow goes on: the conversation is only there to be looked at.
    run.end_flows()?;
    let new = turn
        .run_rail_flow(&mut run, flow, &ProcessingLog::default())
        .await?;
    let failure = turn.take_failure();
    match outcome_of(&new, &text, run.variable(variable), failure) {
        outcome if outcome.is_block() || run.has_ended() => Ok(outcome),
        // What it has not come to may be the very thing that blocks.
        _ => Err(Error::Colang(format!(
            "the flow `{}` did not come to its end: it waits for what never comes while it judges",
            flow_name(flow)
        ))),
    }
}

/// The variable that says which rail runs.
fn triggered(place: Place) -> &'static str {
    match place {
        Place::Output => "triggered_output_rail",
        Place::ToolInput => "triggered_tool_input_rail",
        Place::ToolOutput => "triggered_tool_output_rail",
        Place::Input | Place::Retrieval => "triggered_input_rail",
    }
}

/// What flows at `place` see beside their text.
fn variables(place: Place, subject: Subject<'_>) -> Map<String, Value> {
    let mut variables = Map::new();
    let Some(tool) = subject.tool.filter(|_| place == Place::ToolInput) else {
        return variables;
    };
    // What a turn shows where a result does not give it.
    let name = tool.name.unwrap_or("unknown");
    let id = tool.call_id.unwrap_or_default();
    let message = json!({"content": subject.text, "name": name, "tool_call_id": id});
    let calls = tool.call.map_or(&[][..], std::slice::from_ref);
    variables.insert("tool_name".to_owned(), name.into());
    variables.insert("tool_call_id".to_owned(), id.into());
    variables.insert("tool_messages".to_owned(), Value::Array(vec![message]));
    variables.insert("tool_calls".to_owned(), tool_calls_value(calls));
    variables
}

fn outcome_of(
    new: &[Event],
    before: &Value,
    after: Option<Value>,
    failure: Option<String>,
) -> Outcome {
    let said = new
        .iter()
        .filter(|event| event.kind() == "StartUtteranceBotAction");
    let said: Vec<&str> = said.filter_map(|event| event.text("script")).collect();
    let exception = new.iter().find(|event| event.kind().ends_with("Exception"));
    let failed = new.iter().any(|event| {
        event.kind() == "InternalSystemActionFinished" && event.text("status") == Some("failed")
    });
    if new.iter().any(Event::is_stop) || !said.is_empty() || exception.is_some() || failed {
        let reason = exception.map(|event| {
            let message = event.text("message").unwrap_or_default();
            format!("{}: {message}", event.kind())
        });
        let reason = failure.filter(|_| failed).or(reason);
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
        Some(after) if after == *before => Outcome::Allow,
        Some(Value::String(text)) => Outcome::Transform(text),
        // A list of calls; nothing in its place is no call.
        Some(Value::Null) if before.is_array() => Outcome::Transform("[]".to_owned()),
        Some(after) if before.is_array() => Outcome::Transform(after.to_string()),
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
        let subject = match place {
            Place::Output => Subject::output(text, "hello"),
            Place::ToolOutput => Subject::calls(text, "hello", None),
            _ => Subject::input(text),
        };
        judge(rails.engine(), place, flow, subject, None)
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
