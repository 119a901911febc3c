//! Dispatch of actions: who runs an action, with which arguments, and whose failure ends the turn.

use std::{borrow::Cow, sync::Arc};

use serde_json::{Map, Value};
use tracing::Instrument as _;

use super::{
    super::{event::Event, log::ProcessingLog},
    Conversation, Turn,
    rail_call::{self, RailCall},
};
use crate::{
    actions::{ActionContext, ActionResult, EventLog, Search, Services, model_error, normalized},
    error::{BoxError, Error, Result},
};

/// What is said where an action fails.
pub(crate) const INTERNAL_ERROR: &str = "I'm sorry, an internal error has occurred.";

/// What became of an action: a failure here is the action's own, and does not end the turn.
pub(super) type Settled = std::result::Result<ActionResult, BoxError>;

/// The call of an action.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Called<'a> {
    pub(super) action: &'a str,
    pub(super) arguments: &'a Map<String, Value>,
    pub(super) log: &'a ProcessingLog,
}

impl Turn {
    /// Runs an action; none where there is no such action.
    ///
    /// # Errors
    ///
    /// Where a model fails.
    pub(super) async fn run_action(
        &self,
        conversation: &dyn Conversation,
        called: Called<'_>,
    ) -> Result<Option<Settled>> {
        let span = tracing::debug_span!("guardrails.action", action.name = called.action);
        self.dispatch(conversation, called).instrument(span).await
    }

    async fn dispatch(
        &self,
        conversation: &dyn Conversation,
        called: Called<'_>,
    ) -> Result<Option<Settled>> {
        let Called {
            action: name,
            arguments,
            log,
        } = called;
        // What the application registered comes first: it may replace a built-in action.
        if let Some(action) = self.engine.actions.get(name) {
            if !action.is_system()
                && let Some(result) = self.run_served(conversation, name, arguments).await
            {
                return Ok(Some(result));
            }
            let context = self.action_context(conversation, name);
            return settle(name, action.run(arguments.clone(), context).await).map(Some);
        }
        if let Some(settled) = conversation.built_in(self, called).await? {
            return Ok(Some(settled));
        }
        let call = RailCall {
            turn: self,
            variables: conversation.variables(),
            events: conversation.events(),
            arguments,
            log,
            action: name,
        };
        if let Some(result) = rail_call::run(call).await {
            return settle(name, result).map(Some);
        }
        Ok(self.run_served(conversation, name, arguments).await)
    }

    /// Runs an action on the actions server; none where there is none.
    async fn run_served(
        &self,
        conversation: &dyn Conversation,
        name: &str,
        arguments: &Map<String, Value>,
    ) -> Option<Settled> {
        let server = self.engine.actions_server.as_ref()?;
        let mut arguments = Cow::Borrowed(arguments);
        let config = &self.engine.config;
        // Of the server's actions only their names are known; the directory's own files show what they ask for.
        let defined = config.defined_in_python(name);
        let defined = defined.or_else(|| config.defined_in_python(&normalized(name)));
        for parameter in defined.iter().flat_map(|(_, action)| &action.parameters) {
            let value = match parameter.strip_prefix("__context__") {
                Some(variable) => conversation.variable(variable).unwrap_or_default(),
                None if parameter == "context" => conversation.all_variables().into(),
                None => continue,
            };
            if !arguments.contains_key(parameter) {
                arguments.to_mut().insert(parameter.clone(), value);
            }
        }
        Some(server.run(name, &arguments).await.map(ActionResult::value))
    }

    fn action_context(&self, conversation: &dyn Conversation, name: &str) -> ActionContext {
        let events = conversation.events().clone();
        let events = EventLog::new(move || events.iter().map(Event::to_value).collect());
        self.context_of(name, conversation.all_variables(), events)
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
pub(super) fn settle(name: &str, result: Settled) -> Result<Settled> {
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
pub(super) fn resolve(
    conversation: &dyn Conversation,
    arguments: Map<String, Value>,
) -> Map<String, Value> {
    let resolved = arguments.into_iter().map(|(name, value)| {
        let variable = value
            .as_str()
            .and_then(|text| conversation.variable(text.strip_prefix('$')?));
        (name, variable.unwrap_or(value))
    });
    resolved.collect()
}
