use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{Format, How, Place, name, stream, text, unread, with, word};
use crate::aws;

pub(super) fn format() -> Format {
    Format {
        name: "bedrock_converse",
        path: "/model/anthropic.claude-v1/converse",
        stream_path: "/model/anthropic.claude-v1/converse-stream",
        content_type: "application/vnd.amazon.eventstream",
        ask: |_| json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}]}),
        write: |records| {
            let messages = records.iter().map(|record| {
                let (kind, payload) = record.as_object().unwrap().iter().next().unwrap();
                aws::event(kind, payload)
            });
            Bytes::from(messages.collect::<Vec<_>>().concat())
        },
        requests: requests(),
        replies: replies(),
        records: records(),
    }
}

/// Anthropic's body, streamed in chunks of AWS event stream.
pub(super) fn invoke() -> Format {
    Format {
        name: "anthropic over invoke",
        path: "/model/us.anthropic.claude-v1/invoke",
        stream_path: "/model/us.anthropic.claude-v1/invoke-with-response-stream",
        content_type: "application/vnd.amazon.eventstream",
        ask: |_| json!({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}),
        write: |records| {
            let messages = records.iter().map(|record| {
                let bytes = STANDARD.encode(record.to_string());
                aws::event("chunk", &json!({"bytes": bytes, "p": "abcdefgh"}))
            });
            Bytes::from(messages.collect::<Vec<_>>().concat())
        },
        requests: Vec::new(),
        replies: Vec::new(),
        ..super::anthropic::format()
    }
}

/// Blocks of the assistant's, which come in replies and are sent again in requests.
fn own() -> Vec<(&'static str, How, Value)> {
    let text = |name, block| (name, How::Text, block);
    let word = |name, block| (name, How::Word, block);
    let cited = |citation: Value| json!({"citationsContent": {"content": [{"text": "so"}], "citations": [citation]}});
    vec![
        text("text", json!({"text": "MARK"})),
        text(
            "a thought",
            json!({"reasoningContent": {"reasoningText": {"text": "MARK", "signature": "AAAA"}}}),
        ),
        word(
            "a thought's signature",
            json!({"reasoningContent": {"reasoningText": {"text": "t", "signature": "MARK"}}}),
        ),
        text(
            "a call's input",
            json!({"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": ["MARK"]}}}),
        ),
        word(
            "a key of a call's input",
            json!({"toolUse": {"toolUseId": "t", "name": "f", "input": {"MARK": 1}}}),
        ),
        word(
            "a call's name",
            json!({"toolUse": {"toolUseId": "t", "name": "MARK", "input": {}}}),
        ),
        word(
            "a call's id",
            json!({"toolUse": {"toolUseId": "MARK", "name": "f", "input": {}}}),
        ),
        text(
            "a server's call",
            json!({"toolUse": {"toolUseId": "t", "name": "f", "type": "server_tool_use", "input": {"a": "MARK"}}}),
        ),
        text(
            "cited text",
            json!({"citationsContent": {"content": [{"text": "MARK"}], "citations": []}}),
        ),
        text("a citation's title", cited(json!({"title": "MARK"}))),
        text("a citation's source", cited(json!({"source": "MARK"}))),
        text(
            "a cited passage",
            cited(json!({"sourceContent": [{"text": "MARK"}]})),
        ),
        text(
            "a tool's result",
            json!({"toolResult": {"toolUseId": "t", "content": [{"text": "MARK"}]}}),
        ),
        text(
            "a tool's result as JSON",
            json!({"toolResult": {"toolUseId": "t", "content": [{"json": {"a": ["MARK"]}}]}}),
        ),
        text(
            "a search result",
            json!({"searchResult": {"source": "s", "title": "t", "content": [{"text": "MARK"}]}}),
        ),
        text(
            "a search result's title",
            json!({"searchResult": {"source": "s", "title": "MARK", "content": []}}),
        ),
        text(
            "a sound's error",
            json!({"audio": {"format": "wav", "error": {"message": "MARK"}}}),
        ),
        text(
            "a kind that is not known",
            json!({"novelty": {"deep": ["MARK"]}}),
        ),
    ]
}

fn request(message: Value) -> Value {
    json!({"messages": [message]})
}

