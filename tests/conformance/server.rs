//! The scripted model and the services of a case, as README.md and the recorder define them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    response::Response,
};
use md5::{Digest, Md5};
use serde_json::{Map, Value, json};

const DIMENSIONS: usize = 128;

/// A server that answers by the rules of a case, and keeps what it was asked.
pub(crate) struct Scripted {
    root: String,
}

struct Script {
    llm: Vec<Value>,
    services: Vec<Value>,
    headers: Vec<String>,
    counts: Mutex<HashMap<String, u64>>,
    recorded: Mutex<Recorded>,
}

#[derive(Default)]
struct Recorded {
    requests: Vec<Value>,
    services: Vec<Value>,
    embeddings: Vec<Value>,
}

impl Scripted {
    pub(crate) async fn start(case: &Value) -> Self {
        let list = |key: &str| {
            case.get(key)
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default()
        };
        let script = Arc::new(Script {
            llm: list("llm"),
            services: list("services"),
            headers: list("headers")
                .iter()
                .filter_map(|name| name.as_str().map(str::to_owned))
                .collect(),
            counts: Mutex::default(),
            recorded: Mutex::default(),
        });
        let app = Router::new().fallback(answer).with_state(script);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let root = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { root }
    }

    pub(crate) fn root(&self) -> &str {
        &self.root
    }
}

async fn answer(State(script): State<Arc<Script>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let raw = axum::body::to_bytes(body, 64 << 20)
        .await
        .unwrap_or_default();
    let path = parts.uri.path().to_owned();
    if path == "/__recorded" {
        let recorded = std::mem::take(&mut *script.recorded.lock().expect("the lock"));
        let Recorded {
            requests,
            services,
            embeddings,
        } = recorded;
        return json_response(
            200,
            &json!({"requests": requests, "services": services, "embeddings": embeddings}),
        );
    }
    let body: Value = match raw.is_empty() {
        true => json!({}),
        false => serde_json::from_slice(&raw)
            .unwrap_or_else(|_| String::from_utf8_lossy(&raw).into_owned().into()),
    };
    let target = parts
        .uri
        .path_and_query()
        .map_or(path.clone(), ToString::to_string);
    // As in the recordings: an address with a query, such as Azure's, is a service's.
    if target.ends_with("/chat/completions") {
        let mut seen = body.clone();
        if !script.headers.is_empty() {
            let header = |name: &String| {
                parts.headers.get(name).map_or(Value::Null, |value| {
                    String::from_utf8_lossy(value.as_bytes()).into()
                })
            };
            let headers: Map<String, Value> = script
                .headers
                .iter()
                .map(|name| (name.clone(), header(name)))
                .collect();
            seen["headers"] = headers.into();
        }
        return chat(&script, &body, seen).await;
    }
    if target.ends_with("/embeddings") {
        return embeddings(&script, &body);
    }
    service(&script, &path, &target, &body)
}

fn json_response(status: u16, body: &Value) -> Response {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .expect("a response")
}

fn text_of(content: Option<&Value>) -> String {
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts
            .iter()
            .filter_map(|part| part.get("text")?.as_str())
            .collect(),
        _ => String::new(),
    }
}

fn pick<'a>(script: &'a Script, body: &Value) -> Option<&'a Value> {
    let model = body
        .get("model")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let messages = body
        .get("messages")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let texts: Vec<String> = messages
        .iter()
        .map(|message| text_of(message.get("content")))
        .collect();
    let everything = texts.join("\n");
    let last = texts.last().cloned().unwrap_or_default();
    let nth = {
        let mut counts = script.counts.lock().expect("the lock");
        let count = counts.entry(model.to_owned()).or_default();
        *count += 1;
        *count
    };
    script.llm.iter().find(|rule| {
        let needles = match rule.get("contains") {
            Some(Value::String(needle)) => vec![needle.as_str()],
            Some(Value::Array(needles)) => needles.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        rule.get("model").is_none_or(|wanted| wanted == model)
            && needles.iter().all(|needle| everything.contains(needle))
            && rule
                .get("last")
                .and_then(Value::as_str)
                .is_none_or(|needle| last.contains(needle))
            && rule
                .get("nth")
                .and_then(Value::as_u64)
                .is_none_or(|wanted| wanted == nth)
    })
}

