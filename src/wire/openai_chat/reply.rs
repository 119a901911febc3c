//! Replies, whole and record by record.

use super::{
    calls::{self, CallNumbers},
    logprobs::logprobs,
    vocabulary::VOCABULARY,
};
use crate::wire::{
    CallPiece, ChoiceSpan, JsonLimits, RecordKind, Relation, ReplyTexts, TextClass, Unreadable,
    json::{Document, Kind, Member, Value},
    keys,
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
    CallName(Site, u64, Body),
    CallArguments(Site, u64, Body),
    Transcript(Site),
    /// The tokens of the log-probabilities, by the list.
    Tokens(u8),
}

/// Where in a call its name and arguments stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Body {
    /// In the call itself, as in the older spelling.
    Call,
    Function,
    Custom,
}

/// Which object of a choice says what the model says. A client reads one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Site {
    Delta,
    Message,
}

/// Reads a reply or a record into `reply`, which is empty. `numbers`: what tells the calls of a stream apart.
pub(super) fn read<'a>(
    body: &'a [u8],
    limits: &JsonLimits,
    whole: Whole,
    numbers: &mut CallNumbers,
    reply: &mut ReplyTexts<'a>,
) -> Result<(), Unreadable> {
    let limits = JsonLimits {
        allow_byte_order_mark: true,
        lenient: true,
        ..*limits
    };
    let document = Document::read(body, &limits)?;
    let repeated = document.repeated_key().is_some();
    let mut reader = Reader {
        walk: Walk::new(&mut reply.texts, &VOCABULARY, repeated),
        calls: Calls {
            pieces: &mut reply.calls,
            numbers,
        },
        choices: &mut reply.choices,
        kind: &mut reply.kind,
        whole,
    };
    reader.root(document.root())?;
    let is_ambiguous = reader.walk.is_ambiguous;
    // An error, or an answer of another kind, is no reply to any reader: all of it is text.
    reply.ambiguous = is_ambiguous && may_be_reply(document.root());
    Ok(())
}

/// Whether some reader, one that folds letters or takes the first of a list, finds choices in a body.
fn may_be_reply(root: Value<'_, '_>) -> bool {
    let has_choices = |value: Value<'_, '_>| {
        value.members().any(|member| {
            let name = member.key.as_str().unwrap_or_default();
            keys::folded(name.trim()) == "choices"
        })
    };
    has_choices(root) || root.elements().any(has_choices)
}

/// The calls of a reply, and what tells those of a stream apart.
struct Calls<'a, 't> {
    pieces: &'t mut Vec<CallPiece<'a>>,
    numbers: &'t mut CallNumbers,
}

struct Reader<'a, 't> {
    walk: Walk<'a, 't>,
    calls: Calls<'a, 't>,
    choices: &'t mut Vec<ChoiceSpan>,
    kind: &'t mut RecordKind,
    whole: Whole,
}

