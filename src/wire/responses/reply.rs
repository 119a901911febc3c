//! Whole replies, and the objects of replies in streams.

use super::item::{self, Mode, Place, VOCABULARY, is_folded_key};
use crate::wire::{
    CallPiece, ChoiceSpan, JsonLimits, RecordKind, Relation, ReplyTexts, TextClass, Unreadable,
    json::{Document, Member, Value},
    walk::{Path, Walk},
};

/// The keys of a reply under which it repeats its request.
const ECHOES: &[&str] = &[
    "instructions",
    "tools",
    "tool_choice",
    "metadata",
    "prompt",
    "text",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "moderation_policy",
];

/// Reads a whole reply into `reply`, which is empty: a reply, a list of items, an item, an error.
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
        calls,
        kind,
        ..
    } = reply;
    let mut walk = Walk::new(texts, &VOCABULARY, repeated);
    let root = document.root();
    if !root.is_object() {
        walk.other(root, Path::ROOT);
        return Ok(());
    }
    if root.get("output").is_none() && root.get("error").is_some_and(|error| !error.is_null()) {
        *kind = RecordKind::Error;
    }
    let choice = response(&mut walk, calls, root, Mode::Whole)?;
    if root.get("output").is_some() {
        choices.push(choice);
    }
    Ok(())
}

/// Reads a reply object.
pub(super) fn response<'a>(
    walk: &mut Walk<'a, '_>,
    calls: &mut Vec<CallPiece<'a>>,
    response: Value<'_, 'a>,
    mode: Mode,
) -> Result<ChoiceSpan, Unreadable> {
    walk.choice = Some(0);
    walk.members(response, |walk, name, Member { key, value }| {
        let path = Path::ROOT.key(name);
        match name {
            // A list of stored items has them under `data`.
            "output" | "data" if value.is_array() => {
                for (position, element) in value.elements().enumerate() {
                    let number = u64::try_from(position).unwrap_or(u64::MAX);
                    let list = (mode == Mode::Whole).then_some(value);
                    item::read(walk, calls, element, number, mode, list)?;
                }
            }
            "output_text" if value.is_string() => {
                // Some servers join the answer's texts themselves.
                let channel = walk.channel(&"output_text");
                let said = Relation::Repeats(walk.channel(&Place::Text(0, 0)));
                walk.push(value, channel, said, TextClass::ANSWER);
            }
            _ if ECHOES.contains(&name) => item::echo(walk, value, path),
            _ => walk.unknown(key, value, Path::ROOT),
        }
        Ok(())
    })?;
    walk.choice = None;
    let status = response.get("status").and_then(Value::as_str);
    Ok(ChoiceSpan {
        index: 0,
        span: response.span(),
        finish: matches!(
            status.as_deref(),
            Some("completed" | "incomplete" | "failed" | "cancelled")
        ),
    })
}
