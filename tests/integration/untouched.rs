//! What the rails allow goes on and comes back byte for byte.

use std::{
    convert::Infallible,
    io::{Read, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::sync::mpsc;
use tower::{Layer, ServiceExt, service_fn};
use tower_guardrails::{GuardrailsLayer, layer::RequestBody};

use crate::support::{
    CHAT, Reply, STREAM, chat, content_stream, exchange, joined, post, regex_layer, run,
};

const PLAIN: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;

const ANSWER: &str = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}"#;

fn layer() -> GuardrailsLayer {
    regex_layer("BADWORD", &["SECRET"])
}

/// The codings that the layer reads, each with `body` in it.
fn encoded(body: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let level = flate2::Compression::default();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), level);
    gzip.write_all(body).unwrap();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), level);
    zlib.write_all(body).unwrap();
    let mut bare = flate2::write::DeflateEncoder::new(Vec::new(), level);
    bare.write_all(body).unwrap();
    vec![
        ("gzip", gzip.finish().unwrap()),
        ("deflate", zlib.finish().unwrap()),
        ("deflate", bare.finish().unwrap()),
        ("br", brotli_of(body)),
        ("zstd", zstd::encode_all(body, 3).unwrap()),
    ]
}

/// A brotli stream that stores `body` uncompressed: a window of 64 KiB, one meta-block, the empty last one.
fn brotli_of(body: &[u8]) -> Vec<u8> {
    assert!((1..=1 << 16).contains(&body.len()));
    // Bits from the lowest: the window's `0`, not the last, four nibbles of length, the length less one, uncompressed.
    let bits = ((body.len() - 1) as u32) << 4 | 1 << 20;
    let mut stream = bits.to_le_bytes()[..3].to_vec();
    stream.extend_from_slice(body);
    // The last meta-block, and empty.
    stream.push(0b11);
    stream
}

#[test]
fn the_brotli_of_these_tests_is_brotli() {
    let mut plain = Vec::new();
    brotli_decompressor::Decompressor::new(&brotli_of(ANSWER.as_bytes())[..], 4096)
        .read_to_end(&mut plain)
        .unwrap();
    assert_eq!(plain, ANSWER.as_bytes());
}

#[test]
fn a_request_reaches_the_service_byte_for_byte() {
    let bodies = [
        PLAIN.to_owned(),
        "\n\t { \"messages\" : [ {\"content\":\"hi\" , \"role\":\"user\"} ]\r\n, \"model\":\"m\" } \n".to_owned(),
        r#"{"z":1.0e5,"temperature":1E-7,"seed":123456789012345678901234567890,"top_p":-0.0,"a":{"b":[null,true,{}]},"messages":[{"role":"user","content":"hi"}],"model":"m"}"#.to_owned(),
        r#"{"model":"m","messages":[{"role":"user","content":"\u0068\u0069 \ud83d\ude00 \/ \u0000 ﬀ \u200b"}],"unknown field":{"x":"y"}}"#.to_owned(),
        r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"hi"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}]}"#.to_owned(),
        r#"{"model":"m","messages":[{"role":"system","content":"BADWORD is what the application may say"},{"role":"user","content":"hi"}]}"#.to_owned(),
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{}"}}]}}"#, "long ".repeat(100_000)),
    ];
    for body in bodies {
        let exchange = run(exchange(&layer(), chat(body.clone()), &Reply::json(ANSWER)));
        assert_eq!(exchange.seen.len(), 1, "{}", exchange.text());
        assert_eq!(exchange.seen[0].body, body);
        assert_eq!(exchange.text(), ANSWER);
        assert_eq!(exchange.status, StatusCode::OK);
    }
}

#[test]
fn a_request_in_any_coding_goes_on_as_it_was_read() {
    for (coding, body) in encoded(PLAIN.as_bytes()) {
        let mut request = chat(body.clone());
        request
            .headers_mut()
            .insert("content-encoding", coding.parse().unwrap());
        let exchange = run(exchange(&layer(), request, &Reply::json(ANSWER)));
        assert_eq!(exchange.seen.len(), 1, "{coding}: {}", exchange.text());
        // A service that does not look at the coding reads the same text as one that does.
        assert_eq!(exchange.seen[0].body, PLAIN, "{coding}");
        let headers = &exchange.seen[0].headers;
        assert!(!headers.contains_key("content-encoding"), "{coding}");
        assert_eq!(headers["content-length"], PLAIN.len().to_string());
    }
    for (coding, body) in encoded(PLAIN.replace("hi", "BADWORD").as_bytes()) {
        let mut request = chat(body);
        request
            .headers_mut()
            .insert("content-encoding", coding.parse().unwrap());
        let exchange = run(exchange(&layer(), request, &Reply::json(ANSWER)));
        assert!(
            exchange.seen.is_empty() && exchange.is_blocked(),
            "{coding}"
        );
    }
}

