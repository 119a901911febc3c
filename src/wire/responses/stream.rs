//! Streamed replies.

use serde_json::{Value as JsonValue, json};

use super::{
    item::{self, Again, CALL_INPUT, Mode, Place, VOCABULARY, is_folded_key},
    refuse,
    reply::response,
};
use crate::{
    framing::{NewRecord, Record},
    wire::{
        BodyEdit, CallPiece, CallText, ChoiceSpan, HoldsJson, JsonLimits, RecordKind, ReplyTexts,
        RequestFacts, StreamFormat, TextClass, Unreadable,
        ids::fresh_id,
        json::{Document, Member, Value},
        walk::{Path, Walk},
    },
};

/// One stream.
#[derive(Debug)]
pub(super) struct ResponseStream {
    facts: RequestFacts,
    left: Left,
}

/// What the client has seen.
#[derive(Debug, Default)]
struct Left {
    /// The number of the last record.
    sequence: Option<u64>,
    /// The reply as it was last shown, without its output.
    response: Option<JsonValue>,
    /// The items that have ended, by their number.
    items: Vec<(u64, JsonValue)>,
    /// The number of the next item.
    next: u64,
    /// The message that is being written.
    open: Option<Open>,
    /// Whether the last record added to its text.
    adds_text: bool,
    ended: bool,
}

/// A message that has begun.
#[derive(Debug)]
struct Open {
    number: u64,
    item: JsonValue,
    /// The part that is being written, with its text so far.
    part: Option<(u64, String)>,
}

impl ResponseStream {
    pub(super) fn new(facts: &RequestFacts) -> Self {
        Self {
            facts: facts.clone(),
            left: Left::default(),
        }
    }

    fn event(&mut self, name: &'static str, mut data: JsonValue, out: &mut Vec<NewRecord>) {
        let number = self.left.sequence.map_or(0, |last| last.saturating_add(1));
        self.left.sequence = Some(number);
        data["type"] = name.into();
        data["sequence_number"] = number.into();
        out.push(NewRecord::new(data.to_string()).named(name));
    }

    /// Ends the message that is being written, with what the client has of it.
    fn close(&mut self, out: &mut Vec<NewRecord>) {
        let Some(Open {
            number,
            mut item,
            part,
        }) = self.left.open.take()
        else {
            return;
        };
        let id = item.get("id").cloned().unwrap_or_default();
        if let Some((position, text)) = part {
            let place = json!({"item_id": id, "output_index": number, "content_index": position});
            let with = |key: &str, value: JsonValue| {
                let mut data = place.clone();
                data[key] = value;
                data
            };
            let mut done = with("text", text.as_str().into());
            done["logprobs"] = json!([]);
            self.event("response.output_text.done", done, out);
            let part = refuse::part(&text);
            self.event(
                "response.content_part.done",
                with("part", part.clone()),
                out,
            );
            item["content"] = json!([part]);
        }
        item["status"] = "incomplete".into();
        let data = json!({"output_index": number, "item": item});
        self.event("response.output_item.done", data, out);
        self.left.items.push((number, item));
    }
}

