//! `rails.output.streaming`, and rails that ask a model about windows of a stream.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::json;
use tokio::sync::mpsc;
use tower::{Layer, ServiceExt, service_fn};
use tower_guardrails::{
    GuardrailsLayer, LlmRails,
    error::{ModelError, ModelErrorKind},
    layer::{BlockResponse, OnRailError, RequestBody},
    llm::{Model, ModelReply, ModelRequest},
};

use crate::support::{
    REFUSAL, Reply, STREAM, chat, chunks, config, content_stream, delta_event, exchange,
    finish_reason, joined, payloads, rails, regex_layer, regex_yaml, run,
};

/// What the scripted model does when it is asked.
#[derive(Debug, Clone, Copy)]
enum Answer {
    Yes,
    No,
    Fail,
}

/// A model that answers `No` unless the script says otherwise, and notes what it was asked.
#[derive(Debug, Clone)]
struct Script {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Script {
    fn new(answers: &[Answer]) -> Self {
        Self {
            answers: Arc::new(Mutex::new(answers.iter().copied().collect())),
            asked: Arc::default(),
        }
    }

    /// The texts that it was asked about.
    fn texts(&self) -> Vec<String> {
        self.asked
            .lock()
            .unwrap()
            .iter()
            .map(|prompt| {
                let (_, rest) = prompt.split_once("<<").expect("the prompt's mark");
                rest.rsplit_once(">>")
                    .expect("the prompt's mark")
                    .0
                    .to_owned()
            })
            .collect()
    }
}

impl Model for Script {
    fn name(&self) -> &str {
        "script"
    }

    fn complete(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelReply, ModelError>> {
        let prompt: String = request
            .messages
            .iter()
            .map(|message| message.content.text().into_owned())
            .collect();
        self.asked.lock().unwrap().push(prompt);
        let answer = self.answers.lock().unwrap().pop_front();
        Box::pin(async move {
            let mut reply = ModelReply::default();
            reply.content = match answer {
                Some(Answer::Yes) => "Yes".to_owned(),
                Some(Answer::No) | None => "No".to_owned(),
                Some(Answer::Fail) => {
                    return Err(ModelError::new(ModelErrorKind::BadRequest, "script", "no"));
                }
            };
            Ok(reply)
        })
    }
}

/// A layer whose output rail asks `script`.
fn asking_layer(script: &Script, streaming: &str) -> GuardrailsLayer {
    let yaml = format!(
        "
models: []
prompts:
  - task: self_check_output
    content: 'Is this bad? <<{{{{ bot_response }}}}>> Yes or no?'
rails:
  output:
    flows:
      - self check output
    {streaming}
"
    );
    let rails = LlmRails::builder(config(&yaml))
        .model("main", script.clone())
        .build()
        .expect("good rails");
    GuardrailsLayer::new(rails)
}

/// Numbers of the service's, some of which once stood for marks of the layer's own.
#[test]
fn rails_that_ask_read_calls_of_any_index() {
    for index in [0_u32, 7, 1 << 30, 1 << 31, u32::MAX - 1, u32::MAX] {
        let script = Script::new(&[Answer::Yes]);
        let layer = asking_layer(&script, WINDOWS);
        let call = json!({"index": index, "id": "c", "function": {"name": "f", "arguments": "{\"a\": \"bad\"}"}});
        let events = [
            json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}),
            json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}),
        ];
        let stream: String = events
            .iter()
            .map(|event| format!("data: {event}\n\n"))
            .collect();
        let reply = Reply::events(vec![(stream + "data: [DONE]\n\n").into()]);
        let exchange = run(exchange(&layer, chat(STREAM), &reply));
        assert!(exchange.is_blocked(), "{index}: {}", exchange.text());
        assert!(!exchange.text().contains("bad"), "{index}");
        assert_eq!(script.texts(), ["{\"a\": \"bad\"}"], "{index}");
    }
}

const WINDOWS: &str =
    "streaming: {enabled: true, chunk_size: 3, context_size: 2, stream_first: false}";

/// A body that is fed while it is read.
type Fed = StreamBody<stream::BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

