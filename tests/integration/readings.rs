//! Every reading of a reply that some client may take is judged; what no client takes for a reply is not refused for it.

use http::StatusCode;
use serde_json::{Value, json};
use tower_guardrails::GuardrailsLayer;

use crate::support::{
    CHAT, Exchange, Reply, STREAM, chat, chunks, delta_event, exchange, joined, rails, regex_layer,
    run,
};

const REQUEST: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;

fn secrets() -> GuardrailsLayer {
    regex_layer("forbidden", &["secret-[0-9]{4}"])
}

/// Masks of e-mail addresses and cards.
fn masking() -> GuardrailsLayer {
    GuardrailsLayer::new(rails(
        "
models: []
rails:
  config:
    sensitive_data_detection:
      output: {entities: [EMAIL_ADDRESS, CREDIT_CARD]}
  output:
    flows: [mask sensitive data on output]
    streaming: {enabled: true, chunk_size: 200, context_size: 0, stream_first: false}
",
    ))
}

/// A stream of these choices (each with index 0, if it has none), an event each.
fn choices(said: &[Value]) -> Vec<bytes::Bytes> {
    let mut frames: Vec<bytes::Bytes> = said
        .iter()
        .map(|choice| {
            let mut choice = choice.clone();
            choice["index"] = json!(0);
            let chunk = json!({"id": "c1", "object": "chat.completion.chunk", "choices": [choice]});
            format!("data: {chunk}\n\n").into()
        })
        .collect();
    let last = r#"{"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    frames.push(format!("data: {last}\n\n").into());
    frames.push("data: [DONE]\n\n".into());
    frames
}

fn stream(layer: &GuardrailsLayer, frames: Vec<bytes::Bytes>) -> Exchange {
    run(exchange(layer, chat(STREAM), &Reply::events(frames)))
}

fn is_stopped(exchange: &Exchange) -> bool {
    exchange.is_blocked()
        || exchange
            .verdict
            .as_ref()
            .is_some_and(|verdict| verdict.refused().is_some())
}

#[test]
fn a_text_beside_another_does_not_break_up_a_match() {
    let details = |texts: &[(&str, u64)]| {
        let details: Vec<Value> = texts
            .iter()
            .map(|(text, index)| json!({"type": "reasoning.text", "text": text, "index": index}))
            .collect();
        json!({"delta": {"content": "", "reasoning_details": details}})
    };
    let call = |piece: &str| json!({"delta": {"tool_calls": [{"index": 0, "arguments": "x", "function": {"arguments": piece}}]}});
    let thinking = |text: &str| json!({"delta": {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]}});
    let cases: Vec<Vec<Value>> = vec![
        vec![
            json!({"text": "x", "delta": {"content": "sec"}}),
            json!({"text": "x", "delta": {"content": "ret-1234"}}),
        ],
        vec![
            json!({"delta": {"content": "sec"}, "message": {"content": "x"}}),
            json!({"delta": {"content": "ret-1234"}, "message": {"content": "x"}}),
        ],
        vec![
            json!({"delta": {"content": "sec"}}),
            json!({"text": "x"}),
            json!({"delta": {"content": "ret-1234"}}),
        ],
        // A place that repeats the answer, until it does not.
        vec![
            json!({"text": "sec", "delta": {"content": "sec"}}),
            json!({"delta": {"content": "x"}}),
            json!({"text": "ret-1234", "delta": {"content": "ret-1234"}}),
        ],
        vec![
            json!({"delta": {"content": "sec"}, "message": {"content": "sec"}}),
            json!({"delta": {"content": "x"}, "message": {"content": "ret-1234"}}),
        ],
        vec![
            json!({"delta": {"content": [{"type": "text", "text": "sec", "value": "x"}]}}),
            json!({"delta": {"content": [{"type": "text", "text": "ret-1234", "value": "x"}]}}),
        ],
        vec![call("{\"a\": \"sec"), call("ret-1234\"}")],
        // A piece that equals the last one is a piece.
        vec![
            details(&[("code secret-", 0)]),
            details(&[("1", 0)]),
            details(&[("1", 0)]),
            details(&[("1", 0)]),
            details(&[("1", 0)]),
        ],
        vec![thinking("secret-"), thinking("22"), thinking("22")],
        // Clients put the elements of lists together by their index.
        vec![
            details(&[("sec", 0)]),
            details(&[("x", 1), ("ret-1234", 0)]),
        ],
        // Fields of an object that nobody knows.
        vec![
            json!({"delta": {"tool": {"code": "sec"}}}),
            json!({"delta": {"tool": {"code": "ret-1234"}}}),
        ],
        // JSON that the client parses.
        vec![json!({"delta": {"content": "{\"answer\": \"\\u0073ecret-1234\"}"}})],
        vec![
            json!({"delta": {"content": " [\"\\u00"}}),
            json!({"delta": {"content": "73ecret-1234\"]"}}),
        ],
    ];
    for said in cases {
        let exchange = stream(&secrets(), choices(&said));
        assert!(is_stopped(&exchange), "{said:?}\n{}", exchange.text());
        assert!(!exchange.text().contains("1234") || !exchange.text().contains("ret-"));
    }
}

