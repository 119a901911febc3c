//! Requests.

use std::{borrow::Cow, ops::Range};

use serde_json::{Value as JsonValue, json};

use crate::{
    message::{Role, ToolCall},
    wire::{
        ChatRequest, JsonLimits, RequestMessage, Text, TextKind, Unreadable,
        json::{Document, Kind, Value},
        keys,
        packed::{Packed, unpack_base64, unpack_data_url},
    },
};

/// The documented keys of a request. What is under another key is read, since a server that knows it may show it to
/// the model; what is under these and not in `messages` is written by the app.
const REQUEST_KEYS: &[&str] = &[
    "messages",
    "model",
    "stream",
    "stream_options",
    "n",
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "metadata",
    "modalities",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];

/// The documented keys of a message.
const MESSAGE_KEYS: &[&str] = &[
    "role",
    "content",
    "name",
    "tool_calls",
    "tool_call_id",
    "function_call",
    "refusal",
    "audio",
    "reasoning_content",
    "reasoning",
];

/// The keys under which parts hold what is no text.
const MEDIA_KEYS: &[&str] = &["audio_url", "file", "image_url", "input_audio", "video_url"];

/// The documented keys under a message: of parts and of tool calls.
const INNER_KEYS: &[&str] = &[
    "type",
    "text",
    "value",
    "refusal",
    "image_url",
    "url",
    "detail",
    "input_audio",
    "data",
    "format",
    "file",
    "file_id",
    "file_data",
    "filename",
    "id",
    "index",
    "function",
    "custom",
    "name",
    "arguments",
    "input",
    "cache_control",
];

/// Reads a request.
pub(super) fn read<'a>(body: &'a [u8], limits: &JsonLimits) -> Result<ChatRequest<'a>, Unreadable> {
    let document = Document::read(body, limits)?;
    let root = document.root();
    if !root.is_object() {
        return Err(invalid("The body must be a JSON object."));
    }
    keys::refuse_repeated(&document)?;
    keys::refuse_folded(root, REQUEST_KEYS)?;
    let mut request = ChatRequest::default();
    let mut messages = None;
    for member in root.members() {
        let value = member.value;
        match member.key.as_str().as_deref().unwrap_or_default() {
            "messages" => messages = Some(value),
            "model" => request.model = value.as_str(),
            "stream" => {
                request.stream = match value.kind() {
                    Kind::Null => false,
                    Kind::True | Kind::False => value.as_bool() == Some(true),
                    // Some servers take other values for true. The reply is judged by what it is, so this says only in
                    // which form a refusal is expected.
                    _ => true,
                };
            }
            "stream_options" => {
                let include_usage = value.get("include_usage");
                request.include_usage = include_usage.and_then(Value::as_bool) == Some(true);
            }
            "n" => request.choices = value.as_u64(),
            "tools" => request.tools = Some(value.span()),
            "response_format" => {
                let kind = value.get("type").and_then(Value::as_str);
                request.json = kind.is_some_and(|kind| kind.starts_with("json"));
            }
            "functions" => request.functions = Some(value.span()),
            name if REQUEST_KEYS.contains(&name) => {}
            name => Texts(&mut request.other_texts).any(value, name, TextKind::Other),
        }
    }
    let messages = messages.ok_or(invalid("The body has no `messages`."))?;
    if !messages.is_array() {
        return Err(invalid("`messages` must be an array."));
    }
    for value in messages.elements() {
        request.messages.push(message(value)?);
    }
    Ok(request)
}

fn invalid(message: &'static str) -> Unreadable {
    Unreadable::bad_request("invalid_request", message)
}