impl<'a> Reader<'a, '_> {
    fn root(&mut self, root: Value<'_, 'a>) -> Result<(), Unreadable> {
        if !root.is_object() {
            // A list of replies is none that readers agree on.
            self.walk.is_ambiguous |= root.is_array();
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
        walk.fields(root, |walk, name, Member { key, value }| {
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
    calls: &mut Calls<'a, '_>,
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
    walk.fields(choice, |walk, name, Member { key, value }| {
        match name {
            "delta" if value.is_object() => message(walk, calls, whole, value, Site::Delta)?,
            "message" if value.is_object() => message(walk, calls, whole, value, Site::Message)?,
            "text" => {
                let relation = repeats(walk, whole);
                walk.related(
                    value,
                    &Place::Text,
                    relation,
                    TextClass::ANSWER,
                    path.key(name),
                );
            }
            "finish_reason" => {
                // Some services say in every record that it has none, by an empty one.
                finish = !value.is_null() && !value.is("");
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
    calls: &mut Calls<'a, '_>,
    whole: Whole,
    message: Value<'_, 'a>,
    site: Site,
) -> Result<(), Unreadable> {
    let path = match site {
        Site::Delta => Path::ROOT.key("delta"),
        Site::Message => Path::ROOT.key("message"),
    };
    walk.fields(message, |walk, name, Member { key, value }| {
        let inner = path.key(name);
        match name {
            "content" if value.is_array() => {
                for (position, element) in value.elements().enumerate() {
                    // No reader of this format makes a call of such a part; one of another may.
                    if calls::is_part(element) {
                        calls.pieces.push(CallPiece {
                            choice: walk.choice,
                            call: calls::number_of_part(position),
                            ..calls::piece(element, Some(value))
                        });
                    }
                    part(walk, element, site, inner.at(position))?;
                }
            }
            "content" => {
                let relation = match site == main_site(whole) {
                    true => Relation::Appends,
                    false => repeats(walk, whole),
                };
                walk.related(
                    value,
                    &Place::Content(site),
                    relation,
                    TextClass::ANSWER,
                    inner,
                );
            }
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
                        Whole::Record => {
                            let index = index(call, position)?;
                            calls.numbers.number(walk.choice, index, call)
                        }
                    };
                    calls.pieces.push(CallPiece {
                        choice: walk.choice,
                        call: number,
                        ..calls::piece(call, Some(value))
                    });
                    calls::texts(walk, call, site, number, Body::Call, inner)?;
                }
            }
            "function_call" => {
                if !value.is_null() {
                    calls.pieces.push(CallPiece {
                        choice: walk.choice,
                        call: calls::FUNCTION,
                        ..calls::piece(value, None)
                    });
                }
                calls::texts(walk, value, site, calls::FUNCTION, Body::Call, inner)?;
            }
            "audio" if value.is_object() => audio(walk, value, site, inner)?,
            _ => {
                if name == "tool_calls" && !value.is_null() {
                    calls.pieces.push(CallPiece {
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
    walk.fields(part, |walk, name, Member { key, value }| {
        match name {
            "text" if value.is_object() => self::part(walk, value, site, path.key(name))?,
            "text" => walk.known(value, &content, TextClass::ANSWER, path.key(name)),
            // How Mistral's models think.
            "thinking" if value.is_array() => {
                let place = Place::Reasoning(site, 0);
                for (position, element) in value.elements().enumerate() {
                    thought(walk, element, &place, path.key(name).at(position))?;
                }
            }
            "thinking" => {
                let place = Place::Reasoning(site, 0);
                walk.known(value, &place, TextClass::ANSWER, path.key(name));
            }
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

/// A part of what the model thought.
fn thought<'a>(
    walk: &mut Walk<'a, '_>,
    part: Value<'_, 'a>,
    place: &Place,
    path: Path<'_>,
) -> Result<(), Unreadable> {
    walk.members(part, |walk, name, Member { key, value }| {
        match name {
            "text" => walk.known(value, place, TextClass::ANSWER, path.key(name)),
            _ => walk.unknown(key, value, path),
        }
        Ok(())
    })?;
    if !part.is_object() {
        walk.known(part, place, TextClass::ANSWER, path);
    }
    Ok(())
}

/// The object of a choice that a client reads first.
fn main_site(whole: Whole) -> Site {
    match whole {
        Whole::Reply => Site::Message,
        Whole::Record => Site::Delta,
    }
}

/// What vendors put beside the answer: the same piece, or all of it so far.
fn repeats(walk: &Walk<'_, '_>, whole: Whole) -> Relation {
    Relation::Repeats(walk.channel(&Place::Content(main_site(whole))))
}

fn audio<'a>(
    walk: &mut Walk<'a, '_>,
    audio: Value<'_, 'a>,
    site: Site,
    path: Path<'_>,
) -> Result<(), Unreadable> {
    walk.fields(audio, |walk, name, Member { key, value }| {
        match name {
            "transcript" => {
                let place = Place::Transcript(site);
                walk.known(value, &place, TextClass::ANSWER, path.key(name));
            }
            _ => walk.unknown(key, value, path),
        }
        Ok(())
    })
}

/// The `index` of a choice or a tool call; its position, if it has none.
pub(super) fn index(object: Value<'_, '_>, position: usize) -> Result<u32, Unreadable> {
    let mut index = None;
    for member in object.members().filter(|member| member.key.is("index")) {
        let number = match member.value.kind() {
            Kind::Null => continue,
            _ => whole_number(member.value),
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

/// A whole number, also as `0.0` or `"0"`, which every reader who takes these takes for the same.
fn whole_number(value: Value<'_, '_>) -> Option<u32> {
    let text = value.as_str();
    let text = text.as_deref().unwrap_or(value.source());
    let digits = text.split_once('.').map_or(text, |(whole, fraction)| {
        let is_whole = !fraction.is_empty() && fraction.bytes().all(|byte| byte == b'0');
        if is_whole { whole } else { text }
    });
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}
