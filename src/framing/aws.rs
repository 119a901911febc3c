//! AWS event stream: binary messages with a prelude, headers, a payload and check sums.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html> describes the layout.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use super::{FramingError, Record, buffer::Buffer, chunk};

/// The lengths of the message and of its headers, and their check sum.
const PRELUDE: usize = 12;
/// The check sum of the message.
const TRAILER: usize = 4;

/// Reads messages, push-style.
#[derive(Debug)]
pub(super) struct AwsReader {
    buffer: Buffer,
    /// Whether the payloads hold others.
    has_chunks: bool,
    limit: usize,
    is_finished: bool,
    has_failed: bool,
}

impl AwsReader {
    pub(super) fn new(has_chunks: bool, limit: usize) -> Self {
        Self {
            has_chunks,
            buffer: Buffer::default(),
            limit,
            is_finished: false,
            has_failed: false,
        }
    }

    pub(super) fn push(&mut self, bytes: Bytes) {
        if !self.is_finished && !self.has_failed {
            self.buffer.push(bytes);
        }
    }

    pub(super) fn finish(&mut self) {
        self.is_finished = true;
    }

    pub(super) fn next(&mut self) -> Option<Result<Record, FramingError>> {
        if self.has_failed || self.buffer.is_empty() {
            return None;
        }
        let bytes = self.buffer.bytes();
        let length = number(bytes, 0).filter(|_| bytes.len() >= PRELUDE);
        let Some(length) = length else {
            // A message that was cut off.
            return self
                .is_finished
                .then(|| Err(self.fail(FramingError::Broken)));
        };
        if length < PRELUDE + TRAILER {
            return Some(Err(self.fail(FramingError::Broken)));
        }
        if length > self.limit {
            let limit = self.limit;
            return Some(Err(self.fail(FramingError::TooLong { limit })));
        }
        if bytes.len() < length {
            return self
                .is_finished
                .then(|| Err(self.fail(FramingError::Broken)));
        }
        let raw = self.buffer.split_to(length);
        let record = read(raw).and_then(|record| match self.has_chunks {
            true => chunk::unpack(record),
            false => Some(record),
        });
        match record {
            Some(record) => Some(Ok(record)),
            None => Some(Err(self.fail(FramingError::Broken))),
        }
    }

    fn fail(&mut self, error: FramingError) -> FramingError {
        self.has_failed = true;
        self.buffer.clear();
        error
    }
}

/// Reads one message; none where a check sum or a length is wrong.
fn read(raw: Bytes) -> Option<Record> {
    let check = |range: Range<usize>| raw.get(range).map(check_sum);
    let end = raw.len().checked_sub(TRAILER)?;
    let sums = [(0..PRELUDE - 4, PRELUDE - 4), (0..end, end)];
    for (range, at) in sums {
        if check(range)? != u32::try_from(number(&raw, at)?).ok()? {
            return None;
        }
    }
    let headers = number(&raw, 4)?;
    let payload = PRELUDE.checked_add(headers)?;
    if payload > end {
        return None;
    }
    let mut record = Record {
        data: (payload < end).then(|| raw.slice(payload..end)),
        ..Record::default()
    };
    let mut aside = Vec::new();
    let mut at = PRELUDE;
    while at < payload {
        let (name, value, next) = header(&raw, at, payload)?;
        at = next;
        let text = value.and_then(|value| raw.get(value.clone()).map(|text| (text, value)));
        match (raw.get(name)?, text) {
            (b":event-type" | b":exception-type" | b":error-code", Some((_, value))) => {
                record.name = Some(raw.slice(value));
            }
            (b":message-type", Some((b"event" | b"exception" | b"error", _)))
            | (b":content-type", Some((b"application/json", _))) => {}
            (name, text) => {
                aside.extend_from_slice(name);
                aside.push(b' ');
                aside.extend_from_slice(text.map_or(b"", |(text, _)| text));
                aside.push(b'\n');
            }
        }
    }
    record.aside = aside.into();
    record.raw = raw;
    Some(record)
}

