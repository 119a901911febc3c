use serde_json::{Value, json};

use super::{Format, How, Place, named_events, stream, text, unread, with, word};

pub(super) fn format() -> Format {
    Format {
        name: "anthropic_messages",
        path: "/v1/messages",
        stream_path: "/v1/messages",
        content_type: "text/event-stream",
        ask: |stream| json!({"model": "claude", "max_tokens": 9, "stream": stream, "messages": [{"role": "user", "content": "hi"}]}),
        write: named_events,
        requests: requests(),
        replies: replies(),
        records: records(),
    }
}

/// Blocks of the server's tools, which come in replies and are sent again in requests.
fn results() -> Vec<(&'static str, How, Value)> {
    let result = |kind: &str, content: Value| json!({"type": kind, "tool_use_id": "srv_1", "content": content});
    let text = |name, block| (name, How::Text, block);
    let word = |name, block| (name, How::Word, block);
    vec![
        text(
            "a search's title",
            result(
                "web_search_tool_result",
                json!([{"type": "web_search_result", "title": "MARK", "url": "https://a.b", "page_age": null, "encrypted_content": "AAAA"}]),
            ),
        ),
        text(
            "a search's address",
            result(
                "web_search_tool_result",
                json!([{"type": "web_search_result", "title": "t", "url": "MARK", "encrypted_content": "AAAA"}]),
            ),
        ),
        text(
            "a page's text",
            result(
                "web_fetch_tool_result",
                json!({"type": "web_fetch_result", "url": "https://a.b", "content": {"type": "document", "title": "t", "source": {"type": "text", "media_type": "text/plain", "data": "MARK"}}}),
            ),
        ),
        text(
            "a page's title",
            result(
                "web_fetch_tool_result",
                json!({"type": "web_fetch_result", "url": "https://a.b", "content": {"type": "document", "title": "MARK", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}}),
            ),
        ),
        text(
            "a program's output",
            result(
                "code_execution_tool_result",
                json!({"type": "code_execution_result", "stdout": "MARK", "stderr": "", "return_code": 0, "content": []}),
            ),
        ),
        text(
            "a program's errors",
            result(
                "code_execution_tool_result",
                json!({"type": "code_execution_result", "stdout": "", "stderr": "MARK", "return_code": 0, "content": []}),
            ),
        ),
        text(
            "a program's errors beside what is encrypted",
            result(
                "code_execution_tool_result",
                json!({"type": "encrypted_code_execution_result", "encrypted_stdout": "AAAA", "stderr": "MARK", "return_code": 0, "content": []}),
            ),
        ),
        text(
            "a shell's output",
            result(
                "bash_code_execution_tool_result",
                json!({"type": "bash_code_execution_result", "stdout": "MARK", "stderr": "", "return_code": 0, "content": []}),
            ),
        ),
        text(
            "a file's content",
            result(
                "text_editor_code_execution_tool_result",
                json!({"type": "text_editor_code_execution_view_result", "file_type": "text", "content": "MARK", "num_lines": 1}),
            ),
        ),
        text(
            "a file's lines",
            result(
                "text_editor_code_execution_tool_result",
                json!({"type": "text_editor_code_execution_str_replace_result", "lines": ["MARK"], "old_start": 1}),
            ),
        ),
        text(
            "found tools",
            result(
                "tool_search_tool_result",
                json!({"type": "tool_search_tool_search_result", "tool_references": [{"type": "tool_reference", "tool_name": "MARK"}]}),
            ),
        ),
        text(
            "an MCP tool's result",
            result("mcp_tool_result", json!([{"type": "text", "text": "MARK"}])),
        ),
        text(
            "an MCP tool's result as a string",
            result("mcp_tool_result", json!("MARK")),
        ),
        text(
            "an MCP server's tools",
            json!({"type": "mcp_tool_listing", "server_name": "s", "tools": [{"name": "f", "description": "MARK"}]}),
        ),
        text(
            "an advisor's result",
            result(
                "advisor_tool_result",
                json!({"type": "advisor_result", "text": "MARK"}),
            ),
        ),
        word(
            "a result's call",
            json!({"type": "web_search_tool_result", "tool_use_id": "MARK", "content": []}),
        ),
    ]
}