#[test]
fn target_and_headers_go_on() {
    let mut request = Request::post(format!("{CHAT}?api-version=1&x=%20y"))
        .header("content-type", "application/json")
        .header("x-mine", "one")
        .header("x-mine", "two")
        .header("authorization", "Bearer k")
        .body(Full::new(Bytes::from(PLAIN)))
        .unwrap();
    request
        .headers_mut()
        .insert("accept-encoding", "gzip, br".parse().unwrap());
    let exchange = run(exchange(&layer(), request, &Reply::json(ANSWER)));
    let seen = &exchange.seen[0];
    assert_eq!(seen.uri.to_string(), format!("{CHAT}?api-version=1&x=%20y"));
    assert_eq!(seen.headers.get_all("x-mine").iter().count(), 2);
    assert_eq!(seen.headers["authorization"], "Bearer k");
    assert_eq!(seen.headers["accept-encoding"], "gzip, br");
    assert_eq!(seen.headers["content-length"], PLAIN.len().to_string());
}

#[test]
fn a_reply_comes_back_byte_for_byte() {
    let bodies = [
        ("application/json", ANSWER.to_owned()),
        ("application/json", format!(" \n{ANSWER}\r\n")),
        ("text/plain", ANSWER.to_owned()),
        ("application/json", r#"{"usage":{"total_tokens":1.0e3},"x":[1,2.50],"choices":[{"message":{"content":"\u0068i","annotations":[]},"index":0}],"service_tier":null}"#.to_owned()),
        ("application/json", r#"{"error":{"message":"overloaded","type":"server_error","param":null,"code":null}}"#.to_owned()),
        ("text/html", "<h1>Bad gateway</h1>".to_owned()),
        ("application/json", String::new()),
        ("application/json", "null".to_owned()),
    ];
    for (content_type, body) in bodies {
        for size in [1, 7, 1 << 20] {
            let frames: Vec<Bytes> = body
                .as_bytes()
                .chunks(size)
                .map(Bytes::copy_from_slice)
                .collect();
            let reply = Reply::of(content_type, frames)
                .header("x-request-id", "r1")
                .header("etag", "\"e\"");
            let exchange = run(exchange(&layer(), chat(PLAIN), &reply));
            assert_eq!(exchange.text(), body);
            assert_eq!(exchange.headers["content-type"], content_type);
            assert_eq!(exchange.headers["x-request-id"], "r1");
            assert_eq!(exchange.headers["etag"], "\"e\"");
        }
    }
}

/// What vLLM says of a prompt: for each token those that might have stood there, by their numbers.
fn prompt_logprobs(tokens: &[String]) -> String {
    let tokens: Vec<String> = tokens
        .iter()
        .enumerate()
        .map(|(at, token)| {
            let other = 100_000 + at;
            format!(
                r#"{{"{at}":{{"logprob":-0.1,"rank":2,"decoded_token":"{token}"}},"{other}":{{"logprob":-0.05,"rank":1,"decoded_token":" or"}}}}"#
            )
        })
        .collect();
    let choice =
        r#"{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}"#;
    format!(
        r#"{{"choices":[{choice}],"prompt_logprobs":[null,{}]}}"#,
        tokens.join(",")
    )
}

#[test]
fn log_probabilities_of_a_long_prompt_pass_and_are_read() {
    let mut tokens: Vec<String> = (0..5_000).map(|at| format!(" tok{at}")).collect();
    let body = prompt_logprobs(&tokens);
    let reply = Reply::json(body.clone());
    assert_eq!(run(exchange(&layer(), chat(PLAIN), &reply)).text(), body);

    tokens[3_000] = "SEC".to_owned();
    tokens[3_001] = "RET".to_owned();
    let reply = Reply::json(prompt_logprobs(&tokens));
    let exchange = run(exchange(&layer(), chat(PLAIN), &reply));
    assert!(!exchange.text().contains("\"RET\""), "{}", exchange.text());
}

#[test]
fn log_probabilities_of_a_long_answer_pass() {
    let other = r#"{"token":"b","logprob":0,"bytes":[98]}"#;
    let others = vec![other; 20].join(",");
    let token = format!(r#"{{"token":"a","logprob":0,"bytes":[97],"top_logprobs":[{others}]}}"#);
    let tokens = vec![token.as_str(); 9_000].join(",");
    let answer = "a".repeat(9_000);
    let body = format!(
        r#"{{"choices":[{{"index":0,"message":{{"role":"assistant","content":"{answer}"}},"logprobs":{{"content":[{tokens}]}},"finish_reason":"stop"}}]}}"#
    );
    let reply = Reply::json(body.clone());
    assert_eq!(run(exchange(&layer(), chat(PLAIN), &reply)).text(), body);
}

#[test]
fn a_failing_status_comes_back() {
    let body = r#"{"error":{"message":"slow down","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}"#;
    let mut reply = Reply::json(body).header("retry-after", "3");
    reply.status = StatusCode::TOO_MANY_REQUESTS;
    let exchange = run(exchange(&layer(), chat(PLAIN), &reply));
    assert_eq!(exchange.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(exchange.headers["retry-after"], "3");
    assert_eq!(exchange.text(), body);
}

#[test]
fn an_encoded_reply_keeps_its_bytes_for_who_asked_for_the_coding() {
    for (coding, body) in encoded(ANSWER.as_bytes()) {
        // What the bytes are as they stand: text that a reader may take for the reply, or nothing.
        let is_text = std::str::from_utf8(&body).is_ok();
        for asked in [Some(coding), Some("identity"), None] {
            for size in [1, 9, 1 << 20] {
                let frames = body.chunks(size).map(Bytes::copy_from_slice).collect();
                let reply = Reply::of("application/json", frames)
                    .header("content-encoding", coding)
                    .header("content-length", &body.len().to_string());
                let mut request = chat(PLAIN);
                if let Some(asked) = asked {
                    let asked = asked.parse().unwrap();
                    request.headers_mut().insert("accept-encoding", asked);
                }
                let exchange = run(exchange(&layer(), request, &reply));
                let encoded = asked == Some(coding) && !is_text;
                let expected = if encoded {
                    &body[..]
                } else {
                    ANSWER.as_bytes()
                };
                assert_eq!(exchange.body, expected, "{coding} {asked:?}");
                let has_coding = exchange.headers.contains_key("content-encoding");
                assert_eq!(has_coding, encoded, "{coding} {asked:?}");
                let length = expected.len().to_string();
                assert_eq!(exchange.headers["content-length"], length);
            }
        }
    }
}

#[test]
fn an_encoded_reply_is_judged() {
    for (coding, body) in encoded(ANSWER.replace("hello", "the SECRET").as_bytes()) {
        let reply = Reply::json(body).header("content-encoding", coding);
        let exchange = run(exchange(&layer(), chat(PLAIN), &reply));
        assert!(exchange.is_blocked(), "{coding}");
        assert!(!exchange.headers.contains_key("content-encoding"));
        assert_eq!(
            exchange.json()["choices"][0]["finish_reason"],
            "content_filter"
        );
    }
}

#[test]
fn an_encoded_stream_is_judged_and_sent_on_decoded() {
    let frames = content_stream(&["hello", " there"]).concat();
    for (coding, body) in encoded(&frames) {
        for size in [1, 50, 1 << 20] {
            let pieces = body.chunks(size).map(Bytes::copy_from_slice).collect();
            let reply = Reply::events(pieces).header("content-encoding", coding);
            let exchange = run(exchange(&layer(), chat(STREAM), &reply));
            assert_eq!(exchange.body, frames, "{coding}");
            assert!(!exchange.headers.contains_key("content-encoding"));
        }
    }
    let frames = content_stream(&["hello SEC", "RET"]).concat();
    for (coding, body) in encoded(&frames) {
        let reply = Reply::events(vec![body.into()]).header("content-encoding", coding);
        let exchange = run(exchange(&layer(), chat(STREAM), &reply));
        assert!(exchange.is_blocked(), "{coding}");
        assert!(!joined(&exchange.body, 0, "/delta/content").contains("SEC"));
    }
}

#[test]
fn other_paths_pass_with_all_they_carry() {
    let cases = [
        ("/v1/embeddings", r#"{"input":"BADWORD"}"#),
        ("/v1/orders", r#"{"item":"BADWORD","prompt":"sure?"}"#),
        ("/graphql", r#"{"query":"{ BADWORD }","variables":{}}"#),
        ("/v1/other", r#"{"input":"BADWORD","messages":"none"}"#),
        ("/upload", "BADWORD in plain text"),
        ("/", "{ not json BADWORD"),
    ];
    for (path, body) in cases {
        let reply = Reply::of("text/plain", vec!["a SECRET".into()]);
        let exchange = run(exchange(&layer(), post(path, body), &reply));
        assert_eq!(exchange.seen.len(), 1, "{path}");
        assert_eq!(exchange.seen[0].body, body);
        assert_eq!(exchange.text(), "a SECRET");
        assert!(exchange.verdict.is_none(), "{path}");
    }
}

#[test]
fn other_paths_are_not_buffered() {
    for path in ["/v1/files", "/upload"] {
        run(async {
            let (feed, mut fed) = mpsc::unbounded_channel::<Bytes>();
            feed.send("first".into()).unwrap();
            let frames = stream::poll_fn(move |context| fed.poll_recv(context));
            let frames = futures_util::StreamExt::map(frames, |bytes| {
                Ok::<_, Infallible>(Frame::data(bytes))
            });
            let got = Arc::new(AtomicBool::new(false));
            let note = Arc::clone(&got);
            let inner = service_fn(move |request: Request<RequestBody<_>>| {
                let note = Arc::clone(&note);
                async move {
                    let mut body = std::pin::pin!(request.into_body());
                    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
                    assert_eq!(first, "first");
                    note.store(true, Ordering::Relaxed);
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("ok"))))
                }
            });
            let request = Request::builder()
                .method(Method::POST)
                .uri(path)
                .body(Box::pin(StreamBody::new(frames)))
                .unwrap();
            // The rest of the body has not been sent.
            let response = layer().layer(inner).oneshot(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            assert!(got.load(Ordering::Relaxed));
            drop(feed);
        });
    }
}
