//! AWS event stream, written and read by other code than the crate's.

use bytes::Bytes;
use serde_json::Value;

/// A message with these headers, which are strings.
pub(crate) fn message(headers: &[(&str, &str)], payload: &str) -> Vec<u8> {
    let mut names = Vec::new();
    for (name, value) in headers {
        names.push(u8::try_from(name.len()).unwrap());
        names.extend_from_slice(name.as_bytes());
        names.push(7);
        names.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        names.extend_from_slice(value.as_bytes());
    }
    let length = u32::try_from(16 + names.len() + payload.len()).unwrap();
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(&u32::try_from(names.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(&sum(&bytes).to_be_bytes());
    bytes.extend_from_slice(&names);
    bytes.extend_from_slice(payload.as_bytes());
    let sum = sum(&bytes);
    bytes.extend_from_slice(&sum.to_be_bytes());
    bytes
}

/// An event of this type.
pub(crate) fn event(kind: &str, payload: &Value) -> Bytes {
    let headers = [
        (":event-type", kind),
        (":content-type", "application/json"),
        (":message-type", "event"),
    ];
    message(&headers, &payload.to_string()).into()
}

/// The messages of a stream: the type of the event or the exception, and the payload. Panics where a client would fail.
pub(crate) fn messages(mut body: &[u8]) -> Vec<(String, Value)> {
    let number =
        |bytes: &[u8], at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let mut messages = Vec::new();
    while !body.is_empty() {
        let length = number(body, 0) as usize;
        let headers = number(body, 4) as usize;
        assert_eq!(number(body, 8), sum(&body[..8]));
        let (message, rest) = body.split_at(length);
        assert_eq!(number(message, length - 4), sum(&message[..length - 4]));
        let (mut at, mut kind) = (12, String::new());
        let mut is_json = false;
        while at < 12 + headers {
            let name_end = at + 1 + usize::from(message[at]);
            let name = std::str::from_utf8(&message[at + 1..name_end]).unwrap();
            assert_eq!(message[name_end], 7);
            let size = u16::from_be_bytes([message[name_end + 1], message[name_end + 2]]);
            let value = &message[name_end + 3..name_end + 3 + usize::from(size)];
            let value = std::str::from_utf8(value).unwrap();
            match name {
                ":event-type" | ":exception-type" => kind = value.to_owned(),
                ":content-type" => is_json = value == "application/json",
                ":message-type" => assert!(matches!(value, "event" | "exception")),
                _ => {}
            }
            at = name_end + 3 + usize::from(size);
        }
        assert!(is_json && !kind.is_empty());
        let payload = serde_json::from_slice(&message[12 + headers..length - 4]).unwrap();
        messages.push((kind, payload));
        body = rest;
    }
    messages
}

fn sum(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}
