//! The built-in index: every text's vector is compared, so that what is found is exact.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use futures_core::future::BoxFuture;
use serde_json::{Map, Value};

use super::{Embedding, EmbeddingCache, EmbeddingModel, IndexItem, SearchIndex};
use crate::error::{ModelError, ModelErrorKind};

/// The settings of an index.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct IndexSettings {
    /// The least score of what is found; None: whatever is nearest.
    pub(crate) threshold: Option<f32>,
}

impl IndexSettings {
    /// Reads `search_threshold`, the only parameter that changes what is found; `use_batching` and its limits are
    /// accepted and not needed: searches that run at once share the client's connections.
    pub(crate) fn from_parameters(parameters: &Map<String, Value>) -> Self {
        let threshold = parameters.get("search_threshold").and_then(Value::as_f64);
        Self {
            threshold: threshold
                .filter(|limit| limit.is_finite())
                .map(|limit| limit as f32),
        }
    }
}

/// Texts and their vectors, searched by the angle between vectors.
///
/// Scores are those of the Annoy library, for which the thresholds of existing configurations are made:
/// 1 for the same direction, about 0.29 for a right angle, 0 for the opposite.
pub(crate) struct VectorIndex {
    model: Arc<dyn EmbeddingModel>,
    cache: Option<EmbeddingCache>,
    settings: IndexSettings,
    rows: RwLock<Rows>,
}

/// Items and, one after the other, their vectors, each of length 1.
#[derive(Default)]
struct Rows {
    items: Vec<IndexItem>,
    vectors: Vec<f32>,
    dimensions: usize,
}

impl VectorIndex {
    /// An empty index of vectors that `model` makes.
    pub(crate) fn new(
        model: Arc<dyn EmbeddingModel>,
        cache: Option<EmbeddingCache>,
        settings: IndexSettings,
    ) -> Self {
        Self {
            model,
            cache,
            settings,
            rows: RwLock::default(),
        }
    }

    async fn add_all(&self, items: Vec<IndexItem>) -> Result<(), ModelError> {
        if items.is_empty() {
            return Ok(());
        }
        let texts = items.iter().map(|item| item.text.clone()).collect();
        let vectors = self.embed(texts).await?;
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        rows.add(items, vectors)
            .map_err(|message| self.invalid(message))
    }

    async fn find(
        &self,
        text: &str,
        max_results: usize,
        threshold: Option<f32>,
    ) -> Result<Vec<IndexItem>, ModelError> {
        let is_empty = self
            .rows
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .items
            .is_empty();
        if is_empty || max_results == 0 {
            return Ok(Vec::new());
        }
        let vectors = self.embed(vec![text.to_owned()]).await?;
        let mut vectors = vectors.into_iter();
        let vector = vectors
            .next()
            .ok_or_else(|| self.invalid("there is no vector"))?;
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        let threshold = threshold.or(self.settings.threshold);
        rows.nearest(&vector, max_results, threshold)
            .map_err(|message| self.invalid(message))
    }

    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Embedding>, ModelError> {
        let count = texts.len();
        let vectors = match &self.cache {
            None => self.model.embed(texts).await?,
            Some(cache) => cache.embed(&*self.model, texts).await?,
        };
        if vectors.len() != count {
            return Err(self.invalid("there are more or fewer vectors than texts"));
        }
        Ok(vectors)
    }

    fn invalid(&self, message: &str) -> ModelError {
        ModelError::new(ModelErrorKind::InvalidResponse, self.model.name(), message)
    }
}

impl SearchIndex for VectorIndex {
    fn add(&self, items: Vec<IndexItem>) -> BoxFuture<'_, Result<(), ModelError>> {
        Box::pin(self.add_all(items))
    }

    fn search<'a>(
        &'a self,
        text: &'a str,
        max_results: usize,
        threshold: Option<f32>,
    ) -> BoxFuture<'a, Result<Vec<IndexItem>, ModelError>> {
        Box::pin(self.find(text, max_results, threshold))
    }
}

