//! Replies, and the blocks of which they and the events of streams are made.

use std::borrow::Cow;

use crate::wire::{
    CallPiece, CallText, ChoiceSpan, JsonLimits, ListElement, Patch, RecordKind, ReplyTexts,
    TextClass, Unreadable,
    json::{Document, Member, Value},
    keys,
    walk::{Path, Vocabulary, Walk},
};

/// The places of the texts that clients put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// The answer: text blocks are shown one after the other, and citations cut a sentence into several.
    Text,
    Thinking,
    /// The name of the call in this block.
    CallName(u64),
    /// The arguments of the call in this block, as a stream writes them.
    CallArguments(u64),
}

/// What the model thought: under a signature, so that it may be blocked and not rewritten.
pub(super) const THINKING: TextClass = TextClass {
    patch: Patch::No,
    ..TextClass::ANSWER
};

pub(super) static VOCABULARY: Vocabulary = Vocabulary {
    is_structural,
    is_structural_anywhere: is_structural,
    is_opaque: |key| matches!(key, r#""url""# | r#""data""#),
    is_folded: is_folded_key,
    is_usual_key,
    is_usual,
};

/// The keys that steer where texts go.
const KNOWN_KEYS: &[&str] = &[
    "type",
    "content",
    "text",
    "thinking",
    "name",
    "input",
    "stop_reason",
    "message",
    "content_block",
    "delta",
    "index",
    "partial_json",
    "error",
];

/// Whether the key is a known one in another letter case.
pub(super) fn is_folded_key(key: Value<'_, '_>) -> bool {
    let name = key.as_str().unwrap_or_default();
    keys::is_only_folded(&name, KNOWN_KEYS)
}

fn is_structural(key: &str) -> bool {
    matches!(
        key,
        r#""id""#
            | r#""type""#
            | r#""role""#
            | r#""model""#
            | r#""stop_reason""#
            | r#""tool_use_id""#
            | r#""tool_id""#
            | r#""file_id""#
            | r#""signature""#
            | r#""encrypted_content""#
            | r#""encrypted_index""#
            | r#""encrypted_stdout""#
            | r#""media_type""#
            | r#""service_tier""#
            | r#""inference_geo""#
            | r#""error_code""#
            | r#""expires_at""#
            | r#""retrieved_at""#
    )
}

fn is_usual(token: &str) -> bool {
    matches!(
        token,
        r#""message""#
            | r#""assistant""#
            | r#""text""#
            | r#""tool_use""#
            | r#""thinking""#
            | r#""end_turn""#
            | r#""max_tokens""#
            | r#""stop_sequence""#
            | r#""refusal""#
            | r#""pause_turn""#
            | r#""text_delta""#
            | r#""input_json_delta""#
            | r#""thinking_delta""#
            | r#""signature_delta""#
            | r#""content_block_delta""#
            | r#""content_block_start""#
            | r#""content_block_stop""#
            | r#""message_start""#
            | r#""message_delta""#
            | r#""message_stop""#
            | r#""ping""#
            | r#""error""#
            | r#""standard""#
            | r#""not_available""#
    )
}

fn is_usual_key(key: &str) -> bool {
    let inside = key.trim_matches('"');
    KNOWN_KEYS.contains(&inside)
        || matches!(
            inside,
            "usage"
                | "input_tokens"
                | "output_tokens"
                | "cache_creation_input_tokens"
                | "cache_read_input_tokens"
                | "cache_creation"
                | "ephemeral_5m_input_tokens"
                | "ephemeral_1h_input_tokens"
                | "stop_sequence"
                | "stop_details"
                | "container"
                | "citations"
                | "cited_text"
                | "document_title"
                | "title"
                | "url"
                | "citation"
                | "caller"
        )
}

/// Reads a whole reply into `reply`, which is empty.
pub(super) fn read<'a>(
    body: &'a [u8],
    limits: &JsonLimits,
    reply: &mut ReplyTexts<'a>,
) -> Result<(), Unreadable> {
    let limits = JsonLimits {
        allow_byte_order_mark: true,
        ..*limits
    };
    let document = Document::read(body, &limits)?;
    let repeated = document.repeated_key().is_some();
    reply.ambiguous = repeated || document.keys().any(is_folded_key);
    let root = document.root();
    let mut walk = Walk::new(&mut reply.texts, &VOCABULARY, repeated);
    if !root.is_object() {
        walk.other(root, Path::ROOT);
        return Ok(());
    }
    if root.get("error").is_some_and(|error| !error.is_null()) {
        reply.kind = RecordKind::Error;
        walk.other(root, Path::ROOT);
        return Ok(());
    }
    let choice = message(&mut walk, &mut reply.calls, root, Path::ROOT)?;
    // A count of tokens has no answer in it.
    if root.get("content").is_some() {
        reply.choices.push(choice);
    }
    Ok(())
}

