//! What the layer adds to a reverse proxy: processor time of a guarded proxy against a plain one, over loopback.
//!
//! Both proxies have a thread each and take turns in the same run, so the ratios hold on a machine that does other work
//! too. `cargo bench --bench proxy` prints a table; the times are those of the proxy's thread alone, from Linux's
//! `/proc`, and elsewhere nothing is measured.

use std::{
    convert::Infallible,
    error::Error,
    fmt::Write,
    fs,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{StreamExt, future::join_all, stream};
use http::{Request, Response, Uri};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, runtime::Runtime, task::LocalSet};
use tower::{Layer, Service, service_fn};
use tower_guardrails::{GuardrailsLayer, LlmRails, RailsConfig};

type BoxError = Box<dyn Error + Send + Sync>;

const NUMBER: &str = "########";

/// What is exchanged, and by how many patterns it is judged on its way in and out.
struct Case {
    name: &'static str,
    patterns: usize,
    /// With `NUMBER` in its last message: no two exchanges are the same, only their history is.
    request: String,
    reply: Reply,
    /// Exchanges in a batch, and how many of them at once.
    batch: usize,
    at_once: usize,
}

#[derive(Clone)]
enum Reply {
    Whole(Bytes),
    /// A token each, written one by one.
    Tokens(Arc<Vec<Bytes>>),
}

fn cases() -> Vec<Case> {
    let small = request(false, &[prose(900)]);
    let history: Vec<String> = (0..40).map(|_| prose(60)).collect();
    let whole = Reply::Whole(whole_reply(1_800));
    let case = |name, patterns, request: &str| Case {
        name,
        patterns,
        request: request.to_owned(),
        reply: whole.clone(),
        batch: 400,
        at_once: 1,
    };
    vec![
        case("1 KiB in, 2 KiB out, 4 patterns", 4, &small),
        case("1 KiB in, 2 KiB out, 50 patterns", 50, &small),
        case(
            "40 messages of history, 4 patterns",
            4,
            &request(false, &history),
        ),
        case(
            "64 KiB request, 4 patterns",
            4,
            &request(false, &[prose(64 * 1024)]),
        ),
        Case {
            name: "500 tokens streamed, 64 at once, 4 patterns",
            patterns: 4,
            request: request(true, &[prose(60)]),
            reply: Reply::Tokens(Arc::new(tokens(500))),
            batch: 64,
            at_once: 64,
        },
    ]
}

fn prose(length: usize) -> String {
    const WORDS: &str = "The keys of the old house lie under the third stone, and the password hint is on the card. ";
    WORDS.chars().cycle().take(length).collect()
}

fn request(stream: bool, messages: &[String]) -> String {
    let messages: Vec<_> = messages
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let role = if index % 2 == messages.len() % 2 {
                "assistant"
            } else {
                "user"
            };
            let number = if index + 1 == messages.len() {
                NUMBER
            } else {
                ""
            };
            serde_json::json!({"role": role, "content": format!("{text}{number}")})
        })
        .collect();
    serde_json::json!({"model": "m", "stream": stream, "messages": messages}).to_string()
}

fn whole_reply(length: usize) -> Bytes {
    let message = serde_json::json!({"role": "assistant", "content": prose(length)});
    serde_json::json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 200, "completion_tokens": 400, "total_tokens": 600},
    })
    .to_string()
    .into()
}

fn tokens(count: usize) -> Vec<Bytes> {
    const WORDS: [&str; 5] = [" the", " keys", " launch", " s", "k-ing"];
    let token = |index: usize| {
        let choice = serde_json::json!({
            "index": 0, "delta": {"content": WORDS[index % WORDS.len()]}, "logprobs": null, "finish_reason": null,
        });
        let event = serde_json::json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice],
        });
        format!("data: {event}\n\n").into()
    };
    let mut tokens: Vec<Bytes> = (0..count).map(token).collect();
    tokens.push("data: [DONE]\n\n".into());
    tokens
}

fn layer(patterns: usize) -> GuardrailsLayer {
    const SHAPES: [&str; 4] = [
        r"\bsk#-[A-Za-z0-9]{16,64}\b",
        r"launch code# \d{4}",
        r"\b\d{3}-\d{2}-\d{4}#\b",
        r"(password|secret)#\s*[:=]",
    ];
    let mut list = String::new();
    for index in 0..patterns {
        let number = (index / SHAPES.len()).checked_sub(1);
        let number = number.map_or_else(String::new, |number| number.to_string());
        let pattern = SHAPES[index % SHAPES.len()].replace('#', &number);
        let _ = write!(list, "\n          - '{pattern}'");
    }
    let yaml = format!(
        "
models: []
rails:
  config:
    regex_detection:
      input:
        patterns:{list}
      output:
        patterns:{list}
  input:
    flows: [regex check input]
  output:
    flows: [regex check output]
"
    );
    let config = RailsConfig::from_content(&yaml, "").expect("a good configuration");
    GuardrailsLayer::new(LlmRails::new(config).expect("good rails"))
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Serves `service` on a thread of its own: its address, and where Linux counts the thread's time.
fn serve<S, B>(service: impl FnOnce() -> S + Send + 'static) -> (SocketAddr, PathBuf)
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + 'static,
    S::Error: Into<BoxError>,
    S::Future: 'static,
    B: Body + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let (started, address) = mpsc::channel();
    thread::spawn(move || {
        let service = service();
        LocalSet::new().block_on(&runtime(), async {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
            let clock = fs::read_link("/proc/thread-self").unwrap_or_default();
            let clock = PathBuf::from("/proc").join(clock).join("schedstat");
            let address = listener.local_addr().expect("an address");
            started.send((address, clock)).expect("somebody waits");
            while let Ok((connection, _)) = listener.accept().await {
                let _ = connection.set_nodelay(true);
                let service = TowerToHyperService::new(service.clone());
                let connection = TokioIo::new(connection);
                tokio::task::spawn_local(
                    http1::Builder::new().serve_connection(connection, service),
                );
            }
        });
    });
    address.recv().expect("the thread starts")
}

fn upstream(reply: Reply) -> SocketAddr {
    let answer = service_fn(move |request: Request<Incoming>| {
        let reply = reply.clone();
        async move {
            request.into_body().collect().await?;
            let (kind, body): (_, UnsyncBoxBody<Bytes, Infallible>) = match reply {
                Reply::Whole(body) => ("application/json", Full::new(body).boxed_unsync()),
                Reply::Tokens(tokens) => {
                    let frames = stream::iter(0..tokens.len()).then(move |index| {
                        let token = tokens[index].clone();
                        async {
                            tokio::task::yield_now().await;
                            Ok(Frame::data(token))
                        }
                    });
                    ("text/event-stream", StreamBody::new(frames).boxed_unsync())
                }
            };
            let response = Response::builder().header("content-type", kind);
            Ok::<_, BoxError>(response.body(body)?)
        }
    });
    serve(|| answer).0
}

fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector
}

