//! Vectors that are remembered, in memory or in files.

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{Embedding, EmbeddingModel};
use crate::error::{ModelError, ModelErrorKind};

/// The most vectors that are kept in memory.
const MEMORY_LIMIT: NonZeroUsize = NonZeroUsize::new(100_000).expect("the limit is not 0");

/// `embedding_search_provider.cache`.
#[derive(Debug, Clone, Default)]
pub(crate) struct CacheSettings {
    /// Where vectors are kept: `in_memory` or `filesystem`.
    pub(crate) store: String,
    /// How keys are made: `sha256`, `md5` or `hash`. All three are SHA-256 here: what counts is that they differ.
    pub(crate) key_generator: String,
    /// `cache_dir` of the file store.
    pub(crate) store_config: Map<String, Value>,
}

/// A cache of vectors. A clone is the same cache.
#[derive(Debug, Clone)]
pub(crate) struct EmbeddingCache {
    store: Store,
}

#[derive(Debug, Clone)]
enum Store {
    Memory(Arc<Mutex<lru::LruCache<String, Embedding>>>),
    Files(PathBuf),
}

impl EmbeddingCache {
    /// The cache of `settings`.
    ///
    /// # Errors
    ///
    /// [`ModelErrorKind::Configuration`] for an unknown store or key generator.
    pub(crate) fn new(settings: &CacheSettings) -> Result<Self, ModelError> {
        let error =
            |message: String| ModelError::new(ModelErrorKind::Configuration, "embeddings", message);
        if !["sha256", "md5", "hash"].contains(&settings.key_generator.as_str()) {
            let name = &settings.key_generator;
            return Err(error(format!(
                "the embeddings cache knows no key generator `{name}`"
            )));
        }
        let store = match settings.store.as_str() {
            "in_memory" => Store::Memory(Arc::new(Mutex::new(lru::LruCache::new(MEMORY_LIMIT)))),
            "filesystem" => {
                let folder = settings
                    .store_config
                    .get("cache_dir")
                    .and_then(Value::as_str);
                Store::Files(folder.unwrap_or(".cache/embeddings").into())
            }
            name => {
                return Err(error(format!(
                    "the embeddings cache knows no store `{name}`"
                )));
            }
        };
        Ok(Self { store })
    }

    /// The vectors of `texts`; `model` is asked for those that are not remembered, each once.
    ///
    /// # Errors
    ///
    /// The model's errors. A store that fails only makes the model be asked again.
    pub(crate) async fn embed(
        &self,
        model: &dyn EmbeddingModel,
        texts: Vec<String>,
    ) -> Result<Vec<Embedding>, ModelError> {
        let keys: Vec<String> = texts.iter().map(|text| key(model.name(), text)).collect();
        let mut known = self.read(keys.clone()).await;
        let mut missing: Vec<(&String, &String)> = Vec::new();
        for (key, text) in keys.iter().zip(&texts) {
            if !known.contains_key(key) && !missing.iter().any(|(other, _)| *other == key) {
                missing.push((key, text));
            }
        }
        if !missing.is_empty() {
            let asked = missing.iter().map(|(_, text)| (*text).clone()).collect();
            let vectors = model.embed(asked).await?;
            let new: Vec<_> = missing
                .iter()
                .map(|(key, _)| (*key).clone())
                .zip(vectors)
                .collect();
            self.write(new.clone()).await;
            known.extend(new);
        }
        Ok(keys
            .iter()
            .filter_map(|key| known.get(key).cloned())
            .collect())
    }

    async fn read(&self, keys: Vec<String>) -> HashMap<String, Embedding> {
        match &self.store {
            Store::Memory(vectors) => {
                let mut vectors = vectors.lock().unwrap_or_else(PoisonError::into_inner);
                let known = keys.into_iter().filter_map(|key| {
                    let vector = vectors.get(&key)?.clone();
                    Some((key, vector))
                });
                known.collect()
            }
            Store::Files(folder) => {
                let folder = folder.clone();
                let read = move || {
                    let known = keys.into_iter().filter_map(|key| {
                        let bytes = std::fs::read(folder.join(&key)).ok()?;
                        Some((key, serde_json::from_slice(&bytes).ok()?))
                    });
                    known.collect()
                };
                tokio::task::spawn_blocking(read).await.unwrap_or_default()
            }
        }
    }

    async fn write(&self, new: Vec<(String, Embedding)>) {
        match &self.store {
            Store::Memory(vectors) => {
                let mut vectors = vectors.lock().unwrap_or_else(PoisonError::into_inner);
                for (key, vector) in new {
                    vectors.put(key, vector);
                }
            }
            Store::Files(folder) => {
                let folder = folder.clone();
                let write = move || {
                    std::fs::create_dir_all(&folder)?;
                    for (key, vector) in new {
                        // Whole at once, or a reader could meet a part of it.
                        let part = folder.join(format!("{key}.{}", std::process::id()));
                        std::fs::write(&part, serde_json::to_vec(&vector)?)?;
                        std::fs::rename(&part, folder.join(&key))?;
                    }
                    Ok::<(), std::io::Error>(())
                };
                match tokio::task::spawn_blocking(write).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::warn!(%error, "the embeddings cache cannot be written");
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the embeddings cache was not written");
                    }
                }
            }
        }
    }
}

/// The key of a text; the model's name is part of it, or vectors of different models would be mixed.
fn key(model: &str, text: &str) -> String {
    let digest = Sha256::new()
        .chain_update(model)
        .chain_update([0])
        .chain_update(text)
        .finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{HashedWords, embed},
        *,
    };

    fn settings(store: &str) -> CacheSettings {
        CacheSettings {
            store: store.into(),
            key_generator: "md5".into(),
            store_config: Map::new(),
        }
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    async fn remembers(cache: EmbeddingCache) {
        let model = HashedWords::default();
        let vectors = cache.embed(&model, texts(&["a", "b", "a"])).await.unwrap();
        assert_eq!(vectors, [embed("a"), embed("b"), embed("a")]);
        let vectors = cache.embed(&model, texts(&["c", "b"])).await.unwrap();
        assert_eq!(vectors, [embed("c"), embed("b")]);
        assert_eq!(model.requests(), [texts(&["a", "b"]), texts(&["c"])]);
    }

    #[tokio::test]
    async fn memory_remembers() {
        remembers(EmbeddingCache::new(&settings("in_memory")).unwrap()).await;
    }

    #[tokio::test]
    async fn files_remember() {
        let folder = std::env::temp_dir().join(format!(
            "tower-guardrails-embeddings-{}",
            std::process::id()
        ));
        let mut settings = settings("filesystem");
        settings
            .store_config
            .insert("cache_dir".into(), folder.to_str().unwrap().into());
        remembers(EmbeddingCache::new(&settings).unwrap()).await;
        let files: Vec<_> = std::fs::read_dir(&folder).unwrap().collect();
        assert_eq!(files.len(), 3);
        // A broken file is as good as none.
        std::fs::write(folder.join(key("hashed words", "a")), "[1, ").unwrap();
        let model = HashedWords::default();
        let cache = EmbeddingCache::new(&settings).unwrap();
        assert_eq!(
            cache.embed(&model, texts(&["a", "b"])).await.unwrap(),
            [embed("a"), embed("b")]
        );
        assert_eq!(model.requests(), [texts(&["a"])]);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn unknown_stores_are_errors() {
        assert!(EmbeddingCache::new(&settings("redis")).is_err());
        let settings = CacheSettings {
            key_generator: "crc".into(),
            ..settings("in_memory")
        };
        assert!(EmbeddingCache::new(&settings).is_err());
    }
}
