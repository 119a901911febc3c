//! Refusals and errors, as the official clients read them.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;

use crate::wire::{RequestFacts, StreamHead, json::push_string};

/// The most choices that the API gives.
const MOST_CHOICES: u64 = 128;

pub(super) const END_OF_STREAM: &[u8] = b"data: [DONE]\n\n";

/// A whole reply.
pub(super) fn reply(facts: &RequestFacts, message: &str) -> Bytes {
    let head = new_head(facts);
    let mut out = Json::default();
    out.head(&head, "chat.completion");
    out.raw(",\"choices\":[");
    for index in 0..choices(facts) {
        if index > 0 {
            out.raw(",");
        }
        out.choice(index, message);
    }
    out.raw("],\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0,\"total_tokens\":0}}");
    out.0.into()
}

/// One choice of a whole reply.
pub(super) fn choice(index: u32, message: &str) -> Vec<u8> {
    let mut out = Json::default();
    out.choice(index, message);
    out.0
}

/// A whole stream.
pub(super) fn stream(facts: &RequestFacts, message: &str) -> Bytes {
    let head = new_head(facts);
    let mut out = Json::default();
    for index in 0..choices(facts) {
        out.choice_events(&head, index, false, message);
    }
    if facts.include_usage {
        out.raw("data: ");
        out.head(&head, "chat.completion.chunk");
        out.raw(",\"choices\":[],\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0,");
        out.raw("\"total_tokens\":0}}\n\n");
    }
    out.0.extend_from_slice(END_OF_STREAM);
    out.0.into()
}

/// The events that end one choice.
pub(super) fn choice_events(
    head: &StreamHead,
    choice: u32,
    role_sent: bool,
    message: &str,
) -> Bytes {
    let mut out = Json::default();
    out.choice_events(head, choice, role_sent, message);
    out.0.into()
}

/// The body of an error response.
pub(super) fn error(status: u16, code: &str, message: &str) -> Vec<u8> {
    let kind = match status {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        400..500 => "invalid_request_error",
        _ => "server_error",
    };
    let mut out = Json::default();
    out.raw("{\"error\":{\"message\":");
    out.string(message);
    out.raw(",\"type\":");
    out.string(kind);
    out.raw(",\"param\":null,\"code\":");
    out.string(code);
    out.raw("}}");
    out.0
}

/// An error in the middle of a stream.
pub(super) fn error_event(code: &str, message: &str) -> Bytes {
    let error = error(500, code, message);
    [b"data: ", error.as_slice(), b"\n\n"].concat().into()
}

fn choices(facts: &RequestFacts) -> u32 {
    let choices = facts.choices.unwrap_or(1).clamp(1, MOST_CHOICES);
    u32::try_from(choices).unwrap_or(1)
}

/// The head of a reply that no model gave.
fn new_head(facts: &RequestFacts) -> StreamHead {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    StreamHead {
        id: Some(format!("chatcmpl-{:x}{count:04x}", now.as_nanos()).into()),
        model: Some(facts.model.clone().unwrap_or_default().into()),
        created: Some(now.as_secs()),
    }
}

/// JSON that is being written.
#[derive(Debug, Default)]
struct Json(Vec<u8>);

impl Json {
    fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    fn string(&mut self, text: &str) {
        push_string(&mut self.0, text);
    }

    fn number(&mut self, number: u64) {
        self.raw(&number.to_string());
    }

    /// An object's first members; the object stays open.
    fn head(&mut self, head: &StreamHead, object: &str) {
        self.raw("{\"id\":");
        self.string(head.id.as_deref().unwrap_or_default());
        self.raw(",\"object\":");
        self.string(object);
        self.raw(",\"created\":");
        self.number(head.created.unwrap_or_default());
        self.raw(",\"model\":");
        self.string(head.model.as_deref().unwrap_or_default());
    }

    fn choice(&mut self, index: u32, message: &str) {
        self.raw("{\"index\":");
        self.number(index.into());
        self.raw(",\"message\":{\"role\":\"assistant\",\"content\":");
        self.string(message);
        self.raw(",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"content_filter\"}");
    }

    fn choice_events(&mut self, head: &StreamHead, choice: u32, role_sent: bool, message: &str) {
        for last in [false, true] {
            self.raw("data: ");
            self.head(head, "chat.completion.chunk");
            self.raw(",\"choices\":[{\"index\":");
            self.number(choice.into());
            self.raw(",\"delta\":{");
            if !last {
                if !role_sent {
                    self.raw("\"role\":\"assistant\",");
                }
                self.raw("\"content\":");
                self.string(message);
            }
            self.raw("},\"logprobs\":null,\"finish_reason\":");
            self.raw(if last { "\"content_filter\"" } else { "null" });
            self.raw("}]}\n\n");
        }
    }
}
