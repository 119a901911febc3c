//! Requests.

use std::{borrow::Cow, ops::Range};

use serde_json::{Value as JsonValue, json};

use crate::{
    message::{Role, ToolCall},
    wire::{
        ChatRequest, JsonLimits, RequestMessage, TextKind, Unreadable,
        json::{Document, Kind, Value},
        keys,
        texts::{Texts, Words},
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
    "moderation",
    "parallel_tool_calls",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
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

/// The words of parts and of tool calls.
static WORDS: Words = Words {
    keys: INNER_KEYS,
    ids: &[
        "tool_call_id",
        "id",
        "call_id",
        "file_id",
        "signature",
        "thought_signature",
        "thoughtSignature",
        "encrypted_content",
    ],
    bytes: &["file_data", "data"],
    is_usual,
};

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
                    // Some servers take other values for true, some do not.
                    _ => return Err(invalid("`stream` must be a boolean.")),
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
            name => {
                let mut texts = Texts::new(&mut request.other_texts, &WORDS);
                texts.any(value, name, TextKind::Other);
            }
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
        let mut texts = Texts::new(&mut texts, &WORDS);
        match member.key.as_str().as_deref().unwrap_or_default() {
            "role" => role = value.as_str(),
            "content" => {
                read_content(&mut texts, value)?;
                media.extend(media_of(value));
            }
            "name" => texts.any(value, "name", TextKind::Name),
            "refusal" => texts.any(value, "refusal", TextKind::Refusal),
            name @ ("reasoning_content" | "reasoning") => {
                texts.any(value, name, TextKind::Reasoning);
            }
            "tool_calls" => {
                for call in value.elements() {
                    read_call(&mut texts, call);
                    tool_calls.push(tool_call(call));
                }
                if !value.is_array() {
                    texts.any(value, "tool_calls", TextKind::Other);
                }
            }
            "function_call" => {
                read_call(&mut texts, value);
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

fn read_content<'a>(texts: &mut Texts<'_, 'a>, content: Value<'_, 'a>) -> Result<(), Unreadable> {
    match content.kind() {
        Kind::Null => {}
        Kind::String | Kind::EscapedString => texts.push(TextKind::Content, content),
        Kind::Object => read_part(texts, content)?,
        Kind::Array => {
            for part in content.elements() {
                match part.kind() {
                    Kind::String | Kind::EscapedString => texts.push(TextKind::Content, part),
                    Kind::Object => read_part(texts, part)?,
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

fn read_part<'a>(texts: &mut Texts<'_, 'a>, part: Value<'_, 'a>) -> Result<(), Unreadable> {
    texts.check_keys(part)?;
    // What models join is the text of text parts; a `text` that stands elsewhere is joined by some readers.
    let kind = part.get("type").and_then(Value::as_str);
    let is_text = kind.is_none_or(|kind| matches!(&*kind, "text" | "input_text" | "output_text"));
    for member in part.members() {
        let value = member.value;
        match member.key.as_str().as_deref().unwrap_or_default() {
            "text" if is_text && !value.is_object() && !value.is_array() => {
                texts.any(value, "text", TextKind::Content);
            }
            "text" => texts.any(value, "text", TextKind::PartText),
            "refusal" => texts.any(value, "refusal", TextKind::Refusal),
            _ => texts.member(member.key, value, TextKind::Other),
        }
    }
    Ok(())
}

/// A tool call, or the older function call.
fn read_call<'a>(texts: &mut Texts<'_, 'a>, call: Value<'_, 'a>) {
    if !call.is_object() {
        return texts.any(call, "tool_calls", TextKind::Other);
    }
    for member in call.members() {
        let value = member.value;
        match member.key.as_str().as_deref().unwrap_or_default() {
            "function" | "custom" if value.is_object() => read_call(texts, value),
            "name" => texts.any(value, "name", TextKind::ToolName),
            "arguments" | "input" => read_arguments(texts, value),
            "id" => texts.any(value, "id", TextKind::Id),
            _ => texts.member(member.key, value, TextKind::Other),
        }
    }
}

fn read_arguments<'a>(texts: &mut Texts<'_, 'a>, arguments: Value<'_, 'a>) {
    let Some(text) = arguments.as_str() else {
        return texts.free(arguments, TextKind::Other);
    };
    texts.push(TextKind::ToolArguments, arguments);
    // Prompt templates read the JSON in the string and show what it says.
    if !text.contains('\\') {
        return;
    }
    let limits = JsonLimits::default();
    let Ok(document) = Document::read(text.as_bytes(), &limits) else {
        return;
    };
    for string in document.strings() {
        if string.kind() == Kind::EscapedString {
            texts.push_nested(string.as_str().unwrap_or_default().into_owned(), arguments);
        }
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
