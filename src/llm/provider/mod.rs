//! Providers: the endpoints that answer as OpenAI's Chat Completions do.
//!
//! [`from_config`] makes a [`Model`] of an entry of `models:`. A provider that speaks the same protocol is one
//! line in [`known::PROVIDERS`]; one that needs no defaults works by its `parameters.base_url` alone.

mod bodies;
mod body;
mod chat;
mod known;
mod reply;
mod settings;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub(crate) use bodies::ChatBodies;
pub(crate) use known::markdown;

use self::settings::Settings;
use super::Model;
use crate::{
    config::ModelConfig,
    error::ModelError,
    http::{Client, Environment},
};

/// A model that a configuration describes.
#[derive(Debug)]
pub(crate) struct Configured {
    /// The model.
    pub(crate) model: Arc<dyn Model>,
    /// The environment variable of its key, where its engine wants one and there is none.
    pub(crate) missing_key: Option<String>,
}

/// The model that `config` describes, called through `client`; `environment` gives the keys.
///
/// # Errors
///
/// [`ModelErrorKind::Configuration`](crate::error::ModelErrorKind::Configuration) for an unknown engine without
/// `parameters.base_url`, and for settings that are missing, contradict each other or are of the wrong type.
pub(crate) fn from_config(
    config: &ModelConfig,
    client: &Client,
    environment: Environment<'_>,
) -> Result<Configured, ModelError> {
    let settings = Settings::new(config, environment)?;
    Ok(Configured {
        missing_key: settings.endpoint.missing_key.clone(),
        model: Arc::new(chat::ChatModel::new(settings, client.clone())),
    })
}
