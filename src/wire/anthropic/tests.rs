use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::{Value, json};

use super::{AnthropicMessages, reply::Place};
use crate::{
    framing::{NewRecord, Record},
    message::{Message, Role},
    wire::{
        Channel, ChatRequest, Claim, JsonLimits, ModelProtocol, NormalPath, Patch, Question,
        RecordKind, ReplyTexts, RequestFacts, RequestHead, TextKind, Unreadable, WireFormat, patch,
    },
};

fn head(uri: &'static str) -> (Method, Uri, HeaderMap) {
    (Method::POST, Uri::from_static(uri), HeaderMap::new())
}

fn read(body: &str) -> Result<ChatRequest<'_>, Unreadable> {
    let (method, uri, headers) = head("/v1/messages");
    let head = RequestHead {
        method: &method,
        uri: &uri,
        headers: &headers,
    };
    AnthropicMessages.read_request(&head, body.as_bytes(), &JsonLimits::default())
}

fn record(data: &Value) -> Record {
    let name = data["type"].as_str().unwrap_or_default().to_owned();
    Record {
        name: Some(Bytes::from(name)),
        data: Some(Bytes::from(data.to_string())),
        ..Record::default()
    }
}

fn read_reply(body: &str) -> ReplyTexts<'_> {
    AnthropicMessages
        .read_reply(body.as_bytes(), &JsonLimits::default())
        .unwrap()
}

fn payloads(records: &[NewRecord]) -> Vec<Value> {
    records
        .iter()
        .map(|record| serde_json::from_slice(&record.data).unwrap())
        .collect()
}

#[test]
fn its_paths_are_claimed_and_others_are_not() {
    let claim = |path: &str| AnthropicMessages.claims(&NormalPath::new(path));
    for path in [
        "/v1/messages",
        "/anthropic/messages",
        "/anthropic/v1/messages/",
        "/v1/messages/count_tokens",
        "/model/eu.anthropic.claude-sonnet-4-v1:0/invoke",
        "/v1/projects/p/locations/l/publishers/anthropic/models/claude:rawPredict",
        "/v1/projects/p/locations/l/publishers/anthropic/models/claude:streamRawPredict",
    ] {
        assert_eq!(claim(path), Claim::Chat, "{path}");
    }
    for path in [
        "/messages",
        "/v1/threads/t/messages",
        "/v1/chat/completions/c/messages",
        "/v1/messages/batches",
        "/api/inbox/messages",
        "/model/meta.llama3/invoke",
        "/v1/projects/p/locations/l/publishers/mistralai/models/m:rawPredict",
    ] {
        assert_eq!(claim(path), Claim::No, "{path}");
    }
}

