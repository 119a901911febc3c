//! Replies and the records of streams, which are alike.

use std::borrow::Cow;

use crate::wire::{
    CallPiece, CallText, ChoiceSpan, JsonLimits, ListElement, Patch, RecordKind, Relation,
    ReplyText, ReplyTexts, TextClass, Unreadable,
    json::{Document, Member, Value},
    keys,
    tokens::TokenList,
    walk::{Path, Vocabulary, Walk},
};

/// The places of the texts that clients put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    Content,
    Thinking,
    /// What a request for generation is answered.
    Response,
    CallName(u64),
    /// The tokens of the log-probabilities.
    Tokens,
    /// The conversation, as tokens.
    Context,
}

static VOCABULARY: Vocabulary = Vocabulary {
    is_structural,
    is_structural_anywhere: is_structural,
    is_opaque: |key| matches!(key, r#""image""# | r#""images""#),
    is_folded: is_folded_key,
    is_usual_key: |key| {
        matches!(
            key.trim_matches('"'),
            "message"
                | "content"
                | "thinking"
                | "response"
                | "tool_calls"
                | "function"
                | "name"
                | "arguments"
                | "index"
                | "images"
                | "done"
                | "total_duration"
                | "load_duration"
                | "prompt_eval_count"
                | "prompt_eval_duration"
                | "eval_count"
                | "eval_duration"
                | "context"
                | "logprobs"
                | "logprob"
                | "bytes"
                | "error"
        )
    },
    is_usual: |token| {
        matches!(
            token,
            r#""assistant""# | r#""stop""# | r#""length""# | r#""load""#
        )
    },
};

/// Whether the strings under the key, which has its quotes, say where or what something is.
fn is_structural(key: &str) -> bool {
    matches!(
        key,
        r#""model""#
            | r#""created_at""#
            | r#""role""#
            | r#""done_reason""#
            | r#""id""#
            | r#""type""#
            | r#""image""#
            | r#""remote_model""#
            | r#""remote_host""#
    )
}

/// The keys that steer where texts go.
const KNOWN_KEYS: &[&str] = &[
    "message",
    "content",
    "thinking",
    "response",
    "tool_calls",
    "function",
    "name",
    "arguments",
    "done",
    "error",
    "logprobs",
    "token",
];

/// Whether the key is a known one in another letter case.
fn is_folded_key(key: Value<'_, '_>) -> bool {
    keys::is_only_folded(&key.as_str().unwrap_or_default(), KNOWN_KEYS)
}

/// Reads a reply or a record into `reply`, which is empty; `calls_before` is how many calls earlier records had. Returns how many
/// this one has.
pub(super) fn read<'a>(
    body: &'a [u8],
    limits: &JsonLimits,
    calls_before: u64,
    reply: &mut ReplyTexts<'a>,
) -> Result<u64, Unreadable> {
    let limits = JsonLimits {
        allow_byte_order_mark: true,
        ..*limits
    };
    let document = Document::read(body, &limits)?;
    let repeated = document.repeated_key().is_some();
    reply.ambiguous = repeated || document.keys().any(is_folded_key);
    let ReplyTexts {
        texts,
        choices,
        calls,
        kind,
        ..
    } = reply;
    let mut walk = Walk::new(texts, &VOCABULARY, repeated);
    let root = document.root();
    if !root.is_object() {
        walk.other(root, Path::ROOT);
        return Ok(0);
    }
    let mut finish = false;
    walk.choice = Some(0);
    let mut call_count = 0;
    walk.members(root, |walk, name, Member { key, value }| {
        let path = Path::ROOT.key(name);
        match name {
            "message" if value.is_object() => {
                call_count = message(walk, calls, value, calls_before)?;
            }
            "response" => walk.known(value, &Place::Response, TextClass::ANSWER, path),
            "thinking" => walk.known(value, &Place::Thinking, TextClass::ANSWER, path),
            "done" => {
                finish = value.as_bool() == Some(true);
                walk.other(value, path);
            }
            "logprobs" if value.is_array() => {
                let said = match root.get("response") {
                    Some(_) => Place::Response,
                    None => Place::Content,
                };
                let said = Relation::Repeats(walk.channel(&said));
                TokenList::new(&Place::Tokens, said).read(walk, value, path)?;
            }
            "context" if value.is_array() => {
                // Numbers, if it is what it should be.
                walk.other(value, path);
                // Tokens of the conversation with its answer, which its reader can turn into text again: nothing that rails could
                // read, and nothing that may stay where the answer was rewritten.
                walk.texts.push(ReplyText {
                    channel: walk.channel(&Place::Context),
                    relation: Relation::Repeats(walk.channel(&Place::Response)),
                    class: TextClass {
                        patch: Patch::Null,
                        ..TextClass::STRUCTURAL
                    },
                    text: Cow::Borrowed(""),
                    span: value.span(),
                });
            }
            "error" if !value.is_null() => {
                *kind = RecordKind::Error;
                walk.other(value, path);
            }
            _ => walk.unknown(key, value, Path::ROOT),
        }
        Ok(())
    })?;
    if *kind != RecordKind::Error {
        choices.push(ChoiceSpan {
            index: 0,
            span: root.span(),
            finish,
        });
    }
    Ok(call_count)
}

