//! What a turn of a long conversation costs: work is counted, not time.

use std::cell::Cell;

use futures_core::future::BoxFuture;
use serde_json::{Value, json};

use super::{GenerationRequest, LlmRails, State};
use crate::{
    config::RailsConfig,
    error::ModelError,
    llm::{Model, ModelReply, ModelRequest},
    message::Message,
};

/// Work that has been done.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Work {
    /// Events that flows followed.
    pub(super) fed: usize,
    /// Events that prompts were made of.
    pub(super) read: usize,
    /// Events that were compared with those of a remembered conversation.
    pub(super) compared: usize,
    /// Messages that became part of a key.
    pub(super) hashed: usize,
}

thread_local! {
    static WORK: Cell<Work> = Cell::default();
}

/// Counts work of this thread.
pub(super) fn count(add: impl FnOnce(&mut Work)) {
    let mut work = WORK.get();
    add(&mut work);
    WORK.set(work);
}

const TURNS: usize = 120;

const YAML: &str = r#"
models:
  - type: main
    engine: openai
    model: scripted
prompts:
  - task: self_check_input
    content: "Is this bad? {{ user_input }}"
  - task: self_check_output
    content: "Is this bad? {{ bot_response }}"
  - task: general
    content: "{{ history | user_assistant_sequence }}"
    max_length: 500
rails:
  input:
    flows: [self check input]
  output:
    flows: [self check output]
"#;

#[derive(Debug)]
struct Agreeable;

impl Model for Agreeable {
    fn name(&self) -> &str {
        "scripted"
    }

    fn complete(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelReply, ModelError>> {
        let asked = request
            .messages
            .iter()
            .map(|message| message.content.text());
        let is_check = asked.into_iter().any(|text| text.contains("Is this bad?"));
        Box::pin(async move {
            Ok(ModelReply {
                content: if is_check { "No" } else { "Fine." }.to_owned(),
                ..ModelReply::default()
            })
        })
    }
}

fn rails() -> LlmRails {
    let config = RailsConfig::from_content(YAML, "").unwrap();
    let builder = LlmRails::builder(config).model("main", Agreeable);
    builder.build().unwrap()
}

/// The work of each turn, of which `turn` does one.
async fn work(mut turn: impl AsyncFnMut(usize)) -> Vec<Work> {
    let mut all = Vec::new();
    for number in 1..=TURNS {
        WORK.set(Work::default());
        turn(number).await;
        all.push(WORK.get());
    }
    all
}

/// That the last turn costs what the fortieth does, but for the look at what the caller brings along.
fn assert_flat(work: &[Work]) {
    let (early, late) = (work[39], work[TURNS - 1]);
    assert!(early.fed > 10, "{early:?}");
    assert_eq!(late.fed, early.fed);
    assert!(late.read <= early.read.max(200), "{early:?} {late:?}");
}

#[tokio::test]
async fn a_conversation_of_messages() {
    let rails = rails();
    let mut messages = Vec::new();
    let work = work(async |number| {
        messages.push(Message::user(format!("Question {number}")));
        let answer = rails.generate(messages.clone()).await.unwrap();
        assert_eq!(answer.content.text(), "Fine.");
        messages.push(answer);
    })
    .await;
    assert_flat(&work);
    for (at, work) in work.iter().enumerate() {
        assert_eq!(work.hashed, 2 * (at + 1), "each message once");
        assert_eq!(work.compared, 0);
    }
}

#[tokio::test]
async fn a_conversation_in_a_state() {
    let rails = rails();
    let mut state = State::default();
    let work = work(async |number| {
        let asked = [Message::user(format!("Question {number}"))];
        let request = GenerationRequest::new(asked).state(std::mem::take(&mut state));
        state = rails.generate_with(request).await.unwrap().state.unwrap();
    })
    .await;
    assert_flat(&work);
    // What is the same piece of memory need not be compared.
    assert!(work.iter().all(|work| work.compared < 200));
    assert!(work.iter().all(|work| work.hashed == 0));
}

#[tokio::test]
async fn a_conversation_of_events() {
    let rails = rails();
    let mut events: Vec<Value> = Vec::new();
    let work = work(async |number| {
        events.push(json!({
            "type": "UtteranceUserActionFinished",
            "final_transcript": format!("Question {number}"),
        }));
        let new = rails.generate_events(&events).await.unwrap();
        events.extend(new);
    })
    .await;
    assert_flat(&work);
    let in_one_turn = events.len() / TURNS;
    for (at, work) in work.iter().enumerate() {
        assert!(work.compared <= 2 * in_one_turn * at, "{work:?}");
    }
}

#[tokio::test]
async fn a_stored_state_goes_on_where_it_was() {
    let rails = rails();
    let ask = async |state: State| {
        let request = GenerationRequest::new([Message::user("And?")]).state(state);
        rails.generate_with(request).await.unwrap().state.unwrap()
    };
    let first = ask(State::default()).await;
    let stored = State::from_value(&serde_json::to_value(&first).unwrap()).unwrap();
    WORK.set(Work::default());
    let from_memory = ask(first).await;
    let fed = WORK.get().fed;
    WORK.set(Work::default());
    assert_eq!(ask(stored.clone()).await, from_memory);
    assert_eq!(WORK.get().fed, fed);
    // Another instance, which remembers nothing, comes to the same.
    let other = self::rails();
    let request = GenerationRequest::new([Message::user("And?")]).state(stored);
    let response = other.generate_with(request).await.unwrap();
    assert_eq!(response.state.unwrap(), from_memory);
}

#[tokio::test]
async fn a_state_is_of_its_call_alone() {
    let rails = rails();
    let ask = async |text: &str, state: State| {
        let request = GenerationRequest::new([Message::user(text)]).state(state);
        rails.generate_with(request).await.unwrap().state.unwrap()
    };
    let said = |state: &State| serde_json::to_string(state).unwrap();
    let first = ask("Question one", State::default()).await;
    assert!(said(&first).contains("Question one"));
    let second = ask("Question two", first).await;
    assert!(said(&second).contains("Question two"));
    assert!(!said(&second).contains("Question one"));
}
