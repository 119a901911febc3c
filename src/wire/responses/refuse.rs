//! Refusals, as the official clients read them.

use serde_json::{Value, json};

use crate::wire::{
    BodyEdit, ChoiceSpan, Edit, JsonLimits, RequestFacts,
    ids::{fresh_id, now},
    json::Document,
    refusal::{may_be_kept, refused_object},
};

/// A reply that no model gave, with nothing in it yet.
pub(super) fn response(facts: &RequestFacts) -> Value {
    json!({
        "id": fresh_id("resp_"),
        "object": "response",
        "created_at": now(),
        "status": "in_progress",
        "background": false,
        "error": null,
        "incomplete_details": null,
        "instructions": null,
        "max_output_tokens": null,
        "metadata": {},
        "model": facts.model.as_deref().unwrap_or_default(),
        "output": [],
        "parallel_tool_calls": true,
        "previous_response_id": null,
        "temperature": null,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": null,
        "usage": null,
    })
}

/// A message that says `text`.
pub(super) fn message(id: &str, text: &str) -> Value {
    json!({
        "id": id,
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [part(text)],
    })
}

/// A part that says `text`.
pub(super) fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

/// Makes a reply one that was refused, with these items.
pub(super) fn refuse(response: &mut Value, output: Vec<Value>) {
    response["status"] = "incomplete".into();
    response["incomplete_details"] = json!({"reason": "content_filter"});
    response["output"] = output.into();
}

/// A whole reply.
pub(super) fn reply(facts: &RequestFacts, text: &str) -> Value {
    let mut reply = response(facts);
    refuse(&mut reply, vec![message(&fresh_id("msg_"), text)]);
    reply
}

/// The members of a reply that its refusal keeps.
const KEPT: &[&str] = &["id", "object", "created_at", "model", "background", "store"];

/// The edits that make the whole reply `body` a refusal.
pub(super) fn edits(body: &[u8], choice: &ChoiceSpan, text: &str) -> Vec<BodyEdit> {
    let limits = JsonLimits {
        allow_byte_order_mark: true,
        ..JsonLimits::default()
    };
    let refusal = reply(&RequestFacts::default(), text);
    let Ok(document) = Document::read(body, &limits) else {
        let refusal = refusal.to_string().into_bytes();
        return vec![(choice.span.clone(), Edit::Raw(refusal.into()))];
    };
    let root = document.root();
    let has = |name: &str| {
        let kept = root.get(name).filter(|_| KEPT.contains(&name));
        kept.is_some_and(|value| may_be_kept(name, value))
    };
    let members = refusal.as_object().into_iter().flatten();
    let mut new: Vec<_> = members
        .filter(|(name, _)| !has(name))
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    // Some servers join the answer's texts themselves.
    if root.get("output_text").is_some() {
        new.push(("output_text", text.into()));
    }
    refused_object(root, KEPT, &new)
}