fn forward<B>(
    upstream: SocketAddr,
) -> impl Service<
    Request<B>,
    Response = Response<Incoming>,
    Error = hyper_util::client::legacy::Error,
    Future: Send,
> + Clone
+ Send
+ 'static
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let client: Client<HttpConnector, B> = Client::builder(TokioExecutor::new()).build(connector());
    service_fn(move |mut request: Request<B>| {
        let uri = format!("http://{upstream}{}", request.uri().path());
        *request.uri_mut() = uri.parse().unwrap_or_else(|_| Uri::default());
        request.headers_mut().remove("host");
        client.request(request)
    })
}

/// A proxy under measurement, and what its batches took.
struct Proxy {
    address: SocketAddr,
    clock: PathBuf,
    busy: Vec<f64>,
    latency: Vec<f64>,
}

impl Proxy {
    fn new((address, clock): (SocketAddr, PathBuf)) -> Self {
        Self {
            address,
            clock,
            busy: Vec::new(),
            latency: Vec::new(),
        }
    }

    /// The thread's processor time in microseconds.
    fn time(&self) -> Option<f64> {
        let counted = fs::read_to_string(&self.clock).ok()?;
        let nanoseconds: f64 = counted.split(' ').next()?.parse().ok()?;
        Some(nanoseconds / 1e3)
    }

    fn run(&mut self, runtime: &Runtime, client: &Client<HttpConnector, Full<Bytes>>, case: &Case) {
        let uri = &format!("http://{}/v1/chat/completions", self.address);
        let exchange = |number: usize| async move {
            let body = case.request.replace(NUMBER, &format!("{number:08}"));
            let request = Request::post(uri)
                .header("content-type", "application/json")
                .body(Full::from(body))
                .expect("a good request");
            let started = Instant::now();
            let response = client.request(request).await.expect("a response");
            let body = response.into_body().collect().await.expect("a whole body");
            let length = match &case.reply {
                Reply::Whole(body) => body.len(),
                Reply::Tokens(tokens) => tokens.iter().map(Bytes::len).sum(),
            };
            assert_eq!(body.to_bytes().len(), length);
            started.elapsed()
        };
        let first = self.latency.len() * case.batch;
        let before = self.time();
        let mut times: Vec<Duration> = runtime.block_on(async {
            let mut times = Vec::with_capacity(case.batch);
            while times.len() < case.batch {
                times.extend(
                    join_all((0..case.at_once).map(|index| exchange(first + times.len() + index)))
                        .await,
                );
            }
            times
        });
        times.sort_unstable();
        self.latency
            .push(times[times.len() / 2].as_secs_f64() * 1e6);
        // The thread goes to sleep, which brings its count up to date.
        thread::sleep(Duration::from_millis(2));
        if let (Some(before), Some(after)) = (before, self.time()) {
            self.busy.push((after - before) / times.len() as f64);
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The median of the rounds' ratios.
fn ratio(guarded: &[f64], plain: &[f64]) -> f64 {
    median(guarded.iter().zip(plain).map(|(a, b)| a / b).collect())
}

#[allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]
fn main() {
    let measures = std::env::args().any(|argument| argument == "--bench");
    let rounds = if measures { 21 } else { 1 };
    println!(
        "| work | plain | guarded | ratio | ratio of latencies |\n| --- | --- | --- | --- | --- |"
    );
    for case in cases() {
        let upstream = upstream(case.reply.clone());
        let layer = layer(case.patterns);
        let mut plain = Proxy::new(serve(move || forward(upstream)));
        let mut guarded = Proxy::new(serve(move || layer.layer(forward(upstream))));
        let runtime = runtime();
        let client = Client::builder(TokioExecutor::new()).build(connector());
        for _ in 0..=rounds {
            plain.run(&runtime, &client, &case);
            guarded.run(&runtime, &client, &case);
        }
        // In the first round connections are opened and caches filled.
        for proxy in [&mut plain, &mut guarded] {
            proxy.busy.drain(..proxy.busy.len().min(1));
            proxy.latency.drain(..1);
        }
        println!(
            "| {} | {:.1} µs | {:.1} µs | {:.2} | {:.2} |",
            case.name,
            median(plain.busy.clone()),
            median(guarded.busy.clone()),
            ratio(&guarded.busy, &plain.busy),
            ratio(&guarded.latency, &plain.latency),
        );
    }
}
