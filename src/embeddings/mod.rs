//! Texts as vectors: the [`EmbeddingModel`] trait, its providers, a cache, and the index that is searched.

mod cache;
mod index;
#[cfg(feature = "local-embeddings")]
mod local;
pub(crate) mod provider;
#[cfg(test)]
pub(crate) mod testing;
mod words;

use std::{fmt, sync::Arc};

use futures_core::future::BoxFuture;
use serde_json::{Map, Value};

pub(crate) use cache::{CacheSettings, EmbeddingCache};
pub(crate) use index::{IndexSettings, VectorIndex};
pub(crate) use words::Words;

use crate::error::ModelError;

/// A text's vector.
pub type Embedding = Vec<f32>;

/// Anything that gives texts vectors: a provider's endpoint, a local model, a test's hash.
///
/// Dropping a returned future cancels the call.
pub trait EmbeddingModel: Send + Sync + fmt::Debug {
    /// The model's name, as errors and logs show it. Vectors of models of different names are never mixed.
    fn name(&self) -> &str;

    /// The vectors of `texts`, in their order and all of one length.
    fn embed(&self, texts: Vec<String>) -> BoxFuture<'_, Result<Vec<Embedding>, ModelError>>;
}

/// A text that is found, with what it stands for.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexItem {
    /// The text that is compared with what is searched.
    pub text: String,
    /// What belongs to it: an intent, a chunk's title and body.
    pub meta: Map<String, Value>,
}

/// Anything that finds the texts most like another: the built-in comparison of all vectors, a vector database.
pub trait SearchIndex: Send + Sync + fmt::Debug {
    /// Adds `items`.
    fn add(&self, items: Vec<IndexItem>) -> BoxFuture<'_, Result<(), ModelError>>;

    /// The at most `max_results` items most like `text`, the most like first; none below `threshold`, or below the
    /// index's own where that is None.
    fn search<'a>(
        &'a self,
        text: &'a str,
        max_results: usize,
        threshold: Option<f32>,
    ) -> BoxFuture<'a, Result<Vec<IndexItem>, ModelError>>;
}

/// Makes an index of the `parameters` of an `embedding_search_provider`.
pub type SearchProvider =
    Arc<dyn Fn(&Map<String, Value>) -> Result<Arc<dyn SearchIndex>, ModelError> + Send + Sync>;
