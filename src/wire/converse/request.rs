//! Requests.

use std::borrow::Cow;

use serde_json::{Value as JsonValue, json};

use crate::{
    message::Role,
    wire::{
        ChatRequest, JsonLimits, NormalPath, RequestHead, RequestMessage, TextKind, Unreadable,
        blocks::{BlockFormat, tool_call},
        json::{Document, Value},
        keys,
        texts::{Texts, Words},
    },
};

/// The documented keys of a request.
pub(super) const REQUEST_KEYS: &[&str] = &[
    "messages",
    "system",
    "inferenceConfig",
    "toolConfig",
    "guardrailConfig",
    "additionalModelRequestFields",
    "promptVariables",
    "additionalModelResponseFieldPaths",
    "requestMetadata",
    "performanceConfig",
    "serviceTier",
    "outputConfig",
];

/// The documented keys of a message.
const MESSAGE_KEYS: &[&str] = &["role", "content"];

static WORDS: Words = Words {
    keys: &[
        "text",
        "image",
        "document",
        "video",
        "audio",
        "format",
        "name",
        "context",
        "source",
        "bytes",
        "s3Location",
        "uri",
        "bucketOwner",
        "content",
        "citations",
        "enabled",
        "toolUse",
        "toolUseId",
        "input",
        "toolResult",
        "status",
        "type",
        "json",
        "searchResult",
        "title",
        "guardContent",
        "qualifiers",
        "cachePoint",
        "ttl",
        "reasoningContent",
        "reasoningText",
        "redactedContent",
        "signature",
        "citationsContent",
        "sourceContent",
        "location",
        "web",
        "url",
        "domain",
        "error",
        "message",
    ],
    ids: &["toolUseId", "signature", "redactedContent", "bucketOwner"],
    bytes: &["bytes"],
    is_usual: |key, text| match key {
        "format" => matches!(
            text,
            "png"
                | "jpeg"
                | "gif"
                | "webp"
                | "pdf"
                | "csv"
                | "doc"
                | "docx"
                | "xls"
                | "xlsx"
                | "html"
                | "txt"
                | "md"
                | "mp4"
                | "mov"
                | "mkv"
                | "webm"
                | "wav"
                | "mp3"
        ),
        "status" => matches!(text, "success" | "error"),
        "type" => matches!(text, "default" | "server_tool_use"),
        "ttl" => matches!(text, "5m" | "1h"),
        "qualifiers" => matches!(text, "grounding_source" | "query" | "guard_content"),
        _ => false,
    },
};

static FORMAT: BlockFormat = BlockFormat {
    words: &WORDS,
    invalid,
    refuse_folded: |message| refuse_folded(message, MESSAGE_KEYS),
    block,
    no_content: "`content` must be an array of content blocks.",
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
    let path = NormalPath::new(head.uri.path());
    let model = path.as_str().rsplit_once("/model/").and_then(|(_, rest)| {
        let (model, _) = rest.rsplit_once('/')?;
        Some(model.to_owned())
    });
    let mut request = ChatRequest {
        model: model.map(Cow::Owned),
        stream: path.ends_with("/converse-stream"),
        ..ChatRequest::default()
    };
    match root
        .get("input")
        .filter(|_| path.ends_with("/count-tokens"))
    {
        Some(input) => {
            counted(input, &mut request)?;
            for member in root.members().filter(|member| !member.key.is("input")) {
                let mut texts = Texts::new(&mut request.other_texts, &WORDS);
                texts.member(member.key, member.value, TextKind::Other);
            }
        }
        None => read_body(root, &mut request)?,
    }
    Ok(request)
}

/// A request whose tokens are to be counted.
fn counted<'a>(input: Value<'_, 'a>, request: &mut ChatRequest<'a>) -> Result<(), Unreadable> {
    if !input.is_object() {
        return Err(invalid("`input` must be an object."));
    }
    for member in input.members() {
        match member.key.as_str().as_deref().unwrap_or_default() {
            "converse" if member.value.is_object() => read_body(member.value, request)?,
            _ => {
                return Err(Unreadable::bad_request(
                    "unreadable_body",
                    "Only `input.converse` is read: the body of another API cannot be checked here.",
                ));
            }
        }
    }
    Ok(())
}

fn read_body<'a>(root: Value<'_, 'a>, request: &mut ChatRequest<'a>) -> Result<(), Unreadable> {
    refuse_folded(root, REQUEST_KEYS)?;
    for member in root.members() {
        let value = member.value;
        match member.key.as_str().as_deref().unwrap_or_default() {
            "messages" if value.is_array() => {
                for message in value.elements() {
                    FORMAT.message(message, &mut request.messages)?;
                }
            }
            "messages" => return Err(invalid("`messages` must be an array.")),
            "system" => {
                let mut message = RequestMessage::new(Role::System, value.span());
                FORMAT.content(value, &mut message, &mut Vec::new())?;
                request.messages.insert(0, message);
            }
            "toolConfig" => request.tools = Some(value.span()),
            "outputConfig" => request.json = value.get("textFormat").is_some(),
            // What fills a prompt at the provider may come from people, and what is added to the model's own request may be anything.
            "promptVariables" | "additionalModelRequestFields" => {
                let mut texts = Texts::new(&mut request.other_texts, &WORDS);
                texts.free(value, TextKind::Other);
            }
            name if REQUEST_KEYS.contains(&name) => {}
            _ => {
                let mut texts = Texts::new(&mut request.other_texts, &WORDS);
                texts.member(member.key, value, TextKind::Other);
            }
        }
    }
    Ok(())
}

