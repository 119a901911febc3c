//! The streamed answer of a provider, piece by piece.

use std::{collections::BTreeMap, sync::Arc};

use futures_core::Stream;
use serde_json::Value;

use super::{
    reply::{arguments_of, metadata_of, reasoning_of, text_at, usage_of},
    settings::Settings,
};
use crate::{
    error::ModelError, framing::SseReader, http::Streaming, llm::ModelChunk, message::ToolCall,
};

/// The most bytes of all tool calls of an answer, and the most calls.
const TOOL_CALLS_LIMIT: usize = 1 << 20;
const TOOL_CALLS_COUNT: usize = 1024;

/// The most bytes of one event.
const EVENT_LIMIT: usize = 1 << 20;

/// Reads the events of a streamed answer.
pub(super) struct ChunkReader {
    settings: Arc<Settings>,
    answer: Streaming,
    events: SseReader,
    calls: CallFragments,
    /// Whether the answer's bytes have come to their end.
    is_read: bool,
    ended: bool,
}

impl ChunkReader {
    pub(super) fn new(settings: Arc<Settings>, answer: Streaming) -> Self {
        Self {
            settings,
            answer,
            events: SseReader::new(EVENT_LIMIT),
            calls: CallFragments::default(),
            is_read: false,
            ended: false,
        }
    }

    pub(super) fn into_stream(
        self,
    ) -> impl Stream<Item = Result<ModelChunk, ModelError>> + Send + 'static {
        futures_util::stream::unfold(self, |mut reader| async move {
            let piece = reader.next().await.transpose()?;
            // After an error there is nothing more to be had.
            reader.ended |= piece.is_err();
            Some((piece, reader))
        })
    }

    async fn next(&mut self) -> Result<Option<ModelChunk>, ModelError> {
        while !self.ended {
            let Some(event) = self.events.next() else {
                if self.is_read {
                    return Ok(self.end());
                }
                match self.answer.next().await {
                    Ok(Some(bytes)) => self.events.push(bytes),
                    Ok(None) => {
                        self.is_read = true;
                        self.events.finish();
                    }
                    Err(error) => return Err(self.settings.endpoint.http_error(error)),
                }
                continue;
            };
            let event = event.map_err(|error| self.settings.invalid_stream(&error.to_string()))?;
            let data = event.data.as_deref().unwrap_or_default().trim_ascii();
            if data.starts_with(b"[DONE]") {
                return Ok(self.end());
            }
            if !data.is_empty()
                && let Some(piece) = self.piece(data)?
            {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }

    /// The stream's end: tool calls that no event finished are given away now.
    fn end(&mut self) -> Option<ModelChunk> {
        self.ended = true;
        let tool_calls = self.calls.take();
        (!tool_calls.is_empty()).then(|| ModelChunk {
            tool_calls,
            ..ModelChunk::default()
        })
    }

    fn piece(&mut self, data: &[u8]) -> Result<Option<ModelChunk>, ModelError> {
        let payload: Value = serde_json::from_slice(data).map_err(|error| {
            let message = "an event of the stream is no JSON";
            self.settings.invalid_stream(message).with_source(error)
        })?;
        let Some(object) = payload.as_object() else {
            return Err(self
                .settings
                .invalid_stream("an event of the stream is no object"));
        };
        if object.get("error").is_some_and(|error| !error.is_null()) {
            return Err(self.settings.endpoint.event_error(&payload));
        }
        let usage = object.get("usage").and_then(usage_of);
        let Some(choice) = object.get("choices").and_then(|choices| choices.get(0)) else {
            return Ok(usage.is_some().then(|| ModelChunk {
                usage,
                metadata: metadata_of(object),
                ..ModelChunk::default()
            }));
        };
        let delta = choice.get("delta").unwrap_or(&Value::Null);
        let fragments = delta.get("tool_calls").and_then(Value::as_array);
        for fragment in fragments.into_iter().flatten() {
            if !self.calls.add(fragment) {
                return Err(self
                    .settings
                    .invalid_stream("the tool calls of the stream are too long"));
            }
        }
        let finish_reason = text_at(choice, "finish_reason");
        let tool_calls = if finish_reason.is_some() {
            self.calls.take()
        } else {
            Vec::new()
        };
        let text = |key| delta.get(key).and_then(Value::as_str);
        let content = text("content").or(text("refusal"));
        Ok(Some(ModelChunk {
            content: content.unwrap_or_default().to_owned(),
            reasoning: delta.as_object().and_then(reasoning_of),
            tool_calls,
            finish_reason,
            usage,
            metadata: metadata_of(object),
        }))
    }
}

/// Tool calls as they arrive: the name first, then the arguments' text bit by bit.
#[derive(Debug, Default)]
struct CallFragments {
    calls: BTreeMap<u64, Fragments>,
    size: usize,
}

#[derive(Debug, Default)]
struct Fragments {
    id: Option<String>,
    name: String,
    arguments: String,
}

impl CallFragments {
    /// Adds one fragment; false where there are too many.
    fn add(&mut self, fragment: &Value) -> bool {
        let index = fragment.get("index").and_then(Value::as_u64).unwrap_or(0);
        let call = self.calls.entry(index).or_default();
        if call.id.is_none() {
            call.id = text_at(fragment, "id");
        }
        let function = fragment.get("function").unwrap_or(&Value::Null);
        if call.name.is_empty() {
            call.name = text_at(function, "name").unwrap_or_default();
        }
        match function.get("arguments") {
            Some(Value::String(text)) => {
                call.arguments.push_str(text);
                self.size = self.size.saturating_add(text.len());
            }
            None | Some(Value::Null) => {}
            // Some endpoints write the whole object instead of its text.
            Some(arguments) => call.arguments = arguments.to_string(),
        }
        self.size <= TOOL_CALLS_LIMIT && self.calls.len() <= TOOL_CALLS_COUNT
    }

    /// The whole calls in order; none are left.
    fn take(&mut self) -> Vec<ToolCall> {
        let calls = std::mem::take(&mut self.calls).into_values();
        let calls = calls.map(|call| ToolCall {
            id: call.id,
            name: call.name,
            arguments: arguments_of(&call.arguments),
        });
        calls.collect()
    }
}
