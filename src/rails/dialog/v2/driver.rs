//! The loop of a conversation: events go in one by one, actions run beside each other, and what they give comes in as they end.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use futures_core::future::BoxFuture;
use futures_util::{
    future::{AbortHandle, Abortable, FutureExt as _},
    stream::{FuturesUnordered, StreamExt as _},
};
use serde_json::{Map, Value as Json};

use super::{
    super::{Called, Turn, actions::resolve},
    Flows, actions,
    moment::Moment,
};
use crate::{
    actions::ActionResult,
    colang::v2::{Event, Host as _, Note, State, SystemHost},
    error::{BoxError, Error, Result},
    library,
    rails::{
        event,
        log::{ProcessingLog, TURN},
    },
    value::{Dict, Value},
};

/// The most events of a call: more are an endless loop, of which what came so far is given.
const MOST_EVENTS: usize = 500;
/// The most actions that run at once.
const MOST_ACTIONS: usize = 100;

/// The fields of an event that are no arguments of the action that it starts.
const EVENT_FIELDS: [&str; 6] = [
    "uid",
    "event_created_at",
    "source_uid",
    "action_uid",
    "action_info_modality",
    "action_info_modality_policy",
];

/// What actions of users, of the bot's body and of screens end with: such an action is nobody's to run but the caller's.
const OF_THE_OUTSIDE: [&str; 4] = ["UserAction", "BotAction", "SceneAction", "CameraAction"];

/// What runs a conversation's flows.
pub(super) struct Driver<'a> {
    pub(super) turn: &'a Turn,
    pub(super) flows: &'a Arc<Flows>,
    pub(super) log: &'a ProcessingLog,
    /// The actions that are done as soon as they start, though they leave as events.
    pub(super) instant: &'a [String],
}

/// An action that runs.
type Running<'a> = BoxFuture<'a, (Event, Option<Result<ActionResult>>)>;

impl<'a> Driver<'a> {
    /// Feeds `events`, all that the flows send themselves, and the ends of the actions that they start, until nothing more comes.
    /// Gives the events that leave.
    ///
    /// # Errors
    ///
    /// Where a model fails, or the flows come to no end.
    pub(super) async fn process(
        &self,
        state: &mut State,
        events: Vec<Event>,
    ) -> Result<Vec<Event>> {
        let mut input = VecDeque::from(state.start(&SystemHost));
        input.extend(events);
        let mut left = Vec::new();
        let mut running = Actions::default();
        let mut fed = 0;
        loop {
            let mut sent = Vec::new();
            while let Some(event) = input.pop_front() {
                fed += 1;
                if fed > MOST_EVENTS {
                    tracing::warn!("the flows come to no end: {MOST_EVENTS} events are enough");
                    return Ok(left);
                }
                for event in self.feed(state, event)? {
                    sent.push(event.clone());
                    if let Some(finished) = self.instant_end(&event) {
                        left.push(finished.clone());
                        input.push_back(finished);
                    } else if !self.start(state, &event, &mut running)? {
                        running.stop(&event);
                        left.push(event);
                    }
                }
            }
            if !sent.is_empty() {
                // Flows may wait for what other flows send.
                input.extend(sent);
                continue;
            }
            let Some(ended) = running.next().await else {
                return Ok(left);
            };
            for (start, result) in ended {
                input.push_back(end_of(state, &start, result)?);
            }
        }
    }

    fn feed(&self, state: &mut State, event: Event) -> Result<Vec<Event>> {
        self.note(&event);
        let decision = state.feed(event, &SystemHost);
        let decision = decision.map_err(|error| Error::Colang(error.to_string()))?;
        for note in &decision.notes {
            match note {
                Note::Event(event) => self.note(event),
                Note::Log { flow, text } => {
                    tracing::debug!(target: TURN, "flow `{flow}` logs: {text}");
                }
                Note::Print(text) => {
                    tracing::info!(target: TURN, "{text}");
                }
                Note::Warning(text) => {
                    tracing::warn!(target: TURN, "{text}");
                }
            }
        }
        Ok(decision.events)
    }

    fn note(&self, event: &Event) {
        if let Some(event) = event::Event::from_fields(event.to_json()) {
            self.log.event(&event);
        }
    }

    /// The end of an action that is done as soon as it starts.
    fn instant_end(&self, start: &Event) -> Option<Event> {
        let action = start.started_action()?;
        if !self.instant.iter().any(|instant| instant == action) {
            return None;
        }
        let mut event = finished(start, action, Value::None, true);
        if action == "UtteranceBotAction" {
            let script = start.arguments.get("script").cloned();
            event
                .arguments
                .insert("final_script", script.unwrap_or(Value::None));
        }
        Some(event)
    }