impl Rows {
    fn add(&mut self, items: Vec<IndexItem>, vectors: Vec<Embedding>) -> Result<(), &'static str> {
        let dimensions = match (self.dimensions, vectors.first()) {
            (0, Some(first)) => first.len(),
            (dimensions, _) => dimensions,
        };
        if dimensions == 0 || vectors.iter().any(|vector| vector.len() != dimensions) {
            return Err("the vectors are empty or of different lengths");
        }
        self.dimensions = dimensions;
        for mut vector in vectors {
            normalize(&mut vector);
            self.vectors.extend(vector);
        }
        self.items.extend(items);
        Ok(())
    }

    fn nearest(
        &self,
        vector: &[f32],
        max_results: usize,
        threshold: Option<f32>,
    ) -> Result<Vec<IndexItem>, &'static str> {
        if vector.len() != self.dimensions {
            return Err("the vector is of another length than those of the index");
        }
        let mut vector = vector.to_vec();
        normalize(&mut vector);
        let rows = self.vectors.chunks_exact(self.dimensions);
        let mut scores: Vec<(f32, usize)> = rows
            .enumerate()
            .map(|(index, row)| (score(row, &vector), index))
            .filter(|(score, _)| threshold.is_none_or(|threshold| *score >= threshold))
            .collect();
        // Of equally good ones, the one that was added first.
        let better = |a: &(f32, usize), b: &(f32, usize)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        if scores.len() > max_results {
            scores.select_nth_unstable_by(max_results, better);
            scores.truncate(max_results);
        }
        scores.sort_unstable_by(better);
        let items = scores
            .into_iter()
            .filter_map(|(_, index)| self.items.get(index));
        Ok(items.cloned().collect())
    }
}

fn normalize(vector: &mut [f32]) {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    if length > 0.0 {
        for value in vector {
            *value /= length;
        }
    }
}

/// `1 - d / 2`, where `d` is the distance between the ends of two vectors of length 1.
fn score(a: &[f32], b: &[f32]) -> f32 {
    let cosine: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
    1.0 - (2.0 - 2.0 * cosine).max(0.0).sqrt() / 2.0
}

impl fmt::Debug for VectorIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VectorIndex")
            .field("model", &self.model)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// Gives each text the vector that it writes, such as "1 0".
    #[derive(Debug, Default)]
    struct Written;

    impl EmbeddingModel for Written {
        fn name(&self) -> &str {
            "written"
        }

        fn embed(&self, texts: Vec<String>) -> BoxFuture<'_, Result<Vec<Embedding>, ModelError>> {
            let vectors = texts.iter().map(|text| {
                text.split(' ')
                    .filter_map(|part| part.parse().ok())
                    .collect()
            });
            let vectors = vectors.collect();
            Box::pin(async move { Ok(vectors) })
        }
    }

    async fn index(texts: &[&str], threshold: Option<f32>) -> VectorIndex {
        let index = VectorIndex::new(Arc::new(Written), None, IndexSettings { threshold });
        let items = texts.iter().map(|text| IndexItem {
            text: (*text).into(),
            meta: Map::new(),
        });
        index.add(items.collect()).await.unwrap();
        index
    }

    async fn found(
        index: &VectorIndex,
        text: &str,
        max: usize,
        threshold: Option<f32>,
    ) -> Vec<String> {
        let items = index.search(text, max, threshold).await.unwrap();
        items.into_iter().map(|item| item.text).collect()
    }

    #[tokio::test]
    async fn the_nearest_come_first() {
        let index = index(&["0 1", "2 0", "1 1", "3 0", "-1 0", "0 0"], None).await;
        assert_eq!(found(&index, "5 0", 3, None).await, ["2 0", "3 0", "1 1"]);
        assert_eq!(found(&index, "5 0", 20, None).await.len(), 6);
        assert_eq!(found(&index, "5 0", 20, Some(0.7)).await, ["2 0", "3 0"]);
        assert!(found(&index, "5 0", 0, None).await.is_empty());
        assert!(index.search("1 2 3", 1, None).await.is_err());
        assert!(
            index
                .add(vec![IndexItem {
                    text: "1".into(),
                    meta: Map::new()
                }])
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn an_own_threshold_is_kept() {
        let index = index(&["1 0", "0 1"], Some(0.9)).await;
        assert_eq!(found(&index, "1 0", 5, None).await, ["1 0"]);
        assert_eq!(found(&index, "1 0", 5, Some(0.0)).await.len(), 2);
    }

    #[tokio::test]
    async fn an_empty_index_finds_nothing_and_asks_nobody() {
        let index = VectorIndex::new(Arc::new(Written), None, IndexSettings::default());
        index.add(Vec::new()).await.unwrap();
        assert!(found(&index, "not a vector", 5, None).await.is_empty());
    }

    #[test]
    fn scores_are_those_of_annoy() {
        let scores: HashMap<&str, f32> = [
            ("same", score(&[1.0, 0.0], &[1.0, 0.0])),
            ("right", score(&[1.0, 0.0], &[0.0, 1.0])),
            ("opposite", score(&[1.0, 0.0], &[-1.0, 0.0])),
        ]
        .into();
        assert_eq!(scores["same"], 1.0);
        assert!((scores["right"] - 0.292_893).abs() < 1e-5);
        assert_eq!(scores["opposite"], 0.0);
    }
}
