//! A library rail that runs without Colang: its flow's declaration is all that there is to follow.

use std::{
    borrow::Cow,
    sync::Arc,
    time::{Instant, SystemTime},
};

use futures_core::future::BoxFuture;
use indexmap::IndexMap;
use serde_json::Value;

use super::{
    Ask, AskContext, Asked, Call, Check, Flow, Reach, Refusal, Rewriter, Subject,
    call::{Question, Scene},
};
use crate::{
    config::FlowReference,
    error::{Error, ModelError, ModelErrorKind},
    llm::{Model, ModelReply, ModelRequest, Models, prompt::Prompts},
    message::Message,
    verdict::Outcome,
};

/// One line of `rails.*.flows`, ready to judge texts.
#[derive(Debug)]
pub(crate) struct CompiledFlow {
    flow: &'static Flow,
    line: FlowReference,
    check: Arc<dyn Check>,
    shared: Arc<Shared>,
}

/// What the compiled flows of a configuration share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The models that may be asked.
    pub(crate) models: Models,
    /// What the bot says, by intent.
    pub(crate) messages: IndexMap<String, Vec<String>>,
    /// For messages that are templates.
    pub(crate) prompts: Arc<Prompts>,
}

impl CompiledFlow {
    pub(crate) fn new(
        flow: &'static Flow,
        line: FlowReference,
        check: Arc<dyn Check>,
        shared: Arc<Shared>,
    ) -> Self {
        let compiled = Self {
            flow,
            line,
            check,
            shared,
        };
        compiled.warn_of_models();
        compiled
    }

    /// Warns of what makes the rail fail, or see less than it should, each time.
    fn warn_of_models(&self) {
        let kinds = self.check.asks(self.flow, &self.line);
        let Some(last) = kinds.last() else { return };
        let models = &self.shared.models;
        let asked = kinds.iter().find(|kind| models.get(kind).is_some());
        let asked = asked.copied().unwrap_or("main");
        let rail = self.line.text.as_str();
        if let Some(variable) = models.missing_key(asked) {
            tracing::warn!(
                rail,
                model = asked,
                "the key of the model that the rail asks is not set: the environment variable {variable}"
            );
        }
        let is_named_so = |name: &str| name.to_ascii_lowercase().contains("vision");
        let model = models.get(asked);
        let has_eyes = is_named_so(last) || model.is_some_and(|model| is_named_so(model.name()));
        if has_eyes && !self.check.sees_media(self.flow, &self.line) {
            tracing::warn!(
                rail,
                model = asked,
                "the rail asks a model that sees pictures by a prompt that shows it none: give the prompt `messages` instead of `content`"
            );
        }
    }
}

impl CompiledFlow {
    /// What is said on a block, where the bot has words for `intent`.
    fn message(
        &self,
        intent: &str,
        subject: Subject<'_>,
        finding: Option<Value>,
    ) -> Option<String> {
        let texts = self
            .shared
            .messages
            .get(intent)
            .and_then(|texts| texts.first());
        let text = texts
            .map(String::as_str)
            .or_else(|| super::message(intent))?;
        let text = text.replace("$bot_message", subject.text);
        if !text.contains("{{") && !text.contains("{%") {
            return Some(text);
        }
        let variables = |name: &str| match name {
            name if name == self.flow.result => finding.clone(),
            "bot_message" | "user_message" => subject
                .variable(self.flow.place, name)
                .map(serde_json::Value::from),
            _ => None,
        };
        match self.shared.prompts.templates().render(&text, &variables) {
            Ok(text) => Some(text),
            Err(error) => {
                tracing::warn!(intent, %error, "the message cannot be rendered");
                None
            }
        }
    }
}

