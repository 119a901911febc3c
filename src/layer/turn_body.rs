//! The body of a reply that a dialogue makes: whole, or as the turn goes on.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::stream::BoxStream;
use http_body::{Body, Frame};

/// The body of a reply that a dialogue makes. Dropping it drops the turn.
pub(super) struct TurnBody(BoxStream<'static, Bytes>);

impl TurnBody {
    /// A body that is known.
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self(Box::pin(futures_util::stream::iter([bytes])))
    }

    /// A body that comes as the turn goes on.
    pub(super) fn streamed(stream: BoxStream<'static, Bytes>) -> Self {
        Self(stream)
    }
}

impl Body for TurnBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let next = ready!(self.0.as_mut().poll_next(context));
        Poll::Ready(next.map(|bytes| Ok(Frame::data(bytes))))
    }
}
