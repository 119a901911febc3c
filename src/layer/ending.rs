//! What is told of an exchange once it has ended: its reply has left, or its client has.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use http::{Method, Request, StatusCode};
use sha2::{Digest, Sha256};
use tracing::{Span, field};

use crate::{observe, verdict::GuardrailsVerdict, wire::RequestFacts};

/// An exchange that has ended.
///
/// [`GuardrailsLayer::on_verdict`](super::GuardrailsLayer::on_verdict) is given one for each guarded request, whatever became of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ExchangeReport {
    /// Which rails ran, and what they decided.
    pub verdict: GuardrailsVerdict,
    /// What became of it.
    pub conclusion: Conclusion,
    /// How it ended.
    pub end: ExchangeEnd,
    /// When it began.
    pub began: SystemTime,
    /// From the request's head to the reply's last byte.
    pub duration: Duration,
    /// What the layer added until the reply began: without the time that the client took to send its request, and without the inner
    /// service's until its reply began, or was there where it is judged whole.
    pub added: Duration,
    /// The wire format's name.
    pub format: &'static str,
    /// The request's method.
    pub method: Method,
    /// The request's path, without its query.
    pub path: String,
    /// The model that the request asks for, as the client wrote it.
    pub model: Option<String>,
    /// Whether the client asked for a stream.
    pub stream: bool,
    /// The reply's status; none where the client left before, or the inner service failed.
    pub status: Option<StatusCode>,
    pub(super) content: Option<Content>,
}

/// What became of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Conclusion {
    /// Everything passed as it came.
    Allowed,
    /// Rails rewrote something, and it passed.
    Changed,
    /// A rail that only monitors would have blocked or rewritten; it passed as it came.
    Monitored,
    /// A rail blocked, or failed and so blocked, the request, the reply or a part of it.
    Blocked,
    /// The layer refused the request or the reply: it could not be read, or was over a limit.
    Refused,
}

impl Conclusion {
    /// What `verdict` comes to.
    pub(super) fn of(verdict: &GuardrailsVerdict) -> Self {
        match () {
            () if verdict.is_blocked() => Self::Blocked,
            () if verdict.refused().is_some() => Self::Refused,
            () if verdict.is_modified() => Self::Changed,
            () if verdict.would_act() => Self::Monitored,
            () => Self::Allowed,
        }
    }

    /// Its name in logs, metrics and headers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Changed => "changed",
            Self::Monitored => "monitored",
            Self::Blocked => "blocked",
            Self::Refused => "refused",
        }
    }
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ExchangeEnd {
    /// The whole reply was handed on.
    Complete,
    /// The reply broke off.
    BrokeOff,
    /// The client left, or the inner service failed, before the reply had been handed on.
    Left,
}

/// What was said, for a log that has to prove it.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    pub(super) request: Recorded,
    pub(super) reply: Recorded,
}

/// Bytes, as far as a log keeps them.
#[derive(Clone, Default)]
pub(super) struct Recorded {
    pub(super) length: u64,
    pub(super) hash: Sha256,
    /// The beginning of the text itself, where it is asked for.
    pub(super) text: Option<Vec<u8>>,
}

/// The most bytes of a text that are kept for a log.
const KEPT: usize = 64 << 10;

impl Recorded {
    fn add(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.hash.update(bytes);
        if let Some(text) = &mut self.text {
            let room = KEPT.saturating_sub(text.len()).min(bytes.len());
            text.extend_from_slice(bytes.get(..room).unwrap_or_default());
        }
    }
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorded")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// How much of what is said is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Recording {
    #[default]
    Nothing,
    Hashes,
    Text,
}

type Observer = Arc<dyn Fn(&ExchangeReport) + Send + Sync>;

