//! Every wire format keeps the layer's promises: what passes passes untouched at any cut, what is blocked is a refusal that the
//! format's clients read, what is masked is masked everywhere, and rails ask the model in the endpoint's language.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::{Value, json};
use tower_guardrails::{GuardrailsLayer, LlmRails, RailsConfig};

use crate::aws;
use crate::support::{Exchange, REFUSAL, Reply, exchange, post, regex_layer, run};

/// One format, as a client of it writes and reads.
struct Format {
    name: &'static str,
    path: &'static str,
    stream_path: &'static str,
    content_type: &'static str,
    /// A request in which the user says a text.
    request: fn(said: &str, stream: bool) -> Value,
    /// A whole reply that says a text.
    reply: fn(text: &str) -> Value,
    /// A stream that says pieces, each frame a record.
    stream: fn(pieces: &[&str]) -> Vec<Bytes>,
    /// The text of a whole reply, as the client shows it.
    read: fn(&Value) -> String,
    /// The text of a stream, as the client shows it; panics where the client would fail.
    read_stream: fn(&[u8]) -> String,
    /// Whether a whole reply says that it was refused.
    is_refused: fn(&Value) -> bool,
}

fn formats() -> Vec<Format> {
    vec![
        openai_chat(),
        completions(),
        responses(),
        anthropic(),
        gemini_events(),
        gemini_array(),
        ollama_chat(),
        ollama_generate(),
        converse(),
        anthropic_chunks(),
    ]
}

/// The records of an event stream: name and payload.
fn events(body: &[u8]) -> Vec<(Option<String>, String)> {
    let text = std::str::from_utf8(body).unwrap();
    let blocks = text
        .split("\n\n")
        .filter(|block| !block.trim().is_empty() && !block.starts_with(':'));
    blocks
        .map(|block| {
            let field = |name: &str| {
                let mut lines = block.lines();
                lines.find_map(|line| Some(line.strip_prefix(name)?.trim_start().to_owned()))
            };
            (field("event:"), field("data:").unwrap_or_default())
        })
        .collect()
}

fn sse(name: Option<&str>, data: &Value) -> Bytes {
    match name {
        Some(name) => format!("event: {name}\ndata: {data}\n\n").into(),
        None => format!("data: {data}\n\n").into(),
    }
}

fn openai_chat() -> Format {
    fn chunk(delta: &Value, finish: &Value) -> Bytes {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
        sse(
            None,
            &json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}),
        )
    }
    Format {
        name: "openai_chat",
        path: "/v1/chat/completions",
        stream_path: "/v1/chat/completions",
        content_type: "text/event-stream",
        request: |said, stream| json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": said}]}),
        reply: |text| json!({"id": "c", "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}),
        stream: |pieces| {
            let mut frames: Vec<Bytes> = pieces
                .iter()
                .map(|piece| chunk(&json!({"content": piece}), &Value::Null))
                .collect();
            frames.push(chunk(&json!({}), &json!("stop")));
            frames.push("data: [DONE]\n\n".into());
            frames
        },
        read: |reply| {
            reply["choices"][0]["message"]["content"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        },
        read_stream: |body| {
            let events = events(body);
            assert_eq!(events.last().unwrap().1, "[DONE]");
            let data = events.iter().filter(|(_, data)| data != "[DONE]");
            data.map(|(_, data)| {
                let chunk: Value = serde_json::from_str(data).unwrap();
                chunk["choices"][0]["delta"]["content"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned()
            })
            .collect()
        },
        is_refused: |reply| reply["choices"][0]["finish_reason"] == "content_filter",
    }
}

fn anthropic() -> Format {
    fn event(data: &Value) -> Bytes {
        sse(data["type"].as_str(), data)
    }
    Format {
        name: "anthropic_messages",
        path: "/v1/messages",
        stream_path: "/v1/messages",
        content_type: "text/event-stream",
        request: |said, stream| json!({"model": "claude", "max_tokens": 9, "stream": stream, "messages": [{"role": "user", "content": [{"type": "text", "text": said}]}]}),
        reply: |text| json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 2}}),
        stream: |pieces| {
            let mut frames = vec![
                event(
                    &json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": [], "stop_reason": null, "usage": {"input_tokens": 1, "output_tokens": 1}}}),
                ),
                event(
                    &json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
                ),
                event(&json!({"type": "ping"})),
            ];
            frames.extend(pieces.iter().map(|piece| {
                event(&json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}))
            }));
            frames.push(event(&json!({"type": "content_block_stop", "index": 0})));
            frames.push(event(&json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": {"output_tokens": 2}})));
            frames.push(event(&json!({"type": "message_stop"})));
            frames
        },
        read: |reply| {
            let blocks = reply["content"].as_array().unwrap();
            blocks
                .iter()
                .filter_map(|block| block["text"].as_str())
                .collect()
        },
        read_stream: |body| {
            let (mut text, mut open, mut begun, mut stopped) = (String::new(), None, false, false);
            for (name, data) in events(body) {
                let event: Value = serde_json::from_str(&data).unwrap();
                assert_eq!(name.as_deref(), event["type"].as_str());
                assert!(!stopped, "after the end: {event}");
                match name.as_deref().unwrap() {
                    "message_start" => begun = true,
                    "content_block_start" => {
                        assert!(begun && open.is_none());
                        open = event["index"].as_u64();
                    }
                    "content_block_delta" => {
                        assert_eq!(open, event["index"].as_u64());
                        text.push_str(event["delta"]["text"].as_str().unwrap_or_default());
                    }
                    "content_block_stop" => {
                        assert_eq!(open.take(), event["index"].as_u64());
                    }
                    "message_stop" => stopped = true,
                    "error" => panic!("{event}"),
                    _ => {}
                }
            }
            assert!(stopped && open.is_none());
            text
        },
        is_refused: |reply| reply["stop_reason"] == "refusal",
    }
}

