//! Rails that rewrite: everywhere, also in streams and in the arguments of tool calls, which stay JSON.

use serde_json::{Value, json};
use tower_guardrails::{GuardrailsLayer, LlmRails, RailsConfig};

use crate::support::{
    Exchange, Reply, STREAM, chat, chunks, content_stream, delta_event, exchange, joined, rails,
    run,
};

const FLOWS: &str = r#"
define subflow mask input
  $user_message = $user_message.replace("Ann", "<\"NAME\">")

define subflow mask output
  $bot_message = $bot_message.replace("Ann", "<\"NAME\">")
"#;

const MASK: &str = "<\"NAME\">";

/// Masks a name on both sides; the patterns block the name, and a word.
fn layer() -> GuardrailsLayer {
    let yaml = "
models: []
rails:
  config:
    regex_detection:
      input: {patterns: [Ann, forbidden]}
      output: {patterns: [Ann, forbidden]}
  input:
    flows: [mask input, regex check input]
  output:
    flows: [mask output, regex check output]
";
    let config = RailsConfig::from_content(yaml, FLOWS).unwrap();
    GuardrailsLayer::new(LlmRails::new(config).unwrap())
}

fn message(content: &Value) -> Reply {
    let reply =
        json!({"id": "x", "choices": [{"index": 0, "message": content, "finish_reason": "stop"}]});
    Reply::json(reply.to_string())
}

fn ask(body: impl Into<String>, reply: &Reply) -> Exchange {
    run(exchange(&layer(), chat(body.into()), reply))
}

fn sent(exchange: &Exchange) -> Value {
    assert_eq!(exchange.seen.len(), 1, "{}", exchange.text());
    serde_json::from_slice(&exchange.seen[0].body).unwrap()
}

#[test]
fn every_text_of_a_request_is_rewritten_by_itself() {
    let body = json!({"model": "m", "messages": [
        {"role": "user", "content": "I am Ann"},
        {"role": "user", "content": [{"type": "text", "text": "Ann one"}, {"type": "text", "text": "and two Ann"}]},
        {"role": "tool", "tool_call_id": "c", "content": "Ann's order"},
    ]});
    let exchange = ask(
        body.to_string(),
        &message(&json!({"role": "assistant", "content": "fine"})),
    );
    let sent = sent(&exchange);
    assert_eq!(sent["messages"][0]["content"], format!("I am {MASK}"));
    assert_eq!(
        sent["messages"][1]["content"][0]["text"],
        format!("{MASK} one")
    );
    assert_eq!(
        sent["messages"][1]["content"][1]["text"],
        format!("and two {MASK}")
    );
    assert_eq!(sent["messages"][2]["content"], format!("{MASK}'s order"));
}

#[test]
fn what_lies_across_the_parts_of_a_message_is_rewritten_in_one() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": [
        {"type": "text", "text": "I am A"},
        {"type": "image_url", "image_url": {"url": "https://pictures.example/1.png"}},
        {"type": "text", "text": "nn, Ann."},
    ]}]});
    let exchange = ask(
        body.to_string(),
        &message(&json!({"role": "assistant", "content": "fine"})),
    );
    let sent = sent(&exchange);
    let content = &sent["messages"][0]["content"];
    assert_eq!(content[0]["text"], format!("I am {MASK}, {MASK}."));
    assert_eq!(content[1], body["messages"][0]["content"][1]);
    assert_eq!(content[2]["text"], "");
}

#[test]
fn numbers_in_the_arguments_of_a_call_are_rewritten_too() {
    let yaml = "
models: []
rails:
  config: {sensitive_data_detection: {output: {entities: [CREDIT_CARD], mask_token: masked}}}
  output: {flows: [mask sensitive data on output]}
";
    let layer = GuardrailsLayer::new(rails(yaml));
    let call = json!([{"id": "c", "type": "function", "function": {
        "name": "pay", "arguments": r#"{"card":4111111111111111,"cents":[1250, -1.5e3]}"#,
    }}]);
    let reply = message(&json!({"role": "assistant", "content": null, "tool_calls": call}));
    let body = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
    let exchange = run(exchange(&layer, chat(body), &reply));
    let called = &exchange.json()["choices"][0]["message"]["tool_calls"][0]["function"];
    assert_eq!(
        called["arguments"],
        r#"{"card":"masked","cents":[1250, -1.5e3]}"#
    );
}

#[test]
fn patterns_judge_what_the_rewriting_rails_made() {
    let blocked = ask(
        r#"{"model":"m","messages":[{"role":"user","content":"Ann, this is forbidden"}]}"#,
        &message(&json!({"content": "x"})),
    );
    assert!(blocked.is_blocked() && blocked.seen.is_empty());
    let blocked = ask(
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#,
        &message(&json!({"role": "assistant", "content": "forbidden Ann"})),
    );
    assert!(blocked.is_blocked() && !blocked.text().contains("forbidden"));
}

