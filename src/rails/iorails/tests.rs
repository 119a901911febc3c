use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_core::future::BoxFuture;
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::IoRails;
use crate::{
    RailsConfig,
    error::{Error, ModelError, ModelErrorKind},
    http::testing::Server,
    llm::{Model, ModelReply, ModelRequest},
    message::{Content, Message, ToolCall},
    rails::{GenerationOptions, GenerationRequest, RailStatus},
};

const REFUSAL: &str = "I'm sorry, I can't respond to that.";

/// A model that says one thing, after a while.
#[derive(Debug, Clone, Default)]
struct Says {
    reply: ModelReply,
    status: Option<u16>,
    fails: bool,
    after: Duration,
    asked: Arc<Mutex<Vec<ModelRequest>>>,
    /// Set where a call was dropped before it ended.
    dropped: Arc<AtomicBool>,
}

struct OnDrop(Option<Arc<AtomicBool>>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        if let Some(dropped) = &self.0 {
            dropped.store(true, Ordering::SeqCst);
        }
    }
}

impl Says {
    fn text(text: &str) -> Self {
        Self {
            reply: ModelReply {
                content: text.to_owned(),
                ..ModelReply::default()
            },
            ..Self::default()
        }
    }

    fn after(mut self, milliseconds: u64) -> Self {
        self.after = Duration::from_millis(milliseconds);
        self
    }

    fn texts(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        let last = |request: &ModelRequest| request.messages.last().unwrap().content.text().into();
        asked.iter().map(last).collect()
    }

    fn was_dropped(&self) -> bool {
        self.dropped.load(Ordering::SeqCst)
    }
}

impl Model for Says {
    fn name(&self) -> &str {
        "says"
    }

