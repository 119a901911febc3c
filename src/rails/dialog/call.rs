//! Asking a model: the request, its log, its reasoning and tool calls, its stream.

use std::sync::Arc;

use futures_core::stream::BoxStream;
use futures_util::StreamExt as _;
use serde_json::{Map, Value};

use super::{
    super::log::{ModelCall, ProcessingLog, now},
    Turn,
};
use crate::{
    error::{BoxError, ModelError, ModelErrorKind},
    llm::{
        Model, ModelChunk, ModelReply, ModelRequest,
        cache::{AnswerCache, CacheKey},
    },
    message::Message,
};

impl Turn {
    /// Asks the model of `action` for `task`, of whose answer the turn keeps the thoughts and tool calls.
    ///
    /// # Errors
    ///
    /// Where the model fails, or there is none.
    pub(super) async fn call(
        &self,
        action: &str,
        task: &str,
        messages: Vec<Message>,
        params: Map<String, Value>,
        log: &ProcessingLog,
    ) -> Result<ModelReply, BoxError> {
        let reply = self.ask(action, task, messages, params, log).await?;
        self.note_extras(&reply);
        Ok(reply)
    }

    /// As [`call`](Self::call), but the turn keeps nothing of the answer: what a rail's model thinks is not the bot's.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub(super) async fn ask(
        &self,
        action: &str,
        task: &str,
        messages: Vec<Message>,
        params: Map<String, Value>,
        log: &ProcessingLog,
    ) -> Result<ModelReply, BoxError> {
        let model = self.model_for(action)?;
        let cache = self.cache_for(action, task);
        let cache = cache.map(|cache| (CacheKey::new(&messages), cache));
        let mut call = started(task, &*model, &messages);
        if let Some((key, cache)) = &cache
            && let Some(reply) = cache.get(key)
        {
            call.from_cache = true;
            call.completion.clone_from(&reply.content);
            count(&mut call, &reply);
            log.call(finished(call));
            return Ok(reply);
        }
        let mut request = ModelRequest::new(messages);
        request.parameters = params;
        let reply = crate::llm::ask(&*model, request).await;
        if let Ok(reply) = &reply {
            call.completion.clone_from(&reply.content);
            count(&mut call, reply);
            if let Some((key, cache)) = cache {
                cache.put(key, reply.clone());
            }
        }
        self.finish_call(call, log);
        Ok(reply?)
    }

    /// The remembered answers of the model `action`: only a rail that names it by `$model=` looks there.
    fn cache_for(&self, action: &str, task: &str) -> Option<Arc<AnswerCache>> {
        let named = task.split_once(" $model=").map(|(_, name)| name);
        self.engine
            .models
            .cache(action)
            .filter(|_| named == Some(action))
    }

    /// As [`call`](Self::call), but where the answer is streamed, piece by piece; the reply then is what was streamed.
    pub(super) async fn call_streaming(
        &self,
        action: &str,
        task: &str,
        messages: Vec<Message>,
        params: Map<String, Value>,
        log: &ProcessingLog,
    ) -> Result<ModelReply, BoxError> {
        let Some(sink) = &self.sink else {
            return self.call(action, task, messages, params, log).await;
        };
        sink.handler(|handler| handler.set_stop(texts(params.get("stop"))));
        let mut streaming = self.start_stream(action, task, messages, params).await?;
        while let Some(chunk) = streaming.next().await? {
            let piece = sink.handler(|handler| handler.push(&chunk.content, metadata_of(&chunk)));
            if let Some(piece) = piece {
                sink.send(piece.generated()).await;
            }
        }
        let content = self.end_message().await;
        Ok(streaming.record(self, &content, log))
    }

    /// Starts to stream the answer to `task`.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub(super) async fn start_stream(
        &self,
        action: &str,
        task: &str,
        messages: Vec<Message>,
        params: Map<String, Value>,
    ) -> Result<Streaming, BoxError> {
        let model = self.model_for(action)?;
        let call = started(task, &*model, &messages);
        let mut request = ModelRequest::new(messages);
        request.parameters = params;
        let chunks = model.stream(request).await?;
        Ok(Streaming {
            chunks,
            call,
            reply: ModelReply::default(),
        })
    }

    /// The model for the action or task `name`: the one whose type it is, else the main one.
    pub(crate) fn model(&self, name: &str) -> Option<Arc<dyn Model>> {
        self.engine
            .models
            .get(name)
            .or_else(|| self.main.clone())
            .or_else(|| self.engine.models.get("main"))
    }

    fn model_for(&self, action: &str) -> Result<Arc<dyn Model>, ModelError> {
        self.model(action).ok_or_else(|| {
            ModelError::new(
                ModelErrorKind::Configuration,
                "main",
                "the configuration has no main model, and none was registered",
            )
        })
    }

    fn note_extras(&self, reply: &ModelReply) {
        self.shared(|shared| {
            shared.reasoning.clone_from(&reply.reasoning);
            shared.tool_calls.clone_from(&reply.tool_calls);
        });
        self.report.note_finish(reply.finish_reason.as_deref());
    }

    /// Logs a call of a model that an action made by itself.
    pub(super) fn finish_call(&self, call: ModelCall, log: &ProcessingLog) {
        let call = finished(call);
        self.shared(|shared| shared.calls.push(call.clone()));
        log.call(call);
    }
}

