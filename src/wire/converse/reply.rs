//! Replies, and the blocks of which they and the events of streams are made.

use std::borrow::Cow;

use crate::wire::{
    CallPiece, CallText, ChoiceSpan, JsonLimits, ListElement, Patch, ReplyTexts, TextClass,
    Unreadable,
    json::{Document, Member, Value},
    keys,
    walk::{Path, Vocabulary, Walk},
};

/// The places of the texts that clients put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Text,
    Thought,
    /// The name of the call in this block.
    CallName(u64),
    /// The arguments of the call in this block, as a stream writes them.
    CallArguments(u64),
}

/// What the model thought: under a signature, so that it may be blocked and not rewritten.
const THOUGHT: TextClass = TextClass {
    patch: Patch::No,
    ..TextClass::ANSWER
};

pub(super) static VOCABULARY: Vocabulary = Vocabulary {
    is_structural,
    is_structural_anywhere: is_structural,
    is_opaque: |key| matches!(key, r#""bytes""# | r#""redactedContent""# | r#""url""#),
    is_folded: is_folded_key,
    is_usual_key: |key| {
        let inside = key.trim_matches('"');
        KNOWN_KEYS.contains(&inside)
            || matches!(
                inside,
                "usage"
                    | "inputTokens"
                    | "outputTokens"
                    | "totalTokens"
                    | "cacheReadInputTokens"
                    | "cacheWriteInputTokens"
                    | "cacheDetails"
                    | "metrics"
                    | "latencyMs"
                    | "trace"
                    | "performanceConfig"
                    | "serviceTier"
                    | "additionalModelResponseFields"
            )
    },
    is_usual: |token| {
        matches!(
            token,
            r#""assistant""#
                | r#""end_turn""#
                | r#""tool_use""#
                | r#""max_tokens""#
                | r#""stop_sequence""#
                | r#""standard""#
        )
    },
};

/// Whether the strings under the key, which has its quotes, say where or what something is.
fn is_structural(key: &str) -> bool {
    matches!(
        key,
        r#""role""#
            | r#""stopReason""#
            | r#""toolUseId""#
            | r#""signature""#
            | r#""format""#
            | r#""latency""#
            | r#""type""#
    )
}

/// The keys that steer where texts go.
const KNOWN_KEYS: &[&str] = &[
    "output",
    "message",
    "content",
    "text",
    "toolUse",
    "name",
    "input",
    "toolResult",
    "reasoningContent",
    "reasoningText",
    "citationsContent",
    "citation",
    "start",
    "delta",
    "contentBlockIndex",
    "stopReason",
];

/// Whether the key is a known one in another letter case.
pub(super) fn is_folded_key(key: Value<'_, '_>) -> bool {
    keys::is_folded_camel(&key.as_str().unwrap_or_default(), KNOWN_KEYS)
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
    // A count of tokens has no answer in it, and an error neither.
    let is_reply = root.get("output").is_some();
    walk.choice = is_reply.then_some(0);
    let mut finish = false;
    let calls = &mut reply.calls;
    walk.members(root, |walk, name, Member { key, value }| {
        match name {
            "output" if value.is_object() => output(walk, calls, value)?,
            "stopReason" => {
                finish = !value.is_null();
                walk.structural(value, Path::ROOT.key(name));
            }
            _ => walk.unknown(key, value, Path::ROOT),
        }
        Ok(())
    })?;
    if is_reply {
        reply.choices.push(ChoiceSpan {
            index: 0,
            span: root.span(),
            finish,
        });
    }
    Ok(())
}

fn output<'a>(
    walk: &mut Walk<'a, '_>,
    calls: &mut Vec<CallPiece<'a>>,
    output: Value<'_, 'a>,
) -> Result<(), Unreadable> {
    let path = Path::ROOT.key("output");
    walk.members(output, |walk, name, Member { key, value }| {
        if name != "message" || !value.is_object() {
            walk.unknown(key, value, path);
            return Ok(());
        }
        walk.members(value, |walk, name, Member { key, value }| {
            match name {
                "content" if value.is_array() => {
                    for (position, element) in value.elements().enumerate() {
                        let index = u64::try_from(position).unwrap_or(u64::MAX);
                        block(walk, calls, element, index, Some(value))?;
                    }
                }
                _ => walk.unknown(key, value, path),
            }
            Ok(())
        })
    })
}

