//! A streamed answer of the service under the layer, piece by piece.

use std::{pin::Pin, sync::Arc};

use bytes::Buf;
use futures_core::Stream;
use http::{HeaderMap, header};
use http_body::Body;

use super::{
    encoding::{Coding, CodingError, Decoder},
    inner::reply_of,
    stream_body::Decoded,
    tally::Tally,
};
use crate::{
    error::{BoxError, ModelError, ModelErrorKind},
    framing::{Framer, Framing},
    llm::{ModelChunk, ModelReply, Usage, provider::ChatBodies},
    wire::{RequestFacts, WireFormat},
};

/// The most bytes of one record.
const RECORD_LIMIT: usize = 1 << 20;

/// How a reply of these headers is cut into records; none: it is one body.
pub(super) fn framing_of(format: &dyn WireFormat, headers: &HeaderMap) -> Option<Framing> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let kind = kind.split(';').next().unwrap_or_default();
    let kind = kind.trim().to_ascii_lowercase();
    let facts = RequestFacts {
        stream: true,
        ..RequestFacts::default()
    };
    match kind.is_empty() {
        true => None,
        false => format.framing(&facts, &kind),
    }
}

/// Reads a streamed answer.
pub(super) struct Pieces<R> {
    format: Arc<dyn WireFormat>,
    bodies: ChatBodies,
    framer: Framer,
    decoder: Decoded,
    body: Pin<Box<R>>,
    /// How many bytes more the answer may have.
    room: usize,
    is_read: bool,
    has_ended: bool,
    /// Reports of one stream tell of all of it so far.
    usage: Option<Usage>,
    tally: Option<Arc<Tally>>,
}

impl<R> Drop for Pieces<R> {
    fn drop(&mut self) {
        if let Some(tally) = &self.tally {
            tally.count(self.usage);
        }
    }
}

impl<R> Pieces<R>
where
    R: Body + Send + 'static,
    R::Data: Send,
    R::Error: Into<BoxError>,
{
    pub(super) fn new(
        format: Arc<dyn WireFormat>,
        bodies: ChatBodies,
        framing: Framing,
        coding: Coding,
        body: R,
        limit: usize,
        tally: Option<Arc<Tally>>,
    ) -> Result<Self, CodingError> {
        Ok(Self {
            format,
            bodies,
            framer: Framer::new(framing, RECORD_LIMIT),
            decoder: match coding {
                Coding::Identity => Decoded::Plain,
                coding => Decoded::By(Decoder::streaming(coding, limit)?),
            },
            body: Box::pin(body),
            room: limit,
            is_read: false,
            has_ended: false,
            usage: None,
            tally,
        })
    }

    pub(super) fn into_stream(
        self,
    ) -> impl Stream<Item = Result<ModelChunk, ModelError>> + Send + 'static {
        futures_util::stream::unfold(self, |mut pieces| async move {
            let piece = pieces.next().await.transpose()?;
            // After an error there is nothing more to be had.
            pieces.has_ended |= piece.is_err();
            Some((piece, pieces))
        })
    }

    async fn next(&mut self) -> Result<Option<ModelChunk>, ModelError> {
        while !self.has_ended {
            let Some(record) = self.framer.next() else {
                if self.is_read {
                    self.end();
                } else {
                    self.read().await?;
                }
                continue;
            };
            let record = record.map_err(|error| {
                failed(ModelErrorKind::InvalidResponse, "a record cannot be read")
                    .with_source(error)
            })?;
            let data = record.data.as_deref().unwrap_or_default();
            if data.trim_ascii().is_empty() {
                continue;
            }
            match self.piece(data)? {
                Some(reply) => {
                    self.note_usage(reply.usage);
                    return Ok(Some(ModelChunk::from(reply)));
                }
                None => self.end(),
            }
        }
        Ok(None)
    }

    fn piece(&self, data: &[u8]) -> Result<Option<ModelReply>, ModelError> {
        match self.format.model() {
            None => self.bodies.piece(data),
            Some(protocol) => Ok(protocol.piece(data)?.map(reply_of)),
        }
    }

    fn note_usage(&mut self, new: Option<Usage>) {
        let Some(new) = new else { return };
        let usage = self.usage.get_or_insert_default();
        usage.prompt_tokens = usage.prompt_tokens.max(new.prompt_tokens);
        usage.completion_tokens = usage.completion_tokens.max(new.completion_tokens);
    }

    /// What was used is told at once, not when the stream is dropped.
    fn end(&mut self) {
        self.has_ended = true;
        if let Some(tally) = &self.tally {
            tally.count(self.usage.take());
        }
    }

    async fn read(&mut self) -> Result<(), ModelError> {
        let body = &mut self.body;
        let frame = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await;
        let broken = |error: BoxError| {
            failed(ModelErrorKind::Connection, "the stream broke off").with_source(error)
        };
        match frame {
            None => {
                self.is_read = true;
                let framer = &mut self.framer;
                self.decoder
                    .finish(|bytes| framer.push(bytes))
                    .map_err(broken)?;
                self.framer.finish();
            }
            Some(Err(error)) => return Err(broken(error.into())),
            Some(Ok(frame)) => {
                let Ok(mut data) = frame.into_data() else {
                    return Ok(());
                };
                let length = data.remaining();
                self.room = self.room.checked_sub(length).ok_or_else(|| {
                    failed(ModelErrorKind::InvalidResponse, "the answer is too long")
                })?;
                let bytes = data.copy_to_bytes(length);
                let framer = &mut self.framer;
                self.decoder
                    .read(bytes, |decoded| framer.push(decoded))
                    .map_err(broken)?;
            }
        }
        Ok(())
    }
}

fn failed(kind: ModelErrorKind, message: &str) -> ModelError {
    ModelError::new(kind, "", message)
}
