//! What rails share that ask a service over HTTP.

use std::time::Duration;

use serde_json::Value;

use super::BuildContext;
use crate::http::{Client, HttpError, Limits, Request, Secret, Tls};

/// How long a service may take to answer, unless the rail's section says otherwise.
const SERVICE_TIMEOUT: Duration = Duration::from_secs(30);

/// The most bytes of an answer.
const MOST_BYTES: usize = 4 << 20;

/// A client for one rail's service. Requests are sent once unless [`retries`](Self::retries) says otherwise.
#[derive(Clone)]
pub(super) struct Service {
    client: Client,
    limits: Limits,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

impl Service {
    pub(super) fn new(context: &BuildContext<'_>) -> Self {
        Self {
            client: context.client.clone(),
            limits: Limits {
                timeout: SERVICE_TIMEOUT,
                max_retries: 0,
                max_body_size: MOST_BYTES,
                ..Limits::default()
            },
        }
    }

    /// Sets how long the service may take.
    pub(super) fn timeout(mut self, timeout: Duration) -> Self {
        self.limits.timeout = timeout;
        self
    }

    #[allow(dead_code, reason = "for the rails to come")]
    /// Sets how often a request is sent again after an answer that asks for it (429, 5xx), with its `Retry-After`.
    pub(super) fn retries(mut self, retries: u32) -> Self {
        self.limits.max_retries = retries;
        self
    }

    /// Sets how it and the service prove who they are.
    pub(super) fn tls(mut self, tls: Tls) -> Self {
        self.client = Client::with_tls(tls);
        self
    }

    /// Posts `body` as JSON to `url`.
    ///
    /// # Errors
    ///
    /// Where there is no answer, it is no success, or it is no JSON.
    pub(super) async fn post(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Result<Value, HttpError> {
        let request = with_headers(Request::post_json(url, body)?, headers)?;
        let response = self.client.send(&request, &self.limits).await?;
        response.json()
    }

    /// Posts a form to `url`, which answers with JSON.
    ///
    /// # Errors
    ///
    /// As [`post`](Self::post).
    pub(super) async fn post_form(
        &self,
        url: &str,
        fields: &[(&str, &str)],
    ) -> Result<Value, HttpError> {
        let request = Request::post_form(url, fields)?;
        self.client.send(&request, &self.limits).await?.json()
    }

    #[allow(dead_code, reason = "for the rails to come")]
    /// As [`post`](Self::post), but gives the text of the answer.
    ///
    /// # Errors
    ///
    /// Where there is no answer, or it is no success.
    pub(super) async fn post_for_text(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Result<String, HttpError> {
        let request = with_headers(Request::post_json(url, body)?, headers)?;
        let response = self.client.send(&request, &self.limits).await?;
        Ok(String::from_utf8_lossy(&response.body).into_owned())
    }
}

fn with_headers(mut request: Request, headers: &[(&str, &str)]) -> Result<Request, HttpError> {
    for (name, value) in headers {
        request = request.header(name, value)?;
    }
    Ok(request)
}

/// The environment variable `name`, as a key; none where it is not set or empty.
pub(super) fn key(context: &BuildContext<'_>, name: &str) -> Option<Secret> {
    (context.environment)(name)
        .map(|key| Secret::new(&key))
        .filter(|key| !key.is_empty())
}
