//! However a reply is cut, into deltas, events and frames, it is judged as its whole text.
//!
//! The whole text is judged by the `regex` crate.

use std::{ops::Range, sync::LazyLock};

use bytes::Bytes;
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
};
use regex::Regex;
use serde_json::{Value, json};
use tower_guardrails::GuardrailsLayer;

use crate::support::{
    Exchange, REFUSAL, Reply, chat, exchange, finish_reason, joined, rails, regex_yaml, run,
};

/// The patterns as the rails write them, and as the `regex` crate does where it differs.
const PATTERNS: [(&str, &str); 5] = [
    (r"SECRET-\d{4}", r"SECRET-\d{4}"),
    (r"launch\s+code", r"launch\s+code"),
    (r"\bkey\b", r"\bkey\b"),
    (r"a+é{2,3}", r"a+é{2,3}"),
    (r"STOP\Z", r"STOP\z"),
];

/// What texts are made of: parts of matches, letters of several bytes, and what JSON escapes.
const PARTS: [&str; 25] = [
    "SECRET-",
    "SECRET-1234",
    "SEC",
    "RET-",
    "12",
    "34",
    "launch",
    " \n ",
    "code",
    "launch code",
    " key ",
    "key",
    "ke",
    "y",
    "aa",
    "é",
    "éé",
    "STOP",
    " ",
    "\"",
    "\\",
    "\u{1}",
    "😀",
    "{}",
    "x",
];

/// A layer that releases as it reads, and one that holds to the end.
static LAYERS: LazyLock<[GuardrailsLayer; 2]> = LazyLock::new(|| {
    let patterns = PATTERNS.map(|(pattern, _)| pattern);
    ["", "streaming: {enabled: false}"].map(|streaming| {
        GuardrailsLayer::new(rails(&regex_yaml("never asked for", &patterns, streaming)))
    })
});

/// Where the first match begins.
fn first_match(text: &str) -> Option<usize> {
    static REGEXES: LazyLock<Vec<Regex>> = LazyLock::new(|| {
        PATTERNS
            .iter()
            .map(|(_, pattern)| Regex::new(pattern).unwrap())
            .collect()
    });
    REGEXES
        .iter()
        .filter_map(|regex| regex.find(text))
        .map(|found| found.start())
        .min()
}

/// How an event is written.
#[derive(Debug, Clone)]
struct Style {
    line_end: &'static str,
    /// What stands before the payload: comments and other fields.
    before: &'static str,
    /// Whether a space follows `data:`.
    space: bool,
    /// Whether the payload is written over several lines.
    lines: bool,
    /// Whether every character is escaped that can be.
    escaped: bool,
}

fn style() -> impl Strategy<Value = Style> {
    (
        select(&["\n", "\r\n", "\r"][..]),
        select(
            &[
                "",
                "",
                ": ping|",
                "event: message|",
                "id: 7|",
                "retry: 10|",
                ":|event:message|",
            ][..],
        ),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(line_end, before, space, lines, escaped)| Style {
            line_end,
            before,
            space,
            lines,
            escaped,
        })
}

impl Style {
    fn write(&self, payload: &str, out: &mut String) {
        out.push_str(&self.before.replace('|', self.line_end));
        for line in payload.split('\n') {
            out.push_str(if self.space { "data: " } else { "data:" });
            out.push_str(line);
            out.push_str(self.line_end);
        }
        out.push_str(self.line_end);
    }

    /// A delta of choice `index`: `fields` are its members, with texts that this style quotes.
    fn chunk(&self, choices: &[(u32, String)], finish: bool) -> String {
        let gap = if self.lines { "\n " } else { "" };
        let reason = if finish { "\"stop\"" } else { "null" };
        let choices: Vec<String> = choices
            .iter()
            .map(|(index, delta)| {
                format!(
                    "{{\"index\":{index},{gap}\"delta\":{{{delta}}},\"finish_reason\":{reason}}}"
                )
            })
            .collect();
        format!(
            "{{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",{gap}\"created\":7,\"model\":\"m\",\"choices\":[{}]}}",
            choices.join(",")
        )
    }

    fn quote(&self, text: &str) -> String {
        if !self.escaped {
            return Value::from(text).to_string();
        }
        let units: String = text
            .encode_utf16()
            .map(|unit| format!("\\u{unit:04x}"))
            .collect();
        format!("\"{units}\"")
    }
}

fn text() -> impl Strategy<Value = String> {
    vec(select(&PARTS[..]), 0..14).prop_map(|parts| parts.concat())
}

