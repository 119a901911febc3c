//! Answers that a dialogue has made.

use bytes::Bytes;
use serde_json::Value;

use super::{Ollama, stream};
use crate::{
    framing::NewRecord,
    wire::{
        Answer, AnswerStream, AnswerWriter, Parameters, RequestFacts,
        answer_writer::{fields_of, reason_of, take_object, usage_of},
    },
};

/// What makes the answer; of `options`.
const ANSWER: &[(&str, &str)] = &[
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("stop", "stop"),
    ("seed", "seed"),
    ("num_predict", "max_tokens"),
];

/// What is about the conversation, or about the form of the reply.
const DROPPED: &[&str] = &[
    "model",
    "messages",
    "prompt",
    "suffix",
    "system",
    "template",
    "context",
    "images",
    "raw",
    "stream",
    "format",
    "tools",
    "think",
    "logprobs",
    "top_logprobs",
];

impl AnswerWriter for Ollama {
    fn parameters(&self, body: &[u8]) -> Parameters {
        let mut fields = fields_of(body);
        let options = Parameters::split(take_object(&mut fields, "options"), ANSWER, &[]);
        let mut parameters = Parameters::split(fields, &[], DROPPED);
        parameters.answer = options.answer;
        if !options.own.is_empty() {
            let own = Value::Object(options.own);
            parameters.own.insert("options".to_owned(), own);
        }
        parameters
    }

    fn reply(&self, facts: &RequestFacts, answer: &Answer) -> Bytes {
        let mut reply = stream::record(facts, &answer.content);
        end(&mut reply, answer);
        reply.to_string().into()
    }

    fn stream(&self, facts: &RequestFacts) -> Box<dyn AnswerStream> {
        Box::new(Lines(facts.clone()))
    }
}

struct Lines(RequestFacts);

impl AnswerStream for Lines {
    fn text(&mut self, text: &str, out: &mut Vec<NewRecord>) {
        out.push(NewRecord::new(stream::record(&self.0, text).to_string()));
    }

    fn end(&mut self, answer: &Answer, out: &mut Vec<NewRecord>) {
        let mut last = stream::record(&self.0, "");
        end(&mut last, answer);
        out.push(NewRecord::new(last.to_string()));
    }
}

/// Makes a record the last one, or the only one.
fn end(record: &mut Value, answer: &Answer) {
    let (read, written, _) = usage_of(answer);
    record["done"] = true.into();
    record["done_reason"] = reason_of(answer).into();
    record["prompt_eval_count"] = read.into();
    record["eval_count"] = written.into();
}
