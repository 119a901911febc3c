//! `rails.input.speculative_generation`: the service works while the input rails judge, and nothing of it leaves before them.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::sync::Semaphore;
use tower::{Layer, ServiceExt, service_fn};
use tower_guardrails::{GuardrailsLayer, LlmRails, RailsConfig, actions::Args, layer::RequestBody};

use crate::support::{REFUSAL, STREAM, chat, content_stream, run};

const FLOWS: &str = r#"
define subflow slow
  $bad = execute is_bad(text=$user_message)
  if $bad
    bot refuse to respond
    stop
"#;

/// What happens beside the test.
#[derive(Clone)]
struct Beside {
    /// Lets the rail come to its verdict.
    verdict: Arc<Semaphore>,
    /// Lets the service answer.
    answer: Arc<Semaphore>,
    called: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

impl Beside {
    fn new() -> Self {
        Self {
            verdict: Arc::new(Semaphore::new(0)),
            answer: Arc::new(Semaphore::new(0)),
            called: Arc::default(),
            dropped: Arc::default(),
        }
    }

    fn layer(&self, speculative: bool) -> GuardrailsLayer {
        let yaml = format!(
            "models: []\nrails:\n  input:\n    speculative_generation: {speculative}\n    flows: [slow]\n"
        );
        let config = RailsConfig::from_content(&yaml, FLOWS).unwrap();
        let verdict = Arc::clone(&self.verdict);
        let is_bad = move |Args(call): Args<serde_json::Value>| {
            let verdict = Arc::clone(&verdict);
            async move {
                verdict.acquire().await.unwrap().forget();
                Ok::<_, Infallible>(call["text"].as_str().unwrap_or_default().contains("bad"))
            }
        };
        let rails = LlmRails::builder(config)
            .action("is_bad", is_bad)
            .build()
            .unwrap();
        GuardrailsLayer::new(rails)
    }

    async fn send(self, layer: GuardrailsLayer, body: String, streamed: bool) -> String {
        struct Dropped(Arc<AtomicUsize>, bool);
        impl Drop for Dropped {
            fn drop(&mut self) {
                if !self.1 {
                    self.0.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
        let inner = service_fn(move |_: Request<RequestBody<Full<Bytes>>>| {
            let beside = self.clone();
            async move {
                beside.called.fetch_add(1, Ordering::SeqCst);
                let mut guard = Dropped(Arc::clone(&beside.dropped), false);
                beside.answer.acquire().await.unwrap().forget();
                guard.1 = true;
                let (kind, body) = if streamed {
                    (
                        "text/event-stream",
                        content_stream(&["an ", "answer"]).concat(),
                    )
                } else {
                    let answer = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"an answer"},"finish_reason":"stop"}]}"#;
                    ("application/json", answer.as_bytes().to_vec())
                };
                let response = Response::builder().header("content-type", kind);
                Ok::<_, Infallible>(response.body(Full::new(Bytes::from(body))).unwrap())
            }
        });
        let response = layer.layer(inner).oneshot(chat(body)).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }
}

fn body(text: &str, streamed: bool) -> String {
    if streamed {
        return STREAM.replace("hi", text);
    }
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]}}"#)
}

/// Lets everything go as far as it can.
async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn the_service_works_while_the_rails_judge_and_its_answer_waits_for_them() {
    for streamed in [false, true] {
        run(async {
            let beside = Beside::new();
            let sent = beside
                .clone()
                .send(beside.layer(true), body("good", streamed), streamed);
            let sent = tokio::spawn(sent);
            settle().await;
            assert_eq!(beside.called.load(Ordering::SeqCst), 1);
            beside.answer.add_permits(1);
            settle().await;
            assert!(!sent.is_finished(), "it left before the rails were done");
            beside.verdict.add_permits(1);
            assert!(sent.await.unwrap().contains("answer"));
            assert_eq!(beside.called.load(Ordering::SeqCst), 1);
        });
    }
}

#[test]
fn a_block_cancels_the_call_and_nothing_of_it_leaves() {
    for (streamed, answers_first) in [(false, false), (true, false), (false, true), (true, true)] {
        run(async {
            let beside = Beside::new();
            let sent = beside
                .clone()
                .send(beside.layer(true), body("bad", streamed), streamed);
            let sent = tokio::spawn(sent);
            settle().await;
            assert_eq!(beside.called.load(Ordering::SeqCst), 1);
            if answers_first {
                beside.answer.add_permits(1);
                settle().await;
            }
            beside.verdict.add_permits(1);
            let answer = sent.await.unwrap();
            assert!(
                answer.contains(REFUSAL) && !answer.contains("an answer"),
                "{answer}"
            );
            let dropped = usize::from(!answers_first);
            assert_eq!(beside.dropped.load(Ordering::SeqCst), dropped);
        });
    }
}

#[test]
fn without_it_the_service_is_called_after_the_rails() {
    run(async {
        let beside = Beside::new();
        let sent = beside
            .clone()
            .send(beside.layer(false), body("good", false), false);
        let sent = tokio::spawn(sent);
        settle().await;
        assert_eq!(beside.called.load(Ordering::SeqCst), 0);
        beside.verdict.add_permits(1);
        beside.answer.add_permits(1);
        assert!(sent.await.unwrap().contains("answer"));
    });
}
