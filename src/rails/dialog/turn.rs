//! One call of `generate` and its kin: what its actions share, and where its answer streams.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::{
    super::{
        log::{self, ModelCall},
        options::GenerationOptions,
    },
    Engine, Handler, Piece,
    v1::PendingMessage,
};
use crate::{
    llm::Model,
    message::{Message, ToolCall},
};

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
}

impl Sink {
    pub(crate) fn new(out: mpsc::Sender<Piece>) -> Self {
        Self {
            handler: Mutex::default(),
            out: Mutex::new(Some(out)),
        }
    }

    pub(super) fn handler<T>(&self, with: impl FnOnce(&mut Handler) -> T) -> T {
        with(&mut self.handler.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends `piece` on; that nobody reads any more is no error.
    pub(super) async fn send(&self, piece: Piece) {
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
        main: Option<Arc<dyn Model>>,
        sink: Option<Sink>,
    ) -> Self {
        Self {
            engine,
            options,
            raw,
            main,
            sink,
            shared: Mutex::default(),
        }
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
        if let Some(piece) = sink.handler(|handler| handler.push(text, serde_json::Map::new())) {
            sink.send(piece).await;
        }
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
        })
        .await;
        sink.close();
    }

    /// Streams an error, and ends the stream.
    pub(crate) async fn fail_stream(&self, error: String) {
        let Some(sink) = &self.sink else { return };
        sink.send(Piece {
            text: error,
            metadata: serde_json::Map::new(),
            closing: false,
        })
        .await;
        self.close_stream().await;
    }
}
