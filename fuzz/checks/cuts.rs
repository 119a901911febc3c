//! Every wire format, and streams through rails that ask and rewrite.

use std::{convert::Infallible, sync::LazyLock};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tower_guardrails::{
    GuardrailsLayer, GuardrailsVerdict, LlmRails, RailsConfig,
    error::ModelError,
    framing::{Framer, Framing},
    llm::{Model, ModelReply, ModelRequest},
    wire::{RequestFacts, RequestHead, formats, json::JsonLimits},
};

/// Each format's readers and refusals on any body. The first byte says which format and what the body is.
pub(crate) fn wire(input: &[u8]) {
    let [choice, body @ ..] = input else { return };
    let formats = formats();
    let format = &formats[usize::from(*choice) % formats.len()];
    let limits = JsonLimits::default();
    let (method, headers) = (http::Method::POST, http::HeaderMap::new());
    let uri = http::Uri::from_static("/v1/models/m:streamGenerateContent?alt=sse");
    let head = RequestHead {
        method: &method,
        uri: &uri,
        headers: &headers,
    };
    let _ = format.looks_like_request(body);
    let mut facts = RequestFacts::default();
    if let Ok(request) = format.read_request(&head, body, &limits) {
        for text in request.messages.iter().flat_map(|message| &message.texts) {
            assert!(body.get(text.span.clone()).is_some());
        }
        let _ = format.offered_tools(&request, body);
        facts = request.facts();
    }
    if let Ok(reply) = format.read_reply(body, &limits) {
        for text in &reply.texts {
            assert!(body.get(text.span.clone()).is_some());
        }
        for choice in &reply.choices {
            let _ = format.refuse_choice(body, choice, "refused");
        }
    }
    let Some(framing) = format.framing(&facts, "") else {
        return;
    };
    let mut framer = Framer::new(framing, 1 << 20);
    framer.push(Bytes::copy_from_slice(body));
    framer.finish();
    let mut stream = format.stream(&facts);
    let mut out = Vec::new();
    for record in framer.flatten() {
        let mut texts = Default::default();
        if stream.read(&record, &limits, &mut texts).is_err() {
            break;
        }
        if let Some(data) = &record.data {
            for text in &texts.texts {
                assert!(data.get(text.span.clone()).is_some());
            }
            let _ = stream.without(data, &texts.choices, &|choice| choice % 2 == 0);
        }
        stream.released(&record, &[0]);
    }
    stream.refuse_choice(0, "refused", &mut out);
    stream.fail("code", "failed", &mut out);
    stream.end(&mut out);
}

/// Says that a text is bad if `bad` stands in it.
#[derive(Debug)]
struct Judge;

impl Model for Judge {
    fn name(&self) -> &str {
        "judge"
    }