fn invalid(message: &'static str) -> Unreadable {
    Unreadable::bad_request("invalid_request", message)
}

fn refuse_folded(object: Value<'_, '_>, known: &[&str]) -> Result<(), Unreadable> {
    let is_folded = object.members().any(|member| {
        let name = member.key.as_str().unwrap_or_default();
        keys::is_folded_camel(&name, known)
    });
    match is_folded {
        true => Err(Unreadable::bad_request(
            "ambiguous_key",
            "The body has a key in another letter case than the format's.",
        )),
        false => Ok(()),
    }
}

fn block<'a>(
    block: Value<'_, 'a>,
    message: &mut RequestMessage<'a>,
    results: &mut Vec<RequestMessage<'a>>,
) -> Result<(), Unreadable> {
    refuse_folded(block, WORDS.keys)?;
    for member in block.members() {
        let value = member.value;
        let mut texts = Texts::new(&mut message.texts, &WORDS);
        match member.key.as_str().as_deref().unwrap_or_default() {
            "text" => texts.any(value, "text", TextKind::Content),
            "guardContent" => match value.get("text").and_then(|text| text.get("text")) {
                Some(text) if text.is_string() => texts.push(TextKind::Content, text),
                _ => texts.member(member.key, value, TextKind::Other),
            },
            "toolUse" if value.is_object() => {
                call(value, &mut texts);
                message.tool_calls.push(tool_call(value, "toolUseId"));
            }
            "toolResult" if value.is_object() => results.push(result(value)?),
            "reasoningContent" => texts.any(value, "reasoningContent", TextKind::Reasoning),
            "citationsContent" if value.is_object() => cited(value, &mut texts),
            _ => texts.member(member.key, value, TextKind::Other),
        }
    }
    Ok(())
}

fn call<'a>(call: Value<'_, 'a>, texts: &mut Texts<'_, 'a>) {
    for member in call.members() {
        match member.key.as_str().as_deref().unwrap_or_default() {
            "name" => texts.any(member.value, "name", TextKind::ToolName),
            "input" if member.value.is_string() => {
                texts.any(member.value, "input", TextKind::ToolArguments);
            }
            "input" => texts.free(member.value, TextKind::Other),
            _ => texts.member(member.key, member.value, TextKind::Other),
        }
    }
}

/// Text with the places that it comes from.
fn cited<'a>(cited: Value<'_, 'a>, texts: &mut Texts<'_, 'a>) {
    for member in cited.members() {
        if !member.key.is("content") {
            texts.member(member.key, member.value, TextKind::Other);
            continue;
        }
        for element in member.value.elements() {
            if !element.is_object() {
                texts.any(element, "text", TextKind::Content);
            }
            for inner in element.members() {
                match inner.key.is("text") {
                    true => texts.any(inner.value, "text", TextKind::Content),
                    false => texts.member(inner.key, inner.value, TextKind::Other),
                }
            }
        }
        if !member.value.is_array() {
            texts.any(member.value, "text", TextKind::Content);
        }
    }
}

/// A result of a tool.
fn result<'a>(result: Value<'_, 'a>) -> Result<RequestMessage<'a>, Unreadable> {
    let mut message = RequestMessage::new(Role::Tool, result.span());
    message.tool_call_id = result.get("toolUseId").and_then(Value::as_str);
    refuse_folded(result, WORDS.keys)?;
    let mut texts = Texts::new(&mut message.texts, &WORDS);
    for member in result.members() {
        if !member.key.is("content") || !member.value.is_array() {
            texts.member(member.key, member.value, TextKind::Other);
            continue;
        }
        for block in member.value.elements() {
            if !block.is_object() {
                texts.any(block, "text", TextKind::Content);
            }
            refuse_folded(block, WORDS.keys)?;
            for inner in block.members() {
                match inner.key.as_str().as_deref().unwrap_or_default() {
                    "text" => texts.any(inner.value, "text", TextKind::Content),
                    "json" => texts.free(inner.value, TextKind::Content),
                    _ => texts.member(inner.key, inner.value, TextKind::Other),
                }
            }
        }
    }
    Ok(message)
}

/// The tools of a request, as Chat Completions writes them.
pub(super) fn offered_tools(request: &ChatRequest<'_>, body: &[u8]) -> JsonValue {
    let span = request.tools.clone();
    let config: Option<JsonValue> = span
        .and_then(|span| body.get(span))
        .and_then(|json| serde_json::from_slice(json).ok());
    let tools = config.as_ref().and_then(|config| config.get("tools"));
    let tools = tools.and_then(JsonValue::as_array);
    let function = |tool: &JsonValue| {
        let tool = tool.get("toolSpec")?;
        let function = json!({
            "name": tool.get("name"),
            "description": tool.get("description"),
            "parameters": tool.pointer("/inputSchema/json"),
        });
        Some(json!({"type": "function", "function": function}))
    };
    tools.into_iter().flatten().filter_map(function).collect()
}

/// See [`WireFormat::looks_like_request`](crate::wire::WireFormat::looks_like_request): a conversation with what only this format
/// has.
pub(super) fn looks_like_request(body: &[u8]) -> bool {
    let limits = JsonLimits {
        allow_byte_order_mark: true,
        ..JsonLimits::default()
    };
    let Ok(document) = Document::read(body, &limits) else {
        return false;
    };
    let root = document.root();
    let has = |key: &&str| root.get(key).is_some();
    root.get("messages").is_some_and(Value::is_array)
        && [
            "inferenceConfig",
            "toolConfig",
            "guardrailConfig",
            "additionalModelRequestFields",
            "promptVariables",
        ]
        .iter()
        .any(has)
}
