//! Streams: an answer piece by piece, checked by the output rails in windows.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_core::{Stream, future::BoxFuture, stream::BoxStream};
use futures_util::{StreamExt as _, future::join};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::{
    dialog::{Attachments, Engine, Flows, Piece, Sink, Turn, v1::OutputRail},
    flows::judge,
    response::GenerationRequest,
    turn::generate,
    windows::{Window, Windows},
};
use crate::{
    actions::ActionResult,
    error::{BoxError, Error, Result},
    library::Subject,
    llm::dumps,
    message::{Content, Message, Role},
    verdict::Place,
};

/// How many pieces wait for whom they are for.
const WAITING_PIECES: usize = 64;

/// A piece of a streamed answer.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Chunk {
    /// A text. An error, or a block, is a text too: a JSON object with the one key `error`.
    Text(String),
    /// A text with what is known of the generation, where that is asked for; the last one closes the stream.
    WithMetadata {
        /// The text.
        text: String,
        /// What is known: `usage`, `provider_metadata`.
        #[serde(skip_serializing_if = "Map::is_empty")]
        metadata: Map<String, Value>,
    },
}

impl Chunk {
    /// The text.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::WithMetadata { text, .. } => text,
        }
    }
}

/// What is streamed: an answer, or a stream of the caller's that is only checked.
#[derive(Default)]
#[non_exhaustive]
pub struct StreamRequest {
    /// The conversation, its options and state.
    pub request: GenerationRequest,
    /// Whether pieces carry what is known of the generation.
    pub include_metadata: bool,
    /// A stream of the caller's own in the place of a generated answer.
    pub generator: Option<BoxStream<'static, String>>,
}

impl StreamRequest {
    /// A stream of the answer to `request`.
    pub fn new(request: impl Into<GenerationRequest>) -> Self {
        Self {
            request: request.into(),
            ..Self::default()
        }
    }

    /// Asks for metadata.
    #[must_use]
    pub fn include_metadata(mut self) -> Self {
        self.include_metadata = true;
        self
    }

    /// Checks `pieces` instead of asking a model.
    #[must_use]
    pub fn generator(mut self, pieces: impl Stream<Item = String> + Send + 'static) -> Self {
        self.generator = Some(pieces.boxed());
        self
    }
}

impl std::fmt::Debug for StreamRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamRequest")
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

/// The pieces of an answer. Dropping it cancels the turn, its model calls and its rails.
pub struct ChunkStream {
    work: Option<BoxFuture<'static, ()>>,
    out: mpsc::Receiver<Result<Chunk>>,
}

impl ChunkStream {
    /// A stream of what `work` sends.
    pub(crate) fn new<Work>(work: impl FnOnce(mpsc::Sender<Result<Chunk>>) -> Work) -> Self
    where
        Work: Future<Output = ()> + Send + 'static,
    {
        let (out, received) = mpsc::channel(WAITING_PIECES);
        Self {
            work: Some(Box::pin(work(out))),
            out: received,
        }
    }
}

impl std::fmt::Debug for ChunkStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkStream").finish_non_exhaustive()
    }
}

impl Stream for ChunkStream {
    type Item = Result<Chunk>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(work) = &mut self.work
            && work.as_mut().poll(context).is_ready()
        {
            self.work = None;
        }
        match self.out.poll_recv(context) {
            // The turn is still to be finished: it is remembered for the next one.
            Poll::Ready(None) if self.work.is_some() => Poll::Pending,
            polled => polled,
        }
    }
}

/// Streams what `request` asks for.
pub(crate) fn stream(engine: &Arc<Engine>, request: StreamRequest) -> ChunkStream {
    let engine = Arc::clone(engine);
    ChunkStream::new(|out| async move {
        if let Err(error) = run(engine, request, &out).await {
            // Nobody listens any more: nobody has to be told.
            let _ = out.send(Err(error)).await;
        }
    })
}