#[test]
fn lines_that_lenient_clients_take_for_payloads_are_no_way_out() {
    let chunk = |text: &str| json!({"choices": [{"index": 0, "delta": {"content": text}}]});
    let (one, two) = (chunk("sec"), chunk("ret-1234"));
    let good = delta_event(0, &json!({"content": "good"}));
    let streams = [
        format!(" data: {one}\n\n data: {two}\n\n"),
        format!("\tdata: {one}\n\n\tdata: {two}\n\n"),
        format!("data: \r{one}\n\ndata: \r{two}\n\n"),
        format!(": a\u{2028}data: {one}\n\n: a\u{85}data: {two}\n\n"),
        format!(": a\u{b}data: {one}\n\nfoo: b\u{c}data: {two}\n\n"),
        format!(
            "data: {{\"a\":[\ndata: {one}\ndata: ]}}\n\ndata: {{\"b\":[\ndata: {two}\ndata: ]}}\n\n"
        ),
    ];
    for stream_of in streams {
        for cut in [1, 7, stream_of.len()] {
            let whole = format!("{good}{stream_of}data: [DONE]\n\n");
            let frames = whole
                .as_bytes()
                .chunks(cut)
                .map(bytes::Bytes::copy_from_slice)
                .collect();
            let exchange = stream(&secrets(), frames);
            assert!(is_stopped(&exchange), "{stream_of:?}\n{}", exchange.text());
            assert!(exchange.text().starts_with(&good));
        }
    }
    // Comments, and what is only text, are none.
    let harmless = format!(": data of ours\n\n: {{}}x\n\n{good}data: [DONE]\n\n");
    let exchange = stream(&secrets(), vec![harmless.clone().into()]);
    assert_eq!(exchange.text(), harmless);
}

#[test]
fn streams_under_another_label_are_streams() {
    let chunk = |text: &str| delta_event(0, &json!({"content": text}));
    let body = format!(
        "foo: bar\n{}{}data: [DONE]\n\n",
        chunk("sec"),
        chunk("ret-1234")
    );
    for label in [
        "application/json",
        "text/plain",
        "application/x-ndjson",
        "application/octet-stream",
    ] {
        let reply = Reply::of(label, vec![body.clone().into()]);
        let exchange = run(exchange(&secrets(), chat(STREAM), &reply));
        assert!(is_stopped(&exchange), "{label}: {}", exchange.text());
        assert!(!exchange.text().contains("ret-1234"), "{label}");
    }
    // Also where nobody asked for one.
    let reply = Reply::of("text/plain", vec![body.into()]);
    let exchange = run(exchange(&secrets(), chat(REQUEST), &reply));
    assert!(is_stopped(&exchange) && !exchange.text().contains("ret-1234"));
}

#[test]
fn what_stands_in_two_places_is_masked_in_both() {
    // Together's twin: the same piece in two places.
    let pieces = ["mail al", "ice@exam", "ple.com now", " and then"];
    let said: Vec<Value> = pieces
        .iter()
        .map(|piece| json!({"text": piece, "delta": {"content": piece}}))
        .collect();
    let twin = stream(&masking(), choices(&said));
    for place in ["/delta/content", "/text"] {
        let text = joined(&twin.body, 0, place);
        assert_eq!(text, "mail <EMAIL_ADDRESS> now and then", "{place}");
    }
    // Perplexity's: the piece, and all of it so far.
    let mut so_far = String::new();
    let said: Vec<Value> = pieces
        .iter()
        .map(|piece| {
            so_far.push_str(piece);
            json!({"delta": {"content": piece}, "message": {"role": "assistant", "content": so_far}})
        })
        .collect();
    let cumulative = stream(&masking(), choices(&said));
    assert_eq!(
        joined(&cumulative.body, 0, "/delta/content"),
        "mail <EMAIL_ADDRESS> now and then"
    );
    assert!(!cumulative.text().contains("example"));
    let said = chunks(&cumulative.body);
    let mut said = said.iter().rev();
    let last = said.find_map(|chunk| chunk["choices"][0]["message"]["content"].as_str());
    assert_eq!(last, Some("mail <EMAIL_ADDRESS> now and then"));
    // Whole.
    let body = json!({"choices": [{"index": 0, "text": "mail alice@example.com", "message": {"role": "assistant", "content": "mail alice@example.com"}, "finish_reason": "stop"}]});
    let whole = run(exchange(
        &masking(),
        chat(REQUEST),
        &Reply::json(body.to_string()),
    ));
    let choice = &whole.json()["choices"][0];
    assert_eq!(choice["text"], "mail <EMAIL_ADDRESS>");
    assert_eq!(choice["message"]["content"], "mail <EMAIL_ADDRESS>");
}

