//! Answers that a dialogue has made, as the official clients read them.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    OpenAiChat,
    refuse::{DONE, Head},
};
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
    ("max_completion_tokens", "max_completion_tokens"),
    ("stop", "stop"),
    ("seed", "seed"),
    ("frequency_penalty", "frequency_penalty"),
    ("presence_penalty", "presence_penalty"),
    ("logit_bias", "logit_bias"),
    ("response_format", "response_format"),
];

/// What is about the conversation, or about the form of the reply, which a dialogue writes itself.
const DROPPED: &[&str] = &[
    "model",
    "messages",
    "stream",
    "stream_options",
    "n",
    "logprobs",
    "top_logprobs",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "functions",
    "function_call",
    "prediction",
    "modalities",
    "audio",
    "web_search_options",
];

impl AnswerWriter for OpenAiChat {
    fn parameters(&self, body: &[u8]) -> Parameters {
        Parameters::split(fields_of(body), ANSWER, DROPPED)
    }

    fn reply(&self, facts: &RequestFacts, answer: &Answer) -> Bytes {
        let message = json!({"role": "assistant", "content": answer.content, "refusal": null});
        let choice = json!({
            "index": 0,
            "message": message,
            "logprobs": null,
            "finish_reason": reason_of(answer),
        });
        let mut reply = Head::new(facts).object("chat.completion");
        reply["choices"] = json!([choice]);
        reply["usage"] = usage(answer);
        reply.to_string().into()
    }

    fn stream(&self, facts: &RequestFacts) -> Box<dyn AnswerStream> {
        Box::new(Chunks {
            head: Head::new(facts).object("chat.completion.chunk"),
            includes_usage: facts.include_usage,
            has_begun: false,
        })
    }
}

struct Chunks {
    head: Value,
    includes_usage: bool,
    has_begun: bool,
}

impl Chunks {
    fn chunk(&self, delta: Value, finish_reason: Value) -> NewRecord {
        let mut chunk = self.head.clone();
        let choice = json!({
            "index": 0,
            "delta": delta,
            "logprobs": null,
            "finish_reason": finish_reason,
        });
        chunk["choices"] = json!([choice]);
        NewRecord::new(chunk.to_string())
    }

    fn begin(&mut self, out: &mut Vec<NewRecord>) {
        if !self.has_begun {
            self.has_begun = true;
            out.push(self.chunk(json!({"role": "assistant", "content": ""}), Value::Null));
        }
    }
}

impl AnswerStream for Chunks {
    fn text(&mut self, text: &str, out: &mut Vec<NewRecord>) {
        self.begin(out);
        out.push(self.chunk(json!({"content": text}), Value::Null));
    }

    fn end(&mut self, answer: &Answer, out: &mut Vec<NewRecord>) {
        self.begin(out);
        out.push(self.chunk(json!({}), reason_of(answer).into()));
        if self.includes_usage {
            let mut last = self.head.clone();
            last["choices"] = json!([]);
            last["usage"] = usage(answer);
            out.push(NewRecord::new(last.to_string()));
        }
        out.push(NewRecord::new(DONE));
    }
}

fn usage(answer: &Answer) -> Value {
    let (read, written, both) = usage_of(answer);
    json!({"prompt_tokens": read, "completion_tokens": written, "total_tokens": both})
}
