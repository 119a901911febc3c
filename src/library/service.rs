//! What rails share that ask a service over HTTP.

use std::time::Duration;

use http::StatusCode;
use serde_json::Value;

use super::{BuildContext, Call, Unusable};
use crate::{
    error::{Error, Fault},
    http::{Client, HttpError, Limits, Request, Secret, Tls, parse_retry_after},
};

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

    /// As [`post`](Self::post), with `key`, where there is one, as the bearer's.
    ///
    /// # Errors
    ///
    /// As [`post`](Self::post).
    pub(super) async fn post_as(
        &self,
        url: &str,
        key: Option<&Secret>,
        body: &Value,
    ) -> Result<Value, HttpError> {
        let Some(key) = key else {
            return self.post(url, &[], body).await;
        };
        let bearer = bearer(key);
        self.post(url, &[("authorization", &bearer)], body).await
    }

    /// As [`post`](Self::post), but a service that is busy (429) is asked again, as `patience` says.
    ///
    /// # Errors
    ///
    /// As [`post`](Self::post).
    pub(super) async fn post_patiently(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: &Value,
        patience: &Patience,
    ) -> Result<Value, HttpError> {
        let mut tries = 0;
        loop {
            let error = match self.post(url, headers, body).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let Some(wait) = patience.wait(&error, tries) else {
                return Err(error);
            };
            tries += 1;
            tracing::debug!(%error, ?wait, tries, "the service is busy and will be asked again");
            tokio::time::sleep(wait).await;
        }
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

/// How often, and after how long, a service is asked again that says that it is busy.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// How often it is asked again.
    pub(super) retries: u32,
    /// The first wait where the service names none; each further one is twice as long.
    pub(super) first_wait: Duration,
    /// The longest wait, also where the service asks for more.
    pub(super) longest_wait: Duration,
}

impl Patience {
    /// How long to wait after `error` where `tries` retries are made; none where there is no further one.
    fn wait(&self, error: &HttpError, tries: u32) -> Option<Duration> {
        let HttpError::Status {
            status, headers, ..
        } = error
        else {
            return None;
        };
        if *status != StatusCode::TOO_MANY_REQUESTS || tries >= self.retries {
            return None;
        }
        let doubled = || self.first_wait.saturating_mul(1 << tries.min(20));
        let wait = parse_retry_after(headers).unwrap_or_else(doubled);
        Some(wait.min(self.longest_wait))
    }
}

/// A key that a rail cannot do without.
#[derive(Debug, Clone)]
pub(super) struct RequiredKey {
    variable: &'static str,
    key: Option<Secret>,
}

impl RequiredKey {
    /// The key in the environment variable `variable`.
    pub(super) fn new(context: &BuildContext<'_>, variable: &'static str) -> Self {
        Self {
            variable,
            key: key(context, variable),
        }
    }

    /// Whether it is there.
    ///
    /// # Errors
    ///
    /// Where it is not: turns would fail.
    pub(super) fn accept(&self) -> Result<(), Unusable> {
        match self.key {
            Some(_) => Ok(()),
            None => Err(Unusable::Unready(vec![self.missing()])),
        }
    }

    /// The key, for `call`.
    ///
    /// # Errors
    ///
    /// Where it is not there.
    pub(super) fn get(&self, call: &Call<'_>) -> Result<&Secret, Error> {
        self.key.as_ref().ok_or_else(|| call.failed(self.missing()))
    }

    fn missing(&self) -> String {
        format!(
            "the rail needs a key in the environment variable `{}`",
            self.variable
        )
    }
}

/// The value for an `Authorization` header with the key `key`.
pub(super) fn bearer(key: &Secret) -> String {
    format!("Bearer {}", key.expose())
}

/// The time of `seconds`, which the key `path` of a rail's section gives.
///
/// # Errors
///
/// Where it is negative or endless.
pub(super) fn time(
    context: &BuildContext<'_>,
    path: &str,
    seconds: f64,
) -> Result<Duration, Fault> {
    Duration::try_from_secs_f64(seconds).map_err(|_| {
        let message =
            format!("`rails.config.{path}` is {seconds}: it has to be seconds, 0 or more");
        context.config.rails.section_fault(path, message)
    })
}

/// The time limit of `seconds`, which the key `path` of a rail's section gives.
///
/// # Errors
///
/// Where it is not greater than 0, or endless.
pub(super) fn time_limit(
    context: &BuildContext<'_>,
    path: &str,
    seconds: f64,
) -> Result<Duration, Fault> {
    match time(context, path, seconds)? {
        Duration::ZERO => {
            let message =
                format!("`rails.config.{path}` is {seconds}: a time limit is greater than 0");
            Err(context.config.rails.section_fault(path, message))
        }
        limit => Ok(limit),
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
