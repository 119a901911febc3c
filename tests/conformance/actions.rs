//! The actions that a case with `actions: true` may call: those of the recorder's `actions.py`, natively.

use std::{convert::Infallible, time::Duration};

use serde::Deserialize;
use serde_json::{Value, json};
use tower_guardrails::{
    actions::{ActionContext, ActionResult, Args, system},
    rails::LlmRailsBuilder,
    verdict::Outcome,
};

const BLOCKED_TERMS: [&str; 2] = ["proprietary", "confidential"];

type Never<T> = Result<T, Infallible>;

#[derive(Deserialize)]
struct Add {
    a: Value,
    b: Value,
}

#[derive(Deserialize)]
struct Text {
    text: Value,
}

#[derive(Deserialize)]
struct Order {
    order_id: Value,
}

#[derive(Deserialize)]
struct Remember {
    key: String,
    value: Value,
}

#[derive(Deserialize)]
struct Wait {
    ms: u64,
    value: Value,
}

#[derive(Deserialize)]
struct Emit {
    name: String,
    value: Value,
}

#[derive(Deserialize)]
struct Plain {
    #[serde(default)]
    plain: bool,
}

async fn add(Args(Add { a, b }): Args<Add>) -> Result<Value, &'static str> {
    match (&a, &b) {
        (Value::String(a), Value::String(b)) => Ok(format!("{a}{b}").into()),
        (Value::Array(a), Value::Array(b)) => Ok(a.iter().chain(b).cloned().collect()),
        _ => match (a.as_i64(), b.as_i64(), a.as_f64(), b.as_f64()) {
            (Some(a), Some(b), ..) => Ok((a + b).into()),
            (_, _, Some(a), Some(b)) => Ok((a + b).into()),
            _ => Err("cannot be added"),
        },
    }
}

async fn echo(Args(Text { text }): Args<Text>) -> Never<Value> {
    Ok(text)
}

async fn shout(Args(Text { text }): Args<Text>) -> Result<String, &'static str> {
    Ok(text.as_str().ok_or("no text")?.to_uppercase())
}

async fn lookup_order(Args(Order { order_id }): Args<Order>) -> Never<Value> {
    Ok(match order_id.as_str() {
        Some("A1") => {
            json!({"id": "A1", "status": "shipped", "items": ["lamp", "desk"], "total": 120.5})
        }
        Some("B2") => json!({"id": "B2", "status": "pending", "items": [], "total": 0}),
        _ => Value::Null,
    })
}

async fn remember(Args(Remember { key, value }): Args<Remember>) -> Never<ActionResult> {
    Ok(ActionResult::value(value.clone()).with_context(key, value))
}

async fn mask_digits(Args(Text { text }): Args<Text>) -> Result<String, &'static str> {
    let text = text.as_str().ok_or("no text")?;
    Ok(text
        .chars()
        .map(|character| {
            if character.is_ascii_digit() {
                '#'
            } else {
                character
            }
        })
        .collect())
}

async fn always_fails() -> Result<(), &'static str> {
    Err("scripted action failure")
}

async fn wait_then(Args(Wait { ms, value }): Args<Wait>) -> Never<Value> {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    Ok(value)
}

async fn emit_event(Args(Emit { name, value }): Args<Emit>) -> Never<ActionResult> {
    Ok(ActionResult::value(value.clone()).with_event(json!({"type": name, "value": value})))
}

fn has_blocked_term(context: &ActionContext) -> bool {
    let text = |name: &str| context.text(name).filter(|text| !text.is_empty());
    let text = text("bot_message")
        .or_else(|| text("user_message"))
        .unwrap_or_default()
        .to_lowercase();
    BLOCKED_TERMS.iter().any(|term| text.contains(term))
}

async fn check_blocked_terms(context: ActionContext) -> Never<bool> {
    Ok(has_blocked_term(&context))
}

async fn verdict_on_terms(
    context: ActionContext,
    Args(Plain { plain }): Args<Plain>,
) -> Never<ActionResult> {
    let blocked = has_blocked_term(&context);
    Ok(match (plain, blocked) {
        (true, blocked) => ActionResult::value(blocked),
        (false, true) => ActionResult::verdict(Outcome::block("blocked term")),
        (false, false) => ActionResult::verdict(Outcome::Allow),
    })
}

pub(crate) fn register(builder: LlmRailsBuilder) -> LlmRailsBuilder {
    builder
        .action("add", add)
        .action("echo", echo)
        .action("shout", shout)
        .action("check_blocked_terms", system(check_blocked_terms))
        .action("lookup_order", lookup_order)
        .action("remember", system(remember))
        .action("mask_digits", system(mask_digits))
        .action("always_fails", always_fails)
        .action("wait_then", system(wait_then))
        .action("emit_event", system(emit_event))
        .action("verdict_on_terms", system(verdict_on_terms))
}
