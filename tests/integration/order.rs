//! Each rail reads a text as those before it left it, and those that only monitor read what they would read if they were enforced.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tower_guardrails::{GuardrailsLayer, LlmRails, RailsConfig, actions::Args, layer::Enforcement};

use crate::support::{Exchange, Reply, chat, content_stream, exchange, joined, run};

const FLOWS: &str = r#"
define subflow look
  $bad = execute note(rail="look", text=$user_message)
  if $bad
    stop

define subflow look again
  $bad = execute note(rail="look again", text=$user_message)
  if $bad
    stop

define subflow look at reply
  $bad = execute note(rail="look", text=$bot_message)
  if $bad
    stop

define subflow look at reply again
  $bad = execute note(rail="look again", text=$bot_message)
  if $bad
    stop

define subflow mask
  $user_message = $user_message.replace("Ann", "somebody")

define subflow mask reply
  $bot_message = $bot_message.replace("Ann", "somebody")
"#;

const TEXT: &str = "This is Ann, and that is all.";
const MASKED: &str = "This is somebody, and that is all.";

/// What rails that ask were given.
type Notes = Arc<Mutex<Vec<(String, String)>>>;

/// A layer of these lines under `rails`, with what its rails are given.
fn layer(rails: &str) -> (GuardrailsLayer, Notes) {
    let yaml = format!(
        "models: []\nrails:\n  config:\n    regex_detection: {{input: {{patterns: [Ann]}}, output: {{patterns: [Ann]}}}}\n{rails}"
    );
    let notes = Notes::default();
    let note = {
        let notes = Arc::clone(&notes);
        move |Args(call): Args<Value>| {
            let text = |key: &str| call[key].as_str().unwrap_or_default().to_owned();
            notes.lock().unwrap().push((text("rail"), text("text")));
            std::future::ready(Ok::<_, Infallible>(false))
        }
    };
    let config = RailsConfig::from_content(&yaml, FLOWS).unwrap();
    let rails = LlmRails::builder(config).action("note", note);
    (GuardrailsLayer::new(rails.build().unwrap()), notes)
}

fn noted(notes: &Notes) -> Vec<(String, String)> {
    let mut noted = std::mem::take(&mut *notes.lock().unwrap());
    noted.sort();
    noted
}

fn as_noted(noted: [(&str, &str); 2]) -> Vec<(String, String)> {
    noted
        .map(|(rail, text)| (rail.to_owned(), text.to_owned()))
        .to_vec()
}

fn request(layer: &GuardrailsLayer) -> Exchange {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": TEXT}]});
    run(exchange(
        layer,
        chat(body.to_string()),
        &Reply::json(
            r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"Fine."},"finish_reason":"stop"}]}"#,
        ),
    ))
}

fn reply(layer: &GuardrailsLayer, is_streamed: bool) -> Exchange {
    let body = json!({"model": "m", "stream": is_streamed, "messages": [{"role": "user", "content": "Who?"}]});
    let reply = if is_streamed {
        Reply::events(content_stream(&["This is A", "nn, and that", " is all."]))
    } else {
        let message = json!({"role": "assistant", "content": TEXT});
        Reply::json(
            json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
                .to_string(),
        )
    };
    run(exchange(layer, chat(body.to_string()), &reply))
}

fn said(exchange: &Exchange, is_streamed: bool) -> String {
    match is_streamed {
        true => joined(&exchange.body, 0, "/delta/content"),
        false => exchange.json()["choices"][0]["message"]["content"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
    }
}

#[test]
fn a_rail_reads_what_those_before_it_left() {
    let (layer, notes) = layer(
        "  input: {flows: [look, mask, regex check input, look again]}\n  output: {flows: [look at reply, mask reply, regex check output, look at reply again]}\n",
    );
    let as_rewritten = as_noted([("look", TEXT), ("look again", MASKED)]);
    for _ in 0..2 {
        let sent = request(&layer);
        assert!(!sent.is_blocked(), "{}", sent.text());
        let seen: Value = serde_json::from_slice(&sent.seen[0].body).unwrap();
        assert_eq!(seen["messages"][0]["content"], MASKED);
        let mut noted = noted(&notes);
        noted.retain(|(_, text)| text != "Fine.");
        assert_eq!(noted, as_rewritten);
    }
    for is_streamed in [false, true] {
        let reply = reply(&layer, is_streamed);
        assert_eq!(said(&reply, is_streamed), MASKED, "{}", reply.text());
        let mut noted = noted(&notes);
        noted.retain(|(_, text)| text != "Who?");
        assert_eq!(noted, as_rewritten, "streamed: {is_streamed}");
    }
}

#[test]
fn a_pattern_before_the_rail_that_rewrites_blocks() {
    let (layer, _) = layer(
        "  input: {flows: [regex check input, mask]}\n  output: {flows: [regex check output, mask reply]}\n",
    );
    let sent = request(&layer);
    assert!(sent.is_blocked() && sent.seen.is_empty());
    for is_streamed in [false, true] {
        let reply = reply(&layer, is_streamed);
        assert!(reply.text().contains("content_filter"), "{}", reply.text());
        assert!(!reply.text().contains("Ann") && !reply.text().contains("somebody"));
    }
}

#[test]
fn monitoring_judges_the_text_that_enforcing_would() {
    for (first, second, would_block) in [("mask", "regex", false), ("regex", "mask", true)] {
        let of = |name: &str, place: &str| match (name, place) {
            ("mask", "input") => "mask".to_owned(),
            ("mask", _) => "mask reply".to_owned(),
            _ => format!("regex check {place}"),
        };
        let flows = |place: &str| format!("[{}, {}]", of(first, place), of(second, place));
        let (layer, _) = layer(&format!(
            "  input: {{flows: {}}}\n  output: {{flows: {}}}\n",
            flows("input"),
            flows("output")
        ));
        let layer = layer.enforcement(Enforcement::Monitor);
        let finds = |exchange: &Exchange| {
            let verdict = exchange.verdict.as_ref().unwrap();
            assert!(verdict.is_final() && !verdict.is_modified() && !verdict.is_blocked());
            !verdict.would_block().is_empty()
        };
        let sent = request(&layer);
        let seen: Value = serde_json::from_slice(&sent.seen[0].body).unwrap();
        assert_eq!(seen["messages"][0]["content"], TEXT);
        assert_eq!(finds(&sent), would_block);
        for is_streamed in [false, true] {
            let reply = reply(&layer, is_streamed);
            assert_eq!(said(&reply, is_streamed), TEXT);
            assert_eq!(finds(&reply), would_block, "streamed: {is_streamed}");
        }
    }
}
