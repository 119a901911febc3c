//! A flow as a rail: it judges one text, without the rest of a conversation.

use std::{fmt::Write as _, sync::Arc};

use serde_json::Value as Json;

use super::{
    super::{INTERNAL_ERROR, Turn},
    Flows,
    driver::Driver,
    modules::call,
};
use crate::{
    colang::v2::Event,
    config::FlowReference,
    error::{Error, Result},
    library::{self, Subject},
    rails::log::{Entry, ProcessingLog},
    value::{Dict, Value},
    verdict::{Block, Outcome, Place},
};

/// The flow that runs the rail, and says what became of it.
const JUDGE: &str = "_judge";
/// The event that lets it begin.
const BEGIN: &str = "_JudgeRail";
/// The `main` that runs it.
pub(super) const MAIN_OF_JUDGE: &str = "flow main\n  match _JudgeRail()\n  send StartFlow(flow_id=\"_judge\", flow_instance_uid=uid())\n  match _Never()\n";
const PASSED: &str = "RailPassed";

/// Runs the flow that `line` names on a text: where it fails, or does not come to its end, it blocks; where it sets the variable of
/// its place, it rewrites.
///
/// # Errors
///
/// Where a model fails, or the flows come to no end.
pub(crate) async fn judge(
    flows: &Arc<Flows>,
    turn: &Turn,
    place: Place,
    line: &str,
    subject: Subject<'_>,
) -> Result<Outcome> {
    let mut state = flows.start_judging();
    let variable = library::text_variable(place);
    let text = match place {
        Place::ToolOutput => serde_json::from_str(subject.text).unwrap_or_default(),
        _ => Json::from(subject.text),
    };
    let said = Value::from(subject.user_message);
    state.set_variable("user_message", said.clone());
    state.set_variable("last_user_message", said);
    state.set_variable(variable, Value::from_json(&text));
    if place == Place::Output {
        // What a rail itself says is not checked.
        state.set_variable("output_rails_in_progress", Value::Bool(true));
        state.set_variable("last_bot_message", Value::from_json(&text));
    }
    let source = source(flows, line, variable);
    let added = state.add_flows(&source);
    added.map_err(|error| Error::Colang(format!("the rail `{line}` cannot be run: {error}")))?;
    let log = ProcessingLog::default();
    let instant = ["UtteranceBotAction".to_owned()];
    let driver = Driver {
        turn,
        flows,
        log: &log,
        instant: &instant,
    };
    let begin = vec![Event::new(BEGIN, Dict::new())];
    let left = driver.process(&mut state, begin).await?;
    if left.iter().any(|event| &*event.name == PASSED) {
        let after = state.context().get(variable).map(Value::to_json);
        return Ok(outcome(&text, after));
    }
    let is_error = |entry: &Entry| matches!(entry, Entry::Event { event, .. } if event.kind() == "ColangError");
    let failed = log.take().iter().any(is_error);
    Ok(Outcome::Block(block(&left, failed)))
}

/// The flow that runs the rail on the global variable `variable`.
fn source(flows: &Flows, line: &str, variable: &str) -> String {
    let line = FlowReference::parse(line);
    let mut statement = call(&line);
    // A flow that takes the text as its first parameter gets it.
    let takes = flows
        .flow(&line.name)
        .and_then(|flow| flow.parameters.first().cloned());
    if let Some(takes) = takes
        && takes.default().is_none()
        && line.parameters.is_empty()
    {
        let _ = write!(statement, " ${variable}");
    }
    // Where the rail fails, so does this flow.
    format!("flow {JUDGE}\n  global ${variable}\n  await {statement}\n  send {PASSED}()\n")
}

fn outcome(before: &Json, after: Option<Json>) -> Outcome {
    match after {
        Some(after) if after == *before => Outcome::Allow,
        Some(Json::String(text)) => Outcome::Transform(text),
        Some(Json::Null) if before.is_array() => Outcome::Transform("[]".to_owned()),
        Some(after) if before.is_array() => Outcome::Transform(after.to_string()),
        _ => Outcome::Allow,
    }
}

fn block(left: &[Event], failed: bool) -> Block {
    let said: Vec<String> = left
        .iter()
        .filter(|event| &*event.name == "UtteranceBotActionFinished")
        .filter_map(|event| event.arguments.get("final_script").map(ToString::to_string))
        .collect();
    let exception = left.iter().find(|event| event.name.ends_with("Exception"));
    let reason = exception.map(|event| {
        let message = event.arguments.get("message").map(ToString::to_string);
        format!("{}: {}", event.name, message.unwrap_or_default())
    });
    let message = match said.is_empty() {
        true => failed.then(|| INTERNAL_ERROR.to_owned()),
        false => Some(said.join("\n")),
    };
    Block {
        reason,
        message,
        failed,
    }
}