/// An answer that streams.
pub(super) struct Streaming {
    chunks: BoxStream<'static, Result<ModelChunk, ModelError>>,
    call: ModelCall,
    reply: ModelReply,
}

impl std::fmt::Debug for Streaming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streaming")
            .field("call", &self.call)
            .finish_non_exhaustive()
    }
}

impl Streaming {
    /// The next piece.
    ///
    /// # Errors
    ///
    /// Where the model fails on the way.
    pub(super) async fn next(&mut self) -> Result<Option<ModelChunk>, BoxError> {
        let Some(chunk) = self.chunks.next().await else {
            return Ok(None);
        };
        let chunk = chunk?;
        if let Some(reasoning) = &chunk.reasoning {
            self.reply
                .reasoning
                .get_or_insert_default()
                .push_str(reasoning);
        }
        if !chunk.tool_calls.is_empty() {
            self.reply.tool_calls.clone_from(&chunk.tool_calls);
        }
        self.reply.usage = chunk.usage.or(self.reply.usage);
        if chunk.finish_reason.is_some() {
            self.reply.finish_reason.clone_from(&chunk.finish_reason);
        }
        Ok(Some(chunk))
    }

    /// Ends the call with `content`: logs it, and gives the reply as if it had come whole.
    pub(super) fn record(mut self, turn: &Turn, content: &str, log: &ProcessingLog) -> ModelReply {
        content.clone_into(&mut self.reply.content);
        self.call.completion.clone_from(&self.reply.content);
        count(&mut self.call, &self.reply);
        turn.note_extras(&self.reply);
        turn.finish_call(self.call, log);
        self.reply
    }
}

pub(super) fn started(task: &str, model: &dyn Model, messages: &[Message]) -> ModelCall {
    ModelCall {
        task: Some(task.to_owned()),
        llm_model_name: model.name().to_owned(),
        llm_provider_name: model.provider().to_owned(),
        prompt: shown(messages),
        started_at: now(),
        ..ModelCall::default()
    }
}

fn finished(mut call: ModelCall) -> ModelCall {
    call.finished_at = now();
    call.duration = call.finished_at - call.started_at;
    call
}

pub(super) fn count(call: &mut ModelCall, reply: &ModelReply) {
    if let Some(usage) = reply.usage {
        call.prompt_tokens = usage.prompt_tokens;
        call.completion_tokens = usage.completion_tokens;
        call.total_tokens = usage.total_tokens;
    }
}

/// The prompt as logs show it.
fn shown(messages: &[Message]) -> String {
    match messages {
        [only] => only.content.text().into_owned(),
        many => many
            .iter()
            .map(|message| format!("{}: {}", message.role.as_str(), message.content.text()))
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

fn texts(stop: Option<&Value>) -> Vec<String> {
    match stop {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(texts)) => texts
            .iter()
            .filter_map(|text| text.as_str().map(str::to_owned))
            .collect(),
        _ => Vec::new(),
    }
}

/// Keys that every provider of this protocol sends; the others are a provider's own.
const PROTOCOL_KEYS: [&str; 9] = [
    "id",
    "object",
    "created",
    "model",
    "choices",
    "usage",
    "system_fingerprint",
    "service_tier",
    "request_id",
];

/// What metadata of a stream shows of a piece.
pub(crate) fn metadata_of(chunk: &ModelChunk) -> Map<String, Value> {
    let mut metadata = Map::new();
    let own = chunk
        .metadata
        .iter()
        .filter(|(key, _)| !PROTOCOL_KEYS.contains(&key.as_str()));
    let own: Map<String, Value> = own
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    metadata.insert("provider_metadata".to_owned(), own.into());
    if let Some(usage) = chunk.usage {
        let usage = serde_json::json!({
            "input_tokens": usage.prompt_tokens,
            "output_tokens": usage.completion_tokens,
            "total_tokens": usage.total_tokens,
        });
        metadata.insert("usage".to_owned(), usage);
    }
    metadata
}
