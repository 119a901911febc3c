//! The knowledge base: Markdown documents, cut into chunks that are found by meaning.

mod chunk;

use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::sync::OnceCell;

pub(crate) use chunk::split;

use crate::{
    embeddings::{IndexItem, SearchIndex},
    error::ModelError,
};

/// How many chunks a turn gets.
pub(crate) const RELEVANT_CHUNKS: usize = 3;

/// A piece of a document: `title` (its headings, joined), `body`, and what the document's head says.
pub type Chunk = Map<String, Value>;

/// A document cannot be cut into chunks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// The block of meta data at the document's head never ends.
    #[error("the block of meta data at the head of the document is not closed")]
    UnclosedMeta,
    /// The block of meta data is no YAML object.
    #[error("the block of meta data at the head of the document is no YAML object")]
    InvalidMeta(#[source] serde_yaml::Error),
}

/// Chunks and the index in which they are searched.
#[derive(Debug)]
pub(crate) struct KnowledgeBase {
    chunks: Vec<Chunk>,
    index: Arc<dyn SearchIndex>,
    built: OnceCell<()>,
}

impl KnowledgeBase {
    /// The chunks of `documents`, to be searched in `index`, which is empty.
    ///
    /// # Errors
    ///
    /// [`DocumentError`] for the first document that cannot be cut.
    pub(crate) fn new<'a>(
        documents: impl IntoIterator<Item = &'a str>,
        index: Arc<dyn SearchIndex>,
    ) -> Result<Self, DocumentError> {
        let mut chunks = Vec::new();
        for document in documents {
            chunks.extend(split(document)?);
        }
        Ok(Self {
            chunks,
            index,
            built: OnceCell::new(),
        })
    }

    /// Fills the index, unless that is done. A search does this too; doing it early makes the first search fast.
    ///
    /// # Errors
    ///
    /// The errors of the index; the next call tries again.
    pub(crate) async fn build(&self) -> Result<(), ModelError> {
        let fill = || async {
            let items = self.chunks.iter().map(|chunk| IndexItem {
                text: text_of(chunk),
                meta: chunk.clone(),
            });
            self.index.add(items.collect()).await
        };
        self.built.get_or_try_init(fill).await.copied()
    }

    /// The at most `max_results` chunks that fit `text` best, the best first.
    ///
    /// # Errors
    ///
    /// The errors of the index.
    pub(crate) async fn search(
        &self,
        text: &str,
        max_results: usize,
    ) -> Result<Vec<Chunk>, ModelError> {
        if self.chunks.is_empty() {
            return Ok(Vec::new());
        }
        self.build().await?;
        let items = self.index.search(text, max_results, None).await?;
        Ok(items.into_iter().map(|item| item.meta).collect())
    }
}

/// What of a chunk is compared: its headings and its text.
fn text_of(chunk: &Chunk) -> String {
    let field = |key| match chunk.get(key) {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
    };
    format!("# {}\n\n{}", field("title"), field("body").trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embeddings::{IndexSettings, VectorIndex, testing::HashedWords};

    #[tokio::test]
    async fn chunks_are_found() {
        let model = Arc::new(HashedWords::default());
        let index = VectorIndex::new(model.clone(), None, IndexSettings::default());
        let documents = [
            "# Lamps\n\nA lamp costs nine euros.\n\n# Desks\n\nA desk is made of oak.",
            "# Empty",
        ];
        let kb = KnowledgeBase::new(documents, Arc::new(index)).unwrap();
        kb.build().await.unwrap();
        let found = kb
            .search("a lamp for nine euros", RELEVANT_CHUNKS)
            .await
            .unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0]["body"], "A lamp costs nine euros.");
        let requests = model.requests();
        assert_eq!(
            requests[0],
            [
                "# Lamps\n\nA lamp costs nine euros.",
                "# Desks\n\nA desk is made of oak."
            ]
        );
        assert_eq!(requests.len(), 2);
    }

    #[tokio::test]
    async fn without_chunks_nothing_is_asked() {
        let model = Arc::new(HashedWords::default());
        let index = VectorIndex::new(model.clone(), None, IndexSettings::default());
        let kb = KnowledgeBase::new(["", "# Only a heading"], Arc::new(index)).unwrap();
        assert!(kb.search("x", 3).await.unwrap().is_empty());
        assert!(model.requests().is_empty());
    }
}
