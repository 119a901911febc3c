//! What is told of the work: traces for whoever operates the service.
//!
//! Live spans and events go through [`tracing`] from where the work is done. This room holds what the configuration's `tracing` section
//! asks for (finished traces, handed to adapters), metrics, and files of lines.

mod content;
mod exporter;
mod file;
mod metrics;
#[cfg(feature = "opentelemetry")]
mod otel;
mod trace;

pub use self::content::capture_content;
pub(crate) use self::{
    content::captures_content,
    exporter::{Adapter, Exporter},
    file::LineFile,
    metrics::{
        Exchange, HAS_METRICS, RailRun, cache_asked, exchange_began, exchange_ended,
        model_answered, stream_held, worker_restarted,
    },
    trace::{Moment, Span, SpanFormat, SpanKind, Trace},
};
