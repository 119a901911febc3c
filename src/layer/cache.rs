//! Verdicts that are remembered: which texts the asking rails let pass.

use std::{
    fmt,
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
/// under all that chooses it and its answer: nobody passes by what a model of somebody else's choice said.
#[derive(Debug, Clone)]
pub(super) struct VerdictCache {
    rails: Hasher,
    passed: Arc<Mutex<LruCache<[u8; 32], ()>>>,
}

/// What a text is remembered under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 32]);

impl Key {
    /// The key as text.
    pub(super) fn to_hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A key in the making.
#[derive(Clone)]
pub(super) struct Hasher(Sha256);

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher(..)")
    }
}

impl Hasher {
    /// Adds a part. Parts cannot run into each other.
    pub(super) fn add(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    /// The key of all parts.
    pub(super) fn key(self) -> Key {
        Key(self.0.finalize().into())
    }
}

impl VerdictCache {
    /// An empty memory of rails that are described by `salt`.
    pub(super) fn new(salt: &str) -> Self {
        let mut rails = Hasher(Sha256::new());
        rails.add(salt.as_bytes());
        Self {
            rails,
            passed: Arc::new(Mutex::new(LruCache::new(CAPACITY))),
        }
    }

    /// The beginning of all keys: the rails.
    pub(super) fn hasher(&self) -> Hasher {
        self.rails.clone()
    }

    /// Whether the text passed before.
    pub(super) fn has_passed(&self, key: Key) -> bool {
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        let has_passed = passed.get(&key.0).is_some();
        crate::observe::cache_asked("verdicts", has_passed);
        has_passed
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
        let key = |parts: &[&str]| {
            let mut hasher = cache.hasher();
            parts.iter().for_each(|part| hasher.add(part.as_bytes()));
            hasher.key()
        };
        cache.remember(key(&["key a", "model", "hello"]));
        assert!(cache.has_passed(key(&["key a", "model", "hello"])));
        assert!(!cache.has_passed(key(&["key b", "model", "hello"])));
        assert!(!cache.has_passed(key(&["key amodel", "", "hello"])));
        assert!(!cache.has_passed(key(&["key a", "modelhello"])));
    }
}
