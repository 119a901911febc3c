//! Replies, whole and event by event.

use std::borrow::Cow;

use crate::wire::{
    CallPiece, CallText, Channel, ChannelKind, ChoiceSpan, EventKind, JsonLimits, ListElement,
    ReplyText, ReplyTexts, Unreadable,
    json::{Document, Kind, Member, Value},
    keys,
};

/// The keys of a reply whose texts have channels of their own, or steer where texts go.
const KNOWN_KEYS: &[&str] = &[
    "choices",
    "index",
    "delta",
    "message",
    "content",
    "text",
    "refusal",
    "reasoning_content",
    "reasoning",
    "thinking",
    "tool_calls",
    "function_call",
    "function",
    "custom",
    "name",
    "arguments",
    "input",
    "logprobs",
    "token",
    "bytes",
    "top_logprobs",
    "audio",
    "transcript",
    "finish_reason",
    "error",
];

/// Whether a body is a whole reply or an event of a streamed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whole {
    Reply,
    Event,
}

/// Reads a reply or an event.
pub(super) fn read<'a>(
    body: &'a [u8],
    limits: &JsonLimits,
    whole: Whole,
) -> Result<ReplyTexts<'a>, Unreadable> {
    let limits = JsonLimits {
        allow_byte_order_mark: true,
        ..*limits
    };
    let document = Document::read(body, &limits)?;
    let mut reader = Reader {
        texts: Vec::with_capacity(4),
        calls: Vec::new(),
        whole,
        choice: None,
        repeated: document.repeated_key().is_some(),
        twin: 0,
    };
    let mut reply = ReplyTexts::default();
    let root = document.root();
    reader.root(root, &mut reply)?;
    reply.texts = reader.texts;
    reply.calls = reader.calls;
    reply.ambiguous = reader.repeated || document.keys().any(is_folded_key);
    Ok(reply)
}

/// Whether the key is a known one in another letter case.
fn is_folded_key(key: Value<'_, '_>) -> bool {
    let name = key.as_str().unwrap_or_default();
    keys::is_only_folded(&name, KNOWN_KEYS)
}

/// Where a text lies, as a number: the names and positions on the way to it.
#[derive(Debug, Clone, Copy)]
struct Path(u64);

impl Path {
    fn root() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }

    fn then(self, bytes: &[u8]) -> Self {
        let hash = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3);
        Self(hash(bytes.iter().fold(self.0, hash), &b'/'))
    }

    fn at(self, position: usize) -> Self {
        self.then(&position.to_le_bytes())
    }

    fn key(self, key: Value<'_, '_>) -> Self {
        self.then(key.as_str().unwrap_or_default().as_bytes())
    }
}

/// Collects texts.
struct Reader<'a> {
    texts: Vec<ReplyText<'a>>,
    calls: Vec<CallPiece<'a>>,
    whole: Whole,
    choice: Option<u32>,
    /// Whether an object of the body has a key twice.
    repeated: bool,
    /// Not 0 inside a value that a later member of the same name replaces: which of them it is.
    twin: u64,
}

impl<'a> Reader<'a> {
    fn root(&mut self, root: Value<'_, 'a>, reply: &mut ReplyTexts<'a>) -> Result<(), Unreadable> {
        let path = Path::root();
        if !root.is_object() {
            self.other(root, path);
            return Ok(());
        }
        self.members(root, |reader, name, Member { key, value }| {
            match name {
                "choices" if value.is_array() => {
                    for (position, choice) in value.elements().enumerate() {
                        reader.choice(choice, position, reply)?;
                    }
                    reader.choice = None;
                }
                "id" => {
                    reply.head.id = value.as_str();
                    reader.structural(value, path.key(key));
                }
                "model" => {
                    reply.head.model = value.as_str();
                    reader.structural(value, path.key(key));
                }
                "created" => {
                    reply.head.created = value.as_u64();
                    reader.structural(value, path.key(key));
                }
                "error" if !value.is_null() => {
                    reply.kind = EventKind::Error;
                    reader.other(value, path.key(key));
                }
                _ => reader.unknown(key, value, path),
            }
            Ok(())
        })
    }

