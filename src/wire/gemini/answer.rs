//! Answers that a dialogue has made, as the official clients read them.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Gemini, camel};
use crate::{
    framing::NewRecord,
    wire::{
        Answer, AnswerStream, AnswerWriter, Parameters, RequestFacts,
        answer_writer::{fields_of, reason_of, usage_of},
        ids::fresh_id,
    },
};

/// What makes the answer; of `generationConfig`.
const ANSWER: &[(&str, &str)] = &[
    ("temperature", "temperature"),
    ("topP", "top_p"),
    ("maxOutputTokens", "max_tokens"),
    ("stopSequences", "stop"),
    ("seed", "seed"),
];

/// What is about the conversation.
const DROPPED: &[&str] = &[
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "cachedContent",
    "model",
    "generateContentRequest",
];

/// What of `generationConfig` is about the form of the reply.
const FORM: &[&str] = &[
    "candidateCount",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "responseModalities",
    "responseLogprobs",
    "logprobs",
    "speechConfig",
    "thinkingConfig",
    "imageConfig",
];

impl AnswerWriter for Gemini {
    fn parameters(&self, body: &[u8]) -> Parameters {
        let camel_case = |fields: serde_json::Map<String, Value>| -> serde_json::Map<_, _> {
            let fields = fields.into_iter();
            fields.map(|(name, value)| (camel(&name), value)).collect()
        };
        let mut fields = camel_case(fields_of(body));
        let config = match fields.shift_remove("generationConfig") {
            Some(Value::Object(config)) => Parameters::split(camel_case(config), ANSWER, FORM),
            _ => Parameters::default(),
        };
        let mut parameters = Parameters::split(fields, &[], DROPPED);
        parameters.answer = config.answer;
        if !config.own.is_empty() {
            let own = Value::Object(config.own);
            parameters.own.insert("generationConfig".to_owned(), own);
        }
        parameters
    }

    fn reply(&self, facts: &RequestFacts, answer: &Answer) -> Bytes {
        let mut reply = record(facts, &fresh_id(""), &answer.content);
        end(&mut reply, answer);
        reply.to_string().into()
    }

    fn stream(&self, facts: &RequestFacts) -> Box<dyn AnswerStream> {
        Box::new(Records {
            facts: facts.clone(),
            id: fresh_id(""),
        })
    }
}

struct Records {
    facts: RequestFacts,
    id: String,
}

impl AnswerStream for Records {
    fn text(&mut self, text: &str, out: &mut Vec<NewRecord>) {
        let record = record(&self.facts, &self.id, text);
        out.push(NewRecord::new(record.to_string()));
    }

    fn end(&mut self, answer: &Answer, out: &mut Vec<NewRecord>) {
        let mut last = record(&self.facts, &self.id, "");
        end(&mut last, answer);
        out.push(NewRecord::new(last.to_string()));
    }
}

fn record(facts: &RequestFacts, id: &str, text: &str) -> Value {
    json!({
        "candidates": [{
            "content": {"role": "model", "parts": [{"text": text}]},
            "index": 0,
        }],
        "modelVersion": facts.model.as_deref().unwrap_or_default(),
        "responseId": id,
    })
}

/// Makes a record the last one, or the only one.
fn end(record: &mut Value, answer: &Answer) {
    let reason = match reason_of(answer) {
        "stop" | "tool_calls" => "STOP",
        "length" => "MAX_TOKENS",
        "content_filter" => "SAFETY",
        other => other,
    };
    record["candidates"][0]["finishReason"] = reason.into();
    let (read, written, both) = usage_of(answer);
    record["usageMetadata"] = json!({
        "promptTokenCount": read,
        "candidatesTokenCount": written,
        "totalTokenCount": both,
    });
}