async fn chat(script: &Script, body: &Value, seen: Value) -> Response {
    let none = json!({"status": 599, "reply": "no rule answers this request"});
    let rule = pick(script, body).unwrap_or(&none);
    script
        .recorded
        .lock()
        .expect("the lock")
        .requests
        .push(seen);
    let pause = |key: &str| {
        rule.get(key)
            .and_then(Value::as_u64)
            .map(Duration::from_millis)
    };
    if let Some(delay) = pause("delay_ms") {
        tokio::time::sleep(delay).await;
    }
    let status = rule.get("status").and_then(Value::as_u64).unwrap_or(200);
    let text = rule
        .get("reply")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if status != 200 {
        let message = rule
            .get("reply")
            .and_then(Value::as_str)
            .unwrap_or("scripted failure");
        let error = json!({"error": {"message": message, "type": "server_error", "param": null, "code": rule.get("code")}});
        return json_response(u16::try_from(status).unwrap_or(500), &error);
    }
    let calls = rule
        .get("tool_calls")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let finish = rule
        .get("finish")
        .and_then(Value::as_str)
        .unwrap_or(if calls.is_empty() {
            "stop"
        } else {
            "tool_calls"
        });
    let calls: Vec<Value> = calls
        .iter()
        .enumerate()
        .map(|(index, call)| tool_call(index, call))
        .collect();
    let usage = json!({"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12});
    let base =
        json!({"id": "chatcmpl-scripted", "created": 1_700_000_000, "model": body.get("model")});
    let with = |more: Value| {
        let mut object = base.clone();
        object
            .as_object_mut()
            .expect("an object")
            .extend(more.as_object().cloned().unwrap_or_default());
        object
    };
    if body.get("stream") != Some(&Value::Bool(true)) {
        let content = if text.is_empty() && !calls.is_empty() {
            Value::Null
        } else {
            text.into()
        };
        let mut message = json!({"role": "assistant", "content": content});
        if let Some(reasoning) = rule.get("reasoning") {
            message["reasoning_content"] = reasoning.clone();
        }
        if !calls.is_empty() {
            message["tool_calls"] = calls.into();
        }
        let choice = json!({"index": 0, "message": message, "finish_reason": finish});
        return json_response(
            200,
            &with(json!({"object": "chat.completion", "choices": [choice], "usage": usage})),
        );
    }
    let delta = |delta: Value, finish: Value| {
        with(
            json!({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}),
        )
    };
    let mut events = vec![(
        None,
        delta(json!({"role": "assistant", "content": ""}), Value::Null),
    )];
    if let Some(reasoning) = rule.get("reasoning") {
        events.push((
            None,
            delta(json!({"reasoning_content": reasoning}), Value::Null),
        ));
    }
    let chunks: Vec<String> = match rule.get("chunks").and_then(Value::as_array) {
        Some(chunks) => chunks
            .iter()
            .filter_map(|chunk| chunk.as_str().map(str::to_owned))
            .collect(),
        None => split_chunks(text),
    };
    let break_after = rule
        .get("break_after")
        .and_then(Value::as_u64)
        .and_then(|count| usize::try_from(count).ok());
    let chunk_delay = pause("chunk_delay_ms");
    let mut broken = false;
    for (index, chunk) in chunks.iter().enumerate() {
        if break_after == Some(index) {
            broken = true;
            break;
        }
        events.push((chunk_delay, delta(json!({"content": chunk}), Value::Null)));
    }
    let mut tail = String::new();
    if !broken {
        for (index, call) in calls.iter().enumerate() {
            let mut call = call.clone();
            call["index"] = index.into();
            events.push((None, delta(json!({"tool_calls": [call]}), Value::Null)));
        }
        events.push((None, delta(json!({}), finish.into())));
        if body.pointer("/stream_options/include_usage") == Some(&Value::Bool(true)) {
            events.push((
                None,
                with(json!({"object": "chat.completion.chunk", "choices": [], "usage": usage})),
            ));
        }
        tail.push_str("data: [DONE]\n\n");
    }
    let stream = futures_util::stream::unfold(
        (events.into_iter(), Some(tail)),
        |(mut events, tail)| async move {
            match events.next() {
                Some((pause, event)) => {
                    if let Some(pause) = pause {
                        tokio::time::sleep(pause).await;
                    }
                    Some((
                        Ok::<_, std::io::Error>(Bytes::from(format!("data: {event}\n\n"))),
                        (events, tail),
                    ))
                }
                None => tail
                    .filter(|tail| !tail.is_empty())
                    .map(|tail| (Ok(Bytes::from(tail)), (events, None))),
            }
        },
    );
    Response::builder()
        .header("content-type", "text/event-stream")
        .body(Body::from_stream(stream))
        .expect("a response")
}

fn tool_call(index: usize, call: &Value) -> Value {
    let arguments = call.get("arguments").cloned().unwrap_or_else(|| json!({}));
    json!({
        "id": call.get("id").cloned().unwrap_or_else(|| format!("call_{index}").into()),
        "type": "function",
        "function": {"name": call.get("name"), "arguments": arguments.to_string()},
    })
}

/// Each word with the space before it.
fn split_chunks(text: &str) -> Vec<String> {
    let mut chunks: Vec<String> = Vec::new();
    let mut current = String::new();
    let mut in_word = false;
    for character in text.chars() {
        if character.is_whitespace() && in_word {
            chunks.push(std::mem::take(&mut current));
            in_word = false;
        } else if !character.is_whitespace() {
            in_word = true;
        }
        current.push(character);
    }
    if !current.is_empty() {
        chunks.push(current);
    }
    chunks
}

fn embeddings(script: &Script, body: &Value) -> Response {
    let texts = match body.get("input") {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(texts)) => texts
            .iter()
            .filter_map(|text| text.as_str().map(str::to_owned))
            .collect(),
        _ => Vec::new(),
    };
    if texts != ["test"] {
        script
            .recorded
            .lock()
            .expect("the lock")
            .embeddings
            .push(json!(texts));
    }
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| json!({"object": "embedding", "index": index, "embedding": embed(text)}))
        .collect();
    json_response(
        200,
        &json!({"object": "list", "model": body.get("model"), "data": data, "usage": {"prompt_tokens": 1, "total_tokens": 1}}),
    )
}

