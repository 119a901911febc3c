//! One call: messages in, an answer out.

use std::sync::Arc;

use serde_json::Value;

use super::{
    dialog::{Attachments, Engine, Flows, Turn, v1, v2},
    event::Event,
    events::Events,
    log::{Entry, GenerationLog, generation_log},
    options::GenerationOptions,
    response::{GenerationRequest, GenerationResponse},
    state::State,
};
use crate::{
    error::{Error, Result},
    llm::colang_history,
    message::{Content, Message},
};

/// Answers `request`.
///
/// # Errors
///
/// Where the request makes no sense, a model fails, or a flow cannot go on.
pub(crate) async fn generate(
    engine: &Arc<Engine>,
    request: GenerationRequest,
    attachments: Attachments,
) -> Result<GenerationResponse> {
    let GenerationRequest {
        messages,
        options,
        state,
    } = request;
    let messages = Arc::new(messages);
    // With a state, what is returned beside the answer is always of interest.
    let options = options.or_else(|| state.as_ref().map(|_| GenerationOptions::default()));
    let turn = Turn::new(
        Arc::clone(engine),
        options.clone(),
        Some(Arc::clone(&messages)),
        attachments,
    );
    let answered = match &engine.flows {
        Flows::V1(flows) => v1::answer(flows, &turn, &messages, options, state).await,
        Flows::V2(flows) => v2::answer(flows, &turn, &messages, options, state).await,
    };
    match &answered {
        Ok(_) => turn.close_stream().await,
        Err(error) => turn.fail_stream(super::streaming::error_chunk(error)).await,
    }
    answered
}

/// The conversation in Colang's notation.
pub(crate) fn history_of(events: &Events) -> String {
    let told: Vec<_> = events
        .told()
        .map(|event| Arc::clone(event.shared()))
        .collect();
    colang_history(&told)
}

/// What the options ask to log of a call.
pub(crate) fn log_of(
    options: &GenerationOptions,
    entries: &[Entry],
    new: &[Event],
    history: impl FnOnce() -> String,
) -> Option<GenerationLog> {
    let asked = options.log;
    if !(asked.activated_rails || asked.llm_calls || asked.internal_events || asked.colang_history)
    {
        return None;
    }
    let mut log = GenerationLog::default();
    if asked.activated_rails || asked.llm_calls {
        let full = generation_log(entries);
        log.stats = full.stats;
        if asked.llm_calls {
            let actions = full
                .activated_rails
                .iter()
                .flat_map(|rail| &rail.executed_actions);
            log.llm_calls = Some(
                actions
                    .flat_map(|action| action.llm_calls.iter().cloned())
                    .collect(),
            );
        }
        if asked.activated_rails {
            log.activated_rails = full.activated_rails;
        }
    }
    log.internal_events = asked
        .internal_events
        .then(|| new.iter().map(Event::to_value).collect());
    log.colang_history = asked.colang_history.then(history);
    Some(log)
}

/// An answer as it is given without options: with the tool calls, and what the model thought before the text.
pub(crate) fn plain(response: GenerationResponse) -> Message {
    let GenerationResponse {
        mut message,
        tool_calls,
        reasoning_content,
        ..
    } = response;
    if let (Some(reasoning), Content::Text(text)) = (reasoning_content, &mut message.content) {
        *text = format!("<think>{reasoning}</think>\n{text}");
    }
    if !tool_calls.is_empty() {
        message.tool_calls = tool_calls;
    }
    message
}

/// Runs the flows on a history of events, and gives the new ones.
///
/// # Errors
///
/// Where the last event makes no sense, a model fails, or a flow cannot go on.
pub(crate) async fn generate_events(engine: &Arc<Engine>, history: &[Value]) -> Result<Vec<Value>> {
    match &engine.flows {
        Flows::V1(flows) => v1::generate_events(flows, engine, history).await,
        Flows::V2(_) => Err(Error::invalid_input(
            "a history of events alone does not say how far flows of Colang 2.x have come: use `process_events`",
        )),
    }
}

/// Feeds `events` to the conversation of `state`; gives the events that leave, and the state after them.
///
/// # Errors
///
/// Where an event is none, a model fails, or a flow cannot go on; where the flows are of Colang 1.0.
pub(crate) async fn process_events(
    engine: &Arc<Engine>,
    events: &[Value],
    state: State,
) -> Result<(Vec<Value>, State)> {
    match &engine.flows {
        Flows::V1(_) => Err(Error::invalid_input(
            "`process_events` is for Colang 2.x: use `generate_events`",
        )),
        Flows::V2(flows) => v2::process_events(flows, engine, events, state).await,
    }
}