/// Blocks of the assistant's.
fn own() -> Vec<(&'static str, How, Value)> {
    let text = |name, block| (name, How::Text, block);
    let word = |name, block| (name, How::Word, block);
    let cited = |citation: Value| json!({"type": "text", "text": "so", "citations": [citation]});
    vec![
        text("text", json!({"type": "text", "text": "MARK"})),
        text(
            "a cited passage",
            cited(
                json!({"type": "char_location", "cited_text": "MARK", "document_index": 0, "document_title": "t", "start_char_index": 0, "end_char_index": 1}),
            ),
        ),
        text(
            "a cited document's title",
            cited(
                json!({"type": "char_location", "cited_text": "c", "document_index": 0, "document_title": "MARK", "start_char_index": 0, "end_char_index": 1}),
            ),
        ),
        text(
            "a cited page's title",
            cited(
                json!({"type": "web_search_result_location", "cited_text": "c", "title": "MARK", "url": "https://a.b", "encrypted_index": "AAAA"}),
            ),
        ),
        text(
            "a cited page's address",
            cited(
                json!({"type": "web_search_result_location", "cited_text": "c", "title": "t", "url": "MARK", "encrypted_index": "AAAA"}),
            ),
        ),
        text(
            "a cited source",
            cited(
                json!({"type": "search_result_location", "cited_text": "c", "title": "t", "source": "MARK"}),
            ),
        ),
        text(
            "a thought",
            json!({"type": "thinking", "thinking": "MARK", "signature": "AAAA"}),
        ),
        word(
            "a thought's signature",
            json!({"type": "thinking", "thinking": "t", "signature": "MARK"}),
        ),
        word(
            "a hidden thought",
            json!({"type": "redacted_thinking", "data": "MARK"}),
        ),
        text(
            "a call's input",
            json!({"type": "tool_use", "id": "t", "name": "f", "input": {"a": ["MARK"]}}),
        ),
        word(
            "a call's name",
            json!({"type": "tool_use", "id": "t", "name": "MARK", "input": {}}),
        ),
        word(
            "a key of a call's input",
            json!({"type": "tool_use", "id": "t", "name": "f", "input": {"MARK": 1}}),
        ),
        text(
            "a server's call",
            json!({"type": "server_tool_use", "id": "t", "name": "web_search", "input": {"query": "MARK"}}),
        ),
        text(
            "an MCP call",
            json!({"type": "mcp_tool_use", "id": "t", "name": "f", "server_name": "s", "input": {"a": "MARK"}}),
        ),
        text(
            "a summary",
            json!({"type": "compaction", "content": "MARK", "encrypted_content": "AAAA"}),
        ),
        text(
            "a kind that is not known",
            json!({"type": "novelty", "novel": {"deep": ["MARK"]}}),
        ),
        text("a block without a type", json!({"text": "MARK"})),
    ]
}

fn request(message: Value) -> Value {
    json!({"model": "claude", "max_tokens": 9, "messages": [message]})
}

