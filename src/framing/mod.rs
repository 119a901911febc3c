//! Bytes to records, push-style, at any cut: server-sent events.
//!
//! A reader takes bytes as they come and gives back whole records, each with the bytes that it came in, so that
//! what is let through can be sent on untouched: the records' raw bytes, one after the other, are the input.

mod record;
mod sse;

use bytes::BytesMut;

pub use self::{
    record::{FramingError, NewRecord, Record},
    sse::SseReader,
};

/// How a stream is cut into records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Framing {
    /// Server-sent events.
    Sse,
}

impl Framing {
    /// The framing of a content type, which is in lower case and without parameters.
    pub fn of_content_type(content_type: &str) -> Option<Self> {
        match content_type {
            "text/event-stream" => Some(Self::Sse),
            _ => None,
        }
    }

    /// Writes a record.
    pub fn write(self, record: &NewRecord, out: &mut BytesMut) {
        match self {
            Self::Sse => sse::write(record.name.as_deref().map(str::as_bytes), &record.data, out),
        }
    }

    /// Writes a record of a service's anew, with another payload.
    pub fn rewrite(self, name: Option<&[u8]>, data: &[u8], out: &mut BytesMut) {
        match self {
            Self::Sse => sse::write(name, data, out),
        }
    }

    /// The content type of a stream that is cut so.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Sse => "text/event-stream",
        }
    }
}
