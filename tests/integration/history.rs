//! Earlier messages that a rail blocks do not block the conversation for good.

use serde_json::{Value, json};
use tower_guardrails::{
    GuardrailsLayer,
    layer::{BlockedHistory, History},
    verdict::Decision,
};

use crate::support::{Exchange, REFUSAL, Reply, chat, exchange, post, regex_layer, run};

const ANSWER: &str = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"Paris"},"finish_reason":"stop"}]}"#;
const NOTE: &str = "[This message was removed.]";

fn layer() -> GuardrailsLayer {
    regex_layer(r"forbidden-\w+", &[r"secret-\w+"])
}

fn asked(layer: &GuardrailsLayer, messages: &Value) -> Exchange {
    let body = json!({"model": "m", "messages": messages});
    run(exchange(
        layer,
        chat(body.to_string()),
        &Reply::json(ANSWER),
    ))
}

fn poisoned(last: &str) -> Value {
    json!([
        {"role": "user", "content": "a forbidden-x"},
        {"role": "assistant", "content": REFUSAL},
        {"role": "user", "content": last},
    ])
}

#[test]
fn the_last_turn_decides() {
    let got = asked(&layer(), &poisoned("What is the capital of France?"));
    assert!(!got.is_blocked());
    assert_eq!(got.text(), ANSWER);
    let sent: Value = serde_json::from_slice(&got.seen[0].body).unwrap();
    assert_eq!(
        sent["messages"][0],
        json!({"role": "user", "content": NOTE})
    );
    assert_eq!(sent["messages"][1]["content"], REFUSAL);
    let removed = got.verdict.expect("a verdict").removed_by();
    assert_eq!(removed.len(), 1);
    assert_eq!(removed[0].decision, Decision::Removed);
    // A bad last message is blocked all the same, and nothing goes in.
    let got = asked(&layer(), &poisoned("forbidden-y"));
    assert!(got.is_blocked() && got.seen.is_empty());
}

#[test]
fn a_blocked_turn_is_followed_by_ten_good_ones() {
    let layer = layer();
    let mut messages = vec![json!({"role": "user", "content": "a forbidden-x"})];
    assert!(asked(&layer, &messages.clone().into()).is_blocked());
    messages.push(json!({"role": "assistant", "content": REFUSAL}));
    for turn in 0..10 {
        messages.push(json!({"role": "user", "content": format!("question {turn}")}));
        let got = asked(&layer, &messages.clone().into());
        assert!(!got.is_blocked() && got.seen.len() == 1, "turn {turn}");
        assert!(
            !String::from_utf8_lossy(&got.seen[0].body).contains("forbidden"),
            "turn {turn}"
        );
        messages.push(json!({"role": "assistant", "content": "Paris"}));
    }
}

#[test]
fn it_can_be_switched_off_and_worded() {
    let layer = layer();
    let blocking = layer.clone().blocked_history(BlockedHistory::Block);
    let got = asked(&blocking, &poisoned("hello"));
    assert!(got.is_blocked() && got.seen.is_empty());
    let worded = layer.removed_note("(gone)");
    let got = asked(&worded, &poisoned("hello"));
    let sent: Value = serde_json::from_slice(&got.seen[0].body).unwrap();
    assert_eq!(sent["messages"][0]["content"], "(gone)");
    // Where only the last turn is judged, the rest goes in as it came.
    let got = asked(&worded.history(History::LastTurn), &poisoned("hello"));
    assert!(String::from_utf8_lossy(&got.seen[0].body).contains("forbidden-x"));
}

#[test]
fn tools_stay_well_formed() {
    let messages = json!([
        {"role": "user", "content": "look it up"},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "a forbidden-x"},
        {"role": "assistant", "content": "I found nothing."},
        {"role": "user", "content": "and now?"},
    ]);
    let got = asked(&layer(), &messages);
    let sent: Value = serde_json::from_slice(&got.seen[0].body).unwrap();
    let result = json!({"role": "tool", "tool_call_id": "c1", "content": NOTE});
    assert_eq!(sent["messages"][2], result);
    assert_eq!(sent["messages"][1], messages[1]);
}

#[test]
fn what_cannot_be_taken_out_blocks() {
    // A name, a key and a picture's address say it: nothing of it goes in.
    for message in [
        json!({"role": "user", "content": "hi", "forbidden-key": "x"}),
        json!({"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "https://a.example/forbidden-x"}}]}),
    ] {
        let messages = json!([message, {"role": "assistant", "content": "Hi."}, {"role": "user", "content": "go on"}]);
        let got = asked(&layer(), &messages);
        assert!(got.is_blocked() && got.seen.is_empty(), "{messages}");
    }
}

#[test]
fn every_format_takes_it_out() {
    let cases = [
        (
            "/v1/messages",
            json!({"model": "m", "max_tokens": 9, "messages": [
                {"role": "user", "content": [{"type": "text", "text": "a forbidden-x"}]},
                {"role": "assistant", "content": "No."},
                {"role": "user", "content": "hi"}]}),
            "/messages/0/content/0/text",
        ),
        (
            "/v1beta/models/g:generateContent",
            json!({"contents": [
                {"role": "user", "parts": [{"text": "a forbidden-x"}]},
                {"role": "model", "parts": [{"text": "No."}]},
                {"role": "user", "parts": [{"text": "hi"}]}]}),
            "/contents/0/parts/0/text",
        ),
        (
            "/v1/responses",
            json!({"model": "m", "input": [
                {"role": "user", "content": "a forbidden-x"},
                {"role": "assistant", "content": "No."},
                {"role": "user", "content": "hi"}]}),
            "/input/0/content",
        ),
        (
            "/api/chat",
            json!({"model": "m", "messages": [
                {"role": "user", "content": "a forbidden-x"},
                {"role": "assistant", "content": "No."},
                {"role": "user", "content": "hi"}]}),
            "/messages/0/content",
        ),
    ];
    for (path, body, place) in cases {
        let request = post(path, body.to_string());
        let got = run(exchange(&layer(), request, &Reply::json("{}")));
        assert_eq!(got.seen.len(), 1, "{path}: {}", got.text());
        let sent: Value = serde_json::from_slice(&got.seen[0].body).unwrap();
        assert_eq!(sent.pointer(place), Some(&json!(NOTE)), "{path}");
    }
}
