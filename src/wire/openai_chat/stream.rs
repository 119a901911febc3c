//! Streamed replies.

use serde_json::Value;

use super::{
    calls::CallNumbers,
    refuse::{self, Head},
    reply::{self, Whole},
};
use crate::{
    framing::{NewRecord, Record},
    wire::{
        BodyEdit, ChoiceSpan, JsonLimits, RecordKind, ReplyTexts, RequestFacts, StreamFormat,
        Unreadable, without_choices,
    },
};

/// One stream.
#[derive(Debug)]
pub(super) struct ChatStream {
    facts: RequestFacts,
    calls: CallNumbers,
    /// What the records that have left say of themselves.
    head: Option<Head>,
    /// The choices of which a record has left.
    begun: Vec<u32>,
    /// How many choices were refused before a record of theirs had left.
    refused: usize,
}

impl ChatStream {
    pub(super) fn new(facts: &RequestFacts) -> Self {
        Self {
            facts: facts.clone(),
            calls: CallNumbers::default(),
            head: None,
            begun: Vec::new(),
            refused: 0,
        }
    }

    fn head(&mut self) -> &Head {
        self.head.get_or_insert_with(|| Head::new(&self.facts))
    }
}

impl StreamFormat for ChatStream {
    fn read<'a>(
        &mut self,
        record: &'a Record,
        limits: &JsonLimits,
        texts: &mut ReplyTexts<'a>,
    ) -> Result<(), Unreadable> {
        let data: &'a [u8] = record.data.as_deref().unwrap_or_default();
        match data.trim_ascii() {
            b"[DONE]" => {
                texts.kind = RecordKind::Done;
                Ok(())
            }
            b"" => Ok(()),
            _ => {
                reply::read(data, limits, Whole::Record, &mut self.calls, texts)?;
                texts.repeats_alike = texts.calls.is_empty();
                Ok(())
            }
        }
    }

    fn released(&mut self, record: &Record, choices: &[u32]) {
        for choice in choices {
            if !self.begun.contains(choice) {
                self.begun.push(*choice);
            }
        }
        if self.head.is_none()
            && let Some(data) = &record.data
        {
            let value: Option<Value> = serde_json::from_slice(data).ok();
            self.head = value.and_then(|value| Head::of_record(&value));
        }
    }

    fn released_alike(&mut self, _text: &str, _number: Option<u64>) -> bool {
        // What is known of the stream is known by then.
        self.head.is_some()
    }

    fn refuse_choice(&mut self, choice: u32, message: &str, out: &mut Vec<NewRecord>) {
        let has_begun = self.begun.contains(&choice);
        let records = refuse::choice_records(self.head(), choice, has_begun, message);
        out.extend(records.map(NewRecord::new));
        if !has_begun {
            self.begun.push(choice);
            self.refused += 1;
        }
    }

    fn without(
        &self,
        _data: &[u8],
        choices: &[ChoiceSpan],
        blocked: &dyn Fn(u32) -> bool,
    ) -> Option<Vec<BodyEdit>> {
        without_choices(choices, blocked)
    }

    fn fail(&mut self, code: &str, message: &str, out: &mut Vec<NewRecord>) {
        out.push(NewRecord::new(refuse::error(500, code, message)).error());
    }

    fn end(&mut self, out: &mut Vec<NewRecord>) {
        if self.facts.include_usage && self.begun.len() == self.refused {
            // Nothing of the service's reply has left, so that its own report never will.
            out.push(NewRecord::new(refuse::usage_record(self.head())));
        }
        out.push(NewRecord::new(refuse::DONE));
    }
}
