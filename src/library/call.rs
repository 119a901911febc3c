//! What a rail's action is called with, and what it finds.

use std::{borrow::Cow, fmt, time::SystemTime};

use futures_core::future::BoxFuture;
use serde_json::{Map, Value, json};

use super::{Bound, Flow, Subject};
use crate::{
    compute::{self, Stop},
    config::FlowReference,
    error::{BoxError, Error},
    llm::ModelReply,
    message::Message,
    verdict::{Block, Outcome, Place},
};

/// One call of a rail's action, from a compiled rail or from a Colang flow.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    action: &'a str,
    arguments: Arguments<'a>,
    scene: &'a dyn Scene,
}

/// What the action may look at, and whom it may ask, while it runs.
pub(crate) trait Scene: Send + Sync {
    /// A context variable: `user_message`, `bot_message`, `relevant_chunks` and those that flows set.
    fn variable(&self, name: &str) -> Option<Cow<'_, Value>>;

    /// A parameter of the line of `rails.*.flows` that runs, such as `model` of `$model=x`.
    fn parameter(&self, flow: &str, name: &str) -> Option<String>;

    /// What the user and the bot said before the turn that is checked.
    fn history(&self) -> Vec<Message>;

    /// The messages that the caller gave, those of tools among them; none where there is no turn.
    fn conversation(&self) -> &[Message] {
        &[]
    }

    /// Asks a model.
    fn ask<'a>(&'a self, question: Question<'a>) -> BoxFuture<'a, Result<ModelReply, Error>>;

    /// Logs that a classifier was asked for `task` at `started_at`, where a log wants to know.
    fn note_model_call(&self, task: &str, started_at: SystemTime) {
        let _ = (task, started_at);
    }

    /// Whether there is a model of the type `kind`.
    fn has_model(&self, kind: &str) -> bool;
}

/// A question to a chat model.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    /// The task, under which logs show it.
    pub(crate) task: &'a str,
    /// The types of models that may answer, the best first; after them all the main one.
    pub(crate) kinds: &'a [&'a str],
    /// The messages.
    pub(crate) messages: Vec<Message>,
    /// The parameters of the request.
    pub(crate) parameters: Map<String, Value>,
}

/// Where the arguments of a call come from.
#[derive(Clone, Copy)]
enum Arguments<'a> {
    /// As `execute action(a=1)` gives them.
    Given(&'a Map<String, Value>),
    /// As the declaration of the flow binds them.
    Bound {
        flow: &'static Flow,
        line: &'a FlowReference,
        subject: Subject<'a>,
    },
}

impl<'a> Call<'a> {
    /// A call of `action` as a Colang flow makes it.
    pub(crate) fn given(
        action: &'a str,
        arguments: &'a Map<String, Value>,
        scene: &'a dyn Scene,
    ) -> Self {
        Self {
            action,
            arguments: Arguments::Given(arguments),
            scene,
        }
    }

    /// The call that `flow` makes for `subject` where `line` of `rails.*.flows` names it.
    pub(crate) fn bound(
        flow: &'static Flow,
        line: &'a FlowReference,
        subject: Subject<'a>,
        scene: &'a dyn Scene,
    ) -> Self {
        Self {
            action: flow.action,
            arguments: Arguments::Bound {
                flow,
                line,
                subject,
            },
            scene,
        }
    }

