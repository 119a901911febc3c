use serde_json::{Value, json};

use super::{Format, Place, events, name, stream, text, unread, with, word};

pub(super) fn format() -> Format {
    Format {
        name: "openai_chat",
        path: "/v1/chat/completions",
        stream_path: "/v1/chat/completions",
        content_type: "text/event-stream",
        ask: |stream| json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "hi"}]}),
        write: events,
        requests: requests(),
        replies: replies(),
        records: records(),
    }
}

fn request(message: Value) -> Value {
    json!({"model": "m", "messages": [message]})
}

fn user(content: Value) -> Value {
    request(json!({"role": "user", "content": content}))
}

fn last(more: &Value) -> Value {
    request(with(json!({"role": "assistant", "content": "so"}), more))
}

fn top(more: &Value) -> Value {
    with(user(json!("hi")), more)
}

fn requests() -> Vec<Place> {
    let function = json!({"name": "f", "arguments": "{\"a\":\"MARK\"}"});
    let named = json!({"name": "MARK", "arguments": "{}"});
    vec![
        text("content", user(json!("MARK"))),
        text(
            "a text part",
            user(json!([{"type": "text", "text": "MARK"}])),
        ),
        text(
            "a refusal part",
            request(
                json!({"role": "assistant", "content": [{"type": "refusal", "refusal": "MARK"}]}),
            ),
        ),
        text("a part of no type", user(json!([{"text": "MARK"}]))),
        text(
            "a part of an unknown type",
            user(json!([{"type": "note", "note": {"deep": ["MARK"]}}])),
        ),
        text("a string as a part", user(json!(["MARK"]))),
        text(
            "an object as content",
            user(json!({"type": "text", "text": "MARK"})),
        ),
        text(
            "a file's name",
            user(json!([{"type": "file", "file": {"filename": "MARK", "file_id": "file-1"}}])),
        ),
        text(
            "a number where text is expected",
            user(json!([{"type": "text", "text": ["MARK"]}])),
        ),
        word(
            "a file's id",
            user(json!([{"type": "file", "file": {"file_id": "MARK"}}])),
        ),
        name(
            "a user's name",
            request(json!({"role": "user", "name": "MARK", "content": "hi"})),
        ),
        text("a prefill", last(&json!({"content": "MARK"}))),
        text("an assistant's refusal", last(&json!({"refusal": "MARK"}))),
        text(
            "a function call's arguments",
            last(&json!({"function_call": function})),
        ),
        name(
            "a function call's name",
            last(&json!({"function_call": named})),
        ),
        text(
            "a tool call's arguments",
            last(&json!({"tool_calls": [{"id": "c1", "type": "function", "function": function}]})),
        ),
        name(
            "a tool call's name",
            last(&json!({"tool_calls": [{"id": "c1", "type": "function", "function": named}]})),
        ),
        text(
            "a custom call's input",
            last(
                &json!({"tool_calls": [{"id": "c1", "type": "custom", "custom": {"name": "f", "input": "MARK"}}]}),
            ),
        ),
        word(
            "a call's id",
            last(
                &json!({"tool_calls": [{"id": "MARK", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}),
            ),
        ),
        word("a sound's id", last(&json!({"audio": {"id": "MARK"}}))),
        text(
            "reasoning_content",
            last(&json!({"reasoning_content": "MARK"})),
        ),
        text("reasoning", last(&json!({"reasoning": "MARK"}))),
        text(
            "reasoning_details",
            last(&json!({"reasoning_details": [{"type": "reasoning.text", "text": "MARK"}]})),
        ),
        text(
            "a tool's result",
            request(json!({"role": "tool", "tool_call_id": "c1", "content": "MARK"})),
        ),
        text(
            "a tool's result in parts",
            request(
                json!({"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "MARK"}]}),
            ),
        ),
        text(
            "a function's result",
            request(json!({"role": "function", "name": "f", "content": "MARK"})),
        ),
        text(
            "an unknown key of a message",
            request(json!({"role": "user", "content": "hi", "notes": {"a": "MARK"}})),
        ),
        word(
            "an unknown key itself",
            request(json!({"role": "user", "content": "hi", "MARK": 1})),
        ),
        text(
            "prediction",
            top(&json!({"prediction": {"type": "content", "content": "MARK"}})),
        ),
        text(
            "prediction in parts",
            top(
                &json!({"prediction": {"type": "content", "content": [{"type": "text", "text": "MARK"}]}}),
            ),
        ),
        text(
            "documents",
            top(&json!({"documents": [{"title": "t", "text": "MARK"}]})),
        ),
        unread(
            "tools",
            top(
                &json!({"tools": [{"type": "function", "function": {"name": "f", "description": "MARK"}}]}),
            ),
        ),
        unread(
            "a schema",
            top(
                &json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "description": "MARK"}}}),
            ),
        ),
        unread("metadata", top(&json!({"metadata": {"a": "MARK"}}))),
        unread("user", top(&json!({"user": "MARK"}))),
        unread("stop", top(&json!({"stop": ["MARK"]}))),
        unread(
            "a system message",
            json!({"model": "m", "messages": [{"role": "system", "content": "MARK"}, {"role": "user", "content": "hi"}]}),
        ),
    ]
}

