use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};

use super::{
    calls,
    reply::{self, Body, Place, Site, Whole},
};
use crate::{
    framing::Record,
    message::Role,
    wire::{
        Channel, ChatRequest, Claim, Endpoint, HoldsJson, JsonLimits, NormalPath, OpenAiChat,
        Patch, RecordKind, Relation, ReplyTexts, RequestFacts, RequestHead, TextClass, TextKind,
        Unreadable, WireFormat, classify, formats, patch,
    },
};

fn read_request(body: &[u8]) -> Result<ChatRequest<'_>, Unreadable> {
    let head = RequestHead {
        method: &Method::POST,
        uri: &Uri::from_static("/v1/chat/completions"),
        headers: &HeaderMap::new(),
    };
    OpenAiChat.read_request(&head, body, &JsonLimits::default())
}

fn record(data: &str) -> Record {
    Record {
        data: Some(Bytes::copy_from_slice(data.as_bytes())),
        ..Record::default()
    }
}

fn request_texts(body: &str) -> Vec<(TextKind, String)> {
    let request = read_request(body.as_bytes()).unwrap_or_else(|error| panic!("{error}: {body}"));
    let texts = request.messages.iter().flat_map(|message| &message.texts);
    let texts = texts.chain(&request.other_texts);
    texts
        .map(|text| (text.kind, text.text.clone().into_owned()))
        .collect()
}

fn refused(body: &str) -> Option<&'static str> {
    let read = read_request(body.as_bytes());
    read.err().map(|error| error.code)
}