async fn run(
    engine: Arc<Engine>,
    request: StreamRequest,
    out: &mpsc::Sender<Result<Chunk>>,
) -> Result<()> {
    let StreamRequest {
        request,
        include_metadata,
        generator,
    } = request;
    let checks = engine.streams_output_rails();
    if !engine.config.rails.output.flows.is_empty() && !checks {
        return Err(Error::invalid_input(
            "output rails are configured, but `rails.output.streaming.enabled` is not: enable it, or generate the whole answer",
        ));
    }
    let reader = Reader {
        engine: Arc::clone(&engine),
        messages: request.messages.clone(),
        // A caller's own texts come back as they are.
        include_metadata: include_metadata && generator.is_none(),
        checks,
    };
    if let Some(generator) = generator {
        let pieces = generator.map(|text| Piece {
            text,
            metadata: Map::new(),
            closing: false,
            generated: false,
        });
        return reader.read(pieces.boxed(), out.clone()).await;
    }
    let (sink, pieces) = mpsc::channel(WAITING_PIECES);
    let attachments = Attachments {
        sink: Some(Sink::new(sink)),
        ..Attachments::default()
    };
    let pieces = futures_util::stream::unfold(pieces, |mut pieces| async move {
        Some((pieces.recv().await?, pieces))
    });
    let generation = generate(&engine, request, attachments);
    let (read, generated) = join(reader.read(pieces.boxed(), out.clone()), generation).await;
    if let Err(error) = generated {
        // It is in the stream already, as a piece.
        tracing::debug!(%error, "a streamed turn failed");
    }
    read
}

/// Hands pieces to the caller, checked where the config says so.
struct Reader {
    engine: Arc<Engine>,
    messages: Vec<Message>,
    include_metadata: bool,
    checks: bool,
}

