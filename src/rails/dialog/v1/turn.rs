//! One call in Colang 1.0: messages in, an answer out.

use std::{borrow::Cow, sync::Arc};

use serde_json::{Map, Value};

use super::{
    super::{Attachments, Conversation as _, Engine, Turn},
    Flows, Run,
    history::Chain,
};
use crate::{
    error::{Error, Result},
    library,
    message::{Content, Message, Role},
    rails::{
        event::Event,
        events::Events,
        log::{ProcessingLog, generation_log},
        messages::{self, content_value, events_of},
        options::{GenerationOptions, OutputVars},
        response::GenerationResponse,
        state::State,
        turn::{history_of, log_of},
    },
};

/// Answers `messages`.
///
/// # Errors
///
/// Where the messages make no sense, a model fails, or a flow cannot go on.
pub(crate) async fn answer(
    flows: &Flows,
    turn: &Turn,
    messages: &[Message],
    options: Option<GenerationOptions>,
    state: Option<State>,
) -> Result<GenerationResponse> {
    let engine = &turn.engine;
    let state = state.map(State::into_events).transpose()?;
    let options = options.map(|options| options.with_full_names(&engine.config.rails));
    check_asks_for_something(messages, options.as_ref())?;
    let (context, messages) = with_options(messages, options.as_ref());
    let keys = state.is_none().then(|| {
        let mut chain = Chain::default();
        if let Some(whose) = &turn.whose {
            chain.add(&whose_context(whose));
        }
        context.iter().for_each(|message| chain.add(message));
        chain.keys(messages)
    });
    // What the conversation goes on from, and how many of the messages that has seen already.
    let remembered = keys.as_ref().and_then(|keys| flows.history.longest(keys));
    let mut events = Vec::new();
    let (mut run, known) = match (remembered, &state) {
        (Some((known, run)), _) => ((*run).clone(), known),
        (None, state) => {
            events.extend(events_of(context.as_slice(), 0, false)?);
            let run = match state {
                Some(state) => flows.recent.run_after(flows, state)?,
                None => Run::new(flows),
            };
            (run, 0)
        }
    };
    let has_tool_input_rails = !engine.config.rails.tool_input.flows.is_empty();
    events.extend(events_of(messages, known, has_tool_input_rails)?);
    let log = ProcessingLog::default();
    let new = turn.run(&mut run, events, &log).await?;
    let message = answer_of(&new);
    let said = new
        .iter()
        .filter(|event| event.kind() == "StartUtteranceBotAction");
    turn.report.note_said(said.count());
    let run = Arc::new(run);
    match keys {
        Some(keys) => flows
            .history
            .remember(keys.after(&message), Arc::clone(&run)),
        None => flows.recent.remember(Arc::clone(&run)),
    }
    let reasoning_content = kept(&new, "BotThinking").and_then(|event| event.text("content"));
    let entries = log.take();
    // As in the reference, what is told of a call with a state, its new state included, is of this call alone.
    let earlier = state.as_ref().map_or(0, Events::len);
    let (own, own_run) = match earlier {
        0 => (run.events().clone(), Arc::clone(&run)),
        _ => {
            let own: Events = run.events().from(earlier).cloned().collect();
            let asks_for_variables = options
                .as_ref()
                .is_some_and(|options| options.output_vars.is_some());
            let own_run = match asks_for_variables {
                true => Arc::new(run_of(flows, &own)?),
                false => Arc::clone(&run),
            };
            (own, own_run)
        }
    };
    let history = || history_of(&own);
    engine.note_last(turn.model_calls(), own.clone());
    if let Some(tracer) = &engine.tracer {
        tracer.export(&generation_log(&entries), &new);
    }
    let options = options.unwrap_or_default();
    Ok(GenerationResponse {
        message,
        tool_calls: tool_calls(&new)
            .map(messages::tool_calls_of)
            .unwrap_or_default(),
        reasoning_content: reasoning_content.map(str::to_owned),
        output_data: options
            .output_vars
            .as_ref()
            .and_then(|vars| output_data(vars, &own_run)),
        log: log_of(&options, &entries, &new, history),
        state: state.map(|_| State::of_events(own)),
    })
}

/// What keeps the conversations of one caller apart from those of others.
fn whose_context(whose: &str) -> Message {
    let mut variables = Map::new();
    variables.insert(String::new(), whose.into());
    Message::context(variables)
}

/// The conversation that only `events` are of.
///
/// # Errors
///
/// Where a flow fails while it is run again.
fn run_of(flows: &Flows, events: &Events) -> Result<Run> {
    let mut run = Run::new(flows);
    run.extend(events.iter().cloned())?;
    Ok(run)
}

