//! Streamed replies.

use serde_json::{Value as JsonValue, json};

use super::{
    refuse,
    reply::{self, Place, THINKING, VOCABULARY, is_folded_key},
};
use crate::{
    framing::{NewRecord, Record},
    wire::{
        BodyEdit, CallPiece, CallText, ChoiceSpan, JsonLimits, RecordKind, ReplyTexts,
        RequestFacts, StreamFormat, TextClass, Unreadable,
        json::{Document, Member, Value},
        walk::{Path, Walk},
    },
};

/// One stream.
#[derive(Debug)]
pub(super) struct MessageStream {
    facts: RequestFacts,
    /// The block that was begun last, of those that were read.
    read: Option<u64>,
    /// Whether that block has not ended yet.
    is_reading: bool,
    /// What of the stream has left.
    left: Left,
}

/// What the client has seen.
#[derive(Debug, Default)]
struct Left {
    /// Whether the message has begun.
    begun: bool,
    /// The block that is open.
    open: Option<u64>,
    /// The index of the next block.
    next: u64,
    /// Whether the stream has ended, or failed.
    ended: bool,
}

impl MessageStream {
    pub(super) fn new(facts: &RequestFacts) -> Self {
        Self {
            facts: facts.clone(),
            read: None,
            is_reading: false,
            left: Left::default(),
        }
    }

    /// Follows the blocks: clients append what comes to the block that it names, and readers disagree on pieces of a block that has
    /// ended or has not begun.
    fn is_in_order(&mut self, kind: &str, index: Option<u64>) -> bool {
        match kind {
            "content_block_start" => {
                let follows = index.is_some() && index > self.read && !self.is_reading;
                let follows = follows || (self.read.is_none() && index.is_some());
                self.read = index;
                self.is_reading = true;
                follows
            }
            "content_block_delta" => self.is_reading && index == self.read,
            "content_block_stop" => {
                let follows = self.is_reading && index == self.read;
                self.is_reading = false;
                follows
            }
            _ => true,
        }
    }
}

