//! `tracing` of the configuration: traces of turns in a file, without texts unless they are asked for.

use std::{path::PathBuf, time::Duration};

use futures_core::future::BoxFuture;
use serde_json::Value;
use tower_guardrails::{
    LlmRails, Message, RailsConfig,
    error::ModelError,
    llm::{Model, ModelReply, ModelRequest},
};

use super::support::run;

const QUESTION: &str = "what is the launch code";
const ANSWER: &str = "nobody knows it";

/// Allows what it judges, and gives one answer to all else.
#[derive(Debug)]
struct Script;

impl Model for Script {
    fn name(&self) -> &str {
        "vendor/scripted"
    }

    fn complete(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelReply, ModelError>> {
        let judges = format!("{:?}", request.messages).contains("JUDGE");
        let mut reply = ModelReply::default();
        reply.content = if judges { "No" } else { ANSWER }.to_owned();
        Box::pin(std::future::ready(Ok(reply)))
    }
}

/// A file for traces that is removed in the end.
struct Traces(PathBuf);

impl Traces {
    fn new(name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("guardrails-traces-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        Self(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.join("deep").join("trace.jsonl")
    }

    /// The lines, once there are `count`: they are written by a thread of their own.
    fn lines(&self, count: usize) -> Vec<Value> {
        for _ in 0..1000 {
            let text = std::fs::read_to_string(self.path()).unwrap_or_default();
            if text.matches('\n').count() >= count {
                return text
                    .lines()
                    .map(|line| serde_json::from_str(line).unwrap())
                    .collect();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("no {count} lines in {}", self.path().display());
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn rails(traces: &Traces, settings: &str) -> LlmRails {
    let yaml = format!(
        "
models: []
passthrough: true
rails:
  input:
    flows: [self check input]
prompts:
  - task: self_check_input
    content: 'JUDGE {{{{ user_input }}}}'
tracing:
  enabled: true
  adapters:
    - name: FileSystem
      filepath: {}
{settings}
",
        traces.path().display()
    );
    let config = RailsConfig::from_content(&yaml, "").unwrap();
    LlmRails::builder(config)
        .model("main", Script)
        .build()
        .unwrap()
}

#[test]
fn a_turn_is_a_line_of_spans_without_what_was_said() {
    let traces = Traces::new("plain");
    let rails = rails(&traces, "");
    run(async {
        for _ in 0..2 {
            rails.generate([Message::user(QUESTION)]).await.unwrap();
        }
    });
    let lines = traces.lines(2);
    let spans = lines[0]["spans"].as_array().unwrap();
    let named = |name: &str| spans.iter().find(|span| span["name"] == name).unwrap();
    let request = named("guardrails.request");
    assert_eq!(request["span_kind"], "server");
    let rail = spans
        .iter()
        .find(|span| span["attributes"]["rail.name"] == "self check input")
        .unwrap();
    assert_eq!(rail["parent_id"], request["span_id"]);
    assert_eq!(rail["attributes"]["rail.stop"], false);
    let judged = named("self_check_input vendor/scripted");
    assert_eq!(
        judged["attributes"]["gen_ai.request.model"],
        "vendor/scripted"
    );
    assert_eq!(judged["span_kind"], "client");
    assert_ne!(lines[0]["trace_id"], lines[1]["trace_id"]);
    let all = serde_json::to_string(&lines).unwrap();
    assert!(
        !all.contains("launch code") && !all.contains(ANSWER),
        "{all}"
    );
}

#[test]
fn texts_are_captured_where_the_configuration_asks_for_it() {
    let traces = Traces::new("content");
    let rails = rails(&traces, "  enable_content_capture: true");
    run(async { rails.generate([Message::user(QUESTION)]).await.unwrap() });
    let all = serde_json::to_string(&traces.lines(1)).unwrap();
    assert!(all.contains(QUESTION) && all.contains(ANSWER), "{all}");
}

#[test]
fn the_legacy_format_counts() {
    let traces = Traces::new("legacy");
    let rails = rails(&traces, "  span_format: legacy");
    run(async { rails.generate([Message::user(QUESTION)]).await.unwrap() });
    let lines = traces.lines(1);
    assert_eq!(lines[0]["schema_version"], "1.0");
    let spans = lines[0]["spans"].as_array().unwrap();
    assert_eq!(spans[0]["metrics"]["interaction_total"], 1);
    assert!(
        spans
            .iter()
            .any(|span| span["metrics"]["llm_call_vendor_scripted_total"] == 1)
    );
}

#[test]
fn what_cannot_be_traced_is_a_fault() {
    let faulty = |tracing: &str| {
        let yaml = format!("models: []\npassthrough: true\ntracing:\n  enabled: true\n{tracing}");
        let config = RailsConfig::from_content(&yaml, "").unwrap();
        LlmRails::new(config).unwrap_err().to_string()
    };
    let error = faulty("  span_format: xml\n  adapters: []\n");
    assert!(
        error.contains("span_format") && error.contains("xml"),
        "{error}"
    );
    let error = faulty("  adapters: [{name: FileSystem, filepath: /dev/null/trace.jsonl}]\n");
    assert!(error.contains("cannot be opened"), "{error}");
    #[cfg(not(feature = "opentelemetry"))]
    {
        let error = faulty("  adapters: [{name: OpenTelemetry}]\n");
        assert!(error.contains("feature `opentelemetry`"), "{error}");
    }
}
