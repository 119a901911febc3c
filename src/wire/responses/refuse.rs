//! Refusals, as the official clients read them.

use serde_json::{Value, json};

use crate::wire::{
    BodyEdit, ChoiceSpan, Edit, JsonLimits, RequestFacts,
    ids::{fresh_id, now},
    json::Document,
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

/// The edits that make the whole reply `body` a refusal.
pub(super) fn edits(body: &[u8], choice: &ChoiceSpan, text: &str) -> Vec<BodyEdit> {
    let raw = |json: &Value| Edit::Raw(json.to_string().into_bytes().into());
    let limits = JsonLimits {
        allow_byte_order_mark: true,
        ..JsonLimits::default()
    };
    let Ok(document) = Document::read(body, &limits) else {
        let refusal = reply(&RequestFacts::default(), text);
        return vec![(choice.span.clone(), raw(&refusal))];
    };
    let root = document.root();
    let output = json!([message(&fresh_id("msg_"), text)]);
    let reason = json!({"reason": "content_filter"});
    let mut edits = Vec::new();
    let mut missing = vec![
        ("status", json!("incomplete")),
        ("incomplete_details", reason.clone()),
    ];
    // Of a key that stands twice, both are replaced.
    for member in root.members() {
        let name = member.key.as_str().unwrap_or_default();
        missing.retain(|(wanted, _)| *wanted != name);
        let new = match name.as_ref() {
            "output" => output.clone(),
            "output_text" => text.into(),
            "status" => "incomplete".into(),
            "incomplete_details" => reason.clone(),
            _ => continue,
        };
        edits.push((member.value.span(), raw(&new)));
    }
    if let Some(last) = root.members().last() {
        let end = last.value.span().end;
        let added: String = missing
            .iter()
            .map(|(name, value)| format!(",\"{name}\":{value}"))
            .collect();
        if !added.is_empty() {
            // Behind the last value, whose own edit may stand there: one edit for both.
            match edits.iter_mut().find(|(span, _)| span.end == end) {
                Some((_, Edit::Raw(bytes))) => bytes.to_mut().extend_from_slice(added.as_bytes()),
                _ => edits.push((end..end, Edit::Raw(added.into_bytes().into()))),
            }
        }
    }
    edits
}
