//! Replies and the records of streams, which are alike.

use std::borrow::Cow;

use crate::wire::{
    ChoiceSpan, JsonLimits, Patch, RecordKind, Relation, ReplyText, ReplyTexts, TextClass,
    Unreadable,
    json::{Document, Member, Value},
    keys,
    walk::{Path, Vocabulary, Walk},
};

/// The places of the texts that clients put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    Text,
    /// What fill-in-the-middle says, in the shape of chat.
    Content,
    Tokens,
    /// The alternatives of each token: which of them.
    TopTokens(usize),
}

static VOCABULARY: Vocabulary = Vocabulary {
    is_structural,
    is_structural_anywhere: is_structural,
    is_opaque: |_| false,
    is_folded: is_folded_key,
    is_usual_key: |key| {
        matches!(
            key.trim_matches('"'),
            "choices"
                | "text"
                | "index"
                | "logprobs"
                | "tokens"
                | "token_logprobs"
                | "top_logprobs"
                | "text_offset"
                | "finish_reason"
                | "usage"
                | "prompt_tokens"
                | "completion_tokens"
                | "total_tokens"
                | "created"
                | "error"
                | "message"
                | "delta"
                | "content"
        )
    },
    is_usual: |token| {
        matches!(
            token,
            r#""text_completion""#
                | r#""stop""#
                | r#""length""#
                | r#""content_filter""#
                | r#""assistant""#
        )
    },
};

/// Whether the strings under the key, which has its quotes, say where or what something is.
fn is_structural(key: &str) -> bool {
    matches!(
        key,
        r#""id""#
            | r#""object""#
            | r#""model""#
            | r#""finish_reason""#
            | r#""system_fingerprint""#
            | r#""role""#
    )
}

/// The keys that steer where texts go.
const KNOWN_KEYS: &[&str] = &[
    "choices",
    "text",
    "index",
    "logprobs",
    "tokens",
    "finish_reason",
    "error",
    "message",
    "delta",
    "content",
];

/// Whether the key is a known one in another letter case.
fn is_folded_key(key: Value<'_, '_>) -> bool {
    keys::is_only_folded(&key.as_str().unwrap_or_default(), KNOWN_KEYS)
}

/// Reads a reply or a record into `reply`, which is empty.
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
    let ReplyTexts {
        texts,
        choices,
        kind,
        ..
    } = reply;
    let mut walk = Walk::new(texts, &VOCABULARY, repeated);
    let root = document.root();
    if !root.is_object() {
        walk.other(root, Path::ROOT);
        return Ok(());
    }
    walk.members(root, |walk, name, Member { key, value }| {
        match name {
            "choices" if value.is_array() => {
                for (position, element) in value.elements().enumerate() {
                    choices.extend(choice(walk, element, position)?);
                }
                walk.choice = None;
            }
            "error" if !value.is_null() => {
                *kind = RecordKind::Error;
                walk.other(value, Path::ROOT.key(name));
            }
            _ => walk.unknown(key, value, Path::ROOT),
        }
        Ok(())
    })
}

fn choice<'a>(
    walk: &mut Walk<'a, '_>,
    choice: Value<'_, 'a>,
    position: usize,
) -> Result<Option<ChoiceSpan>, Unreadable> {
    let path = Path::ROOT.key("choices");
    let index = match choice.get("index").filter(|index| !index.is_null()) {
        None => u32::try_from(position).unwrap_or(u32::MAX),
        Some(index) => index
            .as_u64()
            .and_then(|index| u32::try_from(index).ok())
            .ok_or_else(|| {
                Unreadable::bad_request(
                    "ambiguous_index",
                    "A choice of the reply has no usable index.",
                )
            })?,
    };
    walk.choice = Some(index);
    if !choice.is_object() {
        walk.other(choice, path);
        return Ok(None);
    }
    let mut finish = false;
    walk.members(choice, |walk, name, Member { key, value }| {
        match name {
            "text" => walk.known(value, &Place::Text, TextClass::ANSWER, path.key(name)),
            "message" | "delta" if value.is_object() => {
                walk.members(value, |walk, inner, Member { key, value }| {
                    let path = path.key(name);
                    match inner {
                        "content" => {
                            walk.known(value, &Place::Content, TextClass::ANSWER, path.key(inner));
                        }
                        _ => walk.unknown(key, value, path),
                    }
                    Ok(())
                })?;
            }
            "finish_reason" => {
                finish = value.as_str().is_some_and(|reason| !reason.is_empty());
                walk.structural(value, path.key(name));
            }
            "logprobs" if value.is_object() => logprobs(walk, value, path.key(name))?,
            _ => walk.unknown(key, value, path),
        }
        Ok(())
    })?;
    Ok(Some(ChoiceSpan {
        index,
        span: choice.span(),
        finish,
    }))
}

/// The tokens of the text, which say it again, and what else each might have been.
fn logprobs<'a>(
    walk: &mut Walk<'a, '_>,
    logprobs: Value<'_, 'a>,
    path: Path<'_>,
) -> Result<(), Unreadable> {
    let text = Relation::Repeats(walk.channel(&Place::Text));
    walk.members(logprobs, |walk, name, Member { key, value }| {
        match name {
            "tokens" if value.is_array() => {
                let channel = walk.channel(&Place::Tokens);
                for token in value.elements() {
                    match token.is_string() {
                        true => walk.push(token, channel, text, TextClass::STRUCTURAL),
                        false => walk.other(token, path.key(name)),
                    }
                }
            }
            "top_logprobs" if value.is_array() => {
                // The tokens are keys. Those of one rank, joined, may be the text itself.
                let mut ranks: Vec<String> = Vec::new();
                for alternatives in value.elements() {
                    for (rank, Member { key, value }) in alternatives.members().enumerate() {
                        if ranks.len() <= rank {
                            ranks.push(String::new());
                        }
                        if let Some(joined) = ranks.get_mut(rank) {
                            joined.push_str(&key.as_str().unwrap_or_default());
                        }
                        walk.other(value, path.key(name));
                    }
                    if !alternatives.is_object() {
                        walk.other(alternatives, path.key(name));
                    }
                }
                for (rank, joined) in ranks.into_iter().enumerate() {
                    let channel = walk.channel(&Place::TopTokens(rank));
                    walk.texts.push(ReplyText {
                        channel,
                        relation: text,
                        class: TextClass {
                            patch: Patch::Null,
                            ..TextClass::STRUCTURAL
                        },
                        text: Cow::Owned(joined),
                        span: value.span(),
                    });
                }
            }
            _ => walk.unknown(key, value, path),
        }
        Ok(())
    })
}
