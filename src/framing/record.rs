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
    /// The stream is not what its framing says: a length or a check sum is wrong.
    #[error("the stream is broken: a length or a check sum is wrong")]
    Broken,
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

impl Record {
    /// Payloads that some clients find in the record where the standard has none: lines that begin with white space before
    /// `data:`, what stands behind a line separator of Unicode or a lone carriage return, each line of a payload of several.
    pub fn lenient_payloads(&self) -> impl Iterator<Item = &[u8]> {
        let lines = self.data.as_deref().filter(|data| data.contains(&b'\n'));
        let lines = lines
            .into_iter()
            .flat_map(|data| data.split(|byte| *byte == b'\n'));
        let asides = separated(&self.aside).filter_map(|line| {
            let line = line.trim_ascii();
            let data = line.strip_prefix(b"data").map(<[u8]>::trim_ascii_start);
            match data.and_then(|rest| rest.strip_prefix(b":")) {
                Some(payload) => Some(payload),
                // What a reader who does not end lines at a lone carriage return takes for the rest of a payload.
                None => matches!(line.first(), Some(b'{' | b'[')).then_some(line),
            }
        });
        lines.chain(asides).map(<[u8]>::trim_ascii)
    }
}

/// The pieces of a text between all that some reader takes for the end of a line.
fn separated(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut at = 0;
        while let Some(byte) = text.get(at) {
            let length = match byte {
                b'\n' | b'\r' | 0x0b | 0x0c | 0x1c..=0x1e => 1,
                0xc2 if text.get(at + 1) == Some(&0x85) => 2,
                0xe2 if matches!(text.get(at + 1..at + 3), Some([0x80, 0xa8 | 0xa9])) => 3,
                _ => {
                    at += 1;
                    continue;
                }
            };
            rest = text.get(at + length..);
            return text.get(..at);
        }
        rest = None;
        Some(text)
    })
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
