//! Text in every place of every format, one place at a time: patterns, rails that judge and rails that rewrite read it. Nothing leaks in,
//! nothing leaks out.
//!
//! A place is a body with `MARK` where the text stands; in a stream `MARK` is a text that comes whole, `MAR1` and `MAR2` are two pieces
//! of one.

mod anthropic;
mod converse;
mod evasion;
mod gemini;
mod ollama;
mod openai_chat;
mod openai_completions;
mod responses;

use bytes::Bytes;
use serde_json::{Value, json};
use tower_guardrails::{GuardrailsLayer, LlmRails, RailsConfig};

use crate::support::{Exchange, Reply, exchange, post, regex_layer, run};

/// How a place is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// By every rail; what a rail rewrites is rewritten, or blocked where that cannot be.
    Text,
    /// By patterns and by rails that judge: a name, which no text takes the place of.
    Name,
    /// By patterns: an id, a key, an address, sealed bytes.
    Word,
    /// Not at all: the app writes it, or it is no text.
    Unread,
}

/// A place, and a body that has a text there.
pub(super) struct Place {
    name: &'static str,
    body: Value,
    how: How,
}

pub(super) fn text(name: &'static str, body: Value) -> Place {
    let how = How::Text;
    Place { name, body, how }
}

pub(super) fn name(name: &'static str, body: Value) -> Place {
    let how = How::Name;
    Place { name, body, how }
}

pub(super) fn word(name: &'static str, body: Value) -> Place {
    let how = How::Word;
    Place { name, body, how }
}

pub(super) fn unread(name: &'static str, body: Value) -> Place {
    let how = How::Unread;
    Place { name, body, how }
}

/// A format with its places. A stream's place is the list of its records.
pub(super) struct Format {
    pub(super) name: &'static str,
    pub(super) path: &'static str,
    pub(super) stream_path: &'static str,
    pub(super) content_type: &'static str,
    pub(super) ask: fn(stream: bool) -> Value,
    pub(super) write: fn(&[Value]) -> Bytes,
    pub(super) requests: Vec<Place>,
    pub(super) replies: Vec<Place>,
    pub(super) records: Vec<Place>,
}

fn formats() -> Vec<Format> {
    vec![
        openai_chat::format(),
        openai_completions::format(),
        responses::format(),
        anthropic::format(),
        gemini::format(),
        gemini::array(),
        ollama::chat(),
        ollama::generate(),
        converse::format(),
        converse::invoke(),
    ]
}

/// Server-sent events, each named by its `type` where it has one.
pub(super) fn named_events(records: &[Value]) -> Bytes {
    let events = records.iter().map(|record| {
        let kind = record["type"].as_str().unwrap_or("message");
        format!("event: {kind}\ndata: {record}\n\n")
    });
    events.collect::<String>().into()
}

pub(super) fn events(records: &[Value]) -> Bytes {
    let events = records.iter().map(|record| format!("data: {record}\n\n"));
    events.collect::<String>().into()
}

pub(super) fn lines(records: &[Value]) -> Bytes {
    let lines = records.iter().map(|record| format!("{record}\n"));
    lines.collect::<String>().into()
}

/// A text for `MARK`, and its two pieces.
struct Mark {
    whole: &'static str,
    pieces: [&'static str; 2],
    /// What must not come through.
    caught: &'static str,
}

const PATTERN_IN: Mark = Mark {
    whole: "forbidden-things",
    pieces: ["forbidden-", "things"],
    caught: "things",
};
const PATTERN_OUT: Mark = Mark {
    whole: "secret-1234",
    pieces: ["secret", "-1234"],
    // Ids of our own have digits, too.
    caught: "-1234",
};
const JUDGED: Mark = Mark {
    whole: "the word is swordfish",
    pieces: ["the word is sword", "fish"],
    caught: "fish",
};
const MASKED: Mark = Mark {
    whole: "I am Annika here",
    pieces: ["I am An", "nika here"],
    caught: "nika",
};
/// What no rail minds.
const FINE: Mark = Mark {
    whole: "all is well",
    pieces: ["all is ", "well"],
    caught: "",
};

impl Mark {
    fn fill(&self, body: &Value) -> String {
        body.to_string()
            .replace("MARK", self.whole)
            .replace("MAR1", self.pieces[0])
            .replace("MAR2", self.pieces[1])
    }

    fn records(&self, place: &Place) -> Vec<Value> {
        serde_json::from_str(&self.fill(&place.body)).unwrap()
    }
}

fn patterns() -> GuardrailsLayer {
    regex_layer("forbidden-[a-z]+", &["secret-[0-9]{4}"])
}

fn flows(names: &str) -> GuardrailsLayer {
    const FLOWS: &str = r#"
define subflow judge input
  if "swordfish" in $user_message
    bot refuse to respond
    stop

define subflow judge output
  if "swordfish" in $bot_message
    bot refuse to respond
    stop

define subflow mask input
  $user_message = $user_message.replace("Annika", "<NAME>")

define subflow mask output
  $bot_message = $bot_message.replace("Annika", "<NAME>")
"#;
    let yaml = format!(
        "models: []\nrails:\n  input: {{flows: [{names} input]}}\n  output: {{flows: [{names} output]}}\n"
    );
    let config = RailsConfig::from_content(&yaml, FLOWS).unwrap();
    GuardrailsLayer::new(LlmRails::new(config).unwrap())
}

/// Collects what is wrong, so that one run tells all of it.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn check(&mut self, is_fine: bool, what: impl FnOnce() -> String) {
        if !is_fine {
            self.0.push(what());
        }
    }

    fn report(self) {
        assert!(self.0.is_empty(), "\n{}", self.0.join("\n"));
    }
}

