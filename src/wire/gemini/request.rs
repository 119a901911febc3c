//! Requests.

use std::borrow::Cow;

use serde_json::{Value as JsonValue, json};

use super::{ARRAY, EVENTS, camel, is_only_folded};
use crate::{
    message::{Role, ToolCall},
    wire::{
        ChatRequest, JsonLimits, NormalPath, RequestHead, RequestMessage, TextKind, Unreadable,
        json::{Document, Kind, Value},
        keys,
        texts::{Texts, Words},
    },
};

/// The documented keys of a request, in `camelCase`.
const REQUEST_KEYS: &[&str] = &[
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "safetySettings",
    "generationConfig",
    "cachedContent",
    "labels",
    "model",
    "generateContentRequest",
    "serviceTier",
    "store",
];

/// The documented keys of a message and of what lies in it. Protobuf's JSON knows both spellings.
static WORDS: Words = Words {
    keys: &[
        "role",
        "parts",
        "text",
        "thought",
        "thoughtSignature",
        "thought_signature",
        "inlineData",
        "inline_data",
        "mimeType",
        "mime_type",
        "data",
        "displayName",
        "display_name",
        "fileData",
        "file_data",
        "fileUri",
        "file_uri",
        "functionCall",
        "function_call",
        "functionResponse",
        "function_response",
        "id",
        "name",
        "args",
        "response",
        "willContinue",
        "will_continue",
        "scheduling",
        "partialArgs",
        "partial_args",
        "executableCode",
        "executable_code",
        "language",
        "code",
        "codeExecutionResult",
        "code_execution_result",
        "outcome",
        "output",
        "toolCall",
        "tool_call",
        "toolResponse",
        "tool_response",
        "toolType",
        "tool_type",
        "videoMetadata",
        "video_metadata",
        "startOffset",
        "start_offset",
        "endOffset",
        "end_offset",
        "fps",
        "mediaResolution",
        "media_resolution",
        "level",
        "partMetadata",
        "part_metadata",
        "audioTranscription",
        "audio_transcription",
    ],
    ids: &["id", "thoughtSignature", "thought_signature"],
    bytes: &["data"],
    is_usual: |key, text| match key {
        "language" => matches!(text, "PYTHON" | "LANGUAGE_UNSPECIFIED"),
        "outcome" => text.starts_with("OUTCOME_"),
        "mimeType" | "mime_type" => {
            matches!(
                text,
                "image/png" | "image/jpeg" | "image/webp" | "application/pdf" | "text/plain"
            )
        }
        _ => false,
    },
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
    refuse_twins(root)?;
    let path = NormalPath::new(head.uri.path());
    let path = path.as_str();
    let method = path.rsplit_once(':').map(|(_, method)| method);
    let model = path
        .rsplit_once(':')
        .and_then(|(before, _)| before.rsplit('/').next());
    let as_events = head
        .query("alt")
        .is_some_and(|alt| alt.eq_ignore_ascii_case("sse"));
    let mut request = ChatRequest {
        model: model.map(|model| Cow::Owned(model.to_owned())),
        stream: method == Some("streamgeneratecontent"),
        ..ChatRequest::default()
    };
    if request.stream {
        request.variant = if as_events { EVENTS } else { ARRAY };
    }
    read_body(root, &mut request)?;
    Ok(request)
}

fn read_body<'a>(root: Value<'_, 'a>, request: &mut ChatRequest<'a>) -> Result<(), Unreadable> {
    let mut system = Vec::new();
    for member in root.members() {
        let value = member.value;
        let name = member.key.as_str().unwrap_or_default();
        if is_only_folded(&name, REQUEST_KEYS) {
            return Err(Unreadable::bad_request(
                "ambiguous_key",
                "The body has a key in another letter case than the format's.",
            ));
        }
        match camel(&name).as_str() {
            "contents" => contents(value, &mut request.messages)?,
            "systemInstruction" => {
                let mut message = RequestMessage::new(Role::System, value.span());
                content(value, &mut message, &mut Vec::new())?;
                system.push(message);
            }
            "tools" => request.tools = Some(value.span()),
            "generationConfig" => {
                for member in value.members() {
                    let name = member.key.as_str().unwrap_or_default();
                    match camel(&name).as_str() {
                        "candidateCount" => request.choices = member.value.as_u64(),
                        "responseMimeType" => request.json = member.value.is("application/json"),
                        _ => {}
                    }
                }
            }
            // Counting tokens takes a whole request, too.
            "generateContentRequest" if value.is_object() => read_body(value, request)?,
            known if REQUEST_KEYS.contains(&known) => {}
            _ => {
                let mut texts = Texts::new(&mut request.other_texts, &WORDS);
                texts.member(member.key, value, TextKind::Other);
            }
        }
    }
    system.append(&mut request.messages);
    request.messages = system;
    Ok(())
}