fn reply(message: &Value, choice: &Value, top: &Value) -> Value {
    let message = with(json!({"role": "assistant", "content": "so"}), message);
    let choice = with(
        json!({"index": 0, "message": message, "finish_reason": "stop"}),
        choice,
    );
    with(
        json!({"id": "c1", "object": "chat.completion", "created": 7, "model": "m", "choices": [choice]}),
        top,
    )
}

fn replies() -> Vec<Place> {
    let nothing = json!({});
    let said = |message: Value| reply(&message, &json!({}), &json!({}));
    let function = json!({"name": "f", "arguments": "{\"a\":\"MARK\"}"});
    let named = json!({"name": "MARK", "arguments": "{}"});
    vec![
        text("content", said(json!({"content": "MARK"}))),
        text("refusal", said(json!({"refusal": "MARK"}))),
        text(
            "content in parts",
            said(json!({"content": [{"type": "text", "text": "MARK"}]})),
        ),
        text(
            "Mistral's thinking",
            said(
                json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "MARK"}]}]}),
            ),
        ),
        text(
            "Mistral's reference",
            said(
                json!({"content": [{"type": "tool_reference", "title": "MARK", "url": "https://a.b"}]}),
            ),
        ),
        text(
            "reasoning_content",
            said(json!({"reasoning_content": "MARK"})),
        ),
        text("reasoning", said(json!({"reasoning": "MARK"}))),
        text(
            "reasoning_details",
            said(json!({"reasoning_details": [{"type": "reasoning.text", "text": "MARK"}]})),
        ),
        text(
            "a tool call's arguments",
            said(json!({"tool_calls": [{"id": "c1", "type": "function", "function": function}]})),
        ),
        word(
            "a tool call's name",
            said(json!({"tool_calls": [{"id": "c1", "type": "function", "function": named}]})),
        ),
        text(
            "a custom call's input",
            said(
                json!({"tool_calls": [{"id": "c1", "type": "custom", "custom": {"name": "f", "input": "MARK"}}]}),
            ),
        ),
        text(
            "a function call's arguments",
            said(json!({"function_call": function})),
        ),
        text(
            "a transcript",
            said(
                json!({"audio": {"id": "a", "data": "AAAA", "expires_at": 1, "transcript": "MARK"}}),
            ),
        ),
        text(
            "an annotation's title",
            said(
                json!({"annotations": [{"type": "url_citation", "url_citation": {"title": "MARK", "url": "https://a.b", "start_index": 0, "end_index": 1}}]}),
            ),
        ),
        text(
            "an annotation's address",
            said(
                json!({"annotations": [{"type": "url_citation", "url_citation": {"title": "t", "url": "MARK"}}]}),
            ),
        ),
        word(
            "a token",
            reply(
                &nothing,
                &json!({"logprobs": {"content": [{"token": "MARK", "logprob": -1.0, "bytes": null, "top_logprobs": []}]}}),
                &nothing,
            ),
        ),
        word(
            "another token",
            reply(
                &nothing,
                &json!({"logprobs": {"content": [{"token": "so", "logprob": -1.0, "top_logprobs": [{"token": "MARK", "logprob": -2.0}]}]}}),
                &nothing,
            ),
        ),
        word(
            "a refusal's token",
            reply(
                &nothing,
                &json!({"logprobs": {"refusal": [{"token": "MARK", "logprob": -1.0}]}}),
                &nothing,
            ),
        ),
        text(
            "an unknown key of a choice",
            reply(&nothing, &json!({"notes": "MARK"}), &nothing),
        ),
        text(
            "an unknown key of the reply",
            reply(&nothing, &nothing, &json!({"notes": ["MARK"]})),
        ),
        word(
            "the model",
            reply(&nothing, &nothing, &json!({"model": "MARK"})),
        ),
        word("the id", reply(&nothing, &nothing, &json!({"id": "MARK"}))),
        text(
            "moderation",
            reply(
                &nothing,
                &nothing,
                &json!({"moderation": {"input": {"type": "error", "code": "x", "message": "MARK"}}}),
            ),
        ),
        text(
            "metadata",
            reply(&nothing, &nothing, &json!({"metadata": {"a": "MARK"}})),
        ),
        text(
            "an error",
            json!({"error": {"message": "MARK", "type": "server_error"}}),
        ),
        text(
            "a stored list",
            json!({"object": "list", "data": [{"id": "m", "role": "user", "content": "MARK"}]}),
        ),
    ]
}

