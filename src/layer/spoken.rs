//! An answer that is written while the turn still speaks.

use std::{future::pending, sync::Arc};

use bytes::{Bytes, BytesMut};
use futures_core::{future::BoxFuture, stream::BoxStream};
use tokio::sync::mpsc;

use super::tally::Tally;
use crate::{
    error::Result,
    framing::{Framing, NewRecord, RecordWriter},
    rails::{GenerationResponse, Piece, Report, Sink},
    wire::{Answer, AnswerStream, RequestFacts, WireFormat},
};

/// How many pieces wait to be written.
const WAITING_PIECES: usize = 64;

type Ended = Result<GenerationResponse>;

/// Writes what a turn says.
pub(super) struct Spoken {
    format: Arc<dyn WireFormat>,
    facts: RequestFacts,
    pieces: mpsc::Receiver<Piece>,
    tally: Arc<Tally>,
    report: Arc<Report>,
}

/// What is known of a turn before its answer leaves.
pub(super) enum Ahead {
    /// It has ended: no model was asked for the words of the answer, or none streamed them.
    Ended(Box<Ended>),
    /// A model makes its answer: the records of the reply.
    Speaking(BoxStream<'static, Bytes>),
}

impl Spoken {
    /// A reply in `format`, and where the turn says it.
    pub(super) fn new(
        format: &Arc<dyn WireFormat>,
        facts: &RequestFacts,
        tally: &Arc<Tally>,
        report: &Arc<Report>,
    ) -> (Self, Sink) {
        let (sink, pieces) = mpsc::channel(WAITING_PIECES);
        let spoken = Self {
            format: Arc::clone(format),
            facts: facts.clone(),
            pieces,
            tally: Arc::clone(tally),
            report: Arc::clone(report),
        };
        (spoken, Sink::of_all_messages(sink))
    }

    /// A whole stream that says `answer`.
    pub(super) fn whole(
        framing: Framing,
        mut writer: Box<dyn AnswerStream>,
        answer: &Answer,
    ) -> Bytes {
        let mut records = Vec::new();
        if !answer.content.is_empty() {
            writer.text(&answer.content, &mut records);
        }
        writer.end(answer, &mut records);
        let (mut out, mut bytes) = (RecordWriter::new(framing), BytesMut::new());
        for record in &records {
            out.write(record, &mut bytes);
        }
        out.end(&mut bytes);
        bytes.freeze()
    }

    /// Runs `turn` to its end, or until a model begins to speak.
    pub(super) async fn listen(mut self, mut turn: BoxFuture<'static, Ended>) -> Ahead {
        let mut said = String::new();
        loop {
            tokio::select! {
                biased;
                piece = self.pieces.recv() => match piece {
                    Some(piece) => {
                        said.push_str(&piece.text);
                        if piece.generated {
                            break;
                        }
                    }
                    None => return Ahead::Ended(Box::new(turn.await)),
                },
                ended = &mut turn => return Ahead::Ended(Box::new(ended)),
            }
        }
        let Some(writer) = self.format.answers() else {
            return Ahead::Ended(Box::new(turn.await));
        };
        let framing = self.format.framing(&self.facts, "");
        let framing = framing.unwrap_or(Framing::Sse);
        let speaking = Speaking {
            writer: writer.stream(&self.facts),
            out: RecordWriter::new(framing),
            said: Some(said),
            turn: Some(turn),
            ended: None,
            is_over: false,
            spoken: self,
        };
        Ahead::Speaking(Box::pin(futures_util::stream::unfold(
            speaking,
            |mut speaking| async move {
                let bytes = speaking.next().await?;
                Some((bytes, speaking))
            },
        )))
    }
}

/// A turn whose answer is on its way.
struct Speaking {
    writer: Box<dyn AnswerStream>,
    out: RecordWriter,
    /// What was said before the reply began.
    said: Option<String>,
    turn: Option<BoxFuture<'static, Ended>>,
    ended: Option<Ended>,
    is_over: bool,
    spoken: Spoken,
}

impl Speaking {
    async fn next(&mut self) -> Option<Bytes> {
        if self.is_over {
            return None;
        }
        if let Some(said) = self.said.take() {
            return Some(self.text(&said));
        }
        loop {
            let turn = async {
                match &mut self.turn {
                    Some(turn) => turn.await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                piece = self.spoken.pieces.recv() => match piece {
                    Some(piece) if piece.text.is_empty() || piece.closing => {}
                    Some(piece) => return Some(self.text(&piece.text)),
                    None => {
                        let ended = match self.turn.take() {
                            Some(turn) => Some(turn.await),
                            None => self.ended.take(),
                        };
                        self.is_over = true;
                        return Some(self.end(ended));
                    }
                },
                ended = turn => {
                    self.turn = None;
                    self.ended = Some(ended);
                }
            }
        }
    }

    fn text(&mut self, text: &str) -> Bytes {
        let mut records = Vec::new();
        self.writer.text(text, &mut records);
        self.write(&records, false)
    }

    fn end(&mut self, ended: Option<Ended>) -> Bytes {
        let mut records = Vec::new();
        match ended {
            Some(Err(error)) => {
                tracing::warn!(error = error.for_log(), "a turn of the dialogue failed");
                let mut stream = self.spoken.format.stream(&self.spoken.facts);
                let message = "the dialogue could not go on";
                stream.fail("dialogue_failed", message, &mut records);
            }
            _ => {
                let answer = Answer {
                    finish_reason: self.spoken.report.finish_reason(),
                    tokens: self.spoken.tally.tokens(),
                    ..Answer::default()
                };
                self.writer.end(&answer, &mut records);
            }
        }
        self.write(&records, true)
    }

    fn write(&mut self, records: &[NewRecord], is_last: bool) -> Bytes {
        let mut bytes = BytesMut::new();
        for record in records {
            self.out.write(record, &mut bytes);
        }
        if is_last {
            self.out.end(&mut bytes);
        }
        bytes.freeze()
    }
}
