//! A guarded reverse proxy.
//!
//! ```text
//! cargo run --release --example proxy -- [--config DIR] [--upstream URL] [--listen ADDR] [--python INTERPRETER]
//! ```
//!
//! Without `--config` it uses `examples/rails`, without `--upstream` a built-in scripted model that streams.

#![allow(clippy::print_stderr, reason = "a command prints")]

mod support;

use std::{error::Error, net::SocketAddr, path::PathBuf, process::ExitCode};

use http::{HeaderMap, HeaderName, Request, Response, StatusCode, Uri, header, uri::PathAndQuery};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Incoming};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tower::{Layer, service_fn};
use tower_guardrails::{GuardrailsLayer, GuardrailsVerdict, layer::RequestBody};
use tracing::info;

type BoxError = Box<dyn Error + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, BoxError>;
type Upstream = Client<HttpConnector, RequestBody<Incoming>>;

struct Arguments {
    config: PathBuf,
    upstream: Option<Uri>,
    listen: SocketAddr,
    python: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        // As it is meant to be read: a line a fault, with its place.
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), BoxError> {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()),
        )
        .with_writer(std::io::stderr)
        .init();
    let arguments = arguments()?;
    let mut builder = GuardrailsLayer::builder(&arguments.config);
    if let Some(interpreter) = &arguments.python {
        builder = builder.python(interpreter);
    }
    let layer = builder.build()?;
    let upstream = match arguments.upstream {
        Some(upstream) => upstream,
        None => format!("http://{}", support::scripted_upstream().await?).parse()?,
    };
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Upstream = Client::builder(TokioExecutor::new()).build(connector);
    let inner = service_fn({
        let upstream = upstream.clone();
        move |request| forward(client.clone(), upstream.clone(), request)
    });
    let guarded = layer.layer(inner);

    let listener = tokio::net::TcpListener::bind(arguments.listen).await?;
    info!(
        "guarding {upstream} by {} on http://{}",
        arguments.config.display(),
        listener.local_addr()?
    );
    loop {
        let (connection, _) = listener.accept().await?;
        let _ = connection.set_nodelay(true);
        let service = TowerToHyperService::new(
            tower::ServiceBuilder::new()
                .layer_fn(LogVerdict)
                .service(guarded.clone()),
        );
        tokio::spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            if let Err(error) = server
                .serve_connection(TokioIo::new(connection), service)
                .await
            {
                tracing::debug!(%error, "a connection broke off");
            }
        });
    }
}

/// Sends a request on to the upstream, at the same path.
async fn forward(
    client: Upstream,
    upstream: Uri,
    mut request: Request<RequestBody<Incoming>>,
) -> Result<Response<Body>, BoxError> {
    if request.method() == http::Method::CONNECT {
        return Ok(plain(
            StatusCode::METHOD_NOT_ALLOWED,
            "CONNECT is not proxied",
        ));
    }
    let prefix = upstream.path().trim_end_matches('/');
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", PathAndQuery::as_str);
    let mut parts = upstream.clone().into_parts();
    parts.path_and_query = Some(format!("{prefix}{path}").parse()?);
    *request.uri_mut() = Uri::from_parts(parts)?;
    *request.version_mut() = http::Version::HTTP_11;
    drop_hop_by_hop(request.headers_mut());
    // The client writes the upstream's own host.
    request.headers_mut().remove(header::HOST);
    match client.request(request).await {
        Ok(mut response) => {
            drop_hop_by_hop(response.headers_mut());
            Ok(response.map(|body| body.map_err(Into::into).boxed_unsync()))
        }
        Err(error) => {
            tracing::warn!(%error, "the upstream cannot be reached");
            Ok(plain(
                StatusCode::BAD_GATEWAY,
                "the upstream cannot be reached",
            ))
        }
    }
}

/// Removes what is meant for one connection only, and what its `connection` header names.
fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let always = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "upgrade",
    ];
    for name in named.iter().map(HeaderName::as_str).chain(always) {
        headers.remove(name);
    }
    headers.remove(header::TRANSFER_ENCODING);
}

fn plain(status: StatusCode, message: &'static str) -> Response<Body> {
    let mut response = Response::new(
        Full::from(message)
            .map_err(|never| match never {})
            .boxed_unsync(),
    );
    *response.status_mut() = status;
    response
}

/// Logs one line for each request, with its verdict.
#[derive(Clone)]
struct LogVerdict<S>(S);

impl<S, B, R> tower::Service<Request<B>> for LogVerdict<S>
where
    S: tower::Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let answered = self.0.call(request);
        Box::pin(async move {
            let response = answered.await?;
            let verdict = response.extensions().get::<GuardrailsVerdict>().cloned();
            let status = response.status().as_u16();
            match verdict {
                None => info!(%method, path, status, "not chat"),
                Some(verdict) => match (verdict.blocked_by(), verdict.refused()) {
                    (Some(rail), _) => info!(%method, path, status, %rail, "blocked"),
                    (None, Some(why)) => info!(%method, path, status, why, "refused"),
                    (None, None) if verdict.is_final() => info!(%method, path, status, "allowed"),
                    (None, None) => {
                        info!(%method, path, status, "allowed in, checked as it streams");
                    }
                },
            }
            Ok(response)
        })
    }
}

fn arguments() -> Result<Arguments, BoxError> {
    let mut found = Arguments {
        config: "examples/rails".into(),
        upstream: None,
        listen: ([127, 0, 0, 1], 8080).into(),
        python: None,
    };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let mut value = || given.next().ok_or_else(|| format!("{name} needs a value"));
        match name.as_str() {
            "--config" => found.config = value()?.into(),
            "--upstream" => found.upstream = Some(value()?.parse()?),
            "--listen" => found.listen = value()?.parse()?,
            "--python" => found.python = Some(value()?),
            _ => {
                return Err(format!(
                    "unknown argument {name}; known: --config DIR, --upstream URL, --listen ADDR, --python INTERPRETER"
                )
                .into());
            }
        }
    }
    Ok(found)
}
