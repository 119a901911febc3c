//! Which of the models that a configuration names its rails may ask.

use super::dialog::v1::{Flows, has_action};
use crate::{
    colang::v1::Op,
    config::{FlowReference, RailsConfig},
    library::{self, Need, Rail},
};

/// The first rail, by its line, that may ask the model of type `kind`; `main` stands in where there is no model for a task.
pub(super) fn asked_by<'a>(
    kind: &str,
    config: &'a RailsConfig,
    flows: Option<&Flows>,
) -> Option<&'a FlowReference> {
    let mut lines = config.rails.lines().map(|(_, line)| line);
    lines.find(|line| {
        let is_named = line.parameters.values().any(|value| value == kind);
        is_named || asks(kind, line, flows)
    })
}

fn asks(kind: &str, line: &FlowReference, flows: Option<&Flows>) -> bool {
    let own = flows.filter(|flows| flows.is_own(&line.name));
    let Some(flows) = own else {
        return library::find(&line.name).is_some_and(|(rail, _)| needs(rail, kind));
    };
    let reached = flows.program().reach(&line.name);
    reached.iter().any(|found| match &found.element.op {
        // A message that is not worded is worded by the main model.
        Op::Action {
            name, parameters, ..
        } if name == "utter" => {
            let intent = parameters.get("value").and_then(serde_json::Value::as_str);
            let is_worded = intent.is_none_or(|intent| {
                intent == "stop"
                    || intent.starts_with('$')
                    || flows.bot_messages().contains_key(intent)
            });
            kind == "main" && !is_worded
        }
        Op::Action { name, .. } if name == "create_event" => false,
        Op::Action { name, .. } => match library::find_action(name) {
            Some((rail, _)) => needs(rail, kind),
            None if has_action(name) => kind == "main",
            // Whatever the application registers is given a model that it may ask.
            None => kind == "main" || kind == name,
        },
        _ => false,
    })
}

/// Whether the declaration of `rail` says that it asks a model of type `kind`.
fn needs(rail: &Rail, kind: &str) -> bool {
    let mut texts = rail.needs.iter().filter_map(|need| match need {
        Need::Model(text) | Need::Prompt(text) => Some(*text),
        _ => None,
    });
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    texts.any(|text| text.split(|c| !is_word(c)).any(|word| word == kind))
}
