//! Requests.

use serde_json::{Value as JsonValue, json};

use super::{CHUNKS, STREAMED};
use crate::{
    message::Role,
    wire::{
        ChatRequest, JsonLimits, RequestHead, RequestMessage, TextKind, Unreadable,
        blocks::{BlockFormat, tool_call},
        json::{Document, Kind, Value},
        keys,
        texts::{Texts, Words},
    },
};

/// The documented keys of a request. What is under another key is read, since a server that knows it may show it to the model; what is
/// under these and not in `messages` is written by the app.
const REQUEST_KEYS: &[&str] = &[
    "messages",
    "model",
    "max_tokens",
    "system",
    "stream",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "metadata",
    "tools",
    "tool_choice",
    "thinking",
    "service_tier",
    "inference_geo",
    "container",
    "mcp_servers",
    "context_management",
    "output_config",
    "output_format",
    "cache_control",
    "betas",
    "anthropic_version",
    "anthropic_beta",
    "speed",
];

/// The documented keys of a message.
const MESSAGE_KEYS: &[&str] = &["role", "content"];

static WORDS: Words = Words {
    keys: &[
        "type",
        "text",
        "source",
        "media_type",
        "data",
        "url",
        "file_id",
        "content",
        "title",
        "context",
        "citations",
        "enabled",
        "cache_control",
        "ttl",
        "id",
        "name",
        "input",
        "tool_use_id",
        "is_error",
        "thinking",
        "signature",
        "caller",
        "tool_id",
        "cited_text",
        "document_index",
        "document_title",
        "start_char_index",
        "end_char_index",
        "start_page_number",
        "end_page_number",
        "start_block_index",
        "end_block_index",
        "search_result_index",
        "encrypted_index",
        "encrypted_content",
        "encrypted_stdout",
        "page_age",
        "retrieved_at",
        "stdout",
        "stderr",
        "return_code",
        "error_code",
        "server_name",
        "tool_name",
    ],
    ids: &[
        "id",
        "tool_use_id",
        "tool_id",
        "file_id",
        "signature",
        "encrypted_content",
        "encrypted_index",
        "encrypted_stdout",
    ],
    bytes: &["data"],
    is_usual,
};

static FORMAT: BlockFormat = BlockFormat {
    words: &WORDS,
    invalid,
    refuse_folded: |message| keys::refuse_folded(message, MESSAGE_KEYS),
    block,
    no_content: "`content` must be a string or an array of content blocks.",
};

fn is_usual(key: &str, text: &str) -> bool {
    let usual: &[&str] = match key {
        "type" => &[
            "text",
            "image",
            "document",
            "base64",
            "url",
            "file",
            "content",
            "tool_use",
            "tool_result",
            "server_tool_use",
            "thinking",
            "redacted_thinking",
            "search_result",
            "ephemeral",
            "char_location",
            "page_location",
            "content_block_location",
            "web_search_result",
            "web_search_tool_result",
            "web_search_result_location",
            "search_result_location",
            "web_fetch_result",
            "web_fetch_tool_result",
            "code_execution_result",
            "code_execution_tool_result",
            "bash_code_execution_result",
            "bash_code_execution_tool_result",
            "direct",
        ],
        "media_type" => &[
            "image/png",
            "image/jpeg",
            "image/gif",
            "image/webp",
            "application/pdf",
            "text/plain",
        ],
        "ttl" => &["5m", "1h"],
        _ => &[],
    };
    usual.contains(&text)
}

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
    let path = head.uri.path().to_ascii_lowercase();
    let is_chunked = path.trim_end_matches('/').ends_with(STREAMED);
    let mut request = ChatRequest {
        // Clouds say so in the path.
        stream: path.contains(":streamrawpredict") || is_chunked,
        variant: if is_chunked { CHUNKS } else { "" },
        ..ChatRequest::default()
    };
    let (mut messages, mut system) = (None, None);
    for member in root.members() {
        let value = member.value;
        match member.key.as_str().as_deref().unwrap_or_default() {
            "messages" => messages = Some(value),
            "system" => system = Some(value),
            "model" => request.model = value.as_str(),
            "stream" => match value.kind() {
                Kind::Null | Kind::False => {}
                Kind::True => request.stream = true,
                _ => return Err(invalid("`stream` must be true or false.")),
            },
            "tools" => request.tools = Some(value.span()),
            name if REQUEST_KEYS.contains(&name) => {}
            _ => {
                let mut texts = Texts::new(&mut request.other_texts, &WORDS);
                texts.member(member.key, value, TextKind::Other);
            }
        }
    }
    if let Some(system) = system.filter(|system| !system.is_null()) {
        let mut message = RequestMessage::new(Role::System, system.span());
        FORMAT.content(system, &mut message, &mut Vec::new())?;
        request.messages.push(message);
    }
    let messages = messages.ok_or(invalid("The body has no `messages`."))?;
    if !messages.is_array() {
        return Err(invalid("`messages` must be an array."));
    }
    for value in messages.elements() {
        FORMAT.message(value, &mut request.messages)?;
    }
    Ok(request)
}

