use std::sync::Arc;

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::{
    error::{ModelError, ModelErrorKind},
    http::{
        Client,
        testing::{Answer, Server, Step, answer, json as json_answer, stream},
    },
    llm::{Model, ModelChunk, ModelReply, ModelRequest},
    message::{Message, ToolCall},
};

fn no_environment(_: &str) -> Option<String> {
    None
}

fn model_of(config: Value) -> Result<Arc<dyn Model>, ModelError> {
    let config = serde_json::from_value(config).unwrap();
    super::from_config(&config, &Client::default(), &no_environment).map(|made| made.model)
}

fn model(server: &Server, parameters: Value) -> Arc<dyn Model> {
    let mut config = json!({"type": "main", "engine": "openai", "model": "m", "parameters": {
        "base_url": format!("{}/v1/", server.url), "api_key": "sk-test-key-1", "max_retries": 0,
    }});
    let all = config["parameters"].as_object_mut().unwrap();
    all.extend(parameters.as_object().unwrap().clone());
    model_of(config).unwrap()
}

fn request() -> ModelRequest {
    ModelRequest::new(vec![Message::user("Hi")])
}

async fn complete(script: Answer) -> Result<ModelReply, ModelError> {
    let server = Server::start(vec![script]).await;
    model(&server, json!({})).complete(request()).await
}

fn reply(message: Value) -> Answer {
    json_answer(
        200,
        &json!({"id": "r1", "object": "chat.completion", "created": 1, "model": "m-1", "choices": [
        {"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 5}}),
    )
}

#[tokio::test]
async fn a_whole_answer() {
    let server = Server::start(vec![reply(
        json!({"role": "assistant", "content": "Hello."}),
    )])
    .await;
    let model = model(
        &server,
        json!({"temperature": 0.5, "top_p": 1, "default_headers": {"X-Own": 3}, "default_query": {"q": "a b"}}),
    );
    let mut request = request();
    request.parameters.insert("temperature".into(), json!(0.1));
    request.parameters.insert("stop".into(), json!([]));
    let answered = model.complete(request).await.unwrap();
    assert_eq!(answered.content, "Hello.");
    assert_eq!(answered.finish_reason.as_deref(), Some("stop"));
    assert_eq!(answered.usage.unwrap().total_tokens, 12);
    assert_eq!(
        answered.metadata,
        *json!({"id": "r1", "model": "m-1"}).as_object().unwrap()
    );
    let received = server.received().remove(0);
    assert_eq!(
        received.json(),
        json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0.1, "top_p": 1})
    );
    assert!(
        received
            .head
            .starts_with("POST /v1/chat/completions?q=a+b HTTP"),
        "{}",
        received.head
    );
    for header in ["authorization: bearer sk-test-key-1", "x-own: 3"] {
        assert!(
            received.head.to_lowercase().contains(header),
            "{}",
            received.head
        );
    }
}

#[tokio::test]
async fn messages_on_the_wire() {
    let server = Server::start(vec![reply(json!({"content": "x"}))]).await;
    let mut call = Message::assistant("");
    call.content = crate::message::Content::None;
    call.reasoning_content = Some("hm".into());
    call.tool_calls = vec![ToolCall {
        id: Some("c1".into()),
        name: "f".into(),
        arguments: json!({"a": ["é"]}),
    }];
    let messages = vec![Message::system("s"), call, Message::tool("c1", "done")];
    model(&server, json!({}))
        .complete(ModelRequest::new(messages))
        .await
        .unwrap();
    assert_eq!(
        server.received()[0].json()["messages"],
        json!([
            {"role": "system", "content": "s"},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"a\": [\"\\u00e9\"]}"}}]},
            {"role": "tool", "content": "done", "tool_call_id": "c1"},
        ])
    );
}