/// Reads a content block, or what a stream adds to one; `list` is where it stands among others.
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
    walk.members(block, |walk, name, Member { key, value }| {
        let inner = path.key(name);
        match name {
            "text" => walk.known(value, &Place::Text, TextClass::ANSWER, inner),
            "toolUse" if value.is_object() && !is_servers(value) => {
                calls.push(CallPiece {
                    choice: walk.choice,
                    call: index,
                    ..piece(block, value, list)
                });
                call(walk, value, index, inner)?;
            }
            "reasoningContent" if value.is_object() => thought(walk, value, inner)?,
            "citationsContent" if value.is_object() => cited(walk, value, inner)?,
            _ => walk.unknown(key, value, path),
        }
        Ok(())
    })
}

/// Whether a call is one that the service runs itself, so that it is nothing that the client is to run.
fn is_servers(call: Value<'_, '_>) -> bool {
    call.get("type")
        .is_some_and(|kind| kind.is("server_tool_use"))
}

fn call<'a>(
    walk: &mut Walk<'a, '_>,
    call: Value<'_, 'a>,
    index: u64,
    path: Path<'_>,
) -> Result<(), Unreadable> {
    walk.members(call, |walk, name, Member { key, value }| {
        match name {
            "name" => {
                let place = Place::CallName(index);
                walk.known(value, &place, TextClass::CALL_NAME, path.key(name));
            }
            "input" if value.is_string() => {
                let place = Place::CallArguments(index);
                walk.known(value, &place, TextClass::ARGUMENTS, path.key(name));
            }
            "input" => {
                walk.of_call = true;
                walk.other(value, path.key(name));
                walk.of_call = false;
            }
            _ => walk.unknown(key, value, path),
        }
        Ok(())
    })
}

/// What the model thought: whole under `reasoningText`, or as a stream adds to it.
fn thought<'a>(
    walk: &mut Walk<'a, '_>,
    thought: Value<'_, 'a>,
    path: Path<'_>,
) -> Result<(), Unreadable> {
    walk.members(thought, |walk, name, Member { key, value }| {
        match name {
            "text" => walk.known(value, &Place::Thought, THOUGHT, path.key(name)),
            "reasoningText" if value.is_object() => self::thought(walk, value, path)?,
            _ => walk.unknown(key, value, path),
        }
        Ok(())
    })
}

/// Text with the places that it comes from.
fn cited<'a>(
    walk: &mut Walk<'a, '_>,
    cited: Value<'_, 'a>,
    path: Path<'_>,
) -> Result<(), Unreadable> {
    walk.members(cited, |walk, name, Member { key, value }| {
        if name != "content" || !value.is_array() {
            walk.unknown(key, value, path);
            return Ok(());
        }
        for element in value.elements() {
            if !element.is_object() {
                walk.known(element, &Place::Text, TextClass::ANSWER, path);
            }
            walk.members(element, |walk, name, Member { key, value }| {
                match name {
                    "text" => walk.known(value, &Place::Text, TextClass::ANSWER, path.key(name)),
                    _ => walk.unknown(key, value, path),
                }
                Ok(())
            })?;
        }
        Ok(())
    })
}

/// A call of a tool, or a piece of it: in a stream the name comes first, and the arguments as pieces of text.
fn piece<'a>(
    block: Value<'_, 'a>,
    call: Value<'_, 'a>,
    list: Option<Value<'_, 'a>>,
) -> CallPiece<'a> {
    let text = |value: Value<'_, 'a>| CallText {
        text: value.as_str().unwrap_or(Cow::Borrowed(value.source())),
        span: value.span(),
        is_string: value.is_string(),
    };
    let given = |key| call.get(key).filter(|value| !value.is_null());
    let (name, input) = (given("name"), given("input"));
    CallPiece {
        is_malformed: name.is_some_and(|name| !name.is_string())
            || list.is_some() && (name.is_none() || input.is_some_and(|input| !input.is_object())),
        element: list.map(|list| ListElement {
            span: block.span(),
            list: list.span(),
        }),
        id: call.get("toolUseId").and_then(Value::as_str),
        name: name.map(text),
        arguments: input.map(text),
        ..CallPiece::default()
    }
}
