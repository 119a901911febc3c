//! The client: pools, time-outs, tries.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{HttpError, Request, Response, Streaming, Tls, response::connection_error, retry};

/// The most bytes of an error's body that are read.
const ERROR_BODY_LIMIT: usize = 64 << 10;

/// How long a call may take, how often it is tried, and how much of an answer is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Limits {
    /// The longest wait for a connection.
    pub(crate) connect_timeout: Duration,
    /// The longest time of one try; of a streamed answer, the longest silence.
    pub(crate) timeout: Duration,
    /// How often a failed call is tried again.
    pub(crate) max_retries: u32,
    /// The most bytes of a whole answer.
    pub(crate) max_body_size: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(600),
            max_retries: 2,
            max_body_size: 16 << 20,
        }
    }
}

/// The client. A clone shares the connections.
#[derive(Clone, Default)]
pub(crate) struct Client {
    pools: Arc<Mutex<HashMap<Pool, reqwest::Client>>>,
    tls: Option<Arc<Tls>>,
}

/// What a pool of connections is made for: reqwest fixes both for a whole client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Pool {
    through_proxy: bool,
    connect_timeout: Duration,
}

impl Client {
    /// A client with connections of its own, made as `tls` says.
    pub(crate) fn with_tls(tls: Tls) -> Self {
        Self {
            tls: Some(Arc::new(tls)),
            ..Self::default()
        }
    }

    /// Sends `request` and reads the whole answer.
    ///
    /// # Errors
    ///
    /// [`HttpError::Status`] for an answer that is no success and is not, or no longer, tried again.
    pub(crate) async fn send(
        &self,
        request: &Request,
        limits: &Limits,
    ) -> Result<Response, HttpError> {
        self.with_retries(limits, || async {
            let whole = async {
                let streaming = self.try_send(request, limits).await?;
                streaming.collect(limits.max_body_size).await
            };
            tokio::time::timeout(limits.timeout, whole)
                .await
                .unwrap_or_else(|_| Err(timed_out(request, limits)))
        })
        .await
    }

    /// Sends `request`; the body of the answer is left to be read. Tried again only until the first piece of it is there.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub(crate) async fn stream(
        &self,
        request: &Request,
        limits: &Limits,
    ) -> Result<Streaming, HttpError> {
        self.with_retries(limits, || async {
            let started = async {
                let mut streaming = self.try_send(request, limits).await?;
                streaming.wait_for_first().await?;
                Ok(streaming)
            };
            tokio::time::timeout(limits.timeout, started)
                .await
                .unwrap_or_else(|_| Err(timed_out(request, limits)))
        })
        .await
    }

    async fn with_retries<T, F: Future<Output = Result<T, HttpError>>>(
        &self,
        limits: &Limits,
        attempt: impl Fn() -> F,
    ) -> Result<T, HttpError> {
        let mut tries = 0;
        loop {
            let error = match attempt().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            tries += 1;
            if tries > limits.max_retries || !retry::may_retry(&error) {
                return Err(error);
            }
            let wait = retry::wait(&error, tries);
            tracing::debug!(%error, ?wait, tries, "a call failed and will be tried again");
            tokio::time::sleep(wait).await;
        }
    }

    async fn try_send(&self, request: &Request, limits: &Limits) -> Result<Streaming, HttpError> {
        let url = request.shown_url();
        let outgoing = self
            .pool(request, limits)?
            .request(request.method.clone(), request.url.clone())
            .headers(request.headers.clone())
            .body(request.body.clone());
        let inner = outgoing.send().await.map_err(|error| {
            if error.is_timeout() {
                let limit = limits.connect_timeout;
                HttpError::Timeout {
                    url: url.clone(),
                    limit,
                }
            } else {
                connection_error(&url, error)
            }
        })?;
        let streaming = Streaming {
            url,
            inner,
            first: None,
            idle_timeout: limits.timeout,
        };
        let status = streaming.inner.status();
        if status.is_success() {
            return Ok(streaming);
        }
        let url = streaming.url.clone();
        let headers = Box::new(streaming.headers().clone());
        // An error whose body is too long or broken is still this error.
        let body = streaming
            .collect(ERROR_BODY_LIMIT)
            .await
            .map(|response| response.body);
        Err(HttpError::Status {
            url,
            status,
            headers,
            body: body.unwrap_or_default(),
        })
    }

    fn pool(&self, request: &Request, limits: &Limits) -> Result<reqwest::Client, HttpError> {
        let pool = Pool {
            through_proxy: !request.is_loopback(),
            connect_timeout: limits.connect_timeout,
        };
        // A panic while the lock is held leaves the map whole.
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = pools.get(&pool) {
            return Ok(client.clone());
        }
        let mut builder = reqwest::Client::builder()
            .connect_timeout(pool.connect_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .tcp_nodelay(true)
            .user_agent(concat!("tower-guardrails/", env!("CARGO_PKG_VERSION")));
        if !pool.through_proxy {
            builder = builder.no_proxy();
        }
        if let Some(tls) = &self.tls {
            builder = tls.apply(builder);
        }
        let client = builder.build().map_err(|error| HttpError::Invalid {
            url: request.shown_url(),
            reason: "the client cannot be set up".to_owned(),
            source: Some(error.into()),
        })?;
        pools.insert(pool, client.clone());
        Ok(client)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

fn timed_out(request: &Request, limits: &Limits) -> HttpError {
    HttpError::Timeout {
        url: request.shown_url(),
        limit: limits.timeout,
    }
}
