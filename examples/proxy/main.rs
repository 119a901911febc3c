//! A guarded reverse proxy: `cargo run --release --example proxy -- --help` lists what it can be told.
//!
//! Without `--config` it uses `examples/rails`, without `--upstream` a built-in scripted model that streams.

#![allow(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a command prints"
)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")
)]

mod options;
mod request_log;
mod server;
#[path = "../support/mod.rs"]
mod support;
#[cfg(test)]
mod tests;
mod upstream;

use std::{
    error::Error,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{Method, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::{
    body::{Bytes, Incoming},
    service::service_fn,
};
use tokio::net::TcpListener;
use tower::{Layer, Service, ServiceExt};
use tower_guardrails::{
    GuardrailsLayer,
    layer::{Guardrails, GuardrailsLayerBuilder, RequestBody, ResponseBody, VerdictLog},
};
use tracing::{info, warn};

use crate::{
    options::{Asked, Options},
    request_log::RequestLine,
    upstream::{Forward, Reply, Upstream, Upstreams, said},
};

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// What a client gets: what the proxy says itself, or a guarded reply.
type Answer = Either<Full<Bytes>, ResponseBody<Reply>>;

fn main() -> ExitCode {
    let done = match Options::read(std::env::args().skip(1)) {
        Ok(Asked::Help(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Ok(Asked::Serve(options)) => run(*options),
        Err(faults) => Err(faults.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // As it is meant to be read: a line a fault, with its place.
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(options: Options) -> Result<(), BoxError> {
    let filter = match &options.log {
        Some(filter) => tracing_subscriber::EnvFilter::new(filter),
        None => {
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into())
        }
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    // Nobody connects to a proxy whose rails do not load.
    let layer = layer(&options)?;
    let listener = server::listen(&options).await?;
    serve(options, layer, listener, server::told_to_end()).await
}

/// Serves until `ended` is ready.
async fn serve(
    mut options: Options,
    layer: GuardrailsLayer,
    listener: TcpListener,
    ended: impl Future<Output = ()>,
) -> Result<(), BoxError> {
    if options.upstreams.is_empty() {
        let scripted = format!("http://{}", support::scripted_upstream().await?);
        options
            .upstreams
            .push((String::new(), Upstream::parse(&scripted)?));
    }
    let forward = Arc::new(Forward::new(&options)?);
    let inner = tower::service_fn(move |request| Arc::clone(&forward).send(request));
    let upstreams = Upstreams::new(std::mem::take(&mut options.upstreams));
    let address = listener.local_addr()?;
    for (prefix, upstream) in upstreams.iter() {
        info!(
            "guarding {upstream} by {} on http://{address}{prefix}",
            options.config.display()
        );
        tokio::spawn(warn_if_unknown(upstream.host()));
    }
    let proxy = Arc::new(Proxy {
        guarded: layer.layer(inner),
        upstreams,
        health_path: options.health_path.clone(),
        ready_path: options.ready_path.clone(),
        is_ready: AtomicBool::new(true),
    });
    let service = service_fn({
        let proxy = Arc::clone(&proxy);
        move |request| Arc::clone(&proxy).answer(request)
    });
    server::serve(listener, service, &options, &proxy.is_ready, ended).await;
    Ok(())
}

/// The layer, as the options have it.
fn layer(options: &Options) -> Result<GuardrailsLayer, BoxError> {
    let python = options.python.clone();
    let bring_along = move |builder: GuardrailsLayerBuilder| match &python {
        Some(interpreter) => builder.python(interpreter),
        None => builder,
    };
    let layer = match options.watch {
        true => GuardrailsLayer::watch_with(&options.config, bring_along)?,
        false => bring_along(GuardrailsLayer::builder(&options.config)).build()?,
    };
    let layer = match &options.verdict_log {
        Some(file) => {
            let log = VerdictLog::to_file(file).map_err(|error| {
                format!(
                    "--verdict-log: {} cannot be written: {error}",
                    file.display()
                )
            })?;
            layer.verdict_log(log)
        }
        None => layer,
    };
    Ok(request_log::logged(layer)
        .report_headers(options.report_headers)
        .enforcement(options.enforcement)
        .block_response(options.block_response.clone())
        .on_rail_error(options.on_rail_error)
        .history(options.history)
        .unread_endpoints(options.unread_endpoints)
        .plain_paths(&options.plain_paths)
        .limits(options.limits))
}

/// Says at start what would otherwise be found at the first request. Names may come later, so it is no reason to end.
async fn warn_if_unknown((host, port): (String, u16)) {
    let found = tokio::net::lookup_host((host.as_str(), port));
    match tokio::time::timeout(Duration::from_secs(5), found).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => warn!(host, %error, "no address is found for this upstream"),
        Err(_) => warn!(host, "looking up the address of this upstream takes long"),
    }
}

/// What answers requests.
struct Proxy<S> {
    guarded: Guardrails<S>,
    upstreams: Upstreams,
    health_path: String,
    ready_path: String,
    is_ready: AtomicBool,
}

impl<S> Proxy<S>
where
    S: Service<Request<RequestBody<Incoming>>, Response = Response<Reply>, Error = BoxError>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    async fn answer(
        self: Arc<Self>,
        mut request: Request<Incoming>,
    ) -> Result<Response<Answer>, BoxError> {
        if let Some(answer) = self.own_answer(&request) {
            return Ok(answer);
        }
        let line = RequestLine::of(&request);
        let Some(target) = self.upstreams.target(request.uri()) else {
            let answer = said(StatusCode::NOT_FOUND, "no upstream is for this path");
            line.answered(&answer);
            return Ok(answer);
        };
        *request.uri_mut() = target;
        let mut guarded = self.guarded.clone();
        let response = guarded.ready().await?.call(request).await?;
        line.answered(&response);
        Ok(response.map(Either::Right))
    }

    /// What is not for an upstream.
    fn own_answer(&self, request: &Request<Incoming>) -> Option<Response<Answer>> {
        if *request.method() == Method::CONNECT {
            return Some(said(
                StatusCode::METHOD_NOT_ALLOWED,
                "CONNECT is not proxied",
            ));
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return None;
        }
        match request.uri().path() {
            path if path == self.health_path => Some(said(StatusCode::OK, "ok")),
            path if path == self.ready_path => Some(match self.is_ready.load(Ordering::Relaxed) {
                true => said(StatusCode::OK, "ready"),
                false => said(StatusCode::SERVICE_UNAVAILABLE, "shutting down"),
            }),
            _ => None,
        }
    }
}