fn completions() -> Format {
    fn chunk(text: &str, finish: &Value) -> Bytes {
        let choice = json!({"index": 0, "text": text, "logprobs": null, "finish_reason": finish});
        sse(
            None,
            &json!({"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]}),
        )
    }
    Format {
        name: "openai_completions",
        path: "/v1/completions",
        stream_path: "/v1/completions",
        content_type: "text/event-stream",
        request: |said, stream| json!({"model": "m", "stream": stream, "prompt": said}),
        reply: |text| json!({"id": "c", "object": "text_completion", "choices": [{"index": 0, "text": text, "finish_reason": "stop"}]}),
        stream: |pieces| {
            let mut frames: Vec<Bytes> = pieces
                .iter()
                .map(|piece| chunk(piece, &Value::Null))
                .collect();
            frames.push(chunk("", &json!("stop")));
            frames.push("data: [DONE]\n\n".into());
            frames
        },
        read: |reply| {
            reply["choices"][0]["text"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        },
        read_stream: |body| {
            let events = events(body);
            assert_eq!(events.last().unwrap().1, "[DONE]");
            let data = events.iter().filter(|(_, data)| data != "[DONE]");
            data.map(|(_, data)| {
                let chunk: Value = serde_json::from_str(data).unwrap();
                assert_eq!(chunk["object"], "text_completion");
                chunk["choices"][0]["text"].as_str().unwrap().to_owned()
            })
            .collect()
        },
        is_refused: |reply| reply["choices"][0]["finish_reason"] == "content_filter",
    }
}

fn converse() -> Format {
    Format {
        name: "bedrock_converse",
        path: "/model/anthropic.claude-v1/converse",
        stream_path: "/model/anthropic.claude-v1/converse-stream",
        content_type: "application/vnd.amazon.eventstream",
        request: |said, _| json!({"messages": [{"role": "user", "content": [{"text": said}]}], "inferenceConfig": {"maxTokens": 9}}),
        reply: |text| json!({"output": {"message": {"role": "assistant", "content": [{"text": text}]}}, "stopReason": "end_turn", "usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}, "metrics": {"latencyMs": 5}}),
        stream: |pieces| {
            let mut frames = vec![aws::event(
                "messageStart",
                &json!({"role": "assistant", "p": "abc"}),
            )];
            frames.extend(pieces.iter().map(|piece| {
                aws::event(
                    "contentBlockDelta",
                    &json!({"contentBlockIndex": 0, "delta": {"text": piece}, "p": "abcdefgh"}),
                )
            }));
            frames.push(aws::event(
                "contentBlockStop",
                &json!({"contentBlockIndex": 0}),
            ));
            frames.push(aws::event(
                "messageStop",
                &json!({"stopReason": "end_turn"}),
            ));
            frames.push(aws::event("metadata", &json!({"usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}, "metrics": {"latencyMs": 5}})));
            frames
        },
        read: |reply| {
            let blocks = reply["output"]["message"]["content"].as_array().unwrap();
            blocks
                .iter()
                .filter_map(|block| block["text"].as_str())
                .collect()
        },
        read_stream: |body| {
            let (mut text, mut open, mut begun) = (String::new(), None, false);
            let (mut stopped, mut ended) = (false, false);
            for (kind, event) in aws::messages(body) {
                assert!(!ended, "after the end: {event}");
                match kind.as_str() {
                    "messageStart" => begun = true,
                    "contentBlockDelta" => {
                        assert!(begun && !stopped);
                        let index = event["contentBlockIndex"].as_u64();
                        assert!(open.is_none() || open == index);
                        open = index;
                        text.push_str(event["delta"]["text"].as_str().unwrap_or_default());
                    }
                    "contentBlockStop" => {
                        assert_eq!(open.take(), event["contentBlockIndex"].as_u64());
                    }
                    "messageStop" => stopped = event["stopReason"].is_string(),
                    "metadata" => ended = event["usage"]["totalTokens"].is_u64(),
                    other => panic!("{other}: {event}"),
                }
            }
            assert!(stopped && ended && open.is_none());
            text
        },
        is_refused: |reply| reply["stopReason"] == "guardrail_intervened",
    }
}

/// Anthropic's body as Bedrock's `invoke` carries it, whose streams are chunks of AWS event stream.
fn anthropic_chunks() -> Format {
    Format {
        name: "anthropic, chunks",
        path: "/model/us.anthropic.claude-v1/invoke",
        stream_path: "/model/us.anthropic.claude-v1/invoke-with-response-stream",
        content_type: "application/vnd.amazon.eventstream",
        request: |said, _| json!({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": [{"role": "user", "content": [{"type": "text", "text": said}]}]}),
        stream: |pieces| {
            let frames = (anthropic().stream)(pieces).concat();
            let records = events(&frames).into_iter().map(|(_, data)| {
                let bytes = STANDARD.encode(data);
                aws::event("chunk", &json!({"bytes": bytes, "p": "abcd"}))
            });
            records.collect()
        },
        read_stream: |body| {
            let records = aws::messages(body).into_iter().map(|(kind, chunk)| {
                assert_eq!(kind, "chunk");
                let bytes = STANDARD.decode(chunk["bytes"].as_str().unwrap()).unwrap();
                let data: Value = serde_json::from_slice(&bytes).unwrap();
                sse(data["type"].as_str(), &data)
            });
            (anthropic().read_stream)(&records.collect::<Vec<_>>().concat())
        },
        ..anthropic()
    }
}

/// The texts of a Responses object, as `output_text` of the official clients joins them.
fn output_text(reply: &Value) -> String {
    let items = reply["output"].as_array().unwrap().iter();
    let parts = items
        .filter(|item| item["type"] == "message")
        .flat_map(|item| item["content"].as_array().unwrap());
    parts.filter_map(|part| part["text"].as_str()).collect()
}

fn responses() -> Format {
    fn object(status: &str, text: Option<&str>) -> Value {
        let output = text.map(|text| {
            json!({"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": text, "annotations": []}]})
        });
        json!({"id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": "m", "instructions": "be kind", "output": output.into_iter().collect::<Vec<_>>(), "error": null, "incomplete_details": null})
    }
    Format {
        name: "openai_responses",
        path: "/v1/responses",
        stream_path: "/v1/responses",
        content_type: "text/event-stream",
        request: |said, stream| json!({"model": "m", "stream": stream, "input": [{"role": "user", "content": [{"type": "input_text", "text": said}]}]}),
        reply: |text| object("completed", Some(text)),
        stream: |pieces| {
            let text: String = pieces.concat();
            let place = json!({"item_id": "msg_1", "output_index": 0, "content_index": 0});
            let with = |kind: &str, more: Value| {
                let mut data = place.clone();
                data["type"] = kind.into();
                for (key, value) in more.as_object().unwrap() {
                    data[key] = value.clone();
                }
                data
            };
            let item = |status: &str, content: Value| json!({"id": "msg_1", "type": "message", "role": "assistant", "status": status, "content": content});
            let part = |text: &str| json!({"type": "output_text", "text": text, "annotations": []});
            let mut data = vec![
                json!({"type": "response.created", "response": object("in_progress", None)}),
                json!({"type": "response.output_item.added", "output_index": 0, "item": item("in_progress", json!([]))}),
                with("response.content_part.added", json!({"part": part("")})),
            ];
            data.extend(pieces.iter().map(|piece| {
                with(
                    "response.output_text.delta",
                    json!({"delta": piece, "logprobs": []}),
                )
            }));
            data.extend([
                with("response.output_text.done", json!({"text": text})),
                with("response.content_part.done", json!({"part": part(&text)})),
                json!({"type": "response.output_item.done", "output_index": 0, "item": item("completed", json!([part(&text)]))}),
                json!({"type": "response.completed", "response": object("completed", Some(&text))}),
            ]);
            let numbered = data.into_iter().enumerate().map(|(number, mut data)| {
                data["sequence_number"] = number.into();
                sse(data["type"].as_str(), &data)
            });
            numbered.collect()
        },
        read: output_text,
        read_stream: |body| {
            let (mut text, mut next, mut last) = (String::new(), 0, None);
            for (name, data) in events(body) {
                let event: Value = serde_json::from_str(&data).unwrap();
                assert!(last.is_none(), "after the end: {event}");
                assert_eq!(name.as_deref(), event["type"].as_str());
                assert_eq!(event["sequence_number"], next, "{event}");
                next += 1;
                match name.as_deref().unwrap() {
                    "response.output_text.delta" => text.push_str(event["delta"].as_str().unwrap()),
                    "response.completed" | "response.incomplete" => {
                        last = Some(event["response"].clone());
                    }
                    _ => {}
                }
            }
            // What the deltas said, and what the reply says in the end, is the same.
            let last = last.unwrap();
            assert_eq!(output_text(&last), text, "{last}");
            text
        },
        is_refused: |reply| {
            reply["status"] == "incomplete"
                && reply["incomplete_details"]["reason"] == "content_filter"
        },
    }
}

fn gemini_reply(text: &str, finish: &Value) -> Value {
    json!({"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": text}]}, "finishReason": finish}], "modelVersion": "g"})
}

fn gemini_read(reply: &Value) -> String {
    let parts = reply["candidates"][0]["content"]["parts"].as_array();
    let parts = parts.into_iter().flatten();
    parts.filter_map(|part| part["text"].as_str()).collect()
}

fn gemini_records(pieces: &[&str]) -> Vec<Value> {
    let mut records: Vec<Value> = pieces
        .iter()
        .map(|piece| gemini_reply(piece, &Value::Null))
        .collect();
    records.push(gemini_reply("", &json!("STOP")));
    records
}

fn gemini_events() -> Format {
    Format {
        name: "gemini, events",
        path: "/v1beta/models/g:generateContent",
        stream_path: "/v1beta/models/g:streamGenerateContent?alt=sse",
        content_type: "text/event-stream",
        request: |said, _| json!({"contents": [{"role": "user", "parts": [{"text": said}]}]}),
        reply: |text| gemini_reply(text, &json!("STOP")),
        stream: |pieces| {
            let records = gemini_records(pieces);
            records.iter().map(|record| sse(None, record)).collect()
        },
        read: gemini_read,
        read_stream: |body| {
            let events = events(body).into_iter();
            events
                .map(|(_, data)| gemini_read(&serde_json::from_str(&data).unwrap()))
                .collect()
        },
        is_refused: |reply| reply["candidates"][0]["finishReason"] == "SAFETY",
    }
}

fn gemini_array() -> Format {
    Format {
        name: "gemini, array",
        stream_path: "/v1beta/models/g%3AstreamGenerateContent",
        content_type: "application/json",
        stream: |pieces| {
            let records = gemini_records(pieces);
            let mut frames: Vec<Bytes> = vec!["[".into()];
            for (number, record) in records.iter().enumerate() {
                let comma = if number == 0 { "" } else { ",\r\n" };
                frames.push(format!("{comma}{record}").into());
            }
            frames.push("]\n".into());
            frames
        },
        read_stream: |body| {
            let records: Vec<Value> = serde_json::from_slice(body).unwrap();
            records.iter().map(gemini_read).collect()
        },
        ..gemini_events()
    }
}

/// A format of JSON by lines.
fn lines(records: &[Value]) -> Vec<Bytes> {
    let lines = records.iter().map(|record| format!("{record}\n").into());
    lines.collect()
}

fn read_lines(body: &[u8], text: fn(&Value) -> String) -> String {
    let body = std::str::from_utf8(body).unwrap();
    let records: Vec<Value> = body
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let done = |record: &Value| record["done"] == true;
    assert!(records.last().is_some_and(done), "{body}");
    assert_eq!(records.iter().filter(|record| done(record)).count(), 1);
    records.iter().map(text).collect()
}

fn ollama_chat() -> Format {
    fn record(text: &str, done: bool) -> Value {
        json!({"model": "m", "created_at": "2026-12-01T00:00:00Z", "message": {"role": "assistant", "content": text}, "done": done})
    }
    fn read(reply: &Value) -> String {
        reply["message"]["content"].as_str().unwrap().to_owned()
    }
    Format {
        name: "ollama chat",
        path: "/api/chat",
        stream_path: "/api/chat",
        content_type: "application/x-ndjson",
        request: |said, stream| json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": said}]}),
        reply: |text| record(text, true),
        stream: |pieces| {
            let mut records: Vec<Value> = pieces.iter().map(|piece| record(piece, false)).collect();
            records.push(record("", true));
            lines(&records)
        },
        read,
        read_stream: |body| read_lines(body, read),
        is_refused: |reply| reply["done_reason"] == "content_filter",
    }
}

fn ollama_generate() -> Format {
    fn record(text: &str, done: bool) -> Value {
        json!({"model": "m", "created_at": "2026-12-01T00:00:00Z", "response": text, "done": done})
    }
    fn read(reply: &Value) -> String {
        // A judge is asked as chat, and answers so.
        let text = reply["response"].as_str();
        text.unwrap_or_default().to_owned()
    }
    Format {
        name: "ollama generate",
        path: "/api/generate",
        stream_path: "/api/generate",
        request: |said, stream| json!({"model": "m", "stream": stream, "prompt": said}),
        reply: |text| {
            let mut reply = record(text, true);
            reply["message"] = json!({"role": "assistant", "content": text});
            reply
        },
        stream: |pieces| {
            let mut records: Vec<Value> = pieces.iter().map(|piece| record(piece, false)).collect();
            records.push(record("", true));
            lines(&records)
        },
        read,
        read_stream: |body| read_lines(body, read),
        ..ollama_chat()
    }
}

impl Format {
    fn ask(&self, layer: &GuardrailsLayer, said: &str, stream: bool, reply: &Reply) -> Exchange {
        let body = (self.request)(said, stream).to_string();
        let path = if stream { self.stream_path } else { self.path };
        run(exchange(layer, post(path, body), reply))
    }

    fn whole(&self, text: &str) -> Reply {
        Reply::json((self.reply)(text).to_string())
    }

    /// A stream of `pieces`, whose bytes come in frames of `cut`.
    fn streamed(&self, pieces: &[&str], cut: usize) -> (Reply, Bytes) {
        let whole: Bytes = (self.stream)(pieces).concat().into();
        let frames = whole.chunks(cut).map(Bytes::copy_from_slice).collect();
        (Reply::of(self.content_type, frames), whole)
    }
}

/// Cuts of a stream, as a network makes them.
const CUTS: [usize; 4] = [1, 3, 50, 1 << 20];

#[test]
fn what_passes_passes_untouched() {
    let layer = regex_layer("forbidden-[a-z]+", &["secret-[0-9]{4}"]);
    for format in formats() {
        let name = format.name;
        let reply = format.whole("Hello, all is well.");
        let exchange = format.ask(&layer, "hi", false, &reply);
        assert_eq!(exchange.body, reply.frames.concat(), "{name}");
        assert_eq!(
            exchange.seen[0].body,
            (format.request)("hi", false).to_string(),
            "{name}"
        );
        for cut in CUTS {
            let (reply, whole) = format.streamed(&["Hello, ", "all is ", "", "well."], cut);
            let exchange = format.ask(&layer, "hi", true, &reply);
            assert_eq!(exchange.body, whole, "{name} cut at {cut}");
        }
    }
}

#[test]
fn what_is_blocked_on_the_way_in_is_a_refusal_that_clients_read() {
    let layer = regex_layer("forbidden-[a-z]+", &["secret-[0-9]{4}"]);
    for format in formats() {
        let name = format.name;
        let exchange = format.ask(&layer, "forbidden-things", false, &format.whole("x"));
        assert!(exchange.seen.is_empty(), "{name}");
        assert_eq!((format.read)(&exchange.json()), REFUSAL, "{name}");
        assert!((format.is_refused)(&exchange.json()), "{name}");
        let (reply, _) = format.streamed(&["x"], 1 << 20);
        let exchange = format.ask(&layer, "forbidden-things", true, &reply);
        assert!(exchange.seen.is_empty(), "{name}");
        assert_eq!(
            exchange.headers["content-type"].to_str().unwrap(),
            format.content_type,
            "{name}"
        );
        assert_eq!((format.read_stream)(&exchange.body), REFUSAL, "{name}");
    }
}

#[test]
fn what_is_blocked_on_the_way_out_never_leaves() {
    let layer = regex_layer("forbidden-[a-z]+", &["secret-[0-9]{4}"]);
    for format in formats() {
        let name = format.name;
        let exchange = format.ask(&layer, "hi", false, &format.whole("it is secret-1234."));
        assert!(exchange.is_blocked(), "{name}");
        assert!(!exchange.text().contains("1234"), "{name}");
        assert_eq!((format.read)(&exchange.json()), REFUSAL, "{name}");
        assert!((format.is_refused)(&exchange.json()), "{name}");
        for cut in CUTS {
            let pieces = ["The key ", "is sec", "ret-", "12", "34", " and more"];
            let (reply, _) = format.streamed(&pieces, cut);
            let exchange = format.ask(&layer, "hi", true, &reply);
            assert!(exchange.is_blocked(), "{name}");
            let text = (format.read_stream)(&exchange.body);
            // A record leaves whole or not at all.
            assert_eq!(text, format!("The key {REFUSAL}"), "{name} cut at {cut}");
            // At the first record, nothing has left before.
            let (reply, _) = format.streamed(&["secret-1234"], cut);
            let exchange = format.ask(&layer, "hi", true, &reply);
            assert_eq!((format.read_stream)(&exchange.body), REFUSAL, "{name}");
        }
    }
}

#[test]
fn what_is_masked_is_masked_in_requests_replies_and_streams() {
    const FLOWS: &str = r#"
define subflow mask input
  $user_message = $user_message.replace("Ann", "<NAME>")

define subflow mask output
  $bot_message = $bot_message.replace("Ann", "<NAME>")
"#;
    let yaml = "
models: []
rails:
  input: {flows: [mask input]}
  output: {flows: [mask output]}
";
    let config = RailsConfig::from_content(yaml, FLOWS).unwrap();
    let layer = GuardrailsLayer::new(LlmRails::new(config).unwrap());
    for format in formats() {
        let name = format.name;
        let exchange = format.ask(&layer, "I am Ann.", false, &format.whole("Hello Ann!"));
        let sent: Value = serde_json::from_slice(&exchange.seen[0].body).unwrap();
        assert_eq!(sent, (format.request)("I am <NAME>.", false), "{name}");
        assert_eq!((format.read)(&exchange.json()), "Hello <NAME>!", "{name}");
        for cut in CUTS {
            let (reply, _) = format.streamed(&["Hello A", "n", "n, dear", " Ann!"], cut);
            let exchange = format.ask(&layer, "hi", true, &reply);
            let text = (format.read_stream)(&exchange.body);
            assert_eq!(text, "Hello <NAME>, dear <NAME>!", "{name} cut at {cut}");
        }
    }
}

#[test]
fn rails_ask_the_model_in_the_endpoints_language() {
    let yaml = r#"
models: []
rails: {input: {flows: [self check input]}}
prompts: [{task: self_check_input, content: "JUDGE {{ user_input }}"}]
"#;
    for format in formats() {
        let name = format.name;
        let config = RailsConfig::from_content(yaml, "").unwrap();
        let layer = GuardrailsLayer::new(LlmRails::new(config).unwrap());
        let exchange = format.ask(&layer, "hi", false, &format.whole("No"));
        assert_eq!(exchange.seen.len(), 2, "{name}: {}", exchange.text());
        let question = String::from_utf8_lossy(&exchange.seen[0].body);
        assert!(question.contains("JUDGE hi"), "{name}: {question}");
        assert_eq!((format.read)(&exchange.json()), "No", "{name}");
        let exchange = format.ask(&layer, "another text", false, &format.whole("Yes"));
        assert_eq!(exchange.seen.len(), 1, "{name}");
        assert_eq!((format.read)(&exchange.json()), REFUSAL, "{name}");
    }
}
