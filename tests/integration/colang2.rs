//! A rails directory in Colang 2.x: its rails in the layer, its dialogue in `LlmRails`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tower_guardrails::{
    GuardrailsLayer, LlmRails, Message, RailsConfig,
    actions::Args,
    rails::{Inspection, RailStatus, State},
};

use crate::support::{Exchange, Reply, chat, content_stream, exchange, joined, run};

const YAML: &str = "colang_version: 2.x\nmodels: []\n";

const RAILS: &str = r#"
import core
import guardrails

flow main
  match Never()

flow input rails $input_text
  global $user_message
  no maps $input_text
  $user_message = $input_text.replace("cup", "mug")

flow no maps $text
  if "map" in $text
    bot say "No maps."
    abort

flow output rails $output_text
  if "Delft" in $output_text
    bot refuse to respond
    abort
"#;

fn rails(yaml: &str, colang: &str) -> LlmRails {
    LlmRails::new(RailsConfig::from_content(yaml, colang).unwrap()).unwrap()
}

fn asked(layer: &GuardrailsLayer, text: &str, answer: &str) -> Exchange {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": text}]});
    let answer = json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}]});
    let reply = Reply::json(answer.to_string());
    run(exchange(layer, chat(body.to_string()), &reply))
}

fn said(exchange: &Exchange) -> Value {
    exchange.json()["choices"][0]["message"]["content"].clone()
}

#[test]
fn its_flows_are_rails_of_the_layer() {
    let layer = GuardrailsLayer::new(rails(YAML, RAILS));
    let blocked = asked(&layer, "a map!", "x");
    assert!(blocked.is_blocked() && blocked.seen.is_empty());
    assert_eq!(said(&blocked), "No maps.");
    let passed = asked(&layer, "a cup!", "Here.");
    assert_eq!(said(&passed), "Here.");
    assert!(String::from_utf8_lossy(&passed.seen[0].body).contains("a mug!"));
    let blocked = asked(&layer, "hi", "a view of Delft");
    assert_eq!(said(&blocked), "I'm sorry, I can't respond to that.");
}

#[test]
fn a_stream_is_judged_in_windows() {
    let yaml = format!(
        "{YAML}rails: {{output: {{streaming: {{enabled: true, chunk_size: 4, context_size: 2}}}}}}\n"
    );
    let layer = GuardrailsLayer::new(rails(&yaml, RAILS));
    let body = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    let stream = |pieces: &[&str]| {
        let reply = Reply::events(content_stream(pieces));
        run(exchange(&layer, chat(body), &reply))
    };
    let passed = stream(&["a ", "view ", "of ", "the ", "sea ", "from ", "here"]);
    let text = |exchange: &Exchange| joined(&exchange.body, 0, "/delta/content");
    assert_eq!(text(&passed), "a view of the sea from here");
    let blocked = stream(&[
        "a ", "view ", "of ", "the ", "sea ", "at ", "Delft ", "and more",
    ]);
    assert!(!text(&blocked).contains("Delft"), "{}", blocked.text());
}

#[test]
fn calls_of_the_library_are_compiled() {
    let yaml = format!(
        "{YAML}rails: {{output: {{streaming: {{enabled: true}}}}, config: {{regex_detection: {{output: {{patterns: ['Delft']}}}}}}}}\n"
    );
    let colang = "import core\nimport guardrails\nimport nemoguardrails.library.regex\n\nflow main\n  match Never()\n\nflow output rails $output_text\n  regex check output\n";
    let layer = GuardrailsLayer::new(rails(&yaml, colang));
    assert!(asked(&layer, "hi", "a view of Delft").is_blocked());
    let body = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    let reply = Reply::events(content_stream(&["a view ", "of De", "lft"]));
    let streamed = run(exchange(&layer, chat(body), &reply));
    // Patterns hold back exactly what may become a match.
    assert!(streamed.text().contains("a view "));
    assert!(!streamed.text().contains("De"));
}

#[test]
fn a_rail_that_never_ends_or_fails_blocks() {
    for body in [
        "  match Never()\n",
        "  $x = 1 / 0\n",
        "  no such flow\n",
        "  while True\n    $x = 1\n",
    ] {
        let colang = format!(
            "import core\nimport guardrails\n\nflow main\n  match Never()\n\nflow input rails $input_text\n  global $user_message\n  if $input_text == \"never\"\n    abort\n{body}"
        );
        let layer = GuardrailsLayer::new(rails(YAML, &colang));
        let exchange = asked(&layer, "hi", "Here.");
        assert!(exchange.seen.is_empty(), "{body}: {}", exchange.text());
    }
}

