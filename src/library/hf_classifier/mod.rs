//! `hf classifier check input $classifier=x`, `hf classifier check output $classifier=x`, `hf classifier check retrieval
//! $classifier=x`: a Hugging Face classifier labels a text, and some labels are blocked.
//!
//! - Service: the classifier's server: vLLM, KServe or FMS's guardrails detectors; or none: `engine: local` runs in the Python worker.
//! - Config: `rails.config.hf_classifier.NAME`.
//! - On block: the refusal to respond; chunks are dropped, and the turn goes on without them. A service that fails, blocks.

mod answer;
mod settings;

use std::sync::Arc;

use futures_core::future::BoxFuture;
use indexmap::IndexMap;
use serde_json::{Value, json};

use super::{
    Answers, Bound, BuildContext, Built, Call, Check, Finding, Flow, Key, Need, Rail, RailAction,
    Section, Unusable,
};
use crate::{
    config::FlowReference,
    error::{BoxError, Error},
    http::HttpError,
    verdict::Place,
};
use settings::{Classifier, Engine, Settings};

const CHECK_INPUT: &str = "hf_classifier_check_input";
const CHECK_OUTPUT: &str = "hf_classifier_check_output";
const CHECK_RETRIEVAL: &str = "hf_classifier_check_retrieval";

const ON_INPUT: &str = "hf classifier check input";
const ON_OUTPUT: &str = "hf classifier check output";
const ON_RETRIEVAL: &str = "hf classifier check retrieval";

const ARGUMENTS: &[(&str, Bound)] = &[("classifier", Bound::Parameter("classifier"))];

/// How often a classifier is asked that cannot be reached.
const TRIES: u32 = 2;

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "hf_classifier",
    about: "Blocks texts that a Hugging Face classifier gives one of the configured labels",
    flows: &[
        Flow::new(ON_INPUT, Place::Input, CHECK_INPUT)
            .arguments(ARGUMENTS)
            .exception(
                "InputRailException",
                "Input blocked by 'hf classifier check input'.",
            ),
        Flow::new(ON_OUTPUT, Place::Output, CHECK_OUTPUT)
            .arguments(ARGUMENTS)
            .exception(
                "OutputRailException",
                "Output blocked by 'hf classifier check output'.",
            ),
        Flow::new(ON_RETRIEVAL, Place::Retrieval, CHECK_RETRIEVAL)
            .arguments(ARGUMENTS)
            .only_rewrites(),
    ],
    actions: &[
        RailAction::new(CHECK_INPUT).answers(Answers::Allowed),
        RailAction::new(CHECK_OUTPUT).answers(Answers::Allowed),
        RailAction::new(CHECK_RETRIEVAL).answers(Answers::Allowed),
    ],
    section: Some(Section {
        key: "hf_classifier",
        keys: &[
            Key::new(
                "NAME.engine",
                "vllm, kserve, fms or local",
                "",
                "the kind of server; `local`: a Python worker with transformers",
            ),
            Key::new("NAME.model", "text", "", "the model's name at the server"),
            Key::new(
                "NAME.task",
                "text",
                "text-classification",
                "what a local classifier does: text-classification or token-classification",
            ),
            Key::new("NAME.base_url", "URL", "", "the server's URL"),
            Key::new(
                "NAME.blocked_labels",
                "list of texts",
                "[]",
                "the labels that are blocked",
            ),
            Key::new(
                "NAME.threshold",
                "number, 0 to 1",
                "0.5",
                "the score from which on a label counts",
            ),
            Key::new(
                "NAME.api_key_env_var",
                "text",
                "",
                "the environment variable that holds the key; it is sent over https only",
            ),
            Key::new(
                "NAME.parameters.timeout",
                "seconds",
                "30",
                "how long the server may take",
            ),
            Key::new(
                "NAME.parameters.verify_ssl",
                "bool",
                "true",
                "whether the server has to prove who it is",
            ),
            Key::new(
                "NAME.parameters.ca_cert",
                "path",
                "",
                "a PEM bundle of authorities to trust, instead of the system's",
            ),
            Key::new(
                "NAME.parameters.client_cert",
                "path",
                "",
                "a PEM certificate to show the server, with `client_key`",
            ),
            Key::new("NAME.parameters.client_key", "path", "", "its PEM key"),
        ],
    }),
    needs: &[
        Need::Service(
            "vLLM, KServe or FMS guardrails detectors",
            "POST `/classify`, `/v1/models/MODEL:predict` or `/api/v1/text/contents` under `base_url`",
        ),
        Need::Environment("the one that `api_key_env_var` names", "the key"),
    ],
    messages: &[],
    build,
};

#[derive(Debug)]
struct HfClassifier {
    classifiers: IndexMap<String, Classifier>,
}

