//! Answers that a dialogue has made, as the official clients read them.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{OpenAiResponses, refuse};
use crate::{
    framing::NewRecord,
    wire::{
        Answer, AnswerStream, AnswerWriter, Parameters, RequestFacts,
        answer_writer::{fields_of, reason_of, usage_of},
        ids::fresh_id,
    },
};

/// What makes the answer.
const ANSWER: &[(&str, &str)] = &[
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("max_output_tokens", "max_tokens"),
];

/// What is about the conversation, or about the form of the reply.
const DROPPED: &[&str] = &[
    "model",
    "input",
    "instructions",
    "prompt",
    "previous_response_id",
    "conversation",
    "context_management",
    "stream",
    "stream_options",
    "background",
    "include",
    "max_tool_calls",
    "parallel_tool_calls",
    "tools",
    "tool_choice",
    "text",
    "top_logprobs",
    "store",
    "truncation",
];

impl AnswerWriter for OpenAiResponses {
    fn parameters(&self, body: &[u8]) -> Parameters {
        Parameters::split(fields_of(body), ANSWER, DROPPED)
    }

    fn reply(&self, facts: &RequestFacts, answer: &Answer) -> Bytes {
        let mut reply = refuse::response(facts);
        let message = refuse::message(&fresh_id("msg_"), &answer.content);
        complete(&mut reply, message, answer);
        reply.to_string().into()
    }

    fn stream(&self, facts: &RequestFacts) -> Box<dyn AnswerStream> {
        Box::new(Events {
            response: refuse::response(facts),
            id: fresh_id("msg_"),
            text: String::new(),
            sequence: 0,
        })
    }
}

/// Makes a reply one that has ended with `message`.
fn complete(response: &mut Value, message: Value, answer: &Answer) {
    let incomplete = match reason_of(answer) {
        "length" => Some("max_output_tokens"),
        "content_filter" => Some("content_filter"),
        _ => None,
    };
    match incomplete {
        Some(reason) => {
            response["status"] = "incomplete".into();
            response["incomplete_details"] = json!({"reason": reason});
        }
        None => response["status"] = "completed".into(),
    }
    response["output"] = json!([message]);
    let (read, written, both) = usage_of(answer);
    response["usage"] = json!({
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": both,
    });
}

struct Events {
    response: Value,
    /// The id of the message.
    id: String,
    /// The message so far.
    text: String,
    sequence: u64,
}

impl Events {
    fn event(&mut self, name: &'static str, mut data: Value, out: &mut Vec<NewRecord>) {
        data["type"] = name.into();
        data["sequence_number"] = self.sequence.into();
        self.sequence += 1;
        out.push(NewRecord::new(data.to_string()).named(name));
    }

    /// An event about the message's only part.
    fn of_part(
        &mut self,
        name: &'static str,
        key: &str,
        value: Value,
        has_logprobs: bool,
        out: &mut Vec<NewRecord>,
    ) {
        let mut data = json!({"item_id": self.id, "output_index": 0, "content_index": 0});
        data[key] = value;
        if has_logprobs {
            data["logprobs"] = json!([]);
        }
        self.event(name, data, out);
    }

    fn begin(&mut self, out: &mut Vec<NewRecord>) {
        if self.sequence > 0 {
            return;
        }
        let response = self.response.clone();
        for name in ["response.created", "response.in_progress"] {
            self.event(name, json!({"response": response}), out);
        }
        let mut item = refuse::message(&self.id, "");
        item["status"] = "in_progress".into();
        item["content"] = json!([]);
        let added = json!({"output_index": 0, "item": item});
        self.event("response.output_item.added", added, out);
        let part = refuse::part("");
        self.of_part("response.content_part.added", "part", part, false, out);
    }
}

impl AnswerStream for Events {
    fn text(&mut self, text: &str, out: &mut Vec<NewRecord>) {
        self.begin(out);
        self.text.push_str(text);
        self.of_part(
            "response.output_text.delta",
            "delta",
            text.into(),
            true,
            out,
        );
    }

    fn end(&mut self, answer: &Answer, out: &mut Vec<NewRecord>) {
        self.begin(out);
        let text = std::mem::take(&mut self.text);
        let whole = text.as_str().into();
        self.of_part("response.output_text.done", "text", whole, true, out);
        let part = refuse::part(&text);
        self.of_part("response.content_part.done", "part", part, false, out);
        let message = refuse::message(&self.id, &text);
        let done = json!({"output_index": 0, "item": message});
        self.event("response.output_item.done", done, out);
        let mut response = std::mem::take(&mut self.response);
        complete(&mut response, message, answer);
        let name = match response["status"] == "completed" {
            true => "response.completed",
            false => "response.incomplete",
        };
        self.event(name, json!({"response": response}), out);
    }
}
