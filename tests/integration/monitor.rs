//! Rails that only monitor: all passes as it came, and the verdict says what would not have.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::json;
use tower::{Layer as _, ServiceExt as _};
use tower_guardrails::{
    GuardrailsLayer, LlmRails, RailsConfig, layer::Enforcement, verdict::Decision,
};

use crate::support::{
    Exchange, Reply, STREAM, chat, content_stream, exchange, post, regex_yaml, run,
};

const ANSWER: &str = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"a secret"},"finish_reason":"stop"}]}"#;

fn layer(more: &str) -> GuardrailsLayer {
    let yaml = regex_yaml("bomb", &["secret"], "");
    let yaml = format!("{yaml}  {more}\n");
    let config = RailsConfig::from_content(&yaml, "").unwrap();
    GuardrailsLayer::new(LlmRails::new(config).unwrap())
}

fn bomb(layer: &GuardrailsLayer) -> Exchange {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"a bomb"}]}"#;
    run(exchange(layer, chat(body), &Reply::json(ANSWER)))
}

fn would_block(exchange: &Exchange) -> Vec<String> {
    let verdict = exchange.verdict.as_ref().unwrap();
    let rails = verdict.would_block().into_iter();
    rails.map(|rail| rail.rail.to_string()).collect()
}

#[test]
fn a_layer_that_monitors_lets_all_pass_and_says_so() {
    let layer = layer("").enforcement(Enforcement::Monitor);
    let passed = bomb(&layer);
    assert_eq!(passed.text(), ANSWER);
    assert!(!passed.is_blocked());
    assert_eq!(
        would_block(&passed),
        ["regex check input", "regex check output"]
    );
    let pieces = ["a se", "cr", "et"];
    let frames = content_stream(&pieces);
    let all: Vec<u8> = frames.concat();
    let streamed = run(exchange(&layer, chat(STREAM), &Reply::events(frames)));
    assert_eq!(streamed.body, all);
    assert_eq!(would_block(&streamed), ["regex check output"]);
}

#[test]
fn the_config_says_it_of_all_rails_or_of_one() {
    let passed = bomb(&layer("enforcement: monitor"));
    assert_eq!(passed.text(), ANSWER);
    assert_eq!(would_block(&passed).len(), 2);
    let blocked = bomb(&layer(
        "options: {regex check input: {enforcement: monitor}}",
    ));
    assert_eq!(blocked.seen.len(), 1);
    assert!(blocked.is_blocked() && !blocked.text().contains("secret"));
    assert_eq!(would_block(&blocked), ["regex check input"]);
    let layer = layer("options: {regex check input: {enforcement: enforce}}")
        .enforcement(Enforcement::Monitor);
    assert!(bomb(&layer).seen.is_empty());
}

#[test]
fn a_rail_fails_as_its_options_say() {
    const FLOWS: &str = "define subflow broken\n  $x = execute fail\n  if $x\n    stop\n";
    for (options, passes, decision) in [
        ("{}", false, Decision::FailedClosed),
        ("{broken: {on_error: pass}}", true, Decision::FailedOpen),
        (
            "{broken: {enforcement: monitor}}",
            true,
            Decision::FailedOpen,
        ),
    ] {
        let yaml =
            format!("models: []\nrails:\n  input: {{flows: [broken]}}\n  options: {options}\n");
        let config = RailsConfig::from_content(&yaml, FLOWS).unwrap();
        let fail = async || Err::<bool, _>("it is down");
        let rails = LlmRails::builder(config).action("fail", fail).build();
        let layer = GuardrailsLayer::new(rails.unwrap());
        let exchange = bomb(&layer);
        assert_eq!(!exchange.seen.is_empty(), passes, "{options}");
        let rails = exchange.verdict.as_ref().unwrap().rails();
        assert_eq!(rails[0].decision, decision, "{options}");
    }
}

