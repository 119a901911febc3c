//! The smaller sections: instructions, documents, embedding search, tracing.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    read::{Read, Report, read_section, two_texts},
    secrets,
    yaml::Node,
};

/// One entry of `instructions`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Instruction {
    /// `general`, or a name of its own.
    #[serde(rename = "type")]
    pub kind: String,
    /// The text.
    pub content: String,
}

impl Read for Instruction {
    fn read(node: &Node, path: &str, report: &mut Report) -> Option<Self> {
        let (kind, content) = two_texts(node, path, ["type", "content"], report)?;
        Some(Self { kind, content })
    }
}

/// A document of the knowledge base.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Document {
    /// `md`.
    pub format: String,
    /// The text.
    pub content: String,
}

impl Read for Document {
    fn read(node: &Node, path: &str, report: &mut Report) -> Option<Self> {
        let (format, content) = two_texts(node, path, ["format", "content"], report)?;
        Some(Self { format, content })
    }
}

/// `embedding_search_provider`: who finds what is similar.
///
/// Printed and serialised, keys in the settings are `***`.
#[derive(Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EmbeddingSearchProvider {
    /// The provider.
    pub name: String,
    /// Its settings.
    #[serde(serialize_with = "secrets::serialize")]
    pub parameters: Map<String, Value>,
    /// Where embeddings are remembered.
    pub cache: EmbeddingsCacheConfig,
}

impl Default for EmbeddingSearchProvider {
    fn default() -> Self {
        Self {
            name: "default".to_owned(),
            parameters: Map::new(),
            cache: EmbeddingsCacheConfig::default(),
        }
    }
}

read_section!(EmbeddingSearchProvider {
    name,
    parameters,
    cache
});

impl fmt::Debug for EmbeddingSearchProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddingSearchProvider")
            .field("name", &self.name)
            .field("parameters", &secrets::Shown(&self.parameters))
            .field("cache", &self.cache)
            .finish()
    }
}

/// `embedding_search_provider.cache`.
///
/// Printed and serialised, keys in the store's settings are `***`.
#[derive(Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EmbeddingsCacheConfig {
    /// Whether embeddings are remembered.
    pub enabled: bool,
    /// How a text becomes a key.
    pub key_generator: String,
    /// Where they are kept.
    pub store: String,
    /// The settings of the store.
    #[serde(serialize_with = "secrets::serialize")]
    pub store_config: Map<String, Value>,
}

impl Default for EmbeddingsCacheConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            key_generator: "sha256".to_owned(),
            store: "filesystem".to_owned(),
            store_config: Map::new(),
        }
    }
}

read_section!(EmbeddingsCacheConfig {
    enabled,
    key_generator,
    store,
    store_config
});

impl fmt::Debug for EmbeddingsCacheConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddingsCacheConfig")
            .field("enabled", &self.enabled)
            .field("key_generator", &self.key_generator)
            .field("store", &self.store)
            .field("store_config", &secrets::Shown(&self.store_config))
            .finish()
    }
}

/// `knowledge_base`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct KnowledgeBaseConfig {
    /// The folder of the documents.
    pub folder: String,
    /// Who finds what is similar.
    pub embedding_search_provider: EmbeddingSearchProvider,
}

impl Default for KnowledgeBaseConfig {
    fn default() -> Self {
        Self {
            folder: "kb".to_owned(),
            embedding_search_provider: EmbeddingSearchProvider::default(),
        }
    }
}

read_section!(KnowledgeBaseConfig {
    folder,
    embedding_search_provider
});

/// `core`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
#[derive(Default)]
pub struct CoreConfig {
    /// Who finds similar user messages and flows.
    pub embedding_search_provider: EmbeddingSearchProvider,
}

read_section!(CoreConfig {
    embedding_search_provider
});

/// `tracing`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TracingConfig {
    /// Whether turns are traced.
    pub enabled: bool,
    /// Where traces go: `name`, and settings of its own.
    pub adapters: Vec<Value>,
    /// How spans are written.
    pub span_format: String,
    /// Whether texts are part of a trace.
    pub enable_content_capture: bool,
}

impl Default for TracingConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            adapters: vec![serde_json::json!({"name": "FileSystem"})],
            span_format: "opentelemetry".to_owned(),
            enable_content_capture: false,
        }
    }
}

read_section!(TracingConfig {
    enabled,
    adapters,
    span_format,
    enable_content_capture
});

/// `metrics`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
#[derive(Default)]
pub struct MetricsConfig {
    /// Whether metrics are emitted.
    pub enabled: bool,
}

read_section!(MetricsConfig { enabled });
