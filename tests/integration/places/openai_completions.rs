use serde_json::{Value, json};

use super::{Format, Place, events, stream, text, unread, with, word};

pub(super) fn format() -> Format {
    Format {
        name: "openai_completions",
        path: "/v1/completions",
        stream_path: "/v1/completions",
        content_type: "text/event-stream",
        ask: |stream| json!({"model": "m", "stream": stream, "prompt": "hi"}),
        write: events,
        requests: vec![
            text("prompt", json!({"model": "m", "prompt": "MARK"})),
            text(
                "a list of prompts",
                json!({"model": "m", "prompt": ["a", "MARK"]}),
            ),
            text(
                "suffix",
                json!({"model": "m", "prompt": "a", "suffix": "MARK"}),
            ),
            text(
                "an unknown key",
                json!({"model": "m", "prompt": "a", "notes": {"b": "MARK"}}),
            ),
            unread(
                "stop",
                json!({"model": "m", "prompt": "a", "stop": ["MARK"]}),
            ),
            unread("user", json!({"model": "m", "prompt": "a", "user": "MARK"})),
        ],
        replies: vec![
            text("text", reply(&json!({"text": "MARK"}))),
            word(
                "a token",
                reply(
                    &json!({"logprobs": {"tokens": ["so", "MARK"], "token_logprobs": [-1.0], "top_logprobs": null, "text_offset": [0]}}),
                ),
            ),
            word(
                "another token",
                reply(&json!({"logprobs": {"tokens": ["so"], "top_logprobs": [{"MARK": -1.0}]}})),
            ),
            text(
                "fill in the middle",
                reply(&json!({"text": null, "message": {"role": "assistant", "content": "MARK"}})),
            ),
            text(
                "prompt_logprobs",
                reply(
                    &json!({"prompt_logprobs": [{"1": {"logprob": -1.0, "decoded_token": "MARK"}}]}),
                ),
            ),
            text("an unknown key", reply(&json!({"notes": "MARK"}))),
            text("an error", json!({"error": {"message": "MARK"}})),
        ],
        records: records(),
    }
}

fn choice(more: &Value) -> Value {
    with(
        json!({"index": 0, "text": "so", "logprobs": null, "finish_reason": "stop"}),
        more,
    )
}

fn reply(more: &Value) -> Value {
    json!({"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": [choice(more)]})
}

fn records() -> Vec<Place> {
    let ended = |one: Value, two: Value| {
        let open = json!({"text": "", "finish_reason": null});
        let records = [one, two].map(|more| reply(&with(open.clone(), &more)));
        let mut records = records.to_vec();
        records.push(reply(&json!({"text": ""})));
        stream(&records)
    };
    vec![
        text(
            "text",
            ended(json!({"text": "MAR1"}), json!({"text": "MAR2"})),
        ),
        word(
            "tokens",
            ended(
                json!({"logprobs": {"tokens": ["MAR1"]}}),
                json!({"logprobs": {"tokens": ["MAR2"]}}),
            ),
        ),
        word(
            "other tokens",
            ended(
                json!({"logprobs": {"tokens": [""], "top_logprobs": [{"MAR1": -1.0}]}}),
                json!({"logprobs": {"tokens": [""], "top_logprobs": [{"MAR2": -1.0}]}}),
            ),
        ),
        text(
            "fill in the middle",
            ended(
                json!({"delta": {"content": "MAR1"}}),
                json!({"delta": {"content": "MAR2"}}),
            ),
        ),
    ]
}
