//! Verdicts that are remembered: which texts the asking rails let pass.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

use lru::LruCache;
use sha2::{Digest, Sha256};

/// The most texts that are remembered.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(16_384).expect("not zero");

/// A bounded memory of texts that passed the asking input rails.
///
/// A text is remembered under the rails, their prompts and models, and, where the model is the service under the layer,
/// the client's own key and model: nobody passes by what a model of somebody else's choice said.
#[derive(Debug, Clone)]
pub(super) struct VerdictCache {
    salt: Arc<str>,
    passed: Arc<Mutex<LruCache<[u8; 32], ()>>>,
}

/// What a text is remembered under.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key([u8; 32]);

impl VerdictCache {
    /// An empty memory of rails that are described by `salt`.
    pub(super) fn new(salt: &str) -> Self {
        Self {
            salt: salt.into(),
            passed: Arc::new(Mutex::new(LruCache::new(CAPACITY))),
        }
    }

    /// The key of `text`, for a client described by `client`.
    pub(super) fn key(&self, client: &[Vec<u8>], text: &str) -> Key {
        let mut hash = Sha256::new();
        for part in client
            .iter()
            .map(Vec::as_slice)
            .chain([self.salt.as_bytes(), text.as_bytes()])
        {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Key(hash.finalize().into())
    }

    /// Whether the text passed before.
    pub(super) fn has_passed(&self, key: Key) -> bool {
        self.passed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key.0)
            .is_some()
    }

    /// Remembers that the text passed.
    pub(super) fn remember(&self, key: Key) {
        self.passed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .put(key.0, ());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_remembered_for_its_client_only() {
        let cache = VerdictCache::new("rails");
        let client =
            |key: &str, model: &str| vec![key.as_bytes().to_vec(), model.as_bytes().to_vec()];
        cache.remember(cache.key(&client("key a", "model"), "hello"));
        assert!(cache.has_passed(cache.key(&client("key a", "model"), "hello")));
        assert!(!cache.has_passed(cache.key(&client("key b", "model"), "hello")));
        assert!(!cache.has_passed(cache.key(&client("key amodel", ""), "hello")));
    }
}
