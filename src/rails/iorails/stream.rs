//! Streams: an answer piece by piece, read by the output rails in windows.

use std::sync::Arc;

use futures_util::StreamExt as _;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::Sender;

use super::{
    Inner, IoRails,
    answer::check_messages,
    conversation::Conversation,
    judge::{Judged, Session, Stopped, nothing_to_rewrite},
};
use crate::{
    error::{Error, Result},
    llm::dumps,
    message::ToolCall,
    rails::{
        dialog::metadata_of,
        response::GenerationRequest,
        streaming::{Chunk, ChunkStream, StreamRequest, error_chunk, error_json},
        windows::{Window, Windows},
    },
};

/// The types of pieces that end a stream.
const ENDS: [&str; 3] = [
    "generation_error",
    "downstream_error",
    "guardrails_violation",
];

impl IoRails {
    /// Answers a conversation piece by piece.
    ///
    /// The input rails come first: nothing leaves before they pass. Output rails read the stream in windows, as
    /// `rails.output.streaming` says. A piece that is a JSON object with the key `error` ends the stream where a rail blocks or the
    /// model fails; tool calls come last, in a piece that is a JSON object with the key `tool_calls`. What a model thinks is not
    /// streamed.
    ///
    /// ```no_run
    /// # async fn f(rails: tower_guardrails::IoRails) -> tower_guardrails::Result<()> {
    /// use futures_util::StreamExt;
    /// use tower_guardrails::Message;
    ///
    /// let mut chunks = rails.stream([Message::user("Tell me a story.")]);
    /// while let Some(chunk) = chunks.next().await {
    ///     print!("{}", chunk?.text());
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// The stream gives an error where there is nothing to answer, where output rails are configured and not
    /// `rails.output.streaming.enabled`, where metadata is asked for beside such rails, and where the model of an output rail
    /// answers with an HTTP error. A state and a stream of the caller's are passed over.
    pub fn stream(&self, request: impl Into<StreamRequest>) -> ChunkStream {
        let inner = Arc::clone(&self.inner);
        let request = request.into();
        ChunkStream::new(|out| async move {
            if let Err(error) = run(&inner, request, &out).await {
                // Nobody listens any more: nobody has to be told.
                let _ = out.send(Err(error)).await;
            }
        })
    }
}

async fn run(inner: &Inner, request: StreamRequest, out: &Sender<Result<Chunk>>) -> Result<()> {
    let StreamRequest {
        request,
        include_metadata,
        generator,
    } = request;
    let GenerationRequest {
        messages,
        options,
        state,
    } = request;
    check_messages(&messages)?;
    if generator.is_some() || state.is_some() {
        tracing::warn!(
            "a stream of rails without Colang passes over a state, and a stream of the caller's"
        );
    }
    let streaming = inner.plan.streaming.as_ref();
    let streaming = streaming.filter(|streaming| streaming.enabled);
    let has_rails = !inner.plan.output.is_empty();
    if has_rails && streaming.is_none() {
        return Err(Error::invalid_input(
            "output rails are configured, but `rails.output.streaming.enabled` is not: enable it, or generate the whole answer",
        ));
    }
    if has_rails && include_metadata {
        return Err(Error::invalid_input(
            "output rails read the stream as plain texts: it cannot carry metadata",
        ));
    }
    let session = Session::unchecked(inner, options.as_ref());
    let windows = streaming.filter(|_| has_rails);
    let mut streamed = Streamed {
        session: &session,
        conversation: Conversation::new(messages),
        out,
        include_metadata,
        known: Map::new(),
        windows: windows.map(Windows::of).transpose()?,
        stream_first: windows.is_some_and(|sizes| sizes.stream_first.unwrap_or(true)),
        ended: false,
        failed: false,
    };
    let calls = streamed.generate().await?;
    streamed.finish().await?;
    streamed.tool_calls(&calls).await;
    Ok(())
}

/// A stream on its way out.
struct Streamed<'a> {
    session: &'a Session<'a>,
    conversation: Conversation,
    out: &'a Sender<Result<Chunk>>,
    include_metadata: bool,
    /// What is known of the generation so far.
    known: Map<String, Value>,
    windows: Option<Windows>,
    stream_first: bool,
    /// Nothing of the text leaves any more.
    ended: bool,
    /// A piece has left that says what went wrong.
    failed: bool,
}

