//! `jailbreak detection heuristics`, `jailbreak detection model`: a service says whether a message tries to talk the model out of
//! its rules.
//!
//! - Service: the jailbreak detection server, or, for the model, NVIDIA's at `nim_base_url`, which goes first. Neither runs here.
//! - Config: `rails.config.jailbreak_detection`.
//! - On block: the refusal to respond. A service that fails, blocks, and no failure is remembered as a verdict.

use std::{sync::Arc, time::SystemTime};

use futures_core::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answers, BuildContext, Built, Call, Check, Finding, Flow, Key, Need, Rail, RailAction, Section,
    Unusable,
    service::{Service, key},
};
use crate::{
    actions::Lent,
    config::FlowReference,
    error::{Error, Fault},
    http::Secret,
    verdict::Place,
};

const HEURISTICS: &str = "jailbreak_detection_heuristics";
const MODEL: &str = "jailbreak_detection_model";

const EXCEPTION: (&str, &str) = (
    "JailbreakDetectionRailException",
    "Jailbreak attempt detected. The user's prompt was identified as an attempted jailbreak. Please ensure your prompt adheres to the guidelines.",
);

/// The port of the deprecated `nim_url` where `nim_port` does not say.
const NIM_PORT: i64 = 8000;

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "jailbreak_detection",
    about: "Blocks messages that a service takes for an attempt to talk the model out of its rules",
    flows: &[
        Flow::new("jailbreak detection heuristics", Place::Input, HEURISTICS)
            .exception(EXCEPTION.0, EXCEPTION.1)
            .colang1(include_str!("jailbreak_detection/heuristics.co")),
        Flow::new("jailbreak detection model", Place::Input, MODEL)
            .exception(EXCEPTION.0, EXCEPTION.1)
            .colang1(include_str!("jailbreak_detection/model.co")),
    ],
    actions: &[
        RailAction::new(HEURISTICS).answers(Answers::Found),
        RailAction::new(MODEL).answers(Answers::Found),
    ],
    section: Some(Section {
        key: "jailbreak_detection",
        keys: &[
            Key::new(
                "server_endpoint",
                "URL",
                "",
                "the jailbreak detection server's endpoint: that of the heuristics, or of the model",
            ),
            Key::new(
                "length_per_perplexity_threshold",
                "number",
                "89.79",
                "from where the heuristics take a message's length for its perplexity as an attempt",
            ),
            Key::new(
                "prefix_suffix_perplexity_threshold",
                "number",
                "1845.65",
                "the same for the perplexity of its beginning and its end",
            ),
            Key::new(
                "nim_base_url",
                "URL",
                "",
                "the URL of NVIDIA's service, for the model",
            ),
            Key::new(
                "nim_server_endpoint",
                "text",
                "classify",
                "the path under `nim_base_url`",
            ),
            Key::new("api_key", "text", "", "the key of NVIDIA's service"),
            Key::new(
                "api_key_env_var",
                "text",
                "",
                "the environment variable that holds it",
            ),
            Key::new(
                "nim_url",
                "text",
                "",
                "a host, in the place of `nim_base_url`; deprecated",
            ),
            Key::new("nim_port", "int", "8000", "its port; deprecated"),
        ],
    }),
    needs: &[Need::Service(
        "the jailbreak detection server, or NVIDIA's",
        "POST to `server_endpoint`, or to `nim_server_endpoint` under `nim_base_url`",
    )],
    messages: &[],
    build,
};

/// `rails.config.jailbreak_detection`.
#[derive(Deserialize)]
#[serde(default)]
struct Settings {
    server_endpoint: Option<String>,
    length_per_perplexity_threshold: f64,
    prefix_suffix_perplexity_threshold: f64,
    nim_base_url: Option<String>,
    nim_server_endpoint: Option<String>,
    api_key: Option<String>,
    api_key_env_var: Option<String>,
    nim_url: Option<String>,
    nim_port: Option<i64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            server_endpoint: None,
            length_per_perplexity_threshold: 89.79,
            prefix_suffix_perplexity_threshold: 1845.65,
            nim_base_url: None,
            nim_server_endpoint: Some("classify".to_owned()),
            api_key: None,
            api_key_env_var: None,
            nim_url: None,
            nim_port: None,
        }
    }
}

