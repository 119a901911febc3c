//! What a stream is cut into.

use std::borrow::Cow;

use bytes::Bytes;

/// Why a stream of records cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FramingError {
    /// A record is longer than the limit.
    #[error("a record is longer than {limit} bytes")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
}

/// One record of a stream, with the bytes that it came in.
///
/// Of server-sent events: everything up to and including the event's empty line. A comment that stands before an event's
/// first field is a record of its own, so that heartbeats need not wait for what they fill the pause before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// The bytes, as they came: comments, unknown fields and line ends included.
    pub raw: Bytes,
    /// What the framing calls the record: the last `event` line's value.
    pub name: Option<Bytes>,
    /// The payload: the values of the `data` lines, joined by line feeds; none if there is no such line.
    pub data: Option<Bytes>,
    /// Every other line with something in it (`id`, `retry`, unknown fields, comments, all `event` lines but the last),
    /// each whole and with a line feed. Empty for the usual record. A lenient client may show it.
    pub aside: Bytes,
}

/// A record that did not come from the service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewRecord {
    /// What the framing calls it; framings without names leave it out.
    pub name: Option<Cow<'static, str>>,
    /// The payload.
    pub data: Bytes,
    /// Whether it says that the stream has failed: some framings mark that beside the payload.
    pub is_error: bool,
}

impl NewRecord {
    /// A record without a name.
    pub fn new(data: impl Into<Bytes>) -> Self {
        Self {
            data: data.into(),
            ..Self::default()
        }
    }

    /// With a name.
    #[must_use]
    pub fn named(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// As the error that ends a stream.
    #[must_use]
    pub fn error(mut self) -> Self {
        self.is_error = true;
        self
    }
}