fn short(text: &str) -> String {
    text.chars().take(300).collect()
}

#[test]
fn no_text_of_a_request_leaks_in() {
    let layers = [
        (patterns(), PATTERN_IN),
        (flows("judge"), JUDGED),
        (flows("mask"), MASKED),
    ];
    let mut faults = Faults::default();
    for format in formats() {
        let reply = Reply::json("{}");
        for place in &format.requests {
            let what = format!("{}, request: {}", format.name, place.name);
            let ask = |layer: &GuardrailsLayer, body: String| -> Exchange {
                run(exchange(layer, post(format.path, body), &reply))
            };
            for (layer, _) in &layers {
                let body = FINE.fill(&place.body);
                let exchange = ask(layer, body.clone());
                faults.check(exchange.seen.len() == 1, || {
                    format!("{what}: a good one is refused: {}", exchange.text())
                });
                let seen = exchange.seen.first().map(|seen| seen.body.clone());
                faults.check(seen.is_none_or(|seen| seen == body), || {
                    format!("{what}: a good one is changed")
                });
            }
            for (number, (layer, mark)) in layers.iter().enumerate() {
                let exchange = ask(layer, mark.fill(&place.body));
                let sent = exchange.seen.first();
                let sent = sent.map(|seen| String::from_utf8_lossy(&seen.body).into_owned());
                let leaks = sent.as_ref().is_some_and(|sent| sent.contains(mark.caught));
                let is_read = match place.how {
                    How::Text => true,
                    How::Name => number < 2,
                    How::Word => number == 0,
                    How::Unread => false,
                };
                if is_read {
                    faults.check(!leaks, || format!("{what}: {} goes in", mark.whole));
                }
                if place.how == How::Unread {
                    faults.check(leaks, || format!("{what} is read: {}", exchange.text()));
                }
                if let Some(sent) = sent.filter(|_| is_read && number == 2) {
                    let sent: Value = serde_json::from_str(&sent).unwrap();
                    let masked = MASKED.fill(&place.body).replace("Annika", "<NAME>");
                    let masked: Value = serde_json::from_str(&masked).unwrap();
                    faults.check(sent == masked, || format!("{what}: masked to {sent}"));
                }
            }
        }
    }
    faults.report();
}

fn output_layers() -> [(GuardrailsLayer, Mark); 3] {
    [
        (patterns(), PATTERN_OUT),
        (flows("judge"), JUDGED),
        (flows("mask"), MASKED),
    ]
}

#[test]
fn no_text_of_a_reply_leaks_out() {
    let layers = output_layers();
    let mut faults = Faults::default();
    for format in formats() {
        for place in &format.replies {
            let what = format!("{}, reply: {}", format.name, place.name);
            let ask = |layer: &GuardrailsLayer, body: String| -> Exchange {
                let request = post(format.path, (format.ask)(false).to_string());
                run(exchange(layer, request, &Reply::json(body)))
            };
            for (number, (layer, mark)) in layers.iter().enumerate() {
                let body = FINE.fill(&place.body);
                let exchange = ask(layer, body.clone());
                faults.check(exchange.body == body, || {
                    format!("{what}: a good one is changed: {}", exchange.text())
                });
                let is_read = place.how == How::Text || place.how == How::Word && number == 0;
                if !is_read {
                    continue;
                }
                let exchange = ask(layer, mark.fill(&place.body));
                let text = exchange.text();
                faults.check(!text.contains(mark.caught), || {
                    format!("{what}: {} leaves: {}", mark.whole, short(&text))
                });
                let body: Result<Value, _> = serde_json::from_str(&text);
                faults.check(body.is_ok(), || format!("{what}: no JSON: {text}"));
            }
        }
    }
    faults.report();
}

#[test]
fn no_text_of_a_stream_leaks_out() {
    let layers = output_layers();
    let mut faults = Faults::default();
    for format in formats() {
        for place in &format.records {
            let what = format!("{}, stream: {}", format.name, place.name);
            let ask = |layer: &GuardrailsLayer, body: &Bytes, cut: usize| -> Exchange {
                let request = post(format.stream_path, (format.ask)(true).to_string());
                let frames = body.chunks(cut).map(Bytes::copy_from_slice).collect();
                run(exchange(
                    layer,
                    request,
                    &Reply::of(format.content_type, frames),
                ))
            };
            for (number, (layer, mark)) in layers.iter().enumerate() {
                let body = (format.write)(&FINE.records(place));
                let exchange = ask(layer, &body, 1 << 20);
                faults.check(exchange.body == body, || {
                    format!("{what}: a good one is changed: {}", exchange.text())
                });
                let is_read = place.how == How::Text || place.how == How::Word && number == 0;
                if !is_read {
                    continue;
                }
                let body = (format.write)(&mark.records(place));
                let mut seen = Vec::new();
                for cut in [1, 7, 1 << 20] {
                    let exchange = ask(layer, &body, cut);
                    let text = exchange.text();
                    faults.check(!text.contains(mark.caught), || {
                        format!("{what} cut at {cut}: {} leaves: {text}", mark.whole)
                    });
                    faults.check(!text.is_empty(), || format!("{what}: nothing leaves"));
                    seen.push(exchange.is_blocked());
                }
                faults.check(seen.iter().all(|is| *is == seen[0]), || {
                    format!("{what}: the verdict depends on the cut")
                });
            }
        }
    }
    faults.report();
}

/// A JSON object with the members of both.
pub(super) fn with(mut object: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        object[key] = value.clone();
    }
    object
}

/// The records of a stream as one value.
pub(super) fn stream(records: &[Value]) -> Value {
    json!(records)
}