/// Sends a request through `layer` to a service whose stream is fed through the sender.
async fn open(
    layer: &GuardrailsLayer,
) -> (
    mpsc::UnboundedSender<Bytes>,
    Response<tower_guardrails::layer::ResponseBody<Fed>>,
) {
    let (feed, fed) = mpsc::unbounded_channel::<Bytes>();
    let fed = Arc::new(Mutex::new(Some(fed)));
    let inner = service_fn(move |_: Request<RequestBody<Full<Bytes>>>| {
        let mut fed = fed.lock().unwrap().take().expect("one call");
        async move {
            let frames = stream::poll_fn(move |context| fed.poll_recv(context))
                .map(|bytes| Ok(Frame::data(bytes)))
                .boxed();
            let response = Response::builder()
                .header("content-type", "text/event-stream")
                .body(StreamBody::new(frames))
                .expect("a good reply");
            Ok::<_, Infallible>(response)
        }
    });
    let response = layer
        .layer(inner)
        .oneshot(chat(STREAM))
        .await
        .expect("the inner service does not fail");
    (feed, response)
}

/// All that a body gives without waiting.
async fn ready(body: &mut tower_guardrails::layer::ResponseBody<Fed>) -> String {
    let mut text = String::new();
    loop {
        tokio::select! {
            biased;
            frame = body.frame() => match frame {
                Some(frame) => {
                    let data = frame.expect("a good frame").into_data().expect("data");
                    text.push_str(&String::from_utf8_lossy(&data));
                }
                None => return text,
            },
            () = std::future::ready(()) => return text,
        }
    }
}

fn delta(text: &str) -> Bytes {
    delta_event(0, &json!({"content": text})).into()
}

#[test]
fn without_a_section_a_stream_leaves_as_it_comes() {
    let layer = GuardrailsLayer::new(rails(&regex_yaml("never", &["SECRET"], "")));
    run(async {
        let (feed, response) = open(&layer).await;
        let mut body = response.into_body();
        feed.send(delta("hello SE")).unwrap();
        // `SE` may become a match, and its event waits with it.
        assert_eq!(ready(&mut body).await, "");
        feed.send(delta("A ")).unwrap();
        let released = ready(&mut body).await;
        assert_eq!(
            joined(released.as_bytes(), 0, "/delta/content"),
            "hello SEA "
        );
        feed.send(delta("again")).unwrap();
        let released = ready(&mut body).await;
        assert_eq!(joined(released.as_bytes(), 0, "/delta/content"), "again");
    });
}

#[test]
fn text_flows_on_while_a_call_is_put_together() {
    let yaml = "models: []\nrails:\n  tool_output: {flows: [tool call validation]}\n";
    let layer = GuardrailsLayer::new(rails(yaml));
    run(async {
        let (feed, response) = open(&layer).await;
        let mut body = response.into_body();
        let call = json!({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "ping", "arguments": "{"}}]});
        feed.send(delta("One moment.")).unwrap();
        assert!(ready(&mut body).await.contains("One moment."));
        feed.send(delta_event(0, &call).into()).unwrap();
        assert_eq!(ready(&mut body).await, "");
        for piece in ["Which ", "port?"] {
            let other = delta_event(1, &json!({"content": piece}));
            feed.send(other.clone().into()).unwrap();
            assert_eq!(ready(&mut body).await, other);
        }
        let finish = r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#;
        feed.send(format!("{finish}\n\n").into()).unwrap();
        // The call is judged off this thread.
        let mut released = String::new();
        while !released.contains("content_filter") {
            let frame = body
                .frame()
                .await
                .expect("a refusal")
                .expect("a good frame");
            released.push_str(&String::from_utf8_lossy(&frame.into_data().expect("data")));
        }
        assert!(!released.contains("ping"));
    });
}

#[test]
fn a_disabled_stream_is_held_to_its_end_and_then_sent_as_it_was() {
    let yaml = regex_yaml("never", &["SECRET"], "streaming: {enabled: false}");
    let layer = GuardrailsLayer::new(rails(&yaml));
    run(async {
        let (feed, response) = open(&layer).await;
        let mut body = response.into_body();
        let frames = content_stream(&["hello", " there"]);
        for frame in &frames[..3] {
            feed.send(frame.clone()).unwrap();
            assert_eq!(ready(&mut body).await, "");
        }
        feed.send(frames[3].clone()).unwrap();
        assert_eq!(ready(&mut body).await.into_bytes(), frames.concat());
    });
}

#[test]
fn a_disabled_stream_with_a_match_gives_nothing_but_the_refusal() {
    let yaml = regex_yaml("never", &["SECRET"], "streaming: {enabled: false}");
    let layer = GuardrailsLayer::new(rails(&yaml));
    let reply = Reply::events(content_stream(&["a long beginning ", "then a SEC", "RET"]));
    let exchange = run(exchange(&layer, chat(STREAM), &reply));
    assert!(exchange.is_blocked());
    assert_eq!(joined(&exchange.body, 0, "/delta/content"), REFUSAL);
    assert_eq!(
        finish_reason(&exchange.body, 0).as_deref(),
        Some("content_filter")
    );
}