impl StreamFormat for ResponseStream {
    fn read<'a>(
        &mut self,
        record: &'a Record,
        limits: &JsonLimits,
        texts: &mut ReplyTexts<'a>,
    ) -> Result<(), Unreadable> {
        let data: &'a [u8] = record.data.as_deref().unwrap_or_default();
        match data.trim_ascii() {
            b"" => return Ok(()),
            // Some servers end the stream as chat does.
            b"[DONE]" => {
                texts.kind = RecordKind::Done;
                return Ok(());
            }
            _ => {}
        }
        let limits = JsonLimits {
            allow_byte_order_mark: true,
            ..*limits
        };
        let document = Document::read(data, &limits)?;
        let repeated = document.repeated_key().is_some();
        let root = document.root();
        let kind = root.get("type").and_then(Value::as_str).unwrap_or_default();
        // Some clients go by the record's name, others by its type.
        let is_named_otherwise = record
            .name
            .as_deref()
            .is_some_and(|name| name != kind.as_bytes() && !is_no_name(name));
        texts.ambiguous = repeated || is_named_otherwise || document.keys().any(is_folded_key);
        let ReplyTexts {
            texts,
            choices,
            calls,
            kind: record_kind,
            repeats_alike,
            counters,
            ..
        } = texts;
        let mut walk = Walk::new(texts, &VOCABULARY, repeated);
        walk.choice = Some(0);
        read_event(&mut walk, calls, root, &kind)?;
        if kind.ends_with(".delta") && calls.is_empty() {
            *repeats_alike = true;
            counters.extend(counter(root));
        }
        *record_kind = match &*kind {
            "error" => RecordKind::Error,
            "response.completed" | "response.failed" | "response.incomplete" => RecordKind::Done,
            _ => RecordKind::Data,
        };
        if kind.starts_with("response.") {
            choices.push(ChoiceSpan {
                index: 0,
                span: root.span(),
                finish: *record_kind == RecordKind::Done,
            });
        }
        Ok(())
    }

    fn is_own_name(&self, name: &[u8]) -> bool {
        let mut words = name.split(|byte| matches!(byte, b'.' | b'_'));
        is_no_name(name)
            || name == b"error"
            || name.starts_with(b"response.") && words.all(|word| WORDS.contains(&word))
    }

    fn released(&mut self, record: &Record, _choices: &[u32]) {
        let data = record.data.as_deref().unwrap_or_default();
        let Ok(event) = serde_json::from_slice::<JsonValue>(data) else {
            return;
        };
        let number = |key: &str| event.get(key).and_then(JsonValue::as_u64);
        let left = &mut self.left;
        left.adds_text = false;
        if let Some(sequence) = number("sequence_number") {
            left.sequence = Some(sequence);
        }
        let output = number("output_index").unwrap_or_default();
        let content = number("content_index").unwrap_or_default();
        match event
            .get("type")
            .and_then(JsonValue::as_str)
            .unwrap_or_default()
        {
            "response.created" | "response.in_progress" | "response.queued" => {
                left.response = event.get("response").cloned();
            }
            "response.output_item.added" => {
                left.next = left.next.max(output.saturating_add(1));
                let item = event.get("item").cloned().unwrap_or_default();
                if item.get("type").is_some_and(|kind| kind == "message") {
                    left.open = Some(Open {
                        number: output,
                        item,
                        part: None,
                    });
                }
            }
            "response.content_part.added" => {
                if let Some(open) = &mut left.open {
                    open.part = Some((content, String::new()));
                }
            }
            "response.output_text.delta" => {
                if let Some(open) = &mut left.open
                    && open.number == output
                {
                    left.adds_text = true;
                    let (_, text) = open.part.get_or_insert((content, String::new()));
                    text.push_str(
                        event
                            .get("delta")
                            .and_then(JsonValue::as_str)
                            .unwrap_or_default(),
                    );
                }
            }
            "response.output_item.done" => {
                left.next = left.next.max(output.saturating_add(1));
                if left.open.as_ref().is_some_and(|open| open.number == output) {
                    left.open = None;
                }
                let item = event.get("item").cloned().unwrap_or_default();
                left.items.push((output, item));
            }
            "response.completed" | "response.failed" | "response.incomplete" | "error" => {
                left.ended = true;
            }
            _ => {}
        }
    }

    fn released_alike(&mut self, text: &str, number: Option<u64>) -> bool {
        let left = &mut self.left;
        if number.is_none() && left.sequence.is_some() {
            return false;
        }
        if left.adds_text {
            let part = left.open.as_mut().and_then(|open| open.part.as_mut());
            let Some((_, said)) = part else {
                return false;
            };
            said.push_str(text);
        }
        left.sequence = number;
        true
    }

    fn refuse_choice(&mut self, _choice: u32, message: &str, out: &mut Vec<NewRecord>) {
        if self.left.ended {
            return;
        }
        if self.left.response.is_none() {
            let begun = refuse::response(&self.facts);
            for name in ["response.created", "response.in_progress"] {
                self.event(name, json!({"response": begun}), out);
            }
            self.left.response = Some(begun);
        }
        self.close(out);
        let (number, id) = (self.left.next, fresh_id("msg_"));
        self.left.next = number.saturating_add(1);
        let whole = refuse::message(&id, message);
        let mut begun = whole.clone();
        begun["status"] = "in_progress".into();
        begun["content"] = json!([]);
        let added = json!({"output_index": number, "item": begun});
        self.event("response.output_item.added", added, out);
        let place = json!({"item_id": id, "output_index": number, "content_index": 0});
        let with = |key: &str, value: JsonValue| {
            let mut data = place.clone();
            data[key] = value;
            data
        };
        let empty = with("part", refuse::part(""));
        self.event("response.content_part.added", empty, out);
        let mut delta = with("delta", message.into());
        delta["logprobs"] = json!([]);
        self.event("response.output_text.delta", delta, out);
        let mut done = with("text", message.into());
        done["logprobs"] = json!([]);
        self.event("response.output_text.done", done, out);
        let part = with("part", refuse::part(message));
        self.event("response.content_part.done", part, out);
        let done = json!({"output_index": number, "item": whole});
        self.event("response.output_item.done", done, out);
        self.left.items.push((number, whole));
        self.left.items.sort_by_key(|(number, _)| *number);
        let items = std::mem::take(&mut self.left.items);
        let items = items.into_iter().map(|(_, item)| item).collect();
        let mut response = self.left.response.clone().unwrap_or_default();
        refuse::refuse(&mut response, items);
        self.event("response.incomplete", json!({"response": response}), out);
        self.left.ended = true;
    }

    fn without(
        &self,
        _data: &[u8],
        choices: &[ChoiceSpan],
        blocked: &dyn Fn(u32) -> bool,
    ) -> Option<Vec<BodyEdit>> {
        let is_blocked = choices.iter().any(|choice| blocked(choice.index));
        (!is_blocked).then(Vec::new)
    }

    fn fail(&mut self, code: &str, message: &str, out: &mut Vec<NewRecord>) {
        let mut records = Vec::new();
        let data = json!({"code": code, "message": message, "param": null});
        self.event("error", data, &mut records);
        self.left.ended = true;
        out.extend(records.into_iter().map(NewRecord::error));
    }

    fn end(&mut self, _out: &mut Vec<NewRecord>) {
        // The last record says so itself.
    }
}

