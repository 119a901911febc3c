//! What comes back: whole, or piece by piece.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use serde::de::DeserializeOwned;

use super::HttpError;

/// A whole answer of success.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) url: String,
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
    /// The first piece, where it has been read and not yet given away.
    pub(super) first: Option<Bytes>,
    pub(super) idle_timeout: Duration,
}

impl Streaming {
    /// The answer's headers.
    pub(crate) fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// Reads the first piece, so that a connection that breaks before it can be tried again.
    pub(super) async fn wait_for_first(&mut self) -> Result<(), HttpError> {
        self.first = self.next().await?;
        Ok(())
    }

    /// The next piece; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, HttpError> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
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