    /// The action's name.
    pub fn action(&self) -> &'a str {
        self.action
    }

    /// The argument `name`; none where it is not given, or is nothing.
    pub fn argument(&self, name: &str) -> Option<Cow<'a, Value>> {
        let value = match self.arguments {
            Arguments::Given(arguments) => Cow::Borrowed(arguments.get(name)?),
            Arguments::Bound { .. } => Cow::Owned(self.bound_text(name)?.into_owned().into()),
        };
        (!value.is_null()).then_some(value)
    }

    /// The argument `name` as a text; none where it is not given, or is no text.
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        match self.arguments {
            Arguments::Given(arguments) => arguments.get(name)?.as_str().map(Cow::Borrowed),
            Arguments::Bound { .. } => self.bound_text(name),
        }
    }

    /// The argument `name` as a text, which the action cannot do without.
    ///
    /// # Errors
    ///
    /// Where it is not given, or is no text.
    pub fn required(&self, name: &str) -> Result<Cow<'a, str>, Error> {
        self.text(name)
            .ok_or_else(|| self.failed(format!("`{}` needs the text `{name}`", self.action)))
    }

    fn bound_text(&self, name: &str) -> Option<Cow<'a, str>> {
        let Arguments::Bound {
            flow,
            line,
            subject,
        } = self.arguments
        else {
            return None;
        };
        let (_, bound) = flow
            .arguments
            .iter()
            .find(|(argument, _)| *argument == name)?;
        match bound {
            Bound::Literal(text) => Some(Cow::Borrowed(text)),
            Bound::Parameter(parameter) => line.parameter(parameter).map(Cow::Borrowed),
            Bound::Variable(variable) => match subject.variable(flow.place, variable) {
                Some(text) => Some(Cow::Borrowed(text)),
                None => match self.scene.variable(variable)? {
                    Cow::Owned(Value::String(text)) => Some(Cow::Owned(text)),
                    value => value.as_str().map(|text| Cow::Owned(text.to_owned())),
                },
            },
        }
    }

    /// The context variable `name`: `user_message`, `bot_message`, `relevant_chunks` and those that flows set; none where it is
    /// nothing.
    pub fn variable(&self, name: &str) -> Option<Cow<'a, Value>> {
        self.variable_or_null(name).filter(|value| !value.is_null())
    }

    /// As [`variable`](Self::variable), but null where the variable is set to nothing.
    pub(crate) fn variable_or_null(&self, name: &str) -> Option<Cow<'a, Value>> {
        if let Arguments::Bound { flow, subject, .. } = self.arguments
            && let Some(text) = subject.variable(flow.place, name)
        {
            return Some(Cow::Owned(text.into()));
        }
        self.scene.variable(name)
    }

    /// The context variable `name` as a text; none where it is not set, or is no text.
    pub fn variable_text(&self, name: &str) -> Option<Cow<'a, str>> {
        if let Arguments::Bound { flow, subject, .. } = self.arguments
            && let Some(text) = subject.variable(flow.place, name)
        {
            return Some(Cow::Borrowed(text));
        }
        match self.scene.variable(name)? {
            Cow::Borrowed(value) => value.as_str().map(Cow::Borrowed),
            Cow::Owned(Value::String(text)) => Some(Cow::Owned(text)),
            Cow::Owned(_) => None,
        }
    }

    /// The parameter `name` of the line of `rails.*.flows` that runs, where it names `flow`: `x` of `$model=x`.
    pub fn parameter(&self, flow: &str, name: &str) -> Option<String> {
        match self.arguments {
            Arguments::Bound { line, .. } => line.parameter(name).map(str::to_owned),
            Arguments::Given(_) => self.scene.parameter(flow, name),
        }
    }

    /// What the user and the bot said before the turn that is checked.
    pub fn history(&self) -> Vec<Message> {
        match self.arguments {
            Arguments::Bound { subject, .. } => subject.history.to_vec(),
            Arguments::Given(_) => self.scene.history(),
        }
    }

    /// What came with the text and is none: pictures, sound and files, as parts of a message.
    pub fn media(&self) -> &'a [Value] {
        match self.arguments {
            Arguments::Bound { subject, .. } => subject.media,
            // Of a turn the whole content is the variable.
            Arguments::Given(_) => &[],
        }
    }

    /// The messages that the caller gave, those of tools among them; none where there is no turn.
    pub(crate) fn conversation(&self) -> &'a [Message] {
        self.scene.conversation()
    }

    /// Whether there is a model of the type `kind`.
    pub(crate) fn has_model(&self, kind: &str) -> bool {
        self.scene.has_model(kind)
    }

    /// Logs that a classifier was asked for `task` at `started_at`, which counts as a call of a model.
    pub(crate) fn note_model_call(&self, task: &str, started_at: SystemTime) {
        self.scene.note_model_call(task, started_at);
    }

    /// Asks a model.
    pub(crate) async fn ask(&self, question: Question<'_>) -> Result<ModelReply, Error> {
        self.scene.ask(question).await
    }

    /// Runs `work` on `text`: of a long one where that delays nobody, until the call is dropped.
    ///
    /// # Errors
    ///
    /// Where it panics.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        text: &str,
        work: impl FnOnce(&str, &Stop) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let done = compute::on_text(text, work).await;
        done.map_err(|lost| self.failed(lost))
    }

    /// The error of this call for `source`.
    pub fn failed(&self, source: impl Into<BoxError>) -> Error {
        Error::Rail {
            rail: match self.arguments {
                Arguments::Bound { line, .. } => line.text.clone(),
                Arguments::Given(_) => self.action.to_owned(),
            },
            source: source.into(),
        }
    }
}

impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither arguments nor variables: both may hold what no log should.
        f.debug_struct("Call")
            .field("action", &self.action)
            .finish_non_exhaustive()
    }
}

/// What a rail's action found: the verdict, and what it rests on.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Finding {
    /// The verdict itself.
    pub decision: Decision,
    /// Why, in the words that flows and errors show; none where the rail has none of its own.
    pub reason: Option<String>,
    /// What the verdict rests on, for flows: scores, categories.
    pub metadata: Map<String, Value>,
    /// What is said on a block, where the rail words it itself; else the message of the flow's intent.
    pub message: Option<String>,
    /// What flows see instead of a verdict, where the action gives none.
    pub value: Option<Value>,
}

