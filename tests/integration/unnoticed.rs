//! Faults that no other test noticed when they were put in on purpose.

use serde_json::json;

use crate::support::{
    REFUSAL, Reply, chat, content_stream, delta_event, exchange, joined, regex_layer, run,
};

const STREAM: &str = crate::support::STREAM;

#[test]
fn a_reply_is_never_asked_for_in_ranges() {
    let layer = regex_layer("forbidden-[a-z]+", &["secret-[0-9]{4}"]);
    let mut request = chat(STREAM);
    for (name, value) in [
        ("range", "bytes=0-9"),
        ("if-range", "\"e\""),
        ("expect", "100-continue"),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let exchange = run(exchange(
        &layer,
        request,
        &Reply::events(content_stream(&["hi"])),
    ));
    let sent = &exchange.seen[0].headers;
    for name in ["range", "if-range", "expect"] {
        assert!(!sent.contains_key(name), "{name}");
    }
}

#[test]
fn a_stream_keeps_no_digest_of_what_came() {
    let layer = regex_layer("forbidden-[a-z]+", &["secret-[0-9]{4}"]);
    let names = [
        "content-md5",
        "digest",
        "content-digest",
        "repr-digest",
        "etag",
    ];
    let mut reply = Reply::events(content_stream(&["it is ", "secret-1234"]));
    for name in names {
        reply = reply.header(name, "\"x\"");
    }
    let exchange = run(exchange(&layer, chat(STREAM), &reply));
    assert!(exchange.is_blocked());
    for name in names {
        assert!(!exchange.headers.contains_key(name), "{name}");
    }
}

#[test]
fn text_after_a_finish_is_judged_by_itself_too() {
    // Joined to what came before it is no match.
    let layer = regex_layer("forbidden-[a-z]+", &["^secret"]);
    let finish =
        json!({"id": "c1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    let frames = vec![
        delta_event(0, &json!({"content": "so "})).into(),
        format!("data: {finish}\n\n").into(),
        delta_event(0, &json!({"content": "secret"})).into(),
        "data: [DONE]\n\n".into(),
    ];
    let exchange = run(exchange(&layer, chat(STREAM), &Reply::events(frames)));
    assert!(exchange.is_blocked());
    assert!(!exchange.text().contains("secret"), "{}", exchange.text());
}

#[test]
fn a_choice_that_is_blocked_is_followed_no_more() {
    let layer = regex_layer("forbidden-[a-z]+", &["secret-[0-9]{4}"]);
    let finish = |index: u32| {
        let record = json!({"id": "c1", "choices": [{"index": index, "delta": {}, "finish_reason": "stop"}]});
        format!("data: {record}\n\n").into()
    };
    // The blocked choice goes on, and what it says would be held for good.
    let frames = vec![
        delta_event(0, &json!({"content": "secret-1234"})).into(),
        delta_event(1, &json!({"content": "all "})).into(),
        delta_event(0, &json!({"content": "secret-"})).into(),
        delta_event(1, &json!({"content": "is well"})).into(),
        finish(1),
        finish(0),
        "data: [DONE]\n\n".into(),
    ];
    let request = STREAM.replace("\"stream\"", "\"n\":2,\"stream\"");
    let exchange = run(exchange(&layer, chat(request), &Reply::events(frames)));
    assert_eq!(joined(&exchange.body, 0, "/delta/content"), REFUSAL);
    assert_eq!(joined(&exchange.body, 1, "/delta/content"), "all is well");
    assert!(exchange.text().ends_with("data: [DONE]\n\n"));
}
