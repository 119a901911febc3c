//! What must hold for any input. The fuzz targets and the replay of their seeds share it.

#[path = "checks/cuts.rs"]
mod cuts;
#[path = "checks/languages.rs"]
mod languages;

#[allow(unused_imports, reason = "each binary uses some of them")]
pub(crate) use self::{
    cuts::{FORMATS, Sent, cut, wire},
    languages::{config, expression, pattern, template},
};

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, LazyLock},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{Layer, ServiceExt, service_fn};
use tower_guardrails::{
    GuardrailsLayer, GuardrailsVerdict, LlmRails, RailsConfig,
    colang::{v1, v2},
    framing::{Framer, Framing},
    wire::{
        OpenAiChat, RequestHead, WireFormat,
        json::{Document, Edit, JsonLimits, Value, patch},
    },
};

/// Strict JSON: what it takes, `serde_json` takes and decodes the same; a patched string reads back; the format's readers
/// give places that lie in the body.
pub(crate) fn strict_json(body: &[u8]) {
    let limits = JsonLimits::default();
    if let Ok(document) = Document::read(body, &limits) {
        assert_eq!(patch(body, &[]), body);
        for string in document.strings().take(64) {
            let text = string.as_str().expect("it is a string");
            let reference: String = serde_json::from_str(string.source()).expect("a good token");
            assert_eq!(text, reference);
        }
        if let Some(string) = document.strings().next() {
            let edits = [(string.span(), Edit::Text("new\n\"text\"".into()))];
            let patched = patch(body, &edits);
            let again = Document::read(&patched, &limits).expect("a patched body is good");
            let first = again.strings().next().and_then(Value::as_str);
            assert_eq!(first.as_deref(), Some("new\n\"text\""));
        }
    }
    let uri = http::Uri::from_static("/v1/chat/completions");
    let head = RequestHead {
        method: &http::Method::POST,
        uri: &uri,
        headers: &http::HeaderMap::new(),
    };
    if let Ok(request) = OpenAiChat.read_request(&head, body, &limits) {
        assert!(
            serde_json::from_slice::<serde_json::Value>(body).is_ok_and(|value| value.is_object())
        );
        for text in request.messages.iter().flat_map(|message| &message.texts) {
            assert!(
                body.get(text.span.clone())
                    .is_some_and(|token| token.starts_with(b"\""))
            );
        }
    }
    if let Ok(reply) = OpenAiChat.read_reply(body, &limits) {
        for text in &reply.texts {
            assert!(
                body.get(text.span.clone())
                    .is_some_and(|token| !token.is_empty())
            );
        }
    }
    let _ = OpenAiChat.looks_like_request(body);
}

/// Server-sent events: the same at any cut, and nothing of the input is lost. The first byte says how to cut.
pub(crate) fn sse(input: &[u8]) {
    if let Some((step, input)) = input.split_first() {
        records(Framing::Sse, usize::from(*step).max(1), input);
    }
}

/// The same for every framing, which the first byte says.
pub(crate) fn framing(input: &[u8]) {
    const ALL: [Framing; 4] = [
        Framing::Sse,
        Framing::Ndjson,
        Framing::JsonArray,
        Framing::AwsEventStream,
    ];
    if let [kind, step, input @ ..] = input {
        let framing = ALL[usize::from(*kind) % ALL.len()];
        records(framing, usize::from(*step).max(1), input);
    }
}

fn records(framing: Framing, step: usize, input: &[u8]) {
    const LIMIT: usize = 256;
    let read = |step: usize| {
        let mut framer = Framer::new(framing, LIMIT);
        let mut records = Vec::new();
        for piece in input.chunks(step) {
            framer.push(Bytes::copy_from_slice(piece));
            records.extend(framer.by_ref());
        }
        framer.finish();
        records.extend(framer);
        records
    };
    let whole = read(input.len().max(1));
    assert_eq!(read(step), whole);
    let raw: Vec<u8> = whole
        .iter()
        .flatten()
        .flat_map(|record| record.raw.to_vec())
        .collect();
    match whole.iter().any(Result::is_err) {
        false => assert_eq!(raw, input),
        true => assert!(input.starts_with(&raw)),
    }
}

/// The guard of a stream: the same at any cut; what passes is what came; what the pattern matches never leaves, neither in
/// the bytes nor in the text that a client joins. The first byte says how to cut, the second how the layer is set.
pub(crate) fn stream_guard(input: &[u8]) {
    let [step, settings, reply @ ..] = input else {
        return;
    };
    let whole = guarded(*settings, reply, reply.len().max(1));
    let cut = guarded(*settings, reply, usize::from(*step).max(1));
    assert_eq!(without_identity(&cut.0), without_identity(&whole.0));
    assert_eq!(cut.1.is_blocked(), whole.1.is_blocked());
    let (body, verdict) = whole;
    assert!(!contains(&body, b"SECRET"));
    for text in joined_contents(&body) {
        assert!(!text.contains("SECRET"));
    }
    if !verdict.is_blocked() && verdict.refused().is_none() && !contains(&body, b"removed") {
        assert!(reply.starts_with(&body));
    }
}

/// A stream without the ids and times that a refusal gives itself.
fn without_identity(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let mut pieces = text.split("\"id\":\"chatcmpl-");
    let mut same = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (_, rest) = piece.split_once("\"model\"").unwrap_or(("", piece));
        same.push_str(rest);
    }
    same
}