fn invalid(message: &'static str) -> Unreadable {
    Unreadable::bad_request("invalid_request_error", message)
}

fn block<'a>(
    block: Value<'_, 'a>,
    message: &mut RequestMessage<'a>,
    results: &mut Vec<RequestMessage<'a>>,
) -> Result<(), Unreadable> {
    let kind = block
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if kind.ends_with("tool_result") {
        results.push(result(block)?);
        return Ok(());
    }
    let is_call = kind.ends_with("tool_use");
    if is_call {
        message.tool_calls.push(tool_call(block, "id"));
    }
    let mut texts = Texts::new(&mut message.texts, &WORDS);
    texts.check_keys(block)?;
    for member in block.members() {
        let value = member.value;
        match member.key.as_str().as_deref().unwrap_or_default() {
            "text" if kind == "text" || kind.is_empty() => {
                texts.any(value, "text", TextKind::Content);
            }
            "thinking" => texts.any(value, "thinking", TextKind::Reasoning),
            "name" if is_call => texts.any(value, "name", TextKind::ToolName),
            "input" if is_call => texts.free(value, TextKind::Other),
            // Encrypted thoughts.
            "data" if kind == "redacted_thinking" => texts.push(TextKind::Id, value),
            _ => texts.member(member.key, value, TextKind::Other),
        }
    }
    Ok(())
}

/// A result of a tool.
fn result<'a>(block: Value<'_, 'a>) -> Result<RequestMessage<'a>, Unreadable> {
    let mut message = RequestMessage::new(Role::Tool, block.span());
    message.tool_call_id = block.get("tool_use_id").and_then(Value::as_str);
    let mut texts = Texts::new(&mut message.texts, &WORDS);
    texts.check_keys(block)?;
    for member in block.members() {
        match member.key.as_str().as_deref().unwrap_or_default() {
            "content" => result_content(member.value, &mut texts)?,
            _ => texts.member(member.key, member.value, TextKind::Other),
        }
    }
    Ok(message)
}

/// What a tool says: a string, text blocks, or what a server's tool found.
fn result_content<'a>(content: Value<'_, 'a>, texts: &mut Texts<'_, 'a>) -> Result<(), Unreadable> {
    match content.kind() {
        Kind::Array => {
            for block in content.elements() {
                if !block.is_object() {
                    texts.any(block, "content", TextKind::Content);
                    continue;
                }
                texts.check_keys(block)?;
                let is_text = block.get("type").is_some_and(|kind| kind.is("text"));
                for member in block.members() {
                    let kind = match member.key.is("text") && is_text {
                        true => TextKind::Content,
                        false => TextKind::Other,
                    };
                    texts.member(member.key, member.value, kind);
                }
            }
        }
        Kind::Object => {
            for member in content.members() {
                texts.member(member.key, member.value, TextKind::Other);
            }
        }
        _ => texts.any(content, "content", TextKind::Content),
    }
    Ok(())
}

/// The tools of a request, as Chat Completions writes them.
pub(super) fn offered_tools(request: &ChatRequest<'_>, body: &[u8]) -> JsonValue {
    let span = request.tools.clone();
    let tools: Option<JsonValue> = span
        .and_then(|span| body.get(span))
        .and_then(|json| serde_json::from_slice(json).ok());
    let tools = tools.as_ref().and_then(JsonValue::as_array);
    let function = |tool: &JsonValue| {
        let schema = tool.get("input_schema")?;
        let function = json!({
            "name": tool.get("name"),
            "description": tool.get("description"),
            "parameters": schema,
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
    let Some(messages) = root.get("messages").filter(|messages| messages.is_array()) else {
        return false;
    };
    let mut messages = messages.elements().take(MESSAGES_LOOKED_AT);
    let has_block = messages.any(|message| {
        let content = message.get("content");
        let mut blocks = content.into_iter().flat_map(Value::elements);
        blocks.any(|block| {
            let kind = block.get("type").and_then(Value::as_str);
            kind.is_some_and(|kind| {
                kind.ends_with("tool_result")
                    || kind.ends_with("tool_use")
                    || kind.ends_with("thinking")
            })
        })
    });
    has_block
        || root.get("anthropic_version").is_some()
        || (root.get("system").is_some() && root.get("max_tokens").is_some())
        || root.get("stop_sequences").is_some()
}

/// How many messages are looked at for blocks of the format.
const MESSAGES_LOOKED_AT: usize = 64;