fn build(context: &BuildContext<'_>) -> Built {
    let sections = context.config.rails.section(RAIL.name);
    let sections: IndexMap<String, Settings> = sections.map_err(|fault| vec![fault])?;
    let (mut classifiers, mut faults) = (IndexMap::new(), Vec::new());
    for (name, settings) in sections {
        match Classifier::new(context, &name, settings) {
            Ok(classifier) => {
                classifiers.insert(name, classifier);
            }
            Err(found) => faults.extend(found),
        }
    }
    if faults.is_empty() {
        Ok(Arc::new(HfClassifier { classifiers }))
    } else {
        Err(faults)
    }
}

impl HfClassifier {
    /// The classifier called `name`.
    ///
    /// # Errors
    ///
    /// Where there is none, in words.
    fn find(&self, name: Option<&str>) -> Result<&Classifier, String> {
        let Some(name) = name else {
            return Err("the rail needs a classifier: `$classifier=...`".to_owned());
        };
        self.classifiers
            .get(name)
            .ok_or_else(|| format!("`rails.config.hf_classifier` has no classifier `{name}`"))
    }

    async fn check(&self, call: &Call<'_>) -> Result<Finding, Error> {
        let (flow, variable) = match call.action() {
            CHECK_OUTPUT => (ON_OUTPUT, "bot_message"),
            CHECK_RETRIEVAL => (ON_RETRIEVAL, "relevant_chunks"),
            _ => (ON_INPUT, "user_message"),
        };
        let given = call.text("classifier");
        let name = given
            .filter(|name| !name.starts_with('$'))
            .map(std::borrow::Cow::into_owned)
            .or_else(|| call.parameter(flow, "classifier"))
            .or_else(|| Some(call.variable_text("classifier")?.into_owned()));
        let classifier = self.find(name.as_deref());
        let classifier = classifier.map_err(|message| call.failed(message))?;
        let text = call.text("text").or_else(|| call.variable_text(variable));
        let text = text.unwrap_or_default();
        if text.is_empty() {
            return Ok(Finding::allow());
        }
        let blocks = classifier.blocks(&text).await;
        let blocks = blocks.map_err(|error| call.failed(error))?;
        Ok(match (blocks, call.action()) {
            (true, CHECK_RETRIEVAL) => Finding::rewrite(variable, ""),
            (blocks, _) => Finding::block_if(blocks),
        })
    }
}

impl Classifier {
    /// Whether the server gives `text` a label that is blocked.
    async fn blocks(&self, text: &str) -> Result<bool, BoxError> {
        let is_blocked = |label: &str| self.blocked_labels.iter().any(|blocked| blocked == label);
        if self.engine == Engine::Local {
            let classifier = self.local.as_ref().map_err(String::as_str)?;
            let answer = classifier.ask(text, Value::Null, None).await?;
            let blocks = answer::blocks(self.engine, &answer, &is_blocked, self.threshold);
            return Ok(blocks?);
        }
        let service = self.service.as_ref().map_err(String::as_str)?;
        let model = &self.model;
        let (path, body) = match self.engine {
            Engine::Vllm => (
                "/classify".to_owned(),
                json!({"model": model, "input": text}),
            ),
            Engine::Kserve => (
                format!("/v1/models/{model}:predict"),
                json!({"instances": [text]}),
            ),
            Engine::Fms => (
                "/api/v1/text/contents".to_owned(),
                json!({"contents": [text], "detector_params": {"threshold": self.threshold}}),
            ),
            Engine::Local => return Err("it has no server".into()),
        };
        let url = format!("{}{path}", self.url);
        let mut tries = 0;
        let answer: Value = loop {
            tries += 1;
            match service.post_as(&url, self.key.as_ref(), &body).await {
                Ok(answer) => break answer,
                // Not one that hangs: that would take as long again.
                Err(error @ HttpError::Connection { .. }) if tries < TRIES => {
                    tracing::debug!(%error, "the classifier will be asked again");
                }
                Err(error) => return Err(error.into()),
            }
        };
        Ok(answer::blocks(
            self.engine,
            &answer,
            &is_blocked,
            self.threshold,
        )?)
    }
}

impl Check for HfClassifier {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move { self.check(&call).await })
    }

    fn accept(&self, _: &Flow, line: &FlowReference) -> Result<(), Unusable> {
        let classifier = self.find(line.parameter("classifier"));
        let classifier = classifier.map_err(|message| Unusable::Unready(vec![message]))?;
        if classifier.engine == Engine::Local {
            return match &classifier.local {
                Ok(_) => Ok(()),
                Err(message) => Err(Unusable::Invalid(vec![message.clone()])),
            };
        }
        match &classifier.service {
            Ok(_) => Ok(()),
            Err(message) => Err(Unusable::Unready(vec![message.clone()])),
        }
    }
}

#[cfg(test)]
mod tests;
