//! Building [`IoRails`], and refusing what it cannot run.

use std::{fmt, sync::Arc};

use serde_json::Value;

use super::{super::library_rails::LibraryRails, Inner, IoRails};
use crate::{
    colang::v1,
    config::{ModelConfig, Rails, RailsConfig},
    error::{ConfigError, Fault, Result},
    http::Client,
    llm::{Model, Models, OutputParser, OutputParsers, prompt::Prompts, template::Templates},
    rails::{llm_rails::prompt_settings, plan::Plan},
    verdict::Place,
};

/// The one rail on texts alone that the reference's engine refuses: a configuration that loads here loads there.
const HEURISTICS: &str = "jailbreak detection heuristics";

/// Builds [`IoRails`].
pub struct IoRailsBuilder {
    config: RailsConfig,
    models: Vec<(String, Arc<dyn Model>)>,
    parsers: OutputParsers,
}

impl fmt::Debug for IoRailsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IoRailsBuilder")
            .field("models", &self.models)
            .finish_non_exhaustive()
    }
}

impl IoRailsBuilder {
    pub(super) fn new(config: RailsConfig) -> Self {
        Self {
            config,
            models: Vec::new(),
            parsers: OutputParsers::default(),
        }
    }

    /// Uses `model` for `kind` (`main`, a task's name, a name that flows refer to) instead of what the configuration names.
    #[must_use]
    pub fn model(mut self, kind: impl Into<String>, model: impl Model + 'static) -> Self {
        self.models.push((kind.into(), Arc::new(model)));
        self
    }

    /// Registers a parser of a model's answers, which prompts name as `output_parser`.
    #[must_use]
    pub fn output_parser(mut self, name: impl Into<String>, parser: OutputParser) -> Self {
        self.parsers.register(name, parser);
        self
    }

    /// Builds.
    ///
    /// # Errors
    ///
    /// As [`IoRails::new`].
    pub fn build(self) -> Result<IoRails> {
        let Self {
            config,
            models: given,
            parsers,
        } = self;
        let mut faults = refused(&config);
        let client = Client::default();
        let mut models = Models::default();
        for (kind, model) in given {
            models.insert(kind, model);
        }
        let configured: Vec<ModelConfig> = last_of_each_type(&config.models)
            .into_iter()
            .map(with_retries)
            .collect();
        let environment = &crate::config::environment_variable;
        let wrong = models.add_configured(&configured, &client, environment);
        faults.extend(wrong.into_iter().map(|(_, fault)| fault));
        let config = Arc::new(config);
        let prompts = Arc::new(Prompts::new(
            prompt_settings(&config),
            Templates::new(),
            parsers,
        ));
        let library = LibraryRails::new(Arc::clone(&config), models.clone(), prompts, client, None);
        let plan = match Plan::compile_alone(&Arc::new(library)) {
            Ok(plan) if faults.is_empty() => plan,
            Ok(_) => return Err(ConfigError { faults }.into()),
            Err(error) => {
                faults.extend(error.faults);
                return Err(ConfigError { faults }.into());
            }
        };
        let speculative = config.rails.input.speculative_generation && may_speculate(&plan);
        Ok(IoRails {
            inner: Arc::new(Inner {
                config,
                models,
                plan,
                speculative,
            }),
        })
    }
}

/// A rail that rewrites what the model is to read comes first: an answer to the text as it came is none.
fn may_speculate(plan: &Plan) -> bool {
    let rewriting: Vec<&str> = plan.input.rewriting().collect();
    if !rewriting.is_empty() {
        tracing::warn!(
            rails = rewriting.join(", "),
            "the answer waits for the input rails in spite of `speculative_generation`: some of them rewrite the message"
        );
    }
    rewriting.is_empty()
}

/// What a configuration has that takes more than rails around a model.
fn refused(config: &RailsConfig) -> Vec<Fault> {
    let mut faults = Vec::new();
    if config.colang_version != "1.0" {
        let message = format!(
            "`colang_version` is {}: rails without Colang are those of 1.0",
            config.colang_version
        );
        faults.push(Fault::new(message));
    }
    for section in &config.rails.given {
        if ["retrieval", "dialog", "actions"].contains(&section.as_str()) {
            let message = format!(
                "`rails.{section}` needs a whole turn, which rails without Colang have not"
            );
            faults.push(Fault::new(message));
        }
    }
    for flow in &config.rails.input.flows {
        if flow.name == HEURISTICS {
            let message = "the reference's engine without Colang does not run this rail";
            faults.push(Rails::flow_fault(Place::Input, flow, message));
        }
    }
    let tools = [&config.rails.tool_input, &config.rails.tool_output];
    if tools.iter().any(|section| section.parallel) {
        tracing::warn!("rails on tools run one after the other in spite of `parallel`");
    }
    // They are not run, but a file that is none is a fault all the same.
    if config.colang_version == "1.0" {
        for file in &config.colang_files {
            let (_, wrong) = v1::parse(&file.path.to_string_lossy(), &file.text);
            faults.extend(wrong);
        }
    }
    faults
}

/// Of two models of one type the last counts here, as in the reference's engine without Colang.
fn last_of_each_type(models: &[ModelConfig]) -> Vec<&ModelConfig> {
    let is_last = |index: usize, kind: &str| {
        let later = models.get(index + 1..).unwrap_or_default();
        !later.iter().any(|other| other.kind == kind)
    };
    let models = models.iter().enumerate();
    let last = models.filter(|(index, model)| is_last(*index, &model.kind));
    last.map(|(_, model)| model).collect()
}

/// `max_attempts`, the number of tries, as the number of retries that the client counts.
fn with_retries(model: &ModelConfig) -> ModelConfig {
    let mut model = model.clone();
    if let Some(attempts) = model.parameters.shift_remove("max_attempts") {
        let number = match &attempts {
            Value::String(text) => text.trim().parse().ok(),
            other => other.as_u64(),
        };
        let retries = number.map(|attempts| attempts.max(1) - 1);
        model.parameters.insert(
            "max_retries".to_owned(),
            retries.map_or(attempts, Value::from),
        );
    }
    if let Some(timeout) = model.parameters.shift_remove("timeout_connect") {
        model.parameters.entry("connect_timeout").or_insert(timeout);
    }
    model
}
