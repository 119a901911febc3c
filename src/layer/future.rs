//! The future of a guarded call.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::future::BoxFuture;
use http::Response;
use pin_project::pin_project;

use super::body::ResponseBody;

/// The future of a [`Guardrails`](super::Guardrails) call. Dropping it drops the rails and the inner call.
#[pin_project]
pub struct ResponseFuture<F, R, E> {
    #[pin]
    state: State<F, R, E>,
}

#[pin_project(project = StateProjection)]
enum State<F, R, E> {
    /// A request that is none of the layer's concern: nothing is boxed.
    Untouched(#[pin] F),
    /// A request that may be chat, or is refused.
    Guarded(BoxFuture<'static, Result<Response<ResponseBody<R>>, E>>),
}

impl<F, R, E> ResponseFuture<F, R, E> {
    pub(super) fn untouched(future: F) -> Self {
        Self {
            state: State::Untouched(future),
        }
    }

    pub(super) fn guarded(
        future: impl Future<Output = Result<Response<ResponseBody<R>>, E>> + Send + 'static,
    ) -> Self {
        Self {
            state: State::Guarded(Box::pin(future)),
        }
    }
}

impl<F, R, E> Future for ResponseFuture<F, R, E>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<ResponseBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Untouched(future) => {
                let response = ready!(future.poll(context))?;
                Poll::Ready(Ok(response.map(ResponseBody::untouched)))
            }
            StateProjection::Guarded(future) => future.as_mut().poll(context),
        }
    }
}

impl<F, R, E> fmt::Debug for ResponseFuture<F, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Untouched(_) => "ResponseFuture(untouched)",
            State::Guarded(_) => "ResponseFuture(guarded)",
        })
    }
}
