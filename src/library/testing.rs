//! Rails on trial: one compiled from a declaration and a configuration, against a scripted service.

use std::{
    borrow::Cow,
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use futures_core::future::BoxFuture;
use serde_json::Value;

use super::{
    Ask, AskContext, BuildContext, Call, Check, CompiledFlow, Finding, Question, Rail, Rewriter,
    Scene, Shared, Subject, Unusable, messages,
};
use crate::{
    config::{FlowReference, RailsConfig},
    error::{Error, Fault, ModelError, ModelErrorKind},
    http::{
        Client,
        testing::{Answer, Received, Server},
    },
    llm::{
        Model, ModelReply, ModelRequest, Models, OutputParsers,
        prompt::{PromptSettings, Prompts},
        template::Templates,
    },
    message::Message,
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

    /// As [`new`](Self::new), with `models`.
    pub(super) async fn with_models(
        rail: &'static Rail,
        config: &str,
        environment: &[(&str, &str)],
        answers: Vec<Answer>,
        models: Models,
    ) -> Self {
        let server = Server::start(answers).await;
        let config = read(&config.replace("URL", &server.url));
        let prompts = prompts_of(&config);
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
            python: None,
        };
        let check = (rail.build)(&context).unwrap();
        let mut texts = indexmap::IndexMap::<String, Vec<String>>::new();
        for (intent, text) in messages() {
            texts
                .entry(intent.to_owned())
                .or_default()
                .push(text.to_owned());
        }
        Self {
            rail,
            check,
            shared: Arc::new(Shared {
                models,
                messages: texts,
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
            python: None,
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

    /// The rail as logs would show it.
    pub(super) fn shown(&self) -> String {
        format!("{:?}", self.check)
    }

    /// What `action` finds in a turn with these variables.
    pub(super) async fn run(
        &self,
        action: &str,
        arguments: Value,
        variables: Value,
    ) -> Result<Finding, Error> {
        let scene = Stage {
            variables,
            models: &self.shared.models,
        };
        let arguments = arguments.as_object().expect("arguments have names");
        self.check.run(Call::given(action, arguments, &scene)).await
    }

    /// Why the line `line` of `rails.*.flows` cannot run, where it cannot.
    pub(super) fn accept(&self, line: &str) -> Result<(), Unusable> {
        let line = FlowReference::parse(line);
        let flow = self.rail.flows.iter().find(|flow| flow.name == line.name);
        self.check
            .accept(flow.expect("the rail has this flow"), &line)
    }

    /// What the service received.
    pub(super) fn received(&self) -> Vec<Received> {
        self.server.received()
    }
}

/// What is wrong with the settings of `rail` in the YAML `config`.
pub(super) fn faults_of(rail: &'static Rail, config: &str) -> Vec<Fault> {
    // Wrong types are found when the configuration is read, the rest by the rail.
    let config = match RailsConfig::from_content(&yaml(config), "") {
        Ok(config) => config,
        Err(error) => return error.faults,
    };
    let context = BuildContext {
        config: &config,
        models: &Models::default(),
        prompts: &prompts_of(&config),
        client: &Client::default(),
        environment: &|_| None,
        python: None,
    };
    (rail.build)(&context).err().unwrap_or_default()
}

fn read(config: &str) -> RailsConfig {
    RailsConfig::from_content(&yaml(config), "").unwrap()
}

fn yaml(config: &str) -> String {
    format!("models: []\n{config}\n")
}

fn prompts_of(config: &RailsConfig) -> Arc<Prompts> {
    let settings = PromptSettings {
        prompts: config.prompts.clone(),
        ..PromptSettings::default()
    };
    Arc::new(Prompts::new(
        settings,
        Templates::new(),
        OutputParsers::default(),
    ))
}

/// A turn: its variables, and whom it may ask. Before it, "Hello" was answered by "Hi".
struct Stage<'a> {
    variables: Value,
    models: &'a Models,
}

impl Scene for Stage<'_> {
    fn variable(&self, name: &str) -> Option<Cow<'_, Value>> {
        self.variables.get(name).map(Cow::Borrowed)
    }

    fn parameter(&self, _: &str, _: &str) -> Option<String> {
        None
    }

    fn history(&self) -> Vec<Message> {
        vec![Message::user("Hello"), Message::assistant("Hi")]
    }

    fn has_model(&self, kind: &str) -> bool {
        self.models.get(kind).is_some()
    }

    fn ask<'a>(&'a self, question: Question<'a>) -> BoxFuture<'a, Result<ModelReply, Error>> {
        Box::pin(async move {
            let mut kinds = question.kinds.iter();
            let model = kinds.find_map(|kind| self.models.get(kind));
            let model = model.or_else(|| self.models.main()).expect("a model");
            let mut request = ModelRequest::new(question.messages);
            request.parameters = question.parameters;
            Ok(model.complete(request).await?)
        })
    }
}

/// A model that answers from a script, whatever it is asked; with an error where the script has none.
#[derive(Debug, Clone, Default)]
pub(super) struct Script(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    /// What it is still to answer.
    answers: VecDeque<Option<String>>,
    asked: Vec<ModelRequest>,
}

impl Script {
    pub(super) fn new<'a>(answers: impl IntoIterator<Item = &'a str>) -> Self {
        Self::failing(answers.into_iter().map(Some))
    }

    /// A script in which nothing stands for an error.
    pub(super) fn failing<'a>(answers: impl IntoIterator<Item = Option<&'a str>>) -> Self {
        let answers = answers.into_iter().map(|answer| answer.map(str::to_owned));
        Self(Arc::new(Mutex::new(Lines {
            answers: answers.collect(),
            asked: Vec::new(),
        })))
    }

    /// What it was asked.
    pub(super) fn asked(&self) -> Vec<ModelRequest> {
        self.0.lock().unwrap().asked.clone()
    }

    /// It as the model of each type of `kinds`.
    pub(super) fn of(&self, kinds: &[&str]) -> Models {
        let mut models = Models::default();
        for kind in kinds {
            models.insert(*kind, Arc::new(self.clone()));
        }
        models
    }
}

impl Model for Script {
    fn name(&self) -> &str {
        "script"
    }

    fn complete(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelReply, ModelError>> {
        let mut script = self.0.lock().unwrap();
        script.asked.push(request);
        let answer = script.answers.pop_front().flatten();
        let answer = answer.map(|content| ModelReply {
            content,
            ..ModelReply::default()
        });
        let failed = || ModelError::new(ModelErrorKind::Server, "script", "it does not answer");
        Box::pin(std::future::ready(answer.ok_or_else(failed)))
    }
}