/// The header at `at`: where its name lies, where its value does if that is text or bytes, and where the next one begins.
fn header(
    raw: &[u8],
    at: usize,
    end: usize,
) -> Option<(Range<usize>, Option<Range<usize>>, usize)> {
    let name = at + 1..at + 1 + usize::from(*raw.get(at)?);
    let kind = *raw.get(name.end)?;
    let value = name.end + 1;
    let (text, next) = match kind {
        0 | 1 => (None, value),
        2 => (None, value + 1),
        3 => (None, value + 2),
        4 => (None, value + 4),
        5 | 8 => (None, value + 8),
        6 | 7 => {
            let length = usize::from(*raw.get(value)?) << 8 | usize::from(*raw.get(value + 1)?);
            (Some(value + 2..value + 2 + length), value + 2 + length)
        }
        9 => (None, value + 16),
        _ => return None,
    };
    (next <= end).then_some((name, text, next))
}

/// Writes a message.
pub(super) fn write(name: &str, is_error: bool, payload: &[u8], out: &mut BytesMut) {
    let mut headers = BytesMut::new();
    let (kind, key) = match is_error {
        true => ("exception", ":exception-type"),
        false => ("event", ":event-type"),
    };
    for (key, value) in [
        (key, name),
        (":content-type", "application/json"),
        (":message-type", kind),
    ] {
        // Names and values are ours, and short.
        headers.put_u8(u8::try_from(key.len()).unwrap_or(u8::MAX));
        headers.extend_from_slice(key.as_bytes());
        headers.put_u8(7);
        headers.put_u16(u16::try_from(value.len()).unwrap_or(u16::MAX));
        headers.extend_from_slice(value.as_bytes());
    }
    message(&headers, payload, out);
}

/// Writes a message of a service's anew, with another payload.
pub(super) fn rewrite(raw: &[u8], payload: &[u8], out: &mut BytesMut) {
    let headers = number(raw, 4).and_then(|length| raw.get(PRELUDE..PRELUDE + length));
    message(headers.unwrap_or_default(), payload, out);
}

fn message(headers: &[u8], payload: &[u8], out: &mut BytesMut) {
    let start = out.len();
    let length = PRELUDE + headers.len() + payload.len() + TRAILER;
    out.reserve(length);
    // Payloads are within limits that are far below 4 GiB.
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    out.put_u32(u32::try_from(headers.len()).unwrap_or(u32::MAX));
    let sum = check_sum(out.get(start..).unwrap_or_default());
    out.put_u32(sum);
    out.extend_from_slice(headers);
    out.extend_from_slice(payload);
    let sum = check_sum(out.get(start..).unwrap_or_default());
    out.put_u32(sum);
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..)?.first_chunk::<4>()?;
    usize::try_from(u32::from_be_bytes(*bytes)).ok()
}

/// CRC-32, as in Ethernet and gzip.
fn check_sum(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut sum = byte as u32;
            let mut bit = 0;
            while bit < 8 {
                sum = match sum & 1 {
                    1 => (sum >> 1) ^ 0xEDB8_8320,
                    _ => sum >> 1,
                };
                bit += 1;
            }
            table[byte] = sum;
            byte += 1;
        }
        table
    };
    let sum = bytes.iter().fold(u32::MAX, |sum, byte| {
        let index = usize::from(sum.to_le_bytes()[0] ^ byte);
        (sum >> 8) ^ TABLE.get(index).copied().unwrap_or_default()
    });
    !sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_sum_is_the_usual_one() {
        assert_eq!(check_sum(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn a_broken_message_is_an_error() {
        let mut message = BytesMut::new();
        write("chunk", false, b"{}", &mut message);
        for at in 0..message.len() {
            let mut broken = message.to_vec();
            broken[at] ^= 1;
            let mut reader = AwsReader::new(false, 1 << 20);
            reader.push(broken.into());
            reader.finish();
            assert!(reader.next().is_none_or(|record| record.is_err()), "{at}");
        }
    }
}