fn message<'a>(message: Value<'_, 'a>) -> Result<RequestMessage<'a>, Unreadable> {
    if !message.is_object() {
        return Err(invalid("A message must be an object."));
    }
    keys::refuse_folded(message, MESSAGE_KEYS)?;
    let mut role = None;
    let mut texts = Vec::with_capacity(1);
    let mut tool_calls = Vec::new();
    let mut tool_call_id = None;
    let mut media = Vec::new();
    for member in message.members() {
        let value = member.value;
        let mut texts = Texts(&mut texts);
        match member.key.as_str().as_deref().unwrap_or_default() {
            "role" => role = value.as_str(),
            "content" => {
                texts.content(value)?;
                media.extend(media_of(value));
            }
            "name" => texts.any(value, "name", TextKind::Name),
            "refusal" => texts.any(value, "refusal", TextKind::Refusal),
            name @ ("reasoning_content" | "reasoning") => {
                texts.any(value, name, TextKind::Reasoning);
            }
            "tool_calls" => {
                for call in value.elements() {
                    texts.call(call);
                    tool_calls.push(tool_call(call));
                }
                if !value.is_array() {
                    texts.any(value, "tool_calls", TextKind::Other);
                }
            }
            "function_call" => {
                texts.call(value);
                if value.is_object() {
                    tool_calls.push(tool_call(value));
                }
            }
            "tool_call_id" => {
                tool_call_id = value.as_str();
                texts.any(value, "tool_call_id", TextKind::Id);
            }
            name => {
                if !MESSAGE_KEYS.contains(&name) {
                    texts.push(TextKind::Key, member.key);
                }
                texts.any(value, name, TextKind::Other);
            }
        }
    }
    let role = role.ok_or(invalid(
        "A message must have a `role`, which must be a string.",
    ))?;
    Ok(RequestMessage {
        role: Role::from_name(&role),
        texts,
        tool_calls,
        tool_call_id,
        media,
        span: message.span(),
    })
}

/// The parts of a content that are no text.
fn media_of<'d, 'a: 'd>(content: Value<'d, 'a>) -> impl Iterator<Item = &'a str> {
    let is_media = |part: &Value<'_, '_>| {
        let mut members = part.members();
        members.any(|member| {
            let key = member.key.as_str();
            key.is_some_and(|key| MEDIA_KEYS.contains(&&*key))
        })
    };
    let single = content.is_object().then_some(content);
    let parts = content.elements().chain(single);
    parts
        .filter(is_media)
        .map(Value::source)
        .collect::<Vec<_>>()
        .into_iter()
}

/// The tools that a request offers, those in the older spelling, of functions, among them.
pub(super) fn offered_tools(request: &ChatRequest<'_>, body: &[u8]) -> JsonValue {
    let list = |span: &Option<Range<usize>>| {
        let json = span.clone().and_then(|span| body.get(span));
        match json.and_then(|json| serde_json::from_slice(json).ok()) {
            Some(JsonValue::Array(list)) => list,
            // Nothing that a call could mean.
            _ => Vec::new(),
        }
    };
    let functions = list(&request.functions).into_iter();
    let functions = functions.map(|function| json!({"type": "function", "function": function}));
    list(&request.tools).into_iter().chain(functions).collect()
}

/// The neutral form of a tool call or a function call.
fn tool_call(call: Value<'_, '_>) -> ToolCall {
    let body = ["function", "custom"].iter().find_map(|key| call.get(key));
    let body = body.unwrap_or(call);
    let string = |value: Value<'_, '_>| value.as_str().map(Cow::into_owned);
    let arguments = body.get("arguments").or_else(|| body.get("input"));
    let arguments = arguments.map_or(JsonValue::Null, |value| match string(value) {
        Some(text) => match serde_json::from_str(&text) {
            Ok(JsonValue::Object(object)) => JsonValue::Object(object),
            _ => JsonValue::String(text),
        },
        None => serde_json::from_str(value.source()).unwrap_or_default(),
    });
    ToolCall {
        id: call.get("id").and_then(string),
        name: body.get("name").and_then(string).unwrap_or_default(),
        arguments,
    }
}

/// Collects texts.
struct Texts<'t, 'a>(&'t mut Vec<Text<'a>>);