#[tokio::test]
async fn reasoning_and_tool_calls() {
    let answered = complete(reply(
        json!({"content": null, "reasoning_content": "hm", "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}},
        {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{broken"}},
        {"id": "c3", "type": "function", "function": {"name": "h", "arguments": ""}}]}),
    ))
    .await
    .unwrap();
    assert_eq!(answered.reasoning.as_deref(), Some("hm"));
    let arguments: Vec<_> = answered
        .tool_calls
        .iter()
        .map(|call| &call.arguments)
        .collect();
    assert_eq!(arguments, [&json!({"a": 1}), &json!("{broken"), &json!({})]);
    let answered = complete(reply(json!({"content": "<think>hm</think>\nHi"})))
        .await
        .unwrap();
    assert_eq!(
        (answered.reasoning.as_deref(), answered.content.as_str()),
        (Some("hm"), "Hi")
    );
}

#[tokio::test]
async fn no_clear_answer_is_known_as_such() {
    for (message, expected) in [
        (json!({"content": "No"}), false),
        (json!({"content": "<think>Yes?</think>No"}), false),
        (json!({"content": "No", "refusal": null}), false),
        (json!({"content": null, "refusal": "No, I can't."}), true),
        (json!({"content": "No", "refusal": "No."}), true),
        (json!({"content": "<think>No, wait. Yes"}), true),
        (json!({"content": "No<think>Yes</think>"}), true),
    ] {
        let answered = complete(reply(message.clone())).await.unwrap();
        assert_eq!(answered.is_unclear, expected, "{message}");
    }
}

#[tokio::test]
async fn a_refusal_is_what_is_said() {
    let refusal = json!({"content": null, "refusal": "I will not."});
    assert_eq!(
        complete(reply(refusal)).await.unwrap().content,
        "I will not."
    );
    let chunks = chunks(stream(&[
        delta(json!({"refusal": "No."}), json!(null)).as_bytes()
    ]))
    .await;
    assert_eq!(chunks[0].as_ref().unwrap().content, "No.");
}

#[tokio::test]
async fn usage_in_streams_can_be_left_out() {
    let server = Server::start(vec![stream(&[b"data: [DONE]\n\n"])]).await;
    let model = model(&server, json!({"include_usage_in_stream": false}));
    let stream = model.stream(request()).await.unwrap();
    assert_eq!(stream.count().await, 0);
    let body = server.received()[0].json();
    assert_eq!(
        (body.get("stream_options"), &body["stream"]),
        (None, &json!(true))
    );
}

#[tokio::test]
async fn dropping_a_stream_ends_the_call() {
    let (dropped, mut closed) = tokio::sync::mpsc::channel::<()>(1);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"}") {
            connection.read_buf(&mut bytes).await.unwrap();
        }
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        let event = delta(json!({"content": "Hi"}), json!(null));
        connection
            .write_all(format!("{head}{event}").as_bytes())
            .await
            .unwrap();
        let _ = connection.read_to_end(&mut bytes).await;
        let _ = dropped.send(()).await;
    });
    let config =
        json!({"type": "main", "engine": "x", "model": "m", "parameters": {"base_url": url}});
    let mut stream = model_of(config).unwrap().stream(request()).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().content, "Hi");
    drop(stream);
    let closed = tokio::time::timeout(std::time::Duration::from_secs(5), closed.recv()).await;
    assert!(closed.is_ok(), "the connection stays open");
}

#[tokio::test]
async fn reasoning_models_get_other_parameters() {
    for (name, reasons) in [
        ("o1", true),
        ("O3-mini", true),
        ("gpt-5", true),
        ("gpt-5-chat-latest", false),
        ("gpt-5.1", true),
        ("gpt-6", true),
        ("gpt-4o", false),
        ("o1x", false),
    ] {
        let server = Server::start(vec![reply(json!({"content": "x"}))]).await;
        let model = model_of(
            json!({"type": "main", "engine": "x", "model": name, "parameters": {
            "base_url": server.url, "temperature": 0, "max_tokens": 9, "stop": ["a"]}}),
        );
        model.unwrap().complete(request()).await.unwrap();
        let mut body = server.received()[0].json();
        let body = body.as_object_mut().unwrap();
        body.remove("messages");
        body.remove("model");
        let expected = if reasons {
            json!({"max_completion_tokens": 9})
        } else {
            json!({"temperature": 0, "max_tokens": 9, "stop": ["a"]})
        };
        assert_eq!(Value::Object(body.clone()), expected, "{name}");
    }
}

