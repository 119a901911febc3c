//! `ai defense inspect prompt`, `ai defense inspect response`: Cisco AI Defense says whether a text is safe.
//!
//! - Service: POST to the URL in `AI_DEFENSE_API_ENDPOINT`.
//! - Config: `rails.config.ai_defense`.
//! - Environment: `AI_DEFENSE_API_KEY`, `AI_DEFENSE_API_ENDPOINT`.
//! - On block: the refusal to respond. A service that fails blocks the same way, or lets the text pass with `fail_open`.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answers, Bound, BuildContext, Built, Call, Check, Finding, Flow, Key, Need, Rail, RailAction,
    Section, Unusable,
    service::{RequiredKey, Service, time_limit},
};
use crate::{config::FlowReference, error::Error, verdict::Place};

const INSPECT: &str = "ai_defense_inspect";
const KEY: &str = "AI_DEFENSE_API_KEY";
const ENDPOINT: &str = "AI_DEFENSE_API_ENDPOINT";
const EXCEPTION: &str = "AIDefenseRailException";

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "ai_defense",
    about: "Asks Cisco AI Defense whether a text is safe",
    flows: &[
        Flow::new("ai defense inspect prompt", Place::Input, INSPECT)
            .arguments(&[("user_prompt", Bound::Variable("user_message"))])
            .result("result")
            .exception(
                EXCEPTION,
                "Prompt not allowed. The prompt was blocked by the 'ai defense inspect prompt' flow.",
            ),
        Flow::new("ai defense inspect response", Place::Output, INSPECT)
            .arguments(&[("bot_response", Bound::Variable("bot_message"))])
            .result("result")
            .exception(
                EXCEPTION,
                "Response not allowed. The response was blocked by the 'ai defense inspect response' flow.",
            ),
    ],
    actions: &[RailAction::system(INSPECT).answers(Answers::Metadata)],
    section: Some(Section {
        key: "ai_defense",
        keys: &[
            Key::new("timeout", "seconds", "30", "how long the service may take"),
            Key::new(
                "fail_open",
                "bool",
                "false",
                "whether a text passes where the service fails",
            ),
        ],
    }),
    needs: &[
        Need::Service("Cisco AI Defense", "POST to `AI_DEFENSE_API_ENDPOINT`"),
        Need::Environment(KEY, "the key"),
        Need::Environment(ENDPOINT, "the URL of the endpoint"),
    ],
    messages: &[],
    build,
};

/// `rails.config.ai_defense`.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Settings {
    timeout: f64,
    fail_open: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timeout: 30.0,
            fail_open: false,
        }
    }
}

#[derive(Debug)]
struct AiDefense {
    service: Service,
    fail_open: bool,
    endpoint: Option<String>,
    key: RequiredKey,
}

fn build(context: &BuildContext<'_>) -> Built {
    let settings = context.config.rails.section("ai_defense");
    let settings: Settings = settings.map_err(|fault| vec![fault])?;
    let timeout = time_limit(context, "ai_defense.timeout", settings.timeout);
    Ok(Arc::new(AiDefense {
        service: Service::new(context).timeout(timeout.map_err(|fault| vec![fault])?),
        fail_open: settings.fail_open,
        endpoint: (context.environment)(ENDPOINT).filter(|url| !url.is_empty()),
        key: RequiredKey::new(context, KEY),
    }))
}

fn missing_endpoint() -> String {
    format!("the rail needs the URL of AI Defense in the environment variable `{ENDPOINT}`")
}

impl AiDefense {
    async fn inspect(&self, call: &Call<'_>) -> Result<Finding, Error> {
        let key = self.key.get(call)?;
        let endpoint = self.endpoint.as_deref();
        let endpoint = endpoint.ok_or_else(|| call.failed(missing_endpoint()))?;
        let (role, content) = match call.argument("bot_response") {
            Some(_) => ("assistant", call.required("bot_response")?),
            None => ("user", call.required("user_prompt")?),
        };
        let mut body = json!({"messages": [{"role": role, "content": content}]});
        if let Some(user) = call.argument("user") {
            body["metadata"] = json!({"user": user});
        }
        let headers = [("X-Cisco-AI-Defense-API-Key", key.expose())];
        let answer = self.service.post(endpoint, &headers, &body).await;
        let is_blocked = match answer.as_ref().map(|answer| answer.get("is_safe")) {
            Ok(Some(is_safe)) => *is_safe != Value::Bool(true),
            Ok(None) => {
                tracing::warn!(fail_open = self.fail_open, "AI Defense gave no verdict");
                !self.fail_open
            }
            Err(error) => {
                tracing::warn!(%error, fail_open = self.fail_open, "AI Defense failed");
                !self.fail_open
            }
        };
        Ok(Finding::block_if(is_blocked).with("is_blocked", is_blocked))
    }
}

impl Check for AiDefense {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move { self.inspect(&call).await })
    }

    fn accept(&self, _: &Flow, _: &FlowReference) -> Result<(), Unusable> {
        self.key.accept()?;
        match self.endpoint {
            Some(_) => Ok(()),
            None => Err(Unusable::Unready(vec![missing_endpoint()])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Trial, *};
    use crate::{
        http::testing::{Step, json as answer},
        verdict::Outcome,
    };

    const ENVIRONMENT: &[(&str, &str)] = &[(KEY, "secret"), (ENDPOINT, "URL/inspect")];

    #[tokio::test]
    async fn only_a_clear_yes_is_safe() {
        for (body, passes) in [
            (json!({"is_safe": true}), true),
            (json!({"is_safe": false}), false),
            (json!({"is_safe": "no"}), false),
            (json!({"is_safe": null}), false),
            (json!({}), false),
            (json!([true]), false),
        ] {
            let trial = Trial::new(&RAIL, "", ENVIRONMENT, vec![answer(200, &body)]).await;
            let outcome = trial.judge("ai defense inspect response", "x").await;
            assert_eq!(outcome.unwrap() == Outcome::Allow, passes, "{body}");
            let received = trial.received();
            assert!(
                received[0]
                    .head
                    .contains("x-cisco-ai-defense-api-key: secret"),
                "{}",
                received[0].head
            );
            assert_eq!(
                received[0].json(),
                json!({"messages": [{"role": "assistant", "content": "x"}]})
            );
        }
    }

    #[tokio::test]
    async fn a_failure_passes_only_where_the_config_says_so() {
        for (config, passes) in [
            ("rails: {config: {ai_defense: {fail_open: true}}}", true),
            ("", false),
        ] {
            for broken in [answer(500, &json!({})), answer(200, &json!("?")), vec![]] {
                let trial = Trial::new(&RAIL, config, ENVIRONMENT, vec![broken]).await;
                let outcome = trial.judge("ai defense inspect prompt", "x").await;
                assert_eq!(outcome.unwrap() == Outcome::Allow, passes, "{config}");
            }
        }
    }

    #[tokio::test]
    async fn a_service_that_hangs_is_left() {
        let config = "rails: {config: {ai_defense: {timeout: '0.05'}}}";
        let hanging = vec![Step::Wait(std::time::Duration::from_secs(60))];
        let trial = Trial::new(&RAIL, config, ENVIRONMENT, vec![hanging]).await;
        let outcome = trial.judge("ai defense inspect prompt", "x").await;
        assert!(matches!(outcome, Ok(Outcome::Block(_))), "{outcome:?}");
    }
}
