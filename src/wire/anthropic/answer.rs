//! Answers that a dialogue has made, as the official clients read them.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{AnthropicMessages, refuse};
use crate::{
    framing::NewRecord,
    wire::{
        Answer, AnswerStream, AnswerWriter, Parameters, RequestFacts,
        answer_writer::{fields_of, reason_of, usage_of},
    },
};

/// What makes the answer.
const ANSWER: &[(&str, &str)] = &[
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("max_tokens", "max_tokens"),
    ("stop_sequences", "stop"),
];

/// What is about the conversation, or about the form of the reply.
const DROPPED: &[&str] = &[
    "model",
    "messages",
    "system",
    "stream",
    "tools",
    "tool_choice",
    "thinking",
    "mcp_servers",
    "container",
    "context_management",
    "output_config",
    "output_format",
    "anthropic_version",
];

impl AnswerWriter for AnthropicMessages {
    fn parameters(&self, body: &[u8]) -> Parameters {
        Parameters::split(fields_of(body), ANSWER, DROPPED)
    }

    fn reply(&self, facts: &RequestFacts, answer: &Answer) -> Bytes {
        let blocks = json!([{"type": "text", "text": answer.content}]);
        let mut reply = refuse::message(facts, blocks, stop_reason(answer).into());
        let (read, written, _) = usage_of(answer);
        reply["usage"] = json!({"input_tokens": read, "output_tokens": written});
        reply.to_string().into()
    }

    fn stream(&self, facts: &RequestFacts) -> Box<dyn AnswerStream> {
        Box::new(Events {
            facts: facts.clone(),
            has_begun: false,
        })
    }
}

/// Why an answer ends, in the format's words.
fn stop_reason(answer: &Answer) -> &str {
    match reason_of(answer) {
        "stop" => "end_turn",
        "length" => "max_tokens",
        "tool_calls" => "tool_use",
        "content_filter" => "refusal",
        other => other,
    }
}

struct Events {
    facts: RequestFacts,
    has_begun: bool,
}

impl Events {
    fn begin(&mut self, out: &mut Vec<NewRecord>) {
        if self.has_begun {
            return;
        }
        self.has_begun = true;
        let message = refuse::message(&self.facts, json!([]), Value::Null);
        out.push(event(
            "message_start",
            json!({"type": "message_start", "message": message}),
        ));
        let block = json!({"type": "text", "text": ""});
        out.push(event(
            "content_block_start",
            json!({"type": "content_block_start", "index": 0, "content_block": block}),
        ));
    }
}

impl AnswerStream for Events {
    fn text(&mut self, text: &str, out: &mut Vec<NewRecord>) {
        self.begin(out);
        let delta = json!({"type": "text_delta", "text": text});
        out.push(event(
            "content_block_delta",
            json!({"type": "content_block_delta", "index": 0, "delta": delta}),
        ));
    }

    fn end(&mut self, answer: &Answer, out: &mut Vec<NewRecord>) {
        self.begin(out);
        out.push(event(
            "content_block_stop",
            json!({"type": "content_block_stop", "index": 0}),
        ));
        let (read, written, _) = usage_of(answer);
        let delta = json!({"stop_reason": stop_reason(answer), "stop_sequence": null});
        out.push(event(
            "message_delta",
            json!({
                "type": "message_delta",
                "delta": delta,
                "usage": {"input_tokens": read, "output_tokens": written},
            }),
        ));
        out.push(event("message_stop", json!({"type": "message_stop"})));
    }
}

fn event(name: &'static str, data: Value) -> NewRecord {
    NewRecord::new(data.to_string()).named(name)
}