#[test]
fn a_model_is_asked_about_windows_with_their_context() {
    let script = Script::new(&[]);
    let layer = asking_layer(&script, WINDOWS);
    let frames = content_stream(&["one two ", "three fo", "ur five six seven eight"]);
    let exchange = run(exchange(
        &layer,
        chat(STREAM),
        &Reply::events(frames.clone()),
    ));
    assert_eq!(exchange.body, frames.concat());
    assert_eq!(
        script.texts(),
        [
            "one two three",
            " two three four five six",
            " five six seven eight"
        ]
    );
    let verdict = exchange.verdict.expect("a verdict");
    let rails = verdict.rails();
    assert_eq!(rails.len(), 1);
    assert_eq!(&*rails[0].rail, "self check output");
    assert_eq!(rails[0].texts, 3);
}

#[test]
fn windows_are_the_same_at_any_cut() {
    let text = "one two three four five six seven eight";
    for size in [1, 2, 5, 40] {
        let script = Script::new(&[]);
        let layer = asking_layer(&script, WINDOWS);
        let pieces: Vec<&str> = text
            .as_bytes()
            .chunks(size)
            .map(|piece| std::str::from_utf8(piece).expect("ASCII"))
            .collect();
        let frames = content_stream(&pieces);
        let exchange = run(exchange(
            &layer,
            chat(STREAM),
            &Reply::events(frames.clone()),
        ));
        assert_eq!(exchange.body, frames.concat(), "pieces of {size}");
        assert_eq!(
            script.texts(),
            [
                "one two three",
                " two three four five six",
                " five six seven eight"
            ],
            "pieces of {size}"
        );
    }
}

#[test]
fn nothing_leaves_before_its_window_has_passed() {
    let script = Script::new(&[]);
    let layer = asking_layer(&script, WINDOWS);
    run(async {
        let (feed, response) = open(&layer).await;
        let mut body = response.into_body();
        feed.send(delta("one two")).unwrap();
        feed.send(delta(" three")).unwrap();
        assert_eq!(ready(&mut body).await, "");
        assert_eq!(script.texts().len(), 0);
        feed.send(delta(" four")).unwrap();
        let released = ready(&mut body).await;
        assert_eq!(
            joined(released.as_bytes(), 0, "/delta/content"),
            "one two three"
        );
        drop(feed);
        let released = ready(&mut body).await;
        assert_eq!(joined(released.as_bytes(), 0, "/delta/content"), " four");
        assert_eq!(script.texts(), ["one two three", " two three four"]);
    });
}

#[test]
fn stream_first_sends_on_what_is_still_being_judged() {
    let script = Script::new(&[Answer::Yes]);
    let layer = asking_layer(
        &script,
        "streaming: {enabled: true, chunk_size: 3, context_size: 2, stream_first: true}",
    );
    run(async {
        let (feed, response) = open(&layer).await;
        let mut body = response.into_body();
        feed.send(delta("one two")).unwrap();
        let released = ready(&mut body).await;
        assert_eq!(joined(released.as_bytes(), 0, "/delta/content"), "one two");
        feed.send(delta(" three four")).unwrap();
        let released = ready(&mut body).await;
        assert!(joined(released.as_bytes(), 0, "/delta/content").ends_with(REFUSAL));
        assert!(released.ends_with("data: [DONE]\n\n"));
    });
}

#[test]
fn a_block_in_the_middle_ends_the_stream() {
    let script = Script::new(&[Answer::No, Answer::Yes]);
    let layer = asking_layer(&script, WINDOWS);
    let frames = content_stream(&[
        "one two three",
        " four five six",
        " seven",
        " eight nine ten",
    ]);
    let exchange = run(exchange(&layer, chat(STREAM), &Reply::events(frames)));
    assert!(exchange.is_blocked());
    let expected = format!("one two three{REFUSAL}");
    assert_eq!(joined(&exchange.body, 0, "/delta/content"), expected);
    assert_eq!(
        finish_reason(&exchange.body, 0).as_deref(),
        Some("content_filter")
    );
    assert!(exchange.body.ends_with(b"data: [DONE]\n\n"));
    assert_eq!(script.texts().len(), 2);
    // The refusal is told as the same reply.
    assert!(
        chunks(&exchange.body)
            .iter()
            .all(|chunk| chunk["id"] == "c1")
    );
}

