//! The snippets of `docs/colang.md` do what stands beside them.

use futures_util::future::BoxFuture;
use tower_guardrails::{
    LlmRails, Message, RailsConfig,
    embeddings::{Embedding, EmbeddingModel},
    error::ModelError,
    llm::{Model, ModelReply, ModelRequest},
    rails::{GenerationRequest, State},
};

/// Takes whatever a user says for a greeting.
#[derive(Debug)]
struct Greeting;

impl Model for Greeting {
    fn name(&self) -> &str {
        "greeting"
    }

    fn complete(&self, _: ModelRequest) -> BoxFuture<'_, Result<ModelReply, ModelError>> {
        let mut reply = ModelReply::default();
        reply.content = "  express greeting".to_owned();
        Box::pin(std::future::ready(Ok(reply)))
    }
}

/// Takes all texts to be alike.
#[derive(Debug)]
struct Alike;

impl EmbeddingModel for Alike {
    fn name(&self) -> &str {
        "alike"
    }

    fn embed(&self, texts: Vec<String>) -> BoxFuture<'_, Result<Vec<Embedding>, ModelError>> {
        let vectors = texts.iter().map(|_| vec![1.0, 0.0]).collect();
        Box::pin(std::future::ready(Ok(vectors)))
    }
}

/// The fenced blocks of a text: what follows the fence, and the lines.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(kind), None) => open = Some((kind.to_owned(), String::new())),
            (None, Some((_, body))) => {
                body.push_str(line);
                body.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// What is said and answered.
fn turns(transcript: &str) -> Vec<(String, String)> {
    let mut turns: Vec<(String, String)> = Vec::new();
    for line in transcript.lines() {
        if let Some(said) = line.strip_prefix("> ") {
            turns.push((said.to_owned(), String::new()));
        } else if let Some(answer) = line.strip_prefix("< ") {
            let turn = turns.last_mut().expect("an answer follows what is said");
            if !turn.1.is_empty() {
                turn.1.push('\n');
            }
            turn.1.push_str(answer);
        }
    }
    turns
}

#[tokio::test]
async fn snippets_do_what_stands_beside_them() {
    let docs = include_str!("../../docs/colang.md");
    let blocks = blocks(docs);
    let mut run = 0;
    for pair in blocks.windows(2) {
        let [(kind, flows), (_, transcript)] = pair else {
            continue;
        };
        let Some(version) = kind.strip_prefix("colang ") else {
            continue;
        };
        let mut yaml = format!("colang_version: \"{version}\"\nmodels: []\n");
        if flows.contains("define subflow no maps") {
            yaml.push_str("rails: {input: {flows: [no maps]}}\n");
        }
        let config = RailsConfig::from_content(&yaml, flows).unwrap();
        let rails = LlmRails::builder(config)
            .model("main", Greeting)
            .embedding_provider("FastEmbed", Alike)
            .build()
            .unwrap();
        let mut messages = Vec::new();
        let mut state = State::default();
        for (said, expected) in turns(transcript) {
            let answer = if version == "1.0" {
                messages.push(Message::user(said.as_str()));
                let answer = rails.generate(messages.clone()).await.unwrap();
                messages.push(answer.clone());
                answer
            } else {
                let request = GenerationRequest::new([Message::user(said.as_str())]).state(state);
                let response = rails.generate_with(request).await.unwrap();
                let stored = serde_json::to_value(response.state.unwrap()).unwrap();
                state = State::from_value(&stored).unwrap();
                response.message
            };
            assert_eq!(answer.content.text(), expected, "> {said}\n{flows}");
            run += 1;
        }
    }
    assert!(run >= 10, "{run} turns were run");
}
