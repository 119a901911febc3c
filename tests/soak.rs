//! Many exchanges of every kind, one after the other and beside each other: verdicts stay right, memory stays flat, nothing is left behind.
//!
//! `SOAK_REQUESTS=200000 cargo test --release --test soak` is the whole of it; without the variable, a short one runs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by them")]

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};
use tower_guardrails::{
    GuardrailsLayer, GuardrailsVerdict, LlmRails, RailsConfig,
    error::ModelError,
    llm::{Model, ModelReply, ModelRequest},
};

#[path = "../fuzz/checks.rs"]
#[allow(dead_code, reason = "only its streams are used here")]
mod checks;

use checks::{FORMATS, Sent};

#[derive(Debug)]
struct Judge;

impl Model for Judge {
    fn name(&self) -> &str {
        "judge"
    }

    fn complete(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelReply, ModelError>> {
        let mut messages = request.messages.iter();
        let is_bad = messages.any(|message| message.content.text().contains("dreadful"));
        let mut reply = ModelReply::default();
        reply.content = if is_bad { "yes" } else { "no" }.to_owned();
        Box::pin(async move {
            tokio::task::yield_now().await;
            Ok(reply)
        })
    }
}

fn layer() -> GuardrailsLayer {
    let yaml = "
models: []
prompts: [{task: self_check_output, content: 'Bad? <<{{ bot_response }}>>'}]
rails:
  config:
    regex_detection: {input: {patterns: [forbidden]}, output: {patterns: ['SE\\d+CRET']}}
    sensitive_data_detection: {output: {entities: [EMAIL_ADDRESS]}}
  input: {flows: [regex check input]}
  output:
    flows: [regex check output, mask sensitive data on output, self check output]
    streaming: {enabled: true, stream_first: false, chunk_size: 8, context_size: 0}
";
    let config = RailsConfig::from_content(yaml, "").expect("a good configuration");
    let rails = LlmRails::builder(config).model("main", Judge).build();
    GuardrailsLayer::new(rails.expect("good rails"))
}

#[derive(Debug)]
struct Died;

impl std::fmt::Display for Died {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the upstream died")
    }
}

impl std::error::Error for Died {}

/// A reply's body in frames, which may end with an error. It counts as long as it is there.
struct Upstream {
    frames: std::vec::IntoIter<Bytes>,
    dies: bool,
    alive: Arc<AtomicUsize>,
}

impl Upstream {
    fn new(body: &[u8], frame: usize, dies: bool, alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::SeqCst);
        let frames: Vec<Bytes> = body.chunks(frame).map(Bytes::copy_from_slice).collect();
        Self {
            frames: frames.into_iter(),
            dies,
            alive: Arc::clone(alive),
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Body for Upstream {
    type Data = Bytes;
    type Error = Died;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Died>>> {
        Poll::Ready(match self.frames.next() {
            Some(frame) => Some(Ok(Frame::data(frame))),
            None if std::mem::take(&mut self.dies) => Some(Err(Died)),
            None => None,
        })
    }
}

/// What becomes of an exchange.
#[derive(Debug)]
struct Got {
    said: String,
    bytes: Vec<u8>,
    verdict: Option<GuardrailsVerdict>,
    /// Whether the body ended without an error.
    is_whole: bool,
    asked: bool,
}

/// What a client does with the reply.
#[derive(Clone, Copy, PartialEq)]
enum Client {
    Reads,
    /// Goes away after the first frame.
    Leaves,
}

async fn exchange(
    layer: &GuardrailsLayer,
    sent: &'static Sent,
    request: String,
    upstream: Upstream,
    client: Client,
) -> Got {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let upstream = Arc::new(std::sync::Mutex::new(Some(upstream)));
    let inner = service_fn(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        let body = upstream.lock().unwrap().take().expect("it is asked once");
        let response = Response::builder()
            .header("content-type", sent.content_type)
            .body(body)
            .expect("a good response");
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let request = Request::post(sent.path)
        .header("content-type", "application/json")
        .body(Full::<Bytes>::from(request))
        .expect("a good request");
    let Ok(response) = layer.layer(inner).oneshot(request).await;
    let verdict = response.extensions().get::<GuardrailsVerdict>().cloned();
    let mut body = Box::pin(response.into_body());
    let (mut bytes, mut is_whole) = (Vec::new(), true);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend(frame.into_data().unwrap_or_default()),
            Err(_) => is_whole = false,
        }
        if client == Client::Leaves {
            break;
        }
    }
    Got {
        said: sent.said(&bytes),
        bytes,
        verdict,
        is_whole,
        asked: asked.load(Ordering::SeqCst) > 0,
    }
}

/// The kinds of exchanges.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Allowed,
    BlockedIn,
    BlockedOut,
    Judged,
    Masked,
    Cut,
    Broken,
    LeftEarly,
}

const KINDS: [Kind; 8] = [
    Kind::Allowed,
    Kind::BlockedIn,
    Kind::BlockedOut,
    Kind::Judged,
    Kind::Masked,
    Kind::Cut,
    Kind::Broken,
    Kind::LeftEarly,
];

const PLAIN: &str = "one two three four five six seven eight nine ten eleven twelve";

