//! An action that a file of the directory defines.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde_json::{Map, Value, json};

use super::{Python, call, host::Host, protocol::ActionFacts};
use crate::{
    actions::{Action, ActionContext, ActionResult},
    error::BoxError,
    verdict::{Block, Outcome},
};

/// An action of the directory's Python.
pub(super) struct PythonAction {
    pub(super) python: Arc<Python>,
    pub(super) facts: ActionFacts,
}

impl PythonAction {
    fn takes(&self, parameter: &str) -> bool {
        self.facts.parameters.iter().any(|name| name == parameter)
    }

    /// What the worker is sent: of the context, the events and the models only what the action asks for.
    fn request(
        &self,
        arguments: Map<String, Value>,
        context: &ActionContext,
    ) -> Map<String, Value> {
        let mut request = Map::new();
        request.insert("do".to_owned(), "action".into());
        request.insert("name".to_owned(), self.facts.name.clone().into());
        request.insert("arguments".to_owned(), arguments.into());
        let parameters = self.facts.parameters.iter();
        if self.takes("context") {
            request.insert("context".to_owned(), (*context.variables).clone().into());
        } else {
            let named = parameters
                .clone()
                .filter_map(|name| name.strip_prefix("__context__"));
            let named: Map<String, Value> = named
                .filter_map(|name| Some((name.to_owned(), context.variables.get(name)?.clone())))
                .collect();
            if !named.is_empty() {
                request.insert("context".to_owned(), named.into());
            }
        }
        if self.takes("events") {
            request.insert("events".to_owned(), context.events.to_vec().into());
        }
        if self.takes("kb") {
            let has_search = context
                .services
                .as_ref()
                .is_some_and(|services| services.search.is_some());
            request.insert("kb".to_owned(), has_search.into());
        }
        let own = parameters.clone().any(|name| name.ends_with("_llm"));
        if self.takes("llm") || self.takes("llms") || own {
            let facts = |model: &dyn crate::llm::Model| json!({"name": model.name(), "provider": model.provider()});
            let mut models = Map::new();
            for (kind, model) in context.models() {
                models.insert(kind, facts(&*model));
            }
            if let Some(model) = &context.llm {
                models.insert(String::new(), facts(&**model));
            }
            request.insert("models".to_owned(), models.into());
        }
        request
    }
}

impl Action for PythonAction {
    fn run(
        &self,
        arguments: Map<String, Value>,
        context: ActionContext,
    ) -> BoxFuture<'_, Result<ActionResult, BoxError>> {
        Box::pin(async move {
            let request = self.request(arguments, &context);
            let host = Host::new(&context);
            let limit = self.python.limit;
            let line = call::run(&self.python.pool, request, &host, limit).await?;
            let value = line.ok.unwrap_or_default();
            let verdict = line.outcome.then(|| outcome_of(&value));
            Ok(ActionResult {
                value,
                events: line.events,
                context_updates: line.updates,
                verdict,
            })
        })
    }

    fn is_system(&self) -> bool {
        self.facts.is_system
    }
}

/// The verdict that a `RailOutcome` is.
fn outcome_of(value: &Value) -> Outcome {
    let rewrites = value.get("transform_text").and_then(Value::as_object);
    let rewrite = rewrites.and_then(|rewrites| rewrites.values().next()?.as_str());
    match (value.get("decision").and_then(Value::as_str), rewrite) {
        (Some("allow"), _) => Outcome::Allow,
        (Some("transform"), Some(text)) => Outcome::Transform(text.to_owned()),
        _ => Outcome::Block(Block {
            reason: value
                .get("reason")
                .and_then(Value::as_str)
                .map(str::to_owned),
            message: None,
            failed: value.get("failed") == Some(&Value::Bool(true)),
        }),
    }
}
