//! Traces of turns: what the log of a turn says, as spans for the adapters of `tracing` in the configuration.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{
    event::Event,
    log::{ActivatedRail, ExecutedAction, GenerationLog, ModelCall},
};
use crate::{
    config::{RailsConfig, TracingConfig},
    error::Fault,
    observe::{Adapter, Exporter, Moment, Span, SpanFormat, SpanKind, Trace},
};

/// Where the file adapter writes unless `filepath` says otherwise.
const DEFAULT_FILE: &str = ".traces/trace.jsonl";
/// Overrules `tracing.enable_content_capture`.
const CAPTURE_VARIABLE: &str = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT";

/// Makes traces of turns, and hands them to the adapters.
#[derive(Debug, Clone)]
pub(crate) struct Tracer {
    exporter: Arc<Exporter>,
    format: SpanFormat,
    captures_content: bool,
}

impl Tracer {
    /// The tracer that `config` asks for; none where tracing is off.
    ///
    /// # Errors
    ///
    /// Where an adapter cannot work: a file that cannot be written, a feature that this build lacks, an unknown format.
    pub(crate) fn of(config: &RailsConfig) -> Result<Option<Self>, Vec<Fault>> {
        let TracingConfig {
            enabled,
            adapters,
            span_format,
            enable_content_capture,
        } = &config.tracing;
        if !enabled {
            return Ok(None);
        }
        let mut faults = Vec::new();
        let format = match span_format.to_ascii_lowercase().as_str() {
            "legacy" => SpanFormat::Legacy,
            "opentelemetry" => SpanFormat::OpenTelemetry,
            _ => {
                let message =
                    format!("`span_format` is `legacy` or `opentelemetry`, not `{span_format}`");
                faults.push(config.fault("tracing.span_format", message));
                SpanFormat::OpenTelemetry
            }
        };
        let mut exporter = Exporter::default();
        for (index, settings) in adapters.iter().enumerate() {
            let place = format!("tracing.adapters[{index}]");
            let text = |key: &str| settings.get(key).and_then(Value::as_str);
            let adapter = match text("name") {
                Some("OpenTelemetry") if !Exporter::HAS_OPENTELEMETRY => {
                    let message = "the adapter `OpenTelemetry` needs the crate's feature `opentelemetry`; this build is without";
                    faults.push(config.fault(&place, message));
                    continue;
                }
                Some("OpenTelemetry") => Adapter::OpenTelemetry,
                // The configuration's own check has refused every other name.
                _ => Adapter::FileSystem(
                    text("filepath")
                        .filter(|path| !path.is_empty())
                        .unwrap_or(DEFAULT_FILE)
                        .into(),
                ),
            };
            if let Err(error) = exporter.add(adapter) {
                let message = format!("the file for traces cannot be opened: {error}");
                faults.push(config.fault(&place, message));
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let forced = crate::config::environment_variable(CAPTURE_VARIABLE);
        let captures_content = forced.map_or(*enable_content_capture, |value| {
            value.trim().eq_ignore_ascii_case("true")
        });
        Ok(Some(Self {
            exporter: Arc::new(exporter),
            format,
            captures_content,
        }))
    }

    /// Exports what a turn did.
    pub(crate) fn export(&self, log: &GenerationLog, events: &[Event]) {
        let (Some(first), Some(last)) = (log.activated_rails.first(), log.activated_rails.last())
        else {
            return;
        };
        let (start, end) = (
            first.started_at,
            last.finished_at.unwrap_or(last.started_at),
        );
        let mut trace = Trace {
            format: self.format,
            spans: vec![self.request(start, end, events)],
        };
        for rail in &log.activated_rails {
            let rail_span = trace.spans.len();
            trace.spans.push(self.rail(rail));
            for action in &rail.executed_actions {
                let action_span = trace.spans.len();
                trace.spans.push(self.action(action, rail_span));
                let calls = action.llm_calls.iter();
                trace
                    .spans
                    .extend(calls.map(|call| self.call(call, action_span)));
            }
        }
        self.exporter.export(&trace);
    }

    fn is_legacy(&self) -> bool {
        self.format == SpanFormat::Legacy
    }

    /// A span of type `typed`, or in the legacy format a plain one with what it counts.
    fn span(
        &self,
        typed: (&'static str, SpanKind, String, Value),
        legacy: (String, Value),
        parent: Option<usize>,
        (start, end): (f64, f64),
    ) -> Span {
        let (span_type, kind, typed_name, typed_attributes) = typed;
        let (legacy_name, metrics) = legacy;
        let (span_type, name, attributes) = match self.format {
            SpanFormat::Legacy => ("SpanLegacy", legacy_name, metrics),
            SpanFormat::OpenTelemetry => (span_type, typed_name, typed_attributes),
        };
        Span {
            name,
            span_type,
            kind,
            parent,
            start,
            end,
            attributes: fields(attributes),
            moments: Vec::new(),
        }
    }

    fn request(&self, start: f64, end: f64, events: &[Event]) -> Span {
        let took = end - start;
        let attributes = json!({
            "gen_ai.operation.name": "guardrails",
            "service.name": env!("CARGO_PKG_NAME"),
        });
        let metrics = json!({"interaction_total": 1, "interaction_seconds_avg": took, "interaction_seconds_total": took});
        let mut span = self.span(
            (
                "InteractionSpan",
                SpanKind::Server,
                "guardrails.request".to_owned(),
                attributes,
            ),
            ("interaction".to_owned(), metrics),
            None,
            (start, end),
        );
        if !self.is_legacy() {
            let moments = events.iter();
            span.moments = moments
                .filter_map(|event| self.moment(event, start))
                .collect();
        }
        span
    }

    /// What the user or the bot said.
    fn moment(&self, event: &Event, at: f64) -> Option<Moment> {
        let (name, key) = match event.kind() {
            "UtteranceUserActionFinished" => {
                ("guardrails.utterance.user.finished", "final_transcript")
            }
            "UserMessage" => ("guardrails.user_message", "text"),
            "StartUtteranceBotAction" => ("guardrails.utterance.bot.started", "script"),
            "UtteranceBotActionFinished" => ("guardrails.utterance.bot.finished", "final_script"),
            _ => return None,
        };
        let mut body = Map::new();
        body.insert("type".to_owned(), event.kind().into());
        if self.captures_content {
            let content = event.get(key).cloned().unwrap_or_default();
            body.insert("content".to_owned(), content);
        }
        Some(Moment { name, at, body })
    }

    fn rail(&self, rail: &ActivatedRail) -> Span {
        let end = rail.finished_at.unwrap_or(rail.started_at);
        let mut attributes = json!({
            "rail.type": rail.kind,
            "rail.name": rail.name,
            "rail.stop": rail.stop,
        });
        if !rail.decisions.is_empty() {
            attributes["rail.decisions"] = rail.decisions.clone().into();
        }
        self.span(
            (
                "RailSpan",
                SpanKind::Internal,
                "guardrails.rail".to_owned(),
                attributes,
            ),
            (format!("rail: {}", rail.name), json!({})),
            Some(0),
            (rail.started_at, end),
        )
    }

    fn action(&self, action: &ExecutedAction, parent: usize) -> Span {
        let name = &action.action_name;
        let end = action.finished_at.unwrap_or(action.started_at);
        let took = end - action.started_at;
        let mut attributes = fields(json!({
            "action.name": name,
            "action.has_llm_calls": !action.llm_calls.is_empty(),
            "action.llm_calls_count": action.llm_calls.len(),
        }));
        // What an action is called with may be what somebody said.
        if self.captures_content {
            let simple = action.action_params.iter();
            let simple = simple
                .filter(|(_, value)| value.is_string() || value.is_number() || value.is_boolean());
            attributes.extend(
                simple.map(|(name, value)| (format!("action.param.{name}"), value.clone())),
            );
        }
        let metrics = fields_of([
            (format!("action_{name}_total"), json!(1)),
            (format!("action_{name}_seconds_avg"), json!(took)),
            (format!("action_{name}_seconds_total"), json!(took)),
        ]);
        self.span(
            (
                "ActionSpan",
                SpanKind::Internal,
                "guardrails.action".to_owned(),
                attributes.into(),
            ),
            (format!("action: {name}"), metrics),
            Some(parent),
            (action.started_at, end),
        )
    }

    fn call(&self, call: &ModelCall, parent: usize) -> Span {
        let or_unknown = |text: &str| match text {
            "" => "unknown".to_owned(),
            text => text.to_owned(),
        };
        let model = or_unknown(&call.llm_model_name);
        let operation = call.task.as_deref().unwrap_or("completion");
        let attributes = json!({
            "gen_ai.provider.name": or_unknown(&call.llm_provider_name),
            "gen_ai.request.model": model,
            "gen_ai.response.model": model,
            "gen_ai.operation.name": operation,
            "gen_ai.usage.input_tokens": call.prompt_tokens,
            "gen_ai.usage.output_tokens": call.completion_tokens,
            "gen_ai.usage.total_tokens": call.total_tokens,
            "llm.cache.hit": call.from_cache,
        });
        let base = format!("llm_call_{}", model.replace('/', "_"));
        let metrics = fields_of([
            (format!("{base}_total"), json!(1)),
            (format!("{base}_seconds_avg"), json!(call.duration)),
            (format!("{base}_seconds_total"), json!(call.duration)),
            (
                format!("{base}_prompt_tokens_total"),
                json!(call.prompt_tokens),
            ),
            (
                format!("{base}_completion_tokens_total"),
                json!(call.completion_tokens),
            ),
            (format!("{base}_tokens_total"), json!(call.total_tokens)),
        ]);
        let mut span = self.span(
            (
                "LLMSpan",
                SpanKind::Client,
                format!("{operation} {model}"),
                attributes,
            ),
            (format!("LLM: {model}"), metrics),
            Some(parent),
            (call.started_at, call.finished_at),
        );
        if !self.is_legacy() {
            let told = [
                ("gen_ai.content.prompt", call.started_at, &call.prompt),
                (
                    "gen_ai.content.completion",
                    call.finished_at,
                    &call.completion,
                ),
            ];
            let told = told.into_iter().filter(|(_, _, text)| !text.is_empty());
            span.moments = told
                .map(|(name, at, text)| Moment {
                    name,
                    at,
                    body: match self.captures_content {
                        true => fields(json!({"content": text})),
                        false => Map::new(),
                    },
                })
                .collect();
        }
        span
    }
}

fn fields(object: Value) -> Map<String, Value> {
    match object {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn fields_of<const N: usize>(entries: [(String, Value); N]) -> Value {
    Value::Object(entries.into_iter().collect())
}