/// Who is told of exchanges.
#[derive(Clone, Default)]
pub(super) struct Observers {
    told: Vec<Observer>,
    pub(super) recording: Recording,
    /// Whether clients are told by headers.
    pub(super) headers: bool,
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observers")
            .field("told", &self.told.len())
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

impl Observers {
    pub(super) fn add(&mut self, told: Observer) {
        self.told.push(told);
    }
}

/// What is known of a request before it is read.
#[derive(Debug)]
pub(super) struct Origin {
    method: Method,
    path: String,
    began: SystemTime,
    clock: Instant,
    /// How long the client took to send its body.
    waited: Duration,
    span: Span,
}

impl Origin {
    /// That of `request`; none where nobody is told of exchanges.
    pub(super) fn of<B>(observers: &Arc<Observers>, request: &Request<B>) -> Option<Self> {
        let span = tracing::debug_span!(
            "guardrails.request",
            otel.kind = "server",
            gen_ai.operation.name = "guardrails",
            gen_ai.request.model = field::Empty,
            gen_ai.request.stream = field::Empty,
            http.request.method = %request.method(),
            url.path = request.uri().path(),
            http.response.status_code = field::Empty,
            guardrails.format = field::Empty,
            guardrails.conclusion = field::Empty,
            guardrails.end = field::Empty,
            rail.name = field::Empty,
            error.r#type = field::Empty,
        );
        let is_told = !span.is_disabled()
            || !observers.told.is_empty()
            || observers.headers
            || observe::HAS_METRICS;
        is_told.then(|| Self {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            began: SystemTime::now(),
            clock: Instant::now(),
            waited: Duration::ZERO,
            span,
        })
    }

    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }

    /// Notes that the request has been read.
    pub(super) fn has_been_read(&mut self) {
        self.waited = self.clock.elapsed();
    }
}

/// An exchange under way. Whoever works on it holds it; once nobody does, it has ended, and is told of.
pub(super) struct Ending {
    observers: Arc<Observers>,
    verdict: GuardrailsVerdict,
    format: &'static str,
    origin: Origin,
    facts: Mutex<Facts>,
    status: AtomicU64,
    end: AtomicU8,
    /// Nanoseconds that the inner service took until its reply began.
    inner: AtomicU64,
    /// Nanoseconds until the reply began.
    answered: AtomicU64,
}

#[derive(Debug, Default)]
struct Facts {
    model: Option<String>,
    stream: bool,
    content: Option<Content>,
}

