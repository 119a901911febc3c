//! The layer's limits.

use std::time::Duration;

/// How much the layer buffers and how deep it reads; each reached limit is a clear error to the client.
///
/// ```
/// let limits = tower_guardrails::layer::Limits::default();
/// assert_eq!(limits.request_body, 32 << 20);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The most bytes of a chat request's body, as sent and decoded; over it: 413. Default 32 MiB, for pictures.
    pub request_body: usize,
    /// The most bytes of all texts of a request that rails read, files that are text among them; over it: 413. Default 4 MiB.
    pub request_text: usize,
    /// The most questions that rails are asked about one request, each of a message or of small ones together; over it: 413. Rails that rewrite
    /// a text are asked 32 times as often at most. Default 64.
    pub questions: usize,
    /// The most bytes of a buffered reply's body, as sent and decoded; over it: 502. Default 16 MiB.
    pub reply_body: usize,
    /// The most bytes of text of one stream that wait for a verdict, and with what is around the text, four times as many; over
    /// it: an error event. Default 16 MiB.
    pub held_stream: usize,
    /// The most bytes of one record of a stream; over it: an error event. Default 16 MiB: a picture is one record.
    pub stream_event: usize,
    /// How deep JSON may nest; over it: 400 (of a reply 502). Default 128.
    pub json_depth: usize,
    /// How long the layer waits for the next piece of a request's body; over it: 408. Default 60 s.
    pub request_idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_body: 32 << 20,
            request_text: 4 << 20,
            questions: 64,
            reply_body: 16 << 20,
            held_stream: 16 << 20,
            stream_event: 16 << 20,
            json_depth: 128,
            request_idle: Duration::from_secs(60),
        }
    }
}
