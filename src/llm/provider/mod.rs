//! Providers: the endpoints that answer as OpenAI's Chat Completions do.
//!
//! [`from_config`] makes a [`Model`] of an entry of `models:`. A provider that speaks the same protocol is one
//! line in [`PROVIDERS`]; one that needs no defaults works by its `parameters.base_url` alone.

mod body;
mod chat;
mod error;
mod reply;
mod settings;
mod sse;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub(crate) use settings::Environment;
use settings::Settings;

use super::Model;
use crate::{config::ModelConfig, error::ModelError, http::Client};

/// What is known of a provider beyond the protocol.
#[derive(Debug)]
struct Provider {
    /// The name under `engine:`.
    engine: &'static str,
    /// Where it answers, unless `parameters.base_url` says so.
    base_url: Option<&'static str>,
    /// The environment variable of its key, unless the config gives a key or names another.
    key_variable: Option<&'static str>,
    /// Whether its URLs name a deployment, and its key goes into `api-key`.
    azure: bool,
}

/// The providers that need no `parameters.base_url`, or more than that.
const PROVIDERS: &[Provider] = &[
    provider("azure", None, Some("AZURE_OPENAI_API_KEY"), true),
    provider("azure_openai", None, Some("AZURE_OPENAI_API_KEY"), true),
    provider("nim", Some(NVIDIA), Some("NVIDIA_API_KEY"), false),
    provider(
        "nvidia_ai_endpoints",
        Some(NVIDIA),
        Some("NVIDIA_API_KEY"),
        false,
    ),
    provider("ollama", Some("http://localhost:11434/v1"), None, false),
    provider(
        "openai",
        Some("https://api.openai.com/v1"),
        Some("OPENAI_API_KEY"),
        false,
    ),
    provider("vllm", Some("http://localhost:8000/v1"), None, false),
];

const NVIDIA: &str = "https://integrate.api.nvidia.com/v1";

const fn provider(
    engine: &'static str,
    base_url: Option<&'static str>,
    key_variable: Option<&'static str>,
    azure: bool,
) -> Provider {
    Provider {
        engine,
        base_url,
        key_variable,
        azure,
    }
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
