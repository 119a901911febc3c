//! The service under the layer, as a model that rails and dialogues may ask.

use std::{
    fmt,
    marker::PhantomData,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use futures_core::{future::BoxFuture, stream::BoxStream};
use http::{HeaderMap, HeaderValue, Request, Response, Uri, header, response::Parts};
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use serde_json::{Map, Value};
use tower_service::Service;

use super::{
    body::RequestBody,
    cache::Hasher,
    encoding::{Coding, decode},
    inner_headers::is_exchanges_own,
    inner_stream::{Pieces, framing_of},
    tally::{Failure, Tally},
};
use crate::{
    error::{BoxError, ModelError, ModelErrorKind},
    llm::{Model, ModelChunk, ModelReply, ModelRequest, Usage, provider::ChatBodies},
    wire::{Answer, Question, RequestHead, WireFormat, add_own},
};

/// The inner service, asked with the client's own headers and model.
pub(super) struct InnerModel<S, B> {
    service: Mutex<S>,
    /// Whose language the endpoint speaks.
    format: Arc<dyn WireFormat>,
    uri: Uri,
    headers: HeaderMap,
    model: String,
    reply_limit: usize,
    /// What the client's request says beside, which every question repeats.
    own: Map<String, Value>,
    /// What a dialogue's questions took, and which of them failed.
    tally: Option<Arc<Tally>>,
    body: PhantomData<fn(B)>,
}

impl<S, B> InnerModel<S, B> {
    /// A model that is asked at `uri`, with the client's `headers`.
    pub(super) fn new(
        service: S,
        format: Arc<dyn WireFormat>,
        uri: Uri,
        client: &HeaderMap,
        model: String,
        reply_limit: usize,
    ) -> Self {
        let mut headers = client.clone();
        let own: Vec<_> = client
            .keys()
            .filter(|name| is_exchanges_own(name))
            .collect();
        for name in own {
            headers.remove(name);
        }
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        Self {
            service: Mutex::new(service),
            format,
            uri,
            headers,
            model,
            reply_limit,
            own: Map::new(),
            tally: None,
            body: PhantomData,
        }
    }

    /// The same, asked by a dialogue: with what the client's request says beside, and counted in `tally`.
    pub(super) fn for_dialogue(self, own: Map<String, Value>, tally: &Arc<Tally>) -> Self {
        Self {
            own,
            tally: Some(Arc::clone(tally)),
            ..self
        }
    }

    /// Adds all that chooses the model and its answer to what verdicts are remembered under.
    pub(super) fn add_to(&self, hasher: &mut Hasher) {
        hasher.add(self.uri.to_string().as_bytes());
        hasher.add(self.model.as_bytes());
        for (name, value) in &self.headers {
            hasher.add(name.as_str().as_bytes());
            hasher.add(value.as_bytes());
        }
    }
}

impl<S, B> fmt::Debug for InnerModel<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InnerModel")
            .field("model", &self.model)
            .field("path", &self.uri.path())
            .finish_non_exhaustive()
    }
}

