//! `LlmRails`: a configuration with its models, ready to check and to answer.

use std::sync::Arc;

use super::plan::Plan;
use crate::{
    config::RailsConfig,
    error::{ConfigError, Fault, Result},
    http::Client,
    llm::{
        Model, Models, OutputParsers,
        prompt::{PromptSettings, Prompts},
        template::Templates,
    },
};

/// The rails of a configuration, with their models. Cheap to clone, safe to use from many tasks.
///
/// ```
/// use tower_guardrails::{LlmRails, RailsConfig};
///
/// # fn main() -> Result<(), tower_guardrails::Error> {
/// let rails = LlmRails::new(RailsConfig::from_path("examples/rails")?)?;
/// assert_eq!(rails.config().rails.input.flows.len(), 1);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[doc(alias = "LLMRails")]
pub struct LlmRails {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: RailsConfig,
    plan: Plan,
    has_main: bool,
}

impl LlmRails {
    /// The rails of `config`, with the models that it names.
    ///
    /// # Errors
    ///
    /// All that is missing or wrong, together: flows, prompts, models, patterns that do not compile.
    pub fn new(config: RailsConfig) -> Result<Self> {
        Self::builder(config).build()
    }

    /// A builder, to register models of your own.
    pub fn builder(config: RailsConfig) -> LlmRailsBuilder {
        LlmRailsBuilder {
            config,
            models: Vec::new(),
        }
    }

    /// The configuration.
    pub fn config(&self) -> &RailsConfig {
        &self.inner.config
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.inner.plan
    }

    /// Whether rails ask a model, and the configuration names no `main` model to ask.
    pub(crate) fn asks_main_model_of_call(&self) -> bool {
        let plan = self.plan();
        !self.inner.has_main
            && (plan.input.asking().next().is_some() || plan.output.asking().next().is_some())
    }
}

/// Builds [`LlmRails`].
#[derive(Debug)]
pub struct LlmRailsBuilder {
    config: RailsConfig,
    models: Vec<(String, Arc<dyn Model>)>,
}

impl LlmRailsBuilder {
    /// Uses `model` for `kind` (`main`, a task's name, a name that flows refer to) instead of what the configuration names.
    #[must_use]
    pub fn model(mut self, kind: impl Into<String>, model: impl Model + 'static) -> Self {
        self.models.push((kind.into(), Arc::new(model)));
        self
    }

    /// Builds.
    ///
    /// # Errors
    ///
    /// As [`LlmRails::new`].
    pub fn build(self) -> Result<LlmRails> {
        let mut models = Models::default();
        for (kind, model) in self.models {
            models.insert(kind, model);
        }
        let mut faults = Vec::new();
        let environment = |name: &str| std::env::var(name).ok();
        if let Err(error) =
            models.add_configured(&self.config.models, &Client::default(), &environment)
        {
            faults.extend(error.faults);
        }
        let files = self.config.colang_files.iter();
        for file in files.filter(|file| holds_statements(&file.text)) {
            let fault =
                Fault::new("this version runs library rails only: Colang files are not read yet");
            faults.push(fault.in_file(&file.path));
        }
        let prompts = Arc::new(Prompts::new(
            prompt_settings(&self.config),
            Templates::new(),
            OutputParsers::new(),
        ));
        let plan = match Plan::compile(&self.config, &models, &prompts) {
            Ok(plan) if faults.is_empty() => plan,
            Ok(_) => return Err(ConfigError { faults }.into()),
            Err(error) => {
                faults.extend(error.faults);
                return Err(ConfigError { faults }.into());
            }
        };
        let has_main = models.get("main").is_some();
        Ok(LlmRails {
            inner: Arc::new(Inner {
                config: self.config,
                plan,
                has_main,
            }),
        })
    }
}

/// Whether a Colang file says anything beside comments.
fn holds_statements(text: &str) -> bool {
    text.lines()
        .map(str::trim)
        .any(|line| !line.is_empty() && !line.starts_with('#'))
}

fn prompt_settings(config: &RailsConfig) -> PromptSettings {
    let general = config
        .instructions
        .iter()
        .find(|instruction| instruction.kind == "general");
    PromptSettings {
        prompts: config.prompts.clone(),
        models: config.models.clone(),
        prompting_mode: config.prompting_mode.clone(),
        general_instructions: general
            .map(|instruction| instruction.content.clone())
            .unwrap_or_default(),
        sample_conversation: config.sample_conversation.clone(),
    }
}
