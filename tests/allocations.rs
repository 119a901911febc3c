//! How often the layer allocates, above what the service under it does.

use std::{cell::RefCell, convert::Infallible, fmt::Debug, pin::pin};

use allocation_counter::measure;
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::runtime::Runtime;
use tower::{Layer, Service, service_fn};
use tower_guardrails::{GuardrailsLayer, LlmRails, RailsConfig};

/// A layer with these patterns each way.
fn layer(patterns: usize) -> GuardrailsLayer {
    let list: String = (0..patterns)
        .map(|number| format!("\n          - '\\bsk-{number}[A-Za-z0-9]{{16,64}}\\b'"))
        .collect();
    let yaml = format!(
        "
models: []
rails:
  config:
    regex_detection:
      input:
        patterns:{list}
      output:
        patterns:{list}
  input:
    flows: [regex check input]
  output:
    flows: [regex check output]
"
    );
    let config = RailsConfig::from_content(&yaml, "").expect("a good configuration");
    GuardrailsLayer::new(LlmRails::new(config).expect("good rails"))
}

/// How many allocations, of how many bytes, a call makes once it has been made a few times.
fn cost<S, B>(service: S, request: impl Fn() -> Request<Full<Bytes>>) -> (u64, u64)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>>,
    S::Error: Debug,
    B: Body<Data = Bytes>,
    B::Error: Debug,
{
    let runtime: Runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let service = RefCell::new(service);
    let call = || {
        let request = request();
        runtime.block_on(async {
            let call = service.borrow_mut().call(request);
            let response = call.await.expect("a response");
            let mut body = pin!(response.into_body());
            while let Some(frame) = body.frame().await {
                frame.expect("a good frame");
            }
        });
    };
    (0..3).for_each(|_| call());
    let info = measure(call);
    (info.count_total, info.bytes_total)
}

/// What the layer adds to a service that answers with `answer`.
fn added<B>(
    layer: &GuardrailsLayer,
    request: impl Fn() -> Request<Full<Bytes>>,
    answer: impl Fn() -> Response<B> + Clone + Send + 'static,
) -> (u64, u64)
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Debug + Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let guarded = answer.clone();
    let guarded = service_fn(move |_| std::future::ready(Ok::<_, Infallible>(guarded())));
    let bare = service_fn(move |_| std::future::ready(Ok::<_, Infallible>(answer())));
    let (with, without) = (cost(layer.layer(guarded), &request), cost(bare, &request));
    (with.0 - without.0, with.1 - without.1)
}

fn text(length: usize) -> String {
    let words = "The keys of the launch are kept by 17 engineers. ";
    words.chars().cycle().take(length).collect()
}

fn post(path: &'static str, body: String) -> impl Fn() -> Request<Full<Bytes>> {
    let body = Bytes::from(body);
    move || {
        Request::post(path)
            .header("content-type", "application/json")
            .header("content-length", body.len())
            .body(Full::from(body.clone()))
            .expect("a good request")
    }
}

fn answer(body: String) -> impl Fn() -> Response<Full<Bytes>> + Clone {
    let body = Bytes::from(body);
    move || {
        Response::builder()
            .header("content-type", "application/json")
            .body(Full::from(body.clone()))
            .expect("a good response")
    }
}

fn request(length: usize) -> String {
    let text = text(length);
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]}}"#)
}

fn reply(length: usize) -> String {
    let text = text(length);
    format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}}}"#
    )
}

const CHAT: &str = "/v1/chat/completions";

#[test]
fn an_exchange_takes_few_allocations() {
    for patterns in [1, 50] {
        let layer = layer(patterns);
        let (count, bytes) = added(&layer, post(CHAT, request(1024)), answer(reply(2048)));
        // The exchange's own, and those of the verdict that a handler finds in the request's extensions.
        const OWN: u64 = 20;
        const TOLD: u64 = 3;
        assert!(
            count <= OWN + TOLD,
            "{count} allocations with {patterns} patterns"
        );
        assert!(bytes < 32 << 10, "{bytes} bytes with {patterns} patterns");
    }
}