/// Reads a message: the whole reply, or what a stream begins with.
pub(super) fn message<'a>(
    walk: &mut Walk<'a, '_>,
    calls: &mut Vec<CallPiece<'a>>,
    message: Value<'_, 'a>,
    path: Path<'_>,
) -> Result<ChoiceSpan, Unreadable> {
    walk.choice = Some(0);
    let mut finish = false;
    walk.members(message, |walk, name, Member { key, value }| {
        match name {
            "content" if value.is_array() => {
                for (position, element) in value.elements().enumerate() {
                    let index = u64::try_from(position).unwrap_or(u64::MAX);
                    block(walk, calls, element, index, Some(value))?;
                }
            }
            "content" => walk.known(value, &Place::Text, TextClass::ANSWER, path.key(name)),
            "stop_reason" => {
                finish = !value.is_null();
                walk.structural(value, path.key(name));
            }
            _ => walk.unknown(key, value, path),
        }
        Ok(())
    })?;
    walk.choice = None;
    Ok(ChoiceSpan {
        index: 0,
        span: message.span(),
        finish,
    })
}

/// Reads a content block; `list` is where it stands among others.
pub(super) fn block<'a>(
    walk: &mut Walk<'a, '_>,
    calls: &mut Vec<CallPiece<'a>>,
    block: Value<'_, 'a>,
    index: u64,
    list: Option<Value<'_, 'a>>,
) -> Result<(), Unreadable> {
    let blocks = Path::ROOT.key("content");
    let path = blocks.at(usize::try_from(index).unwrap_or(usize::MAX));
    if !block.is_object() {
        walk.known(block, &Place::Text, TextClass::ANSWER, path);
        return Ok(());
    }
    let kind = block
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    // The tools that the service itself runs are nothing that the client is to run.
    let is_call = kind == "tool_use";
    if is_call {
        calls.push(CallPiece {
            choice: walk.choice,
            call: index,
            ..piece(block, list)
        });
    }
    walk.members(block, |walk, name, Member { key, value }| {
        match name {
            "text" if kind == "text" => {
                walk.known(value, &Place::Text, TextClass::ANSWER, path.key(name));
            }
            "thinking" => walk.known(value, &Place::Thinking, THINKING, path.key(name)),
            "name" if is_call => {
                let place = Place::CallName(index);
                walk.known(value, &place, TextClass::CALL_NAME, path.key(name));
            }
            "input" if is_call && !value.is_string() => {
                walk.of_call = true;
                walk.other(value, path.key(name));
                walk.of_call = false;
            }
            "input" if is_call => {
                let place = Place::CallArguments(index);
                walk.known(value, &place, TextClass::ARGUMENTS, path.key(name));
            }
            _ => walk.unknown(key, value, path),
        }
        Ok(())
    })
}

/// A call of a tool.
fn piece<'a>(block: Value<'_, 'a>, list: Option<Value<'_, 'a>>) -> CallPiece<'a> {
    let text = |value: Value<'_, 'a>| CallText {
        text: value.as_str().unwrap_or(Cow::Borrowed(value.source())),
        span: value.span(),
        is_string: value.is_string(),
    };
    let given = |key| block.get(key).filter(|value| !value.is_null());
    let (name, input) = (given("name"), given("input"));
    // A stream begins a call with an empty object, and writes the arguments as text.
    let is_begun = list.is_none() && input.is_some_and(|input| input.members().next().is_none());
    CallPiece {
        is_malformed: name.is_none_or(|name| !name.is_string())
            || input.is_some_and(|input| !input.is_object()),
        element: list.map(|list| ListElement {
            span: block.span(),
            list: list.span(),
        }),
        id: block.get("id").and_then(Value::as_str),
        name: name.map(text),
        arguments: input.filter(|_| !is_begun).map(text),
        ..CallPiece::default()
    }
}
