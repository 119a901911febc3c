//! What operators see: who is told of an exchange that has ended, the verdict log, headers, spans, and that none of it tells what was
//! said unless it is asked to.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io::Write,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use futures_util::stream;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_guardrails::{
    GuardrailsLayer, GuardrailsVerdict, LlmRails,
    error::{ModelError, ModelErrorKind},
    layer::{Conclusion, Enforcement, ExchangeEnd, ExchangeReport, RequestBody, VerdictLog},
    llm::{Model, ModelReply, ModelRequest},
};
use tracing_subscriber::fmt::format::FmtSpan;

use super::support::{
    Reply, STREAM, chat, config, content_stream, exchange, post, regex_layer, run,
};

/// What the layer told, in order.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<ExchangeReport>>>);

impl Told {
    fn by(&self, layer: GuardrailsLayer) -> GuardrailsLayer {
        let told = self.clone();
        layer.on_verdict(move |report| told.0.lock().unwrap().push(report.clone()))
    }

    /// The only exchange since the last time.
    fn one(&self) -> ExchangeReport {
        let mut told = std::mem::take(&mut *self.0.lock().unwrap());
        assert_eq!(told.len(), 1, "{told:?}");
        told.remove(0)
    }

    fn is_empty(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }
}

fn says(text: &str) -> Reply {
    Reply::json(format!(
        r#"{{"choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}]}}"#
    ))
}

fn asks(text: &str) -> String {
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]}}"#)
}

