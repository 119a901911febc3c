//! The OpenTelemetry adapter: finished spans for the tracer provider that the application has set for the process.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::{
    Array, Context, KeyValue, StringValue, global,
    trace::{self, Span as _, SpanBuilder, TraceContextExt as _, Tracer as _},
};
use serde_json::Value;

use super::trace::{Span, SpanKind, Trace};

/// The instrumentation's name.
const SCOPE: &str = env!("CARGO_PKG_NAME");

/// Gives the spans of `trace` to the process's tracer provider, under the span that is current, if there is one.
pub(super) fn export(trace: &Trace) {
    let tracer = global::tracer(SCOPE);
    let mut contexts: Vec<Context> = Vec::new();
    for span in &trace.spans {
        let parent = span.parent.and_then(|parent| contexts.get(parent));
        let parent = parent.cloned().unwrap_or_else(Context::current);
        let builder = SpanBuilder::from_name(span.name.clone())
            .with_kind(kind_of(span.kind))
            .with_start_time(time_of(span.start))
            .with_attributes(attributes_of(span));
        let mut started = tracer.build_with_context(builder, &parent);
        for moment in &span.moments {
            let attributes = moment.body.iter();
            let attributes = attributes.filter_map(|(key, value)| attribute(key, value));
            started.add_event_with_timestamp(moment.name, time_of(moment.at), attributes.collect());
        }
        let context = parent.with_remote_span_context(started.span_context().clone());
        started.end_with_timestamp(time_of(span.end));
        contexts.push(context);
    }
}

fn kind_of(kind: SpanKind) -> trace::SpanKind {
    match kind {
        SpanKind::Server => trace::SpanKind::Server,
        SpanKind::Client => trace::SpanKind::Client,
        SpanKind::Internal => trace::SpanKind::Internal,
    }
}

fn time_of(seconds: f64) -> SystemTime {
    let since = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    UNIX_EPOCH + since
}

fn attributes_of(span: &Span) -> Vec<KeyValue> {
    let attributes = span.attributes.iter();
    attributes
        .filter_map(|(key, value)| attribute(key, value))
        .collect()
}

/// An attribute; none for what OpenTelemetry has no type for.
fn attribute(key: &str, value: &Value) -> Option<KeyValue> {
    let key = key.to_owned();
    match value {
        Value::Bool(value) => Some(KeyValue::new(key, *value)),
        Value::String(value) => Some(KeyValue::new(key, value.clone())),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => Some(KeyValue::new(key, integer)),
            None => number.as_f64().map(|float| KeyValue::new(key, float)),
        },
        Value::Array(list) => {
            let texts: Option<Vec<StringValue>> = list
                .iter()
                .map(|item| item.as_str().map(|text| text.to_owned().into()))
                .collect();
            Some(KeyValue::new(
                key,
                opentelemetry::Value::Array(Array::String(texts?)),
            ))
        }
        Value::Null | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
    use serde_json::{Map, json};

    use super::*;
    use crate::observe::{Moment, SpanFormat};

    #[test]
    fn spans_reach_the_provider_with_times_parents_and_attributes() {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter.clone())
            .build();
        global::set_tracer_provider(provider);
        let span = |name: &str, parent, start, end| Span {
            name: name.to_owned(),
            span_type: "RailSpan",
            kind: SpanKind::Client,
            parent,
            start,
            end,
            attributes: Map::from_iter([
                ("rail.stop".to_owned(), json!(true)),
                ("rail.decisions".to_owned(), json!(["stop"])),
                ("tokens".to_owned(), json!(3)),
            ]),
            moments: vec![Moment {
                name: "said",
                at: start,
                body: Map::from_iter([("type".to_owned(), json!("t"))]),
            }],
        };
        export(&Trace {
            format: SpanFormat::OpenTelemetry,
            spans: vec![
                span("guardrails.request", None, 10.0, 13.0),
                span("guardrails.rail", Some(0), 11.0, 12.5),
            ],
        });
        let spans = exporter.get_finished_spans().unwrap();
        let find = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
        let (request, rail) = (find("guardrails.request"), find("guardrails.rail"));
        assert_eq!(rail.parent_span_id, request.span_context.span_id());
        assert_eq!(
            rail.span_context.trace_id(),
            request.span_context.trace_id()
        );
        assert_eq!(rail.start_time, UNIX_EPOCH + Duration::from_secs(11));
        assert_eq!(rail.end_time, UNIX_EPOCH + Duration::from_millis(12_500));
        assert_eq!(rail.span_kind, trace::SpanKind::Client);
        assert_eq!(rail.attributes.len(), 3);
        assert_eq!(rail.events.events.len(), 1);
    }
}
