//! Bytes to records, push-style, at any cut: server-sent events.
//!
//! A reader takes bytes as they come and gives back whole records, each with the bytes that it came in, so that
//! what is let through can be sent on untouched: the records' raw bytes, one after the other, are the input.

mod sse;

pub(crate) use sse::{FramingError, SseEvent, SseReader};
