//! What must hold for any input. The fuzz targets and the replay of their seeds share it.

use tower_guardrails::{
    framing::SseReader,
    wire::{
        OpenAiChat, WireFormat,
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
    if let Ok(request) = OpenAiChat.read_request(body, &limits) {
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
    const LIMIT: usize = 256;
    let Some((step, input)) = input.split_first() else {
        return;
    };
    let step = usize::from(*step).max(1);
    let read = |step: usize| {
        let mut reader = SseReader::new(LIMIT);
        let mut events = Vec::new();
        for piece in input.chunks(step) {
            reader.push(piece);
            events.extend(reader.by_ref());
        }
        reader.finish();
        events.extend(reader);
        events
    };
    let whole = read(input.len().max(1));
    assert_eq!(read(step), whole);
    let raw: Vec<u8> = whole
        .iter()
        .flatten()
        .flat_map(|event| event.raw.to_vec())
        .collect();
    match whole.iter().any(Result::is_err) {
        false => assert_eq!(raw, input),
        true => assert!(input.starts_with(&raw)),
    }
}
