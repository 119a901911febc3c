//! Whether a body is a chat request to some reader.

use crate::wire::{
    JsonLimits,
    json::{Document, Value},
    keys,
    shape::lenient_text,
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
    let is_request = |value: Value<'_, '_>| {
        value.members().any(|member| {
            let key = member.key.as_str().unwrap_or_default();
            keys::folded(key.trim()) == "messages" && has_message(member.value)
        })
    };
    match Document::read(body, &limits) {
        Ok(document) => {
            let root = document.root();
            is_request(root) || root.elements().any(is_request)
        }
        Err(_) => lenient_text(body)
            .is_some_and(|text| text.contains("messages") && text.contains("content")),
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
