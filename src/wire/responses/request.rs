//! Requests.

use std::borrow::Cow;

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

/// The documented keys of a request.
const REQUEST_KEYS: &[&str] = &[
    "input",
    "instructions",
    "prompt",
    "model",
    "stream",
    "stream_options",
    "background",
    "context_management",
    "conversation",
    "include",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "moderation",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

static WORDS: Words = Words {
    keys: &[
        "type",
        "role",
        "content",
        "text",
        "phase",
        "status",
        "id",
        "call_id",
        "item_id",
        "namespace",
        "name",
        "arguments",
        "input",
        "output",
        "refusal",
        "image_url",
        "file_id",
        "file_url",
        "file_data",
        "filename",
        "detail",
        "input_audio",
        "data",
        "format",
        "annotations",
        "logprobs",
        "summary",
        "encrypted_content",
        "caller",
        "caller_id",
        "agent",
        "agent_name",
        "stdout",
        "stderr",
        "outcome",
        "exit_code",
        "action",
        "actions",
        "command",
        "commands",
        "env",
        "working_directory",
        "queries",
        "query",
        "results",
        "code",
        "outputs",
        "logs",
        "url",
        "title",
        "tools",
        "server_label",
        "approve",
        "approval_request_id",
        "reason",
        "error",
        "operation",
        "path",
        "diff",
        "result",
        "fingerprint",
        "prompt_cache_breakpoint",
    ],
    ids: &[
        "id",
        "call_id",
        "item_id",
        "file_id",
        "encrypted_content",
        "caller_id",
        "approval_request_id",
        "fingerprint",
    ],
    bytes: &["data", "file_data", "result"],
    is_usual: |key, text| match key {
        "type" => matches!(
            text,
            "message"
                | "input_text"
                | "input_image"
                | "input_file"
                | "input_audio"
                | "output_text"
                | "refusal"
                | "function_call"
                | "function_call_output"
                | "reasoning"
                | "summary_text"
                | "reasoning_text"
        ),
        "status" => matches!(text, "completed" | "in_progress" | "incomplete"),
        "detail" => matches!(text, "auto" | "low" | "high"),
        "format" => matches!(text, "wav" | "mp3"),
        _ => false,
    },
};

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
    let mut messages = Vec::new();
    for member in root.members() {
        let value = member.value;
        match member.key.as_str().as_deref().unwrap_or_default() {
            "input" => input(value, &mut messages)?,
            "instructions" => {
                let mut message = RequestMessage::new(Role::System, value.span());
                Texts::new(&mut message.texts, &WORDS).any(
                    value,
                    "instructions",
                    TextKind::Content,
                );
                if !message.texts.is_empty() {
                    request.messages.insert(0, message);
                }
            }
            "prompt" => {
                // A prompt at the provider; what fills it may come from people.
                keys::refuse_folded(value, &["id", "version", "variables"])?;
                if let Some(variables) = value.get("variables") {
                    let mut texts = Texts::new(&mut request.other_texts, &WORDS);
                    texts.free(variables, TextKind::Other);
                }
            }
            "model" => request.model = value.as_str(),
            "stream" => match value.kind() {
                Kind::Null | Kind::False => {}
                Kind::True => request.stream = true,
                _ => return Err(invalid("`stream` must be true or false.")),
            },
            "text" => {
                let kind = value.get("format").and_then(|format| format.get("type"));
                let kind = kind.and_then(Value::as_str);
                request.json = kind.is_some_and(|kind| kind.starts_with("json"));
            }
            "tools" => request.tools = Some(value.span()),
            name if REQUEST_KEYS.contains(&name) => {}
            _ => {
                let mut texts = Texts::new(&mut request.other_texts, &WORDS);
                texts.member(member.key, value, TextKind::Other);
            }
        }
    }
    request.messages.append(&mut messages);
    Ok(request)
}

fn invalid(message: &'static str) -> Unreadable {
    Unreadable::bad_request("invalid_request", message)
}

/// The input: a text, items, or one item.
fn input<'a>(
    input: Value<'_, 'a>,
    messages: &mut Vec<RequestMessage<'a>>,
) -> Result<(), Unreadable> {
    match input.kind() {
        Kind::Null => Ok(()),
        Kind::Array => input
            .elements()
            .try_for_each(|element| item(element, messages)),
        Kind::String | Kind::EscapedString | Kind::Object => item(input, messages),
        Kind::True | Kind::False | Kind::Number => {
            Err(invalid("`input` must be a string or an array of items."))
        }
    }
}

/// Whose words an item of this type is.
fn speaker(kind: &str) -> Role {
    match kind {
        "function_call"
        | "custom_tool_call"
        | "reasoning"
        | "shell_call"
        | "local_shell_call"
        | "apply_patch_call"
        | "computer_call"
        | "program"
        | "mcp_approval_request"
        | "tool_search_call"
        | "image_generation_call"
        | "compaction"
        | "multi_agent_call" => Role::Assistant,
        "mcp_approval_response" | "agent_message" => Role::User,
        // Results of tools, and what the server's own tools found or were told they are.
        kind if kind.ends_with("_output") || kind.ends_with("_call") || kind.ends_with("tools") => {
            Role::Tool
        }
        // A kind that is not known may be anybody's.
        _ => Role::User,
    }
}

