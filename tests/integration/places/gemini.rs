use bytes::Bytes;
use serde_json::{Value, json};

use super::{Format, How, Place, events, stream, text, unread, with, word};

pub(super) fn format() -> Format {
    Format {
        name: "gemini",
        path: "/v1beta/models/g:generateContent",
        stream_path: "/v1beta/models/g:streamGenerateContent?alt=sse",
        content_type: "text/event-stream",
        ask: |_| json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
        write: events,
        requests: requests(),
        replies: replies(),
        records: records(),
    }
}

pub(super) fn array() -> Format {
    Format {
        name: "gemini, as an array",
        stream_path: "/v1beta/models/g:streamGenerateContent",
        content_type: "application/json",
        write: |records| Bytes::from(json!(records).to_string()),
        requests: Vec::new(),
        replies: Vec::new(),
        ..format()
    }
}

/// Parts that come in replies and are sent again in requests.
fn parts() -> Vec<(&'static str, How, Value)> {
    let text = |name, part| (name, How::Text, part);
    let word = |name, part| (name, How::Word, part);
    vec![
        text("text", json!({"text": "MARK"})),
        text(
            "a thought",
            json!({"text": "MARK", "thought": true, "thoughtSignature": "AAAA"}),
        ),
        word(
            "a thought's signature",
            json!({"text": "t", "thought": true, "thoughtSignature": "MARK"}),
        ),
        text(
            "a call's arguments",
            json!({"functionCall": {"name": "f", "args": {"a": ["MARK"]}}}),
        ),
        word(
            "a call's name",
            json!({"functionCall": {"name": "MARK", "args": {}}}),
        ),
        word(
            "a key of a call's arguments",
            json!({"functionCall": {"name": "f", "args": {"MARK": 1}}}),
        ),
        text(
            "a piece of arguments",
            json!({"functionCall": {"name": "f", "partialArgs": [{"jsonPath": "$.a", "stringValue": "MARK"}], "willContinue": false}}),
        ),
        text(
            "code",
            json!({"executableCode": {"language": "PYTHON", "code": "MARK"}}),
        ),
        text(
            "a program's output",
            json!({"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "MARK"}}),
        ),
        text(
            "a server's call",
            json!({"toolCall": {"toolType": "GOOGLE_SEARCH_WEB", "args": {"query": "MARK"}}}),
        ),
        text(
            "a server's result",
            json!({"toolResponse": {"toolType": "GOOGLE_SEARCH_WEB", "response": {"a": "MARK"}}}),
        ),
        text(
            "a transcription",
            json!({"inlineData": {"mimeType": "audio/wav", "data": "UklGRiQAAABXQVZFZm10IBAAAAABAAEA"}, "audioTranscription": {"text": "MARK"}}),
        ),
        text(
            "a part's metadata",
            json!({"text": "t", "partMetadata": {"a": "MARK"}}),
        ),
        text(
            "a kind that is not known",
            json!({"novelty": {"deep": ["MARK"]}}),
        ),
        word(
            "a call's id",
            json!({"functionCall": {"id": "MARK", "name": "f", "args": {}}}),
        ),
    ]
}

fn requests() -> Vec<Place> {
    let user = |parts: Value| json!({"contents": [{"role": "user", "parts": parts}]});
    let top = |more: Value| with(user(json!([{"text": "hi"}])), &more);
    let result = |more: Value| {
        let result = with(json!({"name": "f", "response": {}}), &more);
        user(json!([{"functionResponse": result}]))
    };
    let mut places = vec![
        text("one part", user(json!({"text": "MARK"}))),
        text("a string as a part", user(json!(["MARK"]))),
        text(
            "one message",
            json!({"contents": {"parts": [{"text": "MARK"}]}}),
        ),
        text("a message as a string", json!({"contents": "MARK"})),
        text("messages as strings", json!({"contents": ["MARK"]})),
        text(
            "a message as its part",
            json!({"contents": [{"text": "MARK"}]}),
        ),
        text(
            "no role",
            json!({"contents": [{"parts": [{"text": "MARK"}]}]}),
        ),
        text(
            "a result",
            result(json!({"response": {"a": {"b": ["MARK"]}}})),
        ),
        word("a result's key", result(json!({"response": {"MARK": 1}}))),
        text(
            "a result's parts",
            result(
                json!({"parts": [{"inlineData": {"mimeType": "text/plain", "displayName": "MARK", "data": "aGk="}}]}),
            ),
        ),
        text(
            "a result in snake case",
            user(json!([{"function_response": {"name": "f", "response": {"a": "MARK"}}}])),
        ),
        text(
            "a file of text",
            user(
                json!([{"inlineData": {"mimeType": "text/plain", "displayName": "MARK", "data": "aGk="}}]),
            ),
        ),
        word(
            "a file's address",
            user(json!([{"fileData": {"mimeType": "text/plain", "fileUri": "https://a.b/MARK"}}])),
        ),
        text(
            "an unknown key of a message",
            json!({"contents": [{"role": "user", "parts": [{"text": "hi"}], "notes": "MARK"}]}),
        ),
        text("an unknown key", top(json!({"notes": ["MARK"]}))),
        text(
            "a count's request",
            json!({"generateContentRequest": {"contents": [{"parts": [{"text": "MARK"}]}]}}),
        ),
        unread(
            "systemInstruction",
            top(json!({"systemInstruction": {"parts": [{"text": "MARK"}]}})),
        ),
        unread(
            "system_instruction",
            top(json!({"system_instruction": {"parts": [{"text": "MARK"}]}})),
        ),
        unread(
            "tools",
            top(
                json!({"tools": [{"functionDeclarations": [{"name": "f", "description": "MARK"}]}]}),
            ),
        ),
        unread(
            "a schema",
            top(json!({"generationConfig": {"responseSchema": {"description": "MARK"}}})),
        ),
        unread("labels", top(json!({"labels": {"a": "MARK"}}))),
    ];
    places.extend(parts().into_iter().map(|(name, how, part)| {
        let body = json!({"contents": [{"role": "model", "parts": [part]}]});
        Place { name, how, body }
    }));
    places
}

fn reply(parts: &Value, candidate: &Value, top: &Value) -> Value {
    let candidate = with(
        json!({"index": 0, "content": {"role": "model", "parts": parts}, "finishReason": "STOP"}),
        candidate,
    );
    with(
        json!({"candidates": [candidate], "usageMetadata": {"promptTokenCount": 1}, "modelVersion": "g"}),
        top,
    )
}

fn replies() -> Vec<Place> {
    let so = json!([{"text": "so"}]);
    let beside = |more: Value| reply(&so, &more, &json!({}));
    let top = |more: Value| reply(&so, &json!({}), &more);
    let grounding = |more: Value| beside(json!({"groundingMetadata": more}));
    let mut places = vec![
        text("finishMessage", beside(json!({"finishMessage": "MARK"}))),
        text(
            "a citation's title",
            beside(
                json!({"citationMetadata": {"citations": [{"title": "MARK", "uri": "https://a.b"}]}}),
            ),
        ),
        text(
            "a citation's address",
            beside(json!({"citationMetadata": {"citationSources": [{"uri": "MARK"}]}})),
        ),
        text(
            "webSearchQueries",
            grounding(json!({"webSearchQueries": ["MARK"]})),
        ),
        text(
            "retrievalQueries",
            grounding(json!({"retrievalQueries": ["MARK"]})),
        ),
        text(
            "a page's title",
            grounding(
                json!({"groundingChunks": [{"web": {"title": "MARK", "uri": "https://a.b", "domain": "a.b"}}]}),
            ),
        ),
        text(
            "a page's address",
            grounding(json!({"groundingChunks": [{"web": {"title": "t", "uri": "MARK"}}]})),
        ),
        text(
            "a passage",
            grounding(
                json!({"groundingChunks": [{"retrievedContext": {"text": "MARK", "title": "t"}}]}),
            ),
        ),
        text(
            "a grounded passage",
            grounding(
                json!({"groundingSupports": [{"segment": {"text": "MARK", "startIndex": 0}}]}),
            ),
        ),
        text(
            "a search's entry",
            grounding(json!({"searchEntryPoint": {"renderedContent": "<b>MARK</b>"}})),
        ),
        word(
            "a token",
            beside(
                json!({"logprobsResult": {"chosenCandidates": [{"token": "MARK", "logProbability": -1.0}]}}),
            ),
        ),
        word(
            "another token",
            beside(
                json!({"logprobsResult": {"topCandidates": [{"candidates": [{"token": "so"}, {"token": "MARK"}]}]}}),
            ),
        ),
        text(
            "urlContextMetadata",
            beside(json!({"urlContextMetadata": {"urlMetadata": [{"retrievedUrl": "MARK"}]}})),
        ),
        text(
            "blockReasonMessage",
            top(json!({"promptFeedback": {"blockReason": "SAFETY", "blockReasonMessage": "MARK"}})),
        ),
        text("an unknown key", top(json!({"notes": "MARK"}))),
        word("the model", top(json!({"modelVersion": "MARK"}))),
        text(
            "an error",
            json!({"error": {"code": 400, "message": "MARK", "status": "INVALID_ARGUMENT"}}),
        ),
        text(
            "a list of errors",
            json!([{"error": {"code": 400, "message": "MARK", "status": "INVALID_ARGUMENT"}}]),
        ),
    ];
    places.extend(parts().into_iter().map(|(name, how, part)| {
        let body = reply(&json!([part]), &json!({}), &json!({}));
        Place { name, how, body }
    }));
    places
}

fn records() -> Vec<Place> {
    let record =
        |parts: Value, finish: Value| reply(&parts, &json!({"finishReason": finish}), &json!({}));
    let ended = |records: &[Value]| {
        let mut all = records.to_vec();
        all.push(record(json!([{"text": ""}]), json!("STOP")));
        stream(&all)
    };
    let pieces = |one: Value, two: Value| {
        ended(&[
            record(json!([one]), Value::Null),
            record(json!([two]), Value::Null),
        ])
    };
    let argument = |text: &str| json!({"functionCall": {"name": "f", "partialArgs": [{"jsonPath": "$.a", "stringValue": text, "willContinue": true}], "willContinue": true}});
    let mut places = vec![
        text(
            "text in pieces",
            pieces(json!({"text": "MAR1"}), json!({"text": "MAR2"})),
        ),
        text(
            "a thought in pieces",
            pieces(
                json!({"text": "MAR1", "thought": true}),
                json!({"text": "MAR2", "thought": true}),
            ),
        ),
        text(
            "code in pieces",
            pieces(
                json!({"executableCode": {"code": "MAR1"}}),
                json!({"executableCode": {"code": "MAR2"}}),
            ),
        ),
        text(
            "an argument in pieces",
            pieces(argument("MAR1"), argument("MAR2")),
        ),
        text(
            "two parts of a record",
            ended(&[record(
                json!([{"text": "MAR1"}, {"text": "MAR2"}]),
                Value::Null,
            )]),
        ),
        text(
            "grounding",
            ended(&[reply(
                &json!([{"text": ""}]),
                &json!({"finishReason": null, "groundingMetadata": {"groundingChunks": [{"web": {"title": "MARK"}}]}}),
                &json!({}),
            )]),
        ),
        text(
            "an error",
            stream(&[json!({"error": {"code": 500, "message": "MARK", "status": "INTERNAL"}})]),
        ),
    ];
    places.extend(parts().into_iter().map(|(name, how, part)| {
        let body = ended(&[record(json!([part]), Value::Null)]);
        Place { name, how, body }
    }));
    places
}
