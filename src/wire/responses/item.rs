//! The items of a reply: whole, as a stream adds them, or as it repeats them.

use std::borrow::Cow;

use crate::wire::{
    CallPiece, CallText, HoldsJson, ListElement, Relation, TextClass, Unreadable,
    json::{Kind, Member, Value},
    keys,
    tokens::TokenList,
    walk::{Path, Vocabulary, Walk},
};

/// The places of the texts that clients put together: the item's number in the reply, and that of the part in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Text(u64, u64),
    Refusal(u64, u64),
    Reasoning(u64, u64),
    Summary(u64, u64),
    CallName(u64),
    /// The arguments of a function, of a server's tool, the input of a tool of one's own.
    Arguments(u64),
    Code(u64),
    Command(u64, u64),
    CommandOutput(u64, u64, bool),
    Transcript,
    /// The tokens of a part's log-probabilities.
    Tokens(u64, u64),
}

/// The input of a tool of one's own: text, part of a call.
pub(super) const CALL_INPUT: TextClass = TextClass {
    json: HoldsJson::Maybe,
    of_call: true,
    ..TextClass::TEXT
};

/// How an item stands to what was said before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Mode {
    /// The reply comes whole.
    Whole,
    /// A stream begins the item: more is appended.
    Added,
    /// A stream says it again.
    Repeated(Again),
}

/// Where a stream says a text again: each of these once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Again {
    /// At the end of the text.
    Text,
    /// At the end of its part.
    Part,
    /// At the end of its item.
    Item,
    /// At the end of the reply.
    Reply,
}

impl Mode {
    fn relation(self, walk: &Walk<'_, '_>, place: &Place) -> Relation {
        match self {
            Self::Whole | Self::Added => Relation::Appends,
            Self::Repeated(_) => Relation::Repeats(walk.channel(place)),
        }
    }

    /// What an item that no rule is about lies under: what a stream repeats is not appended to what it said.
    fn root(self) -> &'static str {
        match self {
            Self::Whole | Self::Added => "output",
            Self::Repeated(_) => "output again",
        }
    }
}

/// Takes in a text of the place, if it is one.
pub(super) fn text<'a>(
    walk: &mut Walk<'a, '_>,
    value: Value<'_, 'a>,
    place: Place,
    class: TextClass,
    mode: Mode,
    path: Path<'_>,
) {
    if !value.is_string() {
        return walk.other(value, path);
    }
    let relation = mode.relation(walk, &place);
    let channel = match mode {
        Mode::Repeated(again) => walk.channel(&(place, again)),
        Mode::Whole | Mode::Added => walk.channel(&place),
    };
    walk.push(value, channel, relation, class);
}

/// Reads an item of the output; `list` is where it stands among others.
pub(super) fn read<'a>(
    walk: &mut Walk<'a, '_>,
    calls: &mut Vec<CallPiece<'a>>,
    item: Value<'_, 'a>,
    number: u64,
    mode: Mode,
    list: Option<Value<'_, 'a>>,
) -> Result<(), Unreadable> {
    let root = Path::ROOT.key(mode.root());
    let path = root.at(usize::try_from(number).unwrap_or(usize::MAX));
    if !item.is_object() {
        text(
            walk,
            item,
            Place::Text(number, 0),
            TextClass::ANSWER,
            mode,
            path,
        );
        return Ok(());
    }
    let kind = item.get("type").and_then(Value::as_str).unwrap_or_default();
    let is_call = matches!(kind.as_ref(), "function_call" | "custom_tool_call");
    if is_call {
        calls.push(CallPiece {
            choice: walk.choice,
            call: number,
            is_again: matches!(mode, Mode::Repeated(_)),
            ..piece(item, list)
        });
    }
    walk.members(item, |walk, name, Member { key, value }| {
        let inner = path.key(name);
        match (kind.as_ref(), name) {
            ("message", "content") if value.is_array() => {
                for (position, element) in value.elements().enumerate() {
                    part(walk, element, number, position_of(position), mode)?;
                }
            }
            ("reasoning", "content") if value.is_array() => {
                for (position, element) in value.elements().enumerate() {
                    let place = Place::Reasoning(number, position_of(position));
                    texts_of(walk, element, place, mode, inner)?;
                }
            }
            ("reasoning", "summary") if value.is_array() => {
                for (position, element) in value.elements().enumerate() {
                    let place = Place::Summary(number, position_of(position));
                    texts_of(walk, element, place, mode, inner)?;
                }
            }
            ("function_call" | "custom_tool_call", "name") => {
                let place = Place::CallName(number);
                text(walk, value, place, TextClass::CALL_NAME, mode, inner);
            }
            ("function_call", "arguments") => {
                let place = Place::Arguments(number);
                text(walk, value, place, TextClass::ARGUMENTS, mode, inner);
            }
            ("mcp_call" | "mcp_approval_request", "arguments") => {
                let class = TextClass {
                    json: HoldsJson::Yes,
                    ..TextClass::TEXT
                };
                text(walk, value, Place::Arguments(number), class, mode, inner);
            }
            ("custom_tool_call", "input") => {
                text(
                    walk,
                    value,
                    Place::Arguments(number),
                    CALL_INPUT,
                    mode,
                    inner,
                );
            }
            ("code_interpreter_call" | "program", "code") => {
                text(
                    walk,
                    value,
                    Place::Code(number),
                    TextClass::ANSWER,
                    mode,
                    inner,
                );
            }
            // A picture.
            ("image_generation_call", "result") => walk.structural(value, inner),
            _ => walk.unknown(key, value, path),
        }
        Ok(())
    })
}

