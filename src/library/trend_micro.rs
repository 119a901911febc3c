//! `trend ai guard input`, `trend ai guard output`: Trend Micro's AI Guard judges a text.
//!
//! - Service: Trend Vision One's AI Guard.
//! - Config: `rails.config.trend_micro`.
//! - On block: the refusal to respond. Without a key everything blocks; a service that fails, blocks.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answers, Bound, BuildContext, Built, Call, Check, Finding, Flow, Key, Need, Part, Rail,
    RailAction, Section, Unusable,
    service::{Service, bearer, key},
};
use crate::{
    config::FlowReference,
    error::{Error, Fault},
    http::Secret,
    verdict::Place,
};

const ACTION: &str = "trend_ai_guard";

/// The reason of blocks for want of a key.
const NO_KEY: &str = "Trend Micro Vision One API Key not found";

/// The longest name of an application.
const LONGEST_NAME: usize = 64;

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "trend_micro",
    about: "Blocks what Trend Micro's AI Guard finds",
    flows: &[
        Flow::new("trend ai guard input", Place::Input, ACTION)
            .arguments(&[("text", Bound::Variable("user_message"))])
            .result("result")
            .exception(
                "TrendAiGuardRailException",
                "Blocked by the 'trend ai guard input' flow",
            )
            .colang1(
                r#"define subflow trend ai guard input
  $result = execute trend_ai_guard(text=$user_message)
  if $result.is_blocked
    if $config.enable_rails_exceptions
      $msg = "Blocked by the 'trend ai guard input' flow: " + $result.reason
      create event TrendAiGuardRailException(message=$msg)
    else
      bot refuse to respond
    stop
"#,
            ),
        Flow::new("trend ai guard output", Place::Output, ACTION)
            .arguments(&[("text", Bound::Variable("bot_message"))])
            .result("result")
            .exception(
                "TrendAiGuardRailException",
                "Blocked by the 'trend ai guard output' flow",
            )
            .colang1(
                r#"define subflow trend ai guard output
  $result = execute trend_ai_guard(text=$bot_message)
  if $result.is_blocked
    if $config.enable_rails_exceptions
      $msg = "Blocked by the 'trend ai guard output' flow: " + $result.reason
      create event TrendAiGuardRailException(message=$msg)
    else
      bot refuse to respond
    stop
"#,
            ),
    ],
    actions: &[RailAction::system(ACTION).answers(Answers::Mapping(&[
        ("action", Part::Metadata),
        ("reason", Part::Reason),
        ("blocked", Part::Blocked),
    ]))],
    section: Some(Section {
        key: "trend_micro",
        keys: &[
            Key::new(
                "v1_url",
                "URL",
                "https://api.xdr.trendmicro.com/v3.0/aiSecurity/applyGuardrails",
                "the endpoint, which is another in each region",
            ),
            Key::new(
                "api_key_env_var",
                "text",
                "",
                "the environment variable that holds the key",
            ),
            Key::new(
                "application_name",
                "text of letters, digits, `-` and `_`",
                "nemo-guardrails",
                "under which name the service counts the texts",
            ),
            Key::new(
                "detailed_response",
                "bool",
                "false",
                "whether the service says more about what it finds",
            ),
        ],
    }),
    needs: &[
        Need::Service("Trend Micro's AI Guard", "POST to `v1_url`"),
        Need::Environment("the one that `api_key_env_var` names", "the key"),
    ],
    messages: &[],
    build,
};

/// `rails.config.trend_micro`.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Settings {
    v1_url: String,
    api_key_env_var: Option<String>,
    application_name: String,
    detailed_response: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            v1_url: "https://api.xdr.trendmicro.com/v3.0/aiSecurity/applyGuardrails".to_owned(),
            api_key_env_var: None,
            application_name: "nemo-guardrails".to_owned(),
            detailed_response: false,
        }
    }
}

#[derive(Debug)]
struct TrendMicro {
    settings: Settings,
    service: Service,
    key: Option<Secret>,
}

fn build(context: &BuildContext<'_>) -> Built {
    let settings = context.config.rails.section::<Settings>("trend_micro");
    let settings = settings.map_err(|fault| vec![fault])?;
    let name = &settings.application_name;
    let is_allowed = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'_');
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(is_allowed) {
        return Err(vec![wrong_name(context)]);
    }
    let variable = settings.api_key_env_var.as_deref();
    Ok(Arc::new(TrendMicro {
        service: Service::new(context),
        key: variable.and_then(|variable| key(context, variable)),
        settings,
    }))
}