impl<'a> Texts<'_, 'a> {
    fn push(&mut self, kind: TextKind, value: Value<'_, 'a>) {
        if let Some(text) = value.as_str()
            && !text.is_empty()
        {
            let span = value.span();
            self.0.push(Text { kind, text, span });
        }
    }

    fn content(&mut self, content: Value<'_, 'a>) -> Result<(), Unreadable> {
        match content.kind() {
            Kind::Null => {}
            Kind::String | Kind::EscapedString => self.push(TextKind::Content, content),
            Kind::Object => self.part(content)?,
            Kind::Array => {
                for part in content.elements() {
                    match part.kind() {
                        Kind::String | Kind::EscapedString => self.push(TextKind::Content, part),
                        Kind::Object => self.part(part)?,
                        _ => return Err(invalid("A part of `content` must be an object.")),
                    }
                }
            }
            Kind::True | Kind::False | Kind::Number => {
                return Err(invalid("`content` must be a string or an array of parts."));
            }
        }
        Ok(())
    }

    fn part(&mut self, part: Value<'_, 'a>) -> Result<(), Unreadable> {
        keys::refuse_folded(part, INNER_KEYS)?;
        for member in part.members() {
            match member.key.as_str().as_deref().unwrap_or_default() {
                "text" if member.value.is_object() => {
                    self.any(member.value, "text", TextKind::Content);
                }
                "text" => self.any(member.value, "text", TextKind::Content),
                "refusal" => self.any(member.value, "refusal", TextKind::Refusal),
                "type" => self.any(member.value, "type", TextKind::Other),
                name => {
                    if !INNER_KEYS.contains(&name) {
                        self.push(TextKind::Key, member.key);
                    }
                    self.any(member.value, name, TextKind::Other);
                }
            }
        }
        Ok(())
    }

    /// A tool call, or the older function call.
    fn call(&mut self, call: Value<'_, 'a>) {
        if !call.is_object() {
            return self.any(call, "tool_calls", TextKind::Other);
        }
        for member in call.members() {
            match member.key.as_str().as_deref().unwrap_or_default() {
                "function" | "custom" if member.value.is_object() => self.call(member.value),
                "name" => self.any(member.value, "name", TextKind::ToolName),
                "arguments" | "input" => self.arguments(member.value),
                "id" => self.any(member.value, "id", TextKind::Id),
                name => {
                    if !INNER_KEYS.contains(&name) {
                        self.push(TextKind::Key, member.key);
                    }
                    self.any(member.value, name, TextKind::Other);
                }
            }
        }
    }

    fn arguments(&mut self, arguments: Value<'_, 'a>) {
        self.any(arguments, "arguments", TextKind::ToolArguments);
        // Prompt templates read the JSON in the string and show what it says.
        let Some(text) = arguments.as_str() else {
            return;
        };
        if !text.contains('\\') {
            return;
        }
        let limits = JsonLimits::default();
        let Ok(document) = Document::read(text.as_bytes(), &limits) else {
            return;
        };
        for string in document
            .strings()
            .filter(|s| s.kind() == Kind::EscapedString)
        {
            self.0.push(Text {
                kind: TextKind::Nested,
                text: string.as_str().unwrap_or_default().into_owned().into(),
                span: arguments.span(),
            });
        }
    }

    /// Every string in `value`, which is the value of `key`, and every key that is not known.
    fn any(&mut self, value: Value<'_, 'a>, key: &str, kind: TextKind) {
        match value.kind() {
            Kind::String | Kind::EscapedString => self.string(value, key, kind),
            Kind::Array => {
                for element in value.elements() {
                    self.any(element, key, kind);
                }
            }
            Kind::Object => {
                for member in value.members() {
                    let name = member.key.as_str().unwrap_or_default();
                    if !INNER_KEYS.contains(&name.as_ref()) {
                        self.push(TextKind::Key, member.key);
                    }
                    self.any(member.value, &name, kind);
                }
            }
            Kind::Null | Kind::True | Kind::False | Kind::Number => {}
        }
    }

    fn string(&mut self, value: Value<'_, 'a>, key: &str, kind: TextKind) {
        let Some(text) = value.as_str() else {
            return;
        };
        if kind == TextKind::Other && is_usual(key, &text) {
            return;
        }
        let packed = match unpack_data_url(&text) {
            Packed::No if matches!(key, "file_data" | "data") => unpack_base64(&text),
            // A data URL in a text is read by the model as it stands.
            _ if kind != TextKind::Other => Packed::No,
            packed => packed,
        };
        // A short string that happens to be base64, too, may be meant as it stands.
        let is_long = text.len() > 512 || key == "url";
        match packed {
            Packed::Text(text) => {
                let (kind, span) = (TextKind::File, value.span());
                let text = text.into();
                self.0.push(Text { kind, text, span });
                if is_long {
                    return;
                }
            }
            Packed::Binary if is_long => return,
            Packed::Binary | Packed::No => {}
        }
        self.push(kind, value);
    }
}

/// Whether a string is one of the few that stand at a key by the format, and say nothing.
fn is_usual(key: &str, text: &str) -> bool {
    let usual: &[&str] = match key {
        "type" => &[
            "text",
            "image_url",
            "input_audio",
            "file",
            "refusal",
            "function",
            "custom",
            "ephemeral",
        ],
        "detail" => &["auto", "low", "high"],
        "format" => &["wav", "mp3"],
        _ => &[],
    };
    usual.contains(&text)
}
