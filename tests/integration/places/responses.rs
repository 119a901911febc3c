use serde_json::{Value, json};

use super::{Format, How, Place, named_events, stream, text, unread, with, word};

pub(super) fn format() -> Format {
    Format {
        name: "openai_responses",
        path: "/v1/responses",
        stream_path: "/v1/responses",
        content_type: "text/event-stream",
        ask: |stream| json!({"model": "m", "stream": stream, "input": "hi"}),
        write: named_events,
        requests: requests(),
        replies: replies(),
        records: records(),
    }
}

fn item(item: Value) -> Value {
    json!({"model": "m", "input": [item]})
}

fn top(more: &Value) -> Value {
    with(json!({"model": "m", "input": "hi"}), more)
}

/// Items that come in replies and are sent again in requests, each with the kind of its text.
fn items() -> Vec<(&'static str, How, Value)> {
    let text = |name, item| (name, How::Text, item);
    let word = |name, item| (name, How::Word, item);
    vec![
        text(
            "a shell call's output",
            json!({"type": "shell_call_output", "call_id": "c", "output": [{"stdout": "MARK", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}]}),
        ),
        text(
            "a shell call's errors",
            json!({"type": "shell_call_output", "call_id": "c", "output": [{"stdout": "", "stderr": "MARK"}]}),
        ),
        text(
            "a local shell's output",
            json!({"type": "local_shell_call_output", "id": "c", "output": "MARK"}),
        ),
        text(
            "a patch's output",
            json!({"type": "apply_patch_call_output", "call_id": "c", "status": "completed", "output": "MARK"}),
        ),
        text(
            "a program's output",
            json!({"type": "program_output", "call_id": "c", "result": "MARK"}),
        ),
        text(
            "a computer's safety check",
            json!({"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot", "image_url": "https://a.b"}, "acknowledged_safety_checks": [{"id": "s", "message": "MARK"}]}),
        ),
        text(
            "a file's passage",
            json!({"type": "file_search_call", "id": "f", "queries": ["q"], "results": [{"text": "MARK", "filename": "a", "attributes": {}}]}),
        ),
        text(
            "a file's name",
            json!({"type": "file_search_call", "id": "f", "queries": ["q"], "results": [{"text": "t", "filename": "MARK"}]}),
        ),
        text(
            "a file's attribute",
            json!({"type": "file_search_call", "id": "f", "queries": ["q"], "results": [{"text": "t", "attributes": {"a": "MARK"}}]}),
        ),
        text(
            "a file search's query",
            json!({"type": "file_search_call", "id": "f", "queries": ["MARK"]}),
        ),
        text(
            "a web search",
            json!({"type": "web_search_call", "id": "w", "status": "completed", "action": {"type": "search", "query": "MARK", "queries": ["a"]}}),
        ),
        text(
            "a pattern",
            json!({"type": "web_search_call", "id": "w", "status": "completed", "action": {"type": "find_in_page", "url": "https://a.b", "pattern": "MARK"}}),
        ),
        text(
            "a code's logs",
            json!({"type": "code_interpreter_call", "id": "c", "code": "x", "outputs": [{"type": "logs", "logs": "MARK"}]}),
        ),
        text(
            "code",
            json!({"type": "code_interpreter_call", "id": "c", "code": "MARK", "outputs": []}),
        ),
        text(
            "a tool's description",
            json!({"type": "mcp_list_tools", "id": "l", "server_label": "s", "tools": [{"name": "f", "description": "MARK", "input_schema": {}}]}),
        ),
        text(
            "a tool's schema",
            json!({"type": "mcp_list_tools", "id": "l", "server_label": "s", "tools": [{"name": "f", "input_schema": {"a": {"description": "MARK"}}}]}),
        ),
        text(
            "a list's error",
            json!({"type": "mcp_list_tools", "id": "l", "server_label": "s", "tools": [], "error": "MARK"}),
        ),
        text(
            "an MCP call's output",
            json!({"type": "mcp_call", "id": "m", "server_label": "s", "name": "f", "arguments": "{}", "output": "MARK"}),
        ),
        text(
            "an MCP call's error",
            json!({"type": "mcp_call", "id": "m", "server_label": "s", "name": "f", "arguments": "{}", "error": {"type": "x", "message": "MARK"}}),
        ),
        text(
            "an MCP call's arguments",
            json!({"type": "mcp_call", "id": "m", "server_label": "s", "name": "f", "arguments": "{\"a\":\"MARK\"}"}),
        ),
        text(
            "found tools",
            json!({"type": "tool_search_output", "call_id": "t", "tools": [{"type": "function", "name": "f", "description": "MARK"}]}),
        ),
        text(
            "a kind that is not known",
            json!({"type": "novelty", "novel": {"deep": ["MARK"]}}),
        ),
        word(
            "an item's id",
            json!({"type": "mcp_call", "id": "MARK", "server_label": "s", "name": "f", "arguments": "{}"}),
        ),
    ]
}