fn message<'a>(
    walk: &mut Walk<'a, '_>,
    calls: &mut Vec<CallPiece<'a>>,
    message: Value<'_, 'a>,
    calls_before: u64,
) -> Result<u64, Unreadable> {
    let path = Path::ROOT.key("message");
    let mut count = 0;
    walk.members(message, |walk, name, Member { key, value }| {
        match name {
            "content" => walk.known(value, &Place::Content, TextClass::ANSWER, path.key(name)),
            "thinking" => walk.known(value, &Place::Thinking, TextClass::ANSWER, path.key(name)),
            "tool_calls" if value.is_array() => {
                for element in value.elements() {
                    let number = calls_before.saturating_add(count);
                    count += 1;
                    calls.push(CallPiece {
                        choice: Some(0),
                        call: number,
                        ..piece(element, value)
                    });
                    call(walk, element, number, path.key(name))?;
                }
            }
            _ => walk.unknown(key, value, path),
        }
        Ok(())
    })?;
    Ok(count)
}

fn call<'a>(
    walk: &mut Walk<'a, '_>,
    call: Value<'_, 'a>,
    number: u64,
    path: Path<'_>,
) -> Result<(), Unreadable> {
    if !call.is_object() {
        walk.other(call, path);
        return Ok(());
    }
    let path = path.at(usize::try_from(number).unwrap_or(usize::MAX));
    walk.members(call, |walk, name, Member { key, value }| {
        match name {
            "function" if value.is_object() => self::call(walk, value, number, path)?,
            "name" => {
                let place = Place::CallName(number);
                walk.known(value, &place, TextClass::CALL_NAME, path.key(name));
            }
            "arguments" if value.is_string() => {
                walk.known(
                    value,
                    &("arguments", number),
                    TextClass::ARGUMENTS,
                    path.key(name),
                );
            }
            "arguments" => {
                walk.of_call = true;
                walk.other(value, path.key(name));
                walk.of_call = false;
            }
            _ => walk.unknown(key, value, path),
        }
        Ok(())
    })
}

/// A call, which comes whole.
fn piece<'a>(call: Value<'_, 'a>, list: Value<'_, 'a>) -> CallPiece<'a> {
    let body = call.get("function").unwrap_or(call);
    let text = |value: Value<'_, 'a>| CallText {
        text: value.as_str().unwrap_or(Cow::Borrowed(value.source())),
        span: value.span(),
        is_string: value.is_string(),
    };
    let given = |key| body.get(key).filter(|value| !value.is_null());
    let name = given("name");
    CallPiece {
        is_malformed: !body.is_object() || name.is_none_or(|name| !name.is_string()),
        element: Some(ListElement {
            span: call.span(),
            list: list.span(),
        }),
        id: call.get("id").and_then(Value::as_str),
        name: name.map(text),
        arguments: given("arguments").map(text),
        ..CallPiece::default()
    }
}