#[test]
fn parts_are_masked_each_and_joined() {
    let parts = |texts: &[&str]| {
        let parts: Vec<Value> = texts
            .iter()
            .map(|text| json!({"type": "text", "text": text}))
            .collect();
        let body = json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": parts}, "finish_reason": "stop"}]});
        let exchange = run(exchange(
            &masking(),
            chat(REQUEST),
            &Reply::json(body.to_string()),
        ));
        let parts = exchange.json()["choices"][0]["message"]["content"].clone();
        let parts = parts.as_array().cloned().unwrap_or_default();
        parts
            .iter()
            .map(|part| part["text"].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        parts(&["mail alice@example.com", "write soon"]),
        ["mail <EMAIL_ADDRESS>", "write soon"]
    );
    assert_eq!(
        parts(&["mail alice@exa", "mple.com soon"]).concat(),
        "mail <EMAIL_ADDRESS> soon"
    );
}

#[test]
fn masks_leave_json_json() {
    let card = "4111111111111111";
    let contents = [
        format!("{{\"card\": {card}, \"n\": 1}}"),
        format!("[{{\"card\": \"{card}\"}}]"),
    ];
    for content in &contents {
        let body = json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}]});
        let whole = run(exchange(
            &masking(),
            chat(REQUEST),
            &Reply::json(body.to_string()),
        ));
        let said = whole.json()["choices"][0]["message"]["content"].clone();
        let streamed = {
            let pieces: Vec<Value> = content
                .as_bytes()
                .chunks(3)
                .map(|piece| json!({"delta": {"content": String::from_utf8_lossy(piece)}}))
                .collect();
            let exchange = stream(&masking(), choices(&pieces));
            joined(&exchange.body, 0, "/delta/content")
        };
        for said in [said.as_str().unwrap_or_default(), &streamed] {
            assert!(serde_json::from_str::<Value>(said).is_ok(), "{said}");
            assert!(
                said.contains("<CREDIT_CARD>") && !said.contains(card),
                "{said}"
            );
        }
    }
    // Arguments that are an object.
    let body = json!({"choices": [{"index": 0, "message": {"role": "assistant", "tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "pay", "arguments": {"card": 4111111111111111_u64, "n": 1}}}]}, "finish_reason": "tool_calls"}]});
    let whole = run(exchange(
        &masking(),
        chat(REQUEST),
        &Reply::json(body.to_string()),
    ));
    let call = &whole.json()["choices"][0]["message"]["tool_calls"][0];
    let arguments = &call["function"]["arguments"];
    assert_eq!(*arguments, json!({"card": "<CREDIT_CARD>", "n": 1}));
}

#[test]
fn errors_of_the_upstream_keep_their_status_and_body() {
    let errors = [
        (
            403,
            r#"{"Message": "User is not authorized to perform this action"}"#,
        ),
        (
            429,
            r#"[{"error": {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED"}}]"#,
        ),
        (
            400,
            r#"{"error": {"message": "a", "message": "b"}, "Error": {"Code": "x"}}"#,
        ),
        (400, r#"{"error": {"message": "half \ud83d"}, "n": NaN}"#),
        (500, "{\"error\": {\"message\": \"cut off in the"),
        (502, "<html><body>Bad Gateway</body></html>"),
        (503, "[1, 2"),
    ];
    for (status, body) in errors {
        for request in [REQUEST, STREAM] {
            let mut reply = Reply::json(body);
            reply.status = StatusCode::from_u16(status).unwrap();
            let exchange = run(exchange(&secrets(), chat(request), &reply));
            assert_eq!(exchange.status.as_u16(), status, "{body}");
            assert_eq!(exchange.text(), body);
            // All of their strings are judged all the same.
            let leaking = body.replacen(['a', '1'], "secret-1234", 1);
            let mut reply = Reply::json(leaking.clone());
            reply.status = StatusCode::from_u16(status).unwrap();
            let exchange = run(crate::support::exchange(&secrets(), chat(request), &reply));
            assert!(!exchange.text().contains("secret-1234"), "{leaking}");
            assert_eq!(exchange.status.as_u16(), status, "{leaking}");
        }
    }
}

#[test]
fn only_what_can_be_read_as_a_reply_is_ambiguous() {
    let message = |message: Value| {
        json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).to_string()
    };
    let passes = [
        message(json!({"role": "assistant", "content": "a", "extension": {"Name": "b", "Content": "c"}})),
        message(json!({"role": "assistant", "tool_calls": [{"id": "x", "function": {"name": "f", "arguments": {"Text": "a", "Index": 1}}}]})),
        r#"{"choices":[{"index":0,"message":{"content":"a"},"finish_reason":"stop"}],"x":{"a":1,"a":2}}"#.to_owned(),
        r#"{"choices":[{"index":"0","message":{"content":"cut \ud83d"},"finish_reason":"length","logprobs":{"content":[{"token":"a","logprob":NaN}]}}]}"#.to_owned(),
        r#"{"result": "of another kind", "Message": "x"}"#.to_owned(),
    ];
    for body in passes {
        let exchange = run(exchange(
            &secrets(),
            chat(REQUEST),
            &Reply::json(body.clone()),
        ));
        assert_eq!(exchange.status, StatusCode::OK, "{body}");
        assert_eq!(exchange.text(), body);
    }
    let refused = [
        r#"{"choices":[{"index":0,"message":{"content":"a","Content":"b"}}]}"#,
        r#"{"choices":[{"index":0,"message":{"content":"a","content":"b"}}]}"#,
        r#"{"Choices":[{"index":0,"message":{"content":"a"}}]}"#,
        r#"[{"choices":[{"index":0,"message":{"content":"a"}}]}]"#,
    ];
    for body in refused {
        let exchange = run(exchange(&secrets(), chat(REQUEST), &Reply::json(body)));
        assert_eq!(exchange.status, StatusCode::BAD_GATEWAY, "{body}");
    }
}

#[test]
fn a_stream_with_half_pairs_and_empty_finishes_goes_on() {
    let events = [
        r#"{"choices":[{"index":0,"delta":{"content":"nice \ud83d"},"finish_reason":""}]}"#,
        r#"{"choices":[{"index":0.0,"delta":{"content":"\ude00 day"},"finish_reason":""}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        "[DONE]",
    ];
    let body: String = events
        .iter()
        .map(|event| format!("data: {event}\n\n"))
        .collect();
    let exchange = stream(&secrets(), vec![body.clone().into()]);
    assert_eq!(exchange.text(), body);
}

#[test]
fn parallel_calls_are_told_apart_by_their_ids() {
    for index in [json!(0), Value::Null] {
        let call = |id: &str, to: &str| {
            let mut call = json!({"id": id, "type": "function", "function": {"name": "mail", "arguments": json!({"to": to}).to_string()}});
            if !index.is_null() {
                call["index"] = index.clone();
            }
            json!({"delta": {"role": "assistant", "tool_calls": [call]}})
        };
        let said = [
            call("a1", "alice@example.com"),
            call("a2", "bob@example.com"),
        ];
        let exchange = stream(&masking(), choices(&said));
        let arguments: Vec<String> = chunks(&exchange.body)
            .iter()
            .filter_map(|chunk| {
                let call = chunk.pointer("/choices/0/delta/tool_calls/0/function/arguments")?;
                Some(call.as_str()?.to_owned())
            })
            .collect();
        let masked = json!({"to": "<EMAIL_ADDRESS>"});
        assert_eq!(arguments.len(), 2);
        for arguments in arguments {
            assert_eq!(serde_json::from_str::<Value>(&arguments).unwrap(), masked);
        }
    }
}

#[test]
fn the_head_of_a_reply_says_nothing_that_rails_catch() {
    let reply = Reply::json(r#"{"choices":[]}"#)
        .header("x-secret-1234", "1")
        .header("cache-control", "secret-1234")
        .header("x-good", "1");
    let exchange = run(exchange(&secrets(), chat(REQUEST), &reply));
    assert!(exchange.headers.get("x-secret-1234").is_none());
    assert!(exchange.headers.get("cache-control").is_none());
    assert!(exchange.headers.get("x-good").is_some());
    let reply = Reply::of(
        "application/json; x=secret-1234",
        vec![r#"{"choices":[]}"#.into()],
    );
    let typed = run(crate::support::exchange(&secrets(), chat(REQUEST), &reply));
    assert_eq!(typed.headers["content-type"], "application/json");
    let mut empty =
        Reply::of("text/plain", Vec::new()).header("location", "https://x/?q=secret-1234");
    empty.status = StatusCode::FOUND;
    let empty = run(crate::support::exchange(&secrets(), chat(REQUEST), &empty));
    assert!(empty.headers.get("location").is_none());
    let sound = json!({"choices": [{"index": 0, "message": {"audio": {"data": "secret-1234"}}, "finish_reason": "stop"}]});
    let sound = run(crate::support::exchange(
        &secrets(),
        chat(REQUEST),
        &Reply::json(sound.to_string()),
    ));
    assert!(!sound.text().contains("secret-1234"));
}

#[test]
fn a_character_that_is_cut_in_two_is_one() {
    let layer = || regex_layer("forbidden", &["stop 😀 now"]);
    let stream = |pieces: &[&str]| {
        let events = pieces.iter().map(|piece| {
            format!(r#"data: {{"choices":[{{"index":0,"delta":{{"content":"{piece}"}}}}]}}"#)
                + "\n\n"
        });
        let mut frames: Vec<bytes::Bytes> = events.map(Into::into).collect();
        frames.push("data: [DONE]\n\n".into());
        frames
    };
    let caught = stream(&["well, stop \\ud83d", "\\ude00 no", "w"]);
    let read = run(exchange(&layer(), chat(STREAM), &Reply::events(caught)));
    assert!(read.is_blocked(), "{}", read.text());
    // What is no match leaves as it came, half by half.
    let good = stream(&["nice \\ud83d", "\\ude00 day", " \\ude00\\ud83d"]);
    let body: Vec<u8> = good.concat();
    let read = run(exchange(&layer(), chat(STREAM), &Reply::events(good)));
    assert_eq!(read.body, body);
}

#[test]
fn what_was_blocked_is_not_fetched_later() {
    let stored = json!({"id": "chatcmpl-1", "object": "chat.completion", "choices": [{"index": 0, "message": {"role": "assistant", "content": "the code is secret-1234"}, "finish_reason": "stop"}]});
    let list = json!({"object": "list", "data": [stored]});
    let messages = json!({"object": "list", "data": [{"id": "x", "role": "assistant", "content": "secret-1234"}]});
    let get = |path: &str| {
        http::Request::get(path)
            .body(http_body_util::Empty::<bytes::Bytes>::new())
            .expect("a good request")
    };
    for (path, body) in [
        ("/v1/chat/completions/chatcmpl-1", &stored),
        ("/v1/chat/completions", &list),
        ("/v1/chat/completions/chatcmpl-1/messages", &messages),
        ("/v1/chat/deferred-completion/1", &stored),
        ("/api/paas/v4/async-result/1", &stored),
        ("/async/chat/completions/1", &stored),
    ] {
        let reply = Reply::json(body.to_string());
        let fetched = run(exchange(&secrets(), get(path), &reply));
        assert!(fetched.is_blocked(), "{path}: {}", fetched.text());
        assert!(!fetched.text().contains("secret-1234"), "{path}");
        let harmless = body.to_string().replace("secret-1234", "good");
        let fetched = run(exchange(
            &secrets(),
            get(path),
            &Reply::json(harmless.clone()),
        ));
        assert_eq!(fetched.text(), harmless, "{path}");
    }
    // A question about a path runs no model, and its answer is read all the same.
    let asks = || {
        http::Request::options(CHAT)
            .body(http_body_util::Empty::<bytes::Bytes>::new())
            .expect("a good request")
    };
    let fetched = run(exchange(
        &secrets(),
        asks(),
        &Reply::json(stored.to_string()),
    ));
    assert!(!fetched.text().contains("secret-1234"));
    let empty = Reply::of("text/plain", Vec::new()).header("allow", "POST, OPTIONS");
    let fetched = run(exchange(&secrets(), asks(), &empty));
    assert_eq!(fetched.headers["allow"], "POST, OPTIONS");
    // An update answers with the reply; what goes in is the application's own.
    let update = crate::support::post("/v1/chat/completions/c", r#"{"metadata":{"a":"b"}}"#);
    let updated = run(exchange(
        &secrets(),
        update,
        &Reply::json(stored.to_string()),
    ));
    assert!(updated.is_blocked() && !updated.text().contains("secret-1234"));
    assert_eq!(updated.seen[0].body, r#"{"metadata":{"a":"b"}}"#);
    // Chat is read as chat, wherever it goes.
    let chat = r#"{"messages":[{"role":"user","content":"forbidden"}]}"#;
    let sneaked = crate::support::post("/v1/chat/completions/c", chat);
    let sneaked = run(exchange(&secrets(), sneaked, &Reply::json("{}")));
    assert!(sneaked.seen.is_empty());
}
