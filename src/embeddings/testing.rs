//! A model of hashed words, for tests: texts are as similar as the words that they share.

use std::sync::Mutex;

use futures_core::future::BoxFuture;
use sha2::{Digest, Sha256};

use super::{Embedding, EmbeddingModel};
use crate::error::ModelError;

/// Gives a text the counts of its words, hashed into a few numbers; remembers what it was asked.
#[derive(Debug, Default)]
pub(crate) struct HashedWords {
    requests: Mutex<Vec<Vec<String>>>,
}

impl HashedWords {
    /// What was asked, request by request.
    pub(crate) fn requests(&self) -> Vec<Vec<String>> {
        self.requests.lock().unwrap().clone()
    }
}

/// The vector of `text`.
pub(crate) fn embed(text: &str) -> Embedding {
    let mut vector = vec![0.0; 128];
    let text = text.to_lowercase();
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    for word in words.filter(|word| !word.is_empty()) {
        vector[usize::from(Sha256::digest(word)[0] % 128)] += 1.0;
    }
    vector
}

impl EmbeddingModel for HashedWords {
    fn name(&self) -> &str {
        "hashed words"
    }

    fn embed(&self, texts: Vec<String>) -> BoxFuture<'_, Result<Vec<Embedding>, ModelError>> {
        let vectors = texts.iter().map(|text| embed(text)).collect();
        self.requests.lock().unwrap().push(texts);
        Box::pin(async move { Ok(vectors) })
    }
}