    fn complete(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelReply, ModelError>> {
        self.asked.lock().unwrap().push(request);
        Box::pin(async move {
            let mut guard = OnDrop(Some(Arc::clone(&self.dropped)));
            tokio::time::sleep(self.after).await;
            guard.0 = None;
            if self.fails || self.status.is_some() {
                let mut error = ModelError::new(ModelErrorKind::Connection, "says", "not there");
                error.status = self.status;
                return Err(error);
            }
            Ok(self.reply.clone())
        })
    }
}

const CHECKS: &str = "
prompts:
- {task: self_check_input, content: 'Rude? {{ user_input }}'}
- {task: self_check_output, content: 'Leak? {{ bot_response }}'}
";

fn config(rails: &str) -> RailsConfig {
    RailsConfig::from_content(&format!("models: []\n{CHECKS}\nrails:\n{rails}\n"), "").unwrap()
}

fn rails(yaml: &str, main: &Says, input: &Says, output: &Says) -> IoRails {
    IoRails::builder(config(yaml))
        .model("main", main.clone())
        .model("self_check_input", input.clone())
        .model("self_check_output", output.clone())
        .build()
        .unwrap()
}

async fn answer(rails: &IoRails, text: &str) -> String {
    let answer = rails.generate([Message::user(text)]).await.unwrap();
    answer.content.text().into_owned()
}

async fn streamed(rails: &IoRails, text: &str) -> Vec<String> {
    let chunks: Vec<_> = rails.stream([Message::user(text)]).collect().await;
    let chunks = chunks.into_iter();
    chunks
        .map(|chunk| chunk.unwrap().text().to_owned())
        .collect()
}

const BOTH: &str = "
  input: {flows: [self check input]}
  output: {flows: [self check output], streaming: {enabled: true, chunk_size: 2, context_size: 1}}";

#[tokio::test]
async fn the_rails_stand_around_the_model() {
    let (main, no, yes) = (Says::text("Hello."), Says::text("no"), Says::text("yes"));
    let open = rails(BOTH, &main, &no, &no);
    assert_eq!(answer(&open, "hi").await, "Hello.");
    assert_eq!(streamed(&open, "hi").await, ["Hello."]);
    let input_blocks = rails(BOTH, &main, &yes, &no);
    assert_eq!(answer(&input_blocks, "hi").await, REFUSAL);
    let end = streamed(&input_blocks, "hi").await.concat();
    let end: Value = serde_json::from_str(&end).unwrap();
    assert_eq!(end["error"]["param"], "input_rails");
    assert_eq!(
        end["error"]["message"],
        "Blocked by input rails: self check input"
    );
    let output_blocks = rails(BOTH, &main, &no, &yes);
    assert_eq!(answer(&output_blocks, "hi").await, REFUSAL);
    // The conversation goes to the model as it is.
    assert_eq!(main.texts(), ["hi"; 3]);
    let result = output_blocks
        .check([Message::user("hi"), Message::assistant("x")])
        .await
        .unwrap();
    assert_eq!(
        (result.status, result.rail.as_deref()),
        (RailStatus::Blocked, Some("self check output"))
    );
}

#[tokio::test]
async fn a_rail_that_fails_blocks() {
    let (main, no) = (Says::text("Hello."), Says::text("no"));
    let failing = Says {
        fails: true,
        ..Says::default()
    };
    let broken = rails(BOTH, &main, &failing, &no);
    assert_eq!(
        answer(&broken, "hi").await,
        "I'm sorry, an internal error has occurred."
    );
    assert!(main.texts().is_empty());
    // What the caller can act upon is an error.
    let refused = Says {
        status: Some(401),
        ..Says::default()
    };
    let refused = rails(BOTH, &main, &refused, &no);
    let error = refused.generate([Message::user("hi")]).await.unwrap_err();
    assert!(matches!(error, Error::Model(error) if error.status == Some(401)));
    let end = streamed(&refused, "hi").await.concat();
    assert!(
        end.contains("\"downstream_error\"") && end.contains("401"),
        "{end}"
    );
}

const SPECULATIVE: &str = "
  input: {speculative_generation: true, flows: [self check input]}";

#[tokio::test]
async fn a_block_cancels_what_was_begun_meanwhile() {
    let main = Says::text("Hello.").after(60_000);
    let blocked = rails(
        SPECULATIVE,
        &main,
        &Says::text("yes").after(20),
        &Says::default(),
    );
    assert_eq!(answer(&blocked, "hi").await, REFUSAL);
    assert_eq!(main.texts(), ["hi"]);
    assert!(main.was_dropped());
}

#[tokio::test]
async fn an_answer_that_is_ready_waits_for_the_rails() {
    let main = Says::text("Hello.");
    for (verdict, expected) in [("no", "Hello."), ("yes", REFUSAL)] {
        let input = Says::text(verdict).after(30);
        let waiting = rails(SPECULATIVE, &main, &input, &Says::default());
        assert_eq!(answer(&waiting, "hi").await, expected);
    }
    // A main call that fails ends the turn, and the rails with it.
    let failing = Says {
        fails: true,
        ..Says::default()
    };
    let input = Says::text("no").after(60_000);
    let waiting = rails(SPECULATIVE, &failing, &input, &Says::default());
    assert!(waiting.generate([Message::user("hi")]).await.is_err());
    assert!(input.was_dropped());
}

#[tokio::test]
async fn the_first_block_cancels_rails_that_run_together() {
    let yaml = "
  input: {parallel: true, flows: [self check input, self check input $variant=slow]}
";
    let config = format!(
        "models: []\n{CHECKS}- {{task: self_check_input $variant=slow, content: 'x'}}\nrails:\n{yaml}"
    );
    let slow = Says::text("no").after(60_000);
    let together = IoRails::builder(RailsConfig::from_content(&config, "").unwrap())
        .model("main", Says::text("Hello."))
        .model("self_check_input", Says::text("yes").after(20))
        .model("slow", slow.clone())
        .build()
        .unwrap();
    assert_eq!(answer(&together, "hi").await, REFUSAL);
    assert!(slow.was_dropped());
}

/// A service that masks a name.
async fn masking() -> Server {
    let masked = json!([{"entities_present": true, "processed_text": "I am [N]"}]);
    Server::start(vec![crate::http::testing::json(200, &masked); 4]).await
}

#[tokio::test]
async fn rails_judge_what_rewriting_rails_made_of_the_text() {
    let service = masking().await;
    let yaml = format!(
        "
  input: {{parallel: true, speculative_generation: true, flows: [regex check input, self check input, mask pii on input]}}
  config:
    regex_detection: {{input: {{patterns: [Ann]}}}}
    privateai: {{server_endpoint: '{}/p', input: {{entities: [NAME]}}}}",
        service.url
    );
    let (main, no) = (Says::text("Hello."), Says::text("no"));
    let masked = rails(&yaml, &main, &no, &Says::default());
    assert_eq!(answer(&masked, "I am Ann").await, "Hello.");
    // Neither the judging rails nor the model read the name.
    assert_eq!(no.texts(), ["Rude? I am [N]"]);
    assert_eq!(main.texts(), ["I am [N]"]);
    assert!(!masked.inner.plan.input.parallel && !masked.inner.speculative);
    let result = masked.check([Message::user("I am Ann")]).await.unwrap();
    assert_eq!(
        (result.status, result.content.as_str()),
        (RailStatus::Modified, "I am [N]")
    );
    // Images stay.
    let image = json!({"type": "image_url", "image_url": {"url": "data:,"}});
    let parts = vec![json!({"type": "text", "text": "I am Ann"}), image.clone()];
    masked
        .generate([Message::user(Content::Parts(parts))])
        .await
        .unwrap();
    let asked = main.asked.lock().unwrap().last().cloned().unwrap();
    assert_eq!(
        asked.messages[0].content,
        Content::Parts(vec![json!({"type": "text", "text": "I am [N]"}), image])
    );

    // What masking makes of a text is judged by patterns, too.
    let service = masking().await;
    let yaml = yaml.replace("[Ann]", "['\\[N']").replace(
        yaml.split("server_endpoint: '")
            .nth(1)
            .unwrap()
            .split('\'')
            .next()
            .unwrap(),
        &format!("{}/p", service.url),
    );
    let caught = rails(&yaml, &main, &no, &Says::default());
    assert_eq!(answer(&caught, "I am Ann").await, REFUSAL);
}

#[tokio::test]
async fn calls_of_tools_are_validated() {
    let call = ToolCall {
        id: Some("c1".to_owned()),
        name: "ping".to_owned(),
        arguments: json!({}),
    };
    let main = Says {
        reply: ModelReply {
            tool_calls: vec![call],
            ..ModelReply::default()
        },
        ..Says::default()
    };
    let yaml = "
  tool_output: {flows: [tool call validation]}
  tool_input: {flows: [tool result validation]}";
    let tools = rails(yaml, &main, &Says::default(), &Says::default());
    let offering = |name: &str| {
        let options =
            json!({"llm_params": {"tools": [{"type": "function", "function": {"name": name}}]}});
        let options = GenerationOptions::from_value(&options).unwrap();
        GenerationRequest::prompt("go").options(options)
    };
    let answer = tools.generate(offering("ping")).await.unwrap();
    assert_eq!(answer.tool_calls.len(), 1);
    assert!(answer.content.is_none());
    for request in [offering("pong"), GenerationRequest::prompt("go")] {
        let answer = tools.generate(request).await.unwrap();
        assert!(answer.tool_calls.is_empty());
        assert_eq!(answer.content.text(), REFUSAL);
    }
    let asked = main.texts().len();
    let stray = [Message::user("go"), Message::tool("c9", "done")];
    let answer = tools.generate(stray).await.unwrap();
    assert_eq!(answer.content.text(), REFUSAL);
    assert_eq!(main.texts().len(), asked);
}

#[tokio::test]
async fn a_stream_that_is_dropped_cancels_the_model() {
    let main = Says::text("Hello.").after(60_000);
    let slow = rails(
        "  input: {flows: []}",
        &main,
        &Says::default(),
        &Says::default(),
    );
    let mut chunks = slow.stream([Message::user("hi")]);
    let waited = tokio::time::timeout(Duration::from_millis(20), chunks.next()).await;
    assert!(waited.is_err());
    drop(chunks);
    assert!(main.was_dropped());
}

#[test]
fn what_needs_more_than_rails_is_refused() {
    for (rails, part) in [
        (
            "  dialog: {single_call: {enabled: false}}",
            "`rails.dialog`",
        ),
        ("  retrieval: {flows: []}", "`rails.retrieval`"),
        ("  actions: {instant_actions: []}", "`rails.actions`"),
        ("  input: {flows: [my own check]}", "`my own check`"),
        ("  input: {flows: [self check output]}", "is no input rail"),
        (
            "  input: {flows: [content safety check input $model=x]}",
            "`x`",
        ),
        (
            "  tool_output: {flows: [tool result validation]}",
            "is no tool output rail",
        ),
        ("  tool_input: {flows: [check tools]}", "`check tools`"),
        (
            "  tool_output: {flows: [tool call validation, tool call validation $a=1]}",
            "twice",
        ),
    ] {
        let yaml = format!("models: []\n{CHECKS}\nrails:\n{rails}\n");
        let built = RailsConfig::from_content(&yaml, "").map_err(Error::from);
        let built = built.and_then(IoRails::new);
        let error = built.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let flows = RailsConfig::from_content("models: []\n", "define flow\n  else\n").unwrap();
    assert!(IoRails::new(flows).is_err());
}

#[tokio::test]
async fn tools_are_validated_in_flows_as_well() {
    let call = ToolCall {
        id: Some("c1".to_owned()),
        name: "ping".to_owned(),
        arguments: json!({}),
    };
    let main = Says {
        reply: ModelReply {
            tool_calls: vec![call.clone()],
            ..ModelReply::default()
        },
        ..Says::default()
    };
    let yaml = "models: []\npassthrough: true\nrails:
  tool_output: {flows: [tool call validation]}
  tool_input: {flows: [tool result validation]}";
    let flows = crate::LlmRails::builder(RailsConfig::from_content(yaml, "").unwrap())
        .model("main", main)
        .build()
        .unwrap();
    let ask = async |messages: Vec<Message>, offered: &str| {
        let options =
            json!({"llm_params": {"tools": [{"type": "function", "function": {"name": offered}}]}});
        let options = GenerationOptions::from_value(&options).unwrap();
        let request = GenerationRequest::new(messages).options(options);
        let response = flows.generate_with(request).await.unwrap();
        response.message.content.text().into_owned()
    };
    let question = Message::user("go");
    assert_eq!(ask(vec![question.clone()], "ping").await, "");
    assert_eq!(ask(vec![question.clone()], "pong").await, REFUSAL);
    let mut called = Message::assistant(Content::None);
    called.tool_calls = vec![call];
    for (id, expected) in [("c1", ""), ("c2", REFUSAL)] {
        let messages = vec![question.clone(), called.clone(), Message::tool(id, "done")];
        assert_eq!(ask(messages, "ping").await, expected);
    }
}