fn item<'a>(item: Value<'_, 'a>, messages: &mut Vec<RequestMessage<'a>>) -> Result<(), Unreadable> {
    if item.is_string() {
        let mut message = RequestMessage::new(Role::User, item.span());
        Texts::new(&mut message.texts, &WORDS).push(TextKind::Content, item);
        messages.push(message);
        return Ok(());
    }
    if !item.is_object() {
        return Err(invalid("An item of `input` must be an object."));
    }
    keys::refuse_folded(item, WORDS.keys)?;
    let text = |key| item.get(key).and_then(Value::as_str);
    let kind = text("type").unwrap_or(Cow::Borrowed("message"));
    let role = match (kind.as_ref(), text("role")) {
        ("message" | "additional_tools", Some(role)) => Role::from_name(&role),
        ("message", None) => Role::User,
        (kind, _) => speaker(kind),
    };
    let is_call = matches!(kind.as_ref(), "function_call" | "custom_tool_call");
    let is_result = role == Role::Tool;
    let mut message = RequestMessage::new(role, item.span());
    if is_result {
        message.tool_call_id = text("call_id");
    }
    if is_call {
        message.tool_calls.push(tool_call(item));
    }
    let mut texts = Texts::new(&mut message.texts, &WORDS);
    for member in item.members() {
        let value = member.value;
        match member.key.as_str().as_deref().unwrap_or_default() {
            "role" => {}
            "content" if kind == "message" => content(value, TextKind::Content, &mut texts)?,
            "content" | "summary" if kind == "reasoning" => {
                texts.any(value, "content", TextKind::Reasoning);
            }
            "output"
                if matches!(
                    kind.as_ref(),
                    "function_call_output" | "custom_tool_call_output"
                ) =>
            {
                content(value, TextKind::Content, &mut texts)?;
            }
            "name" if is_call => texts.any(value, "name", TextKind::ToolName),
            "name" if is_result => texts.any(value, "name", TextKind::Name),
            "arguments" | "input" if is_call => {
                texts.any(value, "arguments", TextKind::ToolArguments);
            }
            _ => texts.member(member.key, value, TextKind::Other),
        }
    }
    messages.push(message);
    Ok(())
}

/// A content: a string, or parts.
fn content<'a>(
    content: Value<'_, 'a>,
    kind: TextKind,
    texts: &mut Texts<'_, 'a>,
) -> Result<(), Unreadable> {
    let parts = match content.kind() {
        Kind::Null => return Ok(()),
        Kind::String | Kind::EscapedString => {
            texts.push(kind, content);
            return Ok(());
        }
        Kind::Array => content.elements().collect(),
        Kind::Object => vec![content],
        Kind::True | Kind::False | Kind::Number => {
            return Err(invalid("`content` must be a string or an array of parts."));
        }
    };
    for part in parts {
        if !part.is_object() {
            texts.any(part, "text", kind);
            continue;
        }
        texts.check_keys(part)?;
        for member in part.members() {
            match member.key.as_str().as_deref().unwrap_or_default() {
                "text" => texts.any(member.value, "text", kind),
                "refusal" => texts.any(member.value, "refusal", TextKind::Refusal),
                _ => texts.member(member.key, member.value, TextKind::Other),
            }
        }
    }
    Ok(())
}

/// The neutral form of a call.
fn tool_call(item: Value<'_, '_>) -> ToolCall {
    let text = |key| item.get(key).and_then(Value::as_str);
    let arguments = text("arguments").or_else(|| text("input"));
    let arguments = arguments.map_or(JsonValue::Null, |text| match serde_json::from_str(&text) {
        Ok(JsonValue::Object(object)) => JsonValue::Object(object),
        _ => JsonValue::String(text.into_owned()),
    });
    ToolCall {
        id: text("call_id").map(Cow::into_owned),
        name: text("name").unwrap_or_default().into_owned(),
        arguments,
    }
}

/// The tools of a request, as Chat Completions writes them.
pub(super) fn offered_tools(request: &ChatRequest<'_>, body: &[u8]) -> JsonValue {
    let span = request.tools.clone();
    let tools: Option<JsonValue> = span
        .and_then(|span| body.get(span))
        .and_then(|json| serde_json::from_slice(json).ok());
    let mut offered = Vec::new();
    if let Some(JsonValue::Array(tools)) = tools {
        tools.iter().for_each(|tool| offer(tool, &mut offered));
    }
    offered.into()
}

fn offer(tool: &JsonValue, offered: &mut Vec<JsonValue>) {
    let kind = tool.get("type").and_then(JsonValue::as_str);
    match kind {
        Some("function") => {
            let function = json!({
                "name": tool.get("name"),
                "description": tool.get("description"),
                "parameters": tool.get("parameters"),
            });
            offered.push(json!({"type": "function", "function": function}));
        }
        // A namespace holds further tools.
        Some("namespace") => {
            let tools = tool.get("tools").and_then(JsonValue::as_array);
            tools
                .into_iter()
                .flatten()
                .for_each(|tool| offer(tool, offered));
        }
        _ => {}
    }
}