#[test]
fn a_block_ends_the_stream_with_an_error_where_refusals_are_statuses() {
    let script = Script::new(&[Answer::No, Answer::Yes]);
    let layer = asking_layer(&script, WINDOWS)
        .block_response(BlockResponse::Status(http::StatusCode::FORBIDDEN));
    let frames = content_stream(&["one two three", " four five six", " seven"]);
    let exchange = run(exchange(&layer, chat(STREAM), &Reply::events(frames)));
    assert_eq!(joined(&exchange.body, 0, "/delta/content"), "one two three");
    let events = payloads(&exchange.body);
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    let chunks = chunks(&exchange.body);
    assert_eq!(chunks.last().unwrap()["error"]["code"], "content_filter");
}

#[test]
fn a_rail_that_fails_ends_the_stream_with_an_error() {
    let script = Script::new(&[Answer::No, Answer::Fail]);
    let layer = asking_layer(&script, WINDOWS);
    let frames = content_stream(&["one two three", " four five six", " seven"]);
    let exchange = run(exchange(&layer, chat(STREAM), &Reply::events(frames)));
    assert_eq!(joined(&exchange.body, 0, "/delta/content"), "one two three");
    let chunks = chunks(&exchange.body);
    let error = &chunks.last().unwrap()["error"];
    assert_eq!(error["code"], "rail_execution_failure");
    assert_eq!(error["type"], "server_error");
    let verdict = exchange.verdict.expect("a verdict");
    assert!(verdict.has_failures() && verdict.is_blocked());
}

#[test]
fn a_rail_that_fails_lets_pass_what_the_application_lets_pass() {
    let script = Script::new(&[Answer::No, Answer::Fail, Answer::No]);
    let layer = asking_layer(&script, WINDOWS).on_rail_error(OnRailError::Pass);
    let frames = content_stream(&["one two three", " four five six", " seven"]);
    let exchange = run(exchange(
        &layer,
        chat(STREAM),
        &Reply::events(frames.clone()),
    ));
    assert_eq!(exchange.body, frames.concat());
    let verdict = exchange.verdict.expect("a verdict");
    assert!(verdict.has_failures() && !verdict.is_blocked());
}

#[test]
fn a_buffered_reply_is_asked_about_once() {
    let script = Script::new(&[Answer::No, Answer::Yes]);
    let layer = asking_layer(&script, WINDOWS);
    let body = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"one two three four five six seven"},"finish_reason":"stop"}]}"#;
    let request = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
    let passed = run(exchange(&layer, chat(request), &Reply::json(body)));
    assert_eq!(passed.text(), body);
    assert_eq!(script.texts(), ["one two three four five six seven"]);
    let blocked = run(exchange(&layer, chat(request), &Reply::json(body)));
    assert_eq!(blocked.json()["choices"][0]["message"]["content"], REFUSAL);
}

#[test]
fn a_disabled_stream_is_asked_about_once() {
    let script = Script::new(&[]);
    let layer = asking_layer(&script, "streaming: {enabled: false}");
    let frames = content_stream(&["one two three", " four five six", " seven"]);
    let exchange = run(exchange(
        &layer,
        chat(STREAM),
        &Reply::events(frames.clone()),
    ));
    assert_eq!(exchange.body, frames.concat());
    assert_eq!(script.texts(), ["one two three four five six seven"]);
}

#[test]
fn a_disabled_stream_that_a_model_blocks_gives_nothing_but_the_refusal() {
    for streaming in ["enabled: false", "enabled: false, stream_first: true"] {
        let script = Script::new(&[Answer::Yes]);
        let layer = asking_layer(&script, &format!("streaming: {{{streaming}}}"));
        let frames = content_stream(&["one two three", " four"]);
        let exchange = run(exchange(&layer, chat(STREAM), &Reply::events(frames)));
        assert_eq!(
            joined(&exchange.body, 0, "/delta/content"),
            REFUSAL,
            "{streaming}"
        );
    }
}

