//! A model behind an endpoint.

use std::fmt;

use futures_core::future::BoxFuture;
use serde_json::{Map, Value, json};

use super::Protocol;
use crate::{
    embeddings::{Embedding, EmbeddingModel},
    error::{ModelError, ModelErrorKind},
    http::{Client, Endpoint},
};

/// A model that is asked in batches.
pub(super) struct EndpointModel {
    model: String,
    endpoint: Endpoint,
    protocol: Protocol,
    batch: usize,
    body: Map<String, Value>,
    client: Client,
}

impl EndpointModel {
    pub(super) fn new(
        model: String,
        endpoint: Endpoint,
        protocol: Protocol,
        batch: usize,
        body: Map<String, Value>,
        client: Client,
    ) -> Self {
        Self {
            model,
            endpoint,
            protocol,
            batch,
            body,
            client,
        }
    }

    async fn all(&self, texts: Vec<String>) -> Result<Vec<Embedding>, ModelError> {
        let mut vectors = Vec::with_capacity(texts.len());
        for batch in texts.chunks(self.batch) {
            let body = self.request(batch);
            let answer = self
                .endpoint
                .post(&self.client, &self.path(), &body)
                .await?;
            let answer: Value = answer
                .json()
                .map_err(|error| self.endpoint.http_error(error))?;
            let read = read(self.protocol, &answer, batch.len());
            let invalid = || {
                self.endpoint.error(
                    ModelErrorKind::InvalidResponse,
                    "the answer has not one vector a text",
                )
            };
            vectors.extend(read.ok_or_else(invalid)?);
        }
        Ok(vectors)
    }

    fn path(&self) -> String {
        match self.protocol {
            Protocol::OpenAi => "/embeddings".to_owned(),
            Protocol::Cohere => "/embed".to_owned(),
            Protocol::Google => format!("/models/{}:batchEmbedContents", self.short_name()),
        }
    }

    fn short_name(&self) -> &str {
        self.model.strip_prefix("models/").unwrap_or(&self.model)
    }

    fn request(&self, texts: &[String]) -> Value {
        let mut body = match self.protocol {
            Protocol::OpenAi => json!({"input": texts, "model": self.model}),
            Protocol::Cohere => json!({"texts": texts, "model": self.model}),
            Protocol::Google => return self.google_request(texts),
        };
        if let Some(body) = body.as_object_mut() {
            body.extend(self.body.clone());
        }
        body
    }

    fn google_request(&self, texts: &[String]) -> Value {
        let model = format!("models/{}", self.short_name());
        let requests = texts.iter().map(|text| {
            let mut request = Map::new();
            request.insert("model".to_owned(), model.clone().into());
            request.insert("content".to_owned(), json!({"parts": [{"text": text}]}));
            for (key, value) in &self.body {
                let key = if key == "output_dimensionality" {
                    "outputDimensionality"
                } else {
                    key
                };
                request.insert(key.to_owned(), value.clone());
            }
            Value::Object(request)
        });
        json!({"requests": requests.collect::<Vec<_>>()})
    }
}

/// The vectors of an answer, in the order of the texts; none unless there is one a text.
fn read(protocol: Protocol, answer: &Value, count: usize) -> Option<Vec<Embedding>> {
    let list = match protocol {
        Protocol::OpenAi => answer.get("data"),
        Protocol::Cohere | Protocol::Google => answer.get("embeddings"),
    };
    let list = list?.as_array().filter(|list| list.len() == count)?;
    let mut vectors = vec![None; count];
    for (position, item) in list.iter().enumerate() {
        let (index, numbers) = match protocol {
            Protocol::OpenAi => {
                let index = item.get("index").and_then(Value::as_u64);
                let index = index.map_or(Some(position), |index| usize::try_from(index).ok())?;
                (index, item.get("embedding")?)
            }
            Protocol::Cohere => (position, item),
            Protocol::Google => (position, item.get("values")?),
        };
        let numbers = numbers
            .as_array()?
            .iter()
            .map(|number| number.as_f64().map(|number| number as f32));
        *vectors.get_mut(index)? = Some(numbers.collect::<Option<Embedding>>()?);
    }
    vectors.into_iter().collect()
}

impl EmbeddingModel for EndpointModel {
    fn name(&self) -> &str {
        &self.model
    }

    fn embed(&self, texts: Vec<String>) -> BoxFuture<'_, Result<Vec<Embedding>, ModelError>> {
        Box::pin(self.all(texts))
    }
}

impl fmt::Debug for EndpointModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointModel")
            .field("model", &self.model)
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}
