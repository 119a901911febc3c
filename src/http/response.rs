//! What comes back: whole, or piece by piece.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use super::HttpError;

/// A whole answer of success.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) url: String,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Response {
    /// The body's JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, HttpError> {
        serde_json::from_slice(&self.body).map_err(|source| HttpError::Json {
            url: self.url.clone(),
            source,
        })
    }
}

/// An answer of success whose body comes in pieces. Dropping it ends the call.
#[derive(Debug)]
pub(crate) struct Streaming {
    pub(super) url: String,
    pub(super) inner: reqwest::Response,
    pub(super) idle_timeout: Duration,
}

impl Streaming {
    /// The answer's headers.
    pub(crate) fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// The URL as errors may show it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The next piece; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, HttpError> {
        match tokio::time::timeout(self.idle_timeout, self.inner.chunk()).await {
            Ok(piece) => piece.map_err(|error| connection_error(&self.url, error)),
            Err(_) => Err(HttpError::Timeout {
                url: self.url.clone(),
                limit: self.idle_timeout,
            }),
        }
    }

    /// All that is left, as long as it is no longer than `limit` bytes.
    pub(crate) async fn collect(mut self, limit: usize) -> Result<Response, HttpError> {
        let mut body = BytesMut::new();
        while let Some(piece) = self.next().await? {
            if body.len().saturating_add(piece.len()) > limit {
                return Err(HttpError::TooLarge {
                    url: self.url,
                    limit,
                });
            }
            body.extend_from_slice(&piece);
        }
        Ok(Response {
            status: self.inner.status(),
            headers: std::mem::take(self.inner.headers_mut()),
            url: self.url,
            body: body.freeze(),
        })
    }
}

/// The error of a transport that failed, its URL taken out.
pub(super) fn connection_error(url: &str, error: reqwest::Error) -> HttpError {
    HttpError::Connection {
        url: url.to_owned(),
        source: error.without_url().into(),
    }
}
