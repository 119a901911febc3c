//! The model behind an endpoint that speaks OpenAI's Chat Completions.

use std::fmt;

use futures_core::{future::BoxFuture, stream::BoxStream};
use futures_util::StreamExt as _;
use http::header::CONTENT_TYPE;

use super::{settings::Settings, stream::ChunkReader};
use crate::{
    error::{ModelError, ModelErrorKind},
    http::{Client, HttpError, Request, Streaming},
    llm::{Model, ModelChunk, ModelReply, ModelRequest},
};

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

    fn request(&self, request: ModelRequest, stream: bool) -> Result<Request, ModelError> {
        let settings = &self.settings;
        let url = format!("{}/chat/completions", settings.base_url);
        let body = settings.body(request, stream);
        let build = || {
            let mut outgoing = Request::post_json(&url, &body)?;
            for (name, value) in &settings.query {
                outgoing = outgoing.query(name, value.expose());
            }
            if stream {
                outgoing = outgoing.header("accept", "text/event-stream")?;
            }
            if let Some(key) = settings.bearer.as_ref().filter(|key| !key.is_empty()) {
                outgoing = outgoing.bearer(key)?;
            }
            for (name, value) in &settings.headers {
                outgoing = outgoing.header(name, value.expose())?;
            }
            Ok(outgoing)
        };
        build().map_err(|error: HttpError| settings.http_error(error))
    }

    async fn whole(&self, request: ModelRequest) -> Result<ModelReply, ModelError> {
        let outgoing = self.request(request, false)?;
        let settings = &self.settings;
        let answer = self.client.send(&outgoing, &settings.limits).await;
        let answer = answer.map_err(|error| settings.http_error(error))?;
        let payload = answer.json().map_err(|error| settings.http_error(error))?;
        settings.reply(payload)
    }

    async fn pieces(
        &self,
        request: ModelRequest,
    ) -> Result<BoxStream<'static, Result<ModelChunk, ModelError>>, ModelError> {
        let outgoing = self.request(request, true)?;
        let settings = &self.settings;
        let answer = self.client.stream(&outgoing, &settings.limits).await;
        let answer = answer.map_err(|error| settings.http_error(error))?;
        if is_json(&answer) {
            let whole = answer.collect(settings.limits.max_body_size).await;
            let payload = whole.and_then(|whole| whole.json());
            let reply = settings.reply(payload.map_err(|error| settings.http_error(error))?)?;
            return Ok(futures_util::stream::iter([Ok(ModelChunk::from(reply))]).boxed());
        }
        Ok(ChunkReader::new(settings.clone(), answer)
            .into_stream()
            .boxed())
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
        self.error(ModelErrorKind::InvalidResponse, message)
    }
}