fn chunk(delta: &Value, choice: &Value) -> Value {
    let choice = with(
        json!({"index": 0, "delta": delta, "finish_reason": null}),
        choice,
    );
    json!({"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m", "choices": [choice]})
}

fn records() -> Vec<Place> {
    let ended = |records: &[Value]| {
        let mut all = vec![chunk(
            &json!({"role": "assistant", "content": "so "}),
            &json!({}),
        )];
        all.extend_from_slice(records);
        all.push(chunk(&json!({}), &json!({"finish_reason": "stop"})));
        stream(&all)
    };
    let pieces =
        |one: Value, two: Value| ended(&[chunk(&one, &json!({})), chunk(&two, &json!({}))]);
    let arguments = |text: &str, first: bool| {
        let mut call = json!({"index": 0, "function": {"arguments": text}});
        if first {
            call["id"] = "c1".into();
            call["type"] = "function".into();
            call["function"]["name"] = "f".into();
        }
        json!({"tool_calls": [call]})
    };
    vec![
        text(
            "content",
            pieces(json!({"content": "MAR1"}), json!({"content": "MAR2"})),
        ),
        text(
            "refusal",
            pieces(json!({"refusal": "MAR1"}), json!({"refusal": "MAR2"})),
        ),
        text(
            "reasoning",
            pieces(json!({"reasoning": "MAR1"}), json!({"reasoning": "MAR2"})),
        ),
        text(
            "parts",
            pieces(
                json!({"content": [{"type": "text", "text": "MAR1"}]}),
                json!({"content": [{"type": "text", "text": "MAR2"}]}),
            ),
        ),
        text(
            "arguments",
            pieces(
                arguments("{\"a\":\"MAR1", true),
                arguments("MAR2\"}", false),
            ),
        ),
        text(
            "a function call",
            pieces(
                json!({"function_call": {"name": "f", "arguments": "{\"a\":\"MAR1"}}),
                json!({"function_call": {"arguments": "MAR2\"}"}}),
            ),
        ),
        text(
            "a transcript",
            pieces(
                json!({"audio": {"id": "a", "transcript": "MAR1"}}),
                json!({"audio": {"transcript": "MAR2"}}),
            ),
        ),
        word(
            "tokens",
            ended(&[
                chunk(
                    &json!({"content": ""}),
                    &json!({"logprobs": {"content": [{"token": "MAR1", "logprob": -1.0}]}}),
                ),
                chunk(
                    &json!({"content": ""}),
                    &json!({"logprobs": {"content": [{"token": "MAR2", "logprob": -1.0}]}}),
                ),
            ]),
        ),
        text(
            "an unknown key",
            pieces(json!({"notes": "MAR1"}), json!({"notes": "MAR2"})),
        ),
        text(
            "an annotation",
            pieces(
                json!({"annotations": [{"type": "url_citation", "url_citation": {"title": "MARK"}}]}),
                json!({}),
            ),
        ),
        text("an error", stream(&[json!({"error": {"message": "MARK"}})])),
    ]
}
