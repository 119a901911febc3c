//! Whether a body is a chat request to some reader.

use crate::wire::{
    JsonLimits,
    json::{Document, Value, unescape_leniently},
    keys,
};

/// See [`WireFormat::looks_like_request`](crate::wire::WireFormat::looks_like_request).
///
/// A body that only a lenient reader takes (comments, UTF-16, half a surrogate pair) looks like a request if it begins as an
/// object and says `messages` anywhere: reading it will say what is wrong.
pub(super) fn looks_like_request(body: &[u8]) -> bool {
    let limits = JsonLimits {
        allow_byte_order_mark: true,
        ..JsonLimits::default()
    };
    match Document::read(body, &limits) {
        Ok(document) => {
            let mut members = document.root().members();
            members.any(|member| {
                let key = member.key.as_str().unwrap_or_default();
                keys::folded(key.trim()) == "messages" && has_message(member.value)
            })
        }
        Err(_) => is_broken_request(body),
    }
}

/// Whether `value` is a message, or an array with one.
fn has_message(value: Value<'_, '_>) -> bool {
    let is_message = |value: Value<'_, '_>| {
        value.members().any(|member| {
            let key = member.key.as_str().unwrap_or_default();
            matches!(keys::folded(key.trim()).as_str(), "role" | "content")
        })
    };
    is_message(value) || value.elements().any(is_message)
}

fn is_broken_request(body: &[u8]) -> bool {
    // What UTF-16 and UTF-32 put around ASCII, and byte order marks, go.
    let is_letter = |byte: &u8| *byte != 0 && !matches!(byte, 0xFE | 0xFF);
    let letters: Vec<u8> = body.iter().copied().filter(is_letter).collect();
    let text = String::from_utf8_lossy(&letters);
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    let text = keys::folded(&unescape_leniently(text));
    let is_object =
        text.starts_with(['{', '\u{1e}']) || text.starts_with("/*") || text.starts_with("//");
    is_object && text.contains("messages") && text.contains("content")
}
