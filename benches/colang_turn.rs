//! A turn of a Colang 1.0 dialogue, with input and output rails: the first one, and the thousandth of a conversation.
//!
//! The models answer at once, so what is measured is the engine. A turn costs what is new in it: the ratio at the end is
//! that of the two medians, and stays near what the prompts alone make, which show up to 16,000 characters of history.

use std::{
    fmt,
    time::{Duration, Instant},
};

use divan::{Bencher, black_box};
use futures_core::future::BoxFuture;
use tokio::runtime::Runtime;
use tower_guardrails::{
    LlmRails, Message, RailsConfig,
    embeddings::{Embedding, EmbeddingModel},
    error::ModelError,
    llm::{Model, ModelReply, ModelRequest},
};

const YAML: &str = r#"
models:
  - type: main
    engine: scripted
    model: scripted
prompts:
  - task: self_check_input
    content: "Is this bad? {{ user_input }}"
  - task: self_check_output
    content: "Is this bad? {{ bot_response }}"
rails:
  input:
    flows: [self check input]
  output:
    flows: [self check output]
"#;

const COLANG: &str = r#"
define user greet
  "hello"

define user ask about weather
  "will it rain?"

define bot greet
  "Hello!"

define flow greeting
  user greet
  bot greet

define flow weather
  user ask about weather
  do count questions
  bot tell weather

define subflow count questions
  if $questions
    $questions = $questions + 1
  else
    $questions = 1
"#;

/// Finds every question to be about the weather, and nothing to be bad.
#[derive(Debug)]
struct Scripted;

impl Model for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    fn complete(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelReply, ModelError>> {
        let text = |message: &Message| message.content.text().into_owned();
        let prompt = request.messages.last().map(text).unwrap_or_default();
        let mut reply = ModelReply::default();
        reply.content = if prompt.contains("Is this bad?") {
            "No"
        } else if prompt.contains("Write its next line, the \"User intent\"") {
            "User intent: ask about weather"
        } else {
            "Bot message: \"It will rain.\""
        }
        .to_owned();
        Box::pin(async move { Ok(reply) })
    }
}

#[derive(Debug)]
struct Lengths;

impl EmbeddingModel for Lengths {
    fn name(&self) -> &str {
        "lengths"
    }

    fn embed(&self, texts: Vec<String>) -> BoxFuture<'_, Result<Vec<Embedding>, ModelError>> {
        let vectors = texts.iter().map(|text| vec![text.len() as f32, 1.0]);
        let vectors = vectors.collect();
        Box::pin(async move { Ok(vectors) })
    }
}

/// A conversation that waits for the answer to its last message.
struct Conversation {
    runtime: Runtime,
    rails: LlmRails,
    messages: Vec<Message>,
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversation").finish_non_exhaustive()
    }
}

impl Conversation {
    /// One that is at turn `turn`.
    fn at_turn(turn: usize) -> Self {
        let config = RailsConfig::from_content(YAML, COLANG).expect("a good configuration");
        let builder = LlmRails::builder(config)
            .model("main", Scripted)
            .embedding_provider("FastEmbed", Lengths);
        let mut conversation = Self {
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .expect("a runtime"),
            rails: builder.build().expect("good rails"),
            messages: vec![question(1)],
        };
        for number in 2..=turn {
            let answer = conversation.answer(conversation.messages.clone());
            conversation.messages.extend([answer, question(number)]);
        }
        conversation
    }

    fn answer(&self, messages: Vec<Message>) -> Message {
        let answer = self.runtime.block_on(self.rails.generate(messages));
        let answer = answer.expect("an answer");
        assert_eq!(answer.content.text(), "It will rain.");
        answer
    }
}

fn question(number: usize) -> Message {
    Message::user(format!("Question {number}: will it rain tomorrow?"))
}

fn bench_turn(bencher: Bencher<'_, '_>, turn: usize) {
    let conversation = Conversation::at_turn(turn);
    bencher
        .with_inputs(|| conversation.messages.clone())
        .bench_local_values(|messages| conversation.answer(black_box(messages)));
}

#[divan::bench]
fn turn_1(bencher: Bencher<'_, '_>) {
    bench_turn(bencher, 1);
}

/// As far as the history does not yet fill the prompts.
#[divan::bench]
fn turn_10(bencher: Bencher<'_, '_>) {
    bench_turn(bencher, 10);
}

/// The history fills the prompts.
#[divan::bench]
fn turn_200(bencher: Bencher<'_, '_>) {
    bench_turn(bencher, 200);
}

#[divan::bench]
fn turn_1000(bencher: Bencher<'_, '_>) {
    bench_turn(bencher, 1_000);
}

/// The median time of a turn.
fn median(turn: usize) -> Duration {
    const RUNS: usize = 51;
    let conversation = Conversation::at_turn(turn);
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let messages = conversation.messages.clone();
            let started = Instant::now();
            black_box(conversation.answer(messages));
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[RUNS / 2]
}

#[allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]
fn main() {
    divan::main();
    if std::env::args().any(|argument| argument == "--bench") {
        let (first, full, last) = (median(1), median(200), median(1_000));
        println!(
            "turn 1: {first:?}, turn 200: {full:?}, turn 1,000: {last:?}; turn 1,000 costs {:.2} times turn 1, {:.2} times turn 200",
            last.as_secs_f64() / first.as_secs_f64(),
            last.as_secs_f64() / full.as_secs_f64(),
        );
    }
}
