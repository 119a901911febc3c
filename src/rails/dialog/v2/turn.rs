//! One call in Colang 2.x: messages or events in, an answer or events out.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::{
    super::{Attachments, Engine, Turn},
    Flows,
    driver::Driver,
};
use crate::{
    colang::v2::{self, Event},
    error::{Error, Result},
    message::{Message, Role, ToolCall},
    rails::{
        event,
        events::Events,
        log::ProcessingLog,
        messages::{content_value, context_of, event_of},
        options::{GenerationOptions, OutputVars},
        response::GenerationResponse,
        state::State,
    },
    value::Value,
};

/// What is done as soon as it starts, where `rails.actions.instant_actions` says nothing else.
const INSTANT: &str = "UtteranceBotAction";

/// Answers `messages`. With a state they go on from there; without one they are the whole conversation.
///
/// # Errors
///
/// Where the messages make no sense, a model fails, or the flows come to no end.
pub(crate) async fn answer(
    flows: &Arc<Flows>,
    turn: &Turn,
    messages: &[Message],
    options: Option<GenerationOptions>,
    state: Option<State>,
) -> Result<GenerationResponse> {
    if let Some(options) = &options {
        check_options(options)?;
    }
    let engine = &turn.engine;
    let with_state = state.is_some();
    let mut state = match state {
        Some(state) => flows.restored(state)?,
        None => flows.start(),
    };
    let mut events = Vec::new();
    if let Some(options) = &options {
        let mut data = Map::new();
        let options = serde_json::to_value(options).unwrap_or_default();
        data.insert("generation_options".to_owned(), options);
        events.push(read(event::Event::context_update(data).fields())?);
    }
    for message in messages {
        events.extend(event_of_message(message, &state)?);
    }
    let instant = &engine.config.rails.actions.instant_actions;
    let default = [INSTANT.to_owned()];
    let log = ProcessingLog::default();
    let driver = Driver {
        turn,
        flows,
        log: &log,
        instant: instant.as_deref().unwrap_or(&default),
    };
    let left = driver.process(&mut state, events).await?;
    engine.note_last(turn.model_calls(), told(&state));
    let message = message_of(&left);
    Ok(GenerationResponse {
        message,
        tool_calls: Vec::new(),
        reasoning_content: None,
        output_data: None,
        log: None,
        state: with_state.then(|| State::running(state)),
    })
}

/// Feeds `events` to the conversation of `state`; gives the events that leave, and the state after them.
///
/// # Errors
///
/// Where an event is none, a model fails, or the flows come to no end.
pub(crate) async fn process_events(
    flows: &Arc<Flows>,
    engine: &Arc<Engine>,
    events: &[Json],
    state: State,
) -> Result<(Vec<Json>, State)> {
    let turn = Turn::new(Arc::clone(engine), None, None, Attachments::default());
    let mut state = flows.restored(state)?;
    let events = events.iter().map(|event| match event {
        Json::Object(fields) => read(fields),
        _ => Err(Error::invalid_input("an event is an object with a `type`")),
    });
    let events = events.collect::<Result<Vec<_>>>()?;
    let log = ProcessingLog::default();
    let driver = Driver {
        turn: &turn,
        flows,
        log: &log,
        instant: &[],
    };
    let left = driver.process(&mut state, events).await?;
    engine.note_last(turn.model_calls(), told(&state));
    let left = left.iter().map(|event| Json::Object(event.to_json()));
    Ok((left.collect(), State::running(state)))
}

/// What options can be in Colang 2.x.
///
/// # Errors
///
/// Where something is asked for that there is not.
fn check_options(options: &GenerationOptions) -> Result<()> {
    let log = options.log;
    let asks_for_variables = match &options.output_vars {
        Some(OutputVars::All(all)) => *all,
        Some(OutputVars::Only(names)) => !names.is_empty(),
        None => false,
    };
    let asked = [
        ("output_vars", asks_for_variables),
        (
            "log",
            log.activated_rails || log.llm_calls || log.internal_events || log.colang_history,
        ),
        ("llm_output", options.llm_output),
    ];
    match asked.iter().find(|(_, is_asked)| *is_asked) {
        Some((name, _)) => Err(Error::invalid_input(format!(
            "the option `{name}` is only there with Colang 1.0"
        ))),
        None => Ok(()),
    }
}

fn read(fields: &Map<String, Json>) -> Result<Event> {
    Event::from_json(fields).map_err(|error| Error::invalid_input(error.to_string()))
}

/// The event that a message is; none where its role says nothing.
fn event_of_message(message: &Message, state: &v2::State) -> Result<Option<Event>> {
    let event = match &message.role {
        Role::User => event::Event::new("UtteranceUserActionFinished")
            .with("final_transcript", content_value(&message.content)),
        Role::Assistant => {
            return Err(Error::invalid_input(
                "messages of the assistant cannot be given with Colang 2.x: what the bot said is in the state",
            ));
        }
        Role::Context => event::Event::context_update(context_of(message)?),
        Role::Event => event_of(message)?,
        Role::System | Role::Developer => {
            event::Event::new("SystemMessage").with("content", content_value(&message.content))
        }
        Role::Tool => return tool_event(message, state).map(Some),
        _ => return Ok(None),
    };
    read(event.fields()).map(Some)
}

/// The end of the action that `message` gives the result of.
fn tool_event(message: &Message, state: &v2::State) -> Result<Event> {
    let uid = message.tool_call_id.as_deref().unwrap_or_default();
    let started = state
        .history()
        .filter(|event| event.action_uid() == Some(uid));
    let actions = started.filter_map(Event::started_action);
    let action = actions.fold(None, |_, last| Some(last));
    let Some(action) = action else {
        return Err(Error::InvalidInput(format!(
            "a message of a tool answers the action `{uid}`, which was not started: give the state that it was started in"
        )));
    };
    let value = Value::from_json(&content_value(&message.content));
    let arguments = [
        ("action_uid", Value::from(uid)),
        ("action_name", Value::from(action)),
        ("status", Value::from("success")),
        ("is_success", Value::Bool(true)),
        ("return_value", value),
    ];
    Ok(Event::new(
        format!("{action}Finished"),
        arguments.into_iter().collect(),
    ))
}

/// What the bot said, the actions that are the caller's to run, as calls of tools, and all other events that left, under
/// `events`.
fn message_of(left: &[Event]) -> Message {
    let mut said = Vec::new();
    let mut calls = Vec::new();
    let mut others = Vec::new();
    for event in left {
        if let Some(action) = event.started_action() {
            let mut arguments = event.to_json();
            for field in [
                "type",
                "uid",
                "event_created_at",
                "source_uid",
                "action_uid",
            ] {
                arguments.remove(field);
            }
            calls.push(ToolCall {
                id: event.action_uid().map(str::to_owned),
                name: action.to_owned(),
                arguments: Json::Object(arguments),
            });
        } else if &*event.name == "UtteranceBotActionFinished" {
            let script = event.arguments.get("final_script");
            said.push(script.map(ToString::to_string).unwrap_or_default());
        } else {
            others.push(Json::Object(event.to_json()));
        }
    }
    let mut message = Message::assistant(said.join("\n"));
    message.tool_calls = calls;
    if !others.is_empty() {
        message.extra.insert("events".to_owned(), others.into());
    }
    message
}

fn told(state: &v2::State) -> Events {
    let events = state.history();
    events
        .filter_map(|event| event::Event::from_fields(event.to_json()))
        .collect()
}
