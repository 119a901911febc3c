//! Rails that ask by a chat see the pictures that the model sees.

use std::sync::{Arc, Mutex};

use futures_core::future::BoxFuture;
use serde_json::{Value, json};
use tower_guardrails::{
    GuardrailsLayer, LlmRails, RailsConfig,
    error::ModelError,
    llm::{Model, ModelReply, ModelRequest},
};

use crate::support::{Exchange, Reply, chat, exchange, run};

const ANSWER: &str = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"fine"},"finish_reason":"stop"}]}"#;

/// A judge that finds what holds "bad" unsafe, and keeps what it was asked.
#[derive(Debug, Clone, Default)]
struct Judge(Arc<Mutex<Vec<Value>>>);

impl Judge {
    fn asked(&self) -> Vec<Value> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Model for Judge {
    fn name(&self) -> &str {
        "judge"
    }

    fn complete(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelReply, ModelError>> {
        let asked = serde_json::to_value(&request.messages).unwrap();
        let is_bad = asked.to_string().contains("bad");
        self.0.lock().unwrap().push(asked);
        let mut reply = ModelReply::default();
        (if is_bad { "yes" } else { "no" }).clone_into(&mut reply.content);
        Box::pin(async move { Ok(reply) })
    }
}

fn layer(prompt: &str, judge: &Judge) -> GuardrailsLayer {
    let yaml = format!(
        "models: [{{type: main, engine: openai, model: m}}]\nrails: {{input: {{flows: [self check input]}}}}\nprompts:\n  - task: self_check_input\n{prompt}"
    );
    let config = RailsConfig::from_content(&yaml, "").unwrap();
    let rails = LlmRails::builder(config)
        .model("main", judge.clone())
        .build()
        .unwrap();
    GuardrailsLayer::new(rails)
}

const CHAT: &str = "    messages:\n      - {type: system, content: Look.}\n      - {type: user, content: 'Judge: {{ user_input }}'}\n";
const TEXT: &str = "    content: 'Judge: {{ user_input }}'\n";

fn picture(name: &str) -> Value {
    json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{name}0")}})
}

fn say(layer: &GuardrailsLayer, parts: &[Value]) -> Exchange {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": parts}]});
    run(exchange(
        layer,
        chat(body.to_string()),
        &Reply::json(ANSWER),
    ))
}

#[test]
fn a_chat_is_shown_the_pictures() {
    let judge = Judge::default();
    let layer = layer(CHAT, &judge);
    let text = json!({"type": "text", "text": "what is this"});
    assert!(!say(&layer, &[text.clone(), picture("good")]).is_blocked());
    let asked = judge.asked();
    assert_eq!(
        asked[0][1]["content"],
        json!([{"type": "text", "text": "Judge: what is this"}, picture("good")])
    );
    // The same words with another picture are another message: the first verdict does not count for it.
    let blocked = say(&layer, &[text.clone(), picture("bad")]);
    assert!(blocked.is_blocked() && blocked.seen.is_empty());
    assert_eq!(judge.asked().len(), 1);
    // The same message again is known.
    assert!(!say(&layer, &[text, picture("good")]).is_blocked());
    assert_eq!(judge.asked().len(), 0);
}

#[test]
fn a_picture_without_words_is_judged() {
    let judge = Judge::default();
    let layer = layer(CHAT, &judge);
    assert!(!say(&layer, &[picture("good")]).is_blocked());
    assert!(say(&layer, &[picture("bad")]).is_blocked());
    assert_eq!(judge.asked().len(), 2);
}

#[test]
fn a_text_is_asked_about_the_words_only() {
    let judge = Judge::default();
    let layer = layer(TEXT, &judge);
    let text = json!({"type": "text", "text": "what is this"});
    assert!(!say(&layer, &[text, picture("good")]).is_blocked());
    assert_eq!(judge.asked()[0][0]["content"], json!("Judge: what is this"));
    assert!(!say(&layer, &[picture("good")]).is_blocked());
    assert!(judge.asked().is_empty());
}
