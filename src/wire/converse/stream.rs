//! Streamed replies: the name of a record says what it is.

use serde_json::{Value as JsonValue, json};

use super::{
    refuse::{REASON, usage},
    reply::{self, VOCABULARY, is_folded_key},
};
use crate::{
    framing::{NewRecord, Record, is_padding},
    wire::{
        BodyEdit, ChoiceSpan, JsonLimits, RecordKind, ReplyTexts, StreamFormat, Unreadable,
        json::{Document, Member, Value},
        walk::{Path, Walk},
    },
};

/// One stream.
#[derive(Debug, Default)]
pub(super) struct ConverseStream {
    /// The block that was begun last, of those that were read.
    read: Option<u64>,
    /// Whether that block has not ended yet.
    is_reading: bool,
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
    /// Whether the message has ended, and whether the stream has.
    stopped: bool,
    ended: bool,
}

impl ConverseStream {
    /// Follows the blocks: clients append what comes to the block that it names, and readers disagree on pieces of a block that has
    /// ended. A text begins without a record of its own.
    fn is_in_order(&mut self, kind: &[u8], index: Option<u64>) -> bool {
        match kind {
            b"contentBlockStart" | b"contentBlockDelta" => {
                let goes_on = kind == b"contentBlockDelta" && self.is_reading && index == self.read;
                let begins = !self.is_reading && index.is_some() && index > self.read;
                self.read = index;
                self.is_reading = true;
                goes_on || begins
            }
            b"contentBlockStop" => {
                let follows = self.is_reading && index == self.read;
                self.is_reading = false;
                follows
            }
            _ => true,
        }
    }
}

impl StreamFormat for ConverseStream {
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
        let kind = record.name.as_deref().unwrap_or_default();
        let document = Document::read(data, limits)?;
        let repeated = document.repeated_key().is_some();
        let root = document.root();
        let index = root.get("contentBlockIndex").and_then(Value::as_u64);
        texts.ambiguous =
            repeated || document.keys().any(is_folded_key) || !self.is_in_order(kind, index);
        let index = index.unwrap_or_default();
        let ReplyTexts {
            texts,
            choices,
            calls,
            kind: record_kind,
            ..
        } = texts;
        let mut walk = Walk::new(texts, &VOCABULARY, repeated);
        let is_of_message = kind.starts_with(b"message") || kind.starts_with(b"contentBlock");
        walk.choice = is_of_message.then_some(0);
        walk.members(root, |walk, name, Member { key, value }| {
            match (kind, name) {
                (b"contentBlockStart", "start") | (b"contentBlockDelta", "delta")
                    if value.is_object() =>
                {
                    reply::block(walk, calls, value, index, None)?;
                }
                // Letters that hide the length of what is said.
                (_, "p") if value.as_str().is_some_and(|padding| is_padding(&padding)) => {}
                _ => walk.unknown(key, value, Path::ROOT),
            }
            Ok(())
        })?;
        *record_kind = match kind {
            // What it cost comes behind the end of the message.
            b"metadata" => RecordKind::Done,
            kind if kind.ends_with(b"Exception") => RecordKind::Error,
            _ => RecordKind::Data,
        };
        if is_of_message {
            choices.push(ChoiceSpan {
                index: 0,
                span: root.span(),
                finish: kind == b"messageStop",
            });
        }
        Ok(())
    }

    fn is_own_name(&self, name: &[u8]) -> bool {
        const NAMES: &[&str] = &[
            "messageStart",
            "contentBlockStart",
            "contentBlockDelta",
            "contentBlockStop",
            "messageStop",
            "metadata",
            "internalServerException",
            "modelStreamErrorException",
            "validationException",
            "throttlingException",
            "serviceUnavailableException",
        ];
        name.is_empty() || NAMES.iter().any(|own| own.as_bytes() == name)
    }

    fn released(&mut self, record: &Record, _choices: &[u32]) {
        let left = &mut self.left;
        let index = || -> Option<u64> {
            let data = record.data.as_deref().unwrap_or_default();
            let event: JsonValue = serde_json::from_slice(data).ok()?;
            event.get("contentBlockIndex")?.as_u64()
        };
        match record.name.as_deref().unwrap_or_default() {
            b"messageStart" => left.begun = true,
            // Nothing changes by the pieces of a block, which are most of a stream.
            b"contentBlockDelta" if left.open.is_some() => {}
            b"contentBlockStart" | b"contentBlockDelta" => {
                left.open = index();
                left.next = left.open.unwrap_or_default().saturating_add(1);
            }
            b"contentBlockStop" => left.open = None,
            b"messageStop" => left.stopped = true,
            b"metadata" => left.ended = true,
            name if name.ends_with(b"Exception") => left.ended = true,
            _ => {}
        }
    }

    fn refuse_choice(&mut self, _choice: u32, message: &str, out: &mut Vec<NewRecord>) {
        let left = &mut self.left;
        if left.stopped || left.ended {
            return;
        }
        if !left.begun {
            left.begun = true;
            out.push(event("messageStart", &json!({"role": "assistant"})));
        }
        if let Some(open) = left.open.take() {
            out.push(event(
                "contentBlockStop",
                &json!({"contentBlockIndex": open}),
            ));
        }
        let index = left.next;
        left.next = index.saturating_add(1);
        left.stopped = true;
        let delta = json!({"contentBlockIndex": index, "delta": {"text": message}});
        out.push(event("contentBlockDelta", &delta));
        out.push(event(
            "contentBlockStop",
            &json!({"contentBlockIndex": index}),
        ));
        out.push(event("messageStop", &json!({"stopReason": REASON})));
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
        out.push(event("internalServerException", &json!({"message": message})).error());
    }

    fn end(&mut self, out: &mut Vec<NewRecord>) {
        if !self.left.ended {
            self.left.ended = true;
            let metadata = json!({"usage": usage(), "metrics": {"latencyMs": 0}});
            out.push(event("metadata", &metadata));
        }
    }
}

fn event(name: &'static str, data: &JsonValue) -> NewRecord {
    NewRecord::new(data.to_string()).named(name)
}