/// A part of a message.
pub(super) fn part<'a>(
    walk: &mut Walk<'a, '_>,
    part: Value<'_, 'a>,
    number: u64,
    position: u64,
    mode: Mode,
) -> Result<(), Unreadable> {
    let root = Path::ROOT.key(mode.root());
    let item = root.at(usize::try_from(number).unwrap_or(usize::MAX));
    let path = item.at(usize::try_from(position).unwrap_or(usize::MAX));
    let said = Place::Text(number, position);
    if !part.is_object() {
        text(walk, part, said, TextClass::ANSWER, mode, path);
        return Ok(());
    }
    let is_thought = part
        .get("type")
        .is_some_and(|kind| kind.is("reasoning_text"));
    walk.members(part, |walk, name, Member { key, value }| {
        let inner = path.key(name);
        match name {
            "text" if is_thought => {
                let place = Place::Reasoning(number, position);
                text(walk, value, place, TextClass::ANSWER, mode, inner);
            }
            "text" => text(walk, value, said, TextClass::ANSWER, mode, inner),
            "refusal" => {
                let place = Place::Refusal(number, position);
                text(walk, value, place, TextClass::ANSWER, mode, inner);
            }
            "logprobs" if value.is_array() => logprobs(walk, value, (number, position), inner)?,
            _ => walk.unknown(key, value, path),
        }
        Ok(())
    })
}

/// A part whose one text is its `text`.
pub(super) fn texts_of<'a>(
    walk: &mut Walk<'a, '_>,
    part: Value<'_, 'a>,
    place: Place,
    mode: Mode,
    path: Path<'_>,
) -> Result<(), Unreadable> {
    if !part.is_object() {
        text(walk, part, place, TextClass::ANSWER, mode, path);
        return Ok(());
    }
    walk.members(part, |walk, name, Member { key, value }| {
        match name {
            "text" => text(walk, value, place, TextClass::ANSWER, mode, path.key(name)),
            _ => walk.unknown(key, value, path),
        }
        Ok(())
    })
}

/// Log-probabilities say a part's text again, token by token, with what else it might have been.
pub(super) fn logprobs<'a>(
    walk: &mut Walk<'a, '_>,
    tokens: Value<'_, 'a>,
    (number, position): (u64, u64),
    path: Path<'_>,
) -> Result<(), Unreadable> {
    let said = Relation::Repeats(walk.channel(&Place::Text(number, position)));
    TokenList::new(&Place::Tokens(number, position), said).read(walk, tokens, path)
}

/// What a reply repeats of its request: the app's own words.
pub(super) fn echo<'a>(walk: &mut Walk<'a, '_>, value: Value<'_, 'a>, path: Path<'_>) {
    match value.kind() {
        Kind::String | Kind::EscapedString => {
            let channel = walk.channel(&(&path, "echo"));
            walk.push(value, channel, Relation::Alone, TextClass::STRUCTURAL);
        }
        Kind::Array => value
            .elements()
            .for_each(|element| echo(walk, element, path)),
        Kind::Object => {
            for member in value.members() {
                let name = member.key.as_str().unwrap_or_default();
                if !(walk.vocabulary.is_usual_key)(member.key.source()) {
                    let channel = walk.channel(&(&path, "keys of an echo"));
                    let class = TextClass {
                        asked: false,
                        ..TextClass::KEY
                    };
                    walk.push(member.key, channel, Relation::Alone, class);
                }
                echo(walk, member.value, path.key(&name));
            }
        }
        Kind::Null | Kind::True | Kind::False | Kind::Number => {}
    }
}

