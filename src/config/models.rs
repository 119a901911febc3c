//! `models:`: which model serves which type of call.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    read::{Fields, Read, Report, read_section},
    secrets,
    yaml::{Node, Places},
};
use crate::error::Fault;

/// One entry of `models:`.
///
/// Printed and serialised, keys in its parameters (`api_key`, `default_headers` and their like) are `***`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ModelConfig {
    /// What the model is for: `main`, `embeddings`, a task's name, or a name that flows refer to by `$model=`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The provider: `openai`, `nim`, `azure`, `ollama`, or any name where `parameters.base_url` is set.
    pub engine: String,
    /// The model's name at the provider.
    #[serde(default)]
    pub model: Option<String>,
    /// The environment variable that holds the key.
    #[serde(default)]
    pub api_key_env_var: Option<String>,
    /// Transport settings (`base_url`, `timeout`, `max_retries`, `default_headers` …); all else is sent in each request's body.
    #[serde(default, serialize_with = "secrets::serialize")]
    pub parameters: Map<String, Value>,
    /// Whether the model is asked by messages or by a text.
    #[serde(default)]
    pub mode: ModelMode,
    /// The cache of this model's answers.
    #[serde(default)]
    pub cache: Option<ModelCache>,
    #[serde(skip)]
    pub(crate) places: Places,
}

impl fmt::Debug for ModelConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelConfig")
            .field("kind", &self.kind)
            .field("engine", &self.engine)
            .field("model", &self.model)
            .field("api_key_env_var", &self.api_key_env_var)
            .field("parameters", &secrets::Shown(&self.parameters))
            .field("mode", &self.mode)
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

/// How a model is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelMode {
    /// By messages.
    #[default]
    Chat,
    /// By a text.
    Text,
}

/// `models[].cache`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ModelCache {
    /// Whether answers are remembered.
    pub enabled: bool,
    /// How many.
    pub maxsize: usize,
    /// Counting hits and misses.
    pub stats: CacheStats,
}

impl Default for ModelCache {
    fn default() -> Self {
        Self {
            enabled: false,
            maxsize: 50_000,
            stats: CacheStats::default(),
        }
    }
}

/// `models[].cache.stats`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct CacheStats {
    /// Whether hits and misses are counted.
    pub enabled: bool,
    /// How often the counts are logged, in seconds.
    pub log_interval: Option<f64>,
}

impl Read for ModelConfig {
    fn read(node: &Node, path: &str, report: &mut Report) -> Option<Self> {
        let mut fields = Fields::open(node, path, report)?;
        let kind = fields.required("type");
        let engine = fields.required("engine");
        let model = fields.or_default::<Option<String>>("model");
        let api_key_env_var = fields.or_default("api_key_env_var");
        let parameters = fields.or_default("parameters");
        let mode = fields.or_default("mode");
        let cache = fields.or_default("cache");
        fields.close();
        let mut config = Self {
            kind: kind?,
            engine: engine?,
            model: model.filter(|model| !model.is_empty()),
            api_key_env_var,
            parameters,
            mode,
            cache,
            places: Places::of(node),
        };
        config.settle_name(node, path, report);
        Some(config)
    }
}

impl ModelConfig {
    /// A fault of the entry, at its key `path`, such as `engine` or `parameters.timeout`; where it has no such key, at
    /// its first line.
    pub fn fault(&self, path: &str, message: impl Into<String>) -> Fault {
        self.places.place_of(path).fault(message)
    }

    /// The name may stand in `parameters`, but only once in all.
    fn settle_name(&mut self, node: &Node, path: &str, report: &mut Report) {
        let names = ["model_name", "model"];
        let inner = names.into_iter().find_map(|key| {
            let name = self.parameters.get(key)?.as_str()?;
            (!name.is_empty()).then(|| (key, name.to_owned()))
        });
        match (&self.model, inner) {
            (Some(_), Some((key, _))) => {
                let message = format!(
                    "the model's name stands in `{path}.model` and in `{path}.parameters.{key}`; drop one"
                );
                report.fault(node.place_of("model"), message);
            }
            (None, Some((key, name))) => {
                self.parameters.shift_remove(key);
                self.model = Some(name);
            }
            (_, None) => {}
        }
        let named = self
            .model
            .as_ref()
            .is_some_and(|model| !model.trim().is_empty());
        // A wrong name is a fault already.
        if !named
            && node
                .get("model")
                .is_none_or(|name| name.is_null() || name.as_str().is_some())
        {
            report.fault(
                &node.at,
                format!("`{path}.model` is missing: every model needs a name"),
            );
        }
    }
}

impl Read for ModelMode {
    fn read(node: &Node, path: &str, report: &mut Report) -> Option<Self> {
        match node.as_str() {
            Some("chat") => Some(Self::Chat),
            Some("text") => Some(Self::Text),
            _ => {
                report.fault(&node.at, format!("`{path}` must be `chat` or `text`"));
                None
            }
        }
    }
}

read_section!(ModelCache {
    enabled,
    maxsize,
    stats
});

read_section!(CacheStats {
    enabled,
    log_interval
});
