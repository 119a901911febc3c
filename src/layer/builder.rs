//! A layer of a rails directory, with what the application brings along.

use std::path::Path;

use super::{layer::GuardrailsLayer, policy::Dialogue};
use crate::{
    actions::IntoAction,
    config::RailsConfig,
    error::{ConfigError, Fault, Result},
    llm::Model,
    rails::{LlmRails, LlmRailsBuilder},
};

/// Builds a [`GuardrailsLayer`] of a rails directory, with all the checks of [`GuardrailsLayer::from_path`].
#[derive(Debug)]
#[must_use]
pub struct GuardrailsLayerBuilder {
    /// None where nothing of the directory can be read.
    rails: Option<LlmRailsBuilder>,
    /// What is wrong with what was read.
    faults: Vec<Fault>,
    dialogue: Dialogue,
}

impl GuardrailsLayerBuilder {
    pub(super) fn new(path: &Path) -> Self {
        let (config, faults) = RailsConfig::loader().read_path(path);
        Self {
            rails: config.map(LlmRails::builder),
            faults,
            dialogue: Dialogue::default(),
        }
    }

    /// Registers an action: see [`LlmRailsBuilder::action`].
    pub fn action<Kind>(self, name: impl Into<String>, action: impl IntoAction<Kind>) -> Self {
        self.with(|rails| rails.action(name, action))
    }

    /// Uses `model` for `kind` instead of what the configuration names: see [`LlmRailsBuilder::model`].
    pub fn model(self, kind: impl Into<String>, model: impl Model + 'static) -> Self {
        self.with(|rails| rails.model(kind, model))
    }

    /// Runs the directory's `actions.py` and `config.py` by this interpreter: see [`LlmRailsBuilder::python`].
    pub fn python(self, interpreter: impl Into<String>) -> Self {
        self.with(|rails| rails.python(interpreter))
    }

    /// Whether the dialogue of the directory answers: see [`GuardrailsLayer::dialogue`]. A directory that has nothing else where it is
    /// switched off is a fault.
    pub fn dialogue(mut self, dialogue: Dialogue) -> Self {
        self.dialogue = dialogue;
        self
    }

    /// Registers whatever else [`LlmRailsBuilder`] takes.
    ///
    /// ```no_run
    /// # use tower_guardrails::GuardrailsLayer;
    /// # fn main() -> Result<(), tower_guardrails::Error> {
    /// let layer = GuardrailsLayer::builder("rails")
    ///     .with(|rails| rails.prompt_context("today", || "Monday".into()))
    ///     .build()?;
    /// # Ok(()) }
    /// ```
    pub fn with(mut self, register: impl FnOnce(LlmRailsBuilder) -> LlmRailsBuilder) -> Self {
        self.rails = self.rails.map(register);
        self
    }

    /// The engine, if a layer can guard by it.
    pub(super) fn rails(self) -> Result<LlmRails> {
        let Some(rails) = self.rails else {
            let faults = self.faults;
            return Err(ConfigError { faults }.into());
        };
        let rails = rails.build_all().guarding(self.faults)?;
        let faults = match self.dialogue {
            Dialogue::Auto => Vec::new(),
            Dialogue::Off => rails.faults_without_turns(),
        };
        match faults.is_empty() {
            true => Ok(rails),
            false => Err(ConfigError { faults }.into()),
        }
    }

    /// Builds the layer.
    ///
    /// # Errors
    ///
    /// As [`GuardrailsLayer::from_path`].
    pub fn build(self) -> Result<GuardrailsLayer> {
        let dialogue = self.dialogue;
        let rails = self.rails()?;
        Ok(GuardrailsLayer::new(rails).dialogue(dialogue))
    }
}