impl Ask for CompiledFlow {
    fn ask<'a>(
        &'a self,
        subject: Subject<'a>,
        context: &'a AskContext,
    ) -> BoxFuture<'a, Result<Outcome, Error>> {
        Box::pin(async move {
            let alone = Alone {
                models: &self.shared.models,
                context,
            };
            let call = Call::bound(self.flow, &self.line, subject, &alone);
            let mut finding = self.check.run(call).await?;
            if let Some(witness) = &context.witness {
                witness.found(&finding);
            }
            let own_message = finding.message.take();
            let intent = match self.flow.refusal {
                Refusal::Message(intent) => intent,
                Refusal::Choose(choose) => choose(&finding),
                Refusal::None => super::REFUSE_TO_RESPOND,
            };
            let shown = finding.is_block().then(|| finding.to_value());
            let mut outcome = finding.into_outcome(self.flow.place);
            if let Outcome::Block(block) = &mut outcome {
                block.message = own_message.or_else(|| self.message(intent, subject, shown));
            }
            Ok(outcome)
        })
    }

    fn is_steady(&self) -> bool {
        self.check.is_steady(self.flow)
    }

    fn sees_media(&self) -> bool {
        self.check.sees_media(self.flow, &self.line)
    }

    fn reach(&self) -> Reach {
        self.check.reach(self.flow)
    }

    fn rewrites(&self) -> bool {
        self.check.rewrites(self.flow)
    }

    fn rewriter(&self) -> Option<Arc<dyn Rewriter>> {
        self.check.rewriter(self.flow)
    }

    fn fingerprint(&self) -> String {
        format!(
            "{}\0{}\0{:?}",
            self.line.text,
            self.check.fingerprint(),
            self.shared.models
        )
    }
}

/// The model of a service that does not say which it asks.
const UNKNOWN: &str = "unknown";

/// A rail without a turn around it.
struct Alone<'a> {
    models: &'a Models,
    context: &'a AskContext,
}

impl Scene for Alone<'_> {
    fn variable(&self, _: &str) -> Option<Cow<'_, Value>> {
        None
    }

    fn parameter(&self, _: &str, _: &str) -> Option<String> {
        None
    }

    fn history(&self) -> Vec<Message> {
        Vec::new()
    }

    fn note_model_call(&self, task: &str, started_at: SystemTime) {
        let _ = task;
        if let Some(witness) = &self.context.witness {
            witness.asked(Asked {
                model: UNKNOWN.to_owned(),
                provider: UNKNOWN.to_owned(),
                messages: Vec::new(),
                reply: ModelReply::default(),
                started: started_at,
                duration: started_at.elapsed().unwrap_or_default(),
            });
        }
    }

    fn has_model(&self, kind: &str) -> bool {
        self.models.get(kind).is_some()
    }

    fn ask<'a>(&'a self, question: Question<'a>) -> BoxFuture<'a, Result<ModelReply, Error>> {
        Box::pin(async move {
            let model = self.model(question.kinds)?;
            let watched = self.context.witness.as_ref();
            let messages = watched.map(|_| question.messages.clone());
            let (started, clock) = (SystemTime::now(), Instant::now());
            let mut request = ModelRequest::new(question.messages);
            request.parameters = question.parameters;
            let reply = crate::llm::ask(&*model, request).await;
            if let Some((witness, messages)) = watched.zip(messages) {
                witness.asked(Asked {
                    model: model.name().to_owned(),
                    provider: model.provider().to_owned(),
                    messages,
                    reply: reply.as_ref().ok().cloned().unwrap_or_default(),
                    started,
                    duration: clock.elapsed(),
                });
            }
            Ok(reply?)
        })
    }
}

impl Alone<'_> {
    fn model(&self, kinds: &[&str]) -> Result<Arc<dyn Model>, ModelError> {
        kinds
            .iter()
            .find_map(|kind| self.models.get(kind))
            .or_else(|| self.context.main.clone())
            .or_else(|| self.models.main())
            .ok_or_else(|| {
                ModelError::new(
                    ModelErrorKind::Configuration,
                    kinds.first().copied().unwrap_or("main"),
                    "the configuration has no model to ask, and none was registered",
                )
            })
    }
}