#[test]
fn a_request_is_read_with_results_as_messages_of_their_own() {
    let body = json!({
        "model": "claude", "max_tokens": 10, "stream": true, "system": [{"type": "text", "text": "the app"}],
        "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}}],
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                {"type": "text", "text": "look"},
                {"type": "tool_use", "id": "t1", "name": "f", "input": {"deep": ["arg"]}},
                {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [{"type": "web_search_result", "title": "found", "url": "https://e", "encrypted_content": "ZW5j"}]},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "one"}, {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "two"}, "title": "three"}]},
                {"type": "tool_result", "tool_use_id": "t2", "content": "four"},
                {"type": "text", "text": "and"},
                {"type": "document", "source": {"type": "base64", "media_type": "text/plain", "data": "aGlkZGVu"}, "context": "five"},
            ]},
        ],
        "documents": ["six"],
    })
    .to_string();
    let request = read(&body).unwrap();
    assert_eq!(request.model.as_deref(), Some("claude"));
    assert!(request.stream);
    let seen: Vec<(&str, Option<&str>, Vec<&str>)> = request
        .messages
        .iter()
        .map(|message| {
            let texts = message
                .texts
                .iter()
                .filter(|text| text.kind != TextKind::Id && text.kind != TextKind::Key);
            (
                message.role.as_str(),
                message.tool_call_id.as_deref(),
                texts.map(|text| text.text.as_ref()).collect(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("system", None, vec!["the app"]),
            ("user", None, vec!["hi"]),
            ("assistant", None, vec!["hm", "look", "f", "arg"]),
            ("tool", Some("s1"), vec!["found", "https://e"]),
            ("tool", Some("t1"), vec!["one", "two", "three"]),
            ("tool", Some("t2"), vec!["four"]),
            ("user", None, vec!["and", "hidden", "aGlkZGVu", "five"]),
        ]
    );
    let call = &request.messages[2].tool_calls[0];
    assert_eq!(
        (call.name.as_str(), &call.arguments),
        ("f", &json!({"deep": ["arg"]}))
    );
    assert_eq!(request.other_texts.len(), 2);
    let tools = AnthropicMessages.offered_tools(&request, body.as_bytes());
    assert_eq!(tools[0]["function"]["parameters"]["type"], "object");
}

#[test]
fn what_readers_disagree_on_is_refused() {
    for (body, code) in [
        (r#"{"messages":[],"messages":[]}"#, "duplicate_key"),
        (r#"{"Messages":[],"messages":[]}"#, "ambiguous_key"),
        (
            r#"{"messages":[{"role":"user","content":[{"type":"text","Text":"x"}]}]}"#,
            "ambiguous_key",
        ),
        (
            r#"{"messages":[],"stream":"true"}"#,
            "invalid_request_error",
        ),
        (r#"{"messages":[{"content":"x"}]}"#, "invalid_request_error"),
        (r#"{"prompt":"x"}"#, "invalid_request_error"),
    ] {
        assert_eq!(read(body).unwrap_err().code, code, "{body}");
    }
}

#[test]
fn every_string_of_a_reply_is_a_text() {
    let body = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn", "stop_sequence": "s0",
        "content": [
            {"type": "thinking", "thinking": "s1", "signature": "c2ln"},
            {"type": "text", "text": "s2", "citations": [{"type": "char_location", "cited_text": "s3", "document_title": "s4"}]},
            {"type": "text", "text": "s5"},
            {"type": "tool_use", "id": "t", "name": "s6", "input": {"k": "s7"}},
            {"type": "web_fetch_tool_result", "content": {"type": "web_fetch_result", "url": "s8", "content": {"type": "document", "source": {"data": "s9"}}}},
            {"type": "new_kind", "words": "s10"},
        ],
        "stop_details": {"type": "refusal", "explanation": "s11"},
    })
    .to_string();
    let reply = read_reply(&body);
    for number in 0..=11 {
        let needle = format!("s{number}");
        assert!(
            reply.texts.iter().any(|text| text.text == needle),
            "{needle}"
        );
    }
    assert!(!reply.ambiguous);
    let answer = Channel::new(Some(0), &(&Place::Text, &Vec::<usize>::new()));
    let joined: String = reply
        .texts
        .iter()
        .filter(|text| text.channel == answer)
        .map(|text| text.text.as_ref())
        .collect();
    assert_eq!(joined, "s2s5");
    let thinking = reply.texts.iter().find(|text| text.text == "s1").unwrap();
    assert_eq!(thinking.class.patch, Patch::No);
    assert_eq!(reply.calls.len(), 1);
    assert!(reply.choices[0].finish);
}

#[test]
fn a_refused_reply_is_one_that_the_client_reads() {
    let body = r#"{"id":"msg_1","type":"message","content":[{"type":"text","text":"bad"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"output_tokens":3}}"#;
    let reply = read_reply(body);
    let edits = AnthropicMessages.refuse_choice(body.as_bytes(), &reply.choices[0], "no");
    let refused: Value = serde_json::from_slice(&patch(body.as_bytes(), &edits)).unwrap();
    assert_eq!(refused["content"], json!([{"type": "text", "text": "no"}]));
    assert_eq!(refused["stop_reason"], "refusal");
    assert_eq!(refused["usage"]["output_tokens"], 3);
    let body = r#"{"type":"message","content":[]}"#;
    let edits =
        AnthropicMessages.refuse_choice(body.as_bytes(), &read_reply(body).choices[0], "no");
    let refused: Value = serde_json::from_slice(&patch(body.as_bytes(), &edits)).unwrap();
    assert_eq!(refused["stop_reason"], "refusal");
    let error: Value =
        serde_json::from_slice(&AnthropicMessages.error_body(StatusCode::FORBIDDEN, "x", "why"))
            .unwrap();
    assert_eq!(error["error"]["type"], "permission_error");
}

fn start(index: u64, block: Value) -> Value {
    json!({"type": "content_block_start", "index": index, "content_block": block})
}

fn delta(index: u64, delta: Value) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": delta})
}

#[test]
fn a_refusal_closes_the_open_block_and_ends_the_message() {
    let mut stream = AnthropicMessages.stream(&RequestFacts::default());
    for event in [
        json!({"type": "message_start", "message": {"content": []}}),
        start(0, json!({"type": "text", "text": ""})),
        delta(0, json!({"type": "text_delta", "text": "hi"})),
    ] {
        let record = record(&event);
        let mut texts = ReplyTexts::default();
        stream
            .read(&record, &JsonLimits::default(), &mut texts)
            .unwrap();
        assert!(!texts.ambiguous);
        stream.released(&record, &[0]);
    }
    let mut out = Vec::new();
    stream.refuse_choice(0, "no", &mut out);
    stream.end(&mut out);
    let events = payloads(&out);
    let kinds: Vec<&str> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "content_block_stop",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    assert_eq!(events[0]["index"], 0);
    assert_eq!(events[1]["index"], 1);
    assert_eq!(events[4]["delta"]["stop_reason"], "refusal");
    assert_eq!(out[0].name.as_deref(), Some("content_block_stop"));
}

#[test]
fn a_refusal_before_anything_begins_the_message() {
    let mut stream = AnthropicMessages.stream(&RequestFacts::default());
    let mut out = Vec::new();
    stream.refuse_choice(0, "no", &mut out);
    stream.end(&mut out);
    let events = payloads(&out);
    assert_eq!(events[0]["type"], "message_start");
    assert_eq!(events[0]["message"]["content"], json!([]));
    assert_eq!(events.last().unwrap()["type"], "message_stop");
    // After an error there is nothing to end.
    let mut stream = AnthropicMessages.stream(&RequestFacts::default());
    let mut out = Vec::new();
    stream.fail("code", "broken", &mut out);
    stream.end(&mut out);
    assert_eq!(payloads(&out).len(), 1);
    assert!(out[0].is_error);
}

#[test]
fn the_pieces_of_a_stream_share_channels_and_calls() {
    let mut stream = AnthropicMessages.stream(&RequestFacts::default());
    let events = [
        start(0, json!({"type": "text", "text": "a"})),
        delta(0, json!({"type": "text_delta", "text": "b"})),
        json!({"type": "content_block_stop", "index": 0}),
        start(
            1,
            json!({"type": "tool_use", "id": "t", "name": "f", "input": {}}),
        ),
        delta(
            1,
            json!({"type": "input_json_delta", "partial_json": "{\"x\":"}),
        ),
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}}),
        json!({"type": "message_stop"}),
    ];
    let records: Vec<Record> = events.iter().map(record).collect();
    let mut read = Vec::new();
    for record in &records {
        let mut texts = ReplyTexts::default();
        stream
            .read(record, &JsonLimits::default(), &mut texts)
            .unwrap();
        assert!(!texts.ambiguous, "{record:?}");
        read.push(texts);
    }
    assert_eq!(read[0].texts[0].channel, read[1].texts[0].channel);
    assert_eq!((read[3].calls[0].call, read[4].calls[0].call), (1, 1));
    assert!(!read[3].calls[0].is_malformed && read[3].calls[0].arguments.is_none());
    assert_eq!(read[4].calls[0].arguments.as_ref().unwrap().text, "{\"x\":");
    assert!(read[6].choices[0].finish);
    assert_eq!(read[7].kind, RecordKind::Done);
    assert!(read[7].choices.is_empty());
}

