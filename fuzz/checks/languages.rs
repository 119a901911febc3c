//! The languages that a rails directory is written in.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tower_guardrails::{
    LlmRails, Message, RailsConfig,
    colang::expr::{Dialect, Expr, Scope},
    error::ModelError,
    llm::{Model, ModelReply, ModelRequest},
    pattern::{HoldLimits, Patterns},
    value::{Dict, Value},
};

/// YAML and a Colang file of either version: whatever they are, they are read or refused; a fault lies in the text that it is about.
pub(crate) fn config(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (yaml, colang) = text.split_once('\0').unwrap_or((&text, ""));
    match RailsConfig::from_content(yaml, colang) {
        Ok(config) => {
            let _ = serde_json::to_string(&config).expect("a configuration is JSON");
            if let Err(error) = LlmRails::new(config) {
                assert!(!error.to_string().is_empty());
            }
        }
        Err(error) => {
            let lines = yaml.lines().count().max(colang.lines().count()) + 1;
            for fault in &error.faults {
                assert!(!fault.message.is_empty());
                assert!(fault.line.is_none_or(|line| line <= lines), "{fault}");
            }
        }
    }
}

/// A pattern and a text: a stream's guard finds a match exactly where there is one, at any cut, and holds what belongs to it.
pub(crate) fn pattern(input: &[u8]) {
    let [step, input @ ..] = input else { return };
    let text = String::from_utf8_lossy(input);
    let Some((pattern, text)) = text.split_once('\0') else {
        return;
    };
    let Ok(patterns) = Patterns::compile(&[pattern], false) else {
        return;
    };
    // A pattern that matches the empty text is refused by every rail.
    if patterns
        .matching("")
        .is_ok_and(|matching| !matching.is_empty())
    {
        return;
    }
    let (Ok(found), Ok(all)) = (patterns.find(text), patterns.find_all(text)) else {
        return;
    };
    let matching = patterns.matching(text);
    if let Ok(matching) = matching {
        assert_eq!(!matching.is_empty(), found.is_some());
    }
    assert_eq!(all.is_empty(), found.is_none());
    for one in &all {
        assert!(
            text.get(one.range.clone()).is_some(),
            "a match lies in the text"
        );
    }
    let program = Arc::new(patterns.hold_program(HoldLimits::default()));
    if program.to_end().next().is_some() {
        return;
    }
    let read = |step: usize| {
        let mut hold = program.start();
        let mut held = 0;
        for piece in text.as_bytes().chunks(step) {
            hold.push(piece);
            assert!(hold.held_from() >= held && hold.held_from() <= hold.position());
            held = hold.held_from();
        }
        hold.finish();
        (hold.matched().is_some(), hold.overflowed(), held)
    };
    let whole = read(text.len().max(1));
    let cut = read(usize::from(*step).max(1));
    assert_eq!((whole.0, whole.1), (cut.0, cut.1));
    if whole.1 {
        return;
    }
    assert_eq!(whole.0, found.is_some());
    if let Some(first) = all.iter().map(|one| one.range.start).min() {
        assert!(cut.2 <= first as u64, "a match has left");
    }
}

#[derive(Debug)]
struct Variables;

impl Scope for Variables {
    fn variable(&self, name: &str) -> Option<Value> {
        Some(match name {
            "text" => Value::from("a text, with {braces} and \u{e9}"),
            "number" => Value::Int(7),
            "list" => Value::list((0..5).map(Value::Int)),
            "dict" => {
                let mut dict = Dict::new();
                dict.insert("key", "value");
                dict.insert("inner", Value::list(["a", "b"]));
                Value::Dict(dict)
            }
            _ => return None,
        })
    }
}

/// An expression of either dialect: it is read or refused, has a value or fails, and the same each time.
pub(crate) fn expression(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    for dialect in [Dialect::V1, Dialect::V2] {
        let Ok(expr) = Expr::parse(&text, dialect) else {
            continue;
        };
        assert_eq!(expr.text(), text);
        let is_random = ["rand", "uid"].iter().any(|word| text.contains(word));
        let (first, second) = (expr.eval(&Variables), expr.eval(&Variables));
        if let (Ok(first), Ok(second)) = (first, second) {
            let _ = (first.to_json(), first.is_truthy());
            assert!(is_random || first.repr() == second.repr());
        }
    }
}

/// A model that answers what it is asked for.
#[derive(Debug)]
struct Echo;

impl Model for Echo {
    fn name(&self) -> &str {
        "echo"
    }

    fn complete(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelReply, ModelError>> {
        let mut reply = ModelReply::default();
        reply.content = request
            .messages
            .iter()
            .map(|message| message.content.text().into_owned())
            .collect::<Vec<_>>()
            .join("\n");
        Box::pin(std::future::ready(Ok(reply)))
    }
}

/// A prompt's template, and the output parser that reads its text again: a check ends with a verdict or an error.
pub(crate) fn template(input: &[u8]) {
    const PARSERS: [&str; 6] = [
        "is_content_safe",
        "user_intent",
        "bot_intent",
        "verbose_v1",
        "nemoguard_parse_prompt_safety",
        "nemotron_reasoning_parse_prompt_safety",
    ];
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
    }
    let [parser, input @ ..] = input else { return };
    let text = String::from_utf8_lossy(input);
    let prompt = serde_json::json!({
        "task": "self_check_input",
        "content": text,
        "output_parser": PARSERS[usize::from(*parser) % PARSERS.len()],
        "max_length": 4000,
    });
    let yaml = format!(
        "models: []\nprompts: [{prompt}]\nrails: {{input: {{flows: [self check input]}}}}\n"
    );
    let Ok(config) = RailsConfig::from_content(&yaml, "") else {
        return;
    };
    let Ok(rails) = LlmRails::builder(config).model("main", Echo).build() else {
        return;
    };
    let message = Message::user("Is {{ this }} a text?\nUser intent: \"x\"");
    let _ = RUNTIME.with(|runtime| runtime.block_on(rails.check([message])));
}
