//! A scripted model that speaks every format of the layer as its provider does: what it says is told by a word in the request.

use std::convert::Infallible;

use axum::{
    body::{Body, Bytes},
    http::{Request, Response, StatusCode, header},
};
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use serde_json::{Value, json};

/// What the model says.
struct Said {
    /// Text, as it is streamed.
    pieces: Vec<String>,
    /// Whether it calls `get_weather` instead.
    calls: bool,
}

impl Said {
    fn text(&self) -> String {
        self.pieces.concat()
    }
}

/// A call's arguments, as they are streamed.
const ARGUMENTS: [&str; 3] = [r#"{"ci"#, r#"ty": "Par"#, r#"is"}"#];

/// Every string of a request, the last of which is mostly what was asked.
fn strings<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| strings(field, found)),
        _ => {}
    }
}

fn script(request: &Value) -> Said {
    let mut texts = Vec::new();
    strings(request, &mut texts);
    let asked = texts.iter().rev().find(|text| text.starts_with("say "));
    let asked = asked.copied().unwrap_or("say nothing");
    let has_result = texts.iter().any(|text| text.contains("21 degrees"));
    let pieces: Vec<String> = match asked.trim_start_matches("say ") {
        _ if has_result => vec!["It is ".to_owned(), "21 degrees.".to_owned()],
        "plain" => ["The capital ", "of France ", "is Paris."]
            .map(str::to_owned)
            .into(),
        "key first" => ["sk-abcdefghijklmnop1234", " is the key."]
            .map(str::to_owned)
            .into(),
        "key late" => [
            "Of course. ",
            "The key is ",
            "sk-abcdefghi",
            "jklmnop1234",
            ", and more.",
        ]
        .map(str::to_owned)
        .into(),
        "mail" => ["Write to ann", "@example", ".com soon."]
            .map(str::to_owned)
            .into(),
        "tool" => Vec::new(),
        other => vec!["You said: ".to_owned(), other.to_owned()],
    };
    Said {
        calls: pieces.is_empty(),
        pieces,
    }
}

/// Answers a request in the format of its path.
pub(crate) async fn answer(request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let said = script(&request);
    let streams = request["stream"] == true;
    let path = head.uri.path();
    if path.ends_with("/chat/completions") {
        return match streams {
            true => events(None, chat_stream(&said), true),
            false => whole(&chat(&said)),
        };
    }
    if path.ends_with("/responses") {
        return match streams {
            true => events(Some("type"), responses_stream(&said), false),
            false => whole(&responses(&said, "completed")),
        };
    }
    if path.ends_with("/messages") {
        return match streams {
            true => events(Some("type"), messages_stream(&said), false),
            false => whole(&messages(&said)),
        };
    }
    if path.ends_with(":streamGenerateContent") {
        return events(None, gemini_stream(&said), false);
    }
    if path.ends_with(":generateContent") {
        return whole(&gemini(&said));
    }
    if path.ends_with("/api/chat") || path.ends_with("/api/generate") {
        let is_chat = path.ends_with("/chat");
        return match request["stream"] == false {
            true => whole(&ollama(is_chat, &said.text(), said.calls, true)),
            false => lines(ollama_stream(is_chat, &said)),
        };
    }
    let mut response = Response::new(Body::from("no such path"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

fn whole(body: &Value) -> Response<Body> {
    typed("application/json", Body::from(body.to_string()))
}

fn typed(kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}

fn frames(kind: &'static str, frames: Vec<String>) -> Response<Body> {
    let frames = stream::iter(frames).then(|frame| async {
        tokio::task::yield_now().await;
        Ok::<_, Infallible>(Bytes::from(frame))
    });
    typed(kind, Body::from_stream(frames))
}

/// Server-sent events, named by their key `name`.
fn events(name: Option<&str>, records: Vec<Value>, done: bool) -> Response<Body> {
    let mut sent: Vec<String> = records
        .iter()
        .map(|record| match name.and_then(|name| record[name].as_str()) {
            Some(name) => format!("event: {name}\ndata: {record}\n\n"),
            None => format!("data: {record}\n\n"),
        })
        .collect();
    if done {
        sent.push("data: [DONE]\n\n".to_owned());
    }
    frames("text/event-stream", sent)
}

fn lines(records: Vec<Value>) -> Response<Body> {
    let sent = records.iter().map(|record| format!("{record}\n")).collect();
    frames("application/x-ndjson", sent)
}

fn chat(said: &Said) -> Value {
    let (message, finish) = match said.calls {
        true => (
            json!({"role": "assistant", "content": null, "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": ARGUMENTS.concat()}}]}),
            "tool_calls",
        ),
        false => (
            json!({"role": "assistant", "content": said.text(), "refusal": null}),
            "stop",
        ),
    };
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "m",
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
    })
}

