//! Bytes to records and back, push-style, at any cut: server-sent events, JSON by lines, JSON arrays, AWS event stream.
//!
//! A [`Framer`] takes bytes as they come and gives back whole [`Record`]s, each with the bytes that it came in, so that
//! what is let through can be sent on untouched: the records' raw bytes, one after the other, are the input. A record that
//! lies in one piece of the input is a slice of it. A [`RecordWriter`] writes what leaves: records as they came, records with
//! another payload, and new ones.
//!
//! ```
//! use tower_guardrails::framing::{Framer, Framing, NewRecord, RecordWriter};
//!
//! let mut framer = Framer::new(Framing::JsonArray, 1 << 20);
//! framer.push("[{\"a\":1},\n{\"a\":2}]".into());
//! framer.finish();
//! let records: Vec<_> = framer.by_ref().collect::<Result<_, _>>()?;
//! assert_eq!(records[1].data.as_deref(), Some(&b"{\"a\":2}"[..]));
//!
//! // The first one is left out, another is put behind the second: brackets and commas are where they belong.
//! let mut writer = RecordWriter::new(Framing::JsonArray);
//! let mut out = bytes::BytesMut::new();
//! out.extend_from_slice(&writer.pass(&records[1]));
//! writer.write(&NewRecord::new("{\"b\":0}"), &mut out);
//! writer.end(&mut out);
//! assert_eq!(serde_json::from_slice::<serde_json::Value>(&out).unwrap(), serde_json::json!([{"a": 2}, {"b": 0}]));
//! # Ok::<(), tower_guardrails::framing::FramingError>(())
//! ```

mod aws;
mod buffer;
mod chunk;
mod json;
mod record;
mod sse;

use bytes::{Bytes, BytesMut};

pub(crate) use self::chunk::is_padding;
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
    /// JSON values, each on a line of its own.
    Ndjson,
    /// The elements of one JSON array.
    JsonArray,
    /// AWS event stream.
    AwsEventStream,
    /// AWS event stream whose payloads hold others, in base64, under `bytes`: the records are those.
    AwsChunks,
}

impl Framing {
    /// The framing of a content type, which is in lower case and without parameters; none where the type alone does not
    /// say.
    pub fn of_content_type(content_type: &str) -> Option<Self> {
        match content_type {
            "text/event-stream" => Some(Self::Sse),
            "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonlines"
            | "application/jsonlines" => Some(Self::Ndjson),
            "application/vnd.amazon.eventstream" => Some(Self::AwsEventStream),
            _ => None,
        }
    }

    /// The content type of a stream that is cut so.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Sse => "text/event-stream",
            Self::Ndjson => "application/x-ndjson",
            Self::JsonArray => "application/json",
            Self::AwsEventStream | Self::AwsChunks => "application/vnd.amazon.eventstream",
        }
    }

    /// A record that only keeps the connection busy; none where the framing has no such thing.
    pub fn heartbeat(self) -> Option<Bytes> {
        match self {
            Self::Sse => Some(Bytes::from_static(b": waiting\n\n")),
            Self::Ndjson | Self::JsonArray | Self::AwsEventStream | Self::AwsChunks => None,
        }
    }
}

/// Reads a stream: the same records at any cut.
///
/// Push what came, take records until there are none, and so on; [`finish`](Self::finish) at the end of the stream and take
/// the rest. Takes time in proportion to the bytes pushed, and memory up to the limit and one push.
#[derive(Debug)]
pub struct Framer(Reader);

#[derive(Debug)]
enum Reader {
    Sse(SseReader),
    Json(json::JsonReader),
    Aws(aws::AwsReader),
}

impl Framer {
    /// A reader of records that are at most `max_record_bytes` long, raw.
    pub fn new(framing: Framing, max_record_bytes: usize) -> Self {
        Self(match framing {
            Framing::Sse => Reader::Sse(SseReader::new(max_record_bytes)),
            Framing::Ndjson => Reader::Json(json::JsonReader::new(false, max_record_bytes)),
            Framing::JsonArray => Reader::Json(json::JsonReader::new(true, max_record_bytes)),
            Framing::AwsEventStream => Reader::Aws(aws::AwsReader::new(false, max_record_bytes)),
            Framing::AwsChunks => Reader::Aws(aws::AwsReader::new(true, max_record_bytes)),
        })
    }

