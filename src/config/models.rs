//! `models:`: which model serves which type of call.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One entry of `models:`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    #[serde(default)]
    pub parameters: Map<String, Value>,
    /// Whether the model is asked by messages or by a text.
    #[serde(default)]
    pub mode: ModelMode,
    /// The cache of this model's answers.
    #[serde(default)]
    pub cache: Option<ModelCache>,
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