/// The words of which the names of events are made.
const WORDS: &[&[u8]] = &[
    b"response",
    b"created",
    b"queued",
    b"in",
    b"progress",
    b"completed",
    b"failed",
    b"incomplete",
    b"output",
    b"item",
    b"added",
    b"done",
    b"content",
    b"part",
    b"text",
    b"delta",
    b"annotation",
    b"refusal",
    b"reasoning",
    b"summary",
    b"function",
    b"call",
    b"arguments",
    b"custom",
    b"tool",
    b"input",
    b"mcp",
    b"list",
    b"tools",
    b"code",
    b"interpreter",
    b"interpreting",
    b"shell",
    b"command",
    b"file",
    b"search",
    b"web",
    b"searching",
    b"image",
    b"generation",
    b"generating",
    b"partial",
    b"audio",
    b"transcript",
    b"compaction",
    b"compacting",
    b"steer",
    b"accepted",
    b"pending",
];

/// Whether a record's name is what readers take for none.
fn is_no_name(name: &[u8]) -> bool {
    name.is_empty() || name == b"message"
}

/// Where the number of an event lies.
fn counter(root: Value<'_, '_>) -> Option<std::ops::Range<usize>> {
    let number = root.get("sequence_number")?;
    number.as_u64().map(|_| number.span())
}

