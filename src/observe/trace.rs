//! A finished trace: spans with what they say, in the two shapes that the configuration knows.

use std::hash::{BuildHasher as _, RandomState};

use serde_json::{Map, Value, json};

/// How spans are written: `tracing.span_format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SpanFormat {
    /// Names that say which rail or model, and numbers as `metrics`.
    Legacy,
    /// Names of low cardinality, and OpenTelemetry's attributes.
    OpenTelemetry,
}

impl SpanFormat {
    /// The version of the file's schema.
    fn schema_version(self) -> &'static str {
        match self {
            Self::Legacy => "1.0",
            Self::OpenTelemetry => "2.0",
        }
    }
}

/// Whose work a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SpanKind {
    /// A whole request.
    Server,
    /// A call to somebody else.
    Client,
    /// A part of the request's own work.
    Internal,
}

impl SpanKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Internal => "internal",
        }
    }
}

/// Something that happened within a span.
#[derive(Debug, Clone)]
pub(crate) struct Moment {
    pub(crate) name: &'static str,
    /// In seconds since 1970.
    pub(crate) at: f64,
    /// What is told of it; texts only where they may be captured.
    pub(crate) body: Map<String, Value>,
}

/// A piece of work.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) name: String,
    /// What the file calls the span's type.
    pub(crate) span_type: &'static str,
    pub(crate) kind: SpanKind,
    /// The span of which it is a part, by its place in the trace.
    pub(crate) parent: Option<usize>,
    /// In seconds since 1970.
    pub(crate) start: f64,
    /// In seconds since 1970.
    pub(crate) end: f64,
    /// OpenTelemetry's attributes; in the legacy format, the metrics.
    pub(crate) attributes: Map<String, Value>,
    pub(crate) moments: Vec<Moment>,
}

/// The spans of one request.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    pub(crate) format: SpanFormat,
    /// A parent stands before its parts.
    pub(crate) spans: Vec<Span>,
}

impl Trace {
    /// One line of JSON, as the file adapter writes it: times are seconds since the trace began.
    pub(crate) fn to_line(&self) -> String {
        let ids: Vec<String> = self.spans.iter().map(|_| random_id(1)).collect();
        let began = self.spans.first().map_or(0.0, |span| span.start);
        let spans = self.spans.iter().enumerate();
        let spans: Vec<Value> = spans
            .map(|(index, span)| {
                let parent = span.parent.and_then(|parent| ids.get(parent));
                span.to_json(self.format, began, ids.get(index), parent)
            })
            .collect();
        let mut line = json!({
            "schema_version": self.spans.first().map(|_| self.format.schema_version()),
            "trace_id": random_id(2),
            "spans": spans,
        })
        .to_string();
        line.push('\n');
        line
    }
}

impl Span {
    fn to_json(
        &self,
        format: SpanFormat,
        began: f64,
        id: Option<&String>,
        parent: Option<&String>,
    ) -> Value {
        let mut shown = json!({
            "name": self.name,
            "span_id": id,
            "parent_id": parent,
            "start_time": self.start - began,
            "end_time": self.end - began,
            "duration": self.end - self.start,
            "span_type": self.span_type,
        });
        let Some(fields) = shown.as_object_mut() else {
            return shown;
        };
        if format == SpanFormat::Legacy {
            if !self.attributes.is_empty() {
                fields.insert("metrics".to_owned(), self.attributes.clone().into());
            }
            return shown;
        }
        let mut attributes = self.attributes.clone();
        attributes.insert("span.kind".to_owned(), self.kind.as_str().into());
        fields.insert("span_kind".to_owned(), self.kind.as_str().into());
        fields.insert("attributes".to_owned(), attributes.into());
        if !self.moments.is_empty() {
            let moments = self.moments.iter().map(|moment| {
                json!({"name": moment.name, "timestamp": moment.at - began, "attributes": moment.body})
            });
            fields.insert("events".to_owned(), moments.collect());
        }
        shown
    }
}

/// An id that is no secret, of `words` times 16 hexadecimal digits.
fn random_id(words: u64) -> String {
    let state = RandomState::new();
    (0..words)
        .map(|word| format!("{:016x}", state.hash_one(word)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(name: &str, parent: Option<usize>, start: f64, end: f64) -> Span {
        Span {
            name: name.to_owned(),
            span_type: "RailSpan",
            kind: SpanKind::Internal,
            parent,
            start,
            end,
            attributes: Map::from_iter([("rail.name".to_owned(), json!("r"))]),
            moments: Vec::new(),
        }
    }

    #[test]
    fn a_line_has_relative_times_and_the_parents_ids() {
        let trace = Trace {
            format: SpanFormat::OpenTelemetry,
            spans: vec![
                span("guardrails.request", None, 100.0, 103.0),
                span("guardrails.rail", Some(0), 101.0, 102.0),
            ],
        };
        let line = trace.to_line();
        assert!(line.ends_with('\n') && line.matches('\n').count() == 1);
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["schema_version"], "2.0");
        let spans = read["spans"].as_array().unwrap();
        assert_eq!(spans[1]["parent_id"], spans[0]["span_id"]);
        assert_eq!(spans[1]["start_time"], 1.0);
        assert_eq!(spans[1]["attributes"]["span.kind"], "internal");
        assert_ne!(spans[0]["span_id"], spans[1]["span_id"]);
        assert_eq!(read["trace_id"].as_str().unwrap().len(), 32);
    }

    #[test]
    fn the_legacy_format_has_metrics() {
        let trace = Trace {
            format: SpanFormat::Legacy,
            spans: vec![span("rail: r", None, 1.0, 2.0)],
        };
        let read: Value = serde_json::from_str(&trace.to_line()).unwrap();
        assert_eq!(read["schema_version"], "1.0");
        assert_eq!(read["spans"][0]["metrics"]["rail.name"], "r");
        assert_eq!(read["spans"][0].get("attributes"), None);
    }
}
