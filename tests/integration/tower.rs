//! tower's contract: readiness is the inner service's, and what is dropped is cancelled.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use ::tower::{Service, ServiceExt};
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use tower_guardrails::{
    GuardrailsLayer, LlmRails,
    error::ModelError,
    layer::{Guardrails, RequestBody},
    llm::{Model, ModelReply, ModelRequest},
};
use tower_test::mock;

use super::servers_support::{
    CHAT, REGEX, SELF_CHECK_OUTPUT, Seen, answer, chat, config, json_response, layer, request,
};

type Inner<R> = mock::Mock<Request<RequestBody<Full<Bytes>>>, Response<R>>;
type Handle<R> = mock::Handle<Request<RequestBody<Full<Bytes>>>, Response<R>>;

fn guarded<R: Send + 'static>(layer: &GuardrailsLayer) -> (Guardrails<Inner<R>>, Handle<R>) {
    let (inner, handle) = mock::pair();
    (::tower::Layer::layer(layer, inner), handle)
}

/// Waits until `flag` is up.
async fn comes_up(flag: &AtomicBool) -> bool {
    for _ in 0..200 {
        if flag.load(Ordering::SeqCst) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    false
}

/// Raises its flag when it is dropped.
#[derive(Debug, Clone, Default)]
struct Flag(Arc<AtomicBool>);

struct OnDrop(Flag);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::SeqCst);
    }
}

/// A body of one event that then waits for ever.
struct Endless {
    event: Option<Bytes>,
    _dropped: OnDrop,
}

impl Body for Endless {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.event.take() {
            Some(event) => Poll::Ready(Some(Ok(Frame::data(event)))),
            None => Poll::Pending,
        }
    }
}

fn endless(text: &str) -> (Response<Endless>, Flag) {
    let dropped = Flag::default();
    let chunk = format!(
        r#"{{"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{{"index":0,"delta":{{"role":"assistant","content":"{text}"}},"finish_reason":null}}]}}"#
    );
    let body = Endless {
        event: Some(format!("data: {chunk}\n\n").into()),
        _dropped: OnDrop(dropped.clone()),
    };
    let response = Response::builder()
        .header("content-type", "text/event-stream")
        .body(body)
        .unwrap();
    (response, dropped)
}

/// A model that never answers.
#[derive(Debug, Clone, Default)]
struct Silent {
    asked: Flag,
    dropped: Flag,
}

impl Model for Silent {
    fn name(&self) -> &str {
        "silent"
    }

    fn complete(
        &self,
        _: ModelRequest,
    ) -> futures_core::future::BoxFuture<'_, Result<ModelReply, ModelError>> {
        let on_drop = OnDrop(self.dropped.clone());
        self.asked.0.store(true, Ordering::SeqCst);
        Box::pin(async move {
            let _on_drop = on_drop;
            std::future::pending().await
        })
    }
}

#[tokio::test]
async fn readiness_is_the_inner_services() {
    let (mut service, mut handle) = guarded::<Full<Bytes>>(&layer(REGEX));
    handle.allow(0);
    let ready = std::future::poll_fn(|context| Poll::Ready(service.poll_ready(context).is_ready()));
    assert!(!ready.await);
    handle.allow(1);
    service.ready().await.unwrap();
    let call = service.call(request(CHAT, &chat(&[("user", "hi")])));
    let call = tokio::spawn(call);
    let (_, respond) = handle.next_request().await.expect("a request");
    respond.send_response(json_response(&answer("hello")));
    let seen = Seen::of(call.await.unwrap().unwrap()).await;
    assert_eq!(seen.content(), "hello");
}

#[tokio::test]
async fn an_error_of_readiness_is_handed_on() {
    let (mut service, mut handle) = guarded::<Full<Bytes>>(&layer(REGEX));
    handle.send_error("out of order");
    let Err(error) = service.ready().await.map(drop) else {
        panic!("it is not ready")
    };
    assert_eq!(error.to_string(), "out of order");
}

#[tokio::test]
async fn a_blocked_request_never_gets_inside() {
    let (service, mut handle) = guarded::<Full<Bytes>>(&layer(REGEX));
    let response = service
        .oneshot(request(CHAT, &chat(&[("user", "a badword")])))
        .await
        .unwrap();
    let seen = Seen::of(response).await;
    assert!(seen.verdict().is_blocked());
    // The service is gone, so the handle knows of every request that there will be.
    assert!(handle.next_request().await.is_none());
}

#[tokio::test]
async fn dropping_the_future_drops_the_inner_call() {
    let (called, dropped) = (Flag::default(), Flag::default());
    let inner = ::tower::service_fn({
        let (called, dropped) = (called.clone(), dropped.clone());
        move |_: Request<RequestBody<Full<Bytes>>>| {
            let on_drop = OnDrop(dropped.clone());
            called.0.store(true, Ordering::SeqCst);
            async move {
                let _on_drop = on_drop;
                std::future::pending::<Result<Response<Full<Bytes>>, std::io::Error>>().await
            }
        }
    });
    let service = ::tower::Layer::layer(&layer(REGEX), inner);
    let call = tokio::spawn(service.oneshot(request(CHAT, &chat(&[("user", "hi")]))));
    assert!(comes_up(&called.0).await, "the inner service is called");
    assert!(!dropped.0.load(Ordering::SeqCst));
    call.abort();
    assert!(comes_up(&dropped.0).await, "the inner call is dropped");
}

#[tokio::test]
async fn dropping_the_reply_drops_the_upstream() {
    let (mut service, mut handle) = guarded::<Endless>(&layer(REGEX));
    service.ready().await.unwrap();
    let call = tokio::spawn(service.call(request(CHAT, &chat(&[("user", "hi")]))));
    let (_, respond) = handle.next_request().await.expect("a request");
    let (response, dropped) = endless("fine text");
    respond.send_response(response);
    let mut body = call.await.unwrap().unwrap().into_body();
    let first = body.frame().await.expect("a frame").unwrap();
    assert!(!first.into_data().unwrap().is_empty());
    assert!(!dropped.0.load(Ordering::SeqCst));
    drop(body);
    assert!(comes_up(&dropped.0).await, "the upstream's body is dropped");
}

#[tokio::test]
async fn dropping_the_reply_drops_the_rails_model_call() {
    let model = Silent::default();
    // Small windows, so that the model is asked while the stream runs.
    let yaml = format!(
        "{}\n",
        SELF_CHECK_OUTPUT.replace(
            "{output: {flows: [self check output]}}",
            "{output: {flows: [self check output], streaming: {enabled: true, chunk_size: 2, context_size: 1, stream_first: false}}}",
        )
    );
    let rails = LlmRails::builder(config(&yaml))
        .model("main", model.clone())
        .build()
        .unwrap();
    let (mut service, mut handle) = guarded::<Endless>(&GuardrailsLayer::new(rails));
    service.ready().await.unwrap();
    let call = tokio::spawn(service.call(request(CHAT, &chat(&[("user", "hi")]))));
    let (_, respond) = handle.next_request().await.expect("a request");
    let (response, dropped) = endless("one two three four five six seven");
    respond.send_response(response);
    let mut body = call.await.unwrap().unwrap().into_body();
    let reading = tokio::spawn(async move {
        let _ = body.frame().await;
    });
    assert!(comes_up(&model.asked.0).await, "the model is asked");
    reading.abort();
    assert!(
        comes_up(&model.dropped.0).await,
        "the model's call is dropped"
    );
    assert!(comes_up(&dropped.0).await, "the upstream's body is dropped");
}