    fn complete(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelReply, ModelError>> {
        let mut messages = request.messages.iter();
        let is_bad = messages.any(|message| message.content.text().contains("bad"));
        let mut reply = ModelReply::default();
        reply.content = if is_bad { "yes" } else { "no" }.to_owned();
        Box::pin(std::future::ready(Ok(reply)))
    }
}

const FLOWS: [&str; 4] = [
    "[self check output]",
    "[mask sensitive data on output]",
    "[regex check output, self check output]",
    "[mask sensitive data on output, self check output]",
];

/// One for each combination of rails, with wide and narrow windows.
static LAYERS: LazyLock<Vec<GuardrailsLayer>> = LazyLock::new(|| {
    let layer = |flows: &str, windows: &str| {
        let yaml = format!(
            "
models: []
prompts: [{{task: self_check_output, content: 'Bad? <<{{{{ bot_response }}}}>>'}}]
rails:
  config:
    regex_detection: {{output: {{patterns: ['SE\\d+CRET']}}}}
    sensitive_data_detection: {{output: {{entities: [EMAIL_ADDRESS]}}}}
  output: {{flows: {flows}, streaming: {{enabled: true, stream_first: false, {windows}}}}}
"
        );
        let config = RailsConfig::from_content(&yaml, "").expect("a good configuration");
        let rails = LlmRails::builder(config).model("main", Judge).build();
        GuardrailsLayer::new(rails.expect("good rails"))
    };
    FLOWS
        .iter()
        .flat_map(|flows| {
            // What rewrites has no context.
            let windows = match flows.contains("mask") {
                true => [
                    "chunk_size: 4, context_size: 0",
                    "chunk_size: 200, context_size: 0",
                ],
                false => [
                    "chunk_size: 4, context_size: 2",
                    "chunk_size: 200, context_size: 50",
                ],
            };
            windows.map(|windows| layer(flows, windows))
        })
        .collect()
});

/// A text through rails that ask and rewrite, cut into deltas and frames in two ways: the verdict is the same, and so is what a client
/// reads where nothing is blocked. The first three bytes set the layer and the cuts.
pub(crate) fn cut(input: &[u8]) {
    let [settings, one, other, text @ ..] = input else {
        return;
    };
    let text: String = String::from_utf8_lossy(text).chars().take(600).collect();
    let layer = &LAYERS[usize::from(*settings) % LAYERS.len()];
    let format = usize::from(*settings >> 4) % FORMATS.len();
    let first = judged(layer, format, &text, *one);
    let second = judged(layer, format, &text, *other);
    assert_eq!(first.1.is_blocked(), second.1.is_blocked(), "{text:?}");
    for (said, verdict) in [&first, &second] {
        assert!(
            !said.contains("bad")
                || !FLOWS[usize::from(*settings) % LAYERS.len() / 2].contains("self check")
        );
        if !verdict.is_blocked() {
            assert_eq!(*said, first.0);
        }
    }
}

/// What a service sends for a piece of text, and what frames a stream of them.
pub(crate) struct Sent {
    pub(crate) path: &'static str,
    request: &'static str,
    pub(crate) content_type: &'static str,
    framing: Framing,
    before: fn() -> Vec<Value>,
    piece: fn(&str) -> Value,
    after: fn() -> Vec<Value>,
    /// Where the text lies in a record.
    pointer: &'static str,
}

pub(crate) static FORMATS: [Sent; 5] = [
    Sent {
        path: "/v1/chat/completions",
        request: r#"{"model":"m","stream":true,"messages":[]}"#,
        content_type: "text/event-stream",
        framing: Framing::Sse,
        before: Vec::new,
        piece: |text| json!({"choices": [{"index": 0, "delta": {"content": text}}]}),
        after: || vec![json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})],
        pointer: "/choices/0/delta/content",
    },
    Sent {
        path: "/v1/completions",
        request: r#"{"model":"m","stream":true,"prompt":"p"}"#,
        content_type: "text/event-stream",
        framing: Framing::Sse,
        before: Vec::new,
        piece: |text| json!({"choices": [{"index": 0, "text": text, "finish_reason": null}]}),
        after: || vec![json!({"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]})],
        pointer: "/choices/0/text",
    },
    Sent {
        path: "/v1/messages",
        request: r#"{"model":"m","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#,
        content_type: "text/event-stream",
        framing: Framing::Sse,
        before: || {
            vec![
                json!({"type": "message_start", "message": {"id": "i", "type": "message", "role": "assistant", "content": [], "model": "m", "stop_reason": null, "usage": {"input_tokens": 1, "output_tokens": 1}}}),
                json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            ]
        },
        piece: |text| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}),
        after: || {
            vec![
                json!({"type": "content_block_stop", "index": 0}),
                json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}}),
                json!({"type": "message_stop"}),
            ]
        },
        pointer: "/delta/text",
    },
    Sent {
        path: "/v1beta/models/m:streamGenerateContent?alt=sse",
        request: r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#,
        content_type: "text/event-stream",
        framing: Framing::Sse,
        before: Vec::new,
        piece: |text| json!({"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": text}]}}]}),
        after: || {
            vec![
                json!({"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": "STOP"}]}),
            ]
        },
        pointer: "/candidates/0/content/parts/0/text",
    },
    Sent {
        path: "/api/chat",
        request: r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#,
        content_type: "application/x-ndjson",
        framing: Framing::Ndjson,
        before: Vec::new,
        piece: |text| json!({"model": "m", "message": {"role": "assistant", "content": text}, "done": false}),
        after: || {
            vec![
                json!({"model": "m", "message": {"role": "assistant", "content": ""}, "done": true, "done_reason": "stop"}),
            ]
        },
        pointer: "/message/content",
    },
];

