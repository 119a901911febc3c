//! The actions of the language that look at the flows themselves, or change them. They end at once.

use serde_json::{Map, Value as Json, json};

use super::generation;
use crate::{
    actions::ActionResult,
    colang::v2::{Event, Host, State},
    error::BoxError,
    value::Value,
};

const NAMES: [&str; 5] = [
    "CheckValidFlowExistsAction",
    "CheckFlowDefinedAction",
    "CheckForActiveEventMatchAction",
    "AddFlowsAction",
    "RemoveFlowsAction",
];

/// Whether `action` is part of the language.
pub(crate) fn has_action(action: &str) -> bool {
    NAMES.contains(&action) || generation::has(action)
}

/// Whether `action` is part of the language and of its machinery.
pub(in crate::rails::dialog) fn is_system_action(action: &str) -> bool {
    has_action(action)
}

/// Runs an action of these; none where it is none.
pub(super) fn run(
    state: &mut State,
    action: &str,
    arguments: &Map<String, Json>,
    host: &dyn Host,
) -> Option<Result<ActionResult, BoxError>> {
    let text = |name: &str| {
        let text = arguments.get(name).and_then(Json::as_str);
        text.ok_or_else(|| BoxError::from(format!("`{action}` needs the text `{name}`")))
    };
    Some(match action {
        "CheckValidFlowExistsAction" => {
            text("flow_id").map(|flow| ActionResult::value(state.has_instance(flow)))
        }
        "CheckFlowDefinedAction" => {
            text("flow_id").map(|flow| ActionResult::value(state.flow(flow).is_some()))
        }
        "CheckForActiveEventMatchAction" => text("event_name").map(|name| {
            let others = arguments.iter().filter(|(name, _)| *name != "event_name");
            let others = others.map(|(name, value)| (name.as_str(), Value::from_json(value)));
            let event = Event::new(name, others.collect());
            ActionResult::value(!state.waiting(Some(&event), host).is_empty())
        }),
        "AddFlowsAction" => text("config").and_then(|source| add_flows(state, source)),
        "RemoveFlowsAction" => {
            let names = arguments.get("flow_ids").and_then(Json::as_array);
            let names = names.into_iter().flatten().filter_map(Json::as_str);
            state.remove_flows(&names.collect::<Vec<_>>());
            Ok(ActionResult::default())
        }
        _ => return None,
    })
}

/// Adds the flows that a model wrote. Where they are none, a flow of that name that says so.
fn add_flows(state: &mut State, source: &str) -> Result<ActionResult, BoxError> {
    let added = state.add_flows(source).or_else(|error| {
        tracing::warn!(%error, "what a model wrote is no flow");
        let name = source.lines().find_map(|line| line.strip_prefix("flow "));
        let name = name.ok_or(error)?;
        let name: String = name
            .chars()
            .take_while(|character| !matches!(character, '$' | '"' | '('))
            .collect();
        let name = name.trim();
        state.add_flows(&format!(
            "flow {name}\n  bot say \"Internal error on flow `{name}`.\"\n"
        ))
    })?;
    Ok(ActionResult::value(json!(added)))
}