#[test]
fn pieces_out_of_order_are_ambiguous() {
    for events in [
        vec![delta(0, json!({"type": "text_delta", "text": "x"}))],
        vec![
            start(0, json!({"type": "text", "text": ""})),
            start(1, json!({"type": "text", "text": ""})),
        ],
        vec![
            start(0, json!({"type": "text", "text": ""})),
            delta(1, json!({"type": "text_delta", "text": "x"})),
        ],
    ] {
        let mut stream = AnthropicMessages.stream(&RequestFacts::default());
        let records: Vec<Record> = events.iter().map(record).collect();
        let mut ambiguous = false;
        for record in &records {
            let mut texts = ReplyTexts::default();
            stream
                .read(record, &JsonLimits::default(), &mut texts)
                .unwrap();
            ambiguous |= texts.ambiguous;
        }
        assert!(ambiguous, "{events:?}");
    }
}

#[test]
fn a_rail_asks_in_the_endpoints_language() {
    let mut question = Question {
        model: "claude".to_owned(),
        messages: vec![Message::new(Role::System, "judge"), Message::user("text")],
        ..Question::default()
    };
    question
        .parameters
        .insert("max_tokens".to_owned(), json!(3));
    question.parameters.insert("stop".to_owned(), json!("x"));
    let asked = |uri: &'static str| {
        let (method, uri, headers) = head(uri);
        let head = RequestHead {
            method: &method,
            uri: &uri,
            headers: &headers,
        };
        let asked = AnthropicMessages.question(&head, &question).unwrap();
        let body: Value = serde_json::from_slice(&asked.body).unwrap();
        (asked.path, body)
    };
    let (path, body) = asked("/v1/messages");
    assert_eq!(path, None);
    assert_eq!(
        body,
        json!({"model": "claude", "max_tokens": 3, "system": "judge", "messages": [{"role": "user", "content": "text"}], "stop_sequences": ["x"]})
    );
    let (path, _) = asked("/v1/messages/count_tokens?beta=true");
    assert_eq!(path.as_deref(), Some("/v1/messages?beta=true"));
    let (path, body) = asked("/v1/publishers/anthropic/models/c:streamRawPredict");
    assert_eq!(
        path.as_deref(),
        Some("/v1/publishers/anthropic/models/c:rawPredict")
    );
    assert_eq!(body.get("model"), None);
    let answer = br#"{"content":[{"type":"thinking","thinking":"t"},{"type":"text","text":"No"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":2}}"#;
    let answer = AnthropicMessages.answer(StatusCode::OK, answer).unwrap();
    assert_eq!(
        (answer.content.as_str(), answer.finish_reason.as_deref()),
        ("No", Some("stop"))
    );
    assert_eq!(answer.tokens, Some((1, 2)));
    assert!(AnthropicMessages.answer(StatusCode::OK, b"{}").is_err());
    assert!(
        AnthropicMessages
            .answer(StatusCode::TOO_MANY_REQUESTS, b"")
            .is_err()
    );
}

#[test]
fn a_body_of_the_format_is_known_by_its_shape() {
    let is = |body: &str| AnthropicMessages.looks_like_request(body.as_bytes());
    assert!(is(
        r#"{"system":"s","max_tokens":1,"messages":[{"role":"user","content":"x"}]}"#
    ));
    assert!(is(
        r#"{"messages":[{"role":"user","content":[{"type":"tool_result","content":"x"}]}]}"#
    ));
    assert!(!is(r#"{"messages":[{"role":"user","content":"x"}]}"#));
    assert!(!is(r#"{"orders":[]}"#));
}
