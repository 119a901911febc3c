//! The smaller sections: instructions, documents, embedding search, tracing.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    read::{Fields, Read, Report},
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
        let mut fields = Fields::open(node, path, report)?;
        let (kind, content) = (fields.required("type"), fields.required("content"));
        fields.close();
        Some(Self {
            kind: kind?,
            content: content?,
        })
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
        let mut fields = Fields::open(node, path, report)?;
        let (format, content) = (fields.required("format"), fields.required("content"));
        fields.close();
        Some(Self {
            format: format?,
            content: content?,
        })
    }
}

/// `embedding_search_provider`: who finds what is similar.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EmbeddingSearchProvider {
    /// The provider.
    pub name: String,
    /// Its settings.
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

impl Read for EmbeddingSearchProvider {
    fn read(node: &Node, path: &str, report: &mut Report) -> Option<Self> {
        let mut fields = Fields::open(node, path, report)?;
        let default = Self::default();
        let section = Self {
            name: fields.or("name", default.name),
            parameters: fields.or("parameters", default.parameters),
            cache: fields.or("cache", default.cache),
        };
        fields.close();
        Some(section)
    }
}

/// `embedding_search_provider.cache`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EmbeddingsCacheConfig {
    /// Whether embeddings are remembered.
    pub enabled: bool,
    /// How a text becomes a key.
    pub key_generator: String,
    /// Where they are kept.
    pub store: String,
    /// The settings of the store.
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

impl Read for EmbeddingsCacheConfig {
    fn read(node: &Node, path: &str, report: &mut Report) -> Option<Self> {
        let mut fields = Fields::open(node, path, report)?;
        let default = Self::default();
        let section = Self {
            enabled: fields.or("enabled", default.enabled),
            key_generator: fields.or("key_generator", default.key_generator),
            store: fields.or("store", default.store),
            store_config: fields.or("store_config", default.store_config),
        };
        fields.close();
        Some(section)
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

impl Read for KnowledgeBaseConfig {
    fn read(node: &Node, path: &str, report: &mut Report) -> Option<Self> {
        let mut fields = Fields::open(node, path, report)?;
        let default = Self::default();
        let section = Self {
            folder: fields.or("folder", default.folder),
            embedding_search_provider: fields.or(
                "embedding_search_provider",
                default.embedding_search_provider,
            ),
        };
        fields.close();
        Some(section)
    }
}

/// `core`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
#[derive(Default)]
pub struct CoreConfig {
    /// Who finds similar user messages and flows.
    pub embedding_search_provider: EmbeddingSearchProvider,
}

impl Read for CoreConfig {
    fn read(node: &Node, path: &str, report: &mut Report) -> Option<Self> {
        let mut fields = Fields::open(node, path, report)?;
        let default = Self::default();
        let section = Self {
            embedding_search_provider: fields.or(
                "embedding_search_provider",
                default.embedding_search_provider,
            ),
        };
        fields.close();
        Some(section)
    }
}

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

impl Read for TracingConfig {
    fn read(node: &Node, path: &str, report: &mut Report) -> Option<Self> {
        let mut fields = Fields::open(node, path, report)?;
        let default = Self::default();
        let section = Self {
            enabled: fields.or("enabled", default.enabled),
            adapters: fields.or("adapters", default.adapters),
            span_format: fields.or("span_format", default.span_format),
            enable_content_capture: fields
                .or("enable_content_capture", default.enable_content_capture),
        };
        fields.close();
        Some(section)
    }
}

/// `metrics`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
#[derive(Default)]
pub struct MetricsConfig {
    /// Whether metrics are emitted.
    pub enabled: bool,
}

impl Read for MetricsConfig {
    fn read(node: &Node, path: &str, report: &mut Report) -> Option<Self> {
        let mut fields = Fields::open(node, path, report)?;
        let default = Self::default();
        let section = Self {
            enabled: fields.or("enabled", default.enabled),
        };
        fields.close();
        Some(section)
    }
}
