//! From what a provider or the transport says to a [`ModelError`].

use http::StatusCode;
use serde_json::Value;

use super::Endpoint;
use crate::{
    error::{ModelError, ModelErrorKind},
    http::{HttpError, parse_retry_after, redact},
};

/// Words by which providers say that a conversation is too long.
const TOO_LONG: [&str; 7] = [
    "context length",
    "context_length",
    "context window",
    "max_tokens",
    "maximum token",
    "token limit",
    "too many tokens",
];

/// The most characters of a provider's message that are kept.
const MESSAGE_LIMIT: usize = 2000;

impl Endpoint {
    /// An error of this model, secrets taken out of `message`.
    pub(crate) fn error(&self, kind: ModelErrorKind, message: &str) -> ModelError {
        ModelError::new(kind, &*self.model, self.redact(message))
    }

    /// The error of a call that failed.
    pub(crate) fn http_error(&self, error: HttpError) -> ModelError {
        let kind = match &error {
            HttpError::Invalid { .. } => ModelErrorKind::Configuration,
            HttpError::Connection { .. } => ModelErrorKind::Connection,
            HttpError::Timeout { .. } => ModelErrorKind::Timeout,
            HttpError::TooLarge { .. } | HttpError::Json { .. } => ModelErrorKind::InvalidResponse,
            HttpError::Status {
                status,
                headers,
                body,
                ..
            } => {
                let payload = serde_json::from_slice(body).unwrap_or(Value::Null);
                let raw = String::from_utf8_lossy(body);
                let mut error = self.provider_error(*status, &payload, &raw);
                if error.kind == ModelErrorKind::RateLimit {
                    error.retry_after = parse_retry_after(headers);
                }
                return error;
            }
        };
        self.error(kind, &error.to_string()).with_source(error)
    }

    /// The error that an event of a stream reports instead of a piece.
    pub(crate) fn event_error(&self, payload: &Value) -> ModelError {
        let error = payload.get("error").unwrap_or(&Value::Null);
        let status = match error.get("type").and_then(Value::as_str) {
            Some("invalid_request_error") => Some(400),
            Some("authentication_error") => Some(401),
            Some("permission_error") => Some(403),
            Some("not_found_error") => Some(404),
            Some("rate_limit_error") => Some(429),
            Some("api_error" | "server_error") => Some(500),
            Some("overloaded_error") => Some(503),
            _ => error.get("code").and_then(Value::as_u64),
        };
        let status = status.and_then(|status| u16::try_from(status).ok());
        match status.and_then(|status| StatusCode::from_u16(status).ok()) {
            Some(status) if status.as_u16() >= 400 => self.provider_error(status, payload, ""),
            _ => {
                let message = message_of(payload).unwrap_or("the stream reported an error");
                let mut error = self.error(ModelErrorKind::Server, message);
                error.code = code_of(payload);
                error
            }
        }
    }

    fn provider_error(&self, status: StatusCode, payload: &Value, raw: &str) -> ModelError {
        let message = message_of(payload).unwrap_or(raw).trim();
        let kind = match status.as_u16() {
            400 | 422 if says_too_long(message) => ModelErrorKind::ContextWindow,
            status => ModelErrorKind::of_status(status),
        };
        let mut error = if message.is_empty() {
            self.error(kind, &format!("HTTP {status}"))
        } else {
            self.error(kind, message)
        };
        error.code = code_of(payload);
        error.with_status(status.as_u16())
    }

    fn redact(&self, message: &str) -> String {
        let end = message.char_indices().nth(MESSAGE_LIMIT);
        let message = &message[..end.map_or(message.len(), |(end, _)| end)];
        self.secrets()
            .fold(redact(message), |message, secret| secret.hide_in(&message))
    }
}

fn says_too_long(message: &str) -> bool {
    let message = message.to_lowercase();
    TOO_LONG.iter().any(|words| message.contains(words))
}

/// The message, at one of the places where providers put it.
fn message_of(payload: &Value) -> Option<&str> {
    let error = payload.get("error");
    let places = [
        error.and_then(|error| error.get("message")),
        error,
        payload.get("message"),
        payload.get("detail"),
    ];
    let texts = places.into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::trim).find(|text| !text.is_empty())
}

fn code_of(payload: &Value) -> Option<String> {
    match payload.get("error")?.get("code")? {
        Value::String(code) => Some(code.clone()),
        Value::Number(code) => Some(code.to_string()),
        _ => None,
    }
}
