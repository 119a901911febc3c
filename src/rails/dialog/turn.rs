//! One call of `generate` and its kin: what its actions share, and where its answer streams.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::sync::mpsc;

use super::{
    super::{
        log::{self, ModelCall},
        options::GenerationOptions,
    },
    Engine, Handler, Piece, Report,
    v1::PendingMessage,
};
use crate::{
    error::{ModelError, ModelErrorKind},
    llm::Model,
    message::{Message, ToolCall},
};

/// What a caller attaches to a turn.
#[derive(Debug, Default)]
pub(crate) struct Attachments {
    /// The model in the place of the main one.
    pub(crate) main: Option<Arc<dyn Model>>,
    /// Where the answer streams.
    pub(crate) sink: Option<Sink>,
    /// What the turn tells beside the answer.
    pub(crate) report: Arc<Report>,
    /// Whether the turn ends where the model is to answer the caller's own messages: the caller has them answered.
    pub(crate) forwards: bool,
    /// Whose conversation it is: nothing is remembered for another one.
    pub(crate) whose: Option<String>,
}

/// One call of `generate` and its kin: what its actions share.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) engine: Arc<Engine>,
    pub(crate) options: Option<GenerationOptions>,
    /// The caller's own messages, for passthrough and for rails on tools.
    pub(crate) raw: Option<Arc<Vec<Message>>>,
    /// The model in the place of the main one, where the caller brings one.
    pub(crate) main: Option<Arc<dyn Model>>,
    /// Where the answer streams to.
    pub(crate) sink: Option<Sink>,
    /// What the caller is told beside the answer.
    pub(crate) report: Arc<Report>,
    forwards: bool,
    /// Whose conversation it is.
    pub(crate) whose: Option<String>,
    shared: Mutex<Shared>,
}

/// What one action leaves for another.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) reasoning: Option<String>,
    pub(super) tool_calls: Vec<ToolCall>,
    pending: Option<Box<PendingMessage>>,
    /// Why the last action that failed did.
    failure: Option<String>,
    pub(super) calls: Vec<ModelCall>,
    names: u64,
}

/// Where a streamed answer goes.
#[derive(Debug)]
pub(crate) struct Sink {
    handler: Mutex<Handler>,
    out: Mutex<Option<mpsc::Sender<Piece>>>,
    /// All messages of a turn; else the stream ends with the first one that a model makes, as in the reference.
    messages: Option<Mutex<Messages>>,
}

/// Where a stream of several messages stands.
#[derive(Debug, Default)]
struct Messages {
    /// Whether something was said.
    has_begun: bool,
    /// Whether the next piece begins another message.
    is_between: bool,
    /// Whether the message that comes next was streamed already.
    was_streamed: bool,
}

impl Sink {
    pub(crate) fn new(out: mpsc::Sender<Piece>) -> Self {
        Self {
            handler: Mutex::default(),
            out: Mutex::new(Some(out)),
            messages: None,
        }
    }

    /// A sink that gets all messages of a turn, a line each.
    pub(crate) fn of_all_messages(out: mpsc::Sender<Piece>) -> Self {
        Self {
            messages: Some(Mutex::default()),
            ..Self::new(out)
        }
    }

    fn messages<T>(&self, with: impl FnOnce(&mut Messages) -> T) -> Option<T> {
        let messages = self.messages.as_ref()?;
        Some(with(
            &mut messages.lock().unwrap_or_else(PoisonError::into_inner),
        ))
    }

