//! The words of the protocol's replies.

use crate::wire::{json::Value, keys, walk::Vocabulary};

/// What keys and words mean where no rule is about their place.
pub(super) static VOCABULARY: Vocabulary = Vocabulary {
    is_structural,
    is_usual_key,
    is_usual,
};

/// The keys of a reply whose texts have channels of their own, or steer where texts go.
const KNOWN_KEYS: &[&str] = &[
    "choices",
    "index",
    "delta",
    "message",
    "content",
    "text",
    "refusal",
    "reasoning_content",
    "reasoning",
    "thinking",
    "tool_calls",
    "function_call",
    "function",
    "custom",
    "name",
    "arguments",
    "input",
    "logprobs",
    "token",
    "bytes",
    "top_logprobs",
    "audio",
    "transcript",
    "finish_reason",
    "error",
];

/// Whether the key is a known one in another letter case.
pub(super) fn is_folded_key(key: Value<'_, '_>) -> bool {
    let name = key.as_str().unwrap_or_default();
    keys::is_only_folded(&name, KNOWN_KEYS)
}

/// Whether the key, with its quotes, is one whose strings say where or what something is.
fn is_structural(key: &str) -> bool {
    matches!(
        key,
        r#""id""#
            | r#""object""#
            | r#""model""#
            | r#""role""#
            | r#""type""#
            | r#""system_fingerprint""#
            | r#""service_tier""#
            | r#""finish_reason""#
            | r#""native_finish_reason""#
            | r#""stop_reason""#
            | r#""obfuscation""#
            | r#""provider""#
            | r#""severity""#
            | r#""tool_call_id""#
            | r#""index""#
            | r#""created""#
            | r#""code""#
            | r#""param""#
            | r#""format""#
    )
}

/// Whether the string, with its quotes, is one that the protocol defines, and says nothing.
fn is_usual(token: &str) -> bool {
    matches!(
        token,
        r#""chat.completion""#
            | r#""chat.completion.chunk""#
            | r#""assistant""#
            | r#""stop""#
            | r#""length""#
            | r#""tool_calls""#
            | r#""function_call""#
            | r#""content_filter""#
            | r#""function""#
            | r#""custom""#
            | r#""text""#
            | r#""default""#
            | r#""safe""#
            | r#""low""#
            | r#""invalid_request_error""#
            | r#""server_error""#
    )
}

/// Whether the key, with its quotes, is one that replies have where no rule is about it.
fn is_usual_key(key: &str) -> bool {
    let inside = key.trim_matches('"');
    KNOWN_KEYS.contains(&inside)
        || matches!(
            inside,
            "usage"
                | "prompt_tokens"
                | "completion_tokens"
                | "total_tokens"
                | "prompt_tokens_details"
                | "completion_tokens_details"
                | "cached_tokens"
                | "audio_tokens"
                | "reasoning_tokens"
                | "accepted_prediction_tokens"
                | "rejected_prediction_tokens"
                | "logprob"
                | "annotations"
                | "content_filter_results"
                | "prompt_filter_results"
                | "data"
                | "expires_at"
                | "url"
                | "title"
                | "url_citation"
                | "start_index"
                | "end_index"
        )
}
