//! Limits: what is too large is a clear error, and a client that leaves costs nothing.

use std::{convert::Infallible, time::Duration};

use axum::{
    Router,
    body::Body,
    response::sse::{Event, Sse},
    routing::post,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::json;
use tower::{Layer, ServiceExt, service_fn};
use tower_guardrails::layer::{Limits, RequestBody};

use super::servers_support::{CHAT, REGEX, Script, Seen, chat, layer, request, serve};

#[tokio::test]
async fn a_request_over_the_limit_is_413() {
    let script = Script::new("fine");
    let app = script.app().layer(layer(REGEX).max_body_size(1000));
    for (length, status) in [(500, 200), (1000, 413)] {
        let text = "x".repeat(length);
        let request = request(CHAT, &chat(&[("user", &text)])).map(Body::new);
        let seen = Seen::of(app.clone().oneshot(request).await.unwrap()).await;
        assert_eq!(seen.status, status, "{length}");
        if status == 413 {
            assert!(seen.verdict().refused().is_some());
            let body: serde_json::Value = serde_json::from_str(&seen.text).unwrap();
            assert!(body["error"]["message"].is_string(), "{body}");
        }
    }
    assert_eq!(script.texts().len(), 1);
}

#[tokio::test]
async fn a_reply_over_the_limit_is_502() {
    let mut limits = Limits::default();
    limits.reply_body = 1000;
    for (length, status) in [(500, 200), (1000, 502)] {
        let app = Script::new(&"x".repeat(length))
            .app()
            .layer(layer(REGEX).limits(limits));
        let request = request(CHAT, &chat(&[("user", "hello")])).map(Body::new);
        let seen = Seen::of(app.oneshot(request).await.unwrap()).await;
        assert_eq!(seen.status, status, "{length}");
        assert_eq!(seen.text.contains("xxxx"), status == 200);
    }
}

fn chunk(text: &str) -> String {
    let choice = json!({"index": 0, "delta": {"content": text}, "finish_reason": null});
    json!({"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]})
        .to_string()
}

#[tokio::test]
async fn a_stream_that_holds_back_too_much_ends_with_an_error_event() {
    // A match may begin at the first letter and end never, so that all is held.
    let yaml = REGEX.replace(r"leak\d", r"q[a-z ]*END");
    let mut limits = Limits::default();
    limits.held_stream = 4096;
    let inner = service_fn(|_: Request<RequestBody<Full<Bytes>>>| async {
        let texts = std::iter::once("start ").chain(std::iter::repeat_n("q holds ", 200));
        let frames = texts.map(|text| {
            let event = format!("data: {}\n\n", chunk(text));
            Ok::<_, Infallible>(Frame::data(Bytes::from(event)))
        });
        let body = StreamBody::new(stream::iter(frames));
        let response = Response::builder().header("content-type", "text/event-stream");
        response.body(body)
    });
    let mut body = chat(&[("user", "hello")]);
    body["stream"] = true.into();
    let service = layer(&yaml).limits(limits).layer(inner);
    let response = service.oneshot(request(CHAT, &body)).await.unwrap();
    let seen = Seen::of(response).await;
    assert_eq!(seen.status, StatusCode::OK);
    assert!(seen.text.contains("start"), "{}", seen.text);
    assert!(!seen.text.contains("q holds"), "{}", seen.text);
    assert!(seen.text.contains(r#"data: {"error""#), "{}", seen.text);
    assert!(seen.verdict().refused().is_some());
    assert!(seen.verdict().is_final());
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_upstream() {
    struct OnDrop(tokio::sync::mpsc::UnboundedSender<()>);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let (left, mut has_left) = tokio::sync::mpsc::unbounded_channel();
    let endless = move || {
        let left = OnDrop(left.clone());
        async move {
            Sse::new(stream::repeat(()).then(move |()| {
                let _ = &left;
                async {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    Ok::<_, Infallible>(Event::default().data(chunk("word ")))
                }
            }))
        }
    };
    let app = Router::new().route(CHAT, post(endless)).layer(layer(REGEX));
    let address = serve(app).await;
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let mut body = chat(&[("user", "hello")]);
    body["stream"] = true.into();
    let response = client
        .request(request(&format!("http://{address}{CHAT}"), &body))
        .await
        .unwrap();
    let mut body = response.into_body();
    assert!(body.frame().await.unwrap().unwrap().is_data());
    assert!(has_left.try_recv().is_err());
    drop((body, client));
    tokio::time::timeout(Duration::from_secs(5), has_left.recv())
        .await
        .expect("the upstream's stream ends")
        .expect("once");
}