/// Pieces of a text, cut between characters.
fn cut<'a>(text: &'a str, cuts: &[Index]) -> Vec<&'a str> {
    let mut at: Vec<usize> = cuts
        .iter()
        .map(|cut| text.floor_char_boundary(cut.index(text.len() + 1)))
        .collect();
    at.extend([0, text.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect()
}

/// Frames of a body, cut anywhere.
fn frames(body: &str, cuts: &[Index]) -> Vec<Bytes> {
    let body = Bytes::copy_from_slice(body.as_bytes());
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
    at.extend([0, body.len()]);
    at.sort_unstable();
    at.windows(2)
        .map(|pair| {
            body.slice(Range {
                start: pair[0],
                end: pair[1],
            })
        })
        .collect()
}

/// How a body ends, and how it is framed.
#[derive(Debug, Clone)]
struct Framing {
    styles: Vec<Style>,
    done: bool,
    last_blank_line: bool,
    frames: Vec<Index>,
}

fn framing() -> impl Strategy<Value = Framing> {
    (
        vec(style(), 1..5),
        any::<bool>(),
        any::<bool>(),
        vec(any::<Index>(), 0..12),
    )
        .prop_map(|(styles, done, last_blank_line, frames)| Framing {
            styles,
            done,
            last_blank_line,
            frames,
        })
}

impl Framing {
    /// A stream whose events are `deltas`, then one that ends `indices`.
    fn body(&self, deltas: &[Vec<(u32, Delta<'_>)>], indices: Range<u32>) -> String {
        let mut body = String::new();
        let mut styles = self.styles.iter().cycle();
        for choices in deltas {
            let style = styles.next().unwrap();
            let choices: Vec<(u32, String)> = choices
                .iter()
                .map(|(index, delta)| (*index, delta.write(style)))
                .collect();
            style.write(&style.chunk(&choices, false), &mut body);
        }
        let style = styles.next().unwrap();
        let choices: Vec<(u32, String)> = indices.map(|index| (index, String::new())).collect();
        style.write(&style.chunk(&choices, true), &mut body);
        let style = styles.next().unwrap();
        if self.done {
            style.write("[DONE]", &mut body);
        }
        if !self.last_blank_line {
            let kept = body.trim_end_matches(['\r', '\n']).len();
            body.truncate(kept);
        }
        body
    }
}

/// One event's part of a choice.
#[derive(Debug, Clone, Copy)]
enum Delta<'a> {
    Content(&'a str),
    Arguments(&'a str),
}

impl Delta<'_> {
    fn write(self, style: &Style) -> String {
        match self {
            Self::Content(text) => format!("\"content\":{}", style.quote(text)),
            Self::Arguments(text) => format!(
                "\"tool_calls\":[{{\"index\":0,\"function\":{{\"arguments\":{}}}}}]",
                style.quote(text)
            ),
        }
    }
}

fn stream_request(choices: usize) -> Bytes {
    let request = json!({"model": "m", "stream": true, "n": choices, "messages": [{"role": "user", "content": "hi"}]});
    request.to_string().into()
}

/// Checks what a client got of one choice against its whole text.
fn check_choice(
    exchange: &Exchange,
    index: u64,
    text: &str,
    begin: Option<usize>,
) -> Result<(), TestCaseError> {
    let released = joined(&exchange.body, index, "/delta/content");
    let reason = finish_reason(&exchange.body, index);
    let Some(begin) = begin else {
        prop_assert_eq!(&released, text);
        prop_assert_eq!(reason.as_deref(), Some("stop"));
        return Ok(());
    };
    let said = released.strip_suffix(REFUSAL);
    prop_assert!(said.is_some(), "no refusal: {released:?}");
    let said = said.unwrap_or_default();
    prop_assert!(text.starts_with(said), "{said:?} does not begin {text:?}");
    prop_assert!(
        said.len() <= begin,
        "{said:?} reaches into a match of {text:?}"
    );
    prop_assert_eq!(reason.as_deref(), Some("content_filter"));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_stream_is_judged_as_its_whole_text(
        text in text(),
        cuts in vec(any::<Index>(), 0..10),
        framing in framing(),
        to_end in any::<bool>(),
    ) {
        let deltas: Vec<_> = cut(&text, &cuts)
            .into_iter()
            .map(|piece| vec![(0, Delta::Content(piece))])
            .collect();
        let body = framing.body(&deltas, 0..1);
        let reply = Reply::events(frames(&body, &framing.frames));
        let exchange = run(exchange(&LAYERS[usize::from(to_end)], chat(stream_request(1)), &reply));
        let begin = first_match(&text);
        prop_assert_eq!(exchange.is_blocked(), begin.is_some());
        prop_assert!(exchange.verdict.as_ref().is_some_and(|verdict| verdict.is_final()));
        if begin.is_none() {
            prop_assert_eq!(exchange.text(), body);
        } else {
            prop_assert!(exchange.body.ends_with(b"data: [DONE]\n\n"));
            prop_assert!(!to_end || joined(&exchange.body, 0, "/delta/content") == REFUSAL);
        }
        check_choice(&exchange, 0, &text, begin)?;
    }

    #[test]
    fn a_buffered_reply_has_the_verdict_of_the_same_text(
        text in text(),
        escaped in any::<bool>(),
        cuts in vec(any::<Index>(), 0..4),
        to_end in any::<bool>(),
    ) {
        let style = Style { line_end: "\n", before: "", space: true, lines: false, escaped };
        let body = format!(
            "{{ \"choices\":[{{\"message\":{{\"content\":{},\"role\":\"assistant\"}},\"index\":0, \"finish_reason\":\"stop\"}}],\"x\":1.0e2}}",
            style.quote(&text)
        );
        let reply = Reply::of("application/json", frames(&body, &cuts));
        let request = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
        let exchange = run(exchange(&LAYERS[usize::from(to_end)], chat(request.to_string()), &reply));
        let begin = first_match(&text);
        prop_assert_eq!(exchange.is_blocked(), begin.is_some());
        if begin.is_none() {
            prop_assert_eq!(exchange.text(), body);
        } else {
            let reply = exchange.json();
            prop_assert_eq!(&reply["choices"][0]["message"]["content"], REFUSAL);
            prop_assert_eq!(&reply["choices"][0]["finish_reason"], "content_filter");
        }
    }

    #[test]
    fn several_choices_are_told_apart(
        texts in vec(text(), 2..4),
        cuts in vec(any::<Index>(), 0..6),
        order in vec(any::<Index>(), 0..24),
        together in any::<bool>(),
        framing in framing(),
        to_end in any::<bool>(),
    ) {
        let pieces: Vec<Vec<&str>> = texts.iter().map(|text| cut(text, &cuts)).collect();
        let rounds = pieces[0].len();
        let mut deltas: Vec<Vec<(u32, Delta<'_>)>> = Vec::new();
        if together {
            for round in 0..rounds {
                deltas.push(
                    (0..).zip(&pieces).map(|(index, pieces)| (index, Delta::Content(pieces[round]))).collect(),
                );
            }
        } else {
            let mut left: Vec<(u32, std::slice::Iter<'_, &str>)> =
                (0..).zip(&pieces).map(|(index, pieces)| (index, pieces.iter())).collect();
            let mut order = order.iter().cycle();
            while !left.is_empty() {
                let at = order.next().map_or(0, |pick| pick.index(left.len()));
                let index = left[at].0;
                match left[at].1.next() {
                    Some(piece) => deltas.push(vec![(index, Delta::Content(piece))]),
                    None => drop(left.remove(at)),
                }
            }
        }
        let body = framing.body(&deltas, 0..u32::try_from(texts.len()).unwrap());
        let reply = Reply::events(frames(&body, &framing.frames));
        let exchange = run(exchange(&LAYERS[usize::from(to_end)], chat(stream_request(texts.len())), &reply));
        let begins: Vec<Option<usize>> = texts.iter().map(|text| first_match(text)).collect();
        prop_assert_eq!(exchange.is_blocked(), begins.iter().any(Option::is_some));
        if !exchange.is_blocked() {
            prop_assert_eq!(exchange.text(), body);
        }
        for ((index, text), begin) in (0..).zip(&texts).zip(begins) {
            check_choice(&exchange, index, text, begin)?;
        }
    }

    #[test]
    fn fragments_of_arguments_are_judged_as_written_and_as_read(
        text in text(),
        inner_escaped in any::<bool>(),
        cuts in vec(any::<Index>(), 0..10),
        framing in framing(),
        to_end in any::<bool>(),
    ) {
        let inner = Style { line_end: "\n", before: "", space: true, lines: false, escaped: inner_escaped };
        let written = format!("{{\"q\": {}}}", inner.quote(&text));
        let read = format!("{{\"q\": \"{text}\"}}");
        let deltas: Vec<_> = cut(&written, &cuts)
            .into_iter()
            .map(|piece| vec![(0, Delta::Arguments(piece))])
            .collect();
        let body = framing.body(&deltas, 0..1);
        let reply = Reply::events(frames(&body, &framing.frames));
        let exchange = run(exchange(&LAYERS[usize::from(to_end)], chat(stream_request(1)), &reply));
        let is_bad = first_match(&written).is_some() || first_match(&read).is_some();
        prop_assert_eq!(exchange.is_blocked(), is_bad, "{} as {}", written, exchange.text());
        if is_bad {
            let released = joined(&exchange.body, 0, "/delta/tool_calls/0/function/arguments");
            prop_assert!(written.starts_with(&released));
            let is_clean = first_match(&written).is_none_or(|begin| released.len() <= begin);
            prop_assert!(is_clean, "{released:?} reaches into a match of {written:?}");
            prop_assert_eq!(joined(&exchange.body, 0, "/delta/content"), REFUSAL);
            // The same as a client reads it, closed after the last whole escape.
            let whole = (0..=released.len()).rev().filter_map(|end| {
                let closed = format!("{}\"}}", released.get(..end)?);
                serde_json::from_str::<Value>(&closed).ok()
            }).next();
            if let Some(seen) = whole.as_ref().and_then(|seen| seen["q"].as_str()) {
                let opened = read.len() - text.len() - 2;
                let is_clean = first_match(&read).is_none_or(|begin| opened + seen.len() <= begin);
                prop_assert!(is_clean, "{seen:?} reaches into a match of {text:?}");
            }
        } else {
            prop_assert_eq!(exchange.text(), body);
        }
    }
}