/// Items of the assistant's, which a request has last.
fn own_items() -> Vec<(&'static str, How, Value)> {
    let text = |name, item| (name, How::Text, item);
    let word = |name, item| (name, How::Word, item);
    vec![
        text(
            "a call's arguments",
            json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{\"a\":\"MARK\"}"}),
        ),
        word(
            "a call's name",
            json!({"type": "function_call", "call_id": "c", "name": "MARK", "arguments": "{}"}),
        ),
        text(
            "a call's namespace",
            json!({"type": "function_call", "call_id": "c", "name": "f", "namespace": "MARK", "arguments": "{}"}),
        ),
        text(
            "a custom call's input",
            json!({"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "MARK"}),
        ),
        text(
            "a shell's command",
            json!({"type": "shell_call", "call_id": "c", "action": {"commands": ["MARK"]}}),
        ),
        text(
            "a local shell's command",
            json!({"type": "local_shell_call", "call_id": "c", "action": {"type": "exec", "command": ["MARK"], "env": {}}}),
        ),
        text(
            "a local shell's surroundings",
            json!({"type": "local_shell_call", "call_id": "c", "action": {"type": "exec", "command": [], "env": {"A": "MARK"}}}),
        ),
        text(
            "a patch",
            json!({"type": "apply_patch_call", "call_id": "c", "operation": {"type": "update_file", "path": "a", "diff": "MARK"}}),
        ),
        text(
            "a patch's path",
            json!({"type": "apply_patch_call", "call_id": "c", "operation": {"type": "update_file", "path": "MARK", "diff": "d"}}),
        ),
        text(
            "a program",
            json!({"type": "program", "code": "MARK", "fingerprint": "AAAA"}),
        ),
        text(
            "what a computer types",
            json!({"type": "computer_call", "call_id": "c", "action": {"type": "type", "text": "MARK"}}),
        ),
        text(
            "a computer's keys",
            json!({"type": "computer_call", "call_id": "c", "actions": [{"type": "keypress", "keys": ["MARK"]}]}),
        ),
        text(
            "a picture's prompt",
            json!({"type": "image_generation_call", "id": "i", "status": "completed", "result": "iVBORw0KGgo=", "revised_prompt": "MARK"}),
        ),
        text(
            "a picture's error",
            json!({"type": "image_generation_call", "id": "i", "status": "failed", "error": {"message": "MARK"}}),
        ),
        text(
            "an approval's arguments",
            json!({"type": "mcp_approval_request", "id": "a", "server_label": "s", "name": "f", "arguments": "{\"a\":\"MARK\"}"}),
        ),
        text(
            "a search for tools",
            json!({"type": "tool_search_call", "call_id": "t", "arguments": {"q": "MARK"}}),
        ),
        text(
            "a thought",
            json!({"type": "reasoning", "id": "r", "summary": [], "content": [{"type": "reasoning_text", "text": "MARK"}]}),
        ),
        text(
            "a thought's summary",
            json!({"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "MARK"}]}),
        ),
        text(
            "a call to an agent",
            json!({"type": "multi_agent_call", "call_id": "c", "action": "spawn", "arguments": "{\"a\":\"MARK\"}"}),
        ),
        text(
            "an agent's output",
            json!({"type": "multi_agent_call_output", "call_id": "c", "output": [{"type": "text", "text": "MARK"}]}),
        ),
        text(
            "an agent's name",
            json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "agent": {"agent_name": "MARK"}}),
        ),
    ]
}

fn requests() -> Vec<Place> {
    let message =
        |content: Value| item(json!({"type": "message", "role": "user", "content": content}));
    let spoken =
        |content: Value| item(json!({"type": "message", "role": "assistant", "content": content}));
    let mut places = vec![
        text("input", json!({"model": "m", "input": "MARK"})),
        text(
            "one item",
            json!({"model": "m", "input": {"role": "user", "content": "MARK"}}),
        ),
        text(
            "a string among the items",
            json!({"model": "m", "input": ["MARK"]}),
        ),
        text("a message", message(json!("MARK"))),
        text(
            "an easy message",
            item(json!({"role": "user", "content": "MARK"})),
        ),
        text(
            "input_text",
            message(json!([{"type": "input_text", "text": "MARK"}])),
        ),
        text(
            "a file's name",
            message(json!([{"type": "input_file", "filename": "MARK", "file_id": "file-1"}])),
        ),
        word(
            "a file's address",
            message(json!([{"type": "input_file", "file_url": "https://a.b/MARK"}])),
        ),
        word(
            "a file's id",
            message(json!([{"type": "input_file", "file_id": "MARK"}])),
        ),
        word(
            "a picture's address",
            message(json!([{"type": "input_image", "image_url": "https://a.b/MARK"}])),
        ),
        text(
            "a prefill",
            spoken(json!([{"type": "output_text", "text": "MARK"}])),
        ),
        text(
            "a refusal",
            spoken(json!([{"type": "refusal", "refusal": "MARK"}])),
        ),
        text(
            "an unknown part",
            message(json!([{"type": "note", "note": ["MARK"]}])),
        ),
        text(
            "a function's result",
            item(json!({"type": "function_call_output", "call_id": "c", "output": "MARK"})),
        ),
        text(
            "a function's result in parts",
            item(
                json!({"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "MARK"}]}),
            ),
        ),
        text(
            "a custom result",
            item(json!({"type": "custom_tool_call_output", "call_id": "c", "output": "MARK"})),
        ),
        word(
            "a call's id",
            item(json!({"type": "function_call_output", "call_id": "MARK", "output": "x"})),
        ),
        text(
            "an approval's reason",
            item(
                json!({"type": "mcp_approval_response", "approval_request_id": "a", "approve": false, "reason": "MARK"}),
            ),
        ),
        text(
            "further tools",
            item(
                json!({"type": "additional_tools", "role": "user", "tools": [{"type": "function", "name": "f", "description": "MARK"}]}),
            ),
        ),
        text(
            "an agent's message",
            item(
                json!({"type": "agent_message", "author": "a", "recipient": "b", "content": [{"type": "input_text", "text": "MARK"}]}),
            ),
        ),
        word(
            "a reference",
            item(json!({"type": "item_reference", "id": "MARK"})),
        ),
        word(
            "encrypted thoughts",
            item(json!({"type": "compaction", "encrypted_content": "MARK"})),
        ),
        text(
            "a prompt's variable",
            top(&json!({"prompt": {"id": "p", "variables": {"a": "MARK"}}})),
        ),
        text(
            "a prompt's variable in a part",
            top(
                &json!({"prompt": {"id": "p", "variables": {"a": {"type": "input_text", "text": "MARK"}}}}),
            ),
        ),
        text("an unknown key", top(&json!({"notes": {"a": "MARK"}}))),
        unread("instructions", top(&json!({"instructions": "MARK"}))),
        unread(
            "tools",
            top(&json!({"tools": [{"type": "function", "name": "f", "description": "MARK"}]})),
        ),
        unread("metadata", top(&json!({"metadata": {"a": "MARK"}}))),
        unread("user", top(&json!({"user": "MARK"}))),
    ];
    let all = items().into_iter().chain(own_items());
    places.extend(all.map(|(name, how, one)| Place {
        name,
        how,
        body: item(one),
    }));
    places
}

fn reply(output: &Value, top: &Value) -> Value {
    with(
        json!({"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m", "output": output, "error": null, "incomplete_details": null}),
        top,
    )
}

fn message(part: &Value) -> Value {
    let part = with(
        json!({"type": "output_text", "text": "so", "annotations": []}),
        part,
    );
    json!([{"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}])
}

fn replies() -> Vec<Place> {
    let said = |part: Value| reply(&message(&part), &json!({}));
    let top = |more: Value| reply(&message(&json!({})), &more);
    let mut places = vec![
        text("output_text", said(json!({"text": "MARK"}))),
        text(
            "a refusal",
            said(json!({"type": "refusal", "refusal": "MARK"})),
        ),
        text(
            "a citation's title",
            said(
                json!({"annotations": [{"type": "url_citation", "title": "MARK", "url": "https://a.b"}]}),
            ),
        ),
        text(
            "a citation's address",
            said(json!({"annotations": [{"type": "url_citation", "title": "t", "url": "MARK"}]})),
        ),
        text(
            "a citation's file",
            said(
                json!({"annotations": [{"type": "file_citation", "filename": "MARK", "file_id": "f"}]}),
            ),
        ),
        word(
            "a token",
            said(
                json!({"logprobs": [{"token": "MARK", "logprob": -1.0, "bytes": [1], "top_logprobs": []}]}),
            ),
        ),
        word(
            "another token",
            said(json!({"logprobs": [{"token": "so", "top_logprobs": [{"token": "MARK"}]}]})),
        ),
        text("the texts joined", top(json!({"output_text": "MARK"}))),
        word("instructions", top(json!({"instructions": "MARK"}))),
        word(
            "a prompt's variables",
            top(json!({"prompt": {"id": "p", "variables": {"a": "MARK"}}})),
        ),
        word(
            "tools",
            top(json!({"tools": [{"type": "function", "name": "f", "description": "MARK"}]})),
        ),
        word("metadata", top(json!({"metadata": {"a": "MARK"}}))),
        word("a key of metadata", top(json!({"metadata": {"MARK": "a"}}))),
        text(
            "an error",
            top(json!({"status": "failed", "error": {"code": "x", "message": "MARK"}})),
        ),
        text(
            "a misalignment",
            top(
                json!({"error": {"code": "x", "message": "m", "misalignment": {"detailed_explanation": "MARK", "steer": {"message": "m"}}}}),
            ),
        ),
        text(
            "a steer",
            top(
                json!({"error": {"code": "x", "message": "m", "misalignment": {"steer": {"message": "MARK"}}}}),
            ),
        ),
        text(
            "moderation",
            top(
                json!({"moderation": {"input": {"type": "error", "code": "c", "message": "MARK"}}}),
            ),
        ),
        text("an unknown key", top(json!({"notes": "MARK"}))),
        word("the model", top(json!({"model": "MARK"}))),
        text(
            "an error alone",
            json!({"error": {"message": "MARK", "code": "x"}}),
        ),
        text(
            "stored items",
            json!({"object": "list", "data": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "MARK"}]}]}),
        ),
    ];
    let all = items().into_iter().chain(own_items());
    places.extend(all.map(|(name, how, one)| Place {
        name,
        how,
        body: reply(&json!([one]), &json!({})),
    }));
    places
}

fn numbered(records: Vec<Value>) -> Value {
    let mut first = vec![
        json!({"type": "response.created", "response": with(reply(&json!([]), &json!({})), &json!({"status": "in_progress"}))}),
    ];
    first.extend(records);
    first.push(
        json!({"type": "response.completed", "response": reply(&message(&json!({})), &json!({}))}),
    );
    for (number, record) in first.iter_mut().enumerate() {
        record["sequence_number"] = number.into();
    }
    stream(&first)
}

fn records() -> Vec<Place> {
    let place = json!({"item_id": "i", "output_index": 0, "content_index": 0, "summary_index": 0, "command_index": 0});
    let event = |kind: &str, more: Value| with(with(json!({"type": kind}), &place), &more);
    let deltas = |kind: &str| {
        let kind = format!("response.{kind}.delta");
        numbered(vec![
            event(&kind, json!({"delta": "MAR1"})),
            event(&kind, json!({"delta": "MAR2"})),
        ])
    };
    let done = |kind: &str, key: &str| {
        numbered(vec![event(
            &format!("response.{kind}.done"),
            json!({key: "MARK"}),
        )])
    };
    let one = |kind: &str, more: Value| numbered(vec![event(kind, more)]);
    let part = |kind: &str| json!({"part": {"type": kind, "text": "MARK", "refusal": "MARK"}});
    let mut places = vec![
        text("output_text", deltas("output_text")),
        text("output_text, done", done("output_text", "text")),
        text("refusal", deltas("refusal")),
        text("refusal, done", done("refusal", "refusal")),
        text("reasoning_text", deltas("reasoning_text")),
        text("reasoning_text, done", done("reasoning_text", "text")),
        text("reasoning_summary_text", deltas("reasoning_summary_text")),
        text(
            "reasoning_summary_text, done",
            done("reasoning_summary_text", "text"),
        ),
        text("function_call_arguments", deltas("function_call_arguments")),
        text(
            "function_call_arguments, done",
            done("function_call_arguments", "arguments"),
        ),
        text("custom_tool_call_input", deltas("custom_tool_call_input")),
        text(
            "custom_tool_call_input, done",
            done("custom_tool_call_input", "input"),
        ),
        text("mcp_call_arguments", deltas("mcp_call_arguments")),
        text(
            "mcp_call_arguments, done",
            done("mcp_call_arguments", "arguments"),
        ),
        text(
            "code_interpreter_call_code",
            deltas("code_interpreter_call_code"),
        ),
        text(
            "code_interpreter_call_code, done",
            done("code_interpreter_call_code", "code"),
        ),
        text("shell_call_command", deltas("shell_call_command")),
        text(
            "shell_call_command, done",
            done("shell_call_command", "command"),
        ),
        text(
            "shell_call_command, added",
            one(
                "response.shell_call_command.added",
                json!({"command": "MARK"}),
            ),
        ),
        text("audio.transcript", deltas("audio.transcript")),
        text(
            "a shell's output",
            numbered(vec![
                event(
                    "response.shell_call_output_content.delta",
                    json!({"delta": {"stdout": "MAR1"}}),
                ),
                event(
                    "response.shell_call_output_content.delta",
                    json!({"delta": {"stdout": "MAR2"}}),
                ),
            ]),
        ),
        text(
            "a shell's output, done",
            one(
                "response.shell_call_output_content.done",
                json!({"output": [{"stdout": "", "stderr": "MARK"}]}),
            ),
        ),
        text(
            "a part begins with text",
            one("response.content_part.added", part("output_text")),
        ),
        text(
            "a part ends",
            one("response.content_part.done", part("output_text")),
        ),
        text(
            "a thought's part ends",
            one("response.content_part.done", part("reasoning_text")),
        ),
        text(
            "a summary's part ends",
            one(
                "response.reasoning_summary_part.done",
                json!({"part": {"type": "summary_text", "text": "MARK"}}),
            ),
        ),
        text(
            "an annotation",
            one(
                "response.output_text.annotation.added",
                json!({"annotation": {"type": "url_citation", "title": "MARK", "url": "https://a.b"}}),
            ),
        ),
        word(
            "tokens",
            one(
                "response.output_text.delta",
                json!({"delta": "", "logprobs": [{"token": "MARK"}]}),
            ),
        ),
        text(
            "a steer that failed",
            one(
                "response.steer.failed",
                json!({"error": {"message": "e"}, "steer": {"input": "MARK"}}),
            ),
        ),
        text(
            "an event that is not known",
            one("response.novelty.delta", json!({"delta": "MARK"})),
        ),
        text(
            "an unknown key",
            one(
                "response.output_text.delta",
                json!({"delta": "", "notes": "MARK"}),
            ),
        ),
        text(
            "an error",
            stream(&[
                json!({"type": "error", "sequence_number": 0, "code": "x", "message": "MARK", "param": null}),
            ]),
        ),
        text(
            "the reply at last",
            stream(&[
                json!({"type": "response.completed", "sequence_number": 0, "response": reply(&message(&json!({"text": "MARK"})), &json!({}))}),
            ]),
        ),
        text(
            "a failed reply",
            stream(&[
                json!({"type": "response.failed", "sequence_number": 0, "response": reply(&json!([]), &json!({"status": "failed", "error": {"code": "x", "message": "MARK"}}))}),
            ]),
        ),
        word(
            "instructions",
            stream(&[
                json!({"type": "response.created", "sequence_number": 0, "response": reply(&json!([]), &json!({"instructions": "MARK"}))}),
            ]),
        ),
    ];
    for (name, how, item) in items().into_iter().chain(own_items()) {
        for kind in ["response.output_item.added", "response.output_item.done"] {
            let body = one(kind, json!({"item": item.clone()}));
            places.push(Place { name, how, body });
        }
    }
    places
}
