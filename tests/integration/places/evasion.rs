//! Ways around the reader of a format: keys that stand twice or in another letter case, odd content types, deep nesting, records whose
//! name and type differ, bodies on the paths of stored replies.

use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};

use super::{Faults, How, PATTERN_IN, PATTERN_OUT, formats, patterns};
use crate::support::{Reply, exchange, post, run};

/// What is done to one member of a body.
#[derive(Debug, Clone, Copy)]
enum Twist {
    /// Its key is in capitals.
    Capitals,
    /// One of its letters is a long s or the Kelvin sign, which some readers fold.
    Folded,
    /// Its key stands before it, too, with nothing.
    TwinBefore,
    /// Its key stands behind it, too, with nothing.
    TwinBehind,
}

const TWISTS: [Twist; 4] = [
    Twist::Capitals,
    Twist::Folded,
    Twist::TwinBefore,
    Twist::TwinBehind,
];

/// Writes `value` with its member number `at` twisted; false where there is no such member, or nothing to twist.
fn twisted(value: &Value, at: usize, twist: Twist) -> Option<String> {
    let (mut out, mut left, mut done) = (String::new(), at, false);
    write(value, &mut left, twist, &mut done, &mut out);
    done.then_some(out)
}

fn write(value: &Value, left: &mut usize, twist: Twist, done: &mut bool, out: &mut String) {
    match value {
        Value::Object(members) => {
            out.push('{');
            for (number, (key, value)) in members.iter().enumerate() {
                if number > 0 {
                    out.push(',');
                }
                let is_it = !*done && *left == 0;
                *left = left.wrapping_sub(usize::from(!*done));
                let plain = Value::from(key.as_str());
                let mut name = plain.clone();
                if is_it {
                    *done = true;
                    match twist {
                        Twist::Capitals => name = key.to_uppercase().into(),
                        Twist::Folded => {
                            let folded =
                                key.replacen('s', "\u{17F}", 1).replacen('k', "\u{212A}", 1);
                            name = folded.into();
                        }
                        Twist::TwinBefore => out.push_str(&format!("{plain}:null,")),
                        Twist::TwinBehind => {}
                    }
                }
                out.push_str(&format!("{name}:"));
                write(value, left, twist, done, out);
                if is_it && matches!(twist, Twist::TwinBehind) {
                    out.push_str(&format!(",{plain}:null"));
                }
            }
            out.push('}');
        }
        Value::Array(elements) => {
            out.push('[');
            for (number, element) in elements.iter().enumerate() {
                if number > 0 {
                    out.push(',');
                }
                write(element, left, twist, done, out);
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}

/// How many variants there are of one that is tried: all together are slow.
const SPARSE: usize = 3;

#[test]
fn twisted_keys_hide_no_text() {
    let layer = patterns();
    let (mut faults, mut count) = (Faults::default(), 0);
    let bodies = |body: &Value, mark: &super::Mark| -> Vec<String> {
        let filled: Value = serde_json::from_str(&mark.fill(body)).unwrap();
        let all = (0..).map_while(|at| {
            let twists = TWISTS
                .iter()
                .filter_map(|twist| twisted(&filled, at, *twist));
            let bodies: Vec<String> = twists.collect();
            (!bodies.is_empty()).then_some(bodies)
        });
        all.flatten().collect()
    };
    for format in formats() {
        for place in format
            .requests
            .iter()
            .filter(|place| place.how == How::Text)
        {
            for body in bodies(&place.body, &PATTERN_IN) {
                count += 1;
                if count % SPARSE > 0 {
                    continue;
                }
                let request = post(format.path, body.clone());
                let exchange = run(exchange(&layer, request, &Reply::json("{}")));
                faults.check(exchange.seen.is_empty(), || {
                    format!("{}, {}: {body} goes in", format.name, place.name)
                });
            }
        }
        for place in format.replies.iter().filter(|place| place.how == How::Text) {
            for body in bodies(&place.body, &PATTERN_OUT) {
                count += 1;
                if count % SPARSE > 0 {
                    continue;
                }
                let request = post(format.path, (format.ask)(false).to_string());
                let exchange = run(exchange(&layer, request, &Reply::json(body.clone())));
                let text = exchange.text();
                faults.check(!text.contains(PATTERN_OUT.caught), || {
                    format!("{}, {}: {body} leaves as {text}", format.name, place.name)
                });
            }
        }
    }
    assert!(count > 5000, "{count}");
    faults.report();
}

#[test]
fn odd_content_types_hide_no_text() {
    let layer = patterns();
    for format in formats() {
        let Some(place) = format.requests.first() else {
            continue;
        };
        let body = PATTERN_IN.fill(&place.body);
        for types in [
            &["text/plain"][..],
            &[],
            &["application/x-www-form-urlencoded"],
            &["application/json", "text/plain"],
            &["application/json; charset=utf-16"],
            &["application/cbor"],
            &["multipart/form-data; boundary=x"],
        ] {
            let mut request = Request::post(format.path);
            for content_type in types {
                request = request.header("content-type", *content_type);
            }
            let request = request.body(Full::new(body.clone().into())).unwrap();
            let exchange = run(exchange(&layer, request, &Reply::json("{}")));
            assert!(exchange.seen.is_empty(), "{}: {types:?}", format.name);
        }
    }
}

#[test]
fn deep_nesting_hides_no_text_and_breaks_nothing() {
    let layer = patterns();
    for format in formats() {
        let Some(place) = format.requests.first() else {
            continue;
        };
        for depth in [50, 100, 200, 100_000] {
            let deep = format!(
                "{}[\"{}\"]{}",
                "[{\"a\":".repeat(depth),
                PATTERN_IN.whole,
                "}]".repeat(depth)
            );
            let body = PATTERN_IN.fill(&place.body);
            let body = format!("{{\"notes\":{deep},{}", &body[1..]);
            let request = post(
                format.path,
                body.replace(":\"forbidden-things\"", ":\"hi\""),
            );
            let exchange = run(exchange(&layer, request, &Reply::json("{}")));
            assert!(exchange.seen.is_empty(), "{} at {depth}", format.name);
        }
        for depth in [50, 200, 100_000] {
            let deep = format!(
                "{}\"{}\"{}",
                "[".repeat(depth),
                PATTERN_OUT.whole,
                "]".repeat(depth)
            );
            let reply = format!("{{\"notes\":{deep}}}");
            let request = post(format.path, (format.ask)(false).to_string());
            let exchange = run(exchange(&layer, request, &Reply::json(reply)));
            assert!(
                !exchange.text().contains(PATTERN_OUT.caught),
                "{} at {depth}",
                format.name
            );
        }
    }
}

#[test]
fn records_whose_name_and_type_differ_do_not_leave() {
    let layer = patterns();
    for (path, body, events) in [
        (
            "/v1/messages",
            json!({"model": "c", "max_tokens": 9, "stream": true, "messages": [{"role": "user", "content": "hi"}]}),
            [
                ("content_block_delta", json!({"type": "message_stop"})),
                (
                    "ping",
                    json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "so"}}),
                ),
                ("message_stop", json!({"type": "ping"})),
            ],
        ),
        (
            "/v1/responses",
            json!({"model": "m", "stream": true, "input": "hi"}),
            [
                (
                    "response.output_text.delta",
                    json!({"type": "response.completed", "response": {"output": []}}),
                ),
                (
                    "response.completed",
                    json!({"type": "response.output_text.delta", "delta": "so"}),
                ),
                (
                    "error",
                    json!({"type": "response.output_text.delta", "delta": "so"}),
                ),
            ],
        ),
    ] {
        for (name, data) in events {
            let stream = format!("event: {name}\ndata: {data}\n\n");
            let request = post(path, body.to_string());
            let reply = Reply::events(vec![stream.into()]);
            let exchange = run(exchange(&layer, request, &reply));
            let text = exchange.text();
            assert!(
                text.contains("can be read") || text.contains("stand twice"),
                "{name}: {text}"
            );
            assert!(!text.contains("\"so\""), "{text}");
        }
    }
}

