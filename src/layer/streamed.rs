//! The driver of a guarded stream: reads the upstream, awaits verdicts, hands on what is released.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use futures_core::future::BoxFuture;
use http_body::Body;

use super::{
    encoding::Decoder,
    events::Events,
    guard::Guard,
    judge::judge_job,
    tracks::{Job, Ticket},
};
use crate::{error::BoxError, framing::Framing, library::AskContext, rails::Checked};

/// How much is released at a time when more is ready.
const BATCH: usize = 32 << 10;

/// A stream under the output rails. Dropping it drops the upstream and the rails that run.
pub(super) struct StreamedBody<B> {
    upstream: Option<Pin<Box<B>>>,
    decoder: Decoder,
    decoded: Vec<u8>,
    events: Events,
    ask: AskContext,
    running: Option<(Ticket, BoxFuture<'static, Checked>)>,
    error: Option<BoxError>,
}

impl<B> StreamedBody<B> {
    /// A guarded stream of `upstream`, of which the decoded bytes `read` were read before.
    pub(super) fn new(
        guard: Guard,
        ask: AskContext,
        framing: Framing,
        decoder: Decoder,
        read: &[u8],
        upstream: Option<Pin<Box<B>>>,
    ) -> Self {
        let mut events = Events::new(guard, framing);
        if !read.is_empty() {
            events.push(read);
        }
        Self {
            upstream,
            decoder,
            decoded: Vec::new(),
            events,
            ask,
            running: None,
            error: None,
        }
    }
}

impl<B> StreamedBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    pub(super) fn poll_bytes(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BoxError>>> {
        loop {
            if self.events.output_len() >= BATCH {
                return Poll::Ready(self.events.take_output().map(Ok));
            }
            let verdicts = self.poll_verdict(context);
            if self.events.has_read_all() {
                self.upstream = None;
            }
            let read = self.poll_upstream(context);
            if verdicts.is_pending() && read.is_pending() {
                if let Some(bytes) = self.events.take_output() {
                    return Poll::Ready(Some(Ok(bytes)));
                }
                if self.events.has_ended() {
                    return Poll::Ready(self.error.take().map(Err));
                }
                return Poll::Pending;
            }
        }
    }

    /// Starts what has to be asked, and takes its verdict. Pending: nothing came of it.
    fn poll_verdict(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.running.is_none() {
            let Some(job) = self.events.next_job() else {
                return Poll::Pending;
            };
            self.running = Some((job.ticket, ask(self.events.guard(), self.ask.clone(), job)));
        }
        let Some((ticket, future)) = &mut self.running else {
            return Poll::Pending;
        };
        match future.as_mut().poll(context) {
            Poll::Ready(checked) => {
                let ticket = *ticket;
                self.running = None;
                self.events.job_done(ticket, checked);
                Poll::Ready(())
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// Reads one frame. Pending: nothing is to be read now.
    fn poll_upstream(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if !self.events.wants_input() {
            return Poll::Pending;
        }
        let frame = match &mut self.upstream {
            Some(upstream) => match upstream.as_mut().poll_frame(context) {
                Poll::Ready(frame) => frame,
                Poll::Pending => return Poll::Pending,
            },
            None => None,
        };
        match frame {
            // Trailers are dropped: they could carry text that no rail has read.
            Some(Ok(frame)) => {
                if let Ok(mut data) = frame.into_data() {
                    while data.has_remaining() {
                        let piece = data.chunk();
                        let length = piece.len();
                        let decoded = self.decoder.push(piece, &mut self.decoded);
                        data.advance(length);
                        self.take_decoded(decoded.map_err(Into::into));
                    }
                }
            }
            Some(Err(error)) => self.take_decoded(Err(error.into())),
            None => {
                let decoded = self.decoder.finish(&mut self.decoded);
                self.take_decoded(decoded.map_err(Into::into));
                self.upstream = None;
                self.events.finish();
            }
        }
        Poll::Ready(())
    }

    fn take_decoded(&mut self, decoded: Result<(), BoxError>) {
        self.events.push(&self.decoded);
        self.decoded.clear();
        if let Err(error) = decoded {
            tracing::warn!(%error, "a guarded stream broke off");
            self.events.break_off();
            self.upstream = None;
            self.error = Some(error);
        }
    }
}

fn ask(guard: &Guard, context: AskContext, job: Job) -> BoxFuture<'static, Checked> {
    let guard = guard.clone();
    Box::pin(async move { judge_job(&guard, &context, &job).await })
}
