//! What an action is: a name's code, what it is called with, what it gives back.

use std::{any::Any, collections::HashMap, fmt, sync::Arc};

use futures_core::future::BoxFuture;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    config::RailsConfig,
    error::{BoxError, ModelError},
    llm::{Model, Models, prompt::Prompts},
    verdict::Outcome,
};

/// Code that a Colang flow runs by name: `execute lookup_order(order_id="A1")`.
///
/// Async functions are actions, see [`IntoAction`](super::IntoAction); implement the trait where an action has a state of its own.
pub trait Action: Send + Sync {
    /// Runs the action. Dropping the future cancels it.
    ///
    /// # Errors
    ///
    /// Whatever went wrong: the turn then ends with a fixed sentence, and the error is logged. Only a [`ModelError`] (or an error
    /// that has one among its causes) fails the whole call.
    fn run(
        &self,
        arguments: Map<String, Value>,
        context: ActionContext,
    ) -> BoxFuture<'_, Result<ActionResult, BoxError>>;

    /// Whether the action is part of the machinery: it always runs here, even where the config names an actions server, and
    /// does not show in the history that a model reads.
    fn is_system(&self) -> bool {
        false
    }
}

/// What an action may look at while it runs.
#[derive(Clone)]
#[non_exhaustive]
pub struct ActionContext {
    /// The context variables: `user_message`, `bot_message` and those that flows set.
    pub variables: Arc<Map<String, Value>>,
    /// The events of the conversation so far.
    pub events: EventLog,
    /// The configuration.
    pub config: Arc<RailsConfig>,
    /// The model for this action: the one whose type is the action's name, else the main one.
    pub llm: Option<Arc<dyn Model>>,
    /// What was registered under a name by `action_param`.
    pub params: Arc<Params>,
    /// What of the engine the Python of a directory may ask for.
    pub(crate) services: Option<Arc<Services>>,
}

/// What of an engine actions may ask for beside their model.
pub(crate) struct Services {
    /// The models.
    pub(crate) models: Models,
    /// The main model of this call, where it is not that of the configuration.
    pub(crate) main: Option<Arc<dyn Model>>,
    /// The prompts of tasks.
    pub(crate) prompts: Arc<Prompts>,
    /// The search in the knowledge base, where there is one.
    pub(crate) search: Option<Search>,
}

/// Finds at most so many chunks that fit a text.
pub(crate) type Search =
    Arc<dyn Fn(String, usize) -> BoxFuture<'static, Result<Vec<Value>, BoxError>> + Send + Sync>;

impl ActionContext {
    /// The context variable `name` as a text, where it is one.
    ///
    /// ```
    /// # fn f(context: &tower_guardrails::actions::ActionContext) {
    /// let text = context.text("user_message").unwrap_or_default();
    /// # }
    /// ```
    pub fn text(&self, name: &str) -> Option<&str> {
        self.variables.get(name).and_then(Value::as_str)
    }

    /// The model of the type `kind`.
    pub(crate) fn model(&self, kind: &str) -> Option<Arc<dyn Model>> {
        let services = self.services.as_ref()?;
        let main = services.main.clone().filter(|_| kind == "main");
        main.or_else(|| services.models.get(kind))
    }

    /// All models by their types.
    pub(crate) fn models(&self) -> Vec<(String, Arc<dyn Model>)> {
        let Some(services) = &self.services else {
            return Vec::new();
        };
        let mut kinds = services.models.kinds();
        if services.main.is_some() && !kinds.contains(&"main") {
            kinds.push("main");
        }
        let models = kinds.into_iter();
        models
            .filter_map(|kind| Some((kind.to_owned(), self.model(kind)?)))
            .collect()
    }

    /// What was registered as `name`, where it is a `T`.
    pub fn param<T: Any + Send + Sync>(&self, name: &str) -> Option<Arc<T>> {
        self.params.get(name)
    }
}

impl fmt::Debug for ActionContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the conversation nor what was registered: both may hold what no log should.
        f.debug_struct("ActionContext")
            .field("variables", &self.variables.len())
            .field("llm", &self.llm)
            .finish_non_exhaustive()
    }
}

/// The events of a conversation, read when they are asked for. A clone is cheap.
#[derive(Clone, Default)]
pub struct EventLog(Option<Arc<dyn Fn() -> Vec<Value> + Send + Sync>>);

