//! What the modules share: rails from strings, an inner service that answers as scripted, and a reader of event streams
//! that is not the crate's.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::Value;
use tower::{Layer, ServiceExt, service_fn};
use tower_guardrails::{
    GuardrailsLayer, GuardrailsVerdict, LlmRails, RailsConfig, layer::RequestBody,
};

/// What a blocked text is answered with, unless the rails say otherwise.
pub(crate) const REFUSAL: &str = "I'm sorry, I can't respond to that.";

/// Where OpenAI's chat is.
pub(crate) const CHAT: &str = "/v1/chat/completions";

/// A request that asks for a stream.
pub(crate) const STREAM: &str =
    r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;

/// Rails that are written in YAML.
pub(crate) fn rails(yaml: &str) -> LlmRails {
    LlmRails::new(config(yaml)).expect("good rails")
}

/// A configuration that is written in YAML.
pub(crate) fn config(yaml: &str) -> RailsConfig {
    RailsConfig::from_content(yaml, "").expect("a good configuration")
}

/// A layer of regex rails on both sides.
pub(crate) fn regex_layer(input: &str, output: &[&str]) -> GuardrailsLayer {
    GuardrailsLayer::new(rails(&regex_yaml(input, output, "")))
}

/// The YAML of regex rails; `streaming` stands under `rails.output`.
pub(crate) fn regex_yaml(input: &str, output: &[&str], streaming: &str) -> String {
    let list: String = output
        .iter()
        .map(|pattern| format!("\n          - '{pattern}'"))
        .collect();
    format!(
        "
models: []
passthrough: true
rails:
  config:
    regex_detection:
      input:
        patterns:
          - '{input}'
      output:
        patterns:{list}
  input:
    flows:
      - regex check input
  output:
    flows:
      - regex check output
    {streaming}
"
    )
}

/// A request to OpenAI's chat with this body.
pub(crate) fn chat(body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    post(CHAT, body)
}

/// A JSON request with this body.
pub(crate) fn post(path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post(path)
        .header("content-type", "application/json")
        .body(Full::new(body.into()))
        .expect("a good request")
}

/// What the inner service answers, every time.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) frames: Vec<Bytes>,
}

impl Reply {
    /// A JSON reply in one frame.
    pub(crate) fn json(body: impl Into<Bytes>) -> Self {
        Self::of("application/json", vec![body.into()])
    }

    /// A stream of events in these frames.
    pub(crate) fn events(frames: Vec<Bytes>) -> Self {
        Self::of("text/event-stream; charset=utf-8", frames)
    }

    /// A reply of a content type.
    pub(crate) fn of(content_type: &str, frames: Vec<Bytes>) -> Self {
        Self {
            status: StatusCode::OK,
            headers: vec![("content-type", content_type.to_owned())],
            frames,
        }
    }

    /// With one header more.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// A request as the inner service got it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// One request, and what came of it.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) verdict: Option<GuardrailsVerdict>,
    pub(crate) seen: Vec<Seen>,
}

impl Exchange {
    /// Whether a rail blocked.
    pub(crate) fn is_blocked(&self) -> bool {
        self.verdict
            .as_ref()
            .is_some_and(GuardrailsVerdict::is_blocked)
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends `request` through `layer` to a service that answers `reply`.
pub(crate) async fn exchange<B>(
    layer: &GuardrailsLayer,
    request: Request<B>,
    reply: &Reply,
) -> Exchange
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + std::fmt::Debug,
{
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (notes, reply) = (Arc::clone(&seen), reply.clone());
    let inner = service_fn(move |request: Request<RequestBody<B>>| {
        let (notes, reply) = (Arc::clone(&notes), reply.clone());
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.expect("a whole request").to_bytes();
            notes.lock().unwrap().push(Seen {
                uri: parts.uri,
                headers: parts.headers,
                body,
            });
            let frames = reply
                .frames
                .into_iter()
                .map(|frame| Ok::<_, Infallible>(Frame::data(frame)));
            let mut response = Response::builder().status(reply.status);
            for (name, value) in &reply.headers {
                response = response.header(*name, value);
            }
            let body = StreamBody::new(stream::iter(frames));
            Ok::<_, Infallible>(response.body(body).expect("a good reply"))
        }
    });
    let response = layer
        .layer(inner)
        .oneshot(request)
        .await
        .expect("the inner service does not fail");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a whole reply").to_bytes();
    let verdict: Option<GuardrailsVerdict> = parts.extensions.get().cloned();
    // Rails that only monitor may take longer than the exchange.
    for _ in 0..2000 {
        if verdict.as_ref().is_none_or(GuardrailsVerdict::is_final) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let seen = seen.lock().unwrap().clone();
    Exchange {
        status: parts.status,
        headers: parts.headers,
        body,
        verdict,
        seen,
    }
}

/// Runs a future in a runtime of this thread.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime")
        .block_on(future)
}

/// The payloads of an event stream, as a client reads them; a last event without its blank line counts.
pub(crate) fn payloads(body: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(body)
        .replace("\r\n", "\n")
        .replace('\r', "\n");
    text.split("\n\n")
        .filter_map(|event| {
            let lines: Vec<&str> = event
                .lines()
                .filter_map(|line| line.strip_prefix("data:"))
                .map(|line| line.strip_prefix(' ').unwrap_or(line))
                .collect();
            (!lines.is_empty()).then(|| lines.join("\n"))
        })
        .collect()
}

/// The events of a stream that are JSON.
pub(crate) fn chunks(body: &[u8]) -> Vec<Value> {
    payloads(body)
        .iter()
        .filter(|payload| *payload != "[DONE]")
        .map(|payload| {
            serde_json::from_str(payload).unwrap_or_else(|error| panic!("{error}: {payload}"))
        })
        .collect()
}

/// The texts at `pointer` in every choice `index` of a stream, joined.
pub(crate) fn joined(body: &[u8], index: u64, pointer: &str) -> String {
    let mut text = String::new();
    for chunk in chunks(body) {
        for choice in chunk["choices"].as_array().into_iter().flatten() {
            if choice["index"] == index {
                text.push_str(
                    choice
                        .pointer(pointer)
                        .and_then(Value::as_str)
                        .unwrap_or(""),
                );
            }
        }
    }
    text
}

/// The last finish reason of choice `index`.
pub(crate) fn finish_reason(body: &[u8], index: u64) -> Option<String> {
    let mut reason = None;
    for chunk in chunks(body) {
        for choice in chunk["choices"].as_array().into_iter().flatten() {
            if choice["index"] == index
                && let Some(found) = choice["finish_reason"].as_str()
            {
                reason = Some(found.to_owned());
            }
        }
    }
    reason
}

/// One event of a stream, of choice `index`, with this delta.
pub(crate) fn delta_event(index: u64, delta: &Value) -> String {
    let chunk = serde_json::json!({
        "id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m",
        "choices": [{"index": index, "delta": delta, "logprobs": null, "finish_reason": null}],
    });
    format!("data: {chunk}\n\n")
}

/// A stream that says `pieces` as choice 0, each piece an event and a frame.
pub(crate) fn content_stream(pieces: &[&str]) -> Vec<Bytes> {
    let mut frames: Vec<Bytes> = pieces
        .iter()
        .map(|piece| delta_event(0, &serde_json::json!({"content": piece})).into())
        .collect();
    let finish = r#"{"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    frames.push(format!("data: {finish}\n\n").into());
    frames.push("data: [DONE]\n\n".into());
    frames
}