async fn one(layer: Arc<GuardrailsLayer>, number: usize, alive: Arc<AtomicUsize>) {
    let kind = KINDS[number % KINDS.len()];
    let sent = &FORMATS[number / KINDS.len() % FORMATS.len()];
    let (letters, frame) = (1 + number % 11, 1 + number % 97);
    let text = match kind {
        Kind::BlockedOut => format!("{PLAIN} SE{number}CRET {PLAIN}"),
        Kind::Judged => format!("{PLAIN} dreadful {PLAIN}"),
        Kind::Masked => format!("{PLAIN} ann{number}@example.com {PLAIN}"),
        _ => PLAIN.to_owned(),
    };
    let mut body = sent.stream(&text, letters).into_bytes();
    match kind {
        Kind::Cut => body.truncate(body.len() * (number % 100) / 100),
        Kind::Broken => {
            let at = body.len() / 2;
            body.splice(at..at + 40, *b"\n\ndata: {\"choices\": [{\n\n{{{\n\n");
        }
        _ => {}
    }
    let request = match kind {
        Kind::BlockedIn => sent.request_of("a forbidden thing"),
        _ => sent.request_of(&format!("hello {number}")),
    };
    let client = match kind {
        Kind::LeftEarly => Client::Leaves,
        _ => Client::Reads,
    };
    let dies = matches!(kind, Kind::Cut) && !number.is_multiple_of(3);
    let upstream = Upstream::new(&body, frame, dies, &alive);
    drop(alive);
    let got = exchange(&layer, sent, request, upstream, client).await;
    let shown = || {
        format!(
            "{kind:?} {} {}",
            sent.path,
            String::from_utf8_lossy(&got.bytes)
        )
    };
    let verdict = got
        .verdict
        .as_ref()
        .unwrap_or_else(|| panic!("{}", shown()));
    match kind {
        Kind::Allowed => {
            assert!(
                !verdict.is_blocked() && got.is_whole && got.asked,
                "{}",
                shown()
            );
            assert_eq!(got.bytes, body, "{}", shown());
        }
        Kind::BlockedIn => assert!(verdict.is_blocked() && !got.asked, "{}", shown()),
        Kind::BlockedOut => {
            assert!(verdict.is_blocked() && got.is_whole, "{}", shown());
            assert!(!got.said.contains("CRET"), "{}", shown());
        }
        Kind::Judged => {
            assert!(verdict.is_blocked() && got.is_whole, "{}", shown());
            assert!(!got.said.contains("dreadful"), "{}", shown());
        }
        Kind::Masked => {
            assert!(!verdict.is_blocked() && got.is_whole, "{}", shown());
            assert_eq!(
                got.said,
                format!("{PLAIN} <EMAIL_ADDRESS> {PLAIN}"),
                "{}",
                shown()
            );
        }
        Kind::Cut | Kind::LeftEarly => assert!(PLAIN.starts_with(&got.said), "{}", shown()),
        Kind::Broken => assert!(
            PLAIN.starts_with(got.said.trim_end_matches(char::is_whitespace))
                || verdict.refused().is_some(),
            "{}",
            shown()
        ),
    }
}

/// The memory of this process in use, in bytes; 0 where it cannot be told.
fn memory() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}

#[test]
fn memory_stays_flat_and_nothing_is_left() {
    let count: usize = std::env::var("SOAK_REQUESTS")
        .ok()
        .map_or(2_000, |text| text.parse().expect("a number"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let layer = Arc::new(layer());
    let alive = Arc::new(AtomicUsize::new(0));
    let mut before = 0;
    runtime.block_on(async {
        const AT_ONCE: usize = 20;
        for begin in (0..count).step_by(AT_ONCE) {
            let exchanges = (begin..(begin + AT_ONCE).min(count))
                .map(|number| one(Arc::clone(&layer), number, Arc::clone(&alive)));
            futures_util::future::join_all(exchanges).await;
            if begin <= count / 4 {
                before = memory();
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    });
    assert_eq!(
        alive.load(Ordering::SeqCst),
        0,
        "replies of the upstream are left"
    );
    assert_eq!(runtime.metrics().num_alive_tasks(), 0, "tasks are left");
    let after = memory();
    assert!(
        after <= before + before / 4 + (8 << 20),
        "memory grew from {before} to {after} bytes"
    );
    eprintln!("{count} exchanges, memory {before} then {after} bytes");
}

#[test]
fn an_upstream_may_die_anywhere() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let layer = layer();
    let alive = Arc::new(AtomicUsize::new(0));
    let text = "one two three four";
    for sent in &FORMATS {
        let body = sent.stream(text, 7).into_bytes();
        for end in 0..body.len() {
            for dies in [false, true] {
                let upstream = Upstream::new(&body[..end], 33, dies, &alive);
                let got = runtime.block_on(async {
                    let exchange =
                        exchange(&layer, sent, sent.request_of("hi"), upstream, Client::Reads);
                    let limit = std::time::Duration::from_secs(10);
                    tokio::time::timeout(limit, exchange)
                        .await
                        .expect("it ends")
                });
                let shown = || {
                    format!(
                        "{} {end} {}",
                        sent.path,
                        String::from_utf8_lossy(&got.bytes)
                    )
                };
                assert!(text.starts_with(&got.said), "{}", shown());
                assert!(got.verdict.is_some(), "{}", shown());
                // A client that is not told by an error can tell by the records: what it got is whole records.
                if dies {
                    assert!(
                        !got.is_whole || got.bytes.is_empty() || got.bytes.ends_with(b"\n"),
                        "{}",
                        shown()
                    );
                }
            }
        }
    }
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}