/// What a client gets of `reply`, sent by a service in frames of `step` bytes.
fn guarded(settings: u8, reply: &[u8], step: usize) -> (Bytes, GuardrailsVerdict) {
    static LAYERS: LazyLock<[GuardrailsLayer; 2]> = LazyLock::new(|| {
        ["true", "false"].map(|enabled| {
            let yaml = format!(
                "
models: []
rails:
  config: {{regex_detection: {{output: {{patterns: [SECRET]}}}}}}
  output: {{flows: [regex check output], streaming: {{enabled: {enabled}}}}}
"
            );
            let config = RailsConfig::from_content(&yaml, "").expect("a good configuration");
            GuardrailsLayer::new(LlmRails::new(config).expect("good rails"))
        })
    });
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
    }
    let frames: Vec<_> = reply.chunks(step).map(Bytes::copy_from_slice).collect();
    let inner = service_fn(move |_| {
        let frames = frames.clone().into_iter();
        let frames = frames.map(|frame| Ok::<_, Infallible>(Frame::data(frame)));
        let body = StreamBody::new(futures_util::stream::iter(frames));
        let response = Response::builder()
            .header("content-type", "text/event-stream")
            .body(body)
            .expect("a good response");
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let choices = 1 + (settings >> 1) % 3;
    let request = format!(r#"{{"stream":true,"n":{choices},"messages":[]}}"#);
    let request = Request::post("/v1/chat/completions")
        .body(Full::<Bytes>::from(request))
        .expect("a good request");
    let layer = &LAYERS[usize::from(settings & 1)];
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let Ok(response) = layer.layer(inner).oneshot(request).await;
            let verdict = response.extensions().get().cloned().expect("a verdict");
            let body = response.into_body().collect().await.expect("no errors");
            (body.to_bytes(), verdict)
        })
    })
}

fn contains(body: &[u8], needle: &[u8]) -> bool {
    body.windows(needle.len()).any(|window| window == needle)
}

/// The content of each choice of a stream, as a client joins it.
fn joined_contents(body: &[u8]) -> Vec<String> {
    let mut reader = Framer::new(Framing::Sse, 1 << 20);
    reader.push(Bytes::copy_from_slice(body));
    reader.finish();
    let mut contents: BTreeMap<u64, String> = BTreeMap::new();
    for event in reader.flatten() {
        let data = event.data.unwrap_or_default();
        let Ok(chunk) = serde_json::from_slice::<serde_json::Value>(&data) else {
            continue;
        };
        for (position, choice) in (0..).zip(chunk["choices"].as_array().into_iter().flatten()) {
            let index = choice["index"].as_u64().unwrap_or(position);
            let text = choice["delta"]["content"].as_str().unwrap_or_default();
            contents.entry(index).or_default().push_str(text);
        }
    }
    contents.into_values().collect()
}

/// Colang of both versions: whatever the text is, its parser and its machine come back; what they report lies in the text; a
/// stored state is the state.
pub(crate) fn colang(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let lines = text.matches('\n').count() + 1;
    let (parsed, faults) = v1::parse("fuzz.co", &text);
    assert!(
        faults
            .iter()
            .all(|fault| fault.line.is_none_or(|line| line <= lines))
    );
    let flows = Arc::new(v1::Program::new(parsed.flows));
    let mut state = v1::State::new(flows, tower_guardrails::value::Value::None);
    for event in [
        serde_json::json!({"type": "UserIntent", "intent": "express greeting"}),
        serde_json::json!({"type": "BotIntent", "intent": "express greeting"}),
    ] {
        if state.feed(event.as_object().expect("it is one")).is_err() {
            break;
        }
    }

    let (module, faults) = v2::parse("fuzz.co", &text);
    assert!(
        faults
            .iter()
            .all(|fault| fault.line.is_none_or(|line| line <= lines))
    );
    if !faults.is_empty() {
        return;
    }
    let Ok(program) = v2::Program::new([module]) else {
        return;
    };
    let program = Arc::new(program);
    let host = v2::SystemHost;
    let mut state = v2::State::new(Arc::clone(&program), Default::default());
    let mut inputs = state.start(&host);
    for event in [
        serde_json::json!({"type": "Go", "n": 3, "text": "a"}),
        serde_json::json!({"type": "UtteranceUserActionFinished", "final_transcript": "hi"}),
        serde_json::json!({"type": "Go", "n": 1, "text": "b"}),
    ] {
        let event = event.as_object().expect("it is one");
        inputs.push(v2::Event::from_json(event).expect("it has a type"));
        for _ in 0..4 {
            let mut left = Vec::new();
            for event in inputs {
                match state.feed(event, &host) {
                    Ok(decision) => left.extend(decision.events),
                    Err(_) => return,
                }
            }
            inputs = left;
            inputs.truncate(32);
        }
        inputs = Vec::new();
        let stored = serde_json::to_string(&state).expect("a state is JSON");
        let snapshot = serde_json::from_str(&stored).expect("its JSON is a state");
        let restored = v2::State::restore(Arc::clone(&program), Default::default(), snapshot);
        let restored = restored.expect("the flows are the same");
        let again = serde_json::to_string(&restored).expect("a state is JSON");
        assert_eq!(again, stored);
        state = restored;
    }
}
