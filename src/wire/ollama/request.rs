//! Requests.

use std::borrow::Cow;

use super::GENERATE;
use crate::{
    message::{Role, ToolCall},
    wire::{
        ChatRequest, JsonLimits, NormalPath, RequestHead, RequestMessage, TextKind, Unreadable,
        json::{Document, Kind, Value},
        keys,
        texts::{Texts, Words},
    },
};

/// The documented keys of a request.
const REQUEST_KEYS: &[&str] = &[
    "model",
    "messages",
    "prompt",
    "suffix",
    "system",
    "template",
    "context",
    "images",
    "tools",
    "format",
    "options",
    "stream",
    "raw",
    "keep_alive",
    "think",
    "logprobs",
    "top_logprobs",
    "truncate",
    "shift",
    "width",
    "height",
    "steps",
];

static WORDS: Words = Words {
    keys: &[
        "role",
        "content",
        "thinking",
        "images",
        "tool_name",
        "tool_call_id",
        "tool_calls",
        "id",
        "type",
        "function",
        "name",
        "index",
        "arguments",
        "description",
    ],
    ids: &["id", "tool_call_id"],
    bytes: &["images"],
    is_usual: |key, text| key == "type" && text == "function",
};

/// Reads a request.
pub(super) fn read<'a>(
    head: &RequestHead<'_>,
    body: &'a [u8],
    limits: &JsonLimits,
) -> Result<ChatRequest<'a>, Unreadable> {
    let document = Document::read(body, limits)?;
    let root = document.root();
    if !root.is_object() {
        return Err(invalid("The body must be a JSON object."));
    }
    keys::refuse_repeated(&document)?;
    keys::refuse_folded(root, REQUEST_KEYS)?;
    let path = NormalPath::new(head.uri.path());
    let mut request = ChatRequest {
        stream: true,
        variant: match path.ends_with("/api/generate") {
            true => GENERATE,
            false => "chat",
        },
        ..ChatRequest::default()
    };
    let mut said = RequestMessage::new(Role::User, root.span());
    let mut system = None;
    for member in root.members() {
        let value = member.value;
        match member.key.as_str().as_deref().unwrap_or_default() {
            "model" => request.model = value.as_str(),
            "stream" => match value.kind() {
                Kind::Null | Kind::True => {}
                Kind::False => request.stream = false,
                _ => return Err(invalid("`stream` must be true or false.")),
            },
            "tools" => request.tools = Some(value.span()),
            "format" => request.json = !value.is_null(),
            "messages" if value.is_array() => {
                for element in value.elements() {
                    request.messages.push(message(element)?);
                }
            }
            "messages" if !value.is_null() => return Err(invalid("`messages` must be an array.")),
            "system" => system = Some(value),
            "context" if value.elements().next().is_some() || value.is_string() => {
                return Err(Unreadable::bad_request(
                    "unreadable_context",
                    "`context` holds tokens of earlier turns, which cannot be checked: send them as messages.",
                ));
            }
            "prompt" => {
                Texts::new(&mut said.texts, &WORDS).any(value, "prompt", TextKind::Content);
            }
            name @ ("suffix" | "template" | "images") => {
                Texts::new(&mut said.texts, &WORDS).any(value, name, TextKind::Other);
            }
            name if REQUEST_KEYS.contains(&name) => {}
            _ => {
                let mut texts = Texts::new(&mut request.other_texts, &WORDS);
                texts.member(member.key, value, TextKind::Other);
            }
        }
    }
    if let Some(system) = system {
        let mut message = RequestMessage::new(Role::System, system.span());
        Texts::new(&mut message.texts, &WORDS).push(TextKind::Content, system);
        request.messages.insert(0, message);
    }
    if !said.texts.is_empty() {
        request.messages.push(said);
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
    keys::refuse_folded(message, WORDS.keys)?;
    let role = message.get("role").and_then(Value::as_str);
    let role = role.ok_or(invalid(
        "A message must have a `role`, which must be a string.",
    ))?;
    let mut read = RequestMessage::new(Role::from_name(&role), message.span());
    read.tool_call_id = message.get("tool_call_id").and_then(Value::as_str);
    for member in message.members() {
        let value = member.value;
        let mut texts = Texts::new(&mut read.texts, &WORDS);
        match member.key.as_str().as_deref().unwrap_or_default() {
            "role" => {}
            "content" => texts.any(value, "content", TextKind::Content),
            "thinking" => texts.any(value, "thinking", TextKind::Reasoning),
            "tool_name" => texts.any(value, "tool_name", TextKind::Name),
            "tool_calls" if value.is_array() => {
                for element in value.elements() {
                    call(element, &mut texts);
                }
                read.tool_calls.extend(value.elements().map(tool_call));
            }
            _ => texts.member(member.key, value, TextKind::Other),
        }
    }
    Ok(read)
}

/// The texts of a call.
fn call<'a>(call: Value<'_, 'a>, texts: &mut Texts<'_, 'a>) {
    if !call.is_object() {
        return texts.any(call, "tool_calls", TextKind::Other);
    }
    for member in call.members() {
        match member.key.as_str().as_deref().unwrap_or_default() {
            "function" if member.value.is_object() => self::call(member.value, texts),
            "name" => texts.any(member.value, "name", TextKind::ToolName),
            "arguments" if member.value.is_string() => {
                texts.any(member.value, "arguments", TextKind::ToolArguments);
            }
            "arguments" => texts.free(member.value, TextKind::Other),
            _ => texts.member(member.key, member.value, TextKind::Other),
        }
    }
}

/// The neutral form of a call.
fn tool_call(call: Value<'_, '_>) -> ToolCall {
    let body = call.get("function").unwrap_or(call);
    let string = |value: Value<'_, '_>| value.as_str().map(Cow::into_owned);
    let arguments = body.get("arguments");
    ToolCall {
        id: call.get("id").and_then(string),
        name: body.get("name").and_then(string).unwrap_or_default(),
        arguments: arguments
            .and_then(|arguments| serde_json::from_str(arguments.source()).ok())
            .unwrap_or_default(),
    }
}