#[test]
fn a_body_that_came_in_one_frame_is_not_copied() {
    let layer = layer(1);
    let small = added(&layer, post(CHAT, request(1024)), answer(reply(64)));
    // Texts that are longer than a few KiB are searched elsewhere where that takes long.
    let message = format!(r#"{{"role":"user","content":"{}"}}"#, text(3 << 10));
    let messages = vec![message; 21].join(",");
    let body = format!(r#"{{"model":"m","messages":[{messages}]}}"#);
    let large = added(&layer, post(CHAT, body), answer(reply(64)));
    assert!(
        large.1 < small.1 + (32 << 10),
        "{} more bytes for 64 KiB",
        large.1 - small.1
    );
    // What a rail reads of a reply is put together once.
    let large = added(&layer, post(CHAT, request(1024)), answer(reply(64 << 10)));
    assert!(
        large.1 < small.1 + (80 << 10),
        "{} more bytes for a reply of 64 KiB",
        large.1 - small.1
    );
}

#[test]
fn a_path_that_is_no_chat_takes_none() {
    let layer = layer(1);
    let get = |path: &'static str| {
        move || {
            let request = Request::get(path);
            request.body(Full::default()).expect("a good request")
        }
    };
    for path in ["/v1/models", "/", "/index.html", "/orders/17"] {
        let (count, _) = added(&layer, get(path), answer("[]".to_owned()));
        assert_eq!(count, 0, "{path}");
    }
}

type Frames = stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>;

/// A stream of as many tokens, each a frame of its own.
fn events(format: &str, tokens: usize) -> impl Fn() -> Response<StreamBody<Frames>> + Clone {
    const WORDS: [&str; 6] = [" the", " keys", " s", "k-ing", "\\n", " are"];
    let frame = |number: usize| {
        let word = WORDS[number % WORDS.len()];
        match format {
            "chat" => format!(
                "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{word}\"}},\"finish_reason\":null}}]}}\n\n"
            ),
            "anthropic" => format!(
                "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{word}\"}}}}\n\n"
            ),
            _ => format!(
                "event: response.output_text.delta\ndata: {{\"type\":\"response.output_text.delta\",\"sequence_number\":{number},\"item_id\":\"m\",\"output_index\":0,\"content_index\":0,\"delta\":\"{word}\",\"logprobs\":[]}}\n\n"
            ),
        }
    };
    let begun = match format {
        "anthropic" => {
            "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
        }
        _ => ": begun\n\n",
    };
    let frames = (0..tokens).map(frame).map(Bytes::from);
    let frames: Vec<Bytes> = std::iter::once(Bytes::from(begun)).chain(frames).collect();
    move || {
        let frames: Vec<_> = frames
            .iter()
            .map(|frame| Ok(Frame::data(frame.clone())))
            .collect();
        Response::builder()
            .header("content-type", "text/event-stream")
            .body(StreamBody::new(stream::iter(frames)))
            .expect("a good response")
    }
}

#[test]
fn a_streamed_token_takes_none() {
    for patterns in [1, 50] {
        let layer = layer(patterns);
        for (format, path, request) in [
            (
                "chat",
                CHAT,
                r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#,
            ),
            (
                "anthropic",
                "/v1/messages",
                r#"{"model":"m","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#,
            ),
            (
                "responses",
                "/v1/responses",
                r#"{"model":"m","stream":true,"input":"hi"}"#,
            ),
        ] {
            let of = |tokens| {
                let request = post(path, request.to_owned());
                added(&layer, request, events(format, tokens)).0
            };
            let (few, many) = (of(100), of(700));
            // What is ready at once goes out together, in pieces of 32 KiB; texts that are remembered grow by doubling.
            assert!(
                many - few <= 24,
                "{} for 600 tokens of {format} with {patterns} patterns",
                many - few
            );
        }
    }
}