impl Streamed<'_> {
    /// Rails, then the main model: its pieces go out. The tool calls that it ends with.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    async fn generate(&mut self) -> Result<Vec<ToolCall>> {
        if let Judged::Stopped(stopped) = self.session.judge_tool_results(&self.conversation) {
            self.push(&violation("tool input rails", &stopped)).await?;
            return Ok(Vec::new());
        }
        let stopped = match self.session.judge_input(&self.conversation).await {
            Ok(Judged::Passed) => None,
            Ok(Judged::Rewritten(text)) => {
                (!self.conversation.rewrite(text)).then(nothing_to_rewrite)
            }
            Ok(Judged::Stopped(stopped)) => Some(stopped),
            Err(error) => {
                self.push(&error_chunk(&error)).await?;
                return Ok(Vec::new());
            }
        };
        if let Some(stopped) = stopped {
            self.push(&violation("input rails", &stopped)).await?;
            return Ok(Vec::new());
        }
        let request = self.session.request(&self.conversation);
        let started = match self.session.main() {
            Ok(model) => model.stream(request).await,
            Err(error) => Err(error),
        };
        let mut chunks = match started {
            Ok(chunks) => chunks,
            Err(error) => {
                self.push(&error_chunk(&error.into())).await?;
                return Ok(Vec::new());
            }
        };
        let mut calls = Vec::new();
        while let Some(chunk) = chunks.next().await {
            match chunk {
                Ok(mut chunk) => {
                    if !chunk.tool_calls.is_empty() {
                        calls = std::mem::take(&mut chunk.tool_calls);
                    }
                    if self.include_metadata {
                        self.known.extend(metadata_of(&chunk));
                    }
                    if !chunk.content.is_empty() {
                        self.push(&chunk.content).await?;
                    }
                }
                Err(error) => {
                    self.push(&error_chunk(&error.into())).await?;
                    break;
                }
            }
            // Whom the stream has ended for needs no more of it: dropping it cancels the model's call.
            if self.ended || self.out.is_closed() {
                break;
            }
        }
        Ok(calls)
    }

    /// Takes a piece in; what may leave does.
    ///
    /// # Errors
    ///
    /// Where the model of an output rail answers with an HTTP error.
    async fn push(&mut self, text: &str) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        match &mut self.windows {
            None => {
                self.send(text).await;
                Ok(())
            }
            Some(windows) => match windows.push(text.to_owned()) {
                Some(window) => self.read(window).await,
                None => Ok(()),
            },
        }
    }

    /// Ends the text.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    async fn finish(&mut self) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        if let Some(window) = self.windows.as_mut().and_then(Windows::finish) {
            self.read(window).await?;
        }
        if self.include_metadata {
            let mut metadata = std::mem::take(&mut self.known);
            metadata.entry("response_metadata").or_insert(Value::Null);
            metadata.entry("usage_metadata").or_insert(Value::Null);
            let closing = Chunk::WithMetadata {
                text: String::new(),
                metadata,
            };
            let _ = self.out.send(Ok(closing)).await;
        }
        Ok(())
    }

    /// Has the output rails read a window, before its new pieces leave or after.
    async fn read(&mut self, window: Window) -> Result<()> {
        let Window { text, new } = window;
        if let Some(end) = new.iter().find(|piece| ends_stream(piece)) {
            self.send(end).await;
            self.ended = true;
            return Ok(());
        }
        if self.stream_first {
            self.send_all(&new).await;
        }
        if text.is_empty() {
            if !self.stream_first {
                self.send_all(&new).await;
            }
            return Ok(());
        }
        match self.session.judge_output(&self.conversation, &text).await? {
            Judged::Stopped(stopped) => {
                self.send(&violation("output rails", &stopped)).await;
                self.ended = true;
            }
            // What has left cannot be rewritten any more.
            Judged::Rewritten(_) if self.stream_first => {
                let message =
                    "Blocked by output rails: a rewrite could not be applied to the stream";
                self.send(&violation_json(message, "output rails")).await;
                self.ended = true;
            }
            Judged::Rewritten(text) => self.send(&text).await,
            Judged::Passed if self.stream_first => {}
            Judged::Passed => self.send_all(&new).await,
        }
        Ok(())
    }

    /// The tool calls of a stream that came to a good end, once they are validated.
    async fn tool_calls(&mut self, calls: &[ToolCall]) {
        if calls.is_empty() || self.failed {
            return;
        }
        let text = match self.session.judge_tool_calls(calls).await {
            Judged::Stopped(stopped) => violation("tool output rails", &stopped),
            _ => calls_json(calls),
        };
        let chunk = if self.include_metadata {
            Chunk::WithMetadata {
                text,
                metadata: Map::new(),
            }
        } else {
            Chunk::Text(text)
        };
        let _ = self.out.send(Ok(chunk)).await;
    }

    async fn send_all(&mut self, texts: &[String]) {
        for text in texts {
            self.send(text).await;
        }
    }

    async fn send(&mut self, text: &str) {
        self.failed |= ends_stream(text);
        let text = text.to_owned();
        let chunk = if self.include_metadata {
            let metadata = self.known.clone();
            self.known.remove("usage");
            Chunk::WithMetadata { text, metadata }
        } else {
            Chunk::Text(text)
        };
        // Where nobody listens any more, the loop over the model's pieces ends.
        let _ = self.out.send(Ok(chunk)).await;
    }
}

/// Whether a piece says what went wrong.
fn ends_stream(text: &str) -> bool {
    if !text.contains("\"error\"") {
        return false;
    }
    let piece: Option<Value> = serde_json::from_str(text).ok();
    let kind = piece
        .as_ref()
        .and_then(|piece| piece.get("error")?.get("type")?.as_str());
    kind.is_some_and(|kind| ENDS.contains(&kind))
}

fn violation(rails: &str, stopped: &Stopped) -> String {
    violation_json(
        &format!("Blocked by {rails}: {}", stopped.shown_reason()),
        rails,
    )
}

fn violation_json(message: &str, rails: &str) -> String {
    let family = rails.replace(' ', "_");
    error_json(
        message,
        "guardrails_violation",
        family.into(),
        "content_blocked".into(),
    )
}

fn calls_json(calls: &[ToolCall]) -> String {
    let calls = calls.iter().map(|call| {
        let arguments = match &call.arguments {
            Value::String(text) => text.clone(),
            Value::Null => "{}".to_owned(),
            arguments => dumps(arguments),
        };
        let function = json!({"name": call.name, "arguments": arguments});
        json!({"id": call.id, "type": "function", "function": function})
    });
    dumps(&json!({"tool_calls": calls.collect::<Vec<_>>()}))
}