/// A call of a tool.
fn piece<'a>(item: Value<'_, 'a>, list: Option<Value<'_, 'a>>) -> CallPiece<'a> {
    let text = |value: Value<'_, 'a>| CallText {
        text: value.as_str().unwrap_or(Cow::Borrowed(value.source())),
        span: value.span(),
        is_string: value.is_string(),
    };
    let given = |key| item.get(key).filter(|value| !value.is_null());
    let name = given("name");
    // A stream begins with empty arguments.
    let arguments = given("arguments").or_else(|| given("input"));
    CallPiece {
        is_malformed: name.is_none_or(|name| !name.is_string()),
        element: list.map(|list| ListElement {
            span: item.span(),
            list: list.span(),
        }),
        id: item.get("call_id").and_then(Value::as_str),
        name: name.map(text),
        arguments: arguments.map(text),
        ..CallPiece::default()
    }
}

fn position_of(position: usize) -> u64 {
    u64::try_from(position).unwrap_or(u64::MAX)
}

pub(super) static VOCABULARY: Vocabulary = Vocabulary {
    is_structural,
    is_structural_anywhere: is_structural,
    is_opaque: |key| {
        matches!(
            key,
            r#""encrypted_content""# | r#""partial_image_b64""# | r#""result""# | r#""data""#
        )
    },
    is_folded: is_folded_key,
    is_usual_key: |key| {
        let inside = key.trim_matches('"');
        KNOWN_KEYS.contains(&inside)
            || matches!(
                inside,
                "usage"
                    | "input_tokens"
                    | "output_tokens"
                    | "total_tokens"
                    | "input_tokens_details"
                    | "output_tokens_details"
                    | "cached_tokens"
                    | "reasoning_tokens"
                    | "created_at"
                    | "completed_at"
                    | "sequence_number"
                    | "annotations"
                    | "incomplete_details"
                    | "max_output_tokens"
                    | "parallel_tool_calls"
                    | "temperature"
                    | "top_p"
                    | "store"
                    | "background"
                    | "reasoning"
                    | "summary_index"
            )
    },
    is_usual: |token| {
        token.starts_with("\"response.")
            || matches!(
                token,
                r#""response""#
                    | r#""message""#
                    | r#""assistant""#
                    | r#""output_text""#
                    | r#""completed""#
                    | r#""in_progress""#
                    | r#""function_call""#
                    | r#""reasoning""#
                    | r#""auto""#
                    | r#""default""#
                    | r#""disabled""#
                    | r#""text""#
            )
    },
};

/// Whether the strings under the key, which has its quotes, say where or what something is.
fn is_structural(key: &str) -> bool {
    matches!(
        key,
        r#""id""#
            | r#""object""#
            | r#""type""#
            | r#""role""#
            | r#""status""#
            | r#""model""#
            | r#""item_id""#
            | r#""call_id""#
            | r#""file_id""#
            | r#""container_id""#
            | r#""encrypted_content""#
            | r#""obfuscation""#
            | r#""service_tier""#
            | r#""truncation""#
            | r#""code""#
            | r#""param""#
            | r#""partial_image_b64""#
            | r#""phase""#
            | r#""previous_response_id""#
            | r#""effort""#
            | r#""verbosity""#
            | r#""fingerprint""#
    )
}

/// The keys that steer where texts go.
const KNOWN_KEYS: &[&str] = &[
    "output",
    "content",
    "text",
    "refusal",
    "summary",
    "name",
    "arguments",
    "input",
    "logprobs",
    "token",
    "delta",
    "item",
    "part",
    "response",
    "output_index",
    "content_index",
    "output_text",
    "error",
];

/// Whether the key is a known one in another letter case.
pub(super) fn is_folded_key(key: Value<'_, '_>) -> bool {
    keys::is_only_folded(&key.as_str().unwrap_or_default(), KNOWN_KEYS)
}
