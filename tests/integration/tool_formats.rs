//! Rails on tools in every format that has tools: calls are judged and rewritten on the way out, results on the way in.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::{Value, json};
use tower_guardrails::{GuardrailsLayer, LlmRails, RailsConfig, actions::Args};

use crate::{
    aws,
    support::{Exchange, Reply, exchange, post, run},
};

/// A format, as far as tools go.
struct Format {
    name: &'static str,
    path: &'static str,
    stream_path: &'static str,
    content_type: &'static str,
    /// A request that offers `book(port, seats)` and `ping()`, and in which a tool said a text.
    request: fn(result: &str) -> Value,
    /// A whole reply that calls a tool.
    reply: fn(name: &str, arguments: &Value) -> Value,
    /// The same as a stream.
    stream: fn(name: &str, arguments: &Value) -> Vec<u8>,
}

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {"port": {"enum": ["Delft", "Hoorn"]}, "seats": {"type": "integer", "maximum": 4}},
        "required": ["port"],
        "additionalProperties": false,
    })
}

fn events(records: &[Value]) -> Vec<u8> {
    let events = records.iter().map(|record| match record["type"].as_str() {
        Some(kind) => format!("event: {kind}\ndata: {record}\n\n"),
        None => format!("data: {record}\n\n"),
    });
    events.collect::<String>().into_bytes()
}

fn anthropic_records(name: &str, arguments: &Value) -> Vec<Value> {
    let arguments = arguments.to_string();
    let (one, two) = arguments.split_at(arguments.len() / 2);
    let delta = |json: &str| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": json}});
    vec![
        json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": [], "stop_reason": null, "usage": {"input_tokens": 1, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t1", "name": name, "input": {}}}),
        delta(one),
        delta(two),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null}, "usage": {"output_tokens": 2}}),
        json!({"type": "message_stop"}),
    ]
}

fn anthropic() -> Format {
    Format {
        name: "anthropic_messages",
        path: "/v1/messages",
        stream_path: "/v1/messages",
        content_type: "text/event-stream",
        request: |result| {
            json!({
                "model": "claude", "max_tokens": 9,
                "tools": [{"name": "book", "input_schema": schema()}, {"name": "ping", "input_schema": {"type": "object"}}],
                "messages": [
                    {"role": "user", "content": "a boat!"},
                    {"role": "assistant", "content": [{"type": "tool_use", "id": "t0", "name": "ping", "input": {}}]},
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t0", "content": [{"type": "text", "text": result}]}]},
                ],
            })
        },
        reply: |name, arguments| json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": [{"type": "tool_use", "id": "t1", "name": name, "input": arguments}], "stop_reason": "tool_use", "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 2}}),
        stream: |name, arguments| events(&anthropic_records(name, arguments)),
    }
}

fn chunks() -> Format {
    Format {
        name: "anthropic, chunks",
        path: "/model/us.anthropic.claude-v1/invoke",
        stream_path: "/model/us.anthropic.claude-v1/invoke-with-response-stream",
        content_type: "application/vnd.amazon.eventstream",
        stream: |name, arguments| {
            let records = anthropic_records(name, arguments)
                .into_iter()
                .map(|record| {
                    let bytes = STANDARD.encode(record.to_string());
                    aws::event("chunk", &json!({"bytes": bytes}))
                });
            records.collect::<Vec<_>>().concat()
        },
        ..anthropic()
    }
}

