//! Providers of vectors: OpenAI's protocol and all that speak it, Cohere, Google.
//!
//! [`from_config`] makes an [`EmbeddingModel`] of an engine, a model and parameters. A provider that speaks OpenAI's
//! protocol is one line in [`PROVIDERS`]; one that does not is one more [`Protocol`].

mod endpoint;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::{Map, Value, json};

use self::endpoint::EndpointModel;
use super::EmbeddingModel;
use crate::{
    error::{ModelError, ModelErrorKind},
    http::{Client, Endpoint, Environment, Known, Secret},
};

/// How a provider is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    /// `POST /embeddings` with `input`.
    OpenAi,
    /// `POST /embed` with `texts`.
    Cohere,
    /// `POST /models/MODEL:batchEmbedContents`.
    Google,
}

/// What is known of a provider.
#[derive(Debug)]
struct Provider {
    known: Known<'static>,
    protocol: Protocol,
    /// The most texts of one request.
    batch: usize,
}

const OPENAI: Provider = Provider {
    known: Known {
        engine: "openai",
        base_url: Some("https://api.openai.com/v1"),
        key_variables: &["OPENAI_API_KEY"],
        azure: false,
        key_header: None,
        holes: &[],
    },
    protocol: Protocol::OpenAi,
    batch: 2048,
};

const PROVIDERS: &[Provider] = &[
    Provider {
        known: Known {
            engine: "AzureOpenAI",
            base_url: None,
            key_variables: &["AZURE_OPENAI_API_KEY"],
            azure: true,
            ..Known::NONE
        },
        ..OPENAI
    },
    Provider {
        known: Known {
            engine: "cohere",
            base_url: Some("https://api.cohere.com/v1"),
            key_variables: &["COHERE_API_KEY"],
            ..OPENAI.known
        },
        protocol: Protocol::Cohere,
        batch: 96,
    },
    Provider {
        known: Known {
            engine: "google",
            base_url: Some("https://generativelanguage.googleapis.com/v1beta"),
            key_variables: &["GOOGLE_API_KEY"],
            key_header: Some("x-goog-api-key"),
            ..Known::NONE
        },
        protocol: Protocol::Google,
        batch: 100,
    },
    nvidia("nim"),
    nvidia("nvidia_ai_endpoints"),
    Provider {
        known: Known {
            engine: "ollama",
            base_url: Some("http://localhost:11434/v1"),
            key_variables: &[],
            ..OPENAI.known
        },
        ..OPENAI
    },
    OPENAI,
];

const fn nvidia(engine: &'static str) -> Provider {
    Provider {
        known: Known {
            engine,
            base_url: Some("https://integrate.api.nvidia.com/v1"),
            key_variables: &["NVIDIA_API_KEY"],
            ..Known::NONE
        },
        protocol: Protocol::OpenAi,
        batch: 256,
    }
}

/// The engines whose models run in this process.
const LOCAL: [&str; 4] = [
    "FastEmbed",
    "fast_embed",
    "SentenceTransformers",
    "sentence_transformers",
];

#[cfg(feature = "local-embeddings")]
fn local(
    _: &str,
    model: &str,
    parameters: &Map<String, Value>,
    environment: Environment<'_>,
) -> Result<Arc<dyn EmbeddingModel>, ModelError> {
    super::local::from_config(model, parameters, environment)
}

#[cfg(not(feature = "local-embeddings"))]
fn local(
    engine: &str,
    model: &str,
    _: &Map<String, Value>,
    _: Environment<'_>,
) -> Result<Arc<dyn EmbeddingModel>, ModelError> {
    Err(ModelError::new(
        ModelErrorKind::Configuration,
        model,
        format!(
            "the embedding engine `{engine}` runs its model in this process, which this build does not: build with the feature \
             `local-embeddings`, or name an endpoint under `models` (`type: embeddings`, `engine: openai`, `parameters.base_url`)"
        ),
    ))
}

/// The model that `engine` serves as `model`, called through `client`; `environment` gives the keys.
///
/// # Errors
///
/// [`ModelErrorKind::Configuration`] for an engine that is not known and has no `base_url` in `parameters`, and for
/// parameters that cannot work.
pub(crate) fn from_config(
    engine: &str,
    model: &str,
    key_variable: Option<&str>,
    parameters: &Map<String, Value>,
    client: &Client,
    environment: Environment<'_>,
) -> Result<Arc<dyn EmbeddingModel>, ModelError> {
    let runs_here = LOCAL.iter().any(|local| local.eq_ignore_ascii_case(engine));
    if runs_here && !parameters.contains_key("base_url") {
        return local(engine, model, parameters, environment);
    }
    let mut parameters = parameters.clone();
    let provider = PROVIDERS
        .iter()
        .find(|provider| provider.known.engine.eq_ignore_ascii_case(engine));
    if provider.is_none() && !parameters.contains_key("base_url") {
        let known: Vec<_> = PROVIDERS
            .iter()
            .map(|provider| provider.known.engine)
            .collect();
        return Err(ModelError::new(
            ModelErrorKind::Configuration,
            model,
            format!(
                "there is no embedding engine `{engine}`: known are {}, and any that answers as OpenAI does at \
                 `parameters.base_url`; register others in code",
                known.join(", ")
            ),
        ));
    }
    let (known, protocol, batch) = match provider {
        Some(provider) => (provider.known, provider.protocol, provider.batch),
        None => (
            Known {
                engine,
                ..Known::default()
            },
            Protocol::OpenAi,
            OPENAI.batch,
        ),
    };
    if known.azure {
        let from_environment = [
            ("azure_endpoint", "AZURE_OPENAI_ENDPOINT"),
            ("api_version", "AZURE_OPENAI_API_VERSION"),
        ];
        for (parameter, variable) in from_environment {
            if let Some(value) =
                environment(variable).filter(|_| !parameters.contains_key(parameter))
            {
                parameters.insert(parameter.to_owned(), value.into());
            }
        }
        parameters
            .entry("azure_deployment")
            .or_insert_with(|| model.into());
    }
    let mut endpoint = Endpoint::read(model, known, key_variable, &mut parameters, environment)?;
    for (parameter, header) in [
        ("organization", "openai-organization"),
        ("project", "openai-project"),
    ] {
        if let Some(Value::String(value)) = parameters.shift_remove(parameter) {
            endpoint.add_header(header, Secret::new(&value));
        }
    }
    if protocol == Protocol::Cohere {
        parameters
            .entry("input_type")
            .or_insert(json!("search_document"));
    } else if matches!(engine, "nim" | "nvidia_ai_endpoints") {
        parameters.entry("input_type").or_insert(json!("passage"));
    }
    Ok(Arc::new(EndpointModel::new(
        model.to_owned(),
        endpoint,
        protocol,
        batch,
        parameters,
        client.clone(),
    )))
}