fn requests() -> Vec<Place> {
    let user = |content: Value| request(json!({"role": "user", "content": content}));
    let result = |content: Value| {
        user(json!([{"type": "tool_result", "tool_use_id": "t", "content": content}]))
    };
    let top = |more: Value| with(user(json!("hi")), &more);
    let document = |more: Value| {
        let document = json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "d"}});
        user(json!([with(document, &more)]))
    };
    let mut places = vec![
        text("content", user(json!("MARK"))),
        text("text", user(json!([{"type": "text", "text": "MARK"}]))),
        text("one block", user(json!({"type": "text", "text": "MARK"}))),
        text("a string among the blocks", user(json!(["MARK"]))),
        text(
            "a document",
            document(
                json!({"source": {"type": "text", "media_type": "text/plain", "data": "MARK"}}),
            ),
        ),
        text("a document's title", document(json!({"title": "MARK"}))),
        text("a document's context", document(json!({"context": "MARK"}))),
        text(
            "a document in blocks",
            document(
                json!({"source": {"type": "content", "content": [{"type": "text", "text": "MARK"}]}}),
            ),
        ),
        text(
            "a document in a string",
            document(json!({"source": {"type": "content", "content": "MARK"}})),
        ),
        word(
            "a document's address",
            document(json!({"source": {"type": "url", "url": "https://a.b/MARK"}})),
        ),
        word(
            "a document's file",
            document(json!({"source": {"type": "file", "file_id": "MARK"}})),
        ),
        text(
            "a search result",
            user(
                json!([{"type": "search_result", "title": "t", "source": "s", "content": [{"type": "text", "text": "MARK"}]}]),
            ),
        ),
        text(
            "a search result's title",
            user(json!([{"type": "search_result", "title": "MARK", "source": "s", "content": []}])),
        ),
        text(
            "a search result's source",
            user(json!([{"type": "search_result", "title": "t", "source": "MARK", "content": []}])),
        ),
        text("a tool's result", result(json!("MARK"))),
        text(
            "a tool's result in blocks",
            result(json!([{"type": "text", "text": "MARK"}])),
        ),
        text(
            "a document in a tool's result",
            result(
                json!([{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "MARK"}}]),
            ),
        ),
        text(
            "a search result in a tool's result",
            result(
                json!([{"type": "search_result", "title": "t", "source": "s", "content": [{"type": "text", "text": "MARK"}]}]),
            ),
        ),
        text(
            "a browser's tabs",
            result(
                json!([{"type": "browser_state", "tabs": [{"title": "MARK", "url": "https://a.b"}], "state_changes": []}]),
            ),
        ),
        text(
            "a browser's changes",
            result(json!([{"type": "browser_state", "tabs": [], "state_changes": ["MARK"]}])),
        ),
        text(
            "a reference to a tool",
            result(json!([{"type": "tool_reference", "tool_name": "MARK"}])),
        ),
        word(
            "a result's call",
            user(json!([{"type": "tool_result", "tool_use_id": "MARK", "content": "x"}])),
        ),
        text(
            "an unknown key of a message",
            request(json!({"role": "user", "content": "hi", "notes": "MARK"})),
        ),
        text("an unknown key", top(json!({"notes": {"a": "MARK"}}))),
        text(
            "an added tool",
            user(json!([{"type": "tool_addition", "tool": {"name": "f", "description": "MARK"}}])),
        ),
        unread("system", top(json!({"system": "MARK"}))),
        unread(
            "system in blocks",
            top(json!({"system": [{"type": "text", "text": "MARK"}]})),
        ),
        unread(
            "a system message",
            json!({"model": "claude", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}, {"role": "system", "content": "MARK"}, {"role": "user", "content": "hi"}]}),
        ),
        unread(
            "tools",
            top(json!({"tools": [{"name": "f", "description": "MARK", "input_schema": {}}]})),
        ),
        unread("metadata", top(json!({"metadata": {"user_id": "MARK"}}))),
        unread("stop_sequences", top(json!({"stop_sequences": ["MARK"]}))),
    ];
    let all = results().into_iter().chain(own());
    places.extend(all.map(|(name, how, block)| {
        let body = request(json!({"role": "assistant", "content": [block]}));
        Place { name, how, body }
    }));
    places
}

fn reply(content: &Value, more: &Value) -> Value {
    with(
        json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": content, "stop_reason": "end_turn", "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 2}}),
        more,
    )
}

fn replies() -> Vec<Place> {
    let top = |more: Value| reply(&json!([{"type": "text", "text": "so"}]), &more);
    let mut places = vec![
        text(
            "stop_details",
            top(
                json!({"stop_reason": "refusal", "stop_details": {"type": "refusal", "category": null, "explanation": "MARK"}}),
            ),
        ),
        text("stop_sequence", top(json!({"stop_sequence": "MARK"}))),
        text(
            "edits of the context",
            top(json!({"context_management": {"applied_edits": [{"type": "x", "note": "MARK"}]}})),
        ),
        text("an unknown key", top(json!({"notes": "MARK"}))),
        word("the model", top(json!({"model": "MARK"}))),
        text(
            "an error",
            json!({"type": "error", "error": {"type": "api_error", "message": "MARK"}}),
        ),
    ];
    let all = results().into_iter().chain(own());
    places.extend(all.map(|(name, how, block)| {
        let body = reply(&json!([block]), &json!({}));
        Place { name, how, body }
    }));
    places
}