impl Reader {
    async fn read(
        self,
        mut pieces: BoxStream<'static, Piece>,
        out: mpsc::Sender<Result<Chunk>>,
    ) -> Result<()> {
        if self.checks {
            return self.check(pieces, out).await;
        }
        while let Some(piece) = pieces.next().await {
            let chunk = match (self.include_metadata, piece.closing) {
                (false, true) => continue,
                (false, false) => Chunk::Text(piece.text),
                (true, closing) => {
                    let mut metadata = piece.metadata;
                    if closing {
                        metadata.entry("response_metadata").or_insert(Value::Null);
                        metadata.entry("usage_metadata").or_insert(Value::Null);
                    }
                    Chunk::WithMetadata {
                        text: piece.text,
                        metadata,
                    }
                }
            };
            if out.send(Ok(chunk)).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn check(
        self,
        mut pieces: BoxStream<'static, Piece>,
        out: mpsc::Sender<Result<Chunk>>,
    ) -> Result<()> {
        let streaming = self.engine.streaming();
        let mut windows = Windows::of(&streaming)?;
        loop {
            let (window, last) = match pieces.next().await {
                Some(piece) if piece.closing && !self.include_metadata => continue,
                Some(piece) => (windows.push(piece.text), false),
                None => (windows.finish(), true),
            };
            if let Some(Window { text, new }) = window {
                let (before, after) = if streaming.stream_first.unwrap_or(true) {
                    (new, Vec::new())
                } else {
                    (Vec::new(), new)
                };
                send_all(&out, before).await;
                if let Some(block) = self.judge(&text).await? {
                    send_all(&out, vec![block]).await;
                    return Ok(());
                }
                send_all(&out, after).await;
            }
            if last {
                return Ok(());
            }
        }
    }

    /// Runs all output rails on `text`: what ends the stream, where one does not let it pass.
    async fn judge(&self, text: &str) -> Result<Option<String>> {
        let rails = &self.engine.config.rails.output;
        if !rails.parallel {
            for flow in &rails.flows {
                if let Some(end) = self.end_of_rail(&flow.text, text).await? {
                    return Ok(Some(end));
                }
            }
            return Ok(None);
        }
        let mut running: futures_util::stream::FuturesUnordered<_> = rails
            .flows
            .iter()
            .map(|flow| self.end_of_rail(&flow.text, text))
            .collect();
        while let Some(end) = running.next().await {
            // Dropping `running` cancels the others.
            if let Some(end) = end? {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    /// Runs the output rail `flow` on `text`: what ends the stream, where it does not let it pass.
    async fn end_of_rail(&self, flow: &str, text: &str) -> Result<Option<String>> {
        let result = match &self.engine.flows {
            Flows::V1(flows) => self.run_rail(&flows.output_rail(flow)?, flow, text).await,
            Flows::V2(_) => {
                let asked = self
                    .asked()
                    .and_then(|asked| asked.as_str().map(str::to_owned));
                let subject = Subject::output(text, asked.as_deref().unwrap_or_default());
                let judged = judge(&self.engine, Place::Output, flow, subject, None).await;
                judged.map(ActionResult::verdict).map_err(BoxError::from)
            }
        };
        Ok(end_of(flow, result))
    }

    /// What the user said last.
    fn asked(&self) -> Option<Value> {
        let mut messages = self.messages.iter().rev();
        let asked = messages.find(|message| message.role == Role::User);
        asked.map(|message| super::messages::content_value(&message.content))
    }

    async fn run_rail(
        &self,
        rail: &OutputRail,
        flow: &str,
        text: &str,
    ) -> Result<ActionResult, BoxError> {
        let turn = Turn::new(Arc::clone(&self.engine), None, None, Attachments::default());
        let asked = self.asked().unwrap_or_default();
        let mut variables = Map::new();
        variables.insert("user_message".to_owned(), asked.clone());
        variables.insert("bot_message".to_owned(), text.into());
        let context = self
            .messages
            .iter()
            .rev()
            .find(|message| message.role == Role::Context);
        if let Some(Content::Data(data)) = context.map(|message| &message.content) {
            variables.extend(data.clone());
        }
        variables.insert("triggered_output_rail".to_owned(), flow.into());
        turn.run_output_rail(rail, flow, variables, text, asked)
            .await
    }
}

async fn send_all(out: &mpsc::Sender<Result<Chunk>>, texts: Vec<String>) {
    for text in texts {
        if out.send(Ok(Chunk::Text(text))).await.is_err() {
            return;
        }
    }
}

/// The piece that ends a stream after a rail's `result`; none where the text passes.
fn end_of(flow: &str, result: Result<ActionResult, BoxError>) -> Option<String> {
    let failure = match result {
        Ok(ActionResult {
            verdict: Some(outcome),
            ..
        }) => {
            return outcome.is_block().then(|| {
                error_json(
                    &format!("Blocked by {flow} rails."),
                    "guardrails_violation",
                    flow.into(),
                    "content_blocked".into(),
                )
            });
        }
        Ok(result) => {
            let found = crate::value::Value::from_json(&result.value);
            format!(
                "Rail action must return RailOutcome, got {}",
                found.type_name()
            )
        }
        Err(error) => error.to_string(),
    };
    let message = format!("Internal error in {flow} rail: {failure}");
    Some(error_json(
        &message,
        "internal_error",
        flow.into(),
        "rail_execution_failure".into(),
    ))
}

/// The piece that ends the stream of a turn that failed.
pub(crate) fn error_chunk(error: &Error) -> String {
    let model = match error {
        Error::Model(error) => Some(error),
        _ => None,
    };
    let message = model.map_or_else(|| error.to_string(), |error| error.message.clone());
    match model.and_then(|error| error.status) {
        Some(status) => error_json(&message, "downstream_error", Value::Null, status.into()),
        None => error_json(
            &message,
            "generation_error",
            Value::Null,
            "generation_failed".into(),
        ),
    }
}

pub(crate) fn error_json(message: &str, kind: &str, param: Value, code: Value) -> String {
    dumps(&json!({"error": {"message": message, "type": kind, "param": param, "code": code}}))
}

impl<T: Into<GenerationRequest>> From<T> for StreamRequest {
    fn from(request: T) -> Self {
        Self::new(request)
    }
}