impl<S, B, R> Model for InnerModel<S, B>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError> + Send,
    B: Send + 'static,
    R: Body + Send + 'static,
    R::Data: Send,
    R::Error: Into<BoxError>,
{
    fn name(&self) -> &str {
        &self.model
    }

    fn complete(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelReply, ModelError>> {
        let service = self.service();
        Box::pin(async move {
            let bodies = ChatBodies::new(&self.model)?;
            let response = self.ask(service, &bodies, request, false).await?;
            self.whole(&bodies, response).await
        })
    }

    fn stream(
        &self,
        request: ModelRequest,
    ) -> BoxFuture<'_, Result<BoxStream<'static, Result<ModelChunk, ModelError>>, ModelError>> {
        let service = self.service();
        Box::pin(async move {
            let bodies = ChatBodies::new(&self.model)?;
            let streams = match self.format.model() {
                None => true,
                Some(protocol) => protocol.streams(&self.head()),
            };
            let response = self.ask(service, &bodies, request, streams).await?;
            let framing = match response.status().is_success() && streams {
                true => framing_of(&*self.format, response.headers()),
                false => None,
            };
            let Some(framing) = framing else {
                let reply = self.whole(&bodies, response).await?;
                let once = std::future::ready(Ok(ModelChunk::from(reply)));
                let stream: BoxStream<'static, _> = Box::pin(futures_util::stream::once(once));
                return Ok(stream);
            };
            let (parts, body) = response.into_parts();
            let coding = Coding::of(&parts.headers).map_err(|error| self.unreadable(error))?;
            let pieces = Pieces::new(
                Arc::clone(&self.format),
                bodies,
                framing,
                coding,
                body,
                self.reply_limit,
                self.tally.clone(),
            );
            let pieces = pieces.map_err(|error| self.unreadable(error))?;
            let stream: BoxStream<'static, _> = Box::pin(pieces.into_stream());
            Ok(stream)
        })
    }
}

impl<S: Clone, B> InnerModel<S, B> {
    fn service(&self) -> S {
        let service = self.service.lock();
        service.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<S, B> InnerModel<S, B> {
    fn head(&self) -> RequestHead<'_> {
        RequestHead {
            method: &http::Method::POST,
            uri: &self.uri,
            headers: &self.headers,
        }
    }

    fn failed(&self, kind: ModelErrorKind, message: impl Into<String>) -> ModelError {
        ModelError::new(kind, self.model.clone(), message)
    }

    fn unreadable(&self, error: impl std::error::Error + Send + Sync + 'static) -> ModelError {
        self.failed(ModelErrorKind::InvalidResponse, error.to_string())
            .with_source(error)
    }

    /// Where `request` is asked, and with which body.
    fn question(
        &self,
        bodies: &ChatBodies,
        request: ModelRequest,
        stream: bool,
    ) -> Result<(Uri, Bytes), ModelError> {
        let Some(protocol) = self.format.model() else {
            let mut body = bodies.request(request, stream);
            add_own(&mut body, &self.own);
            let body = Value::Object(body).to_string();
            return Ok((self.uri.clone(), body.into()));
        };
        let question = Question {
            model: self.model.clone(),
            messages: request.messages,
            parameters: request.parameters,
            own: self.own.clone(),
            stream,
        };
        let asked = protocol.question(&self.head(), &question)?;
        let uri = match asked.path {
            None => self.uri.clone(),
            Some(path) => with_path(&self.uri, &path).ok_or_else(|| {
                let message = "the endpoint's path cannot be asked";
                self.failed(ModelErrorKind::Configuration, message)
            })?,
        };
        Ok((uri, asked.body))
    }

    async fn ask<R>(
        &self,
        mut service: S,
        bodies: &ChatBodies,
        request: ModelRequest,
        stream: bool,
    ) -> Result<Response<R>, ModelError>
    where
        S: Service<Request<RequestBody<B>>, Response = Response<R>> + 'static,
        S::Error: Into<BoxError> + Send,
        B: 'static,
    {
        let (uri, body) = self.question(bodies, request, stream)?;
        let mut http = Request::new(RequestBody::read(body.clone()));
        *http.method_mut() = http::Method::POST;
        *http.uri_mut() = uri;
        *http.headers_mut() = self.headers.clone();
        http.headers_mut()
            .insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        let ready = std::future::poll_fn(|context| service.poll_ready(context)).await;
        let answered = match ready {
            Ok(()) => service.call(http).await,
            Err(error) => Err(error),
        };
        answered.map_err(|error| {
            let message = "the service under the guardrails failed";
            let failed = self.failed(ModelErrorKind::Connection, message);
            match &self.tally {
                // The caller gets the error itself.
                Some(tally) => {
                    tally.fail(Failure::Service(Box::new(error)));
                    failed
                }
                None => failed.with_source(error.into()),
            }
        })
    }

    /// Reads a whole answer.
    async fn whole<R>(
        &self,
        bodies: &ChatBodies,
        response: Response<R>,
    ) -> Result<ModelReply, ModelError>
    where
        R: Body,
        R::Error: Into<BoxError>,
    {
        let (parts, body) = response.into_parts();
        let raw = Limited::new(body, self.reply_limit)
            .collect()
            .await
            .map_err(|error| {
                let message = "the service under the guardrails failed";
                self.failed(ModelErrorKind::Connection, message)
                    .with_source(error)
            })?
            .to_bytes();
        let reply = self.read(bodies, &parts, &raw);
        match (&self.tally, &reply) {
            (Some(tally), Ok(reply)) => tally.count(reply.usage),
            (Some(tally), Err(_)) if !parts.status.is_success() => {
                tally.fail(Failure::Answered(Response::from_parts(parts, raw)));
            }
            _ => {}
        }
        reply
    }

    fn read(
        &self,
        bodies: &ChatBodies,
        parts: &Parts,
        raw: &Bytes,
    ) -> Result<ModelReply, ModelError> {
        let coding = Coding::of(&parts.headers).map_err(|error| self.unreadable(error))?;
        let body = decode(coding, raw, self.reply_limit).map_err(|error| self.unreadable(error))?;
        match self.format.model() {
            None => bodies.reply(parts.status, &body),
            Some(protocol) => match protocol.answer(parts.status, &body) {
                Ok(answer) => Ok(reply_of(answer)),
                Err(mut error) => {
                    error.model.clone_from(&self.model);
                    Err(error)
                }
            },
        }
    }
}

/// `uri` with another path and query.
fn with_path(uri: &Uri, path: &str) -> Option<Uri> {
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path.parse().ok()?);
    Uri::from_parts(parts).ok()
}

pub(super) fn reply_of(answer: Answer) -> ModelReply {
    let usage = answer.tokens.map(|(read, written)| Usage {
        prompt_tokens: read,
        completion_tokens: written,
        total_tokens: read.saturating_add(written),
    });
    ModelReply {
        content: answer.content,
        reasoning: answer.reasoning,
        tool_calls: answer.tool_calls,
        finish_reason: answer.finish_reason,
        usage,
        ..ModelReply::default()
    }
}