fn requests() -> Vec<Place> {
    let user = |block: Value| request(json!({"role": "user", "content": [block]}));
    let top = |more: Value| with(user(json!({"text": "hi"})), &more);
    let document = |more: Value| {
        user(
            json!({"document": with(json!({"format": "txt", "name": "d", "source": {"text": "x"}}), &more)}),
        )
    };
    let mut places = vec![
        text(
            "a string as content",
            request(json!({"role": "user", "content": "MARK"})),
        ),
        text(
            "one block",
            request(json!({"role": "user", "content": {"text": "MARK"}})),
        ),
        text(
            "guarded text",
            user(json!({"guardContent": {"text": {"text": "MARK", "qualifiers": ["query"]}}})),
        ),
        name("a document's name", document(json!({"name": "MARK"}))),
        text("a document's context", document(json!({"context": "MARK"}))),
        text(
            "a document's text",
            document(json!({"source": {"text": "MARK"}})),
        ),
        text(
            "a document in blocks",
            document(json!({"source": {"content": [{"text": "MARK"}]}})),
        ),
        word(
            "a document's address",
            document(json!({"source": {"s3Location": {"uri": "s3://a/MARK"}}})),
        ),
        text(
            "a document in a result",
            user(
                json!({"toolResult": {"toolUseId": "t", "content": [{"document": {"format": "txt", "name": "d", "source": {"text": "MARK"}}}]}}),
            ),
        ),
        text(
            "a search result in a result",
            user(
                json!({"toolResult": {"toolUseId": "t", "content": [{"searchResult": {"source": "s", "title": "t", "content": [{"text": "MARK"}]}}]}}),
            ),
        ),
        word(
            "a result's call",
            user(json!({"toolResult": {"toolUseId": "MARK", "content": [{"text": "x"}]}})),
        ),
        text(
            "an added tool",
            user(
                json!({"toolAddition": {"tool": {"toolSpec": {"name": "f", "description": "MARK"}}}}),
            ),
        ),
        text(
            "a prompt's variable",
            top(json!({"promptVariables": {"a": {"text": "MARK"}}})),
        ),
        text(
            "what goes to the model",
            top(json!({"additionalModelRequestFields": {"a": {"b": "MARK"}}})),
        ),
        text("an unknown key", top(json!({"notes": {"a": "MARK"}}))),
        text(
            "an unknown key of a message",
            request(json!({"role": "user", "content": [{"text": "hi"}], "notes": "MARK"})),
        ),
        unread("system", top(json!({"system": [{"text": "MARK"}]}))),
        unread(
            "tools",
            top(
                json!({"toolConfig": {"tools": [{"toolSpec": {"name": "f", "description": "MARK"}}]}}),
            ),
        ),
        unread(
            "requestMetadata",
            top(json!({"requestMetadata": {"a": "MARK"}})),
        ),
    ];
    places.extend(own().into_iter().map(|(name, how, block)| {
        let body = request(json!({"role": "assistant", "content": [block]}));
        Place { name, how, body }
    }));
    places
}

fn reply(blocks: &Value, more: &Value) -> Value {
    with(
        json!({"output": {"message": {"role": "assistant", "content": blocks}}, "stopReason": "end_turn", "usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}, "metrics": {"latencyMs": 5}}),
        more,
    )
}

fn replies() -> Vec<Place> {
    let top = |more: Value| reply(&json!([{"text": "so"}]), &more);
    let mut places = vec![
        text(
            "what the model added",
            top(json!({"additionalModelResponseFields": {"a": "MARK"}})),
        ),
        text(
            "what a guardrail blocked",
            top(json!({"trace": {"guardrail": {"modelOutput": ["MARK"]}}})),
        ),
        text("an unknown key", top(json!({"notes": "MARK"}))),
        text("an error", json!({"message": "MARK"})),
    ];
    places.extend(own().into_iter().map(|(name, how, block)| {
        let body = reply(&json!([block]), &json!({}));
        Place { name, how, body }
    }));
    places
}

fn ended(records: &[Value]) -> Value {
    let mut all = vec![json!({"messageStart": {"role": "assistant"}})];
    all.extend_from_slice(records);
    all.push(json!({"messageStop": {"stopReason": "end_turn"}}));
    all.push(json!({"metadata": {"usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}, "metrics": {"latencyMs": 5}}}));
    stream(&all)
}

fn records() -> Vec<Place> {
    let delta = |delta: Value| json!({"contentBlockDelta": {"contentBlockIndex": 0, "delta": delta, "p": "abcdefghij"}});
    let stop = json!({"contentBlockStop": {"contentBlockIndex": 0}});
    let one = |more: Value| ended(&[delta(more), stop.clone()]);
    let two = |first: Value, second: Value| ended(&[delta(first), delta(second), stop.clone()]);
    let start =
        |start: Value| json!({"contentBlockStart": {"contentBlockIndex": 0, "start": start}});
    let begun = json!({"toolUse": {"toolUseId": "t", "name": "f"}});
    vec![
        text(
            "text",
            two(json!({"text": "MAR1"}), json!({"text": "MAR2"})),
        ),
        text(
            "a thought",
            two(
                json!({"reasoningContent": {"text": "MAR1"}}),
                json!({"reasoningContent": {"text": "MAR2"}}),
            ),
        ),
        word(
            "a signature",
            one(json!({"reasoningContent": {"signature": "MARK"}})),
        ),
        text(
            "a call's arguments",
            ended(&[
                start(begun),
                delta(json!({"toolUse": {"input": "{\"a\":\"MAR1"}})),
                delta(json!({"toolUse": {"input": "MAR2\"}"}})),
                stop.clone(),
            ]),
        ),
        word(
            "a call's name",
            ended(&[
                start(json!({"toolUse": {"toolUseId": "t", "name": "MARK"}})),
                stop.clone(),
            ]),
        ),
        text("a result", one(json!({"toolResult": [{"text": "MARK"}]}))),
        text(
            "a result as JSON",
            one(json!({"toolResult": [{"json": {"a": "MARK"}}]})),
        ),
        text(
            "a citation",
            one(json!({"citation": {"title": "MARK", "sourceContent": [{"text": "x"}]}})),
        ),
        text(
            "a cited passage",
            one(json!({"citation": {"title": "t", "sourceContent": [{"text": "MARK"}]}})),
        ),
        text("a delta that is not known", one(json!({"novelty": "MARK"}))),
        text(
            "padding that is none",
            ended(&[
                json!({"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "so"}, "notes": "MARK"}}),
                stop.clone(),
            ]),
        ),
        text(
            "what the model added",
            stream(&[
                json!({"messageStart": {"role": "assistant"}}),
                json!({"messageStop": {"stopReason": "end_turn", "additionalModelResponseFields": {"a": "MARK"}}}),
            ]),
        ),
        text(
            "a record that is not known",
            ended(&[json!({"novelty": {"a": "MARK"}})]),
        ),
        text(
            "an exception",
            stream(&[json!({"modelStreamErrorException": {"message": "MARK"}})]),
        ),
    ]
}