#[derive(Debug)]
struct JailbreakDetection {
    service: Service,
    server: Option<String>,
    /// The whole URL.
    nim: Option<String>,
    key: Option<Secret>,
    thresholds: (f64, f64),
    /// What measures perplexities in the worker, where no server does the heuristics; else why nothing does.
    perplexity: Result<Lent, Option<String>>,
}

/// The model of the heuristics: the reference's.
const PERPLEXITY_MODEL: &str = "gpt2-large";

/// What the worker's heuristics rest on. A text of one token has no perplexity.
#[derive(Deserialize)]
struct Perplexities {
    text: Option<f64>,
    ends: Vec<Option<f64>>,
}

fn build(context: &BuildContext<'_>) -> Built {
    let settings = context.config.rails.section::<Settings>(RAIL.name);
    let settings = settings.map_err(|fault| vec![fault])?;
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let base = filled(&settings.nim_base_url).or_else(|| {
        let host = filled(&settings.nim_url)?;
        let port = settings.nim_port.filter(|port| *port != 0);
        Some(format!("http://{host}:{}/v1", port.unwrap_or(NIM_PORT)))
    });
    let server = filled(&settings.server_endpoint);
    let faults = faults(context, &settings, base.as_deref(), server.as_deref());
    if !faults.is_empty() {
        return Err(faults);
    }
    let path = settings.nim_server_endpoint.as_deref().unwrap_or_default();
    let own = settings.api_key.as_deref().map(Secret::new);
    let variable = filled(&settings.api_key_env_var);
    let flows = context.config.rails.input.flows.iter();
    let mut heuristics = flows.filter(|line| line.name == "jailbreak detection heuristics");
    let perplexity = match context.python {
        Some(python) if server.is_none() && heuristics.next().is_some() => {
            let lent = python.lend("perplexity", json!({"model": PERPLEXITY_MODEL}));
            lent.map_err(Some)
        }
        _ => Err(None),
    };
    Ok(Arc::new(JailbreakDetection {
        perplexity,
        service: Service::new(context),
        nim: base.map(|base| join(&base, path)),
        server,
        key: own
            .filter(|key| !key.is_empty())
            .or_else(|| key(context, &variable?)),
        thresholds: (
            settings.length_per_perplexity_threshold,
            settings.prefix_suffix_perplexity_threshold,
        ),
    }))
}

fn faults(
    context: &BuildContext<'_>,
    settings: &Settings,
    base: Option<&str>,
    server: Option<&str>,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fault = |key: &str, message: &str| {
        let message = format!("`rails.config.jailbreak_detection.{key}` {message}");
        let rails = &context.config.rails;
        faults.push(rails.section_fault(&format!("jailbreak_detection.{key}"), message));
    };
    let thresholds = [
        (
            "length_per_perplexity_threshold",
            settings.length_per_perplexity_threshold,
        ),
        (
            "prefix_suffix_perplexity_threshold",
            settings.prefix_suffix_perplexity_threshold,
        ),
    ];
    for (key, threshold) in thresholds {
        // Not the other way round: what is no number is not greater either.
        if !(threshold > 0.0 && threshold.is_finite()) {
            fault(key, "must be greater than 0");
        }
    }
    for (key, url) in [("nim_base_url", base), ("server_endpoint", server)] {
        let is_http = |url: &str| url.starts_with("http://") || url.starts_with("https://");
        if url.is_some_and(|url| !is_http(url)) {
            fault(key, "must begin with `http://` or `https://`");
        }
    }
    faults
}

/// `path` under `base`, with one slash between them.
fn join(base: &str, path: &str) -> String {
    format!(
        "{}/{}",
        base.trim_end_matches('/'),
        path.trim_start_matches('/')
    )
}

