//! Replies, whole and record by record.

use super::{
    calls,
    logprobs::logprobs,
    vocabulary::{VOCABULARY, is_folded_key},
};
use crate::wire::{
    CallPiece, ChoiceSpan, JsonLimits, RecordKind, ReplyTexts, TextClass, Unreadable,
    json::{Document, Kind, Member, Value},
    walk::{Path, Walk},
};

/// Whether a body is a whole reply or a record of a streamed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whole {
    Reply,
    Record,
}

/// The places of the texts that clients put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// A choice's own `text`, as the older API and some vendors have it.
    Text,
    Content(Site),
    /// A text of a content part under another key than `text`.
    PartValue(Site),
    Refusal(Site),
    /// What the model thought; by the key.
    Reasoning(Site, u8),
    CallName(Site, u64),
    CallArguments(Site, u64),
    Transcript(Site),
    /// The tokens of the log-probabilities: the list, and the rank: 0 is the chosen token, 1 the first alternative.
    Tokens(u8, usize),
    /// The same as byte lists.
    TokenBytes(u8, usize),
}

/// Which object of a choice says what the model says. A client reads one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Site {
    Delta,
    Message,
}

/// Reads a reply or a record into `reply`, which is empty.
pub(super) fn read<'a>(
    body: &'a [u8],
    limits: &JsonLimits,
    whole: Whole,
    reply: &mut ReplyTexts<'a>,
) -> Result<(), Unreadable> {
    let limits = JsonLimits {
        allow_byte_order_mark: true,
        ..*limits
    };
    let document = Document::read(body, &limits)?;
    let repeated = document.repeated_key().is_some();
    reply.ambiguous = repeated || document.keys().any(is_folded_key);
    Reader {
        walk: Walk::new(&mut reply.texts, &VOCABULARY, repeated),
        calls: &mut reply.calls,
        choices: &mut reply.choices,
        kind: &mut reply.kind,
        whole,
    }
    .root(document.root())
}

struct Reader<'a, 't> {
    walk: Walk<'a, 't>,
    calls: &'t mut Vec<CallPiece<'a>>,
    choices: &'t mut Vec<ChoiceSpan>,
    kind: &'t mut RecordKind,
    whole: Whole,
}

impl<'a> Reader<'a, '_> {
    fn root(&mut self, root: Value<'_, 'a>) -> Result<(), Unreadable> {
        if !root.is_object() {
            self.walk.other(root, Path::ROOT);
            return Ok(());
        }
        let Self {
            walk,
            calls,
            choices,
            kind,
            whole,
        } = self;
        let path = Path::ROOT;
        walk.members(root, |walk, name, Member { key, value }| {
            match name {
                "choices" if value.is_array() => {
                    for (position, element) in value.elements().enumerate() {
                        let span = choice(walk, calls, *whole, element, position)?;
                        choices.extend(span);
                    }
                    walk.choice = None;
                }
                "error" if !value.is_null() => {
                    **kind = RecordKind::Error;
                    walk.other(value, path.key(name));
                }
                _ => walk.unknown(key, value, path),
            }
            Ok(())
        })
    }
}

