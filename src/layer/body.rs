//! The bodies that the layer hands on: the request's to the inner service, the reply's to the client.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

use super::{
    beside::Beside,
    ending::{Ending, ExchangeEnd},
    guard::Guard,
    stream_body::StreamedBody,
    turn_body::TurnBody,
    watched::WatchedBody,
};
use crate::error::BoxError;

/// The body of a request as the inner service gets it: untouched, or read and checked.
#[pin_project]
pub struct RequestBody<B> {
    /// What was read of the body before the rest.
    read: Option<Bytes>,
    #[pin]
    rest: Rest<B>,
    /// What comes behind both: trailers, or why the body breaks off.
    end: Option<Result<HeaderMap, BoxError>>,
}

#[pin_project(project = RestProjection)]
enum Rest<B> {
    Nothing,
    Untouched(#[pin] B),
    /// What is left of a body that was looked into.
    PartlyRead(Pin<Box<B>>),
}

impl<B: Body> Rest<B> {
    fn body(&self) -> Option<&B> {
        match self {
            Self::Nothing => None,
            Self::Untouched(body) => Some(body),
            Self::PartlyRead(body) => Some(body),
        }
    }
}

impl<B> RequestBody<B> {
    /// A body that was read whole.
    pub(super) fn read(bytes: Bytes) -> Self {
        Self {
            read: Some(bytes).filter(|bytes| !bytes.is_empty()),
            rest: Rest::Nothing,
            end: None,
        }
    }

    /// A body that passes as it came, of which `read` was read before.
    pub(super) fn partly_read(
        read: Bytes,
        rest: Option<Pin<Box<B>>>,
        end: Option<Result<HeaderMap, BoxError>>,
    ) -> Self {
        let rest = rest.map_or(Rest::Nothing, Rest::PartlyRead);
        Self {
            read: Some(read).filter(|bytes| !bytes.is_empty()),
            rest,
            end,
        }
    }

    /// A body that was not read.
    pub(super) fn untouched(body: B) -> Self {
        Self {
            read: None,
            rest: Rest::Untouched(body),
            end: None,
        }
    }
}

impl<B> fmt::Debug for RequestBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let read = self.read.as_ref().map_or(0, Bytes::len);
        f.debug_struct("RequestBody")
            .field("read", &read)
            .field("has_rest", &!matches!(self.rest, Rest::Nothing))
            .finish()
    }
}

impl<B> Body for RequestBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        if let Some(read) = this.read.take() {
            return Poll::Ready(Some(Ok(Frame::data(read))));
        }
        let frame = match this.rest.project() {
            RestProjection::Nothing => {
                let end = this.end.take();
                return Poll::Ready(end.map(|end| end.map(Frame::trailers)));
            }
            RestProjection::Untouched(body) => body.poll_frame(context),
            RestProjection::PartlyRead(body) => body.as_mut().poll_frame(context),
        };
        frame.map(|frame| frame.map(into_bytes))
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_none()
            && self.end.is_none()
            && self.rest.body().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let read = self.read.as_ref().map_or(0, Bytes::len) as u64;
        let rest = self
            .rest
            .body()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(read));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(read));
        }
        hint
    }
}

/// The body of a reply as the client gets it: untouched, checked, or checked as it streams.
#[pin_project]
pub struct ResponseBody<B> {
    #[pin]
    kind: Kind<B>,
    /// Rails that only watch the request, and are not done.
    beside: Option<Beside>,
    /// Where somebody is told: the exchange, which ends with this body.
    ending: Option<Arc<Ending>>,
}

#[pin_project(project = KindProjection)]
enum Kind<B> {
    Untouched(#[pin] B),
    Whole(Option<Bytes>),
    Streamed(Box<StreamedBody<B>>),
    Watched(Box<WatchedBody<B>>),
    /// What a dialogue makes, in one of the other ways.
    OfTurn(Box<ResponseBody<TurnBody>>),
}

impl<B> ResponseBody<B> {
    pub(super) fn untouched(body: B) -> Self {
        Self {
            kind: Kind::Untouched(body),
            beside: None,
            ending: None,
        }
    }

    pub(super) fn whole(bytes: Bytes) -> Self {
        Self {
            kind: Kind::Whole(Some(bytes).filter(|bytes| !bytes.is_empty())),
            beside: None,
            ending: None,
        }
    }