    /// Starts the action of `start`, where it is one that runs here.
    fn start(&self, state: &mut State, start: &Event, running: &mut Actions<'a>) -> Result<bool> {
        let Some(action) = start.started_action() else {
            return Ok(false);
        };
        if !self.runs_here(action) {
            return Ok(false);
        }
        if running.futures.len() >= MOST_ACTIONS {
            return Err(Error::Colang(format!(
                "the flows run more than {MOST_ACTIONS} actions at once"
            )));
        }
        let arguments = arguments(start);
        let is_replaced = self.turn.engine.actions.get(action).is_some();
        if !is_replaced && let Some(result) = actions::run(state, action, &arguments, &SystemHost) {
            let result = result_of(action, Some(result));
            running.push(start, Box::pin(std::future::ready(result)));
            return Ok(true);
        }
        let moment = Moment::new(self.flows, state);
        let (turn, log, action) = (self.turn, self.log, action.to_owned());
        let work = async move {
            let called = Called {
                action: &action,
                arguments: &resolve(&moment, arguments),
                log,
            };
            let settled = turn.run_action(&moment, called).await?;
            result_of(&action, settled)
        };
        running.push(start, Box::pin(work));
        Ok(true)
    }

    /// Whether an action runs here: all others are the caller's.
    fn runs_here(&self, action: &str) -> bool {
        let engine = &self.turn.engine;
        engine.actions.get(action).is_some()
            || actions::has_action(action)
            || library::find_action(action).is_some()
            || (engine.actions_server.is_some()
                && !OF_THE_OUTSIDE.iter().any(|kind| action.ends_with(kind)))
    }
}

/// What an action gives. As in the reference, one that fails gives nothing, and its flow goes on.
fn result_of(
    action: &str,
    settled: Option<std::result::Result<ActionResult, BoxError>>,
) -> Result<ActionResult> {
    match settled {
        Some(Ok(result)) => Ok(result),
        Some(Err(error)) => {
            tracing::warn!(action, %error, "an action failed");
            Ok(ActionResult::default())
        }
        None => {
            tracing::warn!(action, "there is no such action");
            Ok(ActionResult::default())
        }
    }
}

/// The actions that run. Dropping it cancels them.
#[derive(Default)]
struct Actions<'a> {
    futures: FuturesUnordered<Running<'a>>,
    handles: HashMap<String, AbortHandle>,
}

impl<'a> Actions<'a> {
    fn push(&mut self, start: &Event, work: BoxFuture<'a, Result<ActionResult>>) {
        let (handle, registration) = AbortHandle::new_pair();
        if let Some(uid) = start.action_uid() {
            self.handles.insert(uid.to_owned(), handle);
        }
        let (start, work) = (start.clone(), Abortable::new(work, registration));
        self.futures
            .push(Box::pin(async move { (start, work.await.ok()) }));
    }

    /// Cancels the action that `event` stops, where it runs here.
    fn stop(&mut self, event: &Event) {
        let is_stop = event.name.starts_with("Stop") && event.name.ends_with("Action");
        if is_stop && let Some(handle) = event.action_uid().and_then(|uid| self.handles.remove(uid))
        {
            handle.abort();
        }
    }

    /// Waits for the next actions to end; none where none runs.
    async fn next(&mut self) -> Option<Vec<(Event, Option<Result<ActionResult>>)>> {
        let mut ended = vec![self.futures.next().await?];
        while let Some(Some(other)) = self.futures.next().now_or_never() {
            ended.push(other);
        }
        for (start, _) in &ended {
            if let Some(uid) = start.action_uid() {
                self.handles.remove(uid);
            }
        }
        Some(ended)
    }
}

/// The event that an action has ended, of which the variables that it sets are set.
fn end_of(state: &mut State, start: &Event, result: Option<Result<ActionResult>>) -> Result<Event> {
    let action = start.started_action().unwrap_or_default();
    let Some(result) = result else {
        return Ok(finished(start, action, Value::None, false));
    };
    let result = result?;
    for (name, value) in &result.context_updates {
        state.set_variable(name, Value::from_json(value));
    }
    let mut event = finished(start, action, Value::from_json(&result.value), true);
    let events = result.events.iter().map(Value::from_json);
    event.arguments.insert("events", Value::list(events));
    if library::find_action(action).is_some() {
        event.arguments.insert("is_rail_action", Value::Bool(true));
    }
    Ok(event)
}

/// The arguments of the action that `start` starts.
fn arguments(start: &Event) -> Map<String, Json> {
    let mut arguments = start.to_json();
    arguments.remove("type");
    arguments.retain(|name, _| !EVENT_FIELDS.contains(&name.as_str()));
    arguments
}

/// The event that the action of `start` has ended.
fn finished(start: &Event, action: &str, value: Value, is_success: bool) -> Event {
    let status = if is_success { "success" } else { "failed" };
    let uid = start.arguments.get("action_uid").cloned();
    let mut arguments = Dict::new();
    arguments.insert("uid", Value::from(SystemHost.uid()));
    arguments.insert("source_uid", Value::from("tower-guardrails"));
    arguments.insert("action_uid", uid.unwrap_or(Value::None));
    arguments.insert("action_name", Value::from(action));
    arguments.insert("status", Value::from(status));
    arguments.insert("is_success", Value::Bool(is_success));
    arguments.insert("return_value", value);
    arguments.insert("events", Value::list(Vec::<Value>::new()));
    Event::new(format!("{action}Finished"), arguments)
}
