//! Streamed replies: records are whole replies whose texts are what they add.

use http::StatusCode;

use super::{refuse, reply};
use crate::{
    framing::{NewRecord, Record},
    wire::{
        BodyEdit, ChoiceSpan, JsonLimits, ReplyTexts, RequestFacts, StreamFormat, Unreadable,
        without_choices,
    },
};

/// One stream.
#[derive(Debug)]
pub(super) struct GeminiStream {
    facts: RequestFacts,
    /// How many calls each candidate has had so far.
    calls: Vec<(u32, u64)>,
}

impl GeminiStream {
    pub(super) fn new(facts: &RequestFacts) -> Self {
        Self {
            facts: facts.clone(),
            calls: Vec::new(),
        }
    }
}

impl StreamFormat for GeminiStream {
    fn read<'a>(
        &mut self,
        record: &'a Record,
        limits: &JsonLimits,
        texts: &mut ReplyTexts<'a>,
    ) -> Result<(), Unreadable> {
        let data: &'a [u8] = record.data.as_deref().unwrap_or_default();
        match data.trim_ascii().is_empty() {
            true => Ok(()),
            false => reply::read(data, limits, &mut self.calls, texts),
        }
    }

    fn released(&mut self, _record: &Record, _choices: &[u32]) {}

    fn refuse_choice(&mut self, choice: u32, message: &str, out: &mut Vec<NewRecord>) {
        let refusal = refuse::reply(&self.facts, choice, message);
        out.push(NewRecord::new(refusal.to_string()));
    }

    fn without(
        &self,
        _data: &[u8],
        choices: &[ChoiceSpan],
        blocked: &dyn Fn(u32) -> bool,
    ) -> Option<Vec<BodyEdit>> {
        without_choices(choices, blocked)
    }

    fn fail(&mut self, _code: &str, message: &str, out: &mut Vec<NewRecord>) {
        let error = refuse::error(StatusCode::INTERNAL_SERVER_ERROR, message);
        out.push(NewRecord::new(error).error());
    }

    fn end(&mut self, _out: &mut Vec<NewRecord>) {
        // The protocol has no record that ends a stream.
    }
}