    /// Visits an object's members. Of those that a later one replaces, the texts go to channels of their own.
    fn members<'d>(
        &mut self,
        object: Value<'d, 'a>,
        mut visit: impl FnMut(&mut Self, &str, Member<'d, 'a>) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        let mut later = match self.repeated {
            true => keys::later_twins(object),
            false => Vec::new(),
        }
        .into_iter();
        for member in object.members() {
            let name = member.key.as_str().unwrap_or_default();
            let outer = self.twin;
            let later = later.next().unwrap_or(0);
            if later > 0 {
                self.twin = Path(self.twin).at(later).0;
            }
            let visited = visit(self, &name, member);
            self.twin = outer;
            visited?;
        }
        Ok(())
    }

    fn choice(
        &mut self,
        choice: Value<'_, 'a>,
        position: usize,
        reply: &mut ReplyTexts<'a>,
    ) -> Result<(), Unreadable> {
        let path = Path::root().then(b"choices");
        let index = index(choice, position)?;
        self.choice = Some(index);
        if !choice.is_object() {
            self.other(choice, path);
            return Ok(());
        }
        let mut finish = false;
        self.members(choice, |reader, name, Member { key, value }| {
            match name {
                "delta" | "message" if value.is_object() => reader.message(value)?,
                "text" => reader.known(value, ChannelKind::Content, 0, path.key(key)),
                "finish_reason" => {
                    finish = !value.is_null();
                    reader.structural(value, path.key(key));
                }
                "logprobs" if value.is_object() => reader.logprobs(value)?,
                _ => reader.unknown(key, value, path),
            }
            Ok(())
        })?;
        reply.choices.push(ChoiceSpan {
            index,
            span: choice.span(),
            finish,
        });
        Ok(())
    }

    /// A message, or what an event adds to it.
    fn message(&mut self, message: Value<'_, 'a>) -> Result<(), Unreadable> {
        let path = Path::root().then(b"message");
        self.members(message, |reader, name, Member { key, value }| {
            let path = path.key(key);
            match name {
                "content" if value.is_array() => {
                    for (position, part) in value.elements().enumerate() {
                        reader.part(part, path.at(position))?;
                    }
                }
                "content" => reader.known(value, ChannelKind::Content, 0, path),
                "refusal" => reader.known(value, ChannelKind::Refusal, 0, path),
                "reasoning_content" => reader.known(value, ChannelKind::Reasoning, 0, path),
                "reasoning" => reader.known(value, ChannelKind::Reasoning, 1, path),
                "thinking" => reader.known(value, ChannelKind::Reasoning, 2, path),
                "tool_calls" if value.is_array() => {
                    for (position, call) in value.elements().enumerate() {
                        let index = match reader.whole {
                            Whole::Reply => u32::try_from(position).unwrap_or(u32::MAX),
                            Whole::Event => index(call, position)?,
                        };
                        reader.calls.push(CallPiece {
                            choice: reader.choice,
                            index,
                            element: Some(ListElement {
                                span: call.span(),
                                list: value.span(),
                            }),
                            ..call_piece(call)
                        });
                        let kinds = [ChannelKind::ToolName, ChannelKind::ToolArguments];
                        reader.call(call, kinds, index, path)?;
                    }
                }
                "function_call" => {
                    if !value.is_null() {
                        reader.calls.push(CallPiece {
                            choice: reader.choice,
                            is_function: true,
                            ..call_piece(value)
                        });
                    }
                    let kinds = [ChannelKind::FunctionName, ChannelKind::FunctionArguments];
                    reader.call(value, kinds, 0, path)?;
                }
                "audio" if value.is_object() => reader.audio(value, path)?,
                _ => {
                    if name == "tool_calls" && !value.is_null() {
                        reader.calls.push(CallPiece {
                            choice: reader.choice,
                            is_malformed: true,
                            ..CallPiece::default()
                        });
                    }
                    reader.unknown(key, value, path);
                }
            }
            Ok(())
        })
    }

    fn part(&mut self, part: Value<'_, 'a>, path: Path) -> Result<(), Unreadable> {
        if !part.is_object() {
            self.known(part, ChannelKind::Content, 0, path);
            return Ok(());
        }
        self.members(part, |reader, name, Member { key, value }| {
            match name {
                "text" if value.is_object() => reader.part(value, path.key(key))?,
                "text" | "value" => reader.known(value, ChannelKind::Content, 0, path.key(key)),
                "refusal" => reader.known(value, ChannelKind::Refusal, 0, path.key(key)),
                _ => reader.unknown(key, value, path),
            }
            Ok(())
        })
    }

    /// A tool call or a function call; `kinds` are those of its name and its arguments.
    fn call(
        &mut self,
        call: Value<'_, 'a>,
        kinds: [ChannelKind; 2],
        index: u32,
        path: Path,
    ) -> Result<(), Unreadable> {
        let path = path.at(index as usize);
        if !call.is_object() {
            self.other(call, path);
            return Ok(());
        }
        self.members(call, |reader, name, Member { key, value }| {
            match name {
                "function" | "custom" if value.is_object() => {
                    reader.call(value, kinds, index, path.key(key))?;
                }
                "name" => reader.known(value, kinds[0], index, path.key(key)),
                "arguments" | "input" => reader.known(value, kinds[1], index, path.key(key)),
                _ => reader.unknown(key, value, path),
            }
            Ok(())
        })
    }

    fn audio(&mut self, audio: Value<'_, 'a>, path: Path) -> Result<(), Unreadable> {
        self.members(audio, |reader, name, Member { key, value }| {
            match name {
                "transcript" => {
                    reader.known(value, ChannelKind::AudioTranscript, 0, path.key(key));
                }
                "data" if is_base64(value) => {}
                _ => reader.unknown(key, value, path),
            }
            Ok(())
        })
    }

    fn logprobs(&mut self, logprobs: Value<'_, 'a>) -> Result<(), Unreadable> {
        let path = Path::root().then(b"logprobs");
        self.members(logprobs, |reader, name, Member { key, value }| {
            match name {
                "content" if value.is_array() => reader.tokens(value, 0, path.key(key)),
                "refusal" if value.is_array() => reader.tokens(value, 1, path.key(key)),
                // The older form: a list of strings.
                "tokens" if value.is_array() => {
                    for token in value.elements() {
                        reader.known(token, ChannelKind::LogProbs(0), 2, path.key(key));
                    }
                    Ok(())
                }
                _ => {
                    reader.unknown(key, value, path);
                    Ok(())
                }
            }
        })
    }

    /// A list of tokens, each with its alternatives. `index` tells the lists of one choice apart.
    fn tokens(&mut self, tokens: Value<'_, 'a>, index: u32, path: Path) -> Result<(), Unreadable> {
        // The bytes of a character may be cut between tokens.
        let mut bytes: Vec<Vec<u8>> = Vec::new();
        for token in tokens.elements() {
            self.token(token, 0, index, path, &mut bytes)?;
        }
        for (rank, bytes) in bytes.into_iter().enumerate() {
            if !bytes.is_empty() {
                let kind = ChannelKind::LogProbBytes(u32::try_from(rank).unwrap_or(u32::MAX));
                let channel = self.channel(kind, index);
                self.texts.push(ReplyText {
                    channel,
                    joins: true,
                    text: Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
                    span: tokens.span(),
                });
            }
        }
        Ok(())
    }

    fn token(
        &mut self,
        token: Value<'_, 'a>,
        rank: usize,
        index: u32,
        path: Path,
        bytes: &mut Vec<Vec<u8>>,
    ) -> Result<(), Unreadable> {
        let path = path.at(rank);
        if !token.is_object() {
            self.other(token, path);
            return Ok(());
        }
        let channel_rank = u32::try_from(rank).unwrap_or(u32::MAX);
        self.members(token, |reader, name, Member { key, value }| {
            match name {
                "token" => {
                    let kind = ChannelKind::LogProbs(channel_rank);
                    reader.known(value, kind, index, path.key(key));
                }
                "bytes" if value.is_array() => {
                    if bytes.len() <= rank {
                        bytes.resize(rank + 1, Vec::new());
                    }
                    if let Some(bytes) = bytes.get_mut(rank) {
                        let numbers = value.elements().filter_map(Value::as_u64);
                        bytes.extend(numbers.filter_map(|number| u8::try_from(number).ok()));
                    }
                    value.elements().for_each(|element| {
                        if element.kind() != Kind::Number {
                            reader.other(element, path.key(key));
                        }
                    });
                }
                "top_logprobs" if value.is_array() && rank == 0 => {
                    for (alternative, token) in value.elements().enumerate() {
                        reader.token(token, alternative + 1, index, path, bytes)?;
                    }
                }
                _ => reader.unknown(key, value, path),
            }
            Ok(())
        })
    }

    fn channel(&self, kind: ChannelKind, index: u32) -> Channel {
        let (kind, index) = match self.twin {
            0 => (kind, index),
            twin => (ChannelKind::Other(twin_of(kind, index, twin)), 0),
        };
        Channel {
            choice: self.choice,
            kind,
            index,
        }
    }

    fn push(&mut self, value: Value<'_, 'a>, kind: ChannelKind, index: u32, joins: bool) {
        if let Some(text) = value.as_str()
            && !text.is_empty()
        {
            let channel = self.channel(kind, index);
            let span = value.span();
            self.texts.push(ReplyText {
                channel,
                joins,
                text,
                span,
            });
        }
    }

    /// A value that should be a string of a known kind.
    #[inline]
    fn known(&mut self, value: Value<'_, 'a>, kind: ChannelKind, index: u32, path: Path) {
        match value.is_string() {
            true => self.push(value, kind, index, true),
            false => self.other(value, path),
        }
    }

    /// A value that says where or what something is: each stands alone.
    fn structural(&mut self, value: Value<'_, 'a>, path: Path) {
        match value.is_string() {
            true if is_usual(value.source()) => {}
            true => self.push(value, ChannelKind::Other(path.0), 0, false),
            false => self.other(value, path),
        }
    }

    /// A member that no rule is about.
    fn unknown(&mut self, key: Value<'_, 'a>, value: Value<'_, 'a>, path: Path) {
        let name = key.source();
        if is_structural(name) {
            return self.structural(value, path.key(key));
        }
        if !is_usual_key(name) {
            self.push(key, ChannelKind::Key(path.0), 0, false);
        }
        self.other(value, path.key(key));
    }

    /// Every string in `value`, and every key.
    fn other(&mut self, value: Value<'_, 'a>, path: Path) {
        match value.kind() {
            Kind::String | Kind::EscapedString => {
                self.push(value, ChannelKind::Other(path.0), 0, true);
            }
            Kind::Array => {
                for (position, element) in value.elements().enumerate() {
                    self.other(element, path.at(position));
                }
            }
            Kind::Object => {
                // Nothing fails in here.
                let _ = self.members(value, |reader, _, Member { key, value }| {
                    reader.unknown(key, value, path);
                    Ok(())
                });
            }
            Kind::Null | Kind::True | Kind::False | Kind::Number => {}
        }
    }
}