#[tokio::test]
async fn failures_have_kinds() {
    use ModelErrorKind::*;
    let error = |message: &str| json!({"error": {"message": message, "code": "c"}});
    for (status, body, kind, message) in [
        (
            401,
            error("bad key sk-test-key-1"),
            Authentication,
            "bad key sk-***",
        ),
        (403, json!({"message": "no"}), Authentication, "no"),
        (
            400,
            error("maximum context length is 9"),
            ContextWindow,
            "maximum context length is 9",
        ),
        (400, error("odd"), BadRequest, "odd"),
        (404, json!({"detail": "gone"}), BadRequest, "gone"),
        (429, json!({"error": "slow"}), RateLimit, "slow"),
        (500, json!([]), Server, "[]"),
        (302, json!({}), InvalidResponse, "{}"),
    ] {
        let failed = complete(json_answer(status, &body)).await.unwrap_err();
        assert_eq!((failed.kind, failed.message.as_str()), (kind, message));
        assert_eq!(failed.status, Some(status));
        let has_code = body.pointer("/error/code").is_some();
        assert_eq!(failed.code.is_some(), has_code);
    }
    let failed = complete(answer(429, "retry-after: 7\r\n", ""))
        .await
        .unwrap_err();
    assert_eq!(failed.retry_after, Some(std::time::Duration::from_secs(7)));
    for broken in [
        "",
        "<html>",
        "[]",
        "{}",
        r#"{"choices": []}"#,
        r#"{"choices": [{"message": 1}]}"#,
    ] {
        let failed = complete(answer(200, "", broken)).await.unwrap_err();
        assert_eq!(failed.kind, InvalidResponse, "{broken}");
    }
    let failed = complete(vec![Step::Reset]).await.unwrap_err();
    assert_eq!(failed.kind, Connection);
}

async fn chunks(script: Answer) -> Vec<Result<ModelChunk, ModelError>> {
    let server = Server::start(vec![script]).await;
    let model = model(&server, json!({}));
    let stream = model.stream(request()).await.unwrap();
    let chunks = stream.collect().await;
    let body = server.received()[0].json();
    assert_eq!(
        (&body["stream"], &body["stream_options"]),
        (&json!(true), &json!({"include_usage": true}))
    );
    chunks
}

fn event(payload: Value) -> String {
    format!("data: {payload}\n\n")
}