fn invalid(message: &'static str) -> Unreadable {
    Unreadable::bad_request("invalid_request", message)
}

/// An error if an object has one key in both spellings: which of them counts, readers decide by order.
fn refuse_twins(value: Value<'_, '_>) -> Result<(), Unreadable> {
    let mut names: Vec<String> = Vec::new();
    let mut has_snake = false;
    for member in value.members() {
        let name = member.key.as_str().unwrap_or_default();
        has_snake |= name.contains('_');
        names.push(camel(&name));
    }
    if has_snake {
        names.sort_unstable();
        let twins = names.windows(2).any(|pair| pair.first() == pair.last());
        if twins {
            return Err(Unreadable::bad_request(
                "duplicate_key",
                "The body has a key in both spellings in one object.",
            ));
        }
    }
    for member in value.members() {
        // What apps and tools define has keys of its own.
        let name = member.key.as_str().unwrap_or_default();
        if !matches!(name.as_ref(), "args" | "response" | "labels") {
            refuse_twins(member.value)?;
        }
    }
    value.elements().try_for_each(refuse_twins)
}

/// The conversation: a list of messages, one message, or a text.
fn contents<'a>(
    contents: Value<'_, 'a>,
    messages: &mut Vec<RequestMessage<'a>>,
) -> Result<(), Unreadable> {
    match contents.kind() {
        Kind::Null => Ok(()),
        Kind::Array => contents
            .elements()
            .try_for_each(|element| read_message(element, messages)),
        Kind::Object | Kind::String | Kind::EscapedString => read_message(contents, messages),
        Kind::True | Kind::False | Kind::Number => Err(invalid("`contents` must be an array.")),
    }
}

fn read_message<'a>(
    value: Value<'_, 'a>,
    messages: &mut Vec<RequestMessage<'a>>,
) -> Result<(), Unreadable> {
    let role = value.get("role").and_then(Value::as_str);
    let role = match role.as_deref() {
        // A message without a role is the user's.
        None | Some("user" | "") => Role::User,
        Some("model") => Role::Assistant,
        Some("function" | "tool") => Role::Tool,
        Some("system") => Role::System,
        Some(other) => Role::Other(other.to_owned()),
    };
    let mut message = RequestMessage::new(role, value.span());
    let mut results = Vec::new();
    content(value, &mut message, &mut results)?;
    let only_results = message.texts.is_empty() && !results.is_empty();
    let is_model = message.role == Role::Assistant;
    if is_model {
        messages.push(message);
        messages.append(&mut results);
    } else {
        messages.append(&mut results);
        if !only_results {
            messages.push(message);
        }
    }
    Ok(())
}

/// A message's parts; results of tools become messages of their own.
fn content<'a>(
    value: Value<'_, 'a>,
    message: &mut RequestMessage<'a>,
    results: &mut Vec<RequestMessage<'a>>,
) -> Result<(), Unreadable> {
    if !value.is_object() {
        Texts::new(&mut message.texts, &WORDS).any(value, "text", TextKind::Content);
        return Ok(());
    }
    for member in value.members() {
        match member.key.as_str().as_deref().unwrap_or_default() {
            "role" => {}
            "parts" if member.value.is_array() => member
                .value
                .elements()
                .try_for_each(|element| part(element, message, results))?,
            "parts" => part(member.value, message, results)?,
            // A message may be written as its one part.
            _ => return part(value, message, results),
        }
    }
    Ok(())
}

fn part<'a>(
    part: Value<'_, 'a>,
    message: &mut RequestMessage<'a>,
    results: &mut Vec<RequestMessage<'a>>,
) -> Result<(), Unreadable> {
    if !part.is_object() {
        Texts::new(&mut message.texts, &WORDS).any(part, "text", TextKind::Content);
        return Ok(());
    }
    let is_thought = part.get("thought").and_then(Value::as_bool) == Some(true);
    for member in part.members() {
        let (key, value) = (member.key, member.value);
        let name = key.as_str().unwrap_or_default();
        let mut texts = Texts::new(&mut message.texts, &WORDS);
        texts.check_keys(part)?;
        match camel(&name).as_str() {
            "role" | "thought" => {}
            "text" => {
                let kind = match is_thought {
                    true => TextKind::Reasoning,
                    false => TextKind::Content,
                };
                texts.any(value, "text", kind);
            }
            "functionCall" | "toolCall" if value.is_object() => {
                call(value, &mut texts);
                message.tool_calls.push(tool_call(value));
            }
            "functionResponse" | "toolResponse" | "codeExecutionResult" => {
                results.push(result(value));
            }
            _ => texts.member(key, value, TextKind::Other),
        }
    }
    Ok(())
}

