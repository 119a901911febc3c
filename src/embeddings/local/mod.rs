//! Embedding models of the BERT family that run in this process, from a folder or the caches in which Python's libraries keep
//! them: `all-MiniLM-L6-v2` and its like, with the vectors that sentence-transformers give.

mod encoder;
mod folder;

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use futures_core::future::BoxFuture;
use serde_json::{Map, Value};

use self::{encoder::Encoder, folder::Folder};
use super::{Embedding, EmbeddingModel};
use crate::{
    error::{ModelError, ModelErrorKind},
    http::Environment,
};

/// The model `name` in the folder that `parameters`, `name` itself or a cache of model files gives.
///
/// # Errors
///
/// Where there is no such folder, or it holds another kind of model.
pub(super) fn from_config(
    name: &str,
    parameters: &Map<String, Value>,
    environment: Environment<'_>,
) -> Result<Arc<dyn EmbeddingModel>, ModelError> {
    let folder = Folder::find(name, parameters, environment)
        .map_err(|message| ModelError::new(ModelErrorKind::Configuration, name, message))?;
    Ok(Arc::new(LocalModel {
        name: name.to_owned(),
        shared: Arc::new(Shared {
            folder,
            encoder: Mutex::new(None),
        }),
    }))
}

/// A model whose weights are read when it is first asked.
#[derive(Debug)]
struct LocalModel {
    name: String,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: Folder,
    encoder: Mutex<Option<Arc<Encoder>>>,
}

impl Shared {
    fn encoder(&self) -> Result<Arc<Encoder>, encoder::EncoderError> {
        // A panic while the lock is held leaves either no encoder or a whole one.
        let mut encoder = self.encoder.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(encoder) = &*encoder {
            return Ok(Arc::clone(encoder));
        }
        let read = Arc::new(Encoder::read(&self.folder)?);
        *encoder = Some(Arc::clone(&read));
        Ok(read)
    }
}

/// Tells the thread that computes to stop once nobody waits for it.
struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl EmbeddingModel for LocalModel {
    fn name(&self) -> &str {
        &self.name
    }

    fn embed(&self, texts: Vec<String>) -> BoxFuture<'_, Result<Vec<Embedding>, ModelError>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let is_given_up = Arc::new(AtomicBool::new(false));
            let waiting = Waiting(Arc::clone(&is_given_up));
            let work = move || -> Result<Vec<Embedding>, encoder::EncoderError> {
                let encoder = shared.encoder()?;
                let mut vectors = Vec::with_capacity(texts.len());
                for text in &texts {
                    if is_given_up.load(Ordering::Relaxed) {
                        break;
                    }
                    vectors.push(encoder.embed(text)?);
                }
                Ok(vectors)
            };
            let done = match tokio::task::spawn_blocking(work).await {
                Ok(done) => done,
                Err(error) => {
                    let message = "the thread that computes vectors ended";
                    return Err(ModelError::new(
                        ModelErrorKind::Server,
                        self.name.clone(),
                        message,
                    )
                    .with_source(error));
                }
            };
            drop(waiting);
            done.map_err(|error| {
                ModelError::new(
                    ModelErrorKind::Configuration,
                    self.name.clone(),
                    error.to_string(),
                )
                .with_source(error)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn without_weights_the_fault_says_where_they_are_looked_for() {
        let nowhere = |_: &str| None;
        let error = from_config("no-such-model", &Map::new(), &nowhere).unwrap_err();
        for hint in ["no-such-model", "model_path", "base_url"] {
            assert!(error.message.contains(hint), "{}", error.message);
        }
        let parameters = json!({"model_path": "/nowhere/at/all"});
        let error = from_config("m", parameters.as_object().unwrap(), &nowhere).unwrap_err();
        assert!(
            error.message.contains("/nowhere/at/all"),
            "{}",
            error.message
        );
    }

    /// Against vectors of an independent computation (`testdata/minilm.json` says which), where the weights are there.
    #[tokio::test]
    async fn vectors_are_those_of_sentence_transformers() {
        let Some(folder) = std::env::var_os("MINILM_DIR") else {
            return;
        };
        let parameters = json!({"model_path": folder.to_str().unwrap()});
        let model = from_config("all-MiniLM-L6-v2", parameters.as_object().unwrap(), &|_| {
            None
        })
        .unwrap();
        let data: Value = serde_json::from_str(include_str!("testdata/minilm.json")).unwrap();
        let cases = data["cases"].as_array().unwrap();
        let texts = cases
            .iter()
            .map(|case| case["text"].as_str().unwrap().to_owned());
        let vectors = model.embed(texts.collect()).await.unwrap();
        assert_eq!(vectors.len(), cases.len());
        for (case, vector) in cases.iter().zip(&vectors) {
            let expected = case["vector"].as_array().unwrap();
            assert_eq!(vector.len(), expected.len());
            for (found, expected) in vector.iter().zip(expected) {
                let expected = expected.as_f64().unwrap();
                assert!(
                    (f64::from(*found) - expected).abs() < 1e-4,
                    "{}: {found} instead of {expected}",
                    case["text"]
                );
            }
        }
    }
}