fn responses() -> Format {
    fn item(name: &str, arguments: &Value) -> Value {
        json!({"type": "function_call", "id": "fc_1", "call_id": "c1", "name": name, "arguments": arguments.to_string(), "status": "completed"})
    }
    fn object(output: Value) -> Value {
        json!({"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m", "output": output, "error": null, "incomplete_details": null})
    }
    Format {
        name: "openai_responses",
        path: "/v1/responses",
        stream_path: "/v1/responses",
        content_type: "text/event-stream",
        request: |result| {
            json!({
                "model": "m",
                "tools": [{"type": "function", "name": "book", "parameters": schema()}, {"type": "function", "name": "ping"}],
                "input": [
                    {"role": "user", "content": "a boat!"},
                    {"type": "function_call", "call_id": "c0", "name": "ping", "arguments": "{}"},
                    {"type": "function_call_output", "call_id": "c0", "output": result},
                ],
            })
        },
        reply: |name, arguments| object(json!([item(name, arguments)])),
        stream: |name, arguments| {
            let mut begun = item(name, arguments);
            begun["arguments"] = "".into();
            let text = arguments.to_string();
            let (one, two) = text.split_at(text.len() / 2);
            let delta = |delta: &str| json!({"type": "response.function_call_arguments.delta", "item_id": "fc_1", "output_index": 0, "delta": delta});
            let mut records = vec![
                json!({"type": "response.created", "response": object(json!([]))}),
                json!({"type": "response.output_item.added", "output_index": 0, "item": begun}),
                delta(one),
                delta(two),
                json!({"type": "response.function_call_arguments.done", "item_id": "fc_1", "output_index": 0, "arguments": text}),
                json!({"type": "response.output_item.done", "output_index": 0, "item": item(name, arguments)}),
                json!({"type": "response.completed", "response": object(json!([item(name, arguments)]))}),
            ];
            for (number, record) in records.iter_mut().enumerate() {
                record["sequence_number"] = number.into();
            }
            events(&records)
        },
    }
}