fn events(records: &[Value]) -> Value {
    let message = with(reply(&json!([]), &json!({})), &json!({"stop_reason": null}));
    let mut all = vec![json!({"type": "message_start", "message": message})];
    all.extend_from_slice(records);
    all.push(json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": {"output_tokens": 2}}));
    all.push(json!({"type": "message_stop"}));
    stream(&all)
}

fn begun(block: &Value, deltas: &[Value]) -> Value {
    let mut records =
        vec![json!({"type": "content_block_start", "index": 0, "content_block": block})];
    records.extend(
        deltas
            .iter()
            .map(|delta| json!({"type": "content_block_delta", "index": 0, "delta": delta})),
    );
    records.push(json!({"type": "content_block_stop", "index": 0}));
    events(&records)
}

fn records() -> Vec<Place> {
    let plain = json!({"type": "text", "text": ""});
    let delta = |kind: &str, key: &str| {
        [
            json!({"type": kind, key: "MAR1"}),
            json!({"type": kind, key: "MAR2"}),
        ]
    };
    let input = [
        json!({"type": "input_json_delta", "partial_json": "{\"a\":\"MAR1"}),
        json!({"type": "input_json_delta", "partial_json": "MAR2\"}"}),
    ];
    let mut places = vec![
        text("text_delta", begun(&plain, &delta("text_delta", "text"))),
        text(
            "a block begins with text",
            begun(
                &json!({"type": "text", "text": "MAR1"}),
                &[json!({"type": "text_delta", "text": "MAR2"})],
            ),
        ),
        text(
            "thinking_delta",
            begun(
                &json!({"type": "thinking", "thinking": "", "signature": ""}),
                &delta("thinking_delta", "thinking"),
            ),
        ),
        word(
            "signature_delta",
            begun(
                &json!({"type": "thinking", "thinking": "", "signature": ""}),
                &[json!({"type": "signature_delta", "signature": "MARK"})],
            ),
        ),
        text(
            "input_json_delta",
            begun(
                &json!({"type": "tool_use", "id": "t", "name": "f", "input": {}}),
                &input,
            ),
        ),
        text(
            "a server's call",
            begun(
                &json!({"type": "server_tool_use", "id": "t", "name": "web_search", "input": {}}),
                &input,
            ),
        ),
        text(
            "citations_delta",
            begun(
                &plain,
                &[
                    json!({"type": "citations_delta", "citation": {"type": "char_location", "cited_text": "MARK", "document_index": 0}}),
                ],
            ),
        ),
        text(
            "compaction_delta",
            begun(
                &json!({"type": "compaction", "content": ""}),
                &delta("compaction_delta", "content"),
            ),
        ),
        text(
            "a delta that is not known",
            begun(&plain, &delta("novelty_delta", "novel")),
        ),
        text(
            "the message begins with text",
            stream(&[
                json!({"type": "message_start", "message": reply(&json!([{"type": "text", "text": "MARK"}]), &json!({}))}),
                json!({"type": "message_stop"}),
            ]),
        ),
        text(
            "stop_details",
            stream(&[
                json!({"type": "message_start", "message": reply(&json!([]), &json!({}))}),
                json!({"type": "message_delta", "delta": {"stop_reason": "refusal", "stop_details": {"type": "refusal", "explanation": "MARK"}}, "usage": {}}),
                json!({"type": "message_stop"}),
            ]),
        ),
        text(
            "edits of the context",
            stream(&[
                json!({"type": "message_start", "message": reply(&json!([]), &json!({}))}),
                json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "context_management": {"applied_edits": [{"note": "MARK"}]}, "usage": {}}),
                json!({"type": "message_stop"}),
            ]),
        ),
        text(
            "an error",
            stream(&[json!({"type": "error", "error": {"type": "api_error", "message": "MARK"}})]),
        ),
        text(
            "an event that is not known",
            events(&[json!({"type": "novelty", "novel": "MARK"})]),
        ),
        text(
            "an unknown key of a ping",
            events(&[json!({"type": "ping", "notes": "MARK"})]),
        ),
    ];
    for (name, how, block) in results().into_iter().chain(own()) {
        places.push(Place {
            name,
            how,
            body: begun(&block, &[]),
        });
    }
    places
}