#[test]
fn bytes_of_tokens_are_read_as_text() {
    let layer = patterns();
    let bytes: Vec<u8> = PATTERN_OUT.whole.bytes().collect();
    let token = json!([{"token": "so", "logprob": -1.0, "bytes": bytes, "top_logprobs": []}]);
    for (path, ask, reply) in [
        (
            "/v1/chat/completions",
            json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]}),
            json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "so"}, "logprobs": {"content": token}, "finish_reason": "stop"}]}),
        ),
        (
            "/v1/responses",
            json!({"model": "m", "input": "hi"}),
            json!({"id": "r", "object": "response", "status": "completed", "output": [{"type": "message", "content": [{"type": "output_text", "text": "so", "logprobs": token}]}]}),
        ),
        (
            "/api/chat",
            json!({"model": "m", "stream": false, "messages": [{"role": "user", "content": "hi"}]}),
            json!({"model": "m", "message": {"role": "assistant", "content": "so"}, "logprobs": token, "done": true}),
        ),
    ] {
        let exchange = run(exchange(
            &layer,
            post(path, ask.to_string()),
            &Reply::json(reply.to_string()),
        ));
        assert!(exchange.is_blocked(), "{path}");
        assert!(
            !exchange.text().contains("115,101"),
            "{path}: {}",
            exchange.text()
        );
    }
}

#[test]
fn bodies_that_are_no_conversation_pass_on_the_paths_of_stored_replies() {
    let layer = patterns();
    for (path, body, reply) in [
        (
            "/v1/chat/completions/chatcmpl-1",
            r#"{"metadata":{"a":"b"}}"#,
            json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "MARK"}, "finish_reason": "stop"}]}),
        ),
        (
            "/v1/responses/resp_1/cancel",
            "{}",
            json!({"id": "resp_1", "object": "response", "status": "cancelled", "output": [{"type": "message", "content": [{"type": "output_text", "text": "MARK"}]}]}),
        ),
    ] {
        for (text, is_blocked) in [("all is well", false), (PATTERN_OUT.whole, true)] {
            let reply = reply.to_string().replace("MARK", text);
            let exchange = run(exchange(&layer, post(path, body), &Reply::json(reply)));
            assert_eq!(exchange.seen.len(), 1, "{path}: {}", exchange.text());
            assert_eq!(exchange.seen[0].body, body);
            assert_eq!(exchange.is_blocked(), is_blocked, "{path}");
            assert!(!exchange.text().contains(PATTERN_OUT.caught));
        }
    }
}