#[test]
fn patterns_that_look_around_hold_a_stream_as_far_as_they_need() {
    for pattern in [
        "(?<=my )SECRET",
        "SECRET(?! santa)",
        r"(SE)CRET \1CRET",
        "(?=.*SECRET).*here",
    ] {
        let layer = GuardrailsLayer::new(rails(&regex_yaml("never", &[pattern], "")));
        let bad = content_stream(&["it is my ", "SEC", "RET SECRET", " here"]);
        let blocked = run(exchange(&layer, chat(STREAM), &Reply::events(bad)));
        assert!(blocked.is_blocked(), "{pattern}");
        let said = joined(&blocked.body, 0, "/delta/content");
        assert!(!said.contains("SEC"), "{pattern}: {said}");
        let good = content_stream(&["it is no ", "SEC", "RARIUM at all"]);
        let passed = run(exchange(&layer, chat(STREAM), &Reply::events(good.clone())));
        assert_eq!(passed.body, good.concat(), "{pattern}");
    }
}

#[test]
fn a_choice_that_is_caught_at_the_end_holds_none_of_another_back() {
    let yaml = regex_yaml("never", &["SECRET"], "streaming: {enabled: false}");
    let layer = GuardrailsLayer::new(rails(&yaml));
    let request = STREAM.replace("\"stream\"", "\"n\":3,\"stream\"");
    let texts = ["a SECRET", "fine", "SECRET too"];
    let mut frames: Vec<Bytes> = (0..)
        .zip(texts)
        .map(|(index, text)| delta_event(index, &json!({"content": text})).into())
        .collect();
    frames.push("data: [DONE]\n\n".into());
    let exchange = run(exchange(&layer, chat(request), &Reply::events(frames)));
    for (index, expected) in [(0, REFUSAL), (1, "fine"), (2, REFUSAL)] {
        assert_eq!(joined(&exchange.body, index, "/delta/content"), expected);
    }
}

#[test]
fn json_in_answer_to_a_stream_is_judged_as_json() {
    let layer = regex_layer("never", &["SECRET"]);
    let good = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}"#;
    let bad = good.replace("hello", "the S\\u0045CRET");
    for content_type in ["application/json", "text/event-stream"] {
        for size in [1, 30, 1 << 20] {
            let reply = |body: &str| {
                let frames = body.as_bytes().chunks(size).map(Bytes::copy_from_slice);
                Reply::of(content_type, frames.collect())
            };
            let passed = run(exchange(&layer, chat(STREAM), &reply(good)));
            assert_eq!(passed.text(), good, "{content_type} by {size}");
            let blocked = run(exchange(&layer, chat(STREAM), &reply(&bad)));
            assert!(blocked.is_blocked(), "{content_type} by {size}");
            assert!(blocked.text().contains(REFUSAL) && !blocked.text().contains("CRET"));
        }
    }
}

#[test]
fn a_stream_that_nobody_asked_for_is_judged_as_a_stream() {
    let layer = regex_layer("never", &["SECRET"]);
    let request = STREAM.replace("true", "false");
    for content_type in ["application/json", "text/plain", "text/event-stream", ""] {
        let good = content_stream(&["hel", "lo"]);
        let passed = run(exchange(
            &layer,
            chat(request.clone()),
            &Reply::of(content_type, good.clone()),
        ));
        assert_eq!(passed.body, good.concat(), "{content_type}");
        let bad = content_stream(&["the SEC", "RET"]);
        let blocked = run(exchange(
            &layer,
            chat(request.clone()),
            &Reply::of(content_type, bad),
        ));
        assert!(blocked.is_blocked(), "{content_type}");
        assert_eq!(
            joined(&blocked.body, 0, "/delta/content"),
            REFUSAL,
            "{content_type}"
        );
    }
}

#[test]
fn every_text_of_a_delta_is_judged() {
    let layer = regex_layer("never", &["SECRET"]);
    let deltas = [
        (
            "content",
            json!({"content": "SEC"}),
            json!({"content": "RET"}),
        ),
        (
            "refusal",
            json!({"refusal": "SEC"}),
            json!({"refusal": "RET"}),
        ),
        (
            "reasoning_content",
            json!({"reasoning_content": "SEC"}),
            json!({"reasoning_content": "RET"}),
        ),
        (
            "reasoning",
            json!({"reasoning": "SEC"}),
            json!({"reasoning": "RET"}),
        ),
        (
            "a field of no format",
            json!({"novel": "SEC"}),
            json!({"novel": "RET"}),
        ),
        (
            "a tool's name",
            json!({"tool_calls": [{"index": 0, "function": {"name": "SEC"}}]}),
            json!({"tool_calls": [{"index": 0, "function": {"name": "RET"}}]}),
        ),
        (
            "the second tool's arguments",
            json!({"tool_calls": [{"index": 1, "function": {"arguments": "SEC"}}]}),
            json!({"tool_calls": [{"index": 1, "function": {"arguments": "RET"}}]}),
        ),
        (
            "the old function's arguments",
            json!({"function_call": {"arguments": "SEC"}}),
            json!({"function_call": {"arguments": "RET"}}),
        ),
        (
            "audio's transcript",
            json!({"audio": {"transcript": "SEC"}}),
            json!({"audio": {"transcript": "RET"}}),
        ),
    ];
    for (what, first, second) in deltas {
        let frames = vec![
            delta_event(0, &first).into(),
            delta_event(0, &json!({"role": "assistant"})).into(),
            delta_event(0, &second).into(),
            "data: [DONE]\n\n".into(),
        ];
        let exchange = run(exchange(&layer, chat(STREAM), &Reply::events(frames)));
        assert!(exchange.is_blocked(), "{what}: {}", exchange.text());
        assert!(!exchange.text().contains("RET"), "{what}");
        assert!(!exchange.text().contains("SEC"), "{what}");
    }
}

