//! The driver of a guarded stream: reads the upstream, awaits verdicts, hands on what is released.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, Bytes};
use futures_core::future::BoxFuture;
use http_body::Body;
use tokio::time::{Instant, Sleep, sleep};

use super::{
    channels::{Job, Judged, Ticket},
    encoding::Decoder,
    guard::Guard,
    judge::judge_job,
    stream::GuardedStream,
};
use crate::{
    error::BoxError,
    framing::Framing,
    library::AskContext,
    observe::{HAS_METRICS, stream_held},
};

/// How much is released at a time when more is ready.
const BATCH: usize = 32 << 10;

/// How long a client that waits for what is held hears nothing.
const QUIET: Duration = Duration::from_secs(10);

/// A stream under the output rails. Dropping it drops the upstream and the rails that run.
pub(super) struct StreamedBody<B> {
    upstream: Option<Pin<Box<B>>>,
    decoder: Decoded,
    stream: GuardedStream,
    framing: Framing,
    questions: Questions,
    /// When the client is to hear something, if it waits.
    quiet: Option<Pin<Box<Sleep>>>,
    /// Whether it has heard something since that was set.
    has_spoken: bool,
    held: Held,
    error: Option<BoxError>,
}

/// Since when a stream holds what its client could have had, told to whoever listens.
#[derive(Debug, Default)]
struct Held {
    since: Option<Instant>,
}

impl Held {
    fn set(&mut self, is_held: bool) {
        let is_told = HAS_METRICS || tracing::enabled!(tracing::Level::TRACE);
        match (is_held, self.since) {
            (true, None) if is_told => {
                self.since = Some(Instant::now());
                stream_held(None);
                tracing::trace!("guardrails.stream.held");
            }
            (false, Some(since)) => {
                self.since = None;
                let held = since.elapsed();
                stream_held(Some(held));
                tracing::trace!(seconds = held.as_secs_f64(), "guardrails.stream.released");
            }
            _ => {}
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(false);
    }
}

/// How the upstream's bytes are read.
pub(super) enum Decoded {
    /// As they come.
    Plain,
    By(Decoder),
}

/// The question that is out.
pub(super) struct Questions {
    ask: AskContext,
    running: Option<(Vec<Ticket>, BoxFuture<'static, Judged>)>,
}

impl Questions {
    pub(super) fn new(ask: AskContext) -> Self {
        Self { ask, running: None }
    }

    /// Starts what has to be asked, and takes its verdict. Pending: nothing came of it.
    pub(super) fn poll(
        &mut self,
        guard: &Guard,
        next: impl FnOnce() -> Option<Job>,
        context: &mut Context<'_>,
    ) -> Poll<(Vec<Ticket>, Judged)> {
        if self.running.is_none() {
            let Some(job) = next() else {
                return Poll::Pending;
            };
            let tickets = job.pieces.iter().map(|piece| piece.ticket).collect();
            let (guard, ask) = (guard.clone(), self.ask.clone());
            let judging = Box::pin(async move { judge_job(&guard, &ask, &job).await });
            self.running = Some((tickets, judging));
        }
        let Some((_, judging)) = &mut self.running else {
            return Poll::Pending;
        };
        match judging.as_mut().poll(context) {
            Poll::Ready(judged) => {
                let tickets = self.running.take().map(|(tickets, _)| tickets);
                Poll::Ready((tickets.unwrap_or_default(), judged))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// Whether a question is out.
    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }
}

impl<B> StreamedBody<B> {
    /// A guarded stream of `upstream`, of which the decoded bytes `read` were read before.
    pub(super) fn new(
        guard: Guard,
        ask: AskContext,
        framing: Framing,
        decoder: Decoded,
        read: Bytes,
        upstream: Option<Pin<Box<B>>>,
    ) -> Self {
        let mut stream = GuardedStream::new(guard, framing);
        stream.push(read);
        Self {
            upstream,
            decoder,
            stream,
            framing,
            questions: Questions::new(ask),
            quiet: None,
            has_spoken: false,
            held: Held::default(),
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
            if self.stream.output_len() >= BATCH {
                return Poll::Ready(self.take_output());
            }
            let verdicts = self.poll_verdict(context);
            if self.stream.has_read_all() {
                self.upstream = None;
            }
            let read = self.poll_upstream(context);
            if verdicts.is_pending() && read.is_pending() {
                if let Some(bytes) = self.take_output() {
                    return Poll::Ready(Some(bytes));
                }
                if self.stream.has_ended() {
                    return Poll::Ready(self.error.take().map(Err));
                }
                return self.poll_quiet(context);
            }
        }
    }

    fn take_output(&mut self) -> Option<Result<Bytes, BoxError>> {
        let bytes = self.stream.take_output()?;
        self.has_spoken = true;
        self.held.set(false);
        Some(Ok(bytes))
    }

    /// Says something, after a while, to a client that waits for what is held.
    fn poll_quiet(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        self.held.set(self.stream.is_held());
        let Some(heartbeat) = self.stream.heartbeat(self.framing) else {
            return Poll::Pending;
        };
        let quiet = self.quiet.get_or_insert_with(|| Box::pin(sleep(QUIET)));
        if std::mem::take(&mut self.has_spoken) {
            quiet.as_mut().reset(Instant::now() + QUIET);
        }
        match quiet.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                quiet.as_mut().reset(Instant::now() + QUIET);
                Poll::Ready(Some(Ok(heartbeat)))
            }
        }
    }

