//! Streamed replies, and refusals.

use serde_json::{Value as JsonValue, json};

use super::{GENERATE, reply};
use crate::{
    framing::{NewRecord, Record},
    wire::{
        BodyEdit, ChoiceSpan, Edit, JsonLimits, ReplyTexts, RequestFacts, StreamFormat, Unreadable,
        ids::rfc3339, json::Document,
    },
};

/// One stream.
#[derive(Debug)]
pub(super) struct OllamaStream {
    facts: RequestFacts,
    /// How many calls the records that were read have.
    calls: u64,
    /// Whether the stream has ended, or failed.
    ended: bool,
}

impl OllamaStream {
    pub(super) fn new(facts: &RequestFacts) -> Self {
        Self {
            facts: facts.clone(),
            calls: 0,
            ended: false,
        }
    }
}

impl StreamFormat for OllamaStream {
    fn read<'a>(
        &mut self,
        record: &'a Record,
        limits: &JsonLimits,
        texts: &mut ReplyTexts<'a>,
    ) -> Result<(), Unreadable> {
        let data: &'a [u8] = record.data.as_deref().unwrap_or_default();
        if !data.trim_ascii().is_empty() {
            let calls = reply::read(data, limits, self.calls, texts)?;
            self.calls = self.calls.saturating_add(calls);
        }
        Ok(())
    }

    fn released(&mut self, _record: &Record, _choices: &[u32]) {}

    fn refuse_choice(&mut self, _choice: u32, message: &str, out: &mut Vec<NewRecord>) {
        if self.ended {
            return;
        }
        self.ended = true;
        out.push(NewRecord::new(record(&self.facts, message).to_string()));
        let mut last = record(&self.facts, "");
        end(&mut last);
        out.push(NewRecord::new(last.to_string()));
    }

    fn without(
        &self,
        _data: &[u8],
        choices: &[ChoiceSpan],
        blocked: &dyn Fn(u32) -> bool,
    ) -> Option<Vec<BodyEdit>> {
        let is_blocked = choices.iter().any(|choice| blocked(choice.index));
        (!is_blocked).then(Vec::new)
    }

    fn fail(&mut self, _code: &str, message: &str, out: &mut Vec<NewRecord>) {
        self.ended = true;
        out.push(NewRecord::new(json!({"error": message}).to_string()).error());
    }

    fn end(&mut self, _out: &mut Vec<NewRecord>) {
        // The last record says `done` itself.
    }
}

/// A record that says `text`.
pub(super) fn record(facts: &RequestFacts, text: &str) -> JsonValue {
    let mut record = json!({
        "model": facts.model.as_deref().unwrap_or_default(),
        "created_at": rfc3339(),
        "done": false,
    });
    match facts.variant {
        GENERATE => record["response"] = text.into(),
        _ => record["message"] = json!({"role": "assistant", "content": text}),
    }
    record
}

/// Makes a record the last one.
pub(super) fn end(record: &mut JsonValue) {
    record["done"] = true.into();
    record["done_reason"] = "content_filter".into();
}

/// The edits that make the whole reply `body` a refusal.
pub(super) fn refusal_edits(body: &[u8], choice: &ChoiceSpan, message: &str) -> Vec<BodyEdit> {
    let whole = |facts: &RequestFacts| {
        let mut refusal = record(facts, message);
        end(&mut refusal);
        let json = refusal.to_string().into_bytes();
        vec![(choice.span.clone(), Edit::Raw(json.into()))]
    };
    let mut facts = RequestFacts::default();
    let Ok(document) = Document::read(body, &JsonLimits::default()) else {
        return whole(&facts);
    };
    let root = document.root();
    facts.model = root
        .get("model")
        .and_then(|model| Some(model.as_str()?.into_owned()));
    if root.get("response").is_some() {
        facts.variant = GENERATE;
    }
    whole(&facts)
}