impl JailbreakDetection {
    async fn check(&self, call: &Call<'_>) -> Result<Finding, Error> {
        let prompt = call
            .text("user_message")
            .or_else(|| call.variable_text("user_message"))
            .unwrap_or_default();
        if call.action() == HEURISTICS
            && self.server.is_none()
            && let Ok(perplexity) = &self.perplexity
        {
            return self.measure(call, perplexity, &prompt).await;
        }
        let (url, body, key) = if call.action() == HEURISTICS {
            let (length_per_perplexity, prefix_suffix) = self.thresholds;
            let body = json!({
                "prompt": prompt,
                "lp_threshold": length_per_perplexity,
                "ps_ppl_threshold": prefix_suffix,
            });
            (&self.server, body, None)
        } else if self.nim.is_some() {
            (&self.nim, json!({"input": prompt}), self.key.as_ref())
        } else {
            (&self.server, json!({"prompt": prompt}), None)
        };
        let url = url.as_ref();
        let url = url.ok_or_else(|| call.failed(self.no_service(call.action())))?;
        let started_at = SystemTime::now();
        let answer = self.service.post_as(url, key, &body).await;
        if call.action() == MODEL {
            call.note_model_call(MODEL, started_at);
        }
        let answer = answer.map_err(|error| call.failed(error))?;
        match answer.get("jailbreak") {
            Some(Value::Bool(is_jailbreak)) => Ok(Finding::block_if(*is_jailbreak)),
            // The server's scores, where it gives such.
            Some(Value::Number(number)) => Ok(Finding::block_if(number.as_f64() != Some(0.0))),
            Some(Value::String(text)) if !text.is_empty() => Ok(Finding::block()),
            _ => Err(call.failed("the answer has no `jailbreak` that is true or false")),
        }
    }
}

impl JailbreakDetection {
    /// Has the worker measure the perplexities of `prompt`, and its two ends' where it is long enough.
    #[allow(clippy::cast_precision_loss, reason = "no prompt is that long")]
    async fn measure(
        &self,
        call: &Call<'_>,
        perplexity: &Lent,
        prompt: &str,
    ) -> Result<Finding, Error> {
        if prompt.is_empty() {
            return Ok(Finding::allow());
        }
        let measured = perplexity.ask(prompt, Value::Null, None).await;
        let measured = measured.map_err(|error| call.failed(error))?;
        let measured: Perplexities =
            serde_json::from_value(measured).map_err(|error| call.failed(error))?;
        let (length_per_perplexity, prefix_suffix) = self.thresholds;
        let length = prompt.chars().count() as f64;
        let is_long = measured
            .text
            .is_some_and(|perplexity| length / perplexity >= length_per_perplexity);
        let mut ends = measured.ends.into_iter().flatten();
        Ok(Finding::block_if(
            is_long || ends.any(|perplexity| perplexity >= prefix_suffix),
        ))
    }

    fn no_service(&self, action: &str) -> String {
        let key = "rails.config.jailbreak_detection.";
        if action != HEURISTICS {
            return format!(
                "the jailbreak model does not run here: set `{key}nim_base_url` or `{key}server_endpoint`"
            );
        }
        let why = match &self.perplexity {
            Err(Some(why)) => format!(" (the worker cannot: {why})"),
            _ => String::new(),
        };
        format!(
            "the jailbreak heuristics do not run here: set `{key}server_endpoint`, or `python: {{interpreter: python3}}` to one with transformers and torch{why}"
        )
    }
}