/// A check of the assistant's text needs such a text: without one, the user's would come back unchecked.
///
/// # Errors
///
/// Where there is none.
fn check_asks_for_something(
    messages: &[Message],
    options: Option<&GenerationOptions>,
) -> Result<()> {
    let Some(rails) = options.map(|options| &options.rails) else {
        return Ok(());
    };
    let only_output = rails.output.is_on() && !rails.input.is_on() && !rails.dialog;
    let last_speaks = messages
        .iter()
        .rev()
        .find(|message| matches!(message.role, Role::User | Role::Assistant));
    match last_speaks {
        Some(message) if only_output && message.role == Role::User => Err(Error::invalid_input(
            "only output rails are asked for, and there is no assistant message for them",
        )),
        _ => Ok(()),
    }
}

/// The options as a message of context before the others, and the others; an assistant's message to check becomes
/// `$bot_message`.
fn with_options<'a>(
    messages: &'a [Message],
    options: Option<&GenerationOptions>,
) -> (Option<Message>, &'a [Message]) {
    let Some(options) = options else {
        return (None, messages);
    };
    let mut context = Map::new();
    context.insert(
        "generation_options".to_owned(),
        serde_json::to_value(options).unwrap_or_default(),
    );
    let messages = match messages {
        [others @ .., last]
            if last.role == Role::Assistant
                && last.tool_calls.is_empty()
                && !options.rails.dialog =>
        {
            context.insert("bot_message".to_owned(), content_value(&last.content));
            others
        }
        _ => messages,
    };
    (Some(Message::context(context)), messages)
}

/// What was said, or what a rail reports instead.
fn answer_of(new: &[Event]) -> Message {
    if let Some(exception) = new
        .iter()
        .rev()
        .find(|event| event.kind().ends_with("Exception"))
    {
        return Message::new(Role::Exception, Content::Data(exception.fields().clone()));
    }
    let scripts: Vec<&Event> = new
        .iter()
        .filter(|event| event.kind() == "StartUtteranceBotAction")
        .collect();
    if let [only] = scripts.as_slice()
        && let Some(Value::Array(parts)) = only.get("script")
    {
        return Message::assistant(Content::Parts(parts.clone()));
    }
    let mut said: Vec<Cow<'_, str>> = Vec::new();
    for event in scripts {
        match event.text("script") {
            Some("(remove last message)") => {
                said.pop();
            }
            Some(text) => said.push(text.into()),
            None => said.push(
                crate::value::Value::from_json(event.get("script").unwrap_or(&Value::Null))
                    .to_string()
                    .into(),
            ),
        }
    }
    Message::assistant(said.join("\n"))
}

/// The tool calls that the rails let pass, else those that the model made where no rail had a say.
fn tool_calls(new: &[Event]) -> Option<&Value> {
    let passed = new
        .iter()
        .find(|event| event.kind() == "StartToolCallBotAction");
    passed
        .or_else(|| kept(new, "BotToolCalls"))?
        .get("tool_calls")
        .filter(|calls| !calls.is_null())
}

/// The last event of type `kind`, unless a rail stopped the turn after it: what is refused is not given away.
fn kept<'a>(new: &'a [Event], kind: &str) -> Option<&'a Event> {
    let at = new.iter().rposition(|event| event.kind() == kind)?;
    let refused = new.iter().skip(at).any(Event::is_stop);
    new.get(at).filter(|_| !refused)
}

fn output_data(vars: &OutputVars, run: &Run) -> Option<Map<String, Value>> {
    let data: Map<String, Value> = match vars {
        OutputVars::All(false) => return None,
        OutputVars::All(true) => run.all_variables(),
        OutputVars::Only(names) if names.is_empty() => return None,
        OutputVars::Only(names) => {
            let data = names
                .iter()
                .map(|name| (name.clone(), run.variable(name).unwrap_or_default()));
            data.collect()
        }
    };
    let shown = data.into_iter();
    let shown = shown.map(|(name, value)| (name, library::shown_verdict(value)));
    Some(shown.collect())
}

/// Runs the flows on a history of events, and gives the new ones.
///
/// # Errors
///
/// Where the last event makes no sense, a model fails, or a flow cannot go on.
pub(crate) async fn generate_events(
    flows: &Flows,
    engine: &Arc<Engine>,
    history: &[Value],
) -> Result<Vec<Value>> {
    let turn = Turn::new(Arc::clone(engine), None, None, Attachments::default());
    let mut run = flows.recent.run_before_the_last(flows, history);
    let new = history.iter().skip(run.events().len());
    let events = new
        .cloned()
        .map(Event::from_value)
        .collect::<Result<Vec<_>>>()?;
    let new = turn
        .run(&mut run, events, &ProcessingLog::default())
        .await?;
    flows.recent.remember(Arc::new(run));
    Ok(new.iter().map(Event::to_value).collect())
}