fn gemini() -> Format {
    fn record(name: &str, arguments: &Value) -> Value {
        json!({"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"functionCall": {"name": name, "args": arguments}}]}, "finishReason": "STOP"}], "modelVersion": "g"})
    }
    Format {
        name: "gemini",
        path: "/v1beta/models/g:generateContent",
        stream_path: "/v1beta/models/g:streamGenerateContent?alt=sse",
        content_type: "text/event-stream",
        request: |result| {
            json!({
                "tools": [{"functionDeclarations": [{"name": "book", "parametersJsonSchema": schema()}, {"name": "ping"}]}],
                "contents": [
                    {"role": "user", "parts": [{"text": "a boat!"}]},
                    {"role": "model", "parts": [{"functionCall": {"name": "ping", "args": {}}}]},
                    {"role": "user", "parts": [{"functionResponse": {"name": "ping", "response": {"said": result}}}]},
                ],
            })
        },
        reply: record,
        stream: |name, arguments| events(&[record(name, arguments)]),
    }
}

fn ollama() -> Format {
    fn record(name: &str, arguments: &Value, done: bool) -> Value {
        json!({"model": "m", "created_at": "2026-12-01T00:00:00Z", "message": {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": name, "arguments": arguments}}]}, "done": done})
    }
    Format {
        name: "ollama",
        path: "/api/chat",
        stream_path: "/api/chat",
        content_type: "application/x-ndjson",
        request: |result| {
            json!({
                "model": "m",
                "tools": [{"type": "function", "function": {"name": "book", "parameters": schema()}}, {"type": "function", "function": {"name": "ping"}}],
                "messages": [
                    {"role": "user", "content": "a boat!"},
                    {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "ping", "arguments": {}}}]},
                    {"role": "tool", "tool_name": "ping", "content": result},
                ],
            })
        },
        reply: |name, arguments| record(name, arguments, true),
        stream: |name, arguments| {
            let end = json!({"model": "m", "message": {"role": "assistant", "content": ""}, "done": true, "done_reason": "stop"});
            format!("{}\n{end}\n", record(name, arguments, false)).into_bytes()
        },
    }
}

fn converse() -> Format {
    Format {
        name: "bedrock_converse",
        path: "/model/m/converse",
        stream_path: "/model/m/converse-stream",
        content_type: "application/vnd.amazon.eventstream",
        request: |result| {
            json!({
                "toolConfig": {"tools": [{"toolSpec": {"name": "book", "inputSchema": {"json": schema()}}}, {"toolSpec": {"name": "ping", "inputSchema": {"json": {"type": "object"}}}}]},
                "messages": [
                    {"role": "user", "content": [{"text": "a boat!"}]},
                    {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t0", "name": "ping", "input": {}}}]},
                    {"role": "user", "content": [{"toolResult": {"toolUseId": "t0", "content": [{"text": result}]}}]},
                ],
            })
        },
        reply: |name, arguments| json!({"output": {"message": {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t1", "name": name, "input": arguments}}]}}, "stopReason": "tool_use", "usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}, "metrics": {"latencyMs": 5}}),
        stream: |name, arguments| {
            let text = arguments.to_string();
            let (one, two) = text.split_at(text.len() / 2);
            let delta = |input: &str| {
                aws::event(
                    "contentBlockDelta",
                    &json!({"contentBlockIndex": 0, "delta": {"toolUse": {"input": input}}}),
                )
            };
            [
                aws::event("messageStart", &json!({"role": "assistant"})),
                aws::event("contentBlockStart", &json!({"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "t1", "name": name}}})),
                delta(one),
                delta(two),
                aws::event("contentBlockStop", &json!({"contentBlockIndex": 0})),
                aws::event("messageStop", &json!({"stopReason": "tool_use"})),
                aws::event("metadata", &json!({"usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}, "metrics": {"latencyMs": 5}})),
            ]
            .concat()
        },
    }
}

fn formats() -> Vec<Format> {
    vec![
        anthropic(),
        chunks(),
        responses(),
        gemini(),
        ollama(),
        converse(),
    ]
}

fn layer(rails: &str) -> GuardrailsLayer {
    const FLOWS: &str = r#"
define subflow small rooms
  $tool_calls = execute shrink(calls=$tool_calls)

define subflow clean results
  if "password" in $tool_message
    $tool_message = $tool_message.replace("hunter2", "***")

define subflow only bookings
  if $tool_calls[0].function.name != "book"
    bot refuse to respond
    stop
"#;
    let config = RailsConfig::from_content(&format!("models: []\nrails:\n{rails}"), FLOWS);
    let shrink = async |Args(call): Args<Value>| {
        let mut calls = call["calls"].clone();
        for call in calls.as_array_mut().unwrap() {
            call["function"]["arguments"]["seats"] = json!(1);
        }
        Ok::<_, std::convert::Infallible>(calls)
    };
    let rails = LlmRails::builder(config.unwrap()).action("shrink", shrink);
    GuardrailsLayer::new(rails.build().unwrap())
}

impl Format {
    fn whole(&self, layer: &GuardrailsLayer, reply: &Value) -> Exchange {
        let request = with_stream((self.request)("it is done"), false).to_string();
        run(exchange(
            layer,
            post(self.path, request),
            &Reply::json(reply.to_string()),
        ))
    }

    fn streamed(&self, layer: &GuardrailsLayer, stream: &[u8], cut: usize) -> Exchange {
        let request = with_stream((self.request)("it is done"), true).to_string();
        let frames = stream.chunks(cut).map(Bytes::copy_from_slice).collect();
        let reply = Reply::of(self.content_type, frames);
        run(exchange(layer, post(self.stream_path, request), &reply))
    }
}

/// A request that asks for a stream, or not, where its format says so in the body.
fn with_stream(mut request: Value, stream: bool) -> Value {
    if request.get("model").is_some() {
        request["stream"] = stream.into();
    }
    request
}

/// The text of a body, with what stands in chunks unpacked.
fn text(exchange: &Exchange) -> String {
    let is_aws = exchange.headers["content-type"] == "application/vnd.amazon.eventstream";
    if !is_aws {
        return exchange.text();
    }
    let messages = aws::messages(&exchange.body).into_iter();
    messages
        .map(|(kind, payload)| match payload["bytes"].as_str() {
            Some(bytes) => String::from_utf8(STANDARD.decode(bytes).unwrap()).unwrap(),
            None => format!("{kind} {payload}"),
        })
        .collect()
}

const VALIDATE: &str = "  tool_output: {flows: [tool call validation]}\n";

#[test]
fn good_calls_pass_untouched_in_every_format() {
    for rails in [VALIDATE, "  tool_output: {flows: [only bookings]}\n"] {
        let layer = layer(rails);
        for format in formats() {
            let arguments = json!({"port": "Delft", "seats": 2});
            let reply = (format.reply)("book", &arguments);
            let exchange = format.whole(&layer, &reply);
            assert_eq!(exchange.text(), reply.to_string(), "{}", format.name);
            let stream = (format.stream)("book", &arguments);
            for cut in [1, 50, 1 << 20] {
                let exchange = format.streamed(&layer, &stream, cut);
                assert_eq!(
                    exchange.body,
                    stream,
                    "{} cut at {cut}: {}",
                    format.name,
                    exchange.text()
                );
            }
        }
    }
}

#[test]
fn bad_calls_never_leave_in_any_format() {
    let layer = layer(VALIDATE);
    for format in formats() {
        for (name, arguments) in [
            ("delete_all", json!({})),
            ("book", json!({"port": "Atlantis"})),
            ("book", json!({"port": "Delft", "seats": 5000})),
            ("book", json!({"port": "Delft", "secretly": true})),
        ] {
            let leaks = |text: &str| {
                ["delete_all", "Atlantis", "5000", "secretly"]
                    .iter()
                    .any(|word| text.contains(word))
            };
            let exchange = format.whole(&layer, &(format.reply)(name, &arguments));
            assert!(exchange.is_blocked(), "{} {name}", format.name);
            assert!(
                !leaks(&exchange.text()),
                "{}: {}",
                format.name,
                exchange.text()
            );
            let stream = (format.stream)(name, &arguments);
            for cut in [1, 50, 1 << 20] {
                let exchange = format.streamed(&layer, &stream, cut);
                assert!(exchange.is_blocked(), "{} {name} cut at {cut}", format.name);
                assert!(
                    !leaks(&text(&exchange)),
                    "{}: {}",
                    format.name,
                    text(&exchange)
                );
            }
        }
    }
}

#[test]
fn calls_are_rewritten_in_every_format() {
    let layer = layer("  tool_output: {flows: [small rooms]}\n");
    for format in formats() {
        let exchange = format.whole(
            &layer,
            &(format.reply)("book", &json!({"port": "Delft", "seats": 7})),
        );
        let expected = (format.reply)("book", &json!({"port": "Delft", "seats": 1}));
        assert_eq!(exchange.json(), expected, "{}", format.name);
        let stream = (format.stream)("book", &json!({"port": "Delft", "seats": 7}));
        let exchange = format.streamed(&layer, &stream, 50);
        let text = text(&exchange).replace('\\', "");
        assert!(!text.contains("\"seats\":7"), "{}: {text}", format.name);
        assert!(
            text.contains("\"seats\":1") && text.contains("Delft"),
            "{}: {text}",
            format.name
        );
    }
}

#[test]
fn results_are_rewritten_in_every_format() {
    let layer = layer("  tool_input: {flows: [clean results]}\n");
    for format in formats() {
        let request = with_stream((format.request)("the password is hunter2"), false).to_string();
        let reply = Reply::json((format.reply)("ping", &json!({})).to_string());
        let exchange = run(exchange(&layer, post(format.path, request), &reply));
        assert_eq!(
            exchange.seen.len(),
            1,
            "{}: {}",
            format.name,
            exchange.text()
        );
        let sent: Value = serde_json::from_slice(&exchange.seen[0].body).unwrap();
        let expected = with_stream((format.request)("the password is ***"), false);
        assert_eq!(sent, expected, "{}", format.name);
    }
}