    pub(super) fn handler<T>(&self, with: impl FnOnce(&mut Handler) -> T) -> T {
        with(&mut self.handler.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends `piece` on; that nobody reads any more is no error.
    pub(super) async fn send(&self, mut piece: Piece) {
        if !piece.text.is_empty() {
            let separates = self.messages(|messages| {
                let separates = messages.has_begun && messages.is_between;
                messages.has_begun = true;
                messages.is_between = false;
                separates
            });
            if separates == Some(true) {
                piece.text.insert(0, '\n');
            }
        }
        let out = self
            .out
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(out) = out {
            // An error means that the reader has what it wants.
            let _ = out.send(piece).await;
        }
    }

    /// Ends the stream for the reader.
    fn close(&self) {
        self.out
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}

impl Turn {
    pub(crate) fn new(
        engine: Arc<Engine>,
        options: Option<GenerationOptions>,
        raw: Option<Arc<Vec<Message>>>,
        attachments: Attachments,
    ) -> Self {
        let Attachments {
            main,
            sink,
            report,
            forwards,
            whose,
        } = attachments;
        Self {
            engine,
            options,
            raw,
            main,
            sink,
            report,
            forwards,
            whose,
            shared: Mutex::default(),
        }
    }

    /// Ends the turn where the model is to answer the caller's own messages, if the caller has them answered: the user's last one
    /// says `user_message` by now.
    ///
    /// # Errors
    ///
    /// The end of the turn.
    pub(super) fn forward(&self, user_message: Option<&Value>) -> Result<(), ModelError> {
        if !self.forwards {
            return Ok(());
        }
        self.report
            .forward(user_message.cloned().unwrap_or_default());
        Err(ModelError::new(
            ModelErrorKind::Configuration,
            "main",
            "the caller's own messages are answered elsewhere",
        ))
    }

    /// Notes why an action failed, for the operator.
    pub(super) fn note_failure(&self, reason: String) {
        self.shared(|shared| shared.failure = Some(reason));
    }

    /// Why the last action that failed did.
    pub(crate) fn take_failure(&self) -> Option<String> {
        self.shared(|shared| shared.failure.take())
    }

    pub(super) fn shared<T>(&self, with: impl FnOnce(&mut Shared) -> T) -> T {
        with(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn take_reasoning(&self) -> Option<String> {
        self.shared(|shared| shared.reasoning.take())
            .filter(|reasoning| !reasoning.is_empty())
    }

    pub(super) fn take_tool_calls(&self) -> Vec<ToolCall> {
        self.shared(|shared| std::mem::take(&mut shared.tool_calls))
    }

    pub(super) fn keep_pending(&self, message: PendingMessage) {
        self.shared(|shared| shared.pending = Some(Box::new(message)));
    }

    pub(super) fn take_pending(&self) -> Option<PendingMessage> {
        self.shared(|shared| shared.pending.take())
            .map(|message| *message)
    }

    /// A name for a flow that a model wrote.
    pub(super) fn unique_name(&self) -> String {
        let number = self.shared(|shared| {
            shared.names += 1;
            shared.names
        });
        format!("generated flow {number} of {:x}", log::now().to_bits())
    }

    /// The calls of models so far.
    pub(crate) fn model_calls(&self) -> Vec<ModelCall> {
        self.shared(|shared| shared.calls.clone())
    }

    /// Streams a whole text, where there is a stream and it is still open.
    pub(super) async fn say(&self, text: &str) {
        let Some(sink) = &self.sink else { return };
        let was_streamed = sink.messages(|messages| std::mem::take(&mut messages.was_streamed));
        if was_streamed == Some(true) {
            return;
        }
        let piece = sink.handler(|handler| {
            if sink.messages.is_some() {
                *handler = Handler::default();
            }
            handler.push(text, serde_json::Map::new())
        });
        if let Some(piece) = piece {
            sink.send(piece).await;
        }
        if sink.messages.is_some() {
            sink.handler(|handler| *handler = Handler::default());
            sink.messages(|messages| messages.is_between = true);
        }
    }

    /// Ends a message that was streamed as the model made it; gives its text.
    pub(super) async fn end_message(&self) -> String {
        let Some(sink) = &self.sink else {
            return String::new();
        };
        if sink.messages.is_none() {
            self.close_stream().await;
            return sink.handler(|handler| handler.completion().to_owned());
        }
        let (last, text) = sink.handler(|handler| {
            let last = handler.finish();
            let text = std::mem::take(handler).completion().to_owned();
            (last, text)
        });
        if let Some(last) = last {
            sink.send(last.generated()).await;
        }
        sink.messages(|messages| {
            messages.is_between = true;
            messages.was_streamed = true;
        });
        text
    }

    pub(super) async fn send(&self, piece: Piece) {
        if let Some(sink) = &self.sink {
            sink.send(piece).await;
        }
    }

    /// Expects the next streamed answer between `prefix` and `suffix`.
    pub(super) fn expect_frame(&self, prefix: &str, suffix: &str) {
        if let Some(sink) = &self.sink {
            sink.handler(|handler| handler.set_pattern(prefix, suffix));
        }
    }

    /// Ends the stream: gives what was held back, then the closing piece.
    pub(crate) async fn close_stream(&self) {
        let Some(sink) = &self.sink else { return };
        let (last, metadata) =
            sink.handler(|handler| (handler.finish(), handler.metadata().clone()));
        if let Some(last) = last {
            sink.send(last).await;
        }
        sink.send(Piece {
            text: String::new(),
            metadata,
            closing: true,
            generated: false,
        })
        .await;
        sink.close();
    }

    /// Streams an error, and ends the stream.
    pub(crate) async fn fail_stream(&self, error: String) {
        let Some(sink) = &self.sink else { return };
        if sink.messages.is_some() {
            // Its reader gets the error itself.
            return sink.close();
        }
        sink.send(Piece {
            text: error,
            metadata: serde_json::Map::new(),
            closing: false,
            generated: false,
        })
        .await;
        self.close_stream().await;
    }
}