fn user(content: &str) -> String {
    format!(r#"{{"messages":[{{"role":"user","content":{content}}}]}}"#)
}

#[test]
fn the_usual_request_is_read() {
    let body = r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"n":2,
        "messages":[{"role":"system","content":"s"},{"role":"User","content":"h\u0069"}],"tools":[{"type":"x"}]}"#;
    let request = read_request(body.as_bytes()).unwrap();
    let facts = RequestFacts {
        model: Some("m".into()),
        stream: true,
        include_usage: true,
        choices: Some(2),
        ..RequestFacts::default()
    };
    assert_eq!(request.facts(), facts);
    let [system, user] = request.messages.as_slice() else {
        panic!("{request:?}");
    };
    assert_eq!(
        (&system.role, system.content().as_ref()),
        (&Role::System, "s")
    );
    assert_eq!(
        (&user.role, user.content().as_ref()),
        (&Role::Other("User".into()), "hi")
    );
    assert_eq!(&body[user.texts[0].span.clone()], r#""h\u0069""#);
    assert!(request.other_texts.is_empty());
}

#[test]
fn every_string_of_a_content_is_read() {
    let cases = [
        (r#""SECRET""#, TextKind::Content),
        (r#"["SECRET"]"#, TextKind::Content),
        (r#"[{"text":"SECRET"}]"#, TextKind::Content),
        (r#"{"text":"SECRET"}"#, TextKind::Content),
        (
            r#"[{"type":"text","text":{"value":"SECRET"}}]"#,
            TextKind::PartText,
        ),
        (
            r#"[{"type":"input_text","text":"SECRET"}]"#,
            TextKind::Content,
        ),
        (
            r#"[{"type":"refusal","refusal":"SECRET"}]"#,
            TextKind::Refusal,
        ),
        (r#"[{"type":"SECRET"}]"#, TextKind::Other),
        (
            r#"[{"type":"odd","deep":[[{"x":"SECRET"}]]}]"#,
            TextKind::Other,
        ),
        (r#"[{"type":"odd","SECRET":1}]"#, TextKind::Key),
        (
            r#"[{"type":"image_url","image_url":{"url":"https://x/SECRET"}}]"#,
            TextKind::Id,
        ),
        (
            r#"[{"type":"file","file":{"filename":"SECRET","file_data":"AAEC"}}]"#,
            TextKind::Other,
        ),
        (
            r#"[{"type":"file","file":{"file_data":"U0VDUkVU"}}]"#,
            TextKind::File,
        ),
        (
            r#"[{"type":"file","file":{"file_data":"data:text/plain;base64,U0VDUkVU"}}]"#,
            TextKind::File,
        ),
        (
            r#"[{"type":"image_url","image_url":{"url":"data:image/png;base64,U0VDUkVU"}}]"#,
            TextKind::File,
        ),
        (
            r#"[{"type":"document","source":{"type":"text","data":"SECRET"}}]"#,
            TextKind::Other,
        ),
    ];
    for (content, kind) in cases {
        let texts = request_texts(&user(content));
        let found = texts.iter().find(|(_, text)| text.contains("SECRET"));
        assert_eq!(
            found.map(|(kind, _)| *kind),
            Some(kind),
            "{content}: {texts:?}"
        );
    }
}

#[test]
fn an_image_says_nothing() {
    let content = r#"[{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo=","detail":"low"}}]"#;
    assert_eq!(request_texts(&user(content)), []);
}

#[test]
fn names_tool_results_and_calls_are_read() {
    let body = r#"{"messages":[{"role":"user","name":"N","content":null},
        {"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"F","arguments":"{\"a\":\"\\u0041B\"}"}}],
         "function_call":{"name":"G","arguments":"h"},"reasoning_content":"R","odd":"O"},
        {"role":"tool","tool_call_id":"c","content":"T"}],"documents":[{"text":"D"}]}"#;
    let expected = [
        (TextKind::Name, "N"),
        (TextKind::Id, "c"),
        (TextKind::ToolName, "F"),
        (TextKind::ToolArguments, r#"{"a":"\u0041B"}"#),
        (TextKind::Nested, "AB"),
        (TextKind::ToolName, "G"),
        (TextKind::ToolArguments, "h"),
        (TextKind::Reasoning, "R"),
        (TextKind::Key, "odd"),
        (TextKind::Other, "O"),
        (TextKind::Id, "c"),
        (TextKind::Content, "T"),
        (TextKind::Other, "D"),
    ];
    let expected: Vec<_> = expected.map(|(kind, text)| (kind, text.to_owned())).into();
    assert_eq!(request_texts(body), expected);
    let request = read_request(body.as_bytes()).unwrap();
    let message = request.messages[1].to_message();
    assert_eq!(
        message.tool_calls[0].arguments,
        serde_json::json!({"a": "AB"})
    );
    assert_eq!(message.tool_calls[1].name, "G");
}

#[test]
fn what_could_be_read_in_another_way_is_refused() {
    let message = r#"{"role":"user","content":"a"}"#;
    let cases = [
        (
            r#"{"messages":[],"messages":[]}"#.to_owned(),
            "duplicate_key",
        ),
        (
            r#"{"messages":[],"m\u0065ssages":[]}"#.to_owned(),
            "duplicate_key",
        ),
        (
            r#"{"messages":[{"role":"user","content":"a","content":"b"}]}"#.to_owned(),
            "duplicate_key",
        ),
        (
            r#"{"messages":[],"tools":[{"function":{"name":"a","name":"b"}}]}"#.to_owned(),
            "duplicate_key",
        ),
        (
            format!(r#"{{"messages":[{message}],"Messages":[]}}"#),
            "ambiguous_key",
        ),
        (
            format!(r#"{{"messages":[{message}],"me\u017f\u017fages":[]}}"#),
            "ambiguous_key",
        ),
        (
            r#"{"messages":[{"role":"user","Content":"a"}]}"#.to_owned(),
            "ambiguous_key",
        ),
        (user(r#"[{"type":"text","TEXT":"a"}]"#), "ambiguous_key"),
        (
            r#"{"messages":[{"content":"a"}]}"#.to_owned(),
            "invalid_request",
        ),
        (
            r#"{"messages":[{"role":1,"content":"a"}]}"#.to_owned(),
            "invalid_request",
        ),
        (r#"{"messages":["a"]}"#.to_owned(), "invalid_request"),
        (
            r#"{"messages":{"role":"user"}}"#.to_owned(),
            "invalid_request",
        ),
        (r#"{"input":"a"}"#.to_owned(), "invalid_request"),
        (r#"[]"#.to_owned(), "invalid_request"),
        (user("7"), "invalid_request"),
        (user("[7]"), "invalid_request"),
        (format!("{{\"messages\":[{message}],}}"), "invalid_json"),
        (
            format!("\u{feff}{{\"messages\":[{message}]}}"),
            "unsupported_encoding",
        ),
        (user(&("[".repeat(200) + &"]".repeat(200))), "json_too_deep"),
    ];
    for (body, code) in cases {
        assert_eq!(refused(&body), Some(code), "{body}");
    }
}

#[test]
fn a_request_is_known_by_its_shape() {
    let message = r#"{"role":"user","content":"a"}"#;
    let utf16: Vec<u8> = user("\"a\"")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let yes: Vec<Vec<u8>> = vec![
        user("\"a\"").into(),
        format!(r#"{{"M\u0065SSAGES":[{message}]}}"#).into(),
        format!(r#"{{"me\u017f\u017fages":[{message}]}}"#).into(),
        format!(r#"{{"messages":1,"messages":[{message}]}}"#).into(),
        format!("\u{feff}{{\"messages\":[{message}]}}").into(),
        format!("{{\"messages\":[{message}],}}").into(),
        format!("{{/**/\"mess\\u0061ges\":[{message}]}}").into(),
        utf16,
    ];
    for body in yes {
        assert!(
            OpenAiChat.looks_like_request(&body),
            "{}",
            String::from_utf8_lossy(&body)
        );
    }
    for body in [
        r#"{"input":"messages"}"#,
        r#"{"messages":["a"]}"#,
        r#"{"messages":3}"#,
        r#"{"messages":[{"title":"x"}]}"#,
        "messages: content",
        "",
    ] {
        assert!(!OpenAiChat.looks_like_request(body.as_bytes()), "{body}");
    }
}

fn event(data: &str) -> ReplyTexts<'_> {
    let mut texts = ReplyTexts::default();
    reply::read(
        data.as_bytes(),
        &JsonLimits::default(),
        Whole::Record,
        &mut calls::CallNumbers::default(),
        &mut texts,
    )
    .unwrap_or_else(|error| panic!("{error}: {data}"));
    texts
}

/// The channel of a place in choice 0, where no key is repeated.
fn channel(place: Place) -> Channel {
    Channel::new(Some(0), &(&place, Vec::<usize>::new()))
}

fn delta(delta: &str) -> String {
    format!(
        r#"{{"id":"i","object":"chat.completion.chunk","created":7,"model":"m","choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#
    )
}

#[test]
fn the_usual_event_is_read() {
    let data = delta(r#"{"role":"assistant","content":"a"}"#);
    let event = event(&data);
    assert_eq!(event.kind, RecordKind::Data);
    assert_eq!(event.choices.len(), 1);
    assert!(!event.choices[0].finish && !event.ambiguous);
    let joined: Vec<_> = event
        .texts
        .iter()
        .filter(|text| text.relation == Relation::Appends)
        .collect();
    assert_eq!(joined.len(), 1);
    assert_eq!(joined[0].channel, channel(Place::Content(Site::Delta)));
    assert_eq!(&data[joined[0].span.clone()], "\"a\"");
    // The id and the model.
    assert_eq!(event.texts.len(), 3);
}

#[test]
fn every_text_of_a_delta_has_its_channel() {
    let answer = TextClass::ANSWER;
    let content = Place::Content(Site::Delta);
    let cases = [
        (r#"{"content":"\u0053ECRET"}"#, content, answer),
        (r#"{"c\u006fntent":"SECRET"}"#, content, answer),
        (r#"{"content":["SECRET"]}"#, content, answer),
        (
            r#"{"content":[{"type":"text","text":"SECRET"}]}"#,
            content,
            answer,
        ),
        (
            r#"{"content":[{"type":"text","value":"SECRET"}]}"#,
            Place::PartValue(Site::Delta),
            answer,
        ),
        (
            r#"{"refusal":"SECRET"}"#,
            Place::Refusal(Site::Delta),
            answer,
        ),
        (
            r#"{"reasoning_content":"SECRET"}"#,
            Place::Reasoning(Site::Delta, 17),
            answer,
        ),
        (
            r#"{"reasoning":"SECRET"}"#,
            Place::Reasoning(Site::Delta, 9),
            answer,
        ),
        (
            r#"{"tool_calls":[{"index":3,"function":{"name":"SECRET"}}]}"#,
            Place::CallName(Site::Delta, 3, Body::Function),
            TextClass::CALL_NAME,
        ),
        (
            r#"{"tool_calls":[{"index":3,"function":{"arguments":"SECRET"}}]}"#,
            Place::CallArguments(Site::Delta, 3, Body::Function),
            TextClass::ARGUMENTS,
        ),
        (
            r#"{"tool_calls":[{"index":1,"custom":{"input":"SECRET"}}]}"#,
            Place::CallArguments(Site::Delta, 1, Body::Custom),
            TextClass::ARGUMENTS,
        ),
        (
            r#"{"function_call":{"name":"SECRET"}}"#,
            Place::CallName(Site::Delta, calls::FUNCTION, Body::Call),
            TextClass::CALL_NAME,
        ),
        (
            r#"{"function_call":{"arguments":"SECRET"}}"#,
            Place::CallArguments(Site::Delta, calls::FUNCTION, Body::Call),
            TextClass::ARGUMENTS,
        ),
        (
            r#"{"audio":{"transcript":"SECRET"}}"#,
            Place::Transcript(Site::Delta),
            answer,
        ),
    ];
    for (json, place, class) in cases {
        let data = delta(json);
        let event = event(&data);
        let text = event
            .texts
            .iter()
            .find(|text| text.text == "SECRET")
            .unwrap();
        assert_eq!(
            (text.channel, text.relation, text.class),
            (channel(place), Relation::Appends, class),
            "{json}"
        );
    }
}

#[test]
fn every_place_that_a_client_reads_alone_has_a_channel_of_its_own() {
    let data =
        r#"{"choices":[{"index":0,"text":"a","delta":{"content":"a"},"message":{"content":"a"}}]}"#;
    let event = event(data);
    let mut channels: Vec<_> = event.texts.iter().map(|text| text.channel.id).collect();
    channels.sort_unstable();
    channels.dedup();
    assert_eq!(channels.len(), 3);
}

#[test]
fn strings_that_no_rule_is_about_are_read() {
    let whole = |body: &str| delta("{}").replace("\"created\":7", body);
    let cases = [
        (delta(r#"{"odd":"SECRET"}"#), true),
        (delta(r#"{"odd":{"deep":[1,"SECRET"]}}"#), true),
        (
            delta(r#"{"annotations":[{"url_citation":{"title":"SECRET"}}]}"#),
            true,
        ),
        (delta(r#"{"SECRET":1}"#), false),
        (delta(r#"{"role":"SECRET"}"#), false),
        (
            delta(r#"{"tool_calls":[{"index":0,"id":"SECRET"}]}"#),
            false,
        ),
        (whole(r#""created":"SECRET""#), false),
        (whole(r#""system_fingerprint":"SECRET""#), false),
        (whole(r#""usage":{"x":"SECRET"}"#), true),
        (whole(r#""SECRET":[]"#), false),
        (r#"{"error":{"message":"SECRET"}}"#.to_owned(), true),
        (r#"["SECRET"]"#.to_owned(), true),
        (r#""SECRET""#.to_owned(), true),
        (r#"{"choices":"SECRET"}"#.to_owned(), true),
        (r#"{"choices":["SECRET"]}"#.to_owned(), true),
        (r#"{"choices":[{"delta":"SECRET"}]}"#.to_owned(), true),
        (
            r#"{"choices":[{"delta":{"content":{"a":"SECRET"}}}]}"#.to_owned(),
            true,
        ),
        (
            r#"{"choices":[{"finish_reason":"SECRET"}]}"#.to_owned(),
            false,
        ),
    ];
    for (data, joins) in cases {
        let event = event(&data);
        let text = event.texts.iter().find(|text| text.text == "SECRET");
        let relation = match joins {
            true => Relation::Appends,
            false => Relation::Alone,
        };
        assert_eq!(text.map(|text| text.relation), Some(relation), "{data}");
    }
}

#[test]
fn of_a_repeated_key_all_values_are_read() {
    let data = delta(r#"{"content":"a","content":"b","content":"c"}"#);
    let event = event(&data);
    assert!(event.ambiguous);
    let texts: Vec<_> = event
        .texts
        .iter()
        .filter(|text| text.relation == Relation::Appends)
        .collect();
    assert_eq!(
        texts
            .iter()
            .map(|text| text.text.as_ref())
            .collect::<String>(),
        "abc"
    );
    assert_eq!(texts[2].channel, channel(Place::Content(Site::Delta)));
    assert_ne!(texts[0].channel, texts[1].channel);
    assert_ne!(texts[1].channel, texts[2].channel);
    for json in [r#"{"Content":"a"}"#, r#"{"\u0043ontent":"a"}"#] {
        assert!(self::event(&delta(json)).ambiguous, "{json}");
    }
    assert!(!self::event(&delta(r#"{"content":"Content"}"#)).ambiguous);
    let data = r#"{"choices":[{"index":0,"index":1,"delta":{"content":"a"}}]}"#;
    let mut texts = ReplyTexts::default();
    let limits = JsonLimits::default();
    assert!(
        reply::read(
            data.as_bytes(),
            &limits,
            Whole::Record,
            &mut calls::CallNumbers::default(),
            &mut texts
        )
        .is_err()
    );
}

#[test]
fn log_probabilities_are_joined_by_rank() {
    let token = |token: &str| {
        let bytes: Vec<u8> = token.bytes().collect();
        format!(r#""token":"{token}","logprob":-1,"bytes":{bytes:?}"#)
    };
    let data = format!(
        r#"{{"choices":[{{"index":0,"logprobs":{{"content":[{{{},"top_logprobs":[{{{}}},{{{}}}]}},{{{}}}]}}}}]}}"#,
        token("SE"),
        token("SE"),
        token("x"),
        token("CRET")
    );
    let event = event(&data);
    let place = |list, rank| {
        Channel::new(
            Some(0),
            &((&Place::Tokens(0), list, rank), [0_usize; 0].as_slice()),
        )
    };
    let of = |list: &'static str, rank: usize| {
        let texts = event.texts.iter();
        let texts = texts.filter(|text| text.channel == place(list, rank));
        texts.map(|text| text.text.as_ref()).collect::<String>()
    };
    assert_eq!(of("token", 0), "SECRET");
    assert_eq!(of("token", 1), "SE");
    assert_eq!(of("token", 2), "x");
    assert_eq!(of("bytes", 0), "SECRET");
    assert_eq!(of("bytes", 2), "x");
    let content = channel(Place::Content(Site::Delta));
    for text in &event.texts {
        assert_eq!(text.relation, Relation::Repeats(content));
        assert!(!text.class.asked && text.class.json == HoldsJson::No);
        let is_bytes = (0..3).any(|rank| place("bytes", rank) == text.channel);
        let patch = if is_bytes { Patch::Null } else { Patch::Text };
        assert_eq!(text.class.patch, patch);
    }
}

#[test]
fn the_end_of_a_stream_and_errors_are_told_apart() {
    let kind = |data: &str| {
        let mut texts = ReplyTexts::default();
        let record = record(data);
        let mut stream = OpenAiChat.stream(&RequestFacts::default());
        let read = stream.read(&record, &JsonLimits::default(), &mut texts);
        read.ok().map(|()| texts.kind)
    };
    assert_eq!(kind(" [DONE] "), Some(RecordKind::Done));
    assert_eq!(
        kind(r#"{"error":{"message":"x"}}"#),
        Some(RecordKind::Error)
    );
    assert_eq!(kind(r#"{"error":null}"#), Some(RecordKind::Data));
    assert_eq!(kind("\u{feff}{}"), Some(RecordKind::Data));
    assert_eq!(kind("[DONE] x"), None);
}

#[test]
fn what_refuses_a_reply_reads_as_a_refusal() {
    let facts = RequestFacts {
        choices: Some(2),
        model: Some("m\"".into()),
        ..RequestFacts::default()
    };
    let body = OpenAiChat.refuse_reply(&facts, "no\n");
    let reply = OpenAiChat
        .read_reply(&body, &JsonLimits::default())
        .unwrap();
    assert_eq!(reply.choices.len(), 2);
    assert!(reply.choices.iter().all(|choice| choice.finish));
    let said = reply.texts.iter().filter(|text| text.text == "no\n");
    assert_eq!(said.count(), 2);
    let edits = OpenAiChat.refuse_choice(&body, &reply.choices[1], "never");
    let refused: serde_json::Value = serde_json::from_slice(&patch(&body, &edits)).unwrap();
    assert_eq!(refused["model"], "m\"");
    let choices = &refused["choices"];
    assert_eq!(choices[0]["message"]["content"], "no\n");
    assert_eq!(choices[1]["message"]["content"], "never");
    assert_eq!(choices[1]["finish_reason"], "content_filter");
    let error = OpenAiChat.error_body(StatusCode::PAYLOAD_TOO_LARGE, "c", "m");
    let error: serde_json::Value = serde_json::from_slice(&error).unwrap();
    let expected = serde_json::json!({"message": "m", "type": "invalid_request_error", "param": null, "code": "c"});
    assert_eq!(error["error"], expected);
}

#[test]
fn a_refusal_in_a_stream_goes_on_from_what_has_left() {
    let facts = RequestFacts {
        include_usage: true,
        ..RequestFacts::default()
    };
    let json = |data: &[u8]| serde_json::from_slice::<serde_json::Value>(data).unwrap();
    for has_left in [false, true] {
        let mut stream = OpenAiChat.stream(&facts);
        let data = delta(r#"{"content":"a"}"#);
        stream
            .read(
                &record(&data),
                &JsonLimits::default(),
                &mut ReplyTexts::default(),
            )
            .unwrap();
        if has_left {
            stream.released(&record(&data), &[0]);
        }
        let mut records = Vec::new();
        stream.refuse_choice(0, "no", &mut records);
        stream.end(&mut records);
        let [first, last, rest @ .., done] = records.as_slice() else {
            panic!("{records:?}");
        };
        let (first, last) = (json(&first.data), json(&last.data));
        let begin = &first["choices"][0]["delta"];
        assert_eq!(begin["content"], "no");
        assert_eq!(begin["role"] == "assistant", !has_left);
        assert_eq!(first["id"] == "i", has_left);
        assert_eq!(last["choices"][0]["finish_reason"], "content_filter");
        assert_eq!(done.data, "[DONE]");
        // The report of the service, if it comes, comes after the refusal and is not sent on.
        assert_eq!(rest.len(), usize::from(!has_left));
    }
}

#[test]
fn odd_paths_lead_to_the_same_place() {
    for path in [
        "/v1/chat/completions",
        "/v1//chat/completions",
        "/v1/./chat/x/../completions/",
        "/v1/%63hat/completions",
        "/v1/%2563hat/completions",
        "/v1/chat%2Fcompletions",
        "/v1/chat\\completions",
        "/v1/chat%5ccompletions",
        "/v1;a=b/chat;/completions;x",
        "/v1/chat/completions%00",
        "/v1/chat/completions%20",
        "/V1/Chat/Completions",
        "/v1/chat/completions%3fx",
        "/openai/deployments/m/chat/completions",
        "/openai/deployments/m/chat/completions?api-version=1",
        "http://host/v1/chat/completions",
        "/x/..;/v1/chat/completions",
    ] {
        let formats = formats();
        let endpoint = classify(&NormalPath::new(path), &formats);
        assert!(
            matches!(endpoint, Endpoint::Chat(_)),
            "{path}: {endpoint:?}"
        );
    }
}

#[test]
fn stored_replies_are_claimed() {
    for path in [
        "/v1/chat/completions/chatcmpl-1",
        "/openai/v1/chat/completions/c/messages",
        "/v1/chat/deferred-completion/id",
        "/api/paas/v4/async-result/id",
        "/async/chat/completions/id",
    ] {
        let claim = OpenAiChat.claims(&NormalPath::new(path));
        assert_eq!(claim, Claim::Stored, "{path}");
    }
    for path in [
        "/v1/chat/completions/batches",
        "/v1/chat",
        "/v1/completions/x",
        "/messages",
    ] {
        let claim = OpenAiChat.claims(&NormalPath::new(path));
        assert_eq!(claim, Claim::No, "{path}");
    }
}

#[test]
fn paths_are_told_apart() {
    let unread = [
        "/v1/realtime",
        "/v1/batches",
        "/model/m/converse",
        "/model/m/invoke",
        "/v1/threads/t/runs",
        "/v1/projects/p/models/m:rawPredict",
        "/v1/messages/batches",
    ];
    for path in unread {
        assert!(
            matches!(
                classify(&NormalPath::new(path), &formats()),
                Endpoint::Unread { .. }
            ),
            "{path}"
        );
    }
    for path in ["/v1/models", "/v1/embeddings", "/v1/audio/speech"] {
        assert!(
            matches!(
                classify(&NormalPath::new(path), &formats()),
                Endpoint::Plain
            ),
            "{path}"
        );
    }
    for path in [
        "/v1/other",
        "/messages",
        "/notes/chat/completions-of-mine",
        "/xchat/completions.json",
    ] {
        assert!(
            matches!(
                classify(&NormalPath::new(path), &formats()),
                Endpoint::Unknown
            ),
            "{path}"
        );
    }
}
