//! The service: which way a request takes.

use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;
use tracing::{Instrument as _, Span};

use super::{
    body::{RequestBody, ResponseBody},
    ending::Origin,
    exchange::{Sought, default_format, guarded, refused},
    future::ResponseFuture,
    headers::told,
    route::Route,
    watch::LiveSettings,
};
use crate::error::BoxError;

/// The service of a [`GuardrailsLayer`](super::GuardrailsLayer). See the [module docs](super).
#[derive(Debug, Clone)]
pub struct Guardrails<S> {
    inner: S,
    settings: LiveSettings,
}

impl<S> Guardrails<S> {
    pub(super) fn new(inner: S, settings: LiveSettings) -> Self {
        Self { inner, settings }
    }

    /// The service under the guardrails.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service under the guardrails.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Takes the guardrails off.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for Guardrails<S>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError> + Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
    R: Body + Send + 'static,
    R::Data: Send,
    R::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, R, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let settings = self.settings.current();
        let sought = match settings.route(&request) {
            Route::Chat(format) => Sought::Known(format),
            Route::Stored(format) => Sought::Stored(format),
            Route::ByShape(endpoint) => Sought::ByShape(endpoint),
            Route::Untouched => {
                let request = request.map(RequestBody::untouched);
                return ResponseFuture::untouched(self.inner.call(request));
            }
            Route::Refused(refusal) => {
                let origin = Origin::of(&settings.observers, &request);
                let guard = settings.guard(default_format(), origin);
                let answer = refused(guard, refusal, request.into_body());
                return ResponseFuture::guarded(async move { answer.await.map(told) });
            }
        };
        let origin = Origin::of(&settings.observers, &request);
        let span = origin.as_ref().map_or_else(Span::none, Origin::span);
        // The clone is the one that is not ready.
        let clone = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, clone);
        let answer = guarded(settings, ready, request, sought, origin);
        ResponseFuture::guarded(async move { answer.await.map(told) }.instrument(span))
    }
}
