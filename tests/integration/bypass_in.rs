//! Ways past the layer on the way in that were found from outside, and their kin: each is a text that a service would read and a rail
//! would not.

use std::io::Write;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use tower_guardrails::{GuardrailsLayer, LlmRails, RailsConfig, layer::Limits};

use crate::support::{CHAT, Exchange, Reply, exchange, post, rails, regex_layer, run};

const BAD: &str = r#"{"model":"m","messages":[{"role":"user","content":"forbidden-things"}]}"#;

const FINE: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;

fn layer() -> GuardrailsLayer {
    regex_layer("forbidden-[a-z]+", &["secret-[0-9]{4}"])
}

fn send(request: Request<Full<Bytes>>) -> Exchange {
    let answer = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"hello"}}]}"#;
    run(exchange(&layer(), request, &Reply::json(answer)))
}

fn with(path: &str, headers: &[(&'static str, &str)], body: impl Into<Bytes>) -> Exchange {
    let mut request = post(path, body);
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    send(request)
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// A brotli stream in which `text`, of 256 bytes at most, stands as it is, and which decodes to something else: a part of metadata,
/// which decoders skip, and `{"messages":[]}` stored.
fn brotli_polyglot(text: &str) -> Vec<u8> {
    let stored = br#"{"messages":[]}"#;
    let mut stream = Vec::new();
    // The window's `0`; then bits from the lowest: not the last, no nibbles (metadata), a reserved `0`, one byte of length.
    let bits: u32 = (0b11 << 2 | 1 << 5) | ((text.len() - 1) as u32) << 7;
    stream.extend_from_slice(&bits.to_le_bytes()[..2]);
    stream.extend_from_slice(text.as_bytes());
    let length = ((stored.len() - 1) as u32) << 3 | 1 << 19;
    stream.extend_from_slice(&length.to_le_bytes()[..3]);
    stream.extend_from_slice(stored);
    stream.push(0b11);
    stream
}

#[test]
fn what_goes_on_is_what_was_read() {
    // A decoder skips the metadata in which the text lies; who does not look at the coding may find it.
    let body = brotli_polyglot(BAD);
    let mut decoded = Vec::new();
    std::io::Read::read_to_end(
        &mut brotli_decompressor::Decompressor::new(&body[..], 4096),
        &mut decoded,
    )
    .unwrap();
    assert_eq!(decoded, br#"{"messages":[]}"#);
    let seen = with(CHAT, &[("content-encoding", "br")], body).seen;
    assert_eq!(seen[0].body, r#"{"messages":[]}"#);
    assert!(!seen[0].headers.contains_key("content-encoding"));
}

#[test]
fn a_coding_that_is_not_read_hides_no_chat() {
    let trailing = [gzip(BAD.as_bytes()), b"x".to_vec()].concat();
    let big = format!("{}{}", BAD, " ".repeat(40 << 20));
    let cases: Vec<(&str, &str, Vec<u8>, u16)> = vec![
        ("an unknown coding", "foo", BAD.into(), 415),
        ("a coding that it is not in", "gzip", BAD.into(), 400),
        ("a byte too much", "gzip", trailing, 400),
        ("twice", "gzip, gzip", gzip(&gzip(BAD.as_bytes())), 415),
        ("a bomb", "gzip", gzip(big.as_bytes()), 413),
        (
            "not the last byte",
            "gzip",
            gzip(BAD.as_bytes())[..40].into(),
            400,
        ),
    ];
    for (what, coding, body, status) in cases {
        for path in [CHAT, "/llm", "/v1/models"] {
            let exchange = with(path, &[("content-encoding", coding)], body.clone());
            assert!(exchange.seen.is_empty(), "{what} on {path}");
            assert_eq!(exchange.status.as_u16(), status, "{what} on {path}");
        }
    }
    // An app's own bodies are none of the layer's concern, in whatever coding.
    let big = gzip(&b"a,b\n".repeat(12 << 20));
    let own: Vec<(&str, &str, Vec<u8>)> = vec![
        ("gzip", "application/json", gzip(br#"{"item":1}"#)),
        ("gzip", "text/csv", big),
        ("foo", "application/octet-stream", vec![1, 2, 3]),
        (
            "aws-chunked",
            "application/octet-stream",
            b"10;x\r\n".to_vec(),
        ),
    ];
    for (coding, content_type, body) in own {
        let headers = [("content-encoding", coding), ("content-type", content_type)];
        let exchange = with("/upload", &headers, body.clone());
        assert_eq!(
            exchange.seen.len(),
            1,
            "{coding} {content_type}: {}",
            exchange.text()
        );
        assert!(exchange.seen[0].body == body);
        assert_eq!(exchange.seen[0].headers["content-encoding"], coding);
    }
}

#[test]
fn a_charset_that_moves_letters_hides_no_chat() {
    for charset in ["utf-7", "ibm037", "cp500", "CP1047"] {
        let content_type = format!("application/json; charset={charset}");
        let exchange = with("/llm", &[("content-type", &content_type)], BAD);
        assert!(exchange.seen.is_empty(), "{charset}");
    }
    let wide: Vec<u8> = BAD.encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert!(with("/llm", &[], wide).seen.is_empty());
    let latin = [("content-type", "text/plain; charset=shift_jis")];
    assert_eq!(with("/notes", &latin, "forbidden-things").seen.len(), 1);
}

#[test]
fn no_spelling_of_a_path_leads_past_the_rails() {
    for path in [
        "/v1/embeddings/../chat/completions",
        "/v1/embeddings%3f/../chat/completions",
        "/v1/models%23/../chat/completions",
        "/v1/embeddings%253f/../chat/completions",
        "/v1/files%3f/%2e%2e/chat/completions",
        "/v1/embeddings%3f/..%5cchat/completions",
        "/v1/embeddings;%2f..%2fchat/completions",
        "/v1/x%3b/../embeddings%3f/../chat/completions",
        "/v1/%2e/embeddings%23/%2e%2E/chat/completions",
    ] {
        let exchange = send(post(path, BAD));
        assert!(exchange.seen.is_empty(), "{path}");
    }
}

#[test]
fn a_body_on_a_plain_path_is_looked_at() {
    for path in [
        "/v1/models",
        "/models/llama",
        "/proxy/models/gpt-4",
        "/chat/models",
        "/llm/rerank",
        "/api/show",
        "/v1/embeddings",
        "/v1/files",
        "/v1/images/generations",
    ] {
        assert!(send(post(path, BAD)).is_blocked(), "{path}");
    }
    for (path, body) in [
        (
            "/v1/embeddings",
            r#"{"model":"m","input":"forbidden-things"}"#,
        ),
        (
            "/v1/images/generations",
            r#"{"model":"m","prompt":"forbidden-things","n":1}"#,
        ),
        (
            "/v1/rerank",
            r#"{"model":"m","query":"forbidden-things","documents":["a"]}"#,
        ),
        (
            "/v1/audio/speech",
            r#"{"model":"m","input":"forbidden-things","voice":"v"}"#,
        ),
        ("/tokenize", r#"{"content":"forbidden-things"}"#),
    ] {
        assert_eq!(send(post(path, body)).seen.len(), 1, "{path}");
    }
}

#[test]
fn chat_in_a_wrapper_is_no_other_body() {
    for body in [
        format!("/* */{BAD}"),
        format!("//\n{BAD}"),
        format!("\u{1e}{BAD}"),
        format!("[{BAD}]"),
        format!("\u{feff}\u{feff}{BAD}"),
        format!("\0{BAD}"),
        format!("\u{b}{BAD}"),
        format!("{FINE}\n{BAD}"),
        BAD.replace('}', ",}"),
        format!("{}{BAD}", " ".repeat(70_000)),
    ] {
        let exchange = send(post("/llm", body.clone()));
        assert!(exchange.seen.is_empty(), "{}", &body[..10.min(body.len())]);
    }
}

const ANSWER: &str =
    r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"hello"}}]}"#;

/// Rails that find, or mask, e-mail addresses and cards, and one that blocks a pattern.
fn sensitive(flow: &str) -> GuardrailsLayer {
    GuardrailsLayer::new(rails(&format!(
        "
models: []
rails:
  config:
    sensitive_data_detection:
      input: {{entities: [EMAIL_ADDRESS, CREDIT_CARD, PHONE_NUMBER, URL]}}
  input:
    flows: [{flow} sensitive data on input]
"
    )))
}

/// A rail that is an app's own flow, which asks nobody.
fn own_flow() -> GuardrailsLayer {
    let yaml = "models: []\nrails: {input: {flows: [own]}}\n";
    let flow = "define subflow own\n  if \"forbidden\" in $user_message\n    bot refuse to respond\n    stop\n";
    let config = RailsConfig::from_content(yaml, flow).unwrap();
    GuardrailsLayer::new(LlmRails::new(config).unwrap())
}

fn ask(layer: &GuardrailsLayer, body: &Value) -> Exchange {
    run(exchange(
        layer,
        post(CHAT, body.to_string()),
        &Reply::json(ANSWER),
    ))
}

fn user(content: Value) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": content}]})
}

/// Requests in which `text` stands where a model may read it.
fn places(text: &str) -> Vec<Value> {
    let with = |key: &str, value: Value| {
        let mut body = user("hi".into());
        body[key] = value;
        body
    };
    let message = |key: &str, value: Value| {
        let mut body = user("hi".into());
        body["messages"][0][key] = value;
        body
    };
    vec![
        user(text.into()),
        with("documents", json!([{"title": "t", "text": text}])),
        with("documents", json!([text])),
        with("chat_template", json!(format!("{{{{ '{text}' }}}}"))),
        with("chat_template_kwargs", json!({"system": text})),
        with("prompt", text.into()),
        with("system", text.into()),
        with("prediction", json!({"type": "content", "content": text})),
        with(
            "fallbacks",
            json!([{"messages": [{"role": "user", "content": text}]}]),
        ),
        with("plugins", json!([{"id": "web", "search_prompt": text}])),
        message("x", text.into()),
        message("name", text.into()),
        message(
            "content",
            json!([{"type": "text", "text": {"value": text}}]),
        ),
        message("content", json!([{"type": "other", "text": text}])),
        message(
            "content",
            json!([{"type": "text", "text": "hi", "title": [text]}]),
        ),
    ]
}

#[test]
fn every_kind_of_rail_reads_every_place() {
    let own = own_flow();
    for body in places("forbidden") {
        assert!(ask(&own, &body).seen.is_empty(), "{body}");
        assert_eq!(ask(&own, &places("fine")[0]).seen.len(), 1);
    }
    let (detect, mask) = (sensitive("detect"), sensitive("mask"));
    for body in places("bob@example.com") {
        assert!(ask(&detect, &body).seen.is_empty(), "{body}");
        let sent = ask(&mask, &body).seen;
        let sent = String::from_utf8_lossy(&sent[0].body).into_owned();
        assert!(
            sent.contains("EMAIL_ADDRESS") && !sent.contains("bob@"),
            "{sent}"
        );
        assert!(serde_json::from_str::<Value>(&sent).is_ok(), "{sent}");
    }
    for body in [
        user(json!([{"type": "text", "text": 4_111_111_111_111_111_u64}])),
        json!({"messages": [{"role": "user", "content": "hi", "card": 4_111_111_111_111_111_u64}]}),
        json!({"messages": [{"role": "user", "content": "hi"}], "documents": [{"card": 4_111_111_111_111_111_u64}]}),
    ] {
        assert!(ask(&detect, &body).seen.is_empty(), "{body}");
        let sent = &ask(&mask, &body).seen[0].body;
        let sent: Value = serde_json::from_slice(sent).unwrap();
        assert!(!sent.to_string().contains("4111111111111111"), "{sent}");
    }
}

#[test]
fn parts_are_read_as_every_reader_joins_them() {
    let text = |text: &str| json!({"type": "text", "text": text});
    let picture =
        json!({"type": "image_url", "image_url": {"url": "https://e/x.png"}, "text": "Z"});
    for between in [
        picture,
        json!({"type": "text", "text": {"x": "Z"}}),
        json!({"type": "thinking", "text": "Z"}),
    ] {
        let body = user(json!([text("forbid"), between, text("den-things")]));
        assert!(send(post(CHAT, body.to_string())).seen.is_empty(), "{body}");
        assert!(ask(&own_flow(), &body).seen.is_empty(), "{body}");
    }
    let detect = sensitive("detect");
    for (first, second) in [
        ("mail alice@example.com", "write soon"),
        ("mail alice@exam", "ple.com soon"),
        ("4111111111111111", "22"),
    ] {
        let body = user(json!([text(first), text(second)]));
        assert!(ask(&detect, &body).seen.is_empty(), "{body}");
    }
}

fn file(media: &str, bytes: &[u8]) -> Value {
    use base64::Engine;
    let data = base64::engine::general_purpose::STANDARD.encode(bytes);
    user(
        json!([{"type": "file", "file": {"filename": "a.txt", "file_data": format!("data:{media};base64,{data}")}}]),
    )
}

#[test]
fn a_text_file_is_read_in_any_encoding_and_packed_again() {
    let wide: Vec<u8> = "forbidden-things"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for (media, bytes) in [
        (
            "text/plain;charset=iso-8859-1",
            &b"caf\xe9 forbidden-things"[..],
        ),
        ("text/plain", b"hi\x00 forbidden-things"),
        ("text/csv", b"\xff,forbidden-things"),
        ("text/plain;charset=utf-16le", &wide),
        (
            "application/octet-stream",
            b"hi\x0b forbidden-things and more of it",
        ),
    ] {
        let body = file(media, bytes);
        assert!(
            send(post(CHAT, body.to_string())).seen.is_empty(),
            "{media}"
        );
    }
    let sent = ask(
        &sensitive("mask"),
        &file("text/plain", b"caf\xe9: write to alice@example.com"),
    )
    .seen;
    let sent: Value = serde_json::from_slice(&sent[0].body).unwrap();
    let packed = file("text/plain", b"caf\xe9: write to <EMAIL_ADDRESS>");
    assert_eq!(sent["messages"], packed["messages"]);
}

#[test]
fn what_is_no_text_is_left_alone() {
    let call = json!([{"id": "call_1839366227", "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
    let body = json!({"messages": [
        {"role": "user", "content": [
            {"type": "text", "text": "what is this"},
            {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
        ]},
        {"role": "assistant", "content": null, "tool_calls": call},
        {"role": "tool", "tool_call_id": "call_1839366227", "content": "sunny"},
    ]});
    for flow in ["detect", "mask"] {
        let seen = ask(&sensitive(flow), &body).seen;
        assert_eq!(seen.len(), 1, "{flow}");
        assert_eq!(seen[0].body, body.to_string());
    }
}

#[test]
fn a_masked_name_stays_a_name() {
    let mut body = user("hi".into());
    body["messages"][0]["name"] = "bob@example.com".into();
    let sent: Value = serde_json::from_slice(&ask(&sensitive("mask"), &body).seen[0].body).unwrap();
    assert_eq!(sent["messages"][0]["name"], "_EMAIL_ADDRESS_");
}

#[test]
fn a_result_of_a_tool_is_read_whole_whatever_its_role_is_called() {
    let yaml = "models: []\nrails: {tool_input: {flows: [own]}}\n";
    let flow = "define subflow own\n  if \"forbidden\" in $tool_message\n    bot refuse to respond\n    stop\n";
    let config = RailsConfig::from_content(yaml, flow).unwrap();
    let layer = GuardrailsLayer::new(LlmRails::new(config).unwrap());
    let call =
        json!([{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
    let result = |message: Value| json!({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": null, "tool_calls": call}, message]});
    for message in [
        json!({"role": "tool", "tool_call_id": "c", "content": "forbidden"}),
        json!({"role": "ipython", "tool_call_id": "c", "content": "forbidden"}),
        json!({"role": "Tool", "tool_call_id": "c", "content": "forbidden"}),
        json!({"role": "tool", "tool_call_id": "c", "content": [{"type": "other", "value": "forbidden"}]}),
        json!({"role": "tool", "tool_call_id": "c", "content": {"a": "forbidden"}}),
        json!({"role": "tool", "tool_call_id": "c", "content": "hi", "x": "forbidden"}),
    ] {
        let body = result(message);
        assert!(ask(&layer, &body).seen.is_empty(), "{body}");
    }
    let fine = result(json!({"role": "tool", "tool_call_id": "c", "content": "fine"}));
    assert_eq!(ask(&layer, &fine).seen.len(), 1);
}

#[test]
fn a_request_asks_a_bounded_number_of_questions() {
    let messages = |count: usize, length: usize| {
        let message = json!({"role": "user", "content": "x".repeat(length)});
        json!({"messages": vec![message; count]})
    };
    let layer = own_flow();
    assert_eq!(ask(&layer, &messages(4000, 20)).seen.len(), 1);
    let refused = ask(&layer, &messages(100, 10_000));
    assert_eq!((refused.status.as_u16(), refused.seen.len()), (413, 0));
    let mut limits = Limits::default();
    limits.questions = 200;
    let layer = own_flow().limits(limits);
    assert_eq!(ask(&layer, &messages(100, 10_000)).seen.len(), 1);
    limits.request_text = 1000;
    let refused = ask(&own_flow().limits(limits), &messages(11, 100));
    assert_eq!(refused.status.as_u16(), 413);
}

#[test]
fn a_stream_that_is_no_boolean_is_refused() {
    for stream in [json!("true"), json!(1), json!("no"), json!({})] {
        let mut body = user("hi".into());
        body["stream"] = stream;
        assert_eq!(ask(&layer(), &body).status.as_u16(), 400, "{body}");
    }
    let mut body = user("hi".into());
    body["stream"] = Value::Null;
    assert_eq!(ask(&layer(), &body).seen.len(), 1);
}