#[test]
fn what_follows_the_end_of_a_stream_does_not_leave() {
    let layer = regex_layer("never", &["SECRET"]);
    let mut frames = content_stream(&["hello"]);
    let expected = frames.concat();
    frames.push(delta("more"));
    let exchange = run(exchange(&layer, chat(STREAM), &Reply::events(frames)));
    assert_eq!(exchange.body, expected);
}

#[test]
fn a_client_that_leaves_drops_the_upstream() {
    let layer = regex_layer("never", &["SECRET"]);
    run(async {
        let (feed, response) = open(&layer).await;
        let mut body = response.into_body();
        feed.send(delta("hello ")).unwrap();
        assert!(!ready(&mut body).await.is_empty());
        assert!(!feed.is_closed());
        drop(body);
        assert!(feed.is_closed());
    });
}

#[test]
fn a_block_drops_the_upstream() {
    let layer = regex_layer("never", &["SECRET"]);
    run(async {
        let (feed, response) = open(&layer).await;
        let mut body = response.into_body();
        feed.send(delta("hello SECRET")).unwrap();
        assert!(ready(&mut body).await.ends_with("data: [DONE]\n\n"));
        assert!(feed.is_closed());
    });
}

#[test]
fn what_lies_across_two_windows_leaves_neither_whole_nor_in_part() {
    let yaml = |streaming: &str| {
        format!(
            "
models: []
rails:
  config: {{sensitive_data_detection: {{output: {{entities: [CREDIT_CARD]}}}}}}
  output:
    flows: [detect sensitive data on output]
    {streaming}
"
        )
    };
    let small = "streaming: {enabled: true, chunk_size: 10, context_size: 5}";
    let none = "streaming: {enabled: true, chunk_size: 10, context_size: 0}";
    for (streaming, chunk) in [("", 200), (small, 10), (none, 10)] {
        let layer = GuardrailsLayer::new(rails(&yaml(streaming)));
        for before in chunk - 6..chunk + 3 {
            let words = "so ".repeat(before);
            let pieces = [&*words, "4111", " 1111", " 11", "11 1111", " is the card"];
            let reply = Reply::events(content_stream(&pieces));
            let exchange = run(exchange(&layer, chat(STREAM), &reply));
            let text = joined(&exchange.body, 0, "/delta/content");
            assert!(exchange.is_blocked() && !text.contains("41"), "{text}");
        }
        let words = "so on and ".repeat(100);
        let reply = Reply::events(content_stream(&[&words, "on"]));
        let exchange = run(exchange(&layer, chat(STREAM), &reply));
        assert_eq!(joined(&exchange.body, 0, "/delta/content"), words + "on");
    }
}

#[test]
fn a_rail_on_the_whole_text_judges_a_stream_by_all_of_it() {
    let yaml = "
models: []
rails:
  config: {guardrails_ai: {validators: [{name: valid_length, parameters: {max: 100}}]}}
  output:
    flows: ['guardrailsai check output $validator=\"valid_length\"']
    streaming: {enabled: true, chunk_size: 4, context_size: 2}
";
    let layer = GuardrailsLayer::new(rails(yaml));
    for (length, passes) in [(100, true), (101, false)] {
        let pieces: Vec<String> = "ab c".repeat(26)[..length]
            .chars()
            .map(String::from)
            .collect();
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let reply = Reply::events(content_stream(&pieces));
        let exchange = run(exchange(&layer, chat(STREAM), &reply));
        assert_eq!(!exchange.is_blocked(), passes, "{}", exchange.text());
    }
}
