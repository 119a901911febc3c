//! What another reader could take for something else is refused: nothing of it reaches the service.

use std::io::Write;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use serde_json::Value;
use tower_guardrails::{GuardrailsLayer, layer::UnreadEndpoints};

use crate::support::{CHAT, Exchange, Reply, exchange, post, regex_layer, run};

const PLAIN: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;

fn layer() -> GuardrailsLayer {
    regex_layer("BADWORD", &["SECRET"])
}

fn send(layer: &GuardrailsLayer, request: Request<Full<Bytes>>) -> Exchange {
    let answer = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"hello"}}]}"#;
    run(exchange(layer, request, &Reply::json(answer)))
}

/// A chat request with these headers in place of the plain ones.
fn with_headers(headers: &[(&str, &str)], body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let mut request = Request::post(CHAT);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(body.into())).unwrap()
}

/// Checks that the request was refused, in the shape of OpenAI's errors, and that the service has not seen it.
fn check_refused(exchange: &Exchange, status: u16, code: &str, what: &str) {
    assert!(exchange.seen.is_empty(), "{what}: the service was called");
    assert_eq!(
        exchange.status.as_u16(),
        status,
        "{what}: {}",
        exchange.text()
    );
    assert_eq!(
        exchange.headers["content-type"], "application/json",
        "{what}"
    );
    assert_eq!(
        exchange.headers["content-length"],
        exchange.body.len().to_string(),
        "{what}"
    );
    let body = exchange.json();
    let error = body["error"].as_object().expect("an error object");
    assert_eq!(
        body.as_object().map(serde_json::Map::len),
        Some(1),
        "{what}"
    );
    assert_eq!(error["code"], code, "{what}");
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|message| message.len() > 10),
        "{what}"
    );
    let kind = if status == 403 {
        "permission_error"
    } else {
        "invalid_request_error"
    };
    assert_eq!(error["type"], kind, "{what}");
    assert_eq!(error["param"], Value::Null, "{what}");
    // Nothing of the request is told back.
    assert!(!exchange.text().contains("BADWORD"), "{what}");
    let verdict = exchange.verdict.as_ref().expect("a verdict");
    assert!(
        verdict.refused().is_some() && verdict.is_final() && !verdict.is_blocked(),
        "{what}"
    );
}

