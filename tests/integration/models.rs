//! Rails that ask a model: whom they ask, how often, and what comes of an answer that fails.

use std::convert::Infallible;

use axum::{Router, routing::post};
use bytes::Bytes;
use futures_core::future::BoxFuture;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};
use tower_guardrails::{
    GuardrailsLayer, LlmRails,
    error::{ModelError, ModelErrorKind},
    layer::{BlockResponse, History, OnRailError, RequestBody},
    llm::{Model, ModelReply, ModelRequest},
    verdict::{Decision, Place},
};

use super::servers_support::{
    CHAT, REFUSAL, REGEX, SELF_CHECK_INPUT, SELF_CHECK_OUTPUT, Script, Seen, chat, config, layer,
    request, serve, verdict_on, with_model,
};

/// Sends `messages` through `layer` to `script`.
async fn send(layer: &GuardrailsLayer, script: &Script, messages: &[(&str, &str)]) -> Seen {
    send_request(layer, script, request(CHAT, &chat(messages))).await
}

async fn send_request(
    layer: &GuardrailsLayer,
    script: &Script,
    request: Request<Full<Bytes>>,
) -> Seen {
    let script = script.clone();
    let inner =
        service_fn(move |request: Request<RequestBody<Full<Bytes>>>| script.clone().call(request));
    Seen::of(layer.layer(inner).oneshot(request).await.unwrap()).await
}

/// A model in Rust that judges as the script does, or fails.
#[derive(Debug)]
struct Registered {
    fails: bool,
}

impl Model for Registered {
    fn name(&self) -> &str {
        "registered"
    }

