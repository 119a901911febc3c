//! Refusals and errors, as the official clients read them.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value as JsonValue, json};

use crate::wire::{
    BodyEdit, ChoiceSpan, Edit, JsonLimits, RequestFacts,
    ids::fresh_id,
    json::{Document, Value},
    refusal::refused_object,
};

/// A message that no model wrote, with these blocks.
pub(super) fn message(
    facts: &RequestFacts,
    content: JsonValue,
    stop_reason: JsonValue,
) -> JsonValue {
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

fn blocks(text: &str) -> JsonValue {
    json!([{"type": "text", "text": text}])
}

/// The members of a reply that its refusal keeps.
const KEPT: &[&str] = &["id", "model"];

/// The edits that make the whole reply `body` a refusal.
pub(super) fn edits(body: &[u8], choice: &ChoiceSpan, text: &str) -> Vec<BodyEdit> {
    let limits = JsonLimits {
        allow_byte_order_mark: true,
        ..JsonLimits::default()
    };
    let mut new = message(&RequestFacts::default(), blocks(text), "refusal".into());
    let Ok(document) = Document::read(body, &limits) else {
        let refusal = new.to_string().into_bytes();
        return vec![(choice.span.clone(), Edit::Raw(refusal.into()))];
    };
    let root = document.root();
    for key in ["input_tokens", "output_tokens"] {
        let tokens = root.get("usage").and_then(|usage| usage.get(key));
        if let Some(tokens) = tokens.and_then(Value::as_u64) {
            new["usage"][key] = tokens.into();
        }
    }
    let new: Vec<_> = [
        "type",
        "role",
        "content",
        "stop_reason",
        "stop_sequence",
        "usage",
    ]
    .map(|name| (name, new[name].take()))
    .into();
    refused_object(root, KEPT, &new)
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