    /// Takes in more of the stream. Without effect after the end or an error.
    pub fn push(&mut self, bytes: Bytes) {
        match &mut self.0 {
            Reader::Sse(reader) => reader.push(bytes),
            Reader::Json(reader) => reader.push(bytes),
            Reader::Aws(reader) => reader.push(bytes),
        }
    }

    /// What has come, where it begins with a record of which nothing was read yet; none where nobody can say.
    pub(crate) fn fresh(&self) -> Option<&[u8]> {
        match &self.0 {
            Reader::Sse(reader) => reader.fresh(),
            Reader::Json(_) | Reader::Aws(_) => None,
        }
    }

    /// Takes the first `length` bytes of what is [fresh](Self::fresh), which are a whole record to who knows it.
    pub(crate) fn take_fresh(&mut self, length: usize) -> Bytes {
        match &mut self.0 {
            Reader::Sse(reader) => reader.take_fresh(length),
            Reader::Json(_) | Reader::Aws(_) => Bytes::new(),
        }
    }

    /// What has come and is not cut, where it is in one piece.
    pub(crate) fn piece(&self) -> Option<&Bytes> {
        match &self.0 {
            Reader::Sse(reader) => reader.piece(),
            Reader::Json(_) | Reader::Aws(_) => None,
        }
    }

    /// Ends the stream: what is left is a record, too.
    pub fn finish(&mut self) {
        match &mut self.0 {
            Reader::Sse(reader) => reader.finish(),
            Reader::Json(reader) => reader.finish(),
            Reader::Aws(reader) => reader.finish(),
        }
    }
}

impl Iterator for Framer {
    type Item = Result<Record, FramingError>;

    /// The next record, if all of it has come. After an error there are no more.
    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Reader::Sse(reader) => reader.next(),
            Reader::Json(reader) => reader.next(),
            Reader::Aws(reader) => reader.next(),
        }
    }
}

/// Writes a stream.
#[derive(Debug)]
pub struct RecordWriter {
    framing: Framing,
    array: json::ArrayWriter,
}

impl RecordWriter {
    /// A writer that has written nothing.
    pub fn new(framing: Framing) -> Self {
        Self {
            framing,
            array: json::ArrayWriter::default(),
        }
    }

    /// A record that leaves as it came: its raw bytes, but for brackets and commas where its neighbours did not leave.
    pub fn pass(&mut self, record: &Record) -> Bytes {
        if self.framing != Framing::JsonArray || self.array.fits(record) {
            return record.raw.clone();
        }
        let mut out = BytesMut::new();
        match &record.data {
            Some(data) => self.array.element(data, &mut out),
            None => self.array.end(&mut out),
        }
        out.freeze()
    }

    /// A record that leaves with another payload.
    pub fn rewrite(&mut self, record: &Record, data: &[u8], out: &mut BytesMut) {
        match self.framing {
            Framing::Sse => sse::write(record.name.as_deref(), data, out),
            Framing::Ndjson => write_line(data, out),
            Framing::JsonArray => self.array.element(data, out),
            Framing::AwsEventStream => aws::rewrite(&record.raw, data, out),
            Framing::AwsChunks => aws::rewrite(&record.raw, &chunk::pack(data), out),
        }
    }

    /// A new record.
    pub fn write(&mut self, record: &NewRecord, out: &mut BytesMut) {
        let name = record.name.as_deref();
        match self.framing {
            Framing::Sse => sse::write(name.map(str::as_bytes), &record.data, out),
            Framing::Ndjson => write_line(&record.data, out),
            Framing::JsonArray => self.array.element(&record.data, out),
            Framing::AwsEventStream => {
                let name = name.unwrap_or("chunk");
                aws::write(name, record.is_error, &record.data, out);
            }
            Framing::AwsChunks if record.is_error => {
                aws::write(chunk::EXCEPTION, true, &chunk::exception(&record.data), out);
            }
            Framing::AwsChunks => aws::write(chunk::NAME, false, &chunk::pack(&record.data), out),
        }
    }

    /// Ends the stream: closes what a reader waits for.
    pub fn end(&mut self, out: &mut BytesMut) {
        if self.framing == Framing::JsonArray {
            self.array.end(out);
        }
    }
}

fn write_line(data: &[u8], out: &mut BytesMut) {
    out.reserve(data.len() + 1);
    out.extend_from_slice(data);
    out.extend_from_slice(b"\n");
}

#[cfg(test)]
mod tests;