    fn complete(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelReply, ModelError>> {
        Box::pin(async move {
            if self.fails {
                return Err(ModelError::new(
                    ModelErrorKind::Server,
                    "registered",
                    "it fails",
                ));
            }
            let prompt = request
                .messages
                .last()
                .map(|message| message.content.text());
            let verdict = prompt.as_deref().and_then(verdict_on);
            let mut reply = ModelReply::default();
            verdict.unwrap_or_default().clone_into(&mut reply.content);
            Ok(reply)
        })
    }
}

fn registered(yaml: &str, fails: bool) -> GuardrailsLayer {
    let rails = LlmRails::builder(config(yaml))
        .model("main", Registered { fails })
        .build()
        .unwrap();
    GuardrailsLayer::new(rails)
}

#[tokio::test]
async fn a_configured_model_is_asked() {
    let judge = Script::new("unused");
    let address = serve(judge.app()).await;
    for (yaml, asked, replies) in [
        (SELF_CHECK_INPUT, "input:hello", 2),
        (SELF_CHECK_OUTPUT, "output:fine", 0),
    ] {
        let before = judge.texts().len();
        let yaml = with_model(yaml, address);
        let layer = layer(&yaml);
        let good = Script::new("fine");
        let seen = send(&layer, &good, &[("user", "hello")]).await;
        assert_eq!(seen.content(), "fine");
        assert_eq!(judge.texts()[before..], [asked]);
        assert_eq!(judge.asked()[before].1["model"], "judge");
        assert_eq!(good.texts(), ["hello"], "the inner service is not asked");
        let bad = Script::new("bad reply");
        let seen = send(&layer, &bad, &[("user", "a bad question")]).await;
        assert_eq!(seen.content(), REFUSAL);
        assert_eq!(
            bad.texts().is_empty(),
            replies == 2,
            "input rails come first"
        );
    }
}

#[tokio::test]
async fn a_registered_model_is_asked() {
    let script = Script::new("a bad reply");
    for (yaml, rail) in [
        (SELF_CHECK_INPUT, "self check input"),
        (SELF_CHECK_OUTPUT, "self check output"),
    ] {
        let seen = send(&registered(yaml, false), &script, &[("user", "bad")]).await;
        assert_eq!(seen.verdict().blocked_by().as_deref(), Some(rail));
        assert_eq!(seen.content(), REFUSAL);
    }
    assert_eq!(script.texts(), ["bad"], "for the output rail only");
}

#[tokio::test]
async fn the_inner_service_is_asked_with_the_clients_headers() {
    for yaml in [SELF_CHECK_INPUT, SELF_CHECK_OUTPUT] {
        let script = Script::new("fine");
        let mut request = request(CHAT, &chat(&[("user", "hello")]));
        request
            .headers_mut()
            .insert("authorization", "Bearer mine".parse().unwrap());
        let seen = send_request(&layer(yaml), &script, request).await;
        assert_eq!(seen.content(), "fine");
        let asked = script.asked();
        assert_eq!(asked.len(), 2, "the request and the check");
        for (headers, body) in asked {
            assert_eq!(headers["authorization"], "Bearer mine");
            assert_eq!(body["model"], "m");
        }
    }
}

const TALK: [(&str, &str); 5] = [
    ("system", "bad system"),
    ("user", "one"),
    ("assistant", "bad answer"),
    ("user", "two"),
    ("user", "three"),
];

#[tokio::test]
async fn history_says_which_messages_are_checked() {
    for (history, expected) in [
        (History::All, &["input:one", "input:three", "input:two"][..]),
        (History::LastTurn, &["input:three", "input:two"]),
        (History::LastMessage, &["input:three"]),
    ] {
        let script = Script::new("fine");
        let seen = send(&layer(SELF_CHECK_INPUT).history(history), &script, &TALK).await;
        assert_eq!(seen.content(), "fine");
        let mut checked = script.texts();
        checked.retain(|text| text.starts_with("input:"));
        checked.sort();
        assert_eq!(checked, expected, "{history:?}");
    }
}

#[tokio::test]
async fn each_message_is_asked_about_once() {
    let script = Script::new("fine");
    let layer = layer(SELF_CHECK_INPUT);
    let mut talk = Vec::new();
    for text in ["one", "two", "three"] {
        talk.push(("user", text));
        send(&layer, &script, &talk).await;
        talk.push(("assistant", "fine"));
    }
    let mut checked = script.texts();
    checked.retain(|text| text.starts_with("input:"));
    assert_eq!(checked, ["input:one", "input:two", "input:three"]);
    // What was blocked is asked about again.
    for _ in 0..2 {
        send(&layer, &script, &[("user", "bad")]).await;
    }
    let asked = script.texts();
    assert_eq!(asked.iter().filter(|text| *text == "input:bad").count(), 2);
}

#[tokio::test]
async fn a_rail_that_fails_blocks_with_an_error() {
    for yaml in [SELF_CHECK_INPUT, SELF_CHECK_OUTPUT] {
        let script = Script::new("fine");
        let seen = send(&registered(yaml, true), &script, &[("user", "hello")]).await;
        assert!(
            seen.status.is_server_error(),
            "{} {}",
            seen.status,
            seen.text
        );
        assert!(!seen.text.contains("fine"), "{}", seen.text);
        let body: serde_json::Value = serde_json::from_str(&seen.text).unwrap();
        assert!(body["error"]["message"].is_string(), "{body}");
        assert_eq!(seen.verdict().rails()[0].decision, Decision::FailedClosed);
        assert!(seen.verdict().has_failures() && seen.verdict().is_blocked());
    }
}

#[tokio::test]
async fn a_rail_that_fails_lets_pass_where_the_app_says_so() {
    for yaml in [SELF_CHECK_INPUT, SELF_CHECK_OUTPUT] {
        let layer = registered(yaml, true).on_rail_error(OnRailError::Pass);
        let seen = send(&layer, &Script::new("fine"), &[("user", "hello")]).await;
        assert_eq!(seen.content(), "fine");
        assert_eq!(seen.verdict().rails()[0].decision, Decision::FailedOpen);
        assert!(seen.verdict().has_failures() && !seen.verdict().is_blocked());
    }
}

#[tokio::test]
async fn an_endpoint_that_fails_blocks() {
    let app = Router::new().route(CHAT, post(|| async { StatusCode::BAD_REQUEST }));
    let address = serve(app).await;
    let yaml = with_model(SELF_CHECK_INPUT, address);
    let script = Script::new("fine");
    let seen = send(&layer(&yaml), &script, &[("user", "hello")]).await;
    assert!(
        seen.status.is_server_error(),
        "{} {}",
        seen.status,
        seen.text
    );
    assert!(script.texts().is_empty());
}

#[tokio::test]
async fn a_block_is_answered_as_the_app_says() {
    let script = Script::new("a leak7");
    let blocked = [("user", "a badword")];
    let status = layer(REGEX).block_response(BlockResponse::Status(StatusCode::FORBIDDEN));
    let custom = layer(REGEX).block_response(BlockResponse::custom(|blocked| {
        let mut response = Response::new(Bytes::from(format!("no: {}", blocked.rail)));
        *response.status_mut() = StatusCode::IM_A_TEAPOT;
        response
    }));
    for (messages, rail) in [
        (blocked, "regex check input"),
        ([("user", "hello")], "regex check output"),
    ] {
        let seen = send(&status, &script, &messages).await;
        assert_eq!(seen.status, StatusCode::FORBIDDEN);
        let body: serde_json::Value = serde_json::from_str(&seen.text).unwrap();
        assert!(body["error"]["message"].is_string(), "{body}");
        let seen = send(&custom, &script, &messages).await;
        assert_eq!(seen.status, StatusCode::IM_A_TEAPOT);
        assert_eq!(seen.text, format!("no: {rail}"));
        assert!(
            seen.verdict().is_blocked(),
            "a custom answer has its verdict, too"
        );
    }
}

#[tokio::test]
async fn the_verdict_tells_what_ran() {
    let seen = send(&layer(REGEX), &Script::new("fine"), &[("user", "hello")]).await;
    let verdict = seen.verdict();
    assert!(verdict.is_final() && !verdict.is_blocked() && !verdict.has_failures());
    let rails: Vec<_> = verdict
        .rails()
        .iter()
        .map(|rail| (rail.rail.to_string(), rail.place, rail.decision))
        .collect();
    assert_eq!(
        rails,
        [
            (
                "regex check input".to_owned(),
                Place::Input,
                Decision::Allowed
            ),
            (
                "regex check output".to_owned(),
                Place::Output,
                Decision::Allowed
            ),
        ]
    );
    assert!(verdict.rails().iter().all(|rail| rail.texts == 1));

    let seen = send(&layer(REGEX), &Script::new("fine"), &[("user", "badword")]).await;
    let rails = seen.verdict().rails();
    assert_eq!(rails.len(), 1, "the output rails did not run");
    assert_eq!(rails[0].decision, Decision::Blocked);
    assert!(rails[0].reason.is_some());
}

#[tokio::test]
async fn what_is_no_chat_has_no_verdict() {
    let inner = service_fn(|_: Request<RequestBody<Full<Bytes>>>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("leak1")))
    });
    let request = Request::get("/v1/models").body(Full::default()).unwrap();
    let response = layer(REGEX).layer(inner).oneshot(request).await.unwrap();
    let seen = Seen::of(response).await;
    assert_eq!(seen.text, "leak1");
    assert!(seen.verdict.is_none());
}
