//! A stream of 500 tokens through the layer, against copying its frames.

use std::{convert::Infallible, fmt::Write};

use bytes::Bytes;
use divan::{Bencher, black_box, counter::ItemsCount};
use futures_util::stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::runtime::Runtime;
use tower::{Layer, ServiceExt, service_fn};
use tower_guardrails::{GuardrailsLayer, LlmRails, RailsConfig};

const TOKENS: usize = 500;

const REQUEST: &str = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;

fn main() {
    divan::main();
}

/// The frames of a stream, an event each.
fn frames() -> Vec<Bytes> {
    const WORDS: [&str; 5] = [" the", " keys", " launch", " s", "k-ing"];
    let mut frames: Vec<Bytes> = (0..TOKENS)
        .map(|token| {
            let mut frame = String::from(r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":""#);
            frame.push_str(WORDS[token % WORDS.len()]);
            let _ = write!(frame, "\"}},\"logprobs\":null,\"finish_reason\":null}}]}}\n\n");
            frame.into()
        })
        .collect();
    frames.push("data: [DONE]\n\n".into());
    frames
}

/// A layer with these output patterns, or with no rail on the output.
fn layer(patterns: &[&str]) -> GuardrailsLayer {
    let flows = if patterns.is_empty() {
        ""
    } else {
        "regex check output"
    };
    let list: String = patterns
        .iter()
        .map(|pattern| format!("\n          - '{pattern}'"))
        .collect();
    let patterns = if list.is_empty() {
        " []".to_owned()
    } else {
        list
    };
    let yaml = format!(
        "
models: []
rails:
  config:
    regex_detection:
      output:
        patterns:{patterns}
  output:
    flows: [{flows}]
"
    );
    let config = RailsConfig::from_content(&yaml, "").expect("a good configuration");
    GuardrailsLayer::new(LlmRails::new(config).expect("good rails"))
}

/// How many bytes come out of a stream of `frames` through `layer`.
async fn exchange(layer: &GuardrailsLayer, frames: Vec<Bytes>) -> usize {
    let inner = service_fn(move |_| {
        let frames = frames.clone().into_iter();
        let frames = frames.map(|frame| Ok::<_, Infallible>(Frame::data(frame)));
        let response = Response::builder()
            .header("content-type", "text/event-stream")
            .body(StreamBody::new(stream::iter(frames)))
            .expect("a good response");
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let request = Request::post("/v1/chat/completions")
        .body(Full::<Bytes>::from(REQUEST))
        .expect("a good request");
    let Ok(response) = layer.layer(inner).oneshot(request).await;
    let mut body = response.into_body();
    let mut length = 0;
    while let Some(Ok(frame)) = body.frame().await {
        length += frame.data_ref().map_or(0, Bytes::len);
    }
    length
}

fn bench_layer(bencher: Bencher<'_, '_>, patterns: &[&str]) {
    let (layer, frames, runtime) = (layer(patterns), frames(), runtime());
    let length: usize = frames.iter().map(Bytes::len).sum();
    bencher.counter(ItemsCount::new(TOKENS)).bench_local(|| {
        let out = runtime.block_on(exchange(black_box(&layer), frames.clone()));
        assert_eq!(out, length);
    });
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime")
}

/// The layer with no rail on the output: the request is read, the stream is handed on.
#[divan::bench]
fn no_output_rail(bencher: Bencher<'_, '_>) {
    bench_layer(bencher, &[]);
}

#[divan::bench]
fn one_pattern(bencher: Bencher<'_, '_>) {
    bench_layer(bencher, &[r"\bsk-[A-Za-z0-9]{16,64}\b"]);
}

#[divan::bench]
fn four_patterns(bencher: Bencher<'_, '_>) {
    let patterns = [
        r"\bsk-[A-Za-z0-9]{16,64}\b",
        r"launch code \d{4}",
        r"\b\d{3}-\d{2}-\d{4}\b",
        r"(password|secret)\s*[:=]",
    ];
    bench_layer(bencher, &patterns);
}

/// The least that a proxy does: every frame's bytes are copied.
#[divan::bench]
fn copied(bencher: Bencher<'_, '_>) {
    let frames = frames();
    bencher.counter(ItemsCount::new(TOKENS)).bench_local(|| {
        let mut length = 0;
        for frame in &frames {
            length += black_box(frame.to_vec()).len();
        }
        length
    });
}
