use serde_json::{Value, json};

use super::{Format, Place, lines, name, stream, text, unread, with, word};

pub(super) fn chat() -> Format {
    Format {
        name: "ollama chat",
        path: "/api/chat",
        stream_path: "/api/chat",
        content_type: "application/x-ndjson",
        ask: |stream| json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "hi"}]}),
        write: lines,
        requests: requests(),
        replies: replies(),
        records: records(),
    }
}

pub(super) fn generate() -> Format {
    let top = |more: Value| {
        with(
            json!({"model": "m", "prompt": "hi", "stream": false}),
            &more,
        )
    };
    let answered = |more: Value| {
        with(
            json!({"model": "m", "created_at": "2026-12-01T00:00:00Z", "response": "so", "done": true, "done_reason": "stop"}),
            &more,
        )
    };
    let ended = |one: Value, two: Value| {
        let open = json!({"response": "", "done": false, "done_reason": null});
        let record = |more: &Value| answered(with(open.clone(), more));
        stream(&[
            record(&one),
            record(&two),
            answered(json!({"response": ""})),
        ])
    };
    Format {
        name: "ollama generate",
        path: "/api/generate",
        stream_path: "/api/generate",
        ask: |stream| json!({"model": "m", "stream": stream, "prompt": "hi"}),
        requests: vec![
            text("prompt", top(json!({"prompt": "MARK"}))),
            text("suffix", top(json!({"suffix": "MARK"}))),
            text("template", top(json!({"template": "MARK"}))),
            text("an unknown key", top(json!({"notes": {"a": "MARK"}}))),
            unread("system", top(json!({"system": "MARK"}))),
            unread("format", top(json!({"format": {"description": "MARK"}}))),
        ],
        replies: vec![
            text("response", answered(json!({"response": "MARK"}))),
            text("thinking", answered(json!({"thinking": "MARK"}))),
            word(
                "a token",
                answered(json!({"logprobs": [{"token": "MARK", "logprob": -1.0}]})),
            ),
            text("an error", json!({"error": "MARK"})),
            text("a `done` that is text", answered(json!({"done": "MARK"}))),
            text(
                "a context of text",
                answered(json!({"context": [1, "MARK"]})),
            ),
            // Tokens of the conversation, which go where its text is changed.
            text(
                "a context",
                answered(json!({"response": "MARK", "context": [1, 2, 3]})),
            ),
        ],
        records: vec![
            text(
                "response",
                ended(json!({"response": "MAR1"}), json!({"response": "MAR2"})),
            ),
            text(
                "thinking",
                ended(json!({"thinking": "MAR1"}), json!({"thinking": "MAR2"})),
            ),
            text("an error", stream(&[json!({"error": "MARK"})])),
        ],
        ..chat()
    }
}

fn requests() -> Vec<Place> {
    let request = |message: Value| json!({"model": "m", "stream": false, "messages": [message]});
    let last = |more: Value| request(with(json!({"role": "assistant", "content": "so"}), &more));
    let top = |more: Value| with(request(json!({"role": "user", "content": "hi"})), &more);
    vec![
        text(
            "content",
            request(json!({"role": "user", "content": "MARK"})),
        ),
        text("a prefill", last(json!({"content": "MARK"}))),
        text("thinking", last(json!({"thinking": "MARK"}))),
        text(
            "a call's arguments",
            last(
                json!({"tool_calls": [{"function": {"name": "f", "arguments": {"a": ["MARK"]}}}]}),
            ),
        ),
        text(
            "a call's arguments as a string",
            last(
                json!({"tool_calls": [{"function": {"name": "f", "arguments": "{\"a\":\"MARK\"}"}}]}),
            ),
        ),
        name(
            "a call's name",
            last(json!({"tool_calls": [{"function": {"name": "MARK", "arguments": {}}}]})),
        ),
        text(
            "a result",
            request(json!({"role": "tool", "tool_name": "f", "content": "MARK"})),
        ),
        name(
            "a result's tool",
            request(json!({"role": "tool", "tool_name": "MARK", "content": "x"})),
        ),
        text(
            "an unknown key of a message",
            request(json!({"role": "user", "content": "hi", "notes": "MARK"})),
        ),
        text("an unknown key", top(json!({"notes": "MARK"}))),
        unread(
            "tools",
            top(
                json!({"tools": [{"type": "function", "function": {"name": "f", "description": "MARK"}}]}),
            ),
        ),
        unread("format", top(json!({"format": {"description": "MARK"}}))),
    ]
}

fn reply(message: &Value, more: &Value) -> Value {
    let message = with(json!({"role": "assistant", "content": "so"}), message);
    with(
        json!({"model": "m", "created_at": "2026-12-01T00:00:00Z", "message": message, "done": true, "done_reason": "stop"}),
        more,
    )
}

fn replies() -> Vec<Place> {
    let nothing = json!({});
    let said = |message: Value| reply(&message, &json!({}));
    vec![
        text("content", said(json!({"content": "MARK"}))),
        text("thinking", said(json!({"thinking": "MARK"}))),
        text(
            "a call's arguments",
            said(
                json!({"tool_calls": [{"function": {"name": "f", "arguments": {"a": ["MARK"]}}}]}),
            ),
        ),
        word(
            "a call's name",
            said(json!({"tool_calls": [{"function": {"name": "MARK", "arguments": {}}}]})),
        ),
        word(
            "a token",
            reply(
                &nothing,
                &json!({"logprobs": [{"token": "MARK", "logprob": -1.0}]}),
            ),
        ),
        word(
            "another token",
            reply(
                &nothing,
                &json!({"logprobs": [{"token": "so", "top_logprobs": [{"token": "MARK"}]}]}),
            ),
        ),
        text("an unknown key", reply(&nothing, &json!({"notes": "MARK"}))),
        word("the model", reply(&nothing, &json!({"model": "MARK"}))),
        text("an error", json!({"error": "MARK"})),
    ]
}

fn records() -> Vec<Place> {
    let pieces = |one: Value, two: Value| {
        let open = json!({"done": false, "done_reason": null});
        let record = |message: &Value| reply(&with(json!({"content": ""}), message), &open);
        stream(&[
            record(&one),
            record(&two),
            reply(&json!({"content": ""}), &json!({})),
        ])
    };
    vec![
        text(
            "content",
            pieces(json!({"content": "MAR1"}), json!({"content": "MAR2"})),
        ),
        text(
            "thinking",
            pieces(json!({"thinking": "MAR1"}), json!({"thinking": "MAR2"})),
        ),
        text(
            "a call's arguments",
            pieces(
                json!({"tool_calls": [{"function": {"name": "f", "arguments": {"a": "MARK"}}}]}),
                json!({}),
            ),
        ),
        text(
            "an unknown key",
            pieces(json!({"notes": "MAR1"}), json!({"notes": "MAR2"})),
        ),
        text("an error", stream(&[json!({"error": "MARK"})])),
    ]
}