/// A verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// The text passes as it is.
    Allow,
    /// Texts are rewritten: each context variable with its new text.
    Rewrite(Vec<(&'static str, String)>),
    /// The text does not pass.
    Block,
}

impl Finding {
    fn new(decision: Decision) -> Self {
        Self {
            decision,
            reason: None,
            metadata: Map::new(),
            message: None,
            value: None,
        }
    }

    /// No verdict but a value, of an action that flows use for something else.
    pub fn of_value(value: impl Into<Value>) -> Self {
        Self {
            value: Some(value.into()),
            ..Self::allow()
        }
    }

    /// The text passes.
    pub fn allow() -> Self {
        Self::new(Decision::Allow)
    }

    /// The text does not pass.
    pub fn block() -> Self {
        Self::new(Decision::Block)
    }

    /// The text does not pass where `blocks`, else it does.
    pub fn block_if(blocks: bool) -> Self {
        if blocks { Self::block() } else { Self::allow() }
    }

    /// The variable `target` becomes `text`.
    pub fn rewrite(target: &'static str, text: impl Into<String>) -> Self {
        Self::new(Decision::Rewrite(vec![(target, text.into())]))
    }

    /// Several variables become these texts.
    pub fn rewrite_all(rewrites: Vec<(&'static str, String)>) -> Self {
        if rewrites.is_empty() {
            return Self::allow();
        }
        Self::new(Decision::Rewrite(rewrites))
    }

    /// Sets the reason.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Adds to what the verdict rests on.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.metadata.insert(key.to_owned(), value.into());
        self
    }

    /// Sets what is said on a block.
    #[must_use]
    pub fn saying(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// Whether the text does not pass.
    pub fn is_block(&self) -> bool {
        self.decision == Decision::Block
    }

    /// The object that flows see: `is_blocked`, `is_transform`, `transform_text`, `reason`, `failed`, `metadata`; or the value
    /// that stands for it.
    pub(crate) fn to_value(&self) -> Value {
        if let Some(value) = &self.value {
            return value.clone();
        }
        let (decision, rewrites) = match &self.decision {
            Decision::Allow => ("allow", Map::new()),
            Decision::Block => ("block", Map::new()),
            Decision::Rewrite(rewrites) => {
                let rewrites = rewrites.iter();
                let rewrites =
                    rewrites.map(|(name, text)| ((*name).to_owned(), text.clone().into()));
                ("transform", rewrites.collect())
            }
        };
        json!({
            "decision": decision,
            "is_blocked": decision == "block",
            "is_transform": decision == "transform",
            "transform_text": rewrites,
            "reason": self.reason,
            "failed": false,
            "metadata": self.metadata,
        })
    }

    /// What it means for the text at `place`; a block has no message yet.
    pub(crate) fn into_outcome(self, place: Place) -> Outcome {
        match self.decision {
            Decision::Allow => Outcome::Allow,
            Decision::Block => Outcome::Block(Block {
                reason: self.reason,
                ..Block::default()
            }),
            Decision::Rewrite(rewrites) => {
                let target = text_variable(place);
                let own = rewrites.into_iter().find(|(name, _)| *name == target);
                own.map_or(Outcome::Allow, |(_, text)| Outcome::Transform(text))
            }
        }
    }
}

/// A verdict as callers are shown it: an object as [`Finding::to_value`] makes it, without what follows from the rest. Any other
/// value stays as it is.
pub(crate) fn shown_verdict(value: Value) -> Value {
    let is_verdict = ["decision", "is_blocked", "is_transform", "transform_text"]
        .iter()
        .all(|key| value.get(key).is_some());
    if !is_verdict {
        return value;
    }
    let texts = value.get("transform_text").and_then(Value::as_object);
    let transforms = texts.into_iter().flatten();
    let transforms: Vec<Value> = transforms
        .map(|(target, text)| json!({"target": target, "text": text}))
        .collect();
    json!({
        "decision": value.get("decision"),
        "reason": value.get("reason"),
        "metadata": value.get("metadata"),
        "transforms": transforms,
        "failed": value.get("failed"),
    })
}

/// The variable that holds the text which rails at `place` check.
pub(crate) fn text_variable(place: Place) -> &'static str {
    match place {
        Place::Output => "bot_message",
        Place::Retrieval => "relevant_chunks",
        Place::Input => "user_message",
        Place::ToolInput => "tool_message",
        Place::ToolOutput => "tool_calls",
    }
}

/// The variable that a rail for `source` (`input`, `output`, `retrieval`) rewrites.
pub(crate) fn target_of(source: &str) -> Option<&'static str> {
    Some(match source {
        "input" => "user_message",
        "output" => "bot_message",
        "retrieval" => "relevant_chunks",
        _ => return None,
    })
}
