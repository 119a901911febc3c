//! Refusals and errors, as the official clients read them.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use crate::wire::{BodyEdit, Edit, JsonLimits, RequestFacts, ids::fresh_id, json::Document};

/// A message that no model wrote, with these blocks.
pub(super) fn message(facts: &RequestFacts, content: Value, stop_reason: Value) -> Value {
    json!({
        "id": fresh_id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": facts.model.as_deref().unwrap_or_default(),
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": null,
        "usage": {"input_tokens": 0, "output_tokens": 0},
    })
}

/// A whole reply.
pub(super) fn reply(facts: &RequestFacts, text: &str) -> Bytes {
    message(facts, blocks(text), "refusal".into())
        .to_string()
        .into()
}

fn blocks(text: &str) -> Value {
    json!([{"type": "text", "text": text}])
}

/// The edits that make the whole reply `body` a refusal.
pub(super) fn edits(body: &[u8], text: &str) -> Vec<BodyEdit> {
    let limits = JsonLimits {
        allow_byte_order_mark: true,
        ..JsonLimits::default()
    };
    let Ok(document) = Document::read(body, &limits) else {
        return Vec::new();
    };
    let raw = |json: String| Edit::Raw(json.into_bytes().into());
    let root = document.root();
    let mut edits = Vec::new();
    // Of a key that stands twice, both are replaced.
    for member in root.members() {
        let new = match member.key.as_str().as_deref().unwrap_or_default() {
            "content" => blocks(text).to_string(),
            "stop_reason" => "\"refusal\"".to_owned(),
            "stop_sequence" | "stop_details" => "null".to_owned(),
            _ => continue,
        };
        edits.push((member.value.span(), raw(new)));
    }
    if root.get("stop_reason").is_none()
        && let Some(last) = root.members().last()
    {
        let end = last.value.span().end;
        edits.push((end..end, raw(",\"stop_reason\":\"refusal\"".to_owned())));
    }
    edits
}

/// The body of an error response, or of the event that ends a stream with an error.
pub(super) fn error(status: Option<StatusCode>, message: &str) -> Bytes {
    let kind = match status.map(|status| status.as_u16()) {
        Some(401) => "authentication_error",
        Some(403) => "permission_error",
        Some(404) => "not_found_error",
        Some(413) => "request_too_large",
        Some(429) => "rate_limit_error",
        Some(529) => "overloaded_error",
        Some(400..500) => "invalid_request_error",
        _ => "api_error",
    };
    json!({"type": "error", "error": {"type": kind, "message": message}})
        .to_string()
        .into()
}