    pub(super) fn streamed(body: StreamedBody<B>) -> Self {
        Self {
            kind: Kind::Streamed(Box::new(body)),
            beside: None,
            ending: None,
        }
    }
}

impl<B: Body> ResponseBody<B>
where
    B::Error: Into<BoxError>,
{
    /// Has `beside` go on with the body: it ends where the body is dropped before its end.
    pub(super) fn with(mut self, beside: Option<Beside>) -> Self {
        self.beside = beside;
        if self.is_end_stream() {
            self.beside.take().into_iter().for_each(Beside::detach);
        }
        self
    }
}

impl<B> ResponseBody<B> {
    pub(super) fn watched(body: WatchedBody<B>) -> Self {
        Self {
            kind: Kind::Watched(Box::new(body)),
            beside: None,
            ending: None,
        }
    }

    /// The same, as the reply of the exchange of `guard`.
    pub(super) fn of(self, guard: &Guard) -> Self {
        self.ending(guard.ending.clone())
    }

    /// The same, as the reply of this exchange.
    pub(super) fn ending(mut self, ending: Option<Arc<Ending>>) -> Self {
        self.ending = ending;
        self
    }

    /// The guarded body of a reply that a dialogue makes.
    pub(super) fn of_turn(mut body: ResponseBody<TurnBody>) -> Self {
        let ending = body.ending.take();
        let beside = body.beside.take();
        Self {
            kind: Kind::OfTurn(Box::new(body)),
            ending,
            beside,
        }
    }

    /// The exchange that this is the reply of.
    pub(super) fn exchange(&self) -> Option<&Arc<Ending>> {
        self.ending.as_ref()
    }
}

impl<B> Kind<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project() {
            KindProjection::Untouched(body) => {
                let frame = ready!(body.poll_frame(context));
                Poll::Ready(frame.map(into_bytes))
            }
            KindProjection::Whole(bytes) => {
                Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))))
            }
            KindProjection::Streamed(body) => body
                .poll_bytes(context)
                .map(|bytes| bytes.map(|bytes| bytes.map(Frame::data))),
            KindProjection::Watched(body) => body.poll_frame(context),
            KindProjection::OfTurn(body) => Pin::new(&mut **body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Untouched(body) => body.is_end_stream(),
            Self::Whole(bytes) => bytes.is_none(),
            Self::Streamed(_) => false,
            Self::Watched(body) => body.has_ended(),
            Self::OfTurn(body) => body.is_end_stream(),
        }
    }
}

impl<B> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Untouched(_) => "ResponseBody(untouched)",
            Kind::Whole(_) => "ResponseBody(whole)",
            Kind::Streamed(_) => "ResponseBody(streamed)",
            Kind::Watched(_) => "ResponseBody(watched)",
            Kind::OfTurn(_) => "ResponseBody(of a turn)",
        })
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        let frame = match this.ending {
            None => ready!(this.kind.as_mut().poll_frame(context)),
            Some(ending) => {
                let kind = &mut this.kind;
                let entered = ending.span().enter();
                let frame = ready!(kind.as_mut().poll_frame(context));
                drop(entered);
                match &frame {
                    Some(Ok(frame)) => {
                        if let Some(bytes) = frame.data_ref() {
                            ending.left(bytes);
                        }
                        // A server that knows the length asks for no end.
                        if kind.is_end_stream() {
                            ending.ended(ExchangeEnd::Complete);
                        }
                    }
                    Some(Err(_)) => ending.ended(ExchangeEnd::BrokeOff),
                    None => ending.ended(ExchangeEnd::Complete),
                }
                frame
            }
        };
        if this.beside.is_some() && (frame.is_none() || this.kind.is_end_stream()) {
            this.beside.take().into_iter().for_each(Beside::detach);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.kind.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Untouched(body) => body.size_hint(),
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Kind::Streamed(_) => SizeHint::new(),
            Kind::Watched(body) => body.size_hint(),
            Kind::OfTurn(body) => body.size_hint(),
        }
    }
}

fn into_bytes<D: Buf, E: Into<BoxError>>(
    frame: Result<Frame<D>, E>,
) -> Result<Frame<Bytes>, BoxError> {
    match frame {
        Ok(frame) => Ok(frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))),
        Err(error) => Err(error.into()),
    }
}
