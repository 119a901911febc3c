//! The library's rails of a configuration, each with its settings read when it is first needed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    actions::Python,
    config::RailsConfig,
    error::ConfigError,
    http::Client,
    library::{BuildContext, Check, Rail},
    llm::{Models, prompt::Prompts},
};

/// The library's rails of one configuration.
pub(crate) struct LibraryRails {
    pub(crate) config: Arc<RailsConfig>,
    pub(crate) models: Models,
    pub(crate) prompts: Arc<Prompts>,
    client: Client,
    /// The worker that runs Python, where there is one.
    python: Option<Arc<Python>>,
    built: Mutex<HashMap<&'static str, Arc<dyn Check>>>,
}

impl std::fmt::Debug for LibraryRails {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LibraryRails").finish_non_exhaustive()
    }
}

impl LibraryRails {
    pub(crate) fn new(
        config: Arc<RailsConfig>,
        models: Models,
        prompts: Arc<Prompts>,
        client: Client,
        python: Option<Arc<Python>>,
    ) -> Self {
        Self {
            config,
            models,
            prompts,
            client,
            python,
            built: Mutex::default(),
        }
    }

    /// The rail with its settings.
    ///
    /// # Errors
    ///
    /// All that is wrong with its settings.
    pub(crate) fn get(&self, rail: &'static Rail) -> Result<Arc<dyn Check>, ConfigError> {
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(check) = built.get(rail.name) {
            return Ok(Arc::clone(check));
        }
        let context = BuildContext {
            config: &self.config,
            models: &self.models,
            prompts: &self.prompts,
            client: &self.client,
            environment: &crate::config::environment_variable,
            python: self.python.as_ref(),
        };
        let check = (rail.build)(&context).map_err(|faults| ConfigError { faults })?;
        built.insert(rail.name, Arc::clone(&check));
        Ok(check)
    }
}