/// A tool call, a function call, or a piece of one.
fn call_piece<'a>(call: Value<'_, 'a>) -> CallPiece<'a> {
    let body = |key| call.get(key).filter(|value| !value.is_null());
    let (function, custom) = (body("function"), body("custom"));
    let body = function.or(custom).unwrap_or(call);
    let text = |value: Value<'_, 'a>| CallText {
        text: value.as_str().unwrap_or(Cow::Borrowed(value.source())),
        span: value.span(),
        is_string: value.is_string(),
    };
    let given = |key| body.get(key).filter(|value| !value.is_null()).map(text);
    let (arguments, input) = (given("arguments"), given("input"));
    let name = given("name");
    CallPiece {
        is_malformed: !body.is_object()
            || (function.is_some() && custom.is_some())
            || (arguments.is_some() && input.is_some())
            || name.as_ref().is_some_and(|name| !name.is_string),
        index_span: call.get("index").map(|index| index.span()),
        id: call.get("id").and_then(Value::as_str),
        name,
        arguments: arguments.or(input),
        ..CallPiece::default()
    }
}

fn twin_of(kind: ChannelKind, index: u32, twin: u64) -> u64 {
    let (tag, number) = match kind {
        ChannelKind::Content => (0, 0),
        ChannelKind::Refusal => (1, 0),
        ChannelKind::Reasoning => (2, 0),
        ChannelKind::ToolName => (3, 0),
        ChannelKind::ToolArguments => (4, 0),
        ChannelKind::FunctionName => (5, 0),
        ChannelKind::FunctionArguments => (6, 0),
        ChannelKind::LogProbs(rank) => (7, u64::from(rank)),
        ChannelKind::LogProbBytes(rank) => (8, u64::from(rank)),
        ChannelKind::AudioTranscript => (9, 0),
        ChannelKind::Key(path) => (10, path),
        ChannelKind::Other(path) => (11, path),
    };
    let path = Path(twin).at(tag).then(&number.to_le_bytes());
    path.at(index as usize).0
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

/// Whether the key, with its quotes, is one whose strings say where or what something is.
fn is_structural(key: &str) -> bool {
    matches!(
        key,
        r#""id""#
            | r#""object""#
            | r#""model""#
            | r#""role""#
            | r#""type""#
            | r#""system_fingerprint""#
            | r#""service_tier""#
            | r#""finish_reason""#
            | r#""native_finish_reason""#
            | r#""stop_reason""#
            | r#""obfuscation""#
            | r#""provider""#
            | r#""severity""#
            | r#""tool_call_id""#
            | r#""index""#
            | r#""created""#
            | r#""code""#
            | r#""param""#
            | r#""format""#
    )
}

/// Whether the string, with its quotes, is one that the protocol defines, and says nothing.
fn is_usual(token: &str) -> bool {
    matches!(
        token,
        r#""chat.completion""#
            | r#""chat.completion.chunk""#
            | r#""assistant""#
            | r#""stop""#
            | r#""length""#
            | r#""tool_calls""#
            | r#""function_call""#
            | r#""content_filter""#
            | r#""function""#
            | r#""custom""#
            | r#""text""#
            | r#""default""#
            | r#""safe""#
            | r#""low""#
            | r#""invalid_request_error""#
            | r#""server_error""#
    )
}

/// Whether the key, with its quotes, is one that replies have where no rule is about it.
fn is_usual_key(key: &str) -> bool {
    let inside = key.trim_matches('"');
    KNOWN_KEYS.contains(&inside)
        || matches!(
            inside,
            "usage"
                | "prompt_tokens"
                | "completion_tokens"
                | "total_tokens"
                | "prompt_tokens_details"
                | "completion_tokens_details"
                | "cached_tokens"
                | "audio_tokens"
                | "reasoning_tokens"
                | "accepted_prediction_tokens"
                | "rejected_prediction_tokens"
                | "logprob"
                | "annotations"
                | "content_filter_results"
                | "prompt_filter_results"
                | "data"
                | "expires_at"
                | "url"
                | "title"
                | "url_citation"
                | "start_index"
                | "end_index"
        )
}
