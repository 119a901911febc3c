//! Text that is packed in base64 or in a data URL: files that a service unpacks for the model.

use percent_encoding::percent_decode;

/// What a string that may hold packed bytes holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packed {
    /// Text, unpacked.
    Text(String),
    /// Bytes that are no text in UTF-8 or UTF-16: an image, a sound, a PDF.
    Binary,
    /// It is not packed.
    No,
}

/// Unpacks a data URL; [`Packed::No`] for other strings.
pub(super) fn unpack_data_url(string: &str) -> Packed {
    const SCHEME: &str = "data:";
    /// Media types are short and have no spaces.
    const LONGEST_HEADER: usize = 128;
    let scheme = string.get(..SCHEME.len());
    if !scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME)) {
        return Packed::No;
    }
    let rest = string.get(SCHEME.len()..).unwrap_or_default();
    let Some((header, payload)) = rest.split_once(',') else {
        return Packed::No;
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/+.;=-_*\"".contains(&byte);
    if header.len() > LONGEST_HEADER || !header.bytes().all(is_plain) {
        return Packed::No;
    }
    match header.to_ascii_lowercase().ends_with("base64") {
        true => unpack_base64(payload),
        false => text_or_binary(percent_decode(payload.as_bytes()).collect()),
    }
}

/// Unpacks base64, standard or URL-safe, padded or not, with white space or without; [`Packed::No`] if there is any other
/// character.
pub(super) fn unpack_base64(string: &str) -> Packed {
    /// Enough to tell text from an image without unpacking all of the image.
    const SNIFFED: usize = 4096;
    let alphabet = |byte: u8| sextet(byte).is_some() || byte == b'=' || byte.is_ascii_whitespace();
    if !string.bytes().all(alphabet) {
        return Packed::No;
    }
    let start = string.get(..SNIFFED).unwrap_or(string);
    match looks_like_text(&decode(start)) {
        true => text_or_binary(decode(string)),
        false => Packed::Binary,
    }
}

fn sextet(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    };
    Some(value.into())
}

/// Each run of base64 up to its padding; several runs, one after the other, are all unpacked.
fn decode(string: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(string.len() / 4 * 3 + 3);
    let mut bits = 0_u32;
    let mut count = 0_u32;
    for byte in string.bytes() {
        match sextet(byte) {
            Some(value) => {
                bits = (bits << 6 | value) & 0xFFFF;
                count += 6;
                if count >= 8 {
                    count -= 8;
                    bytes.push((bits >> count & 0xFF) as u8);
                }
            }
            None if byte == b'=' => count = 0,
            None => {}
        }
    }
    bytes
}

fn is_utf16(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF")
}

/// Whether the start of a file is text: UTF-8, perhaps cut in the middle of a character, without control characters; or
/// UTF-16 that says so.
fn looks_like_text(start: &[u8]) -> bool {
    if is_utf16(start) {
        return true;
    }
    let valid = match std::str::from_utf8(start) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            let valid = start.get(..error.valid_up_to()).unwrap_or_default();
            std::str::from_utf8(valid).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !valid
        .contains(|c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{c}' | '\u{1b}'))
}

fn text_or_binary(bytes: Vec<u8>) -> Packed {
    if is_utf16(&bytes) {
        let big = bytes.starts_with(b"\xFE");
        let (pairs, _) = bytes.as_chunks::<2>();
        let units = pairs.iter().map(|pair| match big {
            true => u16::from_be_bytes(*pair),
            false => u16::from_le_bytes(*pair),
        });
        let text = char::decode_utf16(units.skip(1));
        return Packed::Text(
            text.map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect(),
        );
    }
    match looks_like_text(bytes.get(..bytes.len().min(4096)).unwrap_or_default()) {
        // One bad byte far behind does not make a text unreadable for the model.
        true => Packed::Text(String::from_utf8_lossy(&bytes).into_owned()),
        false => Packed::Binary,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Packed {
        Packed::Text(text.to_owned())
    }

    #[test]
    fn text_is_unpacked_however_it_is_spelled() {
        for spelled in [
            "aGkgw7w/Pz8=",
            "aGkgw7w/Pz8",
            "aGkg\nw7w_Pz8=",
            " a G k g w7w/Pz8",
        ] {
            assert_eq!(unpack_base64(spelled), text("hi ü???"), "{spelled}");
        }
        assert_eq!(unpack_data_url("data:text/plain;base64,aGk="), text("hi"));
        assert_eq!(unpack_data_url("DATA:image/png;BASE64,aGk="), text("hi"));
        assert_eq!(unpack_data_url("data:,h%69"), text("hi"));
        assert_eq!(unpack_base64("//5oAGkA"), text("hi"));
    }

    #[test]
    fn what_is_no_text_stays_packed() {
        assert_eq!(
            unpack_data_url("data:text/plain;base64,iVBORw0KGgo="),
            Packed::Binary
        );
        assert_eq!(unpack_base64("iVBORw0KGgo="), Packed::Binary);
    }

    #[test]
    fn other_strings_are_not_packed() {
        assert_eq!(unpack_base64("say: hi"), Packed::No);
        assert_eq!(unpack_data_url("https://example.com/data:,a"), Packed::No);
        assert_eq!(unpack_data_url("data:ignore all that, and"), Packed::No);
    }
}
