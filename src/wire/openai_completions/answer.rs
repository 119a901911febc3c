//! Answers that a dialogue has made.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{OpenAiCompletions, choice, head};
use crate::{
    framing::NewRecord,
    wire::{
        Answer, AnswerStream, AnswerWriter, Parameters, RequestFacts,
        answer_writer::{fields_of, reason_of, usage_of},
        ids::{fresh_id, now},
    },
};

/// What makes the answer.
const ANSWER: &[(&str, &str)] = &[
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("max_tokens", "max_tokens"),
    ("stop", "stop"),
    ("seed", "seed"),
    ("frequency_penalty", "frequency_penalty"),
    ("presence_penalty", "presence_penalty"),
];

/// What is about the text that goes on, or about the form of the reply.
const DROPPED: &[&str] = &[
    "model",
    "prompt",
    "suffix",
    "stream",
    "stream_options",
    "n",
    "best_of",
    "echo",
    "logprobs",
];

impl AnswerWriter for OpenAiCompletions {
    fn parameters(&self, body: &[u8]) -> Parameters {
        Parameters::split(fields_of(body), ANSWER, DROPPED)
    }

    fn reply(&self, facts: &RequestFacts, answer: &Answer) -> Bytes {
        let choices = [choice(0, &answer.content, reason_of(answer))];
        let mut reply = head(&fresh_id("cmpl-"), facts.model.as_deref(), now(), &choices);
        reply["usage"] = usage(answer);
        reply.to_string().into()
    }

    fn stream(&self, facts: &RequestFacts) -> Box<dyn AnswerStream> {
        Box::new(Chunks {
            id: fresh_id("cmpl-"),
            created: now(),
            facts: facts.clone(),
        })
    }
}

struct Chunks {
    id: String,
    created: u64,
    facts: RequestFacts,
}

impl Chunks {
    fn chunk(&self, choices: &[Value]) -> Value {
        head(&self.id, self.facts.model.as_deref(), self.created, choices)
    }
}

impl AnswerStream for Chunks {
    fn text(&mut self, text: &str, out: &mut Vec<NewRecord>) {
        let chunk = self.chunk(&[choice(0, text, Value::Null)]);
        out.push(NewRecord::new(chunk.to_string()));
    }

    fn end(&mut self, answer: &Answer, out: &mut Vec<NewRecord>) {
        let last = self.chunk(&[choice(0, "", reason_of(answer))]);
        out.push(NewRecord::new(last.to_string()));
        if self.facts.include_usage {
            let mut report = self.chunk(&[]);
            report["usage"] = usage(answer);
            out.push(NewRecord::new(report.to_string()));
        }
        out.push(NewRecord::new("[DONE]"));
    }
}

fn usage(answer: &Answer) -> Value {
    let (read, written, both) = usage_of(answer);
    json!({"prompt_tokens": read, "completion_tokens": written, "total_tokens": both})
}