#[test]
fn what_enforcing_refuses_passes_as_it_came() {
    let layer = layer("").enforcement(Enforcement::Monitor);
    let deep = format!("{}1{}", "[".repeat(500), "]".repeat(500));
    let long = "a".repeat(5 << 20);
    let message = |content: &str| {
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{content}"}}]}}"#)
    };
    for body in [
        "{broken".to_owned(),
        r#"{"model":"m","messages":[],"messages":[{"role":"user","content":"a bomb"}]}"#.to_owned(),
        r#"{"model":"m","Messages":[{"role":"user","content":"a bomb"}]}"#.to_owned(),
        format!(r#"{{"model":"m","x":{deep},"messages":[{{"role":"user","content":"hi"}}]}}"#),
        // More text, and more bytes, than are read.
        message(&long),
        message(&"b".repeat(33 << 20)),
    ] {
        let sent = run(exchange(&layer, chat(body.clone()), &Reply::json(ANSWER)));
        assert_eq!(sent.text(), ANSWER, "{body:.60}");
        assert_eq!(sent.seen.len(), 1);
        assert!(sent.seen[0].body == body, "{body:.60}");
        let verdict = sent.verdict.as_ref().unwrap();
        assert!(verdict.is_final() && verdict.refused().is_none() && !verdict.is_blocked());
    }
    for (path, body) in [
        ("/v1/moderations", r#"{"input":"a bomb"}"#),
        ("/v1/batches", r#"{"input_file_id":"f"}"#),
        (
            "/app",
            r#"{"model":"m","prompt":"x","messages":1,"n_predict":1}"#,
        ),
    ] {
        let sent = run(exchange(&layer, post(path, body), &Reply::json("{}")));
        assert_eq!((sent.seen.len(), sent.text().as_str()), (1, "{}"), "{path}");
    }
    let mut request = chat(message("a bomb"));
    request
        .headers_mut()
        .insert("content-encoding", "rot13".parse().unwrap());
    let sent = run(exchange(&layer, request, &Reply::json(ANSWER)));
    assert_eq!(sent.seen[0].headers["content-encoding"], "rot13");
    assert!(!sent.seen[0].headers.contains_key("accept-encoding"));
    // Errors and events that strict readers refuse.
    for reply in [
        Reply::json(r#"[{"Message":"a secret"}]"#),
        Reply::of(
            "text/event-stream",
            vec!["data: {\"a\":1,\"a\":2\n\ndata: [DONE]\n\n".into()],
        ),
    ] {
        let all = reply.frames.concat();
        let sent = run(exchange(&layer, chat(STREAM), &reply));
        assert_eq!(sent.body, all);
        assert!(sent.verdict.as_ref().unwrap().refused().is_none());
    }
}

#[test]
fn output_rails_that_are_enforced_stay_so() {
    let layer = layer("options: {regex check input: {enforcement: monitor}}");
    let sent = run(exchange(&layer, chat("{broken"), &Reply::json(ANSWER)));
    assert_eq!(sent.seen.len(), 1);
    assert!(!sent.text().contains("secret"), "{}", sent.text());
    // Nobody would know how to read the reply.
    let sent = run(exchange(
        &layer,
        post("/v1/batches", "{}"),
        &Reply::json(ANSWER),
    ));
    assert!(sent.seen.is_empty());
}

#[test]
fn a_stream_that_is_held_when_enforced_flows() {
    let yaml = regex_yaml("bomb", &["secret"], "streaming: {enabled: false}");
    let rails = LlmRails::new(RailsConfig::from_content(&yaml, "").unwrap()).unwrap();
    let layer = GuardrailsLayer::new(rails).enforcement(Enforcement::Monitor);
    run(async {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel::<Bytes>();
        let receiver = std::sync::Arc::new(std::sync::Mutex::new(Some(receiver)));
        let inner = tower::service_fn(
            move |_: http::Request<tower_guardrails::layer::RequestBody<_>>| {
                let receiver = receiver.lock().unwrap().take().unwrap();
                let frames = futures_util::stream::unfold(receiver, |mut receiver| async move {
                    let bytes = receiver.recv().await?;
                    let frame = Ok::<_, std::convert::Infallible>(http_body::Frame::data(bytes));
                    Some((frame, receiver))
                });
                let response =
                    http::Response::builder().header("content-type", "text/event-stream");
                let response = response.body(http_body_util::StreamBody::new(Box::pin(frames)));
                std::future::ready(Ok::<_, std::convert::Infallible>(response.unwrap()))
            },
        );
        let response = layer.layer(inner).oneshot(chat(STREAM)).await.unwrap();
        let verdict = response
            .extensions()
            .get::<tower_guardrails::GuardrailsVerdict>()
            .unwrap()
            .clone();
        let mut body = response.into_body();
        // More than is ever held, each piece as it comes.
        let piece = "x".repeat(1 << 20);
        for _ in 0..18 {
            let event = json!({"choices": [{"index": 0, "delta": {"content": piece}}]});
            let event = Bytes::from(format!("data: {event}\n\n"));
            sender.send(event.clone()).unwrap();
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), event);
        }
        drop(sender);
        assert!(body.frame().await.is_none());
        assert!(verdict.is_final() && verdict.refused().is_none() && !verdict.is_blocked());
    });
}

#[test]
fn nobody_waits_for_a_rail_that_only_watches() {
    const FLOWS: &str = "define subflow slow\n  $bad = execute ponder\n  if $bad\n    stop\n\ndefine subflow slow reply\n  $bad = execute ponder\n  if $bad\n    stop\n";
    let yaml = "models: []\nrails:\n  enforcement: monitor\n  input: {flows: [slow]}\n  output: {flows: [slow reply]}\n";
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let ponder = {
        let gate = std::sync::Arc::clone(&gate);
        move || {
            let gate = std::sync::Arc::clone(&gate);
            async move {
                gate.acquire().await.unwrap().forget();
                Ok::<_, std::convert::Infallible>(true)
            }
        }
    };
    let config = RailsConfig::from_content(yaml, FLOWS).unwrap();
    let rails = LlmRails::builder(config).action("ponder", ponder).build();
    let layer = GuardrailsLayer::new(rails.unwrap());
    run(async {
        for kind in ["application/json", "text/event-stream"] {
            let inner = tower::service_fn(
                move |_: http::Request<tower_guardrails::layer::RequestBody<_>>| {
                    let response = http::Response::builder().header("content-type", kind);
                    let response = response.body(ANSWER.to_owned());
                    std::future::ready(Ok::<_, std::convert::Infallible>(response.unwrap()))
                },
            );
            let response = layer.layer(inner).oneshot(chat(STREAM)).await.unwrap();
            let (parts, body) = response.into_parts();
            let verdict: tower_guardrails::GuardrailsVerdict =
                parts.extensions.get().cloned().unwrap();
            assert_eq!(body.collect().await.unwrap().to_bytes(), ANSWER);
            assert!(!verdict.is_final() && verdict.would_block().is_empty());
            gate.add_permits(2);
            while !verdict.is_final() {
                tokio::task::yield_now().await;
            }
            let found: Vec<_> = verdict
                .would_block()
                .iter()
                .map(|rail| rail.rail.to_string())
                .collect();
            assert_eq!(found.len(), 2, "{found:?}");
        }
        // A client that leaves ends the rails, too.
        let inner = tower::service_fn(
            |_: http::Request<tower_guardrails::layer::RequestBody<_>>| {
                std::future::pending::<Result<http::Response<String>, std::convert::Infallible>>()
            },
        );
        let call = layer.layer(inner).oneshot(chat(STREAM));
        assert!(
            tokio::time::timeout(std::time::Duration::from_millis(50), call)
                .await
                .is_err()
        );
        tokio::task::yield_now().await;
        gate.add_permits(1);
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert_eq!(gate.available_permits(), 1);
    });
}
