//! Running the action that a flow asks for, and what comes of it.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{
    super::{event::Event, log::ProcessingLog},
    Run, Turn, generation,
    parallel::Beside,
    rail_call::{self, RailCall},
};
use crate::{
    actions::{ActionContext, ActionResult, EventLog, Search, Services, model_error},
    error::{BoxError, Error, Result},
};

/// What is said where an action fails.
pub(crate) const INTERNAL_ERROR: &str = "I'm sorry, an internal error has occurred.";

impl Turn {
    /// Runs the action of `start`, and gives the events that follow it.
    ///
    /// # Errors
    ///
    /// Where a model fails. Any other failure is said to the user, and the turn ends.
    pub(super) async fn start_action(
        &self,
        run: &Run,
        start: &Event,
        log: &ProcessingLog,
    ) -> Result<Vec<Event>> {
        let name = start.text("action_name").unwrap_or_default();
        let key = start.text("action_result_key");
        let params = start.object("action_params").cloned().unwrap_or_default();
        let (result, status) = match self
            .run_action(run, name, resolve(run, params), log)
            .await?
        {
            Some(Ok(result)) => (result, "success"),
            Some(Err(error)) => {
                tracing::warn!(action = name, %error, "an action failed");
                (internal_error(INTERNAL_ERROR), "failed")
            }
            None => (
                internal_error(&format!("Action '{name}' not found.")),
                "failed",
            ),
        };
        let ActionResult {
            value,
            events,
            mut context_updates,
            ..
        } = result;
        let value = if status == "failed" {
            Value::Null
        } else {
            value
        };
        if let Some(key) = key {
            context_updates.insert(key.to_owned(), value.clone());
        }
        let mut next = Vec::with_capacity(2 + events.len());
        if !context_updates.is_empty() {
            next.push(Event::context_update(context_updates));
        }
        let finished = Event::new("InternalSystemActionFinished")
            .with("action_name", name)
            .with(
                "action_params",
                start.get("action_params").cloned().unwrap_or_default(),
            )
            .with("action_result_key", key)
            .with("status", status)
            .with("is_success", status != "failed")
            .with("return_value", value)
            .with("is_system_action", self.engine.is_system(name));
        next.push(finished);
        for event in events {
            next.push(Event::from_value(event)?);
        }
        Ok(next)
    }

    /// Runs the action `name`; none where there is no such action.
    ///
    /// # Errors
    ///
    /// Where a model fails.
    async fn run_action(
        &self,
        run: &Run,
        name: &str,
        arguments: Map<String, Value>,
        log: &ProcessingLog,
    ) -> Result<Option<Result<ActionResult, BoxError>>> {
        // What the application registered comes first: it may replace a built-in action.
        if let Some(action) = self.engine.actions.get(name) {
            if !action.is_system()
                && let Some(server) = &self.engine.actions_server
            {
                return Ok(Some(
                    server.run(name, &arguments).await.map(ActionResult::value),
                ));
            }
            let context = self.action_context(run, name);
            return settle(name, action.run(arguments, context).await).map(Some);
        }
        let beside = match name {
            "create_event" => return Ok(Some(create_event(run, &arguments))),
            "run_input_rails_in_parallel" => Some(Beside::Input),
            "run_output_rails_in_parallel" => Some(Beside::Output),
            _ => None,
        };
        if let Some(beside) = beside {
            return self
                .run_beside(run, beside, &arguments, log)
                .await
                .map(|result| Some(Ok(result)));
        }
        if let Some(result) = generation::run(self, run, name, &arguments, log).await {
            return settle(name, result).map(Some);
        }
        let call = RailCall {
            turn: self,
            variables: run.variables(),
            events: run.events(),
            arguments: &arguments,
            log,
            action: name,
        };
        if let Some(result) = rail_call::run(call).await {
            return settle(name, result).map(Some);
        }
        match &self.engine.actions_server {
            Some(server) => Ok(Some(
                server.run(name, &arguments).await.map(ActionResult::value),
            )),
            None => Ok(None),
        }
    }

    pub(super) fn action_context(&self, run: &Run, name: &str) -> ActionContext {
        let events = run.events().clone();
        let events = EventLog::new(move || events.iter().map(Event::to_value).collect());
        self.context_of(name, run.all_variables(), events)
    }

    /// What the action `name` may look at.
    pub(super) fn context_of(
        &self,
        name: &str,
        variables: Map<String, Value>,
        events: EventLog,
    ) -> ActionContext {
        let engine = &self.engine;
        // Only the Python of a directory asks for more.
        let services = engine.python.as_ref().map(|_| {
            let search = engine.has_knowledge_base().then(|| {
                let engine = Arc::clone(engine);
                let search: Search = Arc::new(move |text, count| {
                    let engine = Arc::clone(&engine);
                    Box::pin(async move { engine.search_documents(&text, count).await })
                });
                search
            });
            Arc::new(Services {
                models: engine.models.clone(),
                main: self.main.clone(),
                prompts: Arc::clone(&engine.prompts),
                search,
            })
        });
        ActionContext {
            variables: Arc::new(variables),
            events,
            config: Arc::clone(&engine.config),
            llm: self.model(name),
            params: Arc::clone(&engine.params),
            services,
        }
    }
}

/// A model's failure fails the call, any other one only the action.
fn settle(
    name: &str,
    result: Result<ActionResult, BoxError>,
) -> Result<Result<ActionResult, BoxError>> {
    match result {
        Ok(result) => Ok(Ok(result)),
        Err(error) => match model_error(error) {
            Ok(error) => Err(Error::Model(error)),
            Err(error) => match error.downcast::<Error>() {
                Ok(error) if matches!(*error, Error::Model(_)) => Err(*error),
                Ok(error) => Ok(Err(error)),
                Err(error) => {
                    tracing::debug!(action = name, "an action raised an error");
                    Ok(Err(error))
                }
            },
        },
    }
}

/// Arguments that name a variable become its value.
fn resolve(run: &Run, arguments: Map<String, Value>) -> Map<String, Value> {
    let resolved = arguments.into_iter().map(|(name, value)| {
        let variable = value
            .as_str()
            .and_then(|text| run.variable(text.strip_prefix('$')?));
        (name, variable.unwrap_or(value))
    });
    resolved.collect()
}

/// `create event X(a=$b)`.
fn create_event(run: &Run, arguments: &Map<String, Value>) -> Result<ActionResult, BoxError> {
    let fields = arguments
        .get("event")
        .and_then(Value::as_object)
        .ok_or("`create event` needs an event")?;
    let kind = fields
        .get("_type")
        .and_then(Value::as_str)
        .ok_or("an event needs a type")?;
    let mut event = Event::new(kind);
    for (name, value) in fields.iter().filter(|(name, _)| *name != "_type") {
        let value = match value.as_str().and_then(|text| text.strip_prefix('$')) {
            Some(variable) => run.variable(variable).unwrap_or_default(),
            None => value.clone(),
        };
        event = event.with(name, value);
    }
    Ok(ActionResult {
        events: vec![event.to_value()],
        ..ActionResult::default()
    })
}

/// Says `message` and ends the turn, which is then forgotten.
fn internal_error(message: &str) -> ActionResult {
    ActionResult {
        events: vec![
            json!({"type": "BotIntent", "intent": "inform internal error occurred"}),
            json!({"type": "StartUtteranceBotAction", "script": message}),
            json!({"type": "hide_prev_turn"}),
            json!({"type": "BotIntent", "intent": "stop"}),
        ],
        ..ActionResult::default()
    }
}
