//! Asking a model, so that whoever operates the service sees it.

use std::time::Instant;

use serde_json::Value;
use tracing::{Instrument as _, Span, field};

use super::{Model, ModelReply, ModelRequest};
use crate::{error::ModelError, observe};

/// Asks `model` for one whole answer, in a span with the names that OpenTelemetry has for it.
pub(crate) async fn ask(
    model: &dyn Model,
    request: ModelRequest,
) -> Result<ModelReply, ModelError> {
    let span = tracing::debug_span!(
        "gen_ai.chat",
        otel.name = field::Empty,
        otel.kind = "client",
        gen_ai.operation.name = "chat",
        gen_ai.provider.name = model.provider(),
        gen_ai.request.model = model.name(),
        gen_ai.request.max_tokens = field::Empty,
        gen_ai.request.temperature = field::Empty,
        gen_ai.request.top_p = field::Empty,
        gen_ai.response.id = field::Empty,
        gen_ai.response.finish_reasons = field::Empty,
        gen_ai.usage.input_tokens = field::Empty,
        gen_ai.usage.output_tokens = field::Empty,
        error.r#type = field::Empty,
    );
    if span.is_disabled() && !observe::HAS_METRICS {
        return model.complete(request).await;
    }
    if !span.is_disabled() {
        begin(&span, model, &request);
    }
    let began = Instant::now();
    let answered = model.complete(request).instrument(span.clone()).await;
    let tokens = match &answered {
        Ok(reply) => reply
            .usage
            .map(|usage| (usage.prompt_tokens, usage.completion_tokens)),
        Err(_) => None,
    };
    observe::model_answered(began.elapsed(), tokens, answered.is_err());
    if !span.is_disabled() {
        end(&span, &answered);
    }
    answered
}

fn begin(span: &Span, model: &dyn Model, request: &ModelRequest) {
    span.record("otel.name", format!("chat {}", model.name()));
    for (key, name) in [
        ("max_tokens", "gen_ai.request.max_tokens"),
        ("temperature", "gen_ai.request.temperature"),
        ("top_p", "gen_ai.request.top_p"),
    ] {
        match request.parameters.get(key) {
            Some(Value::Number(number)) if number.is_u64() => {
                span.record(name, number.as_u64());
            }
            Some(Value::Number(number)) => {
                span.record(name, number.as_f64());
            }
            _ => {}
        }
    }
    if observe::captures_content() {
        let _entered = span.enter();
        for message in &request.messages {
            let content = message.content.text();
            tracing::debug!(role = ?message.role, content = %content, "gen_ai.content.prompt");
        }
    }
}

fn end(span: &Span, answered: &Result<ModelReply, ModelError>) {
    match answered {
        Ok(reply) => {
            if let Some(id) = reply.metadata.get("id").and_then(Value::as_str) {
                span.record("gen_ai.response.id", id);
            }
            if let Some(reason) = &reply.finish_reason {
                span.record("gen_ai.response.finish_reasons", reason.as_str());
            }
            if let Some(usage) = reply.usage {
                span.record("gen_ai.usage.input_tokens", usage.prompt_tokens);
                span.record("gen_ai.usage.output_tokens", usage.completion_tokens);
            }
            if observe::captures_content() {
                let _entered = span.enter();
                tracing::debug!(content = reply.content, "gen_ai.content.completion");
            }
        }
        Err(error) => {
            span.record("error.type", field::debug(error.kind));
        }
    }
}