fn choice<'a>(
    walk: &mut Walk<'a, '_>,
    calls: &mut Vec<CallPiece<'a>>,
    whole: Whole,
    choice: Value<'_, 'a>,
    position: usize,
) -> Result<Option<ChoiceSpan>, Unreadable> {
    let path = Path::ROOT.key("choices");
    let index = index(choice, position)?;
    walk.choice = Some(index);
    if !choice.is_object() {
        walk.other(choice, path);
        return Ok(None);
    }
    let mut finish = false;
    walk.members(choice, |walk, name, Member { key, value }| {
        match name {
            "delta" if value.is_object() => message(walk, calls, whole, value, Site::Delta)?,
            "message" if value.is_object() => message(walk, calls, whole, value, Site::Message)?,
            "text" => walk.known(value, &Place::Text, TextClass::ANSWER, path.key(name)),
            "finish_reason" => {
                finish = !value.is_null();
                walk.structural(value, path.key(name));
            }
            "logprobs" if value.is_object() => logprobs(walk, value)?,
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

/// A message, or what a record adds to it.
fn message<'a>(
    walk: &mut Walk<'a, '_>,
    calls: &mut Vec<CallPiece<'a>>,
    whole: Whole,
    message: Value<'_, 'a>,
    site: Site,
) -> Result<(), Unreadable> {
    let path = match site {
        Site::Delta => Path::ROOT.key("delta"),
        Site::Message => Path::ROOT.key("message"),
    };
    walk.members(message, |walk, name, Member { key, value }| {
        let inner = path.key(name);
        match name {
            "content" if value.is_array() => {
                for (position, element) in value.elements().enumerate() {
                    part(walk, element, site, inner.at(position))?;
                }
            }
            "content" => walk.known(value, &Place::Content(site), TextClass::ANSWER, inner),
            "refusal" => walk.known(value, &Place::Refusal(site), TextClass::ANSWER, inner),
            "reasoning_content" | "reasoning" | "thinking" => {
                let number = name.len() as u8;
                walk.known(
                    value,
                    &Place::Reasoning(site, number),
                    TextClass::ANSWER,
                    inner,
                );
            }
            "tool_calls" if value.is_array() => {
                for (position, call) in value.elements().enumerate() {
                    let number = match whole {
                        Whole::Reply => u64::try_from(position).unwrap_or(u64::MAX),
                        Whole::Record => index(call, position)?.into(),
                    };
                    calls.push(CallPiece {
                        choice: walk.choice,
                        call: number,
                        ..calls::piece(call, Some(value))
                    });
                    calls::texts(walk, call, site, number, inner)?;
                }
            }
            "function_call" => {
                if !value.is_null() {
                    calls.push(CallPiece {
                        choice: walk.choice,
                        call: calls::FUNCTION,
                        ..calls::piece(value, None)
                    });
                }
                calls::texts(walk, value, site, calls::FUNCTION, inner)?;
            }
            "audio" if value.is_object() => audio(walk, value, site, inner)?,
            _ => {
                if name == "tool_calls" && !value.is_null() {
                    calls.push(CallPiece {
                        choice: walk.choice,
                        is_malformed: true,
                        ..CallPiece::default()
                    });
                }
                walk.unknown(key, value, path);
            }
        }
        Ok(())
    })
}

fn part<'a>(
    walk: &mut Walk<'a, '_>,
    part: Value<'_, 'a>,
    site: Site,
    path: Path<'_>,
) -> Result<(), Unreadable> {
    let content = Place::Content(site);
    if !part.is_object() {
        walk.known(part, &content, TextClass::ANSWER, path);
        return Ok(());
    }
    walk.members(part, |walk, name, Member { key, value }| {
        match name {
            "text" if value.is_object() => self::part(walk, value, site, path.key(name))?,
            "text" => walk.known(value, &content, TextClass::ANSWER, path.key(name)),
            "value" => {
                let place = Place::PartValue(site);
                walk.known(value, &place, TextClass::ANSWER, path.key(name));
            }
            "refusal" => {
                let place = Place::Refusal(site);
                walk.known(value, &place, TextClass::ANSWER, path.key(name));
            }
            _ => walk.unknown(key, value, path),
        }
        Ok(())
    })
}

fn audio<'a>(
    walk: &mut Walk<'a, '_>,
    audio: Value<'_, 'a>,
    site: Site,
    path: Path<'_>,
) -> Result<(), Unreadable> {
    walk.members(audio, |walk, name, Member { key, value }| {
        match name {
            "transcript" => {
                let place = Place::Transcript(site);
                walk.known(value, &place, TextClass::ANSWER, path.key(name));
            }
            "data" if is_base64(value) => {}
            _ => walk.unknown(key, value, path),
        }
        Ok(())
    })
}

/// The `index` of a choice or a tool call; its position, if it has none.
fn index(object: Value<'_, '_>, position: usize) -> Result<u32, Unreadable> {
    let mut index = None;
    for member in object.members().filter(|member| member.key.is("index")) {
        let number = match member.value.kind() {
            Kind::Null => continue,
            _ => member.value.as_u64().and_then(|n| u32::try_from(n).ok()),
        };
        // Whose text is it? Readers would not agree.
        if number.is_none() || index.is_some_and(|earlier| Some(earlier) != number) {
            return Err(Unreadable::bad_request(
                "ambiguous_index",
                "A choice or tool call of the reply has no usable index.",
            ));
        }
        index = number;
    }
    Ok(index.unwrap_or(u32::try_from(position).unwrap_or(u32::MAX)))
}

fn is_base64(value: Value<'_, '_>) -> bool {
    let inside = value.source().trim_matches('"');
    value.is_string()
        && inside
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte))
}