#[test]
fn a_dialogue_is_refused_with_its_line() {
    let folder = std::env::temp_dir().join(format!("colang2-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config.yml"), YAML).unwrap();
    let colang = "import core\nimport guardrails\n\nflow main\n  user said \"hi\"\n  bot say \"ho\"\n\nflow input rails $input_text\n  if $input_text == \"x\"\n    abort\n  await LookUpAction(a=1)\n";
    std::fs::write(folder.join("main.co"), colang).unwrap();
    let error = GuardrailsLayer::from_path(&folder).unwrap_err().to_string();
    assert!(
        error.contains("main.co:4") && error.contains("`user said \"hi\"`"),
        "{error}"
    );
    assert!(
        error.contains("main.co:11") && error.contains("LookUpAction"),
        "{error}"
    );
    let inspection = Inspection::of(&folder);
    assert!(inspection.loads && !inspection.guards);
    assert_eq!(inspection.flow_ids, ["main", "input rails"]);
    assert_eq!(inspection.actions[0].name, "LookUpAction");
    assert_eq!(inspection.actions[0].called[0].line, Some(11));
    std::fs::write(
        folder.join("main.co"),
        "flow main\n  bot say = 1\n\nflow other\n  $x =\n",
    )
    .unwrap();
    let inspection = Inspection::of(&folder);
    assert!(inspection.errors.len() >= 2, "{:?}", inspection.errors);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn check_runs_its_rails() {
    let rails = rails(YAML, RAILS);
    let blocked = rails.check([Message::user("a map")]).await.unwrap();
    assert_eq!(blocked.status, RailStatus::Blocked);
    assert_eq!(blocked.rail.as_deref(), Some("input rails"));
    assert_eq!(blocked.content, "No maps.");
    let modified = rails.check([Message::user("a cup")]).await.unwrap();
    assert_eq!(
        (modified.status, modified.content.as_str()),
        (RailStatus::Modified, "a mug")
    );
    let passed = rails
        .check([Message::user("hi"), Message::assistant("ho")])
        .await
        .unwrap();
    assert_eq!(
        (passed.status, passed.content.as_str()),
        (RailStatus::Passed, "ho")
    );
}

#[tokio::test]
async fn rails_in_yaml_run_without_an_import() {
    let yaml = format!(
        "{YAML}rails: {{input: {{flows: [regex check input]}}, config: {{regex_detection: {{input: {{patterns: ['map']}}}}}}}}\n"
    );
    let colang = "import core\n\nflow main\n  user said something\n  bot say \"Here.\"\n";
    let rails = rails(&yaml, colang);
    let answer = rails.generate([Message::user("a map")]).await.unwrap();
    assert_eq!(answer.content.text(), "I'm sorry, I can't respond to that.");
    let answer = rails.generate([Message::user("a cup")]).await.unwrap();
    assert_eq!(answer.content.text(), "Here.");
}

#[tokio::test]
async fn after_a_block_the_next_message_is_checked_again() {
    let colang = r#"
import core
import guardrails

flow main
  activate echo

flow echo
  user said something as $said
  bot say $said.transcript

flow output rails $output_text
  if "bad" in $output_text
    bot say "No."
    abort
"#;
    let rails = rails(YAML, colang);
    let mut state = State::default();
    for expected in ["No.", "No.", "fine"] {
        let text = if expected == "No." { "bad" } else { "fine" };
        let event = json!({"type": "UtteranceUserActionFinished", "final_transcript": text});
        let (events, next) = rails.process_events(&[event], state).await.unwrap();
        assert_eq!(events[0]["script"], expected);
        let end = json!({"type": "UtteranceBotActionFinished", "action_uid": events[0]["action_uid"], "is_success": true});
        (_, state) = rails.process_events(&[end], next).await.unwrap();
    }
}

#[derive(serde::Deserialize)]
struct Text {
    text: String,
}

#[tokio::test(start_paused = true)]
async fn messages_at_the_same_time_are_all_checked() {
    let check = async |Args(Text { text }): Args<Text>| {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok::<_, std::convert::Infallible>(text.contains("bad"))
    };
    let colang = r#"
import core
import guardrails

flow main
  activate one
  activate two
  activate three
  match Never()

@loop("first")
flow one
  user said something
  bot say "fine"

@loop("second")
flow two
  user said something
  bot say "bad"

@loop("third")
flow three
  user said something
  bot say "good"

flow output rails $output_text
  global $bot_message
  $is_bad = await CheckAction(text=$output_text)
  if $is_bad
    bot say "refused"
    abort
  $bot_message = $output_text + "!"
"#;
    let config = RailsConfig::from_content(YAML, colang).unwrap();
    let rails = LlmRails::builder(config)
        .action("check", check)
        .build()
        .unwrap();
    let answer = rails.generate([Message::user("go")]).await.unwrap();
    let said = answer.content.text().into_owned();
    let mut lines: Vec<&str> = said.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["fine!", "good!", "refused"]);
}

#[derive(serde::Deserialize)]
struct Wait {
    ms: u64,
}

#[tokio::test(start_paused = true)]
async fn actions_run_beside_each_other_and_end_with_their_flow() {
    let ended = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ended);
    let wait = move |Args(Wait { ms }): Args<Wait>| {
        let count = Arc::clone(&count);
        async move {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            count.fetch_add(1, Ordering::SeqCst);
            Ok::<_, std::convert::Infallible>(ms)
        }
    };
    let colang = r#"
import core

flow main
  user said something
  race
  bot say "over"

flow race
  start WaitAction(ms=3600000)
  start WaitAction(ms=20) as $second
  start WaitAction(ms=10) as $first
  when $first.Finished()
    bot say "first"
  or when $second.Finished()
    bot say "second"
"#;
    let config = RailsConfig::from_content(YAML, colang).unwrap();
    let rails = LlmRails::builder(config)
        .action("wait", wait)
        .build()
        .unwrap();
    let begun = tokio::time::Instant::now();
    let answer = rails.generate([Message::user("go")]).await.unwrap();
    assert_eq!(answer.content.text(), "first\nover");
    // What the flow leaves behind is cancelled, not waited for.
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(ended.load(Ordering::SeqCst), 1);
}
