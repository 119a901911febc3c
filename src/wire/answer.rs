//! Answers to what rails ask the model behind an endpoint.

use http::StatusCode;
use serde_json::Value;

use crate::error::{ModelError, ModelErrorKind};

/// The JSON of an answer that is no error.
///
/// # Errors
/// If it is one, or no JSON.
pub(super) fn answer_of(status: StatusCode, body: &[u8]) -> Result<Value, ModelError> {
    let failed =
        |kind, message: &str| ModelError::new(kind, "", message).with_status(status.as_u16());
    if !status.is_success() {
        let message = format!("the service under the guardrails answered {status}");
        return Err(failed(ModelErrorKind::of_status(status.as_u16()), &message));
    }
    serde_json::from_slice(body).map_err(|error| {
        failed(ModelErrorKind::InvalidResponse, "the answer is no JSON").with_source(error)
    })
}
