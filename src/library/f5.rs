//! `f5 guardrails scan input`, `f5 guardrails scan output`: F5 AI Guardrails clears a text, or does not.
//!
//! - Service: POST to `/backend/v1/scans`. While it is busy (429) it is asked again, after as long as it says.
//! - Config: `rails.config.f5`.
//! - Environment: `F5_GUARDRAILS_API_KEY`; `F5_GUARDRAILS_API_URL` goes before `api_url`.
//! - On block: the refusal to respond. A service that fails blocks, or lets the text pass with `fail_open`; an answer that is not
//!   understood always blocks.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Bound, BuildContext, Built, Call, Check, Finding, Flow, Key, Need, Rail, RailAction, Section,
    Unusable,
    service::{Patience, RequiredKey, Service, bearer, time},
};
use crate::{config::FlowReference, error::Error, http::HttpError, verdict::Place};

const SCAN: &str = "f5_guardrails_scan";
const KEY: &str = "F5_GUARDRAILS_API_KEY";
const URL: &str = "F5_GUARDRAILS_API_URL";
const EXCEPTION: &str = "F5GuardrailsRailException";

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "f5",
    about: "Has F5 AI Guardrails scan a text",
    flows: &[
        Flow::new("f5 guardrails scan input", Place::Input, SCAN)
            .arguments(&[("text", Bound::Variable("user_message"))])
            .result("result")
            .exception(
                EXCEPTION,
                "Prompt not allowed. The prompt was blocked by the 'f5 guardrails scan input' flow.",
            ),
        Flow::new("f5 guardrails scan output", Place::Output, SCAN)
            .arguments(&[("text", Bound::Variable("bot_message"))])
            .result("result")
            .exception(
                EXCEPTION,
                "Response not allowed. The response was blocked by the 'f5 guardrails scan output' flow.",
            ),
    ],
    actions: &[RailAction::system(SCAN)],
    section: Some(Section {
        key: "f5",
        keys: &[
            Key::new("api_url", "URL", "https://us1.calypsoai.app", "the service"),
            Key::new(
                "fail_open",
                "bool",
                "false",
                "whether a text passes where the service fails",
            ),
            Key::new(
                "max_retries",
                "number",
                "2",
                "how often a busy service is asked again",
            ),
            Key::new(
                "max_retry_after_seconds",
                "seconds",
                "30",
                "the longest wait for a busy service",
            ),
            Key::new(
                "retry_backoff_seconds",
                "seconds",
                "1",
                "the first wait where the service names none; each further one is twice as long",
            ),
        ],
    }),
    needs: &[
        Need::Service("F5 AI Guardrails", "POST to `/backend/v1/scans`"),
        Need::Environment(KEY, "the key"),
        Need::Environment(URL, "the service, instead of `api_url`"),
    ],
    messages: &[],
    build,
};

/// `rails.config.f5`.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Settings {
    api_url: String,
    fail_open: bool,
    max_retries: u32,
    max_retry_after_seconds: f64,
    retry_backoff_seconds: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            api_url: "https://us1.calypsoai.app".to_owned(),
            fail_open: false,
            max_retries: 2,
            max_retry_after_seconds: 30.0,
            retry_backoff_seconds: 1.0,
        }
    }
}

#[derive(Debug)]
struct F5 {
    service: Service,
    endpoint: String,
    patience: Patience,
    fail_open: bool,
    key: RequiredKey,
}

fn build(context: &BuildContext<'_>) -> Built {
    let settings = context.config.rails.section("f5");
    let settings: Settings = settings.map_err(|fault| vec![fault])?;
    let longest_wait = time(
        context,
        "f5.max_retry_after_seconds",
        settings.max_retry_after_seconds,
    );
    let first_wait = time(
        context,
        "f5.retry_backoff_seconds",
        settings.retry_backoff_seconds,
    );
    let (longest_wait, first_wait) = match (longest_wait, first_wait) {
        (Ok(longest), Ok(first)) => (longest, first),
        (longest, first) => {
            return Err([longest.err(), first.err()].into_iter().flatten().collect());
        }
    };
    let url = (context.environment)(URL).filter(|url| !url.is_empty());
    let url = url.unwrap_or(settings.api_url);
    Ok(Arc::new(F5 {
        service: Service::new(context),
        endpoint: format!("{}/backend/v1/scans", url.trim_end_matches('/')),
        patience: Patience {
            retries: settings.max_retries,
            first_wait,
            longest_wait,
        },
        fail_open: settings.fail_open,
        key: RequiredKey::new(context, KEY),
    }))
}

