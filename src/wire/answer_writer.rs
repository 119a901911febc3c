//! What a format needs for a dialogue between the client and the model behind an endpoint: what the client asks for beside its
//! conversation, and how an answer is written that the dialogue has made.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::{Answer, RequestFacts};
use crate::framing::NewRecord;

/// How a client is answered in its own format by a dialogue, and what of its request a dialogue takes over.
pub trait AnswerWriter: Sync {
    /// What the client asks for beside its conversation.
    fn parameters(&self, body: &[u8]) -> Parameters;

    /// A whole reply that says `answer`.
    fn reply(&self, facts: &RequestFacts, answer: &Answer) -> Bytes;

    /// The same, record by record.
    fn stream(&self, facts: &RequestFacts) -> Box<dyn AnswerStream>;
}

/// A streamed reply that is being written.
pub trait AnswerStream: Send {
    /// The records that say more text.
    fn text(&mut self, text: &str, out: &mut Vec<NewRecord>);

    /// The records that end the reply. `answer` says why it ends and how many tokens it took; its text was said before.
    fn end(&mut self, answer: &Answer, out: &mut Vec<NewRecord>);
}

/// What a client asks for beside its conversation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parameters {
    /// What holds for the request that makes the answer, in the words of Chat Completions: `temperature`, `max_tokens`, `stop` …
    pub answer: Map<String, Value>,
    /// What holds for every request of the conversation, in the format's own words: who asks, how a gateway routes it.
    pub own: Map<String, Value>,
}

impl Parameters {
    /// Splits `fields`: those of `answer` (the format's word, that of Chat Completions) make the answer, those of `dropped` are
    /// about the conversation or the form of the reply, all others hold for every request.
    pub(super) fn split(
        fields: Map<String, Value>,
        answer: &[(&str, &str)],
        dropped: &[&str],
    ) -> Self {
        let mut parameters = Self::default();
        for (name, value) in fields {
            if value.is_null() || dropped.contains(&name.as_str()) {
                continue;
            }
            match answer.iter().find(|(own, _)| *own == name) {
                Some((_, chat)) => parameters.answer.insert((*chat).to_owned(), value),
                None => parameters.own.insert(name, value),
            };
        }
        parameters
    }
}

/// The members of a body that is an object; none where it is not.
pub(super) fn fields_of(body: &[u8]) -> Map<String, Value> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

/// Takes the object `name` out of `fields`.
pub(super) fn take_object(fields: &mut Map<String, Value>, name: &str) -> Map<String, Value> {
    match fields.shift_remove(name) {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    }
}

/// Adds what `own` holds and `body` does not, one level deep.
pub(crate) fn add_own(body: &mut Map<String, Value>, own: &Map<String, Value>) {
    for (name, value) in own {
        match (body.get_mut(name), value) {
            (None, value) => {
                body.insert(name.clone(), value.clone());
            }
            (Some(Value::Object(there)), Value::Object(more)) => {
                for (name, value) in more {
                    there.entry(name).or_insert_with(|| value.clone());
                }
            }
            (Some(_), _) => {}
        }
    }
}

/// Tokens read, written, and both.
pub(super) fn usage_of(answer: &Answer) -> (u64, u64, u64) {
    let (read, written) = answer.tokens.unwrap_or_default();
    (read, written, read.saturating_add(written))
}

/// Why an answer ends, in the words of Chat Completions.
pub(super) fn reason_of(answer: &Answer) -> &str {
    answer.finish_reason.as_deref().unwrap_or("stop")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_asked_for_is_split() {
        let body = json!({"model": "m", "temperature": 0.2, "stop": null, "user": "u", "max_tokens": 5, "messages": []});
        let parameters = Parameters::split(
            fields_of(body.to_string().as_bytes()),
            &[("temperature", "temperature"), ("max_tokens", "max_tokens")],
            &["model", "messages"],
        );
        assert_eq!(
            json!(parameters.answer),
            json!({"temperature": 0.2, "max_tokens": 5})
        );
        assert_eq!(json!(parameters.own), json!({"user": "u"}));
    }

    #[test]
    fn what_a_question_says_goes_before_what_the_client_says() {
        let Value::Object(mut body) = json!({"a": 1, "options": {"temperature": 0}}) else {
            panic!("an object");
        };
        let Value::Object(own) =
            json!({"a": 2, "b": 3, "options": {"temperature": 1, "num_ctx": 8}})
        else {
            panic!("an object");
        };
        add_own(&mut body, &own);
        assert_eq!(
            json!(body),
            json!({"a": 1, "b": 3, "options": {"temperature": 0, "num_ctx": 8}})
        );
    }
}