fn chat_stream(said: &Said) -> Vec<Value> {
    let chunk = |delta: Value, finish: Value| {
        json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "m",
            "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}],
        })
    };
    let mut records = vec![chunk(
        json!({"role": "assistant", "content": ""}),
        Value::Null,
    )];
    if said.calls {
        records.push(chunk(
            json!({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": ""}}]}),
            Value::Null,
        ));
        records.extend(ARGUMENTS.map(|piece| {
            chunk(
                json!({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}),
                Value::Null,
            )
        }));
    }
    records.extend(
        said.pieces
            .iter()
            .map(|piece| chunk(json!({"content": piece}), Value::Null)),
    );
    records.push(chunk(
        json!({}),
        if said.calls { "tool_calls" } else { "stop" }.into(),
    ));
    records
}

fn responses_item(said: &Said, status: &str) -> Value {
    match said.calls {
        true => {
            json!({"id": "fc_1", "type": "function_call", "status": status, "call_id": "call_1", "name": "get_weather", "arguments": ARGUMENTS.concat()})
        }
        false => json!({
            "id": "msg_1", "type": "message", "role": "assistant", "status": status,
            "content": [{"type": "output_text", "text": said.text(), "annotations": []}],
        }),
    }
}

fn responses(said: &Said, status: &str) -> Value {
    let output = match status {
        "completed" => json!([responses_item(said, status)]),
        _ => json!([]),
    };
    json!({
        "id": "resp_1", "object": "response", "created_at": 1_700_000_000, "status": status, "model": "m",
        "output": output, "error": null, "incomplete_details": null, "instructions": null, "metadata": {},
        "parallel_tool_calls": true, "tool_choice": "auto", "tools": [], "temperature": 1.0, "top_p": 1.0,
        "usage": {"input_tokens": 3, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 4, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 7},
    })
}

fn responses_stream(said: &Said) -> Vec<Value> {
    let mut records = vec![
        json!({"type": "response.created", "response": responses(said, "in_progress")}),
        json!({"type": "response.in_progress", "response": responses(said, "in_progress")}),
    ];
    if said.calls {
        let mut begun = responses_item(said, "in_progress");
        begun["arguments"] = "".into();
        records
            .push(json!({"type": "response.output_item.added", "output_index": 0, "item": begun}));
        records.extend(ARGUMENTS.map(|piece| {
            json!({"type": "response.function_call_arguments.delta", "item_id": "fc_1", "output_index": 0, "delta": piece})
        }));
        records.push(json!({"type": "response.function_call_arguments.done", "item_id": "fc_1", "name": "get_weather", "output_index": 0, "arguments": ARGUMENTS.concat()}));
    } else {
        let mut begun = responses_item(said, "in_progress");
        begun["content"] = json!([]);
        let part = |text: &str| json!({"type": "output_text", "text": text, "annotations": []});
        let place = |kind: &str, key: &str, value: Value| {
            let mut record =
                json!({"type": kind, "item_id": "msg_1", "output_index": 0, "content_index": 0});
            record[key] = value;
            record
        };
        records
            .push(json!({"type": "response.output_item.added", "output_index": 0, "item": begun}));
        records.push(place("response.content_part.added", "part", part("")));
        records.extend(said.pieces.iter().map(|piece| {
            let mut record = place("response.output_text.delta", "delta", piece.as_str().into());
            record["logprobs"] = json!([]);
            record
        }));
        let mut done = place("response.output_text.done", "text", said.text().into());
        done["logprobs"] = json!([]);
        records.push(done);
        records.push(place(
            "response.content_part.done",
            "part",
            part(&said.text()),
        ));
    }
    records.push(json!({"type": "response.output_item.done", "output_index": 0, "item": responses_item(said, "completed")}));
    records.push(json!({"type": "response.completed", "response": responses(said, "completed")}));
    for (number, record) in records.iter_mut().enumerate() {
        record["sequence_number"] = number.into();
    }
    records
}

fn messages(said: &Said) -> Value {
    let (content, stop) = match said.calls {
        true => (
            json!({"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}}),
            "tool_use",
        ),
        false => (json!({"type": "text", "text": said.text()}), "end_turn"),
    };
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": [content],
        "stop_reason": stop, "stop_sequence": null, "usage": {"input_tokens": 3, "output_tokens": 4},
    })
}

fn messages_stream(said: &Said) -> Vec<Value> {
    let mut start = messages(said);
    start["content"] = json!([]);
    start["stop_reason"] = Value::Null;
    let (block, deltas, stop): (Value, Vec<Value>, &str) = match said.calls {
        true => (
            json!({"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}}),
            ARGUMENTS
                .map(|piece| json!({"type": "input_json_delta", "partial_json": piece}))
                .into(),
            "tool_use",
        ),
        false => (
            json!({"type": "text", "text": ""}),
            said.pieces
                .iter()
                .map(|piece| json!({"type": "text_delta", "text": piece}))
                .collect(),
            "end_turn",
        ),
    };
    let mut records = vec![
        json!({"type": "message_start", "message": start}),
        json!({"type": "content_block_start", "index": 0, "content_block": block}),
        json!({"type": "ping"}),
    ];
    records.extend(
        deltas
            .into_iter()
            .map(|delta| json!({"type": "content_block_delta", "index": 0, "delta": delta})),
    );
    records.extend([
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": null}, "usage": {"output_tokens": 4}}),
        json!({"type": "message_stop"}),
    ]);
    records
}

fn gemini_record(part: Value, finish: Option<&str>) -> Value {
    let mut candidate = json!({"index": 0, "content": {"role": "model", "parts": [part]}});
    if let Some(finish) = finish {
        candidate["finishReason"] = finish.into();
    }
    json!({
        "candidates": [candidate], "modelVersion": "g", "responseId": "r",
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7},
    })
}

fn gemini_call() -> Value {
    json!({"functionCall": {"name": "get_weather", "args": {"city": "Paris"}}})
}

fn gemini(said: &Said) -> Value {
    match said.calls {
        true => gemini_record(gemini_call(), Some("STOP")),
        false => gemini_record(json!({"text": said.text()}), Some("STOP")),
    }
}

fn gemini_stream(said: &Said) -> Vec<Value> {
    if said.calls {
        return vec![gemini_record(gemini_call(), Some("STOP"))];
    }
    let last = said.pieces.len().saturating_sub(1);
    let pieces = said.pieces.iter().enumerate();
    pieces
        .map(|(at, piece)| gemini_record(json!({"text": piece}), (at == last).then_some("STOP")))
        .collect()
}

fn ollama(is_chat: bool, text: &str, calls: bool, done: bool) -> Value {
    let mut record = json!({"model": "m", "created_at": "2026-12-01T00:00:00Z", "done": done});
    if is_chat {
        record["message"] = json!({"role": "assistant", "content": text});
        if calls {
            record["message"]["tool_calls"] =
                json!([{"function": {"name": "get_weather", "arguments": {"city": "Paris"}}}]);
        }
    } else {
        record["response"] = text.into();
    }
    if done {
        record["done_reason"] = "stop".into();
        record["eval_count"] = 4.into();
        record["prompt_eval_count"] = 3.into();
    }
    record
}

fn ollama_stream(is_chat: bool, said: &Said) -> Vec<Value> {
    let mut records: Vec<Value> = said
        .pieces
        .iter()
        .map(|piece| ollama(is_chat, piece, false, false))
        .collect();
    if said.calls {
        records.push(ollama(is_chat, "", true, false));
    }
    records.push(ollama(is_chat, "", false, true));
    records
}
