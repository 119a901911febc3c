//! JSON strings: finding their end, decoding, encoding.

use std::borrow::Cow;

use super::{JsonError, JsonErrorKind, halves};

/// Where a string that begins at `start`, after its opening quote, ends: the offset of the closing quote, and whether
/// there are escapes in it.
pub(super) fn scan(body: &[u8], start: usize, lenient: bool) -> Result<(usize, bool), JsonError> {
    let mut at = start;
    let mut escaped = false;
    loop {
        at = skip_plain(body, at);
        match body.get(at) {
            Some(b'"') => return Ok((at, escaped)),
            Some(b'\\') => {
                escaped = true;
                at = match escape(body, at) {
                    Ok((_, after)) => after,
                    Err(error) if lenient && error.kind == JsonErrorKind::LoneSurrogate => at + 6,
                    Err(error) => return Err(error),
                };
            }
            Some(_) => return Err(error(JsonErrorKind::ControlCharacter, at)),
            None => return Err(error(JsonErrorKind::UnexpectedEnd, at)),
        }
    }
}

/// The first byte from `at` on that is a quote, a backslash or a control character; or the end.
fn skip_plain(body: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    // The lowest marked byte is always right; those above it may be marked by a borrow.
    let zero_bytes = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    while let Some(chunk) = body.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        let marks = zero_bytes(word ^ (ONES * b'"' as u64))
            | zero_bytes(word ^ (ONES * b'\\' as u64))
            | (word.wrapping_sub(ONES * 0x20) & !word & HIGHS);
        if marks != 0 {
            return at + marks.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while let Some(byte) = body.get(at) {
        if matches!(byte, b'"' | b'\\' | 0..0x20) {
            break;
        }
        at += 1;
    }
    at
}

/// The character that the escape at `at` stands for, and the offset after it.
fn escape(body: &[u8], at: usize) -> Result<(char, usize), JsonError> {
    let plain = |character| Ok((character, at + 2));
    match body.get(at + 1) {
        Some(b'"') => plain('"'),
        Some(b'\\') => plain('\\'),
        Some(b'/') => plain('/'),
        Some(b'b') => plain('\u{8}'),
        Some(b'f') => plain('\u{c}'),
        Some(b'n') => plain('\n'),
        Some(b'r') => plain('\r'),
        Some(b't') => plain('\t'),
        Some(b'u') => {
            let first = unit(body, at)?;
            if let Some(character) = char::from_u32(first) {
                return Ok((character, at + 6));
            }
            let lone = error(JsonErrorKind::LoneSurrogate, at);
            if first >= 0xDC00 || body.get(at + 6..at + 8) != Some(b"\\u") {
                return Err(lone);
            }
            let second = unit(body, at + 6)?;
            if !(0xDC00..0xE000).contains(&second) {
                return Err(lone);
            }
            let code = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
            char::from_u32(code).map(|c| (c, at + 12)).ok_or(lone)
        }
        Some(_) => Err(error(JsonErrorKind::Escape, at)),
        None => Err(error(JsonErrorKind::UnexpectedEnd, at)),
    }
}

/// The four hexadecimal digits of the `\u` escape at `at`.
fn unit(body: &[u8], at: usize) -> Result<u32, JsonError> {
    let digits = body
        .get(at + 2..at + 6)
        .ok_or(error(JsonErrorKind::UnexpectedEnd, body.len()))?;
    digits.iter().try_fold(0, |unit, digit| {
        let digit = char::from(*digit).to_digit(16);
        digit
            .map(|digit| unit * 16 + digit)
            .ok_or(error(JsonErrorKind::Escape, at))
    })
}

fn error(kind: JsonErrorKind, offset: usize) -> JsonError {
    JsonError { kind, offset }
}

/// Where a string ends that begins before `start`, its opening quote: the offset of the closing quote, and whether there are
/// escapes in it. Half a surrogate pair is an error.
pub(crate) fn scan_string(body: &[u8], start: usize) -> Result<(usize, bool), JsonError> {
    scan(body, start, false)
}

/// Decodes the inside of a string token that `scan` has found good.
pub(super) fn decode(inside: &str) -> String {
    let mut decoded = String::with_capacity(inside.len());
    decode_string(inside, &mut decoded);
    decoded
}

/// The same, behind what `decoded` has.
pub(crate) fn decode_string(inside: &str, decoded: &mut String) {
    let bytes = inside.as_bytes();
    let mut at = 0;
    while let Some(length) = memchr::memchr(b'\\', bytes.get(at..).unwrap_or_default()) {
        decoded.push_str(inside.get(at..at + length).unwrap_or_default());
        match escape(bytes, at + length) {
            Ok((character, after)) => {
                decoded.push(character);
                at = after;
            }
            // `scan` has seen every escape: this is half a pair.
            Err(_) => {
                let half = unit(bytes, at + length);
                decoded.push(half.map_or(char::REPLACEMENT_CHARACTER, halves::character));
                at += length + 6;
            }
        }
    }
    decoded.push_str(inside.get(at..).unwrap_or_default());
}

/// Decodes every good escape of `text`, which need not be JSON; all else stays. Borrowed where nothing changes.
pub(crate) fn unescape_leniently(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut decoded = String::new();
    let mut kept = 0;
    let mut at = 0;
    while let Some(length) = memchr::memchr(b'\\', bytes.get(at..).unwrap_or_default()) {
        let start = at + length;
        match escape(bytes, start) {
            Ok((character, after)) => {
                decoded.push_str(text.get(kept..start).unwrap_or_default());
                decoded.push(character);
                kept = after;
                at = after;
            }
            Err(_) => at = start + 1,
        }
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    decoded.push_str(text.get(kept..).unwrap_or_default());
    Cow::Owned(decoded)
}

/// Appends `text` as a JSON string token, quotes included.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        let stop = skip_plain(bytes, at);
        out.extend_from_slice(bytes.get(at..stop).unwrap_or_default());
        let Some(byte) = bytes.get(stop) else { break };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            other => out.extend_from_slice(format!("\\u{other:04x}").as_bytes()),
        }
        at = stop + 1;
    }
    out.push(b'"');
}
