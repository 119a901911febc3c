//! Strict reading against `serde_json::Value`, and what one event of a stream costs.

use divan::{Bencher, black_box, counter::BytesCount};
use tower_guardrails::{
    framing::{Record, SseReader},
    wire::{
        OpenAiChat, ReplyTexts, RequestFacts, RequestHead, WireFormat,
        json::{Document, JsonLimits},
    },
};

fn main() {
    divan::main();
}

/// A chat request of about `length` bytes, in four messages.
fn request(length: usize) -> String {
    let words = "The quick brown fox jumps over the lazy dog. ".repeat(length / 180 + 1);
    let content = words
        .get(..length.saturating_sub(300) / 4)
        .unwrap_or_default();
    let message = |role: &str| format!(r#"{{"role":"{role}","content":"{content}\n"}}"#);
    let roles = ["system", "user", "assistant", "user"]
        .map(message)
        .join(",");
    format!(
        r#"{{"model":"gpt-4o","temperature":0.7,"max_tokens":256,"messages":[{roles}],"stream":false}}"#
    )
}

const DELTA: &str = r#"{"id":"chatcmpl-AbCdEfGhIjKlMnOpQrStUvWx","object":"chat.completion.chunk","created":1716400000,"model":"gpt-4o-2024-08-06","system_fingerprint":"fp_0123456789","choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}]}"#;

const LENGTHS: [usize; 2] = [1 << 10, 64 << 10];

#[divan::bench(args = LENGTHS)]
fn strict(bencher: Bencher<'_, '_>, length: usize) {
    let body = request(length);
    let limits = JsonLimits::default();
    bencher
        .counter(BytesCount::of_str(&body))
        .bench(|| Document::read(black_box(body.as_bytes()), &limits).is_ok());
}

#[divan::bench(args = LENGTHS)]
fn read_request(bencher: Bencher<'_, '_>, length: usize) {
    let body = request(length);
    let limits = JsonLimits::default();
    let uri = http::Uri::from_static("/v1/chat/completions");
    let headers = http::HeaderMap::new();
    let head = RequestHead {
        method: &http::Method::POST,
        uri: &uri,
        headers: &headers,
    };
    bencher.counter(BytesCount::of_str(&body)).bench(|| {
        OpenAiChat
            .read_request(&head, black_box(body.as_bytes()), &limits)
            .is_ok()
    });
}

#[divan::bench(args = LENGTHS)]
fn serde_json_value(bencher: Bencher<'_, '_>, length: usize) {
    let body = request(length);
    bencher
        .counter(BytesCount::of_str(&body))
        .bench(|| serde_json::from_slice::<serde_json::Value>(black_box(body.as_bytes())).is_ok());
}

#[divan::bench]
fn read_event(bencher: Bencher<'_, '_>) {
    let limits = JsonLimits::default();
    let record = Record {
        data: Some(DELTA.into()),
        ..Record::default()
    };
    let mut stream = OpenAiChat.stream(&RequestFacts::default());
    bencher.bench_local(|| {
        let mut texts = ReplyTexts::default();
        stream.read(black_box(&record), &limits, &mut texts).is_ok()
    });
}

#[divan::bench]
fn frame_event(bencher: Bencher<'_, '_>) {
    let frame = bytes::Bytes::from(format!("data: {DELTA}\n\n"));
    let mut reader = SseReader::new(1 << 20);
    bencher.bench_local(|| {
        reader.push(black_box(frame.clone()));
        reader.next().is_some()
    });
}
