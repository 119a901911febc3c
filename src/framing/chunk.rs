//! Payloads that hold others: what Bedrock's `invoke-with-response-stream` sends is the publisher's own JSON, in base64.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::json;

use super::Record;

/// The type of a record that holds another.
pub(super) const NAME: &str = "chunk";

/// The type of a record that says that the stream has failed.
pub(super) const EXCEPTION: &str = "internalServerException";

/// A payload. A key that stands twice, or another one, is an error: who reads it, nobody knows.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Chunk<'a> {
    #[serde(borrow)]
    bytes: Cow<'a, str>,
    /// Letters that hide the payload's length.
    #[serde(default)]
    p: Option<Cow<'a, str>>,
}

/// The record that a chunk holds; none where it holds nothing that every reader finds. Exceptions stay as they are.
pub(super) fn unpack(mut record: Record) -> Option<Record> {
    if record.name.as_deref() != Some(NAME.as_bytes()) {
        // An exception says what it says; its name is what the publisher's own records do not have.
        record.name = None;
        return Some(record);
    }
    let data = record.data.take()?;
    let chunk: Chunk<'_> = serde_json::from_slice(&data).ok()?;
    if !chunk.p.is_none_or(|padding| is_padding(&padding)) {
        return None;
    }
    record.data = Some(STANDARD.decode(chunk.bytes.as_bytes()).ok()?.into());
    record.name = None;
    Some(record)
}

/// The payload that holds `data`.
pub(super) fn pack(data: &[u8]) -> Vec<u8> {
    json!({"bytes": STANDARD.encode(data)})
        .to_string()
        .into_bytes()
}

/// The payload of an exception, of what a format says of the failure.
pub(super) fn exception(data: &[u8]) -> Vec<u8> {
    let said: serde_json::Value = serde_json::from_slice(data).unwrap_or_default();
    let message = said
        .pointer("/error/message")
        .or_else(|| said.get("message"));
    json!({"message": message}).to_string().into_bytes()
}

/// Whether a text is what Bedrock fills its payloads up with: the beginning of the alphabet.
pub(crate) fn is_padding(text: &str) -> bool {
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789".starts_with(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &'static str, data: &'static str) -> Record {
        Record {
            name: Some(name.into()),
            data: Some(data.into()),
            ..Record::default()
        }
    }

    #[test]
    fn a_chunk_holds_one_record() {
        let unpacked = unpack(record(NAME, r#"{"bytes":"eyJhIjoxfQ==","p":"abcdef"}"#)).unwrap();
        assert_eq!(unpacked.data.as_deref(), Some(&br#"{"a":1}"#[..]));
        assert_eq!(unpacked.name, None);
        let packed = String::from_utf8(pack(br#"{"a":1}"#)).unwrap();
        assert_eq!(packed, r#"{"bytes":"eyJhIjoxfQ=="}"#);
        let failed = unpack(record(EXCEPTION, r#"{"message":"no"}"#)).unwrap();
        assert_eq!(failed.data.as_deref(), Some(&br#"{"message":"no"}"#[..]));
    }

    #[test]
    fn what_readers_find_in_two_ways_is_broken() {
        for data in [
            r#"{"bytes":"eyJhIjoxfQ==","bytes":"e30="}"#,
            r#"{"bytes":"eyJhIjoxfQ==","Bytes":"e30="}"#,
            r#"{"bytes":"eyJhIjoxfQ==","p":"a secret"}"#,
            r#"{"bytes":"eyJhIjoxfQ==","note":"a secret"}"#,
            r#"{"bytes":"e y"}"#,
            r#"{"bytes":7}"#,
            "{}",
            "text",
        ] {
            assert!(unpack(record(NAME, data)).is_none(), "{data}");
        }
    }
}