    fn poll_verdict(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if !self.questions.is_running()
            && let Some(job) = self.stream.next_job()
        {
            let polled = self
                .questions
                .poll(self.stream.guard(), || Some(job), context);
            return self.take_verdict(polled);
        }
        let polled = self.questions.poll(self.stream.guard(), || None, context);
        self.take_verdict(polled)
    }

    fn take_verdict(&mut self, polled: Poll<(Vec<Ticket>, Judged)>) -> Poll<()> {
        polled.map(|(tickets, judged)| self.stream.job_done(&tickets, judged))
    }

    /// Reads one frame. Pending: nothing is to be read now.
    fn poll_upstream(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if !self.stream.wants_input() {
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
                        let length = data.chunk().len();
                        let piece = data.copy_to_bytes(length);
                        if let Err(error) = self.decoder.read(piece, |decoded| {
                            self.stream.push(decoded);
                        }) {
                            self.break_off(error);
                            break;
                        }
                    }
                }
            }
            Some(Err(error)) => self.break_off(error.into()),
            None => {
                let finished = self.decoder.finish(|decoded| self.stream.push(decoded));
                match finished {
                    Ok(()) => {
                        self.upstream = None;
                        self.stream.finish();
                    }
                    Err(error) => self.break_off(error),
                }
            }
        }
        Poll::Ready(())
    }

    fn break_off(&mut self, error: BoxError) {
        tracing::warn!(%error, "a guarded stream broke off");
        self.stream.break_off();
        self.upstream = None;
        self.error = Some(error);
    }
}

impl Decoded {
    /// Reads a piece; what it yields is taken also where it is the last good one.
    pub(super) fn read(
        &mut self,
        piece: Bytes,
        mut take: impl FnMut(Bytes),
    ) -> Result<(), BoxError> {
        match self {
            Self::Plain => {
                take(piece);
                Ok(())
            }
            Self::By(decoder) => {
                let mut decoded = Vec::new();
                let read = decoder.push(&piece, &mut decoded);
                take(decoded.into());
                read.map_err(Into::into)
            }
        }
    }

    /// Notes the end of the upstream.
    pub(super) fn finish(&mut self, mut take: impl FnMut(Bytes)) -> Result<(), BoxError> {
        match self {
            Self::Plain => Ok(()),
            Self::By(decoder) => {
                let mut decoded = Vec::new();
                let finished = decoder.finish(&mut decoded);
                take(decoded.into());
                finished.map_err(Into::into)
            }
        }
    }
}
