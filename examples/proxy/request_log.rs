//! One line of the log for each request, made only where somebody reads it.

use http::{Method, Request, Response};
use tower_guardrails::GuardrailsVerdict;
use tracing::{Level, info};

/// What the filter calls these lines: `--log warn,proxy::request=info`.
macro_rules! line {
    ($($fields:tt)*) => { info!(target: "proxy::request", $($fields)*) };
}

/// What is told of a request; nothing, where nobody reads the log.
pub(crate) struct RequestLine(Option<(Method, String)>);

impl RequestLine {
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let is_read = tracing::enabled!(target: "proxy::request", Level::INFO);
        // The query may hold a key.
        Self(is_read.then(|| (request.method().clone(), request.uri().path().to_owned())))
    }

    /// Writes the line, with the verdict as far as it is known when the reply begins.
    pub(crate) fn answered<B>(self, response: &Response<B>) {
        let Some((method, path)) = self.0 else {
            return;
        };
        let status = response.status().as_u16();
        let Some(verdict) = response.extensions().get::<GuardrailsVerdict>() else {
            line!(%method, path, status, "not chat");
            return;
        };
        match (verdict.blocked_by(), verdict.refused()) {
            (Some(rail), _) => line!(%method, path, status, %rail, "blocked"),
            (None, Some(why)) => line!(%method, path, status, why, "refused"),
            (None, None) if verdict.is_final() => line!(%method, path, status, "allowed"),
            (None, None) => line!(%method, path, status, "allowed in, checked as it streams"),
        }
    }
}