#[test]
fn each_exchange_is_told_of_once_however_it_ends() {
    let told = Told::default();
    let layer = told.by(regex_layer("badword", &[r"leak\d"]));
    let ask = |request, reply: &Reply| run(exchange(&layer, request, reply));

    ask(chat(asks("hello")), &says("fine"));
    let report = told.one();
    assert_eq!(
        (report.conclusion, report.end, report.status),
        (
            Conclusion::Allowed,
            ExchangeEnd::Complete,
            Some(StatusCode::OK)
        )
    );
    assert_eq!(
        (report.format, &*report.path),
        ("openai_chat", "/v1/chat/completions")
    );
    assert_eq!((report.model.as_deref(), report.stream), (Some("m"), false));
    assert!(report.verdict.is_final() && report.added <= report.duration);

    ask(chat(asks("badword")), &says("fine"));
    assert_eq!(told.one().conclusion, Conclusion::Blocked);
    ask(chat(asks("hello")), &says("leak1"));
    assert_eq!(told.one().conclusion, Conclusion::Blocked);
    ask(chat("{"), &says("fine"));
    let refused = told.one();
    assert_eq!(
        (refused.conclusion, refused.status),
        (Conclusion::Refused, Some(StatusCode::BAD_REQUEST))
    );
    // Refused by its path alone.
    ask(post("/v1/batches", "{}"), &says("fine"));
    assert_eq!(told.one().conclusion, Conclusion::Refused);

    let monitors = told.by(regex_layer("badword", &["leak"]).enforcement(Enforcement::Monitor));
    run(exchange(&monitors, chat(asks("badword")), &says("leak")));
    let report = told.one();
    assert_eq!(
        (report.conclusion, report.end),
        (Conclusion::Monitored, ExchangeEnd::Complete)
    );

    // What is none of the layer's concern is no exchange.
    ask(post("/v1/orders", r#"{"order": 1}"#), &says("fine"));
    ask(
        Request::get("/").body(Full::new(Bytes::new())).unwrap(),
        &says("fine"),
    );
    assert!(told.is_empty());
}

#[test]
fn a_stream_is_told_of_when_it_ends() {
    let told = Told::default();
    let layer = told.by(regex_layer("badword", &[r"leak\d"]));
    run(async {
        let reply = Reply::events(content_stream(&["all ", "is ", "well"]));
        let inner = service_fn(move |_: Request<RequestBody<Full<Bytes>>>| {
            let frames = reply
                .frames
                .clone()
                .into_iter()
                .map(|frame| Ok::<_, Infallible>(Frame::data(frame)));
            let response = Response::builder().header("content-type", "text/event-stream");
            let response = response
                .body(StreamBody::new(stream::iter(frames)))
                .unwrap();
            async move { Ok::<_, Infallible>(response) }
        });
        let mut service = layer.layer(inner);
        let response = service
            .ready()
            .await
            .unwrap()
            .call(chat(STREAM))
            .await
            .unwrap();
        assert!(told.is_empty());
        let (parts, body) = response.into_parts();
        body.collect().await.unwrap();
        let report = told.one();
        assert_eq!(
            (report.conclusion, report.end),
            (Conclusion::Allowed, ExchangeEnd::Complete)
        );
        // Whoever holds the verdict does not hold the exchange.
        assert!(
            parts
                .extensions
                .get::<GuardrailsVerdict>()
                .unwrap()
                .is_final()
        );

        // A client that leaves in the middle.
        let response = service
            .ready()
            .await
            .unwrap()
            .call(chat(STREAM))
            .await
            .unwrap();
        let mut body = response.into_body();
        body.frame().await.unwrap().unwrap();
        drop(body);
        let report = told.one();
        assert_eq!(
            (report.end, report.status),
            (ExchangeEnd::Left, Some(StatusCode::OK))
        );
        assert!(report.verdict.is_final());
    });
    let broken = run(exchange(
        &layer,
        chat(STREAM),
        &Reply::events(content_stream(&["leak", "1"])),
    ));
    assert!(broken.is_blocked());
    let report = told.one();
    assert_eq!(
        (report.conclusion, report.end, report.stream),
        (Conclusion::Blocked, ExchangeEnd::Complete, true)
    );
}

#[test]
fn a_client_that_leaves_before_the_reply_is_told_of() {
    let told = Told::default();
    let layer = told.by(regex_layer("badword", &["leak"]));
    run(async {
        let never = service_fn(|_: Request<RequestBody<Full<Bytes>>>| {
            std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>()
        });
        let call = layer.layer(never).oneshot(chat(asks("hello")));
        assert!(
            tokio::time::timeout(Duration::from_millis(20), call)
                .await
                .is_err()
        );
        let report = told.one();
        assert_eq!((report.end, report.status), (ExchangeEnd::Left, None));
        let fails = service_fn(|_: Request<RequestBody<Full<Bytes>>>| async {
            Err::<Response<Full<Bytes>>, _>(std::io::Error::other("down"))
        });
        layer
            .layer(fails)
            .oneshot(chat(asks("hello")))
            .await
            .unwrap_err();
        assert_eq!(told.one().end, ExchangeEnd::Left);
    });
}

#[test]
fn one_who_is_told_and_panics_takes_nothing_with_it() {
    let told = Told::default();
    let layer =
        regex_layer("badword", &["leak"]).on_verdict(|_| panic!("of the application's own"));
    let layer = told.by(layer);
    let answered = run(exchange(&layer, chat(asks("hello")), &says("fine")));
    assert_eq!(answered.status, 200);
    told.one();
}

#[test]
fn the_handler_finds_what_the_input_rails_decided() {
    let layer = regex_layer("badword", &["leak"]).enforcement(Enforcement::Monitor);
    let found = Arc::new(Mutex::new(None));
    let note = Arc::clone(&found);
    let inner = service_fn(move |request: Request<RequestBody<Full<Bytes>>>| {
        let verdict = request.extensions().get::<GuardrailsVerdict>().cloned();
        *note.lock().unwrap() = verdict.map(|verdict| verdict.would_block().len());
        async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("{}")))) }
    });
    run(layer.layer(inner).oneshot(chat(asks("badword")))).unwrap();
    assert_eq!(*found.lock().unwrap(), Some(1));
}