fn delta(delta: Value, finish: Value) -> String {
    event(json!({"id": "r1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}))
}

fn whole_stream() -> String {
    [
        ": comment\n\n".to_owned(),
        delta(json!({"role": "assistant", "content": ""}), json!(null)),
        delta(json!({"reasoning_content": "hm"}), json!(null)),
        delta(json!({"content": "Héllo"}), json!(null)),
        delta(json!({"content": " there"}), json!(null)).replace('\n', "\r\n"),
        delta(json!({"tool_calls": [{"index": 1, "id": "c2", "function": {"name": "g", "arguments": ""}}]}), json!(null)),
        delta(json!({"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "f", "arguments": "{\"a\""}}]}), json!(null)),
        delta(json!({"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]}), json!(null)),
        delta(json!({}), json!("tool_calls")),
        event(json!({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}})),
        "data: [DONE]\n\n".to_owned(),
        "data: after the end\n\n".to_owned(),
    ]
    .concat()
}

#[tokio::test]
async fn a_stream_at_any_cut() {
    let text = whole_stream();
    let bytes = text.as_bytes();
    let mut expected: Option<Vec<ModelChunk>> = None;
    for size in [bytes.len(), 7, 50, 111] {
        let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
        let chunks: Vec<_> = chunks(stream(&pieces))
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        if let Some(expected) = &expected {
            assert_eq!(&chunks, expected, "cut every {size} bytes");
            continue;
        }
        let content: String = chunks.iter().map(|chunk| chunk.content.as_str()).collect();
        assert_eq!(content, "Héllo there");
        assert_eq!(chunks.len(), 9);
        assert_eq!(chunks[1].reasoning.as_deref(), Some("hm"));
        let last = &chunks[7];
        assert_eq!(last.finish_reason.as_deref(), Some("tool_calls"));
        let calls: Vec<_> = last
            .tool_calls
            .iter()
            .map(|call| (call.name.as_str(), &call.arguments))
            .collect();
        assert_eq!(calls, [("f", &json!({"a": 1})), ("g", &json!({}))]);
        assert_eq!(chunks[8].usage.unwrap().total_tokens, 3);
        expected = Some(chunks);
    }
}

#[tokio::test]
async fn a_stream_that_just_ends_is_whole() {
    let without_blank_line = delta(json!({"content": "Hi"}), json!(null));
    let chunks = chunks(stream(&[without_blank_line.trim_end().as_bytes()])).await;
    assert_eq!(chunks.len(), 1);
    assert_eq!(chunks[0].as_ref().unwrap().content, "Hi");
}

#[tokio::test]
async fn tool_calls_without_a_finish_are_given_at_the_end() {
    let call = delta(
        json!({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{"}}]}),
        json!(null),
    );
    let chunks = chunks(stream(&[call.as_bytes()])).await;
    let last = chunks.last().unwrap().as_ref().unwrap();
    assert_eq!(last.tool_calls[0].arguments, json!("{"));
}

#[tokio::test]
async fn a_stream_that_breaks_is_an_error() {
    let hi = delta(json!({"content": "Hi"}), json!(null));
    let mut reset = stream(&[hi.as_bytes()]);
    reset.push(Step::Reset);
    let head =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: text/event-stream\r\n\r\n";
    let cut = format!("{head}{:x}\r\n{hi}\r\n", hi.len());
    let too_long = format!("data: {}", "x".repeat(2 << 20));
    for (script, kind) in [
        (reset, ModelErrorKind::Connection),
        (
            vec![Step::Send(cut.into_bytes())],
            ModelErrorKind::Connection,
        ),
        (
            stream(&[hi.as_bytes(), b"data: {broken\n\n", hi.as_bytes()]),
            ModelErrorKind::InvalidResponse,
        ),
        (
            stream(&[
                hi.as_bytes(),
                b"data: {\"error\": {\"type\": \"rate_limit_error\", \"message\": \"slow\"}}\n\n",
            ]),
            ModelErrorKind::RateLimit,
        ),
        (
            stream(&[hi.as_bytes(), b"data: {\"error\": {\"code\": 503}}\n\n"]),
            ModelErrorKind::Server,
        ),
        (
            stream(&[hi.as_bytes(), too_long.as_bytes()]),
            ModelErrorKind::InvalidResponse,
        ),
    ] {
        let chunks = chunks(script).await;
        assert_eq!(chunks.len(), 2, "{kind:?}");
        assert_eq!(chunks[0].as_ref().unwrap().content, "Hi");
        assert_eq!(chunks[1].as_ref().unwrap_err().kind, kind);
    }
}

#[tokio::test]
async fn a_whole_answer_to_a_stream_is_one_piece() {
    let chunks = chunks(reply(json!({"content": "Hi"}))).await;
    assert_eq!(chunks.len(), 1);
    assert_eq!(chunks[0].as_ref().unwrap().content, "Hi");
}

#[test]
fn settings_that_cannot_work_are_refused() {
    for parameters in [
        json!({}),
        json!({"base_url": 3}),
        json!({"base_url": "http://h", "timeout": -1}),
        json!({"base_url": "http://h", "timeout": "soon"}),
        json!({"base_url": "http://h", "max_retries": 1.5}),
        json!({"base_url": "http://h", "default_headers": ["a"]}),
    ] {
        let config =
            json!({"type": "main", "engine": "unheard", "model": "m", "parameters": parameters});
        let error = model_of(config).unwrap_err();
        assert_eq!(error.kind, ModelErrorKind::Configuration, "{error}");
    }
}
