//! The model behind an endpoint that speaks OpenAI's Chat Completions.

use std::fmt;

use futures_core::{future::BoxFuture, stream::BoxStream};
use futures_util::StreamExt as _;
use http::header::CONTENT_TYPE;

use super::{settings::Settings, stream::ChunkReader};
use crate::{
    error::{ModelError, ModelErrorKind},
    http::{Client, Streaming},
    llm::{Model, ModelChunk, ModelReply, ModelRequest},
};

const PATH: &str = "/chat/completions";

/// A model behind `POST {base_url}/chat/completions`.
pub(super) struct ChatModel {
    settings: std::sync::Arc<Settings>,
    client: Client,
}

impl ChatModel {
    pub(super) fn new(settings: Settings, client: Client) -> Self {
        Self {
            settings: settings.into(),
            client,
        }
    }

    async fn whole(&self, request: ModelRequest) -> Result<ModelReply, ModelError> {
        let settings = &self.settings;
        let endpoint = &settings.endpoint;
        let answer = endpoint
            .post(&self.client, PATH, &settings.body(request, false))
            .await?;
        let payload = answer.json().map_err(|error| endpoint.http_error(error))?;
        settings.reply(payload)
    }

    async fn pieces(
        &self,
        request: ModelRequest,
    ) -> Result<BoxStream<'static, Result<ModelChunk, ModelError>>, ModelError> {
        let settings = &self.settings;
        let endpoint = &settings.endpoint;
        let body = settings.body(request, true);
        let answer = endpoint.post_for_stream(&self.client, PATH, &body).await?;
        if !is_json(&answer) {
            return Ok(ChunkReader::new(settings.clone(), answer)
                .into_stream()
                .boxed());
        }
        let whole = answer.collect(endpoint.limits.max_body_size).await;
        let payload = whole.and_then(|whole| whole.json());
        let reply = settings.reply(payload.map_err(|error| endpoint.http_error(error))?)?;
        Ok(futures_util::stream::iter([Ok(ModelChunk::from(reply))]).boxed())
    }
}

/// Whether a provider that was asked for a stream gave a whole answer.
fn is_json(answer: &Streaming) -> bool {
    let content_type = answer.headers().get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| {
        let end = value.find(';').unwrap_or(value.len());
        value[..end].trim().eq_ignore_ascii_case("application/json")
    })
}

impl Model for ChatModel {
    fn name(&self) -> &str {
        &self.settings.model
    }

    fn provider(&self) -> &str {
        &self.settings.engine
    }

    fn complete(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelReply, ModelError>> {
        Box::pin(self.whole(request))
    }

    fn stream(
        &self,
        request: ModelRequest,
    ) -> BoxFuture<'_, Result<BoxStream<'static, Result<ModelChunk, ModelError>>, ModelError>> {
        Box::pin(self.pieces(request))
    }
}

impl fmt::Debug for ChatModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatModel")
            .field("engine", &self.settings.engine)
            .field("model", &self.settings.model)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// An error for a stream that is not what it should be.
    pub(super) fn invalid_stream(&self, message: &str) -> ModelError {
        self.endpoint
            .error(ModelErrorKind::InvalidResponse, message)
    }
}
