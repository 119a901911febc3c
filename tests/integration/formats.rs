//! Every wire format keeps the layer's promises: what passes passes untouched at any cut, what is blocked is a refusal that the
//! format's clients read, what is masked is masked everywhere, and rails ask the model in the endpoint's language.

use bytes::Bytes;
use serde_json::{Value, json};
use tower_guardrails::{GuardrailsLayer, LlmRails, RailsConfig};

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

fn formats() -> [Format; 2] {
    [openai_chat(), anthropic()]
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
    let config = RailsConfig::from_content(yaml, "").unwrap();
    let layer = GuardrailsLayer::new(LlmRails::new(config).unwrap());
    for format in formats() {
        let name = format.name;
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