impl StreamFormat for MessageStream {
    fn read<'a>(
        &mut self,
        record: &'a Record,
        limits: &JsonLimits,
        texts: &mut ReplyTexts<'a>,
    ) -> Result<(), Unreadable> {
        let data: &'a [u8] = record.data.as_deref().unwrap_or_default();
        if data.trim_ascii().is_empty() {
            return Ok(());
        }
        let limits = JsonLimits {
            allow_byte_order_mark: true,
            ..*limits
        };
        let document = Document::read(data, &limits)?;
        let repeated = document.repeated_key().is_some();
        texts.ambiguous = repeated || document.keys().any(is_folded_key);
        let root = document.root();
        let kind = root.get("type").and_then(Value::as_str).unwrap_or_default();
        let index = root.get("index").and_then(Value::as_u64);
        // Some clients go by the record's name, others by its type.
        let is_named_otherwise = record
            .name
            .as_deref()
            .is_some_and(|name| name != kind.as_bytes() && !is_no_name(name));
        if is_named_otherwise || !self.is_in_order(&kind, index) {
            texts.ambiguous = true;
        }
        let index = index.unwrap_or_default();
        let ReplyTexts {
            texts,
            choices,
            calls,
            kind: record_kind,
            repeats_alike,
            ..
        } = texts;
        let mut walk = Walk::new(texts, &VOCABULARY, repeated);
        let mut finish = false;
        walk.choice = Some(0);
        walk.members(root, |walk, name, Member { key, value }| {
            match (&*kind, name) {
                ("message_start", "message") if value.is_object() => {
                    reply::message(walk, calls, value, Path::ROOT.key(name))?;
                    walk.choice = Some(0);
                }
                ("content_block_start", "content_block") => {
                    reply::block(walk, calls, value, index, None)?;
                }
                ("content_block_delta", "delta") if value.is_object() => {
                    delta(walk, calls, value, index)?;
                }
                ("message_delta", "delta") if value.is_object() => {
                    let stop = value.get("stop_reason");
                    finish = stop.is_some_and(|stop| !stop.is_null());
                    walk.other(value, Path::ROOT.key(name));
                }
                _ => walk.unknown(key, value, Path::ROOT),
            }
            Ok(())
        })?;
        *repeats_alike = kind == "content_block_delta" && calls.is_empty();
        *record_kind = match &*kind {
            "message_stop" => RecordKind::Done,
            "error" => RecordKind::Error,
            _ => RecordKind::Data,
        };
        if is_of_message(&kind) {
            choices.push(ChoiceSpan {
                index: 0,
                span: root.span(),
                finish,
            });
        }
        Ok(())
    }

    fn is_own_name(&self, name: &[u8]) -> bool {
        const NAMES: &[&str] = &[
            "message_start",
            "message_delta",
            "message_stop",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "ping",
            "error",
        ];
        is_no_name(name) || NAMES.iter().any(|own| own.as_bytes() == name)
    }

    fn released(&mut self, record: &Record, _choices: &[u32]) {
        // Nothing changes by the pieces of a block, which are most of a stream.
        if record.name.as_deref() == Some(b"content_block_delta") {
            return;
        }
        let data = record.data.as_deref().unwrap_or_default();
        let Ok(event) = serde_json::from_slice::<JsonValue>(data) else {
            return;
        };
        let index = event.get("index").and_then(JsonValue::as_u64);
        match event.get("type").and_then(JsonValue::as_str) {
            Some("message_start") => self.left.begun = true,
            Some("content_block_start") => {
                self.left.open = index;
                self.left.next = index.unwrap_or_default().saturating_add(1);
            }
            Some("content_block_stop") => self.left.open = None,
            Some("message_stop" | "error") => self.left.ended = true,
            _ => {}
        }
    }

    fn released_alike(&mut self, _text: &str, _number: Option<u64>) -> bool {
        // Nothing changes by the pieces of a block.
        true
    }

    fn refuse_choice(&mut self, _choice: u32, message: &str, out: &mut Vec<NewRecord>) {
        if self.left.ended {
            return;
        }
        if !self.left.begun {
            self.left.begun = true;
            let begun = refuse::message(&self.facts, json!([]), JsonValue::Null);
            out.push(event(
                "message_start",
                json!({"type": "message_start", "message": begun}),
            ));
        }
        if let Some(open) = self.left.open.take() {
            out.push(stop_of(open));
        }
        let index = self.left.next;
        self.left.next = index.saturating_add(1);
        out.push(event(
            "content_block_start",
            json!({"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}}),
        ));
        out.push(event(
            "content_block_delta",
            json!({"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": message}}),
        ));
        out.push(stop_of(index));
        out.push(event(
            "message_delta",
            json!({
                "type": "message_delta",
                "delta": {"stop_reason": "refusal", "stop_sequence": null},
                "usage": {"output_tokens": 0},
            }),
        ));
    }

    fn without(
        &self,
        _data: &[u8],
        choices: &[ChoiceSpan],
        blocked: &dyn Fn(u32) -> bool,
    ) -> Option<Vec<BodyEdit>> {
        // There is one choice, and its records are nothing but it.
        let is_blocked = choices.iter().any(|choice| blocked(choice.index));
        (!is_blocked).then(Vec::new)
    }

    fn fail(&mut self, _code: &str, message: &str, out: &mut Vec<NewRecord>) {
        self.left.ended = true;
        out.push(
            NewRecord::new(refuse::error(None, message))
                .named("error")
                .error(),
        );
    }

    fn end(&mut self, out: &mut Vec<NewRecord>) {
        if !self.left.ended {
            self.left.ended = true;
            out.push(event("message_stop", json!({"type": "message_stop"})));
        }
    }
}

/// Whether a record's name is what readers take for none.
fn is_no_name(name: &[u8]) -> bool {
    name.is_empty() || name == b"message"
}

/// Whether records of this type are part of the answer, and go with it.
fn is_of_message(kind: &str) -> bool {
    kind.starts_with("message_") && kind != "message_stop" || kind.starts_with("content_block")
}

/// A piece of a block.
fn delta<'a>(
    walk: &mut Walk<'a, '_>,
    calls: &mut Vec<CallPiece<'a>>,
    delta: Value<'_, 'a>,
    index: u64,
) -> Result<(), Unreadable> {
    let blocks = Path::ROOT.key("content");
    let path = blocks.at(usize::try_from(index).unwrap_or(usize::MAX));
    walk.members(delta, |walk, name, Member { key, value }| {
        match name {
            "text" => walk.known(value, &Place::Text, TextClass::ANSWER, path.key(name)),
            "thinking" => walk.known(value, &Place::Thinking, THINKING, path.key(name)),
            "partial_json" => {
                if let Some(text) = value.as_str() {
                    calls.push(CallPiece {
                        choice: walk.choice,
                        call: index,
                        arguments: Some(CallText {
                            text,
                            span: value.span(),
                            is_string: true,
                        }),
                        ..CallPiece::default()
                    });
                }
                let place = Place::CallArguments(index);
                walk.known(value, &place, TextClass::ARGUMENTS, path.key(name));
            }
            _ => walk.unknown(key, value, path),
        }
        Ok(())
    })
}

fn event(name: &'static str, data: JsonValue) -> NewRecord {
    NewRecord::new(data.to_string()).named(name)
}

fn stop_of(index: u64) -> NewRecord {
    event(
        "content_block_stop",
        json!({"type": "content_block_stop", "index": index}),
    )
}
