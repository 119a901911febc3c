//! What is told of the work: traces for whoever operates the service.
//!
//! Live spans and events go through [`tracing`] from where the work is done. This room holds what the configuration's `tracing` section
//! asks for: finished traces, handed to adapters.

mod exporter;
mod file;
#[cfg(feature = "opentelemetry")]
mod otel;
mod trace;

pub(crate) use self::{
    exporter::{Adapter, Exporter},
    trace::{Moment, Span, SpanFormat, SpanKind, Trace},
};