/// A bag of words: md5 of each word, counted modulo 128, of length 1.
fn embed(text: &str) -> Vec<f64> {
    let mut vector = vec![0.0; DIMENSIONS];
    let lower = text.to_lowercase();
    for word in lower
        .split(|character: char| !character.is_ascii_lowercase() && !character.is_ascii_digit())
        .filter(|word| !word.is_empty())
    {
        let hash = Md5::digest(word);
        let number = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
        vector[number as usize % DIMENSIONS] += 1.0;
    }
    let norm = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
    let norm = if norm == 0.0 { 1.0 } else { norm };
    vector.into_iter().map(|value| value / norm).collect()
}

fn service(script: &Script, path: &str, target: &str, body: &Value) -> Response {
    script
        .recorded
        .lock()
        .expect("the lock")
        .services
        .push(json!({"path": target, "body": body}));
    let text = body.to_string();
    let spaced = text.replace("\":", "\": ").replace(",\"", ", \"");
    let found = script.services.iter().find(|rule| {
        rule.get("path").is_some_and(|wanted| wanted == path)
            && rule
                .get("contains")
                .and_then(Value::as_str)
                .is_none_or(|needle| text.contains(needle) || spaced.contains(needle))
    });
    match found {
        Some(rule) => {
            let status = rule
                .get("status")
                .and_then(Value::as_u64)
                .and_then(|status| u16::try_from(status).ok())
                .unwrap_or(200);
            json_response(
                status,
                &rule.get("json").cloned().unwrap_or_else(|| json!({})),
            )
        }
        None => json_response(
            404,
            &json!({"error": format!("no service rule for {target}")}),
        ),
    }
}
