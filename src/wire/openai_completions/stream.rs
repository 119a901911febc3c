//! Streamed replies.

use serde_json::Value;

use super::{choice, head, reply};
use crate::{
    framing::{NewRecord, Record},
    wire::{
        BodyEdit, ChoiceSpan, JsonLimits, OpenAiChat, RecordKind, ReplyTexts, RequestFacts,
        StreamFormat, Unreadable, WireFormat as _,
        ids::{fresh_id, now},
        without_choices,
    },
};

/// One stream.
#[derive(Debug)]
pub(super) struct CompletionStream {
    model: Option<String>,
    /// The id and the time of the records that have left.
    id: Option<(String, u64)>,
}

impl CompletionStream {
    pub(super) fn new(facts: &RequestFacts) -> Self {
        Self {
            model: facts.model.clone(),
            id: None,
        }
    }
}

impl StreamFormat for CompletionStream {
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
            _ => reply::read(data, limits, texts),
        }
    }

    fn released(&mut self, record: &Record, _choices: &[u32]) {
        if self.id.is_some() {
            return;
        }
        let data = record.data.as_deref().unwrap_or_default();
        if let Ok(record) = serde_json::from_slice::<Value>(data)
            && let Some(id) = record.get("id").and_then(Value::as_str)
        {
            let created = record.get("created").and_then(Value::as_u64);
            self.id = Some((id.to_owned(), created.unwrap_or_default()));
            if let Some(model) = record.get("model").and_then(Value::as_str) {
                self.model = Some(model.to_owned());
            }
        }
    }

    fn refuse_choice(&mut self, index: u32, message: &str, out: &mut Vec<NewRecord>) {
        let (id, created) = self.id.get_or_insert_with(|| (fresh_id("cmpl-"), now()));
        for refusal in [
            choice(index.into(), message, Value::Null),
            choice(index.into(), "", "content_filter"),
        ] {
            let record = head(id, self.model.as_deref(), *created, &[refusal]);
            out.push(NewRecord::new(record.to_string()));
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
        let status = http::StatusCode::INTERNAL_SERVER_ERROR;
        out.push(NewRecord::new(OpenAiChat.error_body(status, code, message)).error());
    }

    fn end(&mut self, out: &mut Vec<NewRecord>) {
        out.push(NewRecord::new("[DONE]"));
    }
}
