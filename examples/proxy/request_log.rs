//! One line of the log for each request, made only where somebody reads it.

use http::{Method, Request, Response};
use tower_guardrails::{
    GuardrailsLayer, GuardrailsVerdict,
    layer::{Conclusion, ExchangeEnd, ExchangeReport},
};
use tracing::{Level, info};

/// What the filter calls these lines: `--log warn,proxy::request=info`.
macro_rules! line {
    ($($fields:tt)*) => { info!(target: "proxy::request", $($fields)*) };
}

fn is_read() -> bool {
    tracing::enabled!(target: "proxy::request", Level::INFO)
}

/// Has guarded exchanges logged when they have ended.
pub(crate) fn logged(layer: GuardrailsLayer) -> GuardrailsLayer {
    match is_read() {
        true => layer.on_verdict(exchange),
        false => layer,
    }
}

fn exchange(report: &ExchangeReport) {
    let ExchangeReport { method, path, .. } = report;
    let status = report.status.map(|status| status.as_u16());
    let ms = report.duration.as_secs_f64() * 1e3;
    let added_ms = report.added.as_secs_f64() * 1e3;
    let end = match report.end {
        ExchangeEnd::Complete => "",
        ExchangeEnd::BrokeOff => ", the reply broke off",
        _ => ", left early",
    };
    let conclusion = report.conclusion.as_str();
    match report.conclusion {
        Conclusion::Blocked => {
            let rail = report.verdict.blocked_by();
            let rail = rail.as_deref();
            line!(%method, path, status, ms, added_ms, rail, "{conclusion}{end}");
        }
        Conclusion::Refused => {
            let why = report.verdict.refused();
            line!(%method, path, status, ms, added_ms, why, "{conclusion}{end}");
        }
        _ => line!(%method, path, status, ms, added_ms, "{conclusion}{end}"),
    }
}

/// What is told of a request that is not guarded; nothing, where nobody reads the log.
pub(crate) struct RequestLine(Option<(Method, String)>);

impl RequestLine {
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        // The query may hold a key.
        Self(is_read().then(|| (request.method().clone(), request.uri().path().to_owned())))
    }

    /// Writes the line, unless the layer tells of the exchange when it has ended.
    pub(crate) fn answered<B>(self, response: &Response<B>) {
        let Some((method, path)) = self.0 else {
            return;
        };
        if response.extensions().get::<GuardrailsVerdict>().is_none() {
            let status = response.status().as_u16();
            line!(%method, path, status, "not chat");
        }
    }
}
