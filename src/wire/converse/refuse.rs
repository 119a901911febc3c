//! Refusals and errors, as the official clients read them.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value as JsonValue, json};

use crate::wire::{
    BodyEdit, ChoiceSpan, Edit, JsonLimits,
    json::{Document, Value},
    refusal::refused_object,
};

/// Why a refusal stopped.
pub(super) const REASON: &str = "guardrail_intervened";

/// How many tokens a reply cost that no model gave.
pub(super) fn usage() -> JsonValue {
    json!({"inputTokens": 0, "outputTokens": 0, "totalTokens": 0})
}

/// A whole reply.
pub(super) fn reply(text: &str) -> JsonValue {
    json!({
        "output": {"message": {"role": "assistant", "content": [{"text": text}]}},
        "stopReason": REASON,
        "usage": usage(),
        "metrics": {"latencyMs": 0},
    })
}

/// The edits that make the whole reply `body` a refusal.
pub(super) fn edits(body: &[u8], choice: &ChoiceSpan, text: &str) -> Vec<BodyEdit> {
    let limits = JsonLimits {
        allow_byte_order_mark: true,
        ..JsonLimits::default()
    };
    let mut new = reply(text);
    let Ok(document) = Document::read(body, &limits) else {
        let refusal = new.to_string().into_bytes();
        return vec![(choice.span.clone(), Edit::Raw(refusal.into()))];
    };
    let root = document.root();
    for (of, key) in [
        ("usage", "inputTokens"),
        ("usage", "outputTokens"),
        ("usage", "totalTokens"),
        ("metrics", "latencyMs"),
    ] {
        let number = root.get(of).and_then(|of| of.get(key));
        if let Some(number) = number.and_then(Value::as_u64) {
            new[of][key] = number.into();
        }
    }
    let members = new.as_object().into_iter().flatten();
    let members: Vec<_> = members
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    refused_object(root, &[], &members)
}

/// The body of an error response.
pub(super) fn error(status: StatusCode, message: &str) -> Bytes {
    let kind = match status.as_u16() {
        403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        429 => "ThrottlingException",
        503 => "ServiceUnavailableException",
        400..500 => "ValidationException",
        _ => "InternalServerException",
    };
    json!({"__type": kind, "message": message})
        .to_string()
        .into()
}