#[test]
fn a_reply_is_rewritten_in_every_channel() {
    let call = |arguments: &str| json!([{"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}]);
    let reply = json!({
        "role": "assistant",
        "content": "Hello Ann",
        "reasoning_content": "This is Ann",
        "tool_calls": call(r#"{"to":"Ann \u0041nn","deep":["Ann",1]}"#),
    });
    let exchange = ask(
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#,
        &message(&reply),
    );
    assert!(!exchange.is_blocked(), "{}", exchange.text());
    let message = &exchange.json()["choices"][0]["message"];
    assert_eq!(message["content"], format!("Hello {MASK}"));
    assert_eq!(message["reasoning_content"], format!("This is {MASK}"));
    let arguments = message["tool_calls"][0]["function"]["arguments"]
        .as_str()
        .unwrap();
    let arguments: Value = serde_json::from_str(arguments).unwrap();
    assert_eq!(
        arguments,
        json!({"to": format!("{MASK} {MASK}"), "deep": [MASK, 1]})
    );
}

#[test]
fn log_probabilities_do_not_tell_what_was_rewritten() {
    let token = json!({"token": "Ann", "bytes": [65, 110, 110], "logprob": -0.1, "top_logprobs": [{"token": "Ann", "bytes": [65, 110, 110], "logprob": -0.1}]});
    let reply = json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "Ann"},
        "logprobs": {"content": [token]}, "finish_reason": "stop"}]});
    let exchange = ask(
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#,
        &Reply::json(reply.to_string()),
    );
    let text = exchange.text();
    assert!(!text.contains("Ann") && !text.contains("65"), "{text}");
}

#[test]
fn a_stream_is_rewritten_however_it_is_cut() {
    let text = "Dear Ann, all is well, Ann.";
    for size in 1..text.len() {
        let pieces: Vec<String> = text
            .chars()
            .collect::<Vec<_>>()
            .chunks(size)
            .map(|piece| piece.iter().collect())
            .collect();
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let exchange = ask(STREAM, &Reply::events(content_stream(&pieces)));
        assert!(!exchange.is_blocked());
        assert!(!exchange.text().contains("Ann"), "{}", exchange.text());
        assert_eq!(
            joined(&exchange.body, 0, "/delta/content"),
            format!("Dear {MASK}, all is well, {MASK}.")
        );
        assert!(exchange.text().ends_with("data: [DONE]\n\n"));
    }
}