fn wrong_name(context: &BuildContext<'_>) -> Fault {
    let message = format!(
        "`rails.config.trend_micro.application_name` must be 1 to {LONGEST_NAME} letters, digits, `-` and `_`"
    );
    let rails = &context.config.rails;
    rails.section_fault("trend_micro.application_name", message)
}

impl TrendMicro {
    async fn check(&self, call: &Call<'_>) -> Result<Finding, Error> {
        let text = call.required("text")?;
        let Some(key) = &self.key else {
            return Ok(Finding::block().because(NO_KEY).with("action", "Block"));
        };
        let bearer = bearer(key);
        let detail = if self.settings.detailed_response {
            "return=representation"
        } else {
            "return=minimal"
        };
        let headers = [
            ("authorization", bearer.as_str()),
            ("tmv1-application-name", &self.settings.application_name),
            ("prefer", detail),
        ];
        let body = json!({"prompt": text});
        let answer = self
            .service
            .post(&self.settings.v1_url, &headers, &body)
            .await;
        let answer = answer.map_err(|error| call.failed(error))?;
        let reason = answer.get("reason").and_then(Value::as_str);
        let reason = reason.unwrap_or_default();
        match answer.get("action").and_then(Value::as_str) {
            Some("Block") => Ok(Finding::block().because(reason).with("action", "Block")),
            Some("Allow") => Ok(Finding::allow().because(reason).with("action", "Allow")),
            _ => Err(call.failed("AI Guard's answer has no `action` that is `Block` or `Allow`")),
        }
    }
}

impl Check for TrendMicro {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move { self.check(&call).await })
    }

    fn accept(&self, _: &Flow, _: &FlowReference) -> Result<(), Unusable> {
        if self.key.is_some() {
            return Ok(());
        }
        let message = match &self.settings.api_key_env_var {
            Some(variable) => {
                format!("Trend Micro needs a key: the environment variable `{variable}` is not set")
            }
            None => {
                "Trend Micro needs a key: `rails.config.trend_micro.api_key_env_var`".to_owned()
            }
        };
        Err(Unusable::Unready(vec![message]))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{Trial, faults_of},
        *,
    };
    use crate::{http::testing::json as answer, verdict::Outcome};

    const CONFIG: &str = "rails: {config: {trend_micro: {v1_url: 'URL/guard', api_key_env_var: KEY, application_name: shop}}}";

    #[tokio::test]
    async fn the_service_decides() {
        let answers = vec![
            answer(200, &json!({"action": "Allow", "reason": "none"})),
            answer(200, &json!({"action": "Block", "reason": "attack"})),
        ];
        let trial = Trial::new(&RAIL, CONFIG, &[("KEY", "secret")], answers).await;
        let verdict = trial.judge("trend ai guard output", "Hello").await;
        assert_eq!(verdict.unwrap(), Outcome::Allow);
        let verdict = trial.judge("trend ai guard input", "evil").await;
        let Outcome::Block(block) = verdict.unwrap() else {
            panic!("it passes");
        };
        assert_eq!(block.reason.as_deref(), Some("attack"));
        let received = trial.received();
        assert_eq!(received[1].json(), json!({"prompt": "evil"}));
        for header in [
            "authorization: Bearer secret",
            "tmv1-application-name: shop",
            "prefer: return=minimal",
        ] {
            assert!(received[1].head.contains(header), "{}", received[1].head);
        }
    }

    #[tokio::test]
    async fn failures_and_unclear_answers_are_no_verdict() {
        for (status, body) in [
            (500, json!({"action": "Allow", "reason": "x"})),
            (200, json!({})),
            (200, json!({"action": "allow", "reason": "x"})),
            (200, json!([])),
        ] {
            let environment = [("KEY", "secret")];
            let trial = Trial::new(&RAIL, CONFIG, &environment, vec![answer(status, &body)]).await;
            assert!(
                trial.judge("trend ai guard input", "x").await.is_err(),
                "{body}"
            );
        }
    }

    #[tokio::test]
    async fn without_a_key_it_is_not_ready() {
        let trial = Trial::new(&RAIL, CONFIG, &[], vec![]).await;
        let Err(Unusable::Unready(messages)) = trial.accept("trend ai guard input") else {
            panic!("it is accepted");
        };
        assert!(messages[0].contains("`KEY`"), "{messages:?}");
    }

    #[test]
    fn names_of_applications_are_checked() {
        for name in ["''", "'a b'", &"x".repeat(65)] {
            let config =
                format!("rails: {{config: {{trend_micro: {{application_name: {name}}}}}}}");
            assert_eq!(faults_of(&RAIL, &config).len(), 1, "{name}");
        }
    }
}
