//! Flows of Colang 1.0 stand as rails in the layer.

use tower_guardrails::{GuardrailsLayer, LlmRails, RailsConfig, layer::Dialogue};

use crate::support::{Exchange, Reply, chat, exchange, run};

const ANSWER: &str = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"a map of Delft"},"finish_reason":"stop"}]}"#;

const FLOWS: &str = r#"
define subflow no maps
  if "map" in $user_message
    bot refuse maps
    stop

define bot refuse maps
  "No maps."

define subflow shorten
  $bot_message = $bot_message[0:5]
"#;

fn layer(rails: &str) -> GuardrailsLayer {
    let yaml = format!("models: []\nrails:\n{rails}");
    let config = RailsConfig::from_content(&yaml, FLOWS).unwrap();
    GuardrailsLayer::new(LlmRails::new(config).unwrap())
}

fn asked(layer: &GuardrailsLayer, text: &str) -> Exchange {
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]}}"#);
    run(exchange(layer, chat(body), &Reply::json(ANSWER)))
}

#[test]
fn a_flow_that_speaks_answers_instead_of_the_service() {
    let layer = layer("  input:\n    flows: [no maps]\n");
    let blocked = asked(&layer, "a map!");
    assert!(blocked.is_blocked() && blocked.seen.is_empty());
    assert_eq!(
        blocked.json()["choices"][0]["message"]["content"],
        "No maps."
    );
    let passed = asked(&layer, "a cup!");
    assert_eq!((passed.seen.len(), passed.text().as_str()), (1, ANSWER));
}

#[test]
fn a_flow_that_rewrites_changes_the_reply() {
    let answer = asked(&layer("  output:\n    flows: [shorten]\n"), "hi");
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "a map");
}

#[test]
fn nothing_passes_a_layer_that_does_not_run_a_rail() {
    let layer = layer("  retrieval:\n    flows: [no maps]\n").dialogue(Dialogue::Off);
    let exchange = asked(&layer, "a cup!");
    assert!(exchange.seen.is_empty(), "{}", exchange.text());
}
