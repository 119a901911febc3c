//! The actions of library rails in a turn.

use std::{borrow::Cow, time::SystemTime};

use futures_core::future::BoxFuture;
use serde_json::{Map, Value};

use super::{
    super::{events::Events, log::ProcessingLog, messages::content_of},
    Turn,
    reference::{flow_name, flow_parameters},
};
use crate::{
    actions::ActionResult,
    error::{BoxError, Error},
    library::{self, Call, Finding, Question, Scene},
    llm::ModelReply,
    message::{Message, Role},
    verdict::{Outcome, Place},
};

/// What a rail's action works with: in a turn, or in a stream, where there is no conversation to look into.
#[derive(Clone, Copy)]
pub(super) struct RailCall<'a> {
    pub(super) turn: &'a Turn,
    pub(super) variables: &'a Map<String, Value>,
    pub(super) events: &'a Events,
    pub(super) arguments: &'a Map<String, Value>,
    pub(super) log: &'a ProcessingLog,
    pub(super) action: &'a str,
}

/// Runs the action; none where it is not one of a library rail.
pub(super) async fn run(call: RailCall<'_>) -> Option<Result<ActionResult, BoxError>> {
    let (rail, action) = library::find_action(call.action)?;
    Some(match call.turn.engine.library.get(rail) {
        Ok(check) => {
            let finding = check.run(Call::given(action.name, call.arguments, &call));
            let found = finding.await.map_err(BoxError::from);
            found.map(|finding| result(action.outcome(&finding, call.arguments), finding))
        }
        Err(error) => Err(error.into()),
    })
}

/// The result of an action whose `finding` flows see as `value`.
fn result(value: Value, finding: Finding) -> ActionResult {
    let place = match &finding.decision {
        library::Decision::Rewrite(rewrites) => match rewrites.first() {
            Some((name, _)) if *name == library::text_variable(Place::Output) => Place::Output,
            Some((name, _)) if *name == library::text_variable(Place::Retrieval) => {
                Place::Retrieval
            }
            _ => Place::Input,
        },
        _ => Place::Input,
    };
    let outcome: Outcome = finding.into_outcome(place);
    ActionResult::of_verdict(outcome, value)
}

impl Scene for RailCall<'_> {
    fn variable(&self, name: &str) -> Option<Cow<'_, Value>> {
        self.variables.get(name).map(Cow::Borrowed)
    }

    fn parameter(&self, flow: &str, name: &str) -> Option<String> {
        let of = |text: &str| -> Option<Option<String>> {
            (flow_name(text) == flow).then(|| {
                flow_parameters(text)
                    .get(name)
                    .and_then(Value::as_str)
                    .map(str::to_owned)
            })
        };
        let (_, declared) = library::find(flow)?;
        let (triggered, start) = if declared.place == Place::Output {
            ("triggered_output_rail", "StartOutputRail")
        } else {
            ("triggered_input_rail", "StartInputRail")
        };
        let triggered = self.variables.get(triggered).and_then(Value::as_str);
        if let Some(found) = triggered.and_then(of) {
            return found;
        }
        for event in self.events.iter().rev() {
            if event.kind() == "start_flow" && event.text("flow_id") == Some(flow) {
                return event
                    .object("params")
                    .and_then(|params| params.get(name)?.as_str())
                    .map(str::to_owned);
            }
            if event.kind() == start
                && let Some(found) = event.text("flow_id").and_then(of)
            {
                return found;
            }
        }
        None
    }

    fn history(&self) -> Vec<Message> {
        let said = self.events.told().filter_map(|event| {
            let (role, key) = match event.kind() {
                "UserMessage" => (Role::User, "text"),
                "StartUtteranceBotAction" => (Role::Assistant, "script"),
                "SystemMessage" => (Role::System, "content"),
                _ => return None,
            };
            Some(Message::new(role, content_of(event.get(key)?)))
        });
        said.collect()
    }

    fn note_model_call(&self, task: &str, started_at: SystemTime) {
        self.log.model_call(task, started_at);
    }

    fn conversation(&self) -> &[Message] {
        self.turn.raw.as_deref().map_or(&[], Vec::as_slice)
    }

    fn has_model(&self, kind: &str) -> bool {
        self.turn.engine.models.get(kind).is_some()
    }

    fn ask<'a>(&'a self, question: Question<'a>) -> BoxFuture<'a, Result<ModelReply, Error>> {
        let Question {
            task,
            kinds,
            messages,
            parameters,
        } = question;
        let kind = kinds
            .iter()
            .find(|kind| self.has_model(kind))
            .copied()
            .unwrap_or("main");
        Box::pin(async move {
            let asked = self.turn.ask(kind, task, messages, parameters, self.log);
            asked
                .await
                .map_err(|error| match error.downcast::<crate::error::ModelError>() {
                    Ok(error) => Error::Model(*error),
                    Err(source) => Error::Rail {
                        rail: self.action.to_owned(),
                        source,
                    },
                })
        })
    }
}