/// A result of a tool.
fn result<'a>(value: Value<'_, 'a>) -> RequestMessage<'a> {
    let mut message = RequestMessage::new(Role::Tool, value.span());
    message.tool_call_id = value.get("id").and_then(Value::as_str);
    let mut texts = Texts::new(&mut message.texts, &WORDS);
    for member in value.members() {
        match member.key.as_str().as_deref().unwrap_or_default() {
            "name" => texts.any(member.value, "name", TextKind::Name),
            "response" => texts.free(member.value, TextKind::Content),
            "output" => texts.any(member.value, "output", TextKind::Content),
            _ => texts.member(member.key, member.value, TextKind::Other),
        }
    }
    if !value.is_object() {
        texts.any(value, "response", TextKind::Content);
    }
    message
}

fn call<'a>(call: Value<'_, 'a>, texts: &mut Texts<'_, 'a>) {
    for member in call.members() {
        match member.key.as_str().as_deref().unwrap_or_default() {
            "name" => texts.any(member.value, "name", TextKind::ToolName),
            "args" => texts.free(member.value, TextKind::Other),
            _ => texts.member(member.key, member.value, TextKind::Other),
        }
    }
}

/// The neutral form of a call.
fn tool_call(call: Value<'_, '_>) -> ToolCall {
    let string = |key| call.get(key).and_then(Value::as_str).map(Cow::into_owned);
    let arguments = call.get("args");
    ToolCall {
        id: string("id"),
        name: string("name").unwrap_or_default(),
        arguments: arguments
            .and_then(|arguments| serde_json::from_str(arguments.source()).ok())
            .unwrap_or_default(),
    }
}

/// The tools of a request, as Chat Completions writes them.
pub(super) fn offered_tools(request: &ChatRequest<'_>, body: &[u8]) -> JsonValue {
    let span = request.tools.clone();
    let tools: Option<JsonValue> = span
        .and_then(|span| body.get(span))
        .and_then(|json| serde_json::from_slice(json).ok());
    let either = |value: &JsonValue, camel: &str, snake: &str| {
        value.get(camel).or_else(|| value.get(snake)).cloned()
    };
    let tools = tools.as_ref().and_then(JsonValue::as_array);
    let declared = tools.into_iter().flatten().flat_map(|tool| {
        let list = either(tool, "functionDeclarations", "function_declarations");
        match list {
            Some(JsonValue::Array(list)) => list,
            _ => Vec::new(),
        }
    });
    declared
        .map(|function| {
            let schema = either(&function, "parametersJsonSchema", "parameters_json_schema");
            let schema = schema.or_else(|| function.get("parameters").map(standard_schema));
            let function = json!({
                "name": function.get("name"),
                "description": function.get("description"),
                "parameters": schema.unwrap_or(json!({"type": "object"})),
            });
            json!({"type": "function", "function": function})
        })
        .collect()
}

/// Gemini's own schemas write types in capitals and `nullable`; JSON Schema does not.
fn standard_schema(schema: &JsonValue) -> JsonValue {
    match schema {
        JsonValue::Object(fields) => {
            let nullable = fields.get("nullable") == Some(&JsonValue::Bool(true));
            let fields = fields.iter().filter(|(key, _)| *key != "nullable");
            let fields = fields.map(|(key, value)| {
                let value = match (key.as_str(), value) {
                    ("type", JsonValue::String(kind)) if nullable => {
                        json!([kind.to_ascii_lowercase(), "null"])
                    }
                    ("type", JsonValue::String(kind)) => kind.to_ascii_lowercase().into(),
                    _ => standard_schema(value),
                };
                (key.clone(), value)
            });
            fields.collect::<serde_json::Map<_, _>>().into()
        }
        JsonValue::Array(list) => list.iter().map(standard_schema).collect(),
        other => other.clone(),
    }
}

/// See [`WireFormat::looks_like_request`](crate::wire::WireFormat::looks_like_request): `contents` with parts.
pub(super) fn looks_like_request(body: &[u8]) -> bool {
    let limits = JsonLimits {
        allow_byte_order_mark: true,
        ..JsonLimits::default()
    };
    let Ok(document) = Document::read(body, &limits) else {
        return false;
    };
    let contents = document.root().get("contents");
    contents.is_some_and(|contents| {
        contents.get("parts").is_some()
            || contents
                .elements()
                .any(|content| content.get("parts").is_some())
    })
}
