//! `core`, `knowledge_base` and `docs`: what is searched, and by which embeddings.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// `core` and `knowledge_base`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SearchConfig {
    /// The folder of the knowledge base.
    pub folder: String,
    /// How texts are embedded and searched.
    pub embedding_search_provider: EmbeddingSearchProvider,
}

impl Default for SearchConfig {
    fn default() -> Self {
        Self {
            folder: "kb".to_owned(),
            embedding_search_provider: EmbeddingSearchProvider::default(),
        }
    }
}

/// `embedding_search_provider`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct EmbeddingSearchProvider {
    /// `default`, or a registered provider.
    pub name: String,
    /// `embedding_engine`, `embedding_model`, `search_threshold` …
    pub parameters: Map<String, Value>,
    /// The cache of embeddings.
    pub cache: EmbeddingsCache,
}

impl Default for EmbeddingSearchProvider {
    fn default() -> Self {
        Self {
            name: "default".to_owned(),
            parameters: Map::new(),
            cache: EmbeddingsCache::default(),
        }
    }
}

/// `embedding_search_provider.cache`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct EmbeddingsCache {
    /// Whether embeddings are remembered.
    pub enabled: bool,
    /// How keys are made.
    pub key_generator: String,
    /// Where they are kept: `filesystem` or `in_memory`.
    pub store: String,
    /// Settings of the store.
    pub store_config: Map<String, Value>,
}

impl Default for EmbeddingsCache {
    fn default() -> Self {
        Self {
            enabled: false,
            key_generator: "sha256".to_owned(),
            store: "filesystem".to_owned(),
            store_config: Map::new(),
        }
    }
}

/// A document of the knowledge base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Document {
    /// `md`.
    pub format: String,
    /// The text.
    pub content: String,
}