#[test]
fn headers_tell_clients_where_the_application_has_it_so() {
    let plain = regex_layer("badword", &["leak"]);
    let quiet = run(exchange(&plain, chat(asks("badword")), &says("fine")));
    assert!(
        !quiet.headers.contains_key("x-guardrails") && !quiet.headers.contains_key("server-timing")
    );
    let layer = plain.report_headers(true);
    let said = |request, reply: &Reply| {
        let told = run(exchange(&layer, request, reply));
        let header = |name: &str| told.headers[name].to_str().unwrap().to_owned();
        (header("x-guardrails"), header("server-timing"))
    };
    let (verdict, timing) = said(chat(asks("badword")), &says("fine"));
    assert_eq!(verdict, r#"blocked; rail="regex check input""#);
    assert!(
        timing.starts_with("guardrails;dur=")
            && timing.contains(r#"rail-1;desc="regex check input";dur="#),
        "{timing}"
    );
    assert_eq!(said(chat(asks("hello")), &says("fine")).0, "allowed");
    assert_eq!(said(chat("{"), &says("fine")).0, "refused");
    let streamed = said(chat(STREAM), &Reply::events(content_stream(&["fine"])));
    assert_eq!(streamed.0, "streaming");
    // What the upstream says of itself is not what the layer says.
    let own = says("fine").header("x-guardrails", "blocked");
    assert_eq!(said(chat(asks("hello")), &own).0, "allowed");
}

/// A folder that is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("guardrails-verdicts-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    fn log(&self) -> PathBuf {
        self.0.join("deep/verdicts.jsonl")
    }

    /// The lines, once there are `count`: they are written by a thread of their own.
    fn lines(&self, count: usize) -> Vec<Value> {
        for _ in 0..1000 {
            let text = std::fs::read_to_string(self.log()).unwrap_or_default();
            if text.matches('\n').count() >= count {
                return text
                    .lines()
                    .map(|line| serde_json::from_str(line).unwrap())
                    .collect();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{count} lines are not written");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn the_verdict_log_has_a_line_for_each_exchange_and_hashes_of_what_was_said() {
    let folder = Folder::new("hashes");
    let layer = regex_layer("badword", &[r"leak\d"])
        .verdict_log(VerdictLog::to_file(folder.log()).unwrap());
    let question = asks("a badword of ours");
    run(exchange(&layer, chat(question.clone()), &says("fine")));
    let stream = Reply::events(content_stream(&["wholly ", "harmless"]));
    let streamed = run(exchange(&layer, chat(STREAM), &stream));
    let lines = folder.lines(2);
    let blocked = &lines[0];
    assert_eq!(blocked["conclusion"], "blocked");
    assert_eq!(blocked["blocked_by"], "regex check input");
    assert_eq!(blocked["rails"][0]["reason"], "pattern 1 matches");
    assert_eq!(blocked["request"]["sha256"], sha256(question.as_bytes()));
    assert_eq!(lines[1]["reply"]["sha256"], sha256(&streamed.body));
    assert_eq!(lines[1]["reply"]["bytes"], streamed.body.len());
    assert_eq!(lines[1]["end"], "complete");
    let text = std::fs::read_to_string(folder.log()).unwrap();
    assert!(
        !text.contains("badword") && !text.contains("harmless"),
        "{text}"
    );

    let full = Folder::new("content");
    let log = VerdictLog::to_file(full.log()).unwrap().with_content();
    let layer = layer.verdict_log(log);
    run(exchange(
        &layer,
        chat(asks("something else")),
        &says("fine"),
    ));
    let lines = full.lines(1);
    assert!(
        lines[0]["request"]["text"]
            .as_str()
            .unwrap()
            .contains("something else")
    );
    assert!(lines[0]["reply"]["text"].as_str().unwrap().contains("fine"));
    // The other log of the same layer still has none.
    folder.lines(3);
    let text = std::fs::read_to_string(folder.log()).unwrap();
    assert!(!text.contains("something else"), "{text}");
}

#[test]
fn a_verdict_log_that_cannot_be_written_is_an_error_at_once() {
    assert!(VerdictLog::to_file("/proc/no/such/place/verdicts.jsonl").is_err());
}

/// What is logged, for a while.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Logged {
    /// All that is logged while `work` is done, spans and their fields among it.
    fn of<T>(work: impl FnOnce() -> T) -> (T, String) {
        let logged = Self::default();
        let writer = logged.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_span_events(FmtSpan::FULL)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let subscriber = tracing::Dispatch::new(subscriber);
        // While there is one subscriber in the process, what threads without one meet first is taken for unread by all.
        let _another = tracing::Dispatch::new(tracing_subscriber::registry());
        let done = tracing::dispatcher::with_default(&subscriber, work);
        let text = String::from_utf8_lossy(&logged.0.lock().unwrap()).into_owned();
        (done, text)
    }
}

/// Answers as it is asked to, and counts tokens; or fails, and says what it was asked.
#[derive(Debug)]
struct Judge {
    fails: bool,
}

impl Model for Judge {
    fn name(&self) -> &str {
        "scripted"
    }

    fn provider(&self) -> &str {
        "tests"
    }

    fn complete(&self, request: ModelRequest) -> BoxFuture<'_, Result<ModelReply, ModelError>> {
        let asked = format!("{:?}", request.messages);
        let answered = match self.fails {
            true => Err(ModelError::new(
                ModelErrorKind::Server,
                "scripted",
                "it is down",
            )),
            false => {
                let mut reply = ModelReply::default();
                reply.content = if asked.contains("forbidden") {
                    "Yes"
                } else {
                    "No"
                }
                .to_owned();
                reply.finish_reason = Some("stop".to_owned());
                Ok(reply)
            }
        };
        Box::pin(std::future::ready(answered))
    }
}

const SELF_CHECKS: &str = r#"
models: []
rails:
  config:
    sensitive_data_detection:
      output: {entities: [EMAIL_ADDRESS]}
  input: {flows: [self check input]}
  output: {flows: [self check output, mask sensitive data on output]}
prompts:
  - task: self_check_input
    content: "May this be asked? {{ user_input }}"
  - task: self_check_output
    content: "May this be said? {{ bot_response }}"
"#;

fn judged(fails: bool) -> GuardrailsLayer {
    let rails = LlmRails::builder(config(SELF_CHECKS)).model("main", Judge { fails });
    GuardrailsLayer::new(rails.build().unwrap())
}

/// What is said here must stand in no log.
const MARKED: [&str; 5] = [
    "zebra-in",
    "zebra-out",
    "zebra-key",
    "zebra-query",
    "zebra@example.com",
];

#[test]
fn no_log_tells_what_was_said_or_a_key_at_any_level() {
    let (_, logged) = Logged::of(|| {
        for fails in [false, true] {
            let layer = judged(fails);
            for said in ["zebra-in", "zebra-in forbidden"] {
                for reply in [
                    says("zebra-out zebra@example.com"),
                    says("zebra-out forbidden"),
                    Reply::json("{ zebra-out"),
                    {
                        let mut refused = says("zebra-out");
                        refused.status = StatusCode::INTERNAL_SERVER_ERROR;
                        refused
                    },
                ] {
                    let mut request = post("/v1/chat/completions?key=zebra-query", asks(said));
                    request
                        .headers_mut()
                        .insert("authorization", "Bearer zebra-key".parse().unwrap());
                    request
                        .headers_mut()
                        .insert("x-api-key", "zebra-key".parse().unwrap());
                    run(exchange(&layer, request, &reply));
                }
                let stream = Reply::events(content_stream(&[
                    "zebra-",
                    "out",
                    " forbidden zebra@example.com",
                ]));
                run(exchange(&layer, chat(STREAM.replace("hi", said)), &stream));
                run(exchange(
                    &layer,
                    chat(STREAM.replace("hi", said)),
                    &Reply::events(vec!["data: {zebra-out\n\n".into()]),
                ));
            }
        }
        // The patterns' layer, and what cannot be read.
        let patterns = regex_layer("zebra-in", &["zebra-out"]);
        for body in [
            asks("zebra-in"),
            "{\"zebra-in".to_owned(),
            r#"{"messages":[],"messages":["zebra-in"]}"#.to_owned(),
        ] {
            run(exchange(&patterns, chat(body), &says("zebra-out")));
        }
        run(exchange(
            &patterns,
            chat(asks("hello")),
            &says("zebra-out").header("x-said", "zebra-out"),
        ));
        // A dialogue's turns, whose events and calls are logged.
        for fails in [false, true] {
            let rails = LlmRails::builder(config(SELF_CHECKS))
                .model("main", Judge { fails })
                .build()
                .unwrap();
            let _ = run(rails.generate([tower_guardrails::Message::user("zebra-in forbidden")]));
            let _ = run(rails.generate([tower_guardrails::Message::user("zebra-in")]));
        }
    });
    assert!(
        logged.contains("guardrails.request") && logged.contains("guardrails.rail"),
        "nothing is logged"
    );
    for marked in MARKED {
        if let Some(at) = logged.find(marked) {
            let line = logged[..at].rfind('\n').map_or(0, |start| start + 1);
            panic!("{marked}: {}", &logged[line..(at + 80).min(logged.len())]);
        }
    }
}

#[test]
fn debug_output_tells_nothing_that_was_said() {
    let told = Told::default();
    let folder = Folder::new("debug");
    let log = VerdictLog::to_file(folder.log()).unwrap().with_content();
    let layer = told.by(regex_layer("badword", &["leak"]).verdict_log(log));
    run(exchange(&layer, chat(asks("zebra-in")), &says("zebra-out")));
    let shown = format!("{layer:?} {:?}", told.one());
    assert!(!shown.contains("zebra"), "{shown}");
}

#[test]
fn spans_have_the_names_of_opentelemetry() {
    let (_, logged) = Logged::of(|| {
        run(exchange(
            &judged(false),
            chat(asks("forbidden")),
            &says("fine"),
        ));
        run(exchange(&judged(true), chat(asks("hello")), &says("fine")));
    });
    // Fields by the span that closes with them.
    let mut closed: BTreeMap<&str, String> = BTreeMap::new();
    for line in logged
        .lines()
        .filter(|line| line.contains(": close time.busy"))
    {
        for name in ["guardrails.request{", "guardrails.rail{", "gen_ai.chat{"] {
            if let Some(at) = line.find(name) {
                let fields = line[at..].split('}').next().unwrap_or_default();
                closed.entry(name).or_default().push_str(fields);
            }
        }
    }
    for (span, fields) in [
        (
            "guardrails.request{",
            &[
                r#"otel.kind="server""#,
                r#"gen_ai.operation.name="guardrails""#,
                r#"gen_ai.request.model="m""#,
                "gen_ai.request.stream=false",
                "http.request.method=POST",
                r#"url.path="/v1/chat/completions""#,
                "http.response.status_code=200",
                r#"guardrails.conclusion="blocked""#,
                r#"rail.name="self check input""#,
                r#"error.type="rail_execution_failure""#,
            ][..],
        ),
        (
            "guardrails.rail{",
            &[
                r#"rail.type="input""#,
                "rail.name=self check input",
                "rail.stop=true",
                r#"error.type="rail_execution_failure""#,
            ],
        ),
        (
            "gen_ai.chat{",
            &[
                r#"otel.name="chat scripted""#,
                r#"otel.kind="client""#,
                r#"gen_ai.provider.name="tests""#,
                r#"gen_ai.request.model="scripted""#,
                r#"gen_ai.response.finish_reasons="stop""#,
                "error.type=Server",
            ],
        ),
    ] {
        let found = closed
            .get(span)
            .unwrap_or_else(|| panic!("no {span} in\n{logged}"));
        for field in fields {
            assert!(found.contains(field), "{field} in {found}");
        }
    }
}

/// The metrics that the source names.
fn metric_names() -> Vec<String> {
    let source = std::fs::read_to_string("src/observe/metrics.rs").unwrap();
    let mut names: Vec<String> = ["counter!(", "gauge!(", "histogram!("]
        .iter()
        .flat_map(|kind| source.split(kind).skip(1))
        .filter_map(|rest| {
            Some(
                rest.trim_start()
                    .strip_prefix('"')?
                    .split('"')
                    .next()?
                    .to_owned(),
            )
        })
        .collect();
    names.sort();
    names.dedup();
    assert!(names.len() > 10, "{names:?}");
    names
}

#[test]
fn the_docs_have_every_metric_and_the_dashboard_no_other() {
    let docs = std::fs::read_to_string("docs/operating.md").unwrap();
    for name in metric_names() {
        assert!(docs.contains(&format!("| `{name}`")), "{name}");
    }
    let dashboard = "examples/observability/dashboard.json";
    // It is no part of the published crate.
    let Ok(text) = std::fs::read_to_string(dashboard) else {
        return;
    };
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let known: Vec<String> = metric_names()
        .iter()
        .map(|name| name.replace('.', "_"))
        .collect();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap());
    for expression in targets.map(|target| target["expr"].as_str().unwrap()) {
        let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for word in words
            .filter(|word| word.starts_with("guardrails_") || word.starts_with("gen_ai_client"))
        {
            assert!(
                known
                    .iter()
                    .any(|name| name == word.trim_end_matches("_bucket")),
                "{word}"
            );
        }
    }
}
