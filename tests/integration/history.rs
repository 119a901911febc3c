//! Earlier messages that a rail blocks do not block the conversation for good.

use std::{
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tower_guardrails::{
    GuardrailsLayer, LlmRails,
    error::ModelError,
    layer::{BlockedHistory, History},
    llm::{Model, ModelReply, ModelRequest},
    verdict::Decision,
};

use crate::support::{
    Exchange, REFUSAL, Reply, chat, config, exchange, post, rails, regex_layer, run,
};

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

/// Says yes to what is dreadful, and counts how often it is asked.
#[derive(Debug)]
struct Judge(Arc<AtomicUsize>);

impl Model for Judge {
    fn name(&self) -> &str {
        "judge"
    }

    fn complete(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelReply, ModelError>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let mut messages = request.messages.iter();
        let is_bad = messages.any(|message| message.content.text().contains("dreadful"));
        let mut reply = ModelReply::default();
        reply.content = if is_bad { "yes" } else { "no" }.to_owned();
        Box::pin(ready(Ok(reply)))
    }
}

#[test]
fn no_more_is_asked_to_find_the_message_than_about_a_request() {
    let yaml = "
prompts: [{task: self_check_input, content: 'Bad? <<{{ user_input }}>>'}]
models: [{type: main, engine: mine, model: judge}]
rails: {input: {flows: [self check input]}}
";
    for (count, is_blocked) in [(10, false), (400, true)] {
        let questions = Arc::new(AtomicUsize::new(0));
        let judge = Judge(Arc::clone(&questions));
        let rails = LlmRails::builder(config(yaml)).model("main", judge);
        let layer = GuardrailsLayer::new(rails.build().unwrap());
        let mut messages: Vec<Value> = (0..count)
            .map(|number| json!({"role": "user", "content": format!("question {number}")}))
            .collect();
        messages[count / 2] = json!({"role": "user", "content": "a dreadful one"});
        messages.push(json!({"role": "assistant", "content": "so"}));
        messages.push(json!({"role": "user", "content": "and now?"}));
        let got = asked(&layer, &messages.into());
        assert_eq!(got.is_blocked(), is_blocked, "{count}");
        let seen = got
            .seen
            .iter()
            .map(|seen| String::from_utf8_lossy(&seen.body).into_owned());
        assert!(
            seen.into_iter().all(|body| !body.contains("dreadful")),
            "{count}"
        );
        // About the request, about messages by themselves, and about what is left.
        assert!(questions.load(Ordering::Relaxed) <= 3 * 64, "{count}");
    }
}

/// What is copied for a result is the call that it answers, not the conversation before it.
#[test]
fn a_result_is_judged_with_its_call() {
    let layer = GuardrailsLayer::new(rails(
        "models: []\nrails:\n  tool_input: {flows: [tool result validation]}\n  config: {regex_detection: {input: {patterns: [forbidden]}}}\n  input: {flows: [regex check input]}\n",
    ));
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let result =
        |id: &str, content: &str| json!({"role": "tool", "tool_call_id": id, "content": content});
    let messages = json!([
        {"role": "user", "content": "look it up"},
        {"role": "assistant", "content": null, "tool_calls": [call("c1"), call("c2"), call("c3")]},
        result("c1", "good"), result("c2", "forbidden"), result("c3", "fine"),
        {"role": "assistant", "content": "so"},
        {"role": "user", "content": "and now?"},
    ]);
    let got = asked(&layer, &messages);
    assert!(!got.is_blocked(), "{}", got.text());
    let sent: Value = serde_json::from_slice(&got.seen[0].body).unwrap();
    assert_eq!(sent["messages"][2], messages[2]);
    assert_eq!(sent["messages"][3], result("c2", NOTE));
    assert_eq!(sent["messages"][4], messages[4]);
}