/// Reads an event of this type.
fn read_event<'a>(
    walk: &mut Walk<'a, '_>,
    calls: &mut Vec<CallPiece<'a>>,
    root: Value<'_, 'a>,
    kind: &str,
) -> Result<(), Unreadable> {
    let number = |key| root.get(key).and_then(Value::as_u64).unwrap_or_default();
    let output = number("output_index");
    let content = number("content_index");
    let mode = match kind.ends_with(".done") {
        true if kind.contains("output_item") => Mode::Repeated(Again::Item),
        true if kind.contains("_part.") => Mode::Repeated(Again::Part),
        true => Mode::Repeated(Again::Text),
        false => Mode::Added,
    };
    let text_place = place_of(
        kind,
        output,
        content,
        number("summary_index"),
        number("command_index"),
    );
    walk.members(root, |walk, name, Member { key, value }| {
        let path = Path::ROOT.key(name);
        match name {
            "response" if value.is_object() => {
                response(walk, calls, value, Mode::Repeated(Again::Reply))?;
                walk.choice = Some(0);
            }
            "item" if value.is_object() => {
                item::read(walk, calls, value, output, mode, None)?;
            }
            "part" if kind.starts_with("response.reasoning_summary") => {
                let place = Place::Summary(output, number("summary_index"));
                item::texts_of(walk, value, place, mode, path)?;
            }
            "part" => item::part(walk, value, output, content, mode)?,
            "delta" if value.is_object() => {
                let second = number("command_index");
                for member in value.members() {
                    let is_error = member.key.is("stderr");
                    let place = Place::CommandOutput(output, second, is_error);
                    item::text(walk, member.value, place, TextClass::TEXT, mode, path);
                }
            }
            "logprobs" if value.is_array() => {
                item::logprobs(walk, value, (output, content), path)?;
            }
            "delta" | "text" | "refusal" | "arguments" | "input" | "code" | "command" => {
                match text_place {
                    Some((place, class)) => {
                        let is_again = mode != Mode::Added;
                        if class.of_call && is_again != (name == "delta") {
                            calls.extend(
                                piece(walk.choice, output, value)
                                    .map(|piece| CallPiece { is_again, ..piece }),
                            );
                        }
                        item::text(walk, value, place, class, mode, path);
                    }
                    // Sound, in base64.
                    None if kind.starts_with("response.audio.") => walk.structural(value, path),
                    None => walk.unknown(key, value, Path::ROOT),
                }
            }
            _ => walk.unknown(key, value, Path::ROOT),
        }
        Ok(())
    })
}

/// The place of an event's text, and its class.
fn place_of(
    kind: &str,
    output: u64,
    content: u64,
    summary: u64,
    command: u64,
) -> Option<(Place, TextClass)> {
    let kind = kind.strip_prefix("response.")?;
    let what = kind
        .strip_suffix(".delta")
        .or_else(|| kind.strip_suffix(".done"));
    Some(match what.or_else(|| kind.strip_suffix(".added"))? {
        "output_text" => (Place::Text(output, content), TextClass::ANSWER),
        "refusal" => (Place::Refusal(output, content), TextClass::ANSWER),
        "reasoning_text" => (Place::Reasoning(output, content), TextClass::ANSWER),
        "reasoning_summary_text" => (Place::Summary(output, summary), TextClass::ANSWER),
        "function_call_arguments" => (Place::Arguments(output), TextClass::ARGUMENTS),
        "custom_tool_call_input" => (Place::Arguments(output), CALL_INPUT),
        "mcp_call_arguments" => {
            let class = TextClass {
                json: HoldsJson::Yes,
                ..TextClass::TEXT
            };
            (Place::Arguments(output), class)
        }
        "code_interpreter_call_code" => (Place::Code(output), TextClass::ANSWER),
        "shell_call_command" => (Place::Command(output, command), TextClass::TEXT),
        "audio.transcript" => (Place::Transcript, TextClass::ANSWER),
        _ => return None,
    })
}

/// A piece of a call's arguments.
fn piece<'a>(choice: Option<u32>, call: u64, value: Value<'_, 'a>) -> Option<CallPiece<'a>> {
    let text = value.as_str()?;
    Some(CallPiece {
        choice,
        call,
        arguments: Some(CallText {
            text,
            span: value.span(),
            is_string: true,
        }),
        ..CallPiece::default()
    })
}