impl Sent {
    /// A request in which a user says `text`.
    #[allow(dead_code, reason = "only the soak says something")]
    pub(crate) fn request_of(&self, text: &str) -> String {
        match self.path {
            "/v1/chat/completions" => self.request.replace(
                "\"messages\":[]",
                &format!("\"messages\":[{{\"role\":\"user\",\"content\":\"{text}\"}}]"),
            ),
            "/v1/completions" => self.request.replace("\"p\"", &format!("\"{text}\"")),
            _ => self.request.replace("\"hi\"", &format!("\"{text}\"")),
        }
    }

    /// A reply that says `text`, in pieces of so many letters.
    pub(crate) fn stream(&self, text: &str, letters: usize) -> String {
        let letters_of_text: Vec<char> = text.chars().collect();
        let pieces = letters_of_text.chunks(letters);
        let mut records = (self.before)();
        records.extend(pieces.map(|piece| (self.piece)(&piece.iter().collect::<String>())));
        records.extend((self.after)());
        let shown = records.iter().map(|record| {
            let name = record.get("type").and_then(Value::as_str);
            match (self.framing, name) {
                (Framing::Sse, Some(name)) => format!("event: {name}\ndata: {record}\n\n"),
                (Framing::Sse, None) => format!("data: {record}\n\n"),
                _ => format!("{record}\n"),
            }
        });
        shown.collect()
    }

    /// The text that a client reads in a stream.
    pub(crate) fn said(&self, body: &[u8]) -> String {
        let mut framer = Framer::new(self.framing, 1 << 20);
        framer.push(Bytes::copy_from_slice(body));
        framer.finish();
        let mut said = String::new();
        for record in framer.flatten() {
            let data = record.data.unwrap_or_default();
            let value: Value = serde_json::from_slice(&data).unwrap_or_default();
            said.push_str(
                value
                    .pointer(self.pointer)
                    .and_then(Value::as_str)
                    .unwrap_or_default(),
            );
        }
        said
    }
}

/// What a client reads of `text`, and the verdict.
fn judged(
    layer: &GuardrailsLayer,
    format: usize,
    text: &str,
    cut: u8,
) -> (String, GuardrailsVerdict) {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
    }
    let sent = &FORMATS[format];
    // Pieces of one to sixteen letters, and frames of one to sixteen times seven bytes.
    let (letters, bytes) = (usize::from(cut & 15) + 1, (usize::from(cut >> 4) + 1) * 7);
    let body = sent.stream(text, letters);
    let frames: Vec<Bytes> = body
        .as_bytes()
        .chunks(bytes)
        .map(Bytes::copy_from_slice)
        .collect();
    let inner = service_fn(move |_| {
        let frames = frames.clone().into_iter();
        let frames = frames.map(|frame| Ok::<_, Infallible>(Frame::data(frame)));
        let response = Response::builder()
            .header("content-type", sent.content_type)
            .body(StreamBody::new(futures_util::stream::iter(frames)))
            .expect("a good response");
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let request = Request::post(sent.path)
        .header("content-type", "application/json")
        .body(Full::<Bytes>::from(sent.request))
        .expect("a good request");
    let (body, verdict) = RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let Ok(response) = layer.layer(inner).oneshot(request).await;
            let verdict: Option<GuardrailsVerdict> = response.extensions().get().cloned();
            let status = response.status();
            let body = response.into_body().collect().await.expect("no errors");
            let body = body.to_bytes();
            assert!(status.is_success(), "{}", String::from_utf8_lossy(&body));
            (body, verdict.expect("a verdict"))
        })
    });
    (sent.said(&body), verdict)
}