impl fmt::Debug for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ending")
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Ending {
    pub(super) fn new(
        observers: Arc<Observers>,
        verdict: GuardrailsVerdict,
        format: &'static str,
        origin: Origin,
    ) -> Self {
        observe::exchange_began();
        origin.span.record("guardrails.format", format);
        Self {
            observers,
            verdict,
            format,
            origin,
            facts: Mutex::default(),
            status: AtomicU64::new(0),
            end: AtomicU8::new(0),
            inner: AtomicU64::new(0),
            answered: AtomicU64::new(0),
        }
    }

    /// Notes what the request asks for, and its body.
    pub(super) fn read(&self, facts: &RequestFacts, body: &[u8]) {
        let mut known = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        known.model.clone_from(&facts.model);
        known.stream = facts.stream;
        if let Some(model) = &known.model {
            self.origin.span.record("gen_ai.request.model", model);
        }
        self.origin
            .span
            .record("gen_ai.request.stream", known.stream);
        let text = match self.observers.recording {
            Recording::Nothing => return,
            Recording::Hashes => None,
            Recording::Text => Some(Vec::new()),
        };
        let mut content = Content::default();
        content.request.text.clone_from(&text);
        content.reply.text = text;
        content.request.add(body);
        known.content = Some(content);
    }

    /// Notes what the inner service took.
    pub(super) fn inner_took(&self, duration: Duration) {
        self.inner.fetch_add(nanos(duration), Ordering::Relaxed);
    }

    /// Notes that the reply begins.
    pub(super) fn answered(&self, status: StatusCode) {
        self.status
            .store(u64::from(status.as_u16()), Ordering::Relaxed);
        let answered = nanos(self.origin.clock.elapsed());
        self.answered.store(answered, Ordering::Relaxed);
    }

    /// The times until the reply began: the inner service's, and the layer's own.
    pub(super) fn times(&self) -> (Duration, Duration) {
        let inner = self.inner.load(Ordering::Relaxed);
        let answered = self.answered.load(Ordering::Relaxed);
        let waited = nanos(self.origin.waited);
        let added = answered.saturating_sub(inner).saturating_sub(waited);
        (Duration::from_nanos(inner), Duration::from_nanos(added))
    }

    /// Whether the client is told by headers.
    pub(super) fn tells_client(&self) -> bool {
        self.observers.headers
    }

    pub(super) fn verdict(&self) -> &GuardrailsVerdict {
        &self.verdict
    }

    pub(super) fn span(&self) -> &Span {
        &self.origin.span
    }

    /// Notes bytes of the reply that leave.
    pub(super) fn left(&self, bytes: &[u8]) {
        if self.observers.recording == Recording::Nothing {
            return;
        }
        let mut facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(content) = &mut facts.content {
            content.reply.add(bytes);
        }
    }

    /// Notes how the reply ended.
    pub(super) fn ended(&self, end: ExchangeEnd) {
        let end = match end {
            ExchangeEnd::Left => 0,
            ExchangeEnd::Complete => 1,
            ExchangeEnd::BrokeOff => 2,
        };
        self.end.store(end, Ordering::Relaxed);
    }

    fn report(&self) -> ExchangeReport {
        let facts = self
            .facts
            .lock()
            .map(|mut facts| std::mem::take(&mut *facts));
        let facts = facts.unwrap_or_default();
        let status = u16::try_from(self.status.load(Ordering::Relaxed)).unwrap_or(0);
        let (_, added) = self.times();
        ExchangeReport {
            conclusion: Conclusion::of(&self.verdict),
            end: match self.end.load(Ordering::Relaxed) {
                0 => ExchangeEnd::Left,
                1 => ExchangeEnd::Complete,
                _ => ExchangeEnd::BrokeOff,
            },
            verdict: self.verdict.clone(),
            began: self.origin.began,
            duration: self.origin.clock.elapsed(),
            added,
            format: self.format,
            method: self.origin.method.clone(),
            path: self.origin.path.clone(),
            model: facts.model,
            stream: facts.stream,
            status: StatusCode::from_u16(status).ok(),
            content: facts.content,
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.verdict.finish();
        let report = self.report();
        let span = &self.origin.span;
        if !span.is_disabled() {
            if let Some(status) = report.status {
                span.record("http.response.status_code", status.as_u16());
            }
            span.record("guardrails.conclusion", report.conclusion.as_str());
            span.record("guardrails.end", field::debug(report.end));
            if let Some(rail) = report.verdict.blocked_by() {
                span.record("rail.name", &*rail);
            }
            if report.verdict.has_failures() {
                span.record("error.type", "rail_execution_failure");
            }
        }
        let exchange = observe::Exchange {
            format: report.format,
            conclusion: report.conclusion.as_str(),
            duration: report.duration,
            added: report.status.map(|_| report.added),
        };
        observe::exchange_ended(&exchange, || {
            let rails = report.verdict.rails().into_iter();
            let run = rails.map(|rail| observe::RailRun {
                place: rail.place.key(),
                decision: rail.decision.as_str(),
                duration: rail.duration,
                rail: rail.rail,
            });
            run.collect()
        });
        for observer in &self.observers.told {
            // It runs where the reply is dropped: a panic there would take the connection, or the process, with it.
            if catch_unwind(AssertUnwindSafe(|| observer(&report))).is_err() {
                tracing::error!("a function given to `on_verdict` panicked");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where nobody is told, an exchange has no more than the look whether somebody is.
    #[cfg(not(feature = "metrics"))]
    #[test]
    fn where_nobody_listens_nothing_is_made() {
        let request = Request::post("/v1/chat/completions").body(()).unwrap();
        assert!(Origin::of(&Arc::default(), &request).is_none());
        let mut observers = Observers::default();
        observers.add(Arc::new(|_| {}));
        assert!(Origin::of(&Arc::new(observers), &request).is_some());
    }

    #[test]
    fn of_a_long_text_the_beginning_is_kept_and_all_of_it_is_hashed() {
        let mut recorded = Recorded {
            text: Some(Vec::new()),
            ..Recorded::default()
        };
        let piece = vec![b'x'; 40 << 10];
        for _ in 0..3 {
            recorded.add(&piece);
        }
        assert_eq!(recorded.length, 120 << 10);
        assert_eq!(recorded.text.as_ref().map(Vec::len), Some(KEPT));
        assert_eq!(recorded.hash.finalize(), Sha256::digest(piece.repeat(3)));
    }
}
