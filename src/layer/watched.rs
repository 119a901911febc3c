//! A reply that rails only watch: it passes as it comes, and the rails read a copy.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};

use super::{
    beside::Beside,
    buffered::Buffered,
    guard::Guard,
    stream::GuardedStream,
    stream_body::{Decoded, Questions},
};
use crate::{error::BoxError, framing::Framing, library::AskContext};

/// A body that passes as it comes.
pub(super) struct WatchedBody<B> {
    upstream: Pin<Box<B>>,
    decoder: Decoded,
    /// None: the body has ended.
    watch: Option<Box<Watch>>,
}

/// The rails at work on a copy.
struct Watch {
    guard: Guard,
    watching: Watching,
    questions: Questions,
}

/// What the rails read.
enum Watching {
    Stream(Box<GuardedStream>),
    /// A body that is not whole yet.
    Collecting(Vec<u8>),
    Body(Box<Buffered>),
    /// Nothing more: it could not be read, or is more than is read.
    Nothing,
}

impl<B> WatchedBody<B> {
    /// A body that is watched: as a stream, where it is one.
    pub(super) fn new(
        guard: Guard,
        ask: AskContext,
        framing: Option<Framing>,
        decoder: Option<Decoded>,
        upstream: B,
    ) -> Self {
        let watching = match (framing, &decoder) {
            (_, None) => Watching::Nothing,
            (Some(framing), _) => {
                Watching::Stream(Box::new(GuardedStream::new(guard.clone(), framing)))
            }
            (None, _) => Watching::Collecting(Vec::new()),
        };
        Self {
            upstream: Box::pin(upstream),
            decoder: decoder.unwrap_or(Decoded::Plain),
            watch: Some(Box::new(Watch {
                guard,
                watching,
                questions: Questions::new(ask),
            })),
        }
    }

    /// Whether nothing more comes.
    pub(super) fn has_ended(&self) -> bool {
        self.watch.is_none()
    }

    /// Notes the end of the body. What rails are still asked they are asked beside: nobody waits for it.
    fn end(&mut self) {
        let Some(mut watch) = self.watch.take() else {
            return;
        };
        let verdict = watch.guard.verdict.clone();
        watch.end();
        let rest = Beside::begin(&verdict, async move {
            poll_fn(|context| watch.poll_verdicts(context)).await;
        });
        rest.into_iter().for_each(Beside::detach);
        verdict.finish();
    }
}

impl Watch {
    fn read(&mut self, decoder: &mut Decoded, piece: Bytes) {
        let watching = &mut self.watching;
        let limit = self.guard.limits.reply_body;
        let mut is_over = false;
        let read = decoder.read(piece, |decoded| match watching {
            Watching::Stream(stream) => {
                stream.push(decoded);
                // What it would have sent is not what the client gets.
                stream.take_output();
            }
            Watching::Collecting(body) => {
                is_over |= body.len() + decoded.len() > limit;
                if !is_over {
                    body.extend_from_slice(&decoded);
                }
            }
            Watching::Body(_) | Watching::Nothing => {}
        });
        if let Err(error) = read {
            tracing::warn!(%error, "a reply that is only watched cannot be read");
            self.watching = Watching::Nothing;
        } else if is_over {
            tracing::warn!(
                limit,
                "a reply that is only watched is larger than what is read"
            );
            self.watching = Watching::Nothing;
        }
    }

    fn end(&mut self) {
        match &mut self.watching {
            Watching::Stream(stream) => stream.finish(),
            Watching::Collecting(body) => {
                let body = std::mem::take(body);
                let body = Buffered::new(self.guard.clone(), false, body.into());
                self.watching = Watching::Body(Box::new(body));
            }
            Watching::Body(_) | Watching::Nothing => {}
        }
    }

    /// Drives the rails; ready where no verdict is out or to come for what was read.
    fn poll_verdicts(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let watching = &mut self.watching;
            let polled = self.questions.poll(
                &self.guard,
                || match watching {
                    Watching::Stream(stream) => stream.next_job(),
                    Watching::Body(body) => body.next_job(),
                    Watching::Collecting(_) | Watching::Nothing => None,
                },
                context,
            );
            let Poll::Ready((tickets, judged)) = polled else {
                return match self.questions.is_running() {
                    true => Poll::Pending,
                    false => Poll::Ready(()),
                };
            };
            match &mut self.watching {
                Watching::Stream(stream) => {
                    stream.job_done(&tickets, judged);
                    stream.take_output();
                }
                Watching::Body(body) => body.job_done(&tickets, judged),
                Watching::Collecting(_) | Watching::Nothing => {}
            }
        }
    }
}

impl<B> WatchedBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    pub(super) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(watch) = &mut self.watch else {
            return Poll::Ready(None);
        };
        let _ = watch.poll_verdicts(context);
        match ready!(self.upstream.as_mut().poll_frame(context)) {
            Some(Ok(frame)) => {
                let frame = frame.map_data(|mut data| data.copy_to_bytes(data.remaining()));
                if let Some(data) = frame.data_ref() {
                    watch.read(&mut self.decoder, data.clone());
                }
                // A server that knows the length asks for no end.
                if self.upstream.is_end_stream() {
                    self.end();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error.into()))),
            None => {
                self.end();
                Poll::Ready(None)
            }
        }
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.upstream.size_hint()
    }
}
