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

/// The JSON of a record of a streamed answer.
///
/// # Errors
/// If it is no JSON, or reports an error.
pub(super) fn piece_of(data: &[u8]) -> Result<Value, ModelError> {
    let failed = |message: &str| ModelError::new(ModelErrorKind::InvalidResponse, "", message);
    let record: Value = serde_json::from_slice(data)
        .map_err(|error| failed("a record of the stream is no JSON").with_source(error))?;
    match record.get("error") {
        Some(error) if !error.is_null() => {
            let message = "the service under the guardrails reported an error in its stream";
            Err(ModelError::new(ModelErrorKind::Server, "", message))
        }
        _ => Ok(record),
    }
}
