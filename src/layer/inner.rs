//! The service under the layer, as a model that rails may ask.

use std::{
    fmt,
    marker::PhantomData,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri, header};
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use tower_service::Service;

use super::{
    body::RequestBody,
    cache::Hasher,
    encoding::{Coding, decode},
};
use crate::{
    error::{BoxError, ModelError, ModelErrorKind},
    llm::{Model, ModelReply, ModelRequest, Usage, provider::ChatBodies},
    wire::{Answer, Question, RequestHead, WireFormat},
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
            body: PhantomData,
        }
    }
}

impl<S, B> InnerModel<S, B> {
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

/// Whether a header belongs to the client's own exchange: to its connection and its body, or to what a gateway does with one request,
/// which is another one than a rail's question.
fn is_exchanges_own(name: &HeaderName) -> bool {
    const NAMES: &[&str] = &[
        "content-length",
        "content-encoding",
        "content-md5",
        "content-digest",
        "digest",
        "repr-digest",
        "transfer-encoding",
        "accept-encoding",
        "accept",
        "expect",
        "range",
        "if-range",
        "if-match",
        "if-none-match",
        "if-modified-since",
        "if-unmodified-since",
        "trailer",
        "te",
        "connection",
        "upgrade",
        "cache-control",
        "pragma",
        "traceparent",
        "tracestate",
        "baggage",
        "b3",
        "x-amzn-trace-id",
        "x-cloud-trace-context",
        "x-portkey-config",
        "x-portkey-metadata",
        "helicone-id",
    ];
    const PARTS: &[&str] = &[
        "idempotency",
        "request-id",
        "correlation-id",
        "trace-id",
        "span-id",
        "session-id",
        "retry-count",
        "cache",
    ];
    let name = name.as_str();
    let is_gateways = name.starts_with("cf-aig-") && name != "cf-aig-authorization";
    is_gateways
        || NAMES.contains(&name)
        || name.starts_with("x-b3-")
        || PARTS.iter().any(|part| name.contains(part))
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
    S::Error: Into<BoxError>,
    B: Send + 'static,
    R: Body + Send,
    R::Data: Send,
    R::Error: Into<BoxError>,
{
    fn name(&self) -> &str {
        &self.model
    }

    fn complete(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelReply, ModelError>> {
        let mut service = self
            .service
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        Box::pin(async move {
            let failed = |kind, message: &str| ModelError::new(kind, self.model.clone(), message);
            let bodies = ChatBodies::new(&self.model)?;
            let (uri, body) = match self.format.model() {
                None => (self.uri.clone(), Bytes::from(bodies.request(request))),
                Some(protocol) => {
                    let asked = protocol.question(&self.head(), &self.question(request))?;
                    let uri = match asked.path {
                        None => self.uri.clone(),
                        Some(path) => with_path(&self.uri, &path).ok_or_else(|| {
                            let message = "the endpoint's path cannot be asked";
                            failed(ModelErrorKind::Configuration, message)
                        })?,
                    };
                    (uri, asked.body)
                }
            };
            let mut http = Request::new(RequestBody::read(body.clone()));
            *http.method_mut() = http::Method::POST;
            *http.uri_mut() = uri;
            *http.headers_mut() = self.headers.clone();
            http.headers_mut()
                .insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
            let transport = |error: BoxError| {
                failed(
                    ModelErrorKind::Connection,
                    "the service under the guardrails failed",
                )
                .with_source(error)
            };
            std::future::poll_fn(|context| service.poll_ready(context))
                .await
                .map_err(|error| transport(error.into()))?;
            let response = service
                .call(http)
                .await
                .map_err(|error| transport(error.into()))?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, self.reply_limit)
                .collect()
                .await
                .map_err(transport)?
                .to_bytes();
            let coding = Coding::of(&parts.headers).map_err(|error| {
                failed(ModelErrorKind::InvalidResponse, &error.to_string()).with_source(error)
            })?;
            let body = decode(coding, &body, self.reply_limit).map_err(|error| {
                failed(ModelErrorKind::InvalidResponse, &error.to_string()).with_source(error)
            })?;
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
        })
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

    fn question(&self, request: ModelRequest) -> Question {
        Question {
            model: self.model.clone(),
            messages: request.messages,
            parameters: request.parameters,
        }
    }
}

/// `uri` with another path and query.
fn with_path(uri: &Uri, path: &str) -> Option<Uri> {
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path.parse().ok()?);
    Uri::from_parts(parts).ok()
}

fn reply_of(answer: Answer) -> ModelReply {
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