impl EventLog {
    /// The events that `read` gives, oldest first.
    pub fn new(read: impl Fn() -> Vec<Value> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(read)))
    }

    /// All events, oldest first, each an object with a `type`.
    pub fn to_vec(&self) -> Vec<Value> {
        self.0.as_ref().map(|read| read()).unwrap_or_default()
    }
}

impl fmt::Debug for EventLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventLog")
    }
}

/// Values that actions may ask for by name, of any type.
#[derive(Clone, Default)]
pub struct Params(HashMap<String, Arc<dyn Any + Send + Sync>>);

impl Params {
    /// Registers `value` as `name`.
    pub fn insert<T: Any + Send + Sync>(&mut self, name: impl Into<String>, value: T) {
        self.0.insert(name.into(), Arc::new(value));
    }

    /// What is registered as `name`, where it is a `T`.
    pub fn get<T: Any + Send + Sync>(&self, name: &str) -> Option<Arc<T>> {
        Arc::clone(self.0.get(name)?).downcast().ok()
    }
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What an action gives back.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ActionResult {
    /// The value, for `$x = execute …`.
    pub value: Value,
    /// Events that happen after it, each an object with a `type`.
    pub events: Vec<Value>,
    /// Context variables that it sets.
    pub context_updates: Map<String, Value>,
    /// The verdict, of an action that judges.
    pub verdict: Option<Outcome>,
}

impl ActionResult {
    /// A result that is only a value.
    pub fn value(value: impl Into<Value>) -> Self {
        Self {
            value: value.into(),
            ..Self::default()
        }
    }

    /// A rail's verdict. Flows see it as an object with `is_blocked`, `is_transform`, `transform_text`, `reason`, `failed` and `metadata`.
    pub fn verdict(outcome: Outcome) -> Self {
        Self::verdict_with(outcome, "", Map::new())
    }

    /// A rail's verdict; a rewrite is of the variable `target`, and `metadata` says what the verdict rests on.
    pub fn verdict_with(outcome: Outcome, target: &str, metadata: Map<String, Value>) -> Self {
        let (decision, reason, rewrites, failed) = match &outcome {
            Outcome::Allow => ("allow", None, json!({}), false),
            Outcome::Transform(text) => ("transform", None, json!({ target: text }), false),
            Outcome::Block(block) => ("block", block.reason.clone(), json!({}), block.failed),
        };
        let value = json!({
            "decision": decision,
            "is_blocked": decision == "block",
            "is_transform": decision == "transform",
            "transform_text": rewrites,
            "reason": reason,
            "failed": failed,
            "metadata": metadata,
        });
        Self {
            value,
            verdict: Some(outcome),
            ..Self::default()
        }
    }

    /// A rail's verdict, which flows see as `value`.
    pub(crate) fn of_verdict(outcome: Outcome, value: Value) -> Self {
        Self {
            value,
            verdict: Some(outcome),
            ..Self::default()
        }
    }

    /// Adds an event that happens after the action.
    #[must_use]
    pub fn with_event(mut self, event: impl Into<Value>) -> Self {
        self.events.push(event.into());
        self
    }

    /// Sets the context variable `name`.
    #[must_use]
    pub fn with_context(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.context_updates.insert(name.into(), value.into());
        self
    }
}

/// What an async function may return and so be an action.
pub trait IntoActionResult {
    /// Turns the value into a result.
    ///
    /// # Errors
    ///
    /// Where the value cannot be written as JSON.
    fn into_action_result(self) -> Result<ActionResult, BoxError>;
}

impl<T: Serialize> IntoActionResult for T {
    fn into_action_result(self) -> Result<ActionResult, BoxError> {
        Ok(ActionResult::value(serde_json::to_value(self)?))
    }
}

impl IntoActionResult for ActionResult {
    fn into_action_result(self) -> Result<ActionResult, BoxError> {
        Ok(self)
    }
}

impl IntoActionResult for Outcome {
    fn into_action_result(self) -> Result<ActionResult, BoxError> {
        Ok(ActionResult::verdict(self))
    }
}

/// Whether `error` is a model's, or was caused by one: such an error fails the whole call.
pub(crate) fn model_error(error: BoxError) -> Result<ModelError, BoxError> {
    error.downcast::<ModelError>().map(|error| *error)
}