fn utf16(text: &str, mark: bool) -> Vec<u8> {
    let mark = mark.then_some(0xfeff);
    mark.into_iter()
        .chain(text.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect()
}

#[test]
fn bodies_with_two_meanings_are_refused() {
    let messages = r#"[{"role":"user","content":"hi"}]"#;
    let bad = r#"[{"role":"user","content":"BADWORD"}]"#;
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("a key twice", format!(r#"{{"messages":{messages},"messages":{bad}}}"#).into(), "duplicate_key"),
        ("a key twice, deep", br#"{"messages":[{"role":"user","content":"hi","content":"BADWORD"}]}"#.to_vec(), "duplicate_key"),
        ("a key twice, in a part", br#"{"messages":[{"role":"user","content":[{"type":"text","text":"hi","text":"BADWORD"}]}]}"#.to_vec(), "duplicate_key"),
        ("a key twice, unknown", format!(r#"{{"messages":{messages},"x":{{"a":1,"a":2}}}}"#).into(), "duplicate_key"),
        ("an escaped twin", format!(r#"{{"messages":{messages},"m\u0065ssages":{bad}}}"#).into(), "duplicate_key"),
        ("another letter case", format!(r#"{{"messages":{messages},"Messages":{bad}}}"#).into(), "ambiguous_key"),
        ("another letter case alone", format!(r#"{{"MESSAGES":{bad}}}"#).into(), "ambiguous_key"),
        ("letters that fold", format!(r#"{{"messages":{messages},"me\u017f\u017fages":{bad}}}"#).into(), "ambiguous_key"),
        ("another letter case of content", br#"{"messages":[{"role":"user","content":"hi","Content":"BADWORD"}]}"#.to_vec(), "ambiguous_key"),
        ("a byte order mark", format!("\u{feff}{PLAIN}").into(), "unsupported_encoding"),
        ("UTF-16", utf16(PLAIN, false), "unsupported_encoding"),
        ("UTF-16 with its mark", utf16(PLAIN, true), "unsupported_encoding"),
        ("UTF-32", PLAIN.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect(), "unsupported_encoding"),
        ("NaN", format!(r#"{{"messages":{messages},"x":NaN}}"#).into(), "invalid_json"),
        ("Infinity", format!(r#"{{"messages":{messages},"x":-Infinity}}"#).into(), "invalid_json"),
        ("a number of another kind", format!(r#"{{"messages":{messages},"x":01}}"#).into(), "invalid_json"),
        ("a second value", format!("{PLAIN}{{\"messages\":{bad}}}").into(), "invalid_json"),
        ("a second line", format!("{PLAIN}\n{PLAIN}").into(), "invalid_json"),
        ("a comment", format!("/* BADWORD */{PLAIN}").into(), "invalid_json"),
        ("a trailing comma", format!(r#"{{"messages":{messages},}}"#).into(), "invalid_json"),
        ("single quotes", b"{'messages':[]}".to_vec(), "invalid_json"),
        ("half a pair", br#"{"messages":[{"role":"user","content":"\ud800"}]}"#.to_vec(), "invalid_json"),
        ("an unknown escape", br#"{"messages":[{"role":"user","content":"\x41"}]}"#.to_vec(), "invalid_json"),
        ("a bare line end in a string", b"{\"messages\":[{\"role\":\"user\",\"content\":\"a\nb\"}]}".to_vec(), "invalid_json"),
        ("broken UTF-8", b"{\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"}]}".to_vec(), "invalid_json"),
        ("an overlong form", b"{\"messages\":[{\"role\":\"user\",\"content\":\"\xc0\xaf\"}]}".to_vec(), "invalid_json"),
        ("a broken end", PLAIN.as_bytes()[..PLAIN.len() - 1].to_vec(), "invalid_json"),
        ("depth", format!(r#"{{"messages":{messages},"x":{}1{}}}"#, "[".repeat(200), "]".repeat(200)).into(), "json_too_deep"),
        ("great depth", "[".repeat(1 << 20).into(), "json_too_deep"),
        ("an array", b"[]".to_vec(), "invalid_request"),
        ("no messages", br#"{"model":"m"}"#.to_vec(), "invalid_request"),
        ("messages that are none", br#"{"messages":"BADWORD"}"#.to_vec(), "invalid_request"),
        ("a message that is none", br#"{"messages":["BADWORD"]}"#.to_vec(), "invalid_request"),
        ("a message without a role", br#"{"messages":[{"content":"BADWORD"}]}"#.to_vec(), "invalid_request"),
        ("content that is none", br#"{"messages":[{"role":"user","content":true}]}"#.to_vec(), "invalid_request"),
    ];
    let layer = layer();
    for (what, body, code) in cases {
        check_refused(&send(&layer, post(CHAT, body)), 400, code, what);
    }
}

#[test]
fn headers_that_hide_the_body_are_refused() {
    let json = ("content-type", "application/json");
    type Case<'a> = (&'a str, Vec<(&'a str, &'a str)>, u16, &'a str);
    let cases: Vec<Case<'_>> = vec![
        (
            "an unknown coding",
            vec![json, ("content-encoding", "compress")],
            415,
            "unsupported_encoding",
        ),
        (
            "a coding of no meaning",
            vec![json, ("content-encoding", "x")],
            415,
            "unsupported_encoding",
        ),
        (
            "two codings",
            vec![json, ("content-encoding", "gzip, br")],
            415,
            "unsupported_encoding",
        ),
        (
            "a coding twice",
            vec![
                json,
                ("content-encoding", "gzip"),
                ("content-encoding", "gzip"),
            ],
            415,
            "unsupported_encoding",
        ),
        (
            "a coding that it is not in",
            vec![json, ("content-encoding", "gzip")],
            400,
            "invalid_encoding",
        ),
        (
            "the same, zstd",
            vec![json, ("content-encoding", "zstd")],
            400,
            "invalid_encoding",
        ),
        (
            "the same, br",
            vec![json, ("content-encoding", "br")],
            400,
            "invalid_encoding",
        ),
        (
            "the same, deflate",
            vec![json, ("content-encoding", "deflate")],
            400,
            "invalid_encoding",
        ),
        (
            "a charset",
            vec![("content-type", "application/json; charset=utf-16")],
            415,
            "unsupported_content_type",
        ),
        (
            "UTF-7",
            vec![("content-type", "application/json;charset=\"UTF-7\"")],
            415,
            "unsupported_content_type",
        ),
        (
            "two charsets",
            vec![(
                "content-type",
                "application/json;charset=utf-8;charset=utf-16le",
            )],
            415,
            "unsupported_content_type",
        ),
        (
            "two content types",
            vec![json, ("content-type", "text/plain")],
            415,
            "unsupported_content_type",
        ),
    ];
    let layer = layer();
    for (what, headers, status, code) in cases {
        let body = PLAIN.replace("hi", "BADWORD");
        check_refused(
            &send(&layer, with_headers(&headers, body)),
            status,
            code,
            what,
        );
    }
    let utf8 = [("content-type", "application/json; charset=UTF-8")];
    assert_eq!(send(&layer, with_headers(&utf8, PLAIN)).seen.len(), 1);
    assert_eq!(send(&layer, with_headers(&[], PLAIN)).seen.len(), 1);
}

#[test]
fn what_is_larger_than_the_limit_is_refused_however_it_is_packed() {
    let big = format!(
        r#"{{"messages":[{{"role":"user","content":"{}"}}]}}"#,
        "a".repeat(8 << 20)
    );
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(big.as_bytes()).unwrap();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    zlib.write_all(big.as_bytes()).unwrap();
    let cases = [
        ("identity", big.clone().into_bytes()),
        ("gzip", gzip.finish().unwrap()),
        ("deflate", zlib.finish().unwrap()),
        ("zstd", zstd::encode_all(big.as_bytes(), 3).unwrap()),
    ];
    let layer = layer();
    for (coding, body) in cases {
        let headers = [
            ("content-type", "application/json"),
            ("content-encoding", coding),
        ];
        let exchange = send(&layer, with_headers(&headers, body));
        check_refused(&exchange, 413, "request_too_large", coding);
    }
    let small = layer.max_body_size(PLAIN.len());
    assert_eq!(send(&small, post(CHAT, PLAIN)).seen.len(), 1);
    let exchange = send(&small, post(CHAT, format!("{PLAIN} ")));
    check_refused(&exchange, 413, "request_too_large", "one byte more");
}

#[test]
fn endpoints_that_are_not_read_are_refused() {
    let paths = [
        "/v1/threads/t/runs",
        "/v1//threads/t/runs/",
        "/v1/threads/t/%72uns",
        "/V1/Threads/t/Runs",
        "/v1/batches",
        "/agents/a/agentAliases/b/sessions/s/text",
        "/v1/realtime",
    ];
    let layer = layer();
    for path in paths {
        let exchange = send(&layer, post(path, PLAIN));
        check_refused(&exchange, 403, "endpoint_not_guarded", path);
    }
    let lenient = layer.unread_endpoints(UnreadEndpoints::Pass);
    for path in paths {
        assert_eq!(
            send(&lenient, post(path, "BADWORD")).seen.len(),
            1,
            "{path}"
        );
    }
}

#[test]
fn chat_is_found_on_any_spelling_of_its_path_and_by_its_shape() {
    let bad = PLAIN.replace("hi", "BADWORD");
    let paths = [
        "/v1/chat/completions",
        "/v1//chat/completions",
        "/v1/%63hat/completions",
        "/v1/chat%2Fcompletions",
        "/V1/Chat/COMPLETIONS/",
        "/v1/x/../chat/./completions;a=b",
        "/openai/deployments/m/chat/completions?api-version=2",
        "/chat/completions",
        "/anything/at/all",
        "/",
    ];
    let layer = layer();
    for path in paths {
        let exchange = send(&layer, post(path, bad.clone()));
        assert!(exchange.is_blocked() && exchange.seen.is_empty(), "{path}");
        assert_eq!(exchange.status, StatusCode::OK, "{path}");
        assert_eq!(
            exchange.json()["choices"][0]["finish_reason"],
            "content_filter"
        );
        let exchange = send(&layer, post(path, PLAIN));
        assert_eq!(exchange.seen.len(), 1, "{path}");
        assert!(exchange.verdict.is_some(), "{path}");
    }
}

#[test]
fn replies_with_two_meanings_do_not_leave() {
    let cases: Vec<(&str, Reply)> = vec![
        (
            "a key twice",
            Reply::json(
                r#"{"choices":[{"index":0,"message":{"content":"hi","content":"SECRET"}}]}"#,
            ),
        ),
        (
            "another letter case",
            Reply::json(
                r#"{"choices":[{"index":0,"message":{"content":"hi","Content":"SECRET"}}]}"#,
            ),
        ),
        (
            "broken JSON",
            Reply::json(r#"{"choices":[{"index":0,"message":{"content":"SECRET"}}"#),
        ),
        ("UTF-16", Reply::json(utf16(r#"{"choices":[]}"#, true))),
        (
            "a charset",
            Reply::of("application/json; charset=utf-16", vec!["{}".into()]),
        ),
        (
            "an unknown coding",
            Reply::json("SECRET").header("content-encoding", "compress"),
        ),
        (
            "a coding that it is not in",
            Reply::json("SECRET").header("content-encoding", "gzip"),
        ),
        (
            "depth",
            Reply::json(format!("{}SECRET", "[".repeat(1 << 16))),
        ),
    ];
    let layer = layer();
    for (what, reply) in cases {
        let exchange = run(exchange(&layer, post(CHAT, PLAIN), &reply));
        assert_eq!(
            exchange.status,
            StatusCode::BAD_GATEWAY,
            "{what}: {}",
            exchange.text()
        );
        let error = &exchange.json()["error"];
        assert_eq!(error["code"], "unreadable_reply", "{what}");
        assert_eq!(error["type"], "server_error", "{what}");
        assert!(!exchange.text().contains("SECRET"), "{what}");
    }
}
