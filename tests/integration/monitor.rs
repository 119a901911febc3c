//! Rails that only monitor: all passes as it came, and the verdict says what would not have.

use tower_guardrails::{
    GuardrailsLayer, LlmRails, RailsConfig, layer::Enforcement, verdict::Decision,
};

use crate::support::{Exchange, Reply, STREAM, chat, content_stream, exchange, regex_yaml, run};

const ANSWER: &str = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"a secret"},"finish_reason":"stop"}]}"#;

fn layer(more: &str) -> GuardrailsLayer {
    let yaml = regex_yaml("bomb", &["secret"], "");
    let yaml = format!("{yaml}  {more}\n");
    let config = RailsConfig::from_content(&yaml, "").unwrap();
    GuardrailsLayer::new(LlmRails::new(config).unwrap())
}

fn bomb(layer: &GuardrailsLayer) -> Exchange {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"a bomb"}]}"#;
    run(exchange(layer, chat(body), &Reply::json(ANSWER)))
}

fn would_block(exchange: &Exchange) -> Vec<String> {
    let verdict = exchange.verdict.as_ref().unwrap();
    let rails = verdict.would_block().into_iter();
    rails.map(|rail| rail.rail.to_string()).collect()
}

#[test]
fn a_layer_that_monitors_lets_all_pass_and_says_so() {
    let layer = layer("").enforcement(Enforcement::Monitor);
    let passed = bomb(&layer);
    assert_eq!(passed.text(), ANSWER);
    assert!(!passed.is_blocked());
    assert_eq!(
        would_block(&passed),
        ["regex check input", "regex check output"]
    );
    let pieces = ["a se", "cr", "et"];
    let frames = content_stream(&pieces);
    let all: Vec<u8> = frames.concat();
    let streamed = run(exchange(&layer, chat(STREAM), &Reply::events(frames)));
    assert_eq!(streamed.body, all);
    assert_eq!(would_block(&streamed), ["regex check output"]);
}

#[test]
fn the_config_says_it_of_all_rails_or_of_one() {
    let passed = bomb(&layer("enforcement: monitor"));
    assert_eq!(passed.text(), ANSWER);
    assert_eq!(would_block(&passed).len(), 2);
    let blocked = bomb(&layer(
        "options: {regex check input: {enforcement: monitor}}",
    ));
    assert_eq!(blocked.seen.len(), 1);
    assert!(blocked.is_blocked() && !blocked.text().contains("secret"));
    assert_eq!(would_block(&blocked), ["regex check input"]);
    let layer = layer("options: {regex check input: {enforcement: enforce}}")
        .enforcement(Enforcement::Monitor);
    assert!(bomb(&layer).seen.is_empty());
}

#[test]
fn a_rail_fails_as_its_options_say() {
    const FLOWS: &str = "define subflow broken\n  $x = execute fail\n  if $x\n    stop\n";
    for (options, passes, decision) in [
        ("{}", false, Decision::FailedClosed),
        ("{broken: {on_error: pass}}", true, Decision::FailedOpen),
        (
            "{broken: {enforcement: monitor}}",
            true,
            Decision::FailedOpen,
        ),
    ] {
        let yaml =
            format!("models: []\nrails:\n  input: {{flows: [broken]}}\n  options: {options}\n");
        let config = RailsConfig::from_content(&yaml, FLOWS).unwrap();
        let fail = async || Err::<bool, _>("it is down");
        let rails = LlmRails::builder(config).action("fail", fail).build();
        let layer = GuardrailsLayer::new(rails.unwrap());
        let exchange = bomb(&layer);
        assert_eq!(!exchange.seen.is_empty(), passes, "{options}");
        let rails = exchange.verdict.as_ref().unwrap().rails();
        assert_eq!(rails[0].decision, decision, "{options}");
    }
}
