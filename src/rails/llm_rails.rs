//! `LlmRails`: a configuration with its models and actions, ready to check and to answer.

use std::sync::Arc;

use super::dialog::{Engine, Registered};
use crate::{
    actions::IntoAction,
    config::RailsConfig,
    error::Result,
    http::Client,
    llm::{Model, Models},
};

/// The rails of a configuration, with their models. Cheap to clone, safe to use from many tasks.
#[derive(Debug, Clone)]
#[doc(alias = "LLMRails")]
pub struct LlmRails {
    engine: Arc<Engine>,
}

impl LlmRails {
    /// The rails of `config`, with the models that it names.
    ///
    /// # Errors
    ///
    /// All that is missing or wrong.
    pub fn new(config: RailsConfig) -> Result<Self> {
        Self::builder(config).build()
    }

    /// A builder, to register models and actions of your own.
    pub fn builder(config: RailsConfig) -> LlmRailsBuilder {
        LlmRailsBuilder {
            config,
            registered: Registered::default(),
            models: Vec::new(),
        }
    }

    /// Fills the index of the knowledge base, so that the first call need not.
    pub async fn prepare(&self) {
        self.engine.prepare().await;
    }

    pub(super) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }
}

/// Builds [`LlmRails`].
pub struct LlmRailsBuilder {
    config: RailsConfig,
    registered: Registered,
    models: Vec<(String, Arc<dyn Model>)>,
}

impl std::fmt::Debug for LlmRailsBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LlmRailsBuilder")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl LlmRailsBuilder {
    /// Uses `model` for `kind`.
    #[must_use]
    pub fn model(mut self, kind: impl Into<String>, model: impl Model + 'static) -> Self {
        self.models.push((kind.into(), Arc::new(model)));
        self
    }

    /// Registers an action.
    #[must_use]
    pub fn action<Kind>(mut self, name: impl Into<String>, action: impl IntoAction<Kind>) -> Self {
        self.registered
            .actions
            .insert(name, Arc::new(action.into_action()));
        self
    }

    /// Builds.
    ///
    /// # Errors
    ///
    /// As [`LlmRails::new`].
    pub fn build(self) -> Result<LlmRails> {
        let engine = Engine::new(
            Arc::new(self.config),
            Models::default(),
            self.registered,
            Client::default(),
        )?;
        Ok(LlmRails {
            engine: Arc::new(engine),
        })
    }
}
