//! What can go wrong between us and a service.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::error::BoxError;

/// A call of a service failed.
///
/// URLs are shown without query and user info, and no header is shown: both may hold keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum HttpError {
    /// The URL, a header or the TLS set-up is not usable.
    #[error("the request to {url} cannot be made: {reason}")]
    Invalid {
        url: String,
        reason: String,
        #[source]
        source: Option<BoxError>,
    },
    /// No connection, or one that broke off.
    #[error("the connection to {url} failed")]
    Connection {
        url: String,
        #[source]
        source: BoxError,
    },
    /// No answer, or no next piece of one, in time.
    #[error("{url} did not answer within {limit:?}")]
    Timeout { url: String, limit: Duration },
    /// An answer whose status is no success.
    #[error("{url} answered {status}")]
    Status {
        url: String,
        status: StatusCode,
        headers: Box<HeaderMap>,
        body: Bytes,
    },
    /// An answer longer than the limit.
    #[error("the answer of {url} is longer than {limit} bytes")]
    TooLarge { url: String, limit: usize },
    /// An answer that is not the JSON that it should be.
    #[error("the answer of {url} is not the expected JSON")]
    Json {
        url: String,
        #[source]
        source: serde_json::Error,
    },
}

impl HttpError {
    /// The status of the answer, where there was one.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether another try may go better, whatever the service says.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Connection { .. } | Self::Timeout { .. })
    }
}
