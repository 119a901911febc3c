//! Ways past the layer on the way in that were found from outside, and their kin: each is a text that a service would read and a rail
//! would not.

use std::io::Write;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tower_guardrails::GuardrailsLayer;

use crate::support::{CHAT, Exchange, Reply, exchange, post, regex_layer, run};

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
