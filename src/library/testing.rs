//! Rails on trial: one compiled from a declaration and a configuration, against a scripted service.

use std::sync::Arc;

use super::{
    Ask, AskContext, BuildContext, Check, CompiledFlow, Rail, Rewriter, Shared, Subject, Unusable,
    messages,
};
use crate::{
    config::{FlowReference, RailsConfig},
    error::Error,
    http::{
        Client,
        testing::{Answer, Received, Server},
    },
    llm::{
        Model, Models, OutputParsers,
        prompt::{PromptSettings, Prompts},
        template::Templates,
    },
    verdict::{Outcome, Place},
};

/// A rail, its configuration, and the service that it calls.
pub(super) struct Trial {
    rail: &'static Rail,
    check: Arc<dyn Check>,
    shared: Arc<Shared>,
    server: Server,
}

impl Trial {
    /// Builds `rail` from the YAML `config`, in which `URL` stands for the service that gives `answers`, under the variables `environment`.
    pub(super) async fn new(
        rail: &'static Rail,
        config: &str,
        environment: &[(&str, &str)],
        answers: Vec<Answer>,
    ) -> Self {
        Self::with_models(rail, config, environment, answers, Models::default()).await
    }

    #[allow(dead_code, reason = "for the rails to come")]
    /// As [`new`](Self::new), with `model` as the model of the type `kind`.
    pub(super) async fn with_model(
        rail: &'static Rail,
        config: &str,
        kind: &str,
        model: impl Model + 'static,
    ) -> Self {
        let mut models = Models::default();
        models.insert(kind, Arc::new(model));
        Self::with_models(rail, config, &[], Vec::new(), models).await
    }

    async fn with_models(
        rail: &'static Rail,
        config: &str,
        environment: &[(&str, &str)],
        answers: Vec<Answer>,
        models: Models,
    ) -> Self {
        let server = Server::start(answers).await;
        let yaml = format!("models: []\n{}\n", config.replace("URL", &server.url));
        let config = RailsConfig::from_content(&yaml, "").unwrap();
        let settings = PromptSettings {
            prompts: config.prompts.clone(),
            ..PromptSettings::default()
        };
        let prompts = Arc::new(Prompts::new(
            settings,
            Templates::new(),
            OutputParsers::default(),
        ));
        let variable = |name: &str| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.replace("URL", &server.url))
        };
        let context = BuildContext {
            config: &config,
            models: &models,
            prompts: &prompts,
            client: &Client::default(),
            environment: &variable,
        };
        let check = (rail.build)(&context).unwrap();
        let texts = messages().map(|(intent, text)| (intent.to_owned(), vec![text.to_owned()]));
        Self {
            rail,
            check,
            shared: Arc::new(Shared {
                models,
                messages: texts.collect(),
                prompts,
            }),
            server,
        }
    }

    /// What a configuration of `rail` is refused for, at load.
    pub(super) fn refused(rail: &'static Rail, config: &str) -> Vec<String> {
        let config = RailsConfig::from_content(&format!("models: []\n{config}\n"), "").unwrap();
        let context = BuildContext {
            config: &config,
            models: &Models::default(),
            prompts: &Arc::new(Prompts::new(
                PromptSettings::default(),
                Templates::new(),
                OutputParsers::default(),
            )),
            client: &Client::default(),
            environment: &|_| None,
        };
        let check = match (rail.build)(&context) {
            Ok(check) => check,
            Err(faults) => return faults.iter().map(ToString::to_string).collect(),
        };
        let lines = rail
            .flows
            .iter()
            .map(|flow| (flow, FlowReference::parse(flow.name)));
        let accepted = lines.map(|(flow, line)| check.accept(flow, &line));
        accepted
            .filter_map(Result::err)
            .flat_map(|unusable| match unusable {
                Unusable::Invalid(messages) | Unusable::Unready(messages) => messages,
            })
            .collect()
    }

    /// What rewrites as the flow `name` does, while a text grows.
    pub(super) fn rewriter(&self, name: &str) -> Option<Arc<dyn Rewriter>> {
        let flow = self.rail.flows.iter().find(|flow| flow.name == name)?;
        self.check.rewriter(flow)
    }

    /// What the line `line` of `rails.*.flows` makes of `text`.
    pub(super) async fn judge(&self, line: &str, text: &str) -> Result<Outcome, Error> {
        self.judge_answer(line, text, "What did I ask?").await
    }

    /// The same for an answer to `question`.
    pub(super) async fn judge_answer(
        &self,
        line: &str,
        text: &str,
        question: &str,
    ) -> Result<Outcome, Error> {
        let line = FlowReference::parse(line);
        let flow = self.rail.flows.iter().find(|flow| flow.name == line.name);
        let flow = flow.expect("the rail has this flow");
        self.check.accept(flow, &line).unwrap();
        let subject = if flow.place == Place::Input {
            Subject::input(text)
        } else {
            Subject::output(text, question)
        };
        let (check, shared) = (Arc::clone(&self.check), Arc::clone(&self.shared));
        let compiled = CompiledFlow::new(flow, line, check, shared);
        compiled.ask(subject, &AskContext::default()).await
    }

    /// What the service received.
    pub(super) fn received(&self) -> Vec<Received> {
        self.server.received()
    }
}