impl F5 {
    async fn scan(&self, call: &Call<'_>) -> Result<Finding, Error> {
        let authorization = bearer(self.key.get(call)?);
        let headers = [("Authorization", &*authorization)];
        let body = json!({"input": call.required("text")?});
        let answer = self
            .service
            .post_patiently(&self.endpoint, &headers, &body, &self.patience);
        let answer = match answer.await {
            Ok(answer) => answer,
            Err(error) if self.fail_open && is_outage(&error) => {
                tracing::warn!(%error, "F5 AI Guardrails failed: the text passes, as `fail_open` says");
                let cleared = json!({"outcome": "cleared"});
                return Ok(Finding::allow()
                    .with("result", cleared)
                    .with("fail_open", true));
            }
            Err(error) => return Err(call.failed(error)),
        };
        let is_cleared = match answer.get("result") {
            None => Some(false),
            Some(result) => result
                .as_object()
                .map(|result| result.get("outcome").and_then(Value::as_str) == Some("cleared")),
        };
        match (is_cleared, answer) {
            (Some(is_cleared), Value::Object(metadata)) => {
                let mut finding = Finding::block_if(!is_cleared);
                finding.metadata = metadata;
                Ok(finding)
            }
            _ => Err(call.failed("F5 AI Guardrails' answer has no `result`")),
        }
    }
}

/// Whether the service did not answer, or with an error.
fn is_outage(error: &HttpError) -> bool {
    error.is_transient() || error.status().is_some()
}

impl Check for F5 {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move { self.scan(&call).await })
    }

    fn accept(&self, _: &Flow, _: &FlowReference) -> Result<(), Unusable> {
        self.key.accept()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Trial, *};
    use crate::{
        http::testing::{answer as plain, json as answer},
        verdict::Outcome,
    };

    const CONFIG: &str = "rails: {config: {f5: {api_url: 'URL/', retry_backoff_seconds: 0}}}";
    const OPEN: &str =
        "rails: {config: {f5: {api_url: 'URL', retry_backoff_seconds: 0, fail_open: true}}}";
    const ENVIRONMENT: &[(&str, &str)] = &[(KEY, "secret")];

    fn cleared() -> Value {
        json!({"result": {"outcome": "cleared"}})
    }

    #[tokio::test]
    async fn only_what_is_cleared_passes() {
        for (body, passes) in [
            (cleared(), Some(true)),
            (json!({"result": {"outcome": "flagged"}}), Some(false)),
            (json!({"result": {"outcome": "Cleared"}}), Some(false)),
            (json!({"result": {}}), Some(false)),
            (json!({}), Some(false)),
            (json!({"result": null}), None),
            (json!({"result": "cleared"}), None),
            (json!(["cleared"]), None),
        ] {
            let trial = Trial::new(&RAIL, CONFIG, ENVIRONMENT, vec![answer(200, &body)]).await;
            let outcome = trial.judge("f5 guardrails scan output", "x").await;
            let passed = outcome.ok().map(|outcome| outcome == Outcome::Allow);
            assert_eq!(passed, passes, "{body}");
            let received = trial.received();
            assert!(received[0].head.starts_with("POST /backend/v1/scans "));
            assert!(received[0].head.contains("authorization: Bearer secret"));
            assert_eq!(received[0].json(), json!({"input": "x"}));
        }
    }

    #[tokio::test]
    async fn a_busy_service_is_asked_again() {
        let busy = || plain(429, "retry-after: 0\r\n", "");
        let answers = vec![busy(), busy(), answer(200, &cleared())];
        let trial = Trial::new(&RAIL, CONFIG, ENVIRONMENT, answers).await;
        let outcome = trial.judge("f5 guardrails scan input", "x").await;
        assert_eq!(outcome.unwrap(), Outcome::Allow);
        assert_eq!(trial.received().len(), 3);

        let trial = Trial::new(&RAIL, CONFIG, ENVIRONMENT, vec![busy(), busy(), busy()]).await;
        assert!(trial.judge("f5 guardrails scan input", "x").await.is_err());
        assert_eq!(trial.received().len(), 3);
    }

    #[tokio::test]
    async fn an_outage_passes_only_where_the_config_says_so() {
        let broken = || vec![answer(500, &json!({}))];
        let trial = Trial::new(&RAIL, CONFIG, ENVIRONMENT, broken()).await;
        assert!(trial.judge("f5 guardrails scan input", "x").await.is_err());
        assert_eq!(trial.received().len(), 1);
        let trial = Trial::new(&RAIL, OPEN, ENVIRONMENT, broken()).await;
        let outcome = trial.judge("f5 guardrails scan input", "x").await;
        assert_eq!(outcome.unwrap(), Outcome::Allow);
        let junk = vec![plain(200, "", "<html>")];
        let trial = Trial::new(&RAIL, OPEN, ENVIRONMENT, junk).await;
        assert!(trial.judge("f5 guardrails scan input", "x").await.is_err());
    }
}