impl Check for JailbreakDetection {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move { self.check(&call).await })
    }

    fn accept(&self, flow: &Flow, _: &FlowReference) -> Result<(), Unusable> {
        let has_service = self.server.is_some() || (flow.action == MODEL && self.nim.is_some());
        if has_service || (flow.action == HEURISTICS && self.perplexity.is_ok()) {
            return Ok(());
        }
        Err(Unusable::Unready(vec![self.no_service(flow.action)]))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{Trial, faults_of},
        *,
    };
    use crate::{http::testing::json as answer, verdict::Outcome};

    const SERVER: &str = "rails: {config: {jailbreak_detection: {server_endpoint: 'URL/heuristics', length_per_perplexity_threshold: 50}}}";
    const NIM: &str = "rails: {config: {jailbreak_detection: {nim_base_url: 'URL/v1/', nim_server_endpoint: /a/b, server_endpoint: 'URL/model', api_key_env_var: KEY}}}";

    #[tokio::test]
    async fn the_service_decides() {
        let answers = vec![
            answer(200, &json!({"jailbreak": true})),
            answer(200, &json!({"jailbreak": false})),
        ];
        let trial = Trial::new(&RAIL, SERVER, &[], answers).await;
        let verdict = trial.judge("jailbreak detection heuristics", "zzxx").await;
        assert!(matches!(verdict, Ok(Outcome::Block(_))));
        let verdict = trial.judge("jailbreak detection model", "Hello").await;
        assert_eq!(verdict.unwrap(), Outcome::Allow);
        let received = trial.received();
        assert_eq!(
            received[0].json(),
            json!({"prompt": "zzxx", "lp_threshold": 50.0, "ps_ppl_threshold": 1845.65})
        );
        assert_eq!(received[1].json(), json!({"prompt": "Hello"}));
    }

    #[tokio::test]
    async fn the_model_is_asked_at_nvidia_s_first() {
        let answers = vec![answer(200, &json!({"jailbreak": true, "score": 0.9}))];
        let trial = Trial::new(&RAIL, NIM, &[("KEY", "secret")], answers).await;
        let verdict = trial.judge("jailbreak detection model", "pretend").await;
        assert!(matches!(verdict, Ok(Outcome::Block(_))));
        let received = trial.received();
        assert!(
            received[0].head.starts_with("POST /v1/a/b "),
            "{}",
            received[0].head
        );
        assert!(received[0].head.contains("authorization: Bearer secret"));
        assert_eq!(received[0].json(), json!({"input": "pretend"}));
    }

    #[tokio::test]
    async fn its_own_key_goes_first_and_is_not_shown() {
        let config = NIM.replace(
            "api_key_env_var: KEY",
            "api_key: hush-hush, api_key_env_var: KEY",
        );
        let answers = vec![answer(200, &json!({"jailbreak": false}))];
        let trial = Trial::new(&RAIL, &config, &[("KEY", "other")], answers).await;
        let verdict = trial.judge("jailbreak detection model", "Hello").await;
        assert_eq!(verdict.unwrap(), Outcome::Allow);
        let head = &trial.received()[0].head;
        assert!(head.contains("authorization: Bearer hush-hush"), "{head}");
        assert!(!trial.shown().contains("hush"), "{}", trial.shown());
    }

    #[tokio::test]
    async fn failures_and_unclear_answers_are_no_verdict() {
        for (status, body) in [
            (503, json!({"jailbreak": false})),
            (200, json!({})),
            (200, json!({"jailbreak": null})),
            (200, json!({"jailbreak": []})),
            (200, json!([])),
        ] {
            let trial = Trial::new(&RAIL, NIM, &[], vec![answer(status, &body)]).await;
            let verdict = trial.judge("jailbreak detection model", "x").await;
            assert!(verdict.is_err(), "{body}");
        }
    }

    #[tokio::test]
    async fn without_a_service_it_is_not_ready() {
        let trial = Trial::new(&RAIL, "", &[], vec![]).await;
        for line in [
            "jailbreak detection heuristics",
            "jailbreak detection model",
        ] {
            assert!(matches!(trial.accept(line), Err(Unusable::Unready(_))));
        }
        let config = "rails: {config: {jailbreak_detection: {nim_url: host}}}";
        let trial = Trial::new(&RAIL, config, &[], vec![]).await;
        assert!(trial.accept("jailbreak detection model").is_ok());
        assert!(trial.accept("jailbreak detection heuristics").is_err());
    }

    #[test]
    fn settings_are_checked() {
        for section in [
            "{length_per_perplexity_threshold: 0}",
            "{prefix_suffix_perplexity_threshold: -1}",
            "{nim_base_url: 'host:8000'}",
            "{server_endpoint: /heuristics}",
        ] {
            let config = format!("rails: {{config: {{jailbreak_detection: {section}}}}}");
            assert_eq!(faults_of(&RAIL, &config).len(), 1, "{section}");
        }
    }

    #[test]
    fn paths_are_joined() {
        assert_eq!(join("http://h/v1/", "/classify"), "http://h/v1/classify");
        assert_eq!(join("http://h/v1", "a/b"), "http://h/v1/a/b");
    }
}
