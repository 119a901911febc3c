//! Providers: the endpoints that answer as OpenAI's Chat Completions do.
//!
//! [`from_config`] makes a [`Model`] of an entry of `models:`. A provider that speaks the same protocol is one
//! line in [`PROVIDERS`]; one that needs no defaults works by its `parameters.base_url` alone.

mod bodies;
mod body;
mod chat;
mod reply;
mod settings;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub(crate) use bodies::ChatBodies;

use self::settings::Settings;
use super::Model;
use crate::{
    config::ModelConfig,
    error::ModelError,
    http::{Client, Environment, Known},
};

/// The providers that need no `parameters.base_url`, or more than that.
const PROVIDERS: &[Known<'static>] = &[
    azure("azure"),
    azure("azure_openai"),
    provider("nim", NVIDIA, Some("NVIDIA_API_KEY")),
    provider("nvidia_ai_endpoints", NVIDIA, Some("NVIDIA_API_KEY")),
    provider("ollama", "http://localhost:11434/v1", None),
    provider(
        "openai",
        "https://api.openai.com/v1",
        Some("OPENAI_API_KEY"),
    ),
];

const NVIDIA: &str = "https://integrate.api.nvidia.com/v1";

const fn provider(
    engine: &'static str,
    base_url: &'static str,
    key_variable: Option<&'static str>,
) -> Known<'static> {
    Known {
        engine,
        base_url: Some(base_url),
        key_variable,
        azure: false,
        key_header: None,
    }
}

const fn azure(engine: &'static str) -> Known<'static> {
    Known {
        engine,
        base_url: None,
        key_variable: Some("AZURE_OPENAI_API_KEY"),
        azure: true,
        key_header: None,
    }
}

/// The environment variable that should hold the key of the model that `config` describes, where its engine needs one and it is not set.
pub(crate) fn key_not_set(
    config: &ModelConfig,
    environment: Environment<'_>,
) -> Option<&'static str> {
    let known = PROVIDERS
        .iter()
        .find(|known| known.engine == config.engine)?;
    let given = ["api_key", "default_headers", "base_url"];
    if config.api_key_env_var.is_some()
        || given.iter().any(|key| config.parameters.contains_key(*key))
    {
        return None;
    }
    let variable = known.key_variable?;
    environment(variable)
        .is_none_or(|key| key.trim().is_empty())
        .then_some(variable)
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
) -> Result<Arc<dyn Model>, ModelError> {
    let settings = Settings::new(config, environment)?;
    Ok(Arc::new(chat::ChatModel::new(settings, client.clone())))
}
