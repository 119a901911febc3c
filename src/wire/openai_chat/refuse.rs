//! Refusals and errors, as the official clients read them.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::wire::{
    RequestFacts,
    ids::{fresh_id, now},
    json::push_string,
};

/// The most choices that the API gives.
const MOST_CHOICES: u64 = 128;

/// The payload of the record that ends a stream.
pub(super) const DONE: &[u8] = b"[DONE]";

/// What all records of a reply say of themselves.
#[derive(Debug, Clone)]
pub(super) struct Head {
    id: String,
    model: String,
    created: u64,
}

impl Head {
    /// That of a reply that no model gave.
    pub(super) fn new(facts: &RequestFacts) -> Self {
        Self {
            id: fresh_id("chatcmpl-"),
            model: facts.model.clone().unwrap_or_default(),
            created: now(),
        }
    }

    /// The beginning of an object that says so of itself.
    pub(super) fn object(&self, object: &str) -> Value {
        json!({"id": self.id, "object": object, "created": self.created, "model": self.model})
    }

    /// That of a record; none where it says nothing of itself.
    pub(super) fn of_record(record: &Value) -> Option<Self> {
        let text = |key: &str| record.get(key).and_then(Value::as_str);
        let id = text("id")?;
        Some(Self {
            id: id.to_owned(),
            model: text("model").unwrap_or_default().to_owned(),
            created: record
                .get("created")
                .and_then(Value::as_u64)
                .unwrap_or_default(),
        })
    }
}

/// A whole reply.
pub(super) fn reply(facts: &RequestFacts, message: &str) -> Bytes {
    let head = Head::new(facts);
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

/// The records that end one choice.
pub(super) fn choice_records(
    head: &Head,
    choice: u32,
    has_begun: bool,
    message: &str,
) -> impl Iterator<Item = Vec<u8>> {
    [false, true].into_iter().map(move |is_last| {
        let mut out = Json::default();
        out.head(head, "chat.completion.chunk");
        out.raw(",\"choices\":[{\"index\":");
        out.number(choice.into());
        out.raw(",\"delta\":{");
        if !is_last {
            if !has_begun {
                out.raw("\"role\":\"assistant\",");
            }
            out.raw("\"content\":");
            out.string(message);
        }
        out.raw("},\"logprobs\":null,\"finish_reason\":");
        out.raw(if is_last {
            "\"content_filter\""
        } else {
            "null"
        });
        out.raw("}]}");
        out.0
    })
}

/// The record that reports what a stream used, which no model gave.
pub(super) fn usage_record(head: &Head) -> Vec<u8> {
    let mut out = Json::default();
    out.head(head, "chat.completion.chunk");
    out.raw(",\"choices\":[],\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0,");
    out.raw("\"total_tokens\":0}}");
    out.0
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

fn choices(facts: &RequestFacts) -> u32 {
    let choices = facts.choices.unwrap_or(1).clamp(1, MOST_CHOICES);
    u32::try_from(choices).unwrap_or(1)
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
    fn head(&mut self, head: &Head, object: &str) {
        self.raw("{\"id\":");
        self.string(&head.id);
        self.raw(",\"object\":");
        self.string(object);
        self.raw(",\"created\":");
        self.number(head.created);
        self.raw(",\"model\":");
        self.string(&head.model);
    }

    fn choice(&mut self, index: u32, message: &str) {
        self.raw("{\"index\":");
        self.number(index.into());
        self.raw(",\"message\":{\"role\":\"assistant\",\"content\":");
        self.string(message);
        self.raw(",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"content_filter\"}");
    }
}
