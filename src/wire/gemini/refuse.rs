//! Refusals and errors, as the official clients read them.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use crate::wire::{RequestFacts, ids::fresh_id};

/// One candidate that says `message`.
pub(super) fn candidate(index: u32, message: &str) -> Value {
    json!({
        "content": {"role": "model", "parts": [{"text": message}]},
        "finishReason": "SAFETY",
        "index": index,
    })
}

/// A whole reply, or the record of a stream, with one candidate.
pub(super) fn reply(facts: &RequestFacts, index: u32, message: &str) -> Value {
    json!({
        "candidates": [candidate(index, message)],
        "usageMetadata": {"promptTokenCount": 0, "candidatesTokenCount": 0, "totalTokenCount": 0},
        "modelVersion": facts.model.as_deref().unwrap_or_default(),
        "responseId": fresh_id(""),
    })
}

/// The body of an error response.
pub(super) fn error(status: StatusCode, message: &str) -> Bytes {
    let name = match status.as_u16() {
        400 | 413 | 415 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        408 | 504 => "DEADLINE_EXCEEDED",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        400..500 => "FAILED_PRECONDITION",
        _ => "INTERNAL",
    };
    json!({"error": {"code": status.as_u16(), "message": message, "status": name}})
        .to_string()
        .into()
}