#[test]
fn streamed_tool_calls_stay_json() {
    let delta = |arguments: &str| json!({"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]});
    let mut frames = vec![
        delta_event(
            0,
            &json!({"role": "assistant", "tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}]}),
        ),
        delta_event(0, &delta(r#"{"to":"A"#)),
        delta_event(0, &delta(r#"nn","by":"\u00"#)),
        delta_event(0, &delta(r#"41nn"}"#)),
    ];
    frames.push("data: [DONE]\n\n".to_owned());
    let frames = frames.into_iter().map(Into::into).collect();
    let exchange = ask(STREAM, &Reply::events(frames));
    let mut arguments = String::new();
    for chunk in chunks(&exchange.body) {
        let piece = &chunk["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"];
        arguments.push_str(piece.as_str().unwrap_or_default());
    }
    let arguments: Value = serde_json::from_str(&arguments)
        .unwrap_or_else(|error| panic!("{error}: {}", exchange.text()));
    assert_eq!(arguments, json!({"to": MASK, "by": MASK}));
}

#[test]
fn several_choices_are_rewritten_and_blocked_apart() {
    let event = |texts: [&str; 2]| {
        let choices: Vec<Value> = (0..).zip(texts).map(|(index, text)| json!({"index": index, "delta": {"content": text}, "finish_reason": null})).collect();
        format!("data: {}\n\n", json!({"id": "c", "choices": choices})).into()
    };
    let frames = vec![
        event(["Ann ", "forb"]),
        event(["again", "idden"]),
        "data: [DONE]\n\n".into(),
    ];
    let body = r#"{"model":"m","stream":true,"n":2,"messages":[{"role":"user","content":"hi"}]}"#;
    let exchange = ask(body, &Reply::events(frames));
    assert_eq!(
        joined(&exchange.body, 0, "/delta/content"),
        format!("{MASK} again")
    );
    assert!(!exchange.text().contains("forb"), "{}", exchange.text());
}

/// Masks sensitive data in replies, and nothing else.
fn masking() -> GuardrailsLayer {
    let yaml = "
models: []
rails:
  config:
    sensitive_data_detection:
      output: {entities: [EMAIL_ADDRESS, CREDIT_CARD]}
  output:
    flows: [mask sensitive data on output]
";
    let config = RailsConfig::from_content(yaml, "").unwrap();
    GuardrailsLayer::new(LlmRails::new(config).unwrap())
}

const SENSITIVE: &str = "Please write to ann@example.com about card 4012888888881881 today, thank you kindly. Nothing else matters here.";
const MASKED: &str = "Please write to <EMAIL_ADDRESS> about card <CREDIT_CARD> today, thank you kindly. Nothing else matters here.";

#[test]
fn sensitive_data_is_masked_in_a_stream_however_it_is_cut() {
    let layer = masking();
    let characters: Vec<char> = SENSITIVE.chars().collect();
    for size in 1..characters.len() {
        let pieces: Vec<String> = characters
            .chunks(size)
            .map(|piece| piece.iter().collect())
            .collect();
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let frames = content_stream(&pieces);
        let exchange = run(exchange(&layer, chat(STREAM), &Reply::events(frames)));
        let text = exchange.text();
        assert_eq!(
            joined(&exchange.body, 0, "/delta/content"),
            MASKED,
            "{size}"
        );
        assert!(!text.contains("ann@") && !text.contains("4012"), "{text}");
        assert!(text.ends_with("data: [DONE]\n\n"));
        let verdict = exchange.verdict.as_ref().unwrap();
        assert!(verdict.is_modified() && verdict.is_final());
    }
}

#[test]
fn masking_lets_settled_text_leave_before_the_end() {
    use http_body_util::BodyExt as _;
    use tower::{Layer as _, ServiceExt as _};

    run(async {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel::<bytes::Bytes>();
        let receiver = std::sync::Arc::new(std::sync::Mutex::new(Some(receiver)));
        let inner = tower::service_fn(
            move |_: http::Request<tower_guardrails::layer::RequestBody<_>>| {
                let receiver = receiver.lock().unwrap().take().unwrap();
                let frames = futures_util::stream::unfold(receiver, |mut receiver| async move {
                    let bytes = receiver.recv().await?;
                    Some((
                        Ok::<_, std::convert::Infallible>(http_body::Frame::data(bytes)),
                        receiver,
                    ))
                });
                let response =
                    http::Response::builder().header("content-type", "text/event-stream");
                let response = response.body(http_body_util::StreamBody::new(Box::pin(frames)));
                std::future::ready(Ok::<_, std::convert::Infallible>(response.unwrap()))
            },
        );
        let response = masking().layer(inner).oneshot(chat(STREAM)).await.unwrap();
        let mut body = response.into_body();
        for frame in content_stream(&["Nothing special here, ", "really nothing, but ", "ann@exa"])
            .into_iter()
            .take(3)
        {
            sender.send(frame).unwrap();
        }
        let mut text = String::new();
        while !text.contains("special") {
            let frame = body.frame().await.unwrap().unwrap();
            text.push_str(&String::from_utf8_lossy(&frame.into_data().unwrap()));
        }
        assert!(!text.contains("ann@"), "{text}");
        for frame in content_stream(&["mple.com is it, thanks indeed."]) {
            sender.send(frame).unwrap();
        }
        drop(sender);
        let rest = body.collect().await.unwrap().to_bytes();
        text.push_str(&String::from_utf8_lossy(&rest));
        assert_eq!(
            joined(text.as_bytes(), 0, "/delta/content"),
            "Nothing special here, really nothing, but <EMAIL_ADDRESS> is it, thanks indeed."
        );
    });
}

#[test]
fn what_repeats_masked_text_is_masked_too() {
    let layer = masking();
    let mut frames = content_stream(&["Hello there, ", "ann@example.com", " thanks a lot"]);
    let token = json!({"content": [{"token": "ann@example.com", "bytes": [97, 110, 110], "logprob": -0.1, "top_logprobs": []}]});
    let event = json!({"id": "c1", "choices": [{"index": 0, "delta": {"content": "!"}, "logprobs": token, "finish_reason": null}]});
    frames.insert(2, format!("data: {event}\n\n").into());
    let exchange = run(exchange(&layer, chat(STREAM), &Reply::events(frames)));
    let text = exchange.text();
    assert!(!text.contains("ann@") && !text.contains("97"), "{text}");
    assert!(!exchange.is_blocked());
}

#[test]
fn arguments_are_masked_while_text_flows() {
    let layer = masking();
    let delta = |arguments: &str| json!({"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]});
    let frames = vec![
        delta_event(
            0,
            &json!({"role": "assistant", "content": "Writing to them."}),
        ),
        delta_event(0, &delta(r#"{"to":"ann@ex"#)),
        delta_event(0, &delta(r#"ample.com","card":"4012\u00388888888 81881"}"#)),
        "data: [DONE]\n\n".to_owned(),
    ];
    let frames = frames.into_iter().map(Into::into).collect();
    let exchange = run(exchange(&layer, chat(STREAM), &Reply::events(frames)));
    let mut arguments = String::new();
    for chunk in chunks(&exchange.body) {
        let piece = &chunk["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"];
        arguments.push_str(piece.as_str().unwrap_or_default());
    }
    let arguments: Value = serde_json::from_str(&arguments).unwrap();
    assert_eq!(arguments["to"], "<EMAIL_ADDRESS>");
    assert!(!exchange.text().contains("ann@"));
}
