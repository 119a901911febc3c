//! `fiddler user safety`, `fiddler bot safety`, `fiddler bot faithfulness`: Fiddler scores the safety of a text, or how true an answer
//! is to the retrieved chunks.
//!
//! - Service: Fiddler Guardrails, POST to `/v3/guardrails/ftl-safety` and `/v3/guardrails/ftl-response-faithfulness`.
//! - Config: `rails.config.fiddler`.
//! - Environment: `FIDDLER_API_KEY`.
//! - On block: the refusal to respond. A service that fails, blocks. An empty text passes unasked.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answers, BuildContext, Built, Call, Check, Finding, Flow, Key, Need, Rail, RailAction, Section,
    Unusable,
    service::{RequiredKey, Service, bearer},
};
use crate::{config::FlowReference, error::Error, verdict::Place};

const USER: &str = "call_fiddler_safety_user";
const BOT: &str = "call_fiddler_safety_bot";
const FAITHFULNESS: &str = "call_fiddler_faithfulness";
const KEY: &str = "FIDDLER_API_KEY";

const EXCEPTION: &str = "JailbreakDetectionRailException";
const JAILBREAK: &str = "Jailbreak attempt detected. The user's prompt was identified as an attempted jailbreak. Please ensure your prompt adheres to the guidelines.";
const HALLUCINATION: &str = "Hallucination Detected. The output was a hallucination.";

/// The scores of a text's safety; the greatest counts.
const SAFETY: &[&str] = &[
    "fdl_harmful",
    "fdl_violent",
    "fdl_unethical",
    "fdl_illegal",
    "fdl_sexual",
    "fdl_racist",
    "fdl_jailbreaking",
    "fdl_harassing",
    "fdl_hateful",
    "fdl_sexist",
    "fdl_roleplaying",
];

const FAITHFUL: &str = "fdl_faithful_score";

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "fiddler",
    about: "Has Fiddler score the safety of a text, or the faithfulness of an answer",
    flows: &[
        Flow::new("fiddler user safety", Place::Input, USER)
            .result("is_jailbreak")
            .exception(EXCEPTION, JAILBREAK),
        Flow::new("fiddler bot safety", Place::Output, BOT)
            .result("is_jailbreak")
            .exception(EXCEPTION, JAILBREAK),
        Flow::new("fiddler bot faithfulness", Place::Output, FAITHFULNESS)
            .needs_variable("relevant_chunks")
            .result("is_faithful")
            .exception(EXCEPTION, HALLUCINATION),
    ],
    actions: &[
        RailAction::system(USER)
            .earlier("call fiddler safety on user message")
            .answers(Answers::Found),
        RailAction::system(BOT)
            .earlier("call fiddler safety on bot message")
            .answers(Answers::Found),
        RailAction::system(FAITHFULNESS)
            .earlier("call fiddler faithfulness")
            .answers(Answers::Found),
    ],
    section: Some(Section {
        key: "fiddler",
        keys: &[
            Key::new(
                "fiddler_endpoint",
                "URL",
                "http://localhost:8080/process/text",
                "the service, before `/v3/guardrails`",
            ),
            Key::new(
                "safety_threshold",
                "number",
                "0.1",
                "the score from which on a text is blocked",
            ),
            Key::new(
                "faithfulness_threshold",
                "number",
                "0.05",
                "the greatest score at which an answer is blocked",
            ),
        ],
    }),
    needs: &[
        Need::Service("Fiddler Guardrails", "POST below `fiddler_endpoint`"),
        Need::Environment(KEY, "the key"),
    ],
    messages: &[],
    build,
};

/// `rails.config.fiddler`.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Settings {
    fiddler_endpoint: String,
    safety_threshold: f64,
    faithfulness_threshold: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            fiddler_endpoint: "http://localhost:8080/process/text".to_owned(),
            safety_threshold: 0.1,
            faithfulness_threshold: 0.05,
        }
    }
}

#[derive(Debug)]
struct Fiddler {
    settings: Settings,
    service: Service,
    key: RequiredKey,
}

fn build(context: &BuildContext<'_>) -> Built {
    let settings = context.config.rails.section("fiddler");
    Ok(Arc::new(Fiddler {
        settings: settings.map_err(|fault| vec![fault])?,
        service: Service::new(context),
        key: RequiredKey::new(context, KEY),
    }))
}

/// The text `name`, as an argument or else from the context; empty where there is no such variable, null where it is nothing.
fn text(call: &Call<'_>, name: &str) -> Result<Value, Error> {
    match call.argument(name).or_else(|| call.variable_or_null(name)) {
        None => Ok("".into()),
        Some(value) if value.is_string() || value.is_null() => Ok(value.into_owned()),
        Some(_) => Err(call.failed(format!("`{name}` is no text"))),
    }
}

impl Fiddler {
    async fn check(&self, call: &Call<'_>) -> Result<Finding, Error> {
        let name = match call.action() {
            USER => "user_message",
            _ => "bot_message",
        };
        let text = text(call, name)?;
        if text == "" || text.is_null() {
            return Ok(Finding::allow().with("blocked", false));
        }
        let is_blocked = match call.action() {
            FAITHFULNESS => self.is_unfaithful(call, &text).await?,
            _ => self.is_unsafe(call, &text).await?,
        };
        Ok(Finding::block_if(is_blocked).with("blocked", is_blocked))
    }

    async fn is_unsafe(&self, call: &Call<'_>, text: &Value) -> Result<bool, Error> {
        let answer = self
            .ask(call, "ftl-safety", &json!({"input": text}))
            .await?;
        let mut greatest = None;
        for name in SAFETY {
            let Some(score) = answer.get(*name) else {
                continue;
            };
            let score = score.as_f64();
            let score = score.ok_or_else(|| call.failed(format!("`{name}` is no number")))?;
            // A score that is missing counts as 0.
            greatest = Some(score.max(greatest.unwrap_or(0.0)));
        }
        let greatest =
            greatest.ok_or_else(|| call.failed("Fiddler's answer has no score of safety"))?;
        Ok(greatest >= self.settings.safety_threshold)
    }

    async fn is_unfaithful(&self, call: &Call<'_>, answer: &Value) -> Result<bool, Error> {
        let chunks = self::text(call, "relevant_chunks")?;
        let data = json!({"context": chunks, "response": answer});
        let answer = self.ask(call, "ftl-response-faithfulness", &data).await?;
        let score = answer.get(FAITHFUL).and_then(Value::as_f64);
        let score = score
            .ok_or_else(|| call.failed(format!("Fiddler's answer has no number `{FAITHFUL}`")))?;
        Ok(score <= self.settings.faithfulness_threshold)
    }

    async fn ask(&self, call: &Call<'_>, guardrail: &str, data: &Value) -> Result<Value, Error> {
        let authorization = bearer(self.key.get(call)?);
        let url = format!(
            "{}/v3/guardrails/{guardrail}",
            self.settings.fiddler_endpoint
        );
        let headers = [("Authorization", &*authorization)];
        let body = json!({"data": data});
        let answer = self.service.post(&url, &headers, &body).await;
        answer.map_err(|error| call.failed(error))
    }
}

impl Check for Fiddler {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move { self.check(&call).await })
    }

    fn accept(&self, _: &Flow, _: &FlowReference) -> Result<(), Unusable> {
        self.key.accept()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Trial, *};
    use crate::{http::testing::json as answer, verdict::Outcome};

    const CONFIG: &str = "rails: {config: {fiddler: {fiddler_endpoint: 'URL/fid'}}}";
    const ENVIRONMENT: &[(&str, &str)] = &[(KEY, "secret")];

    async fn passes(line: &str, status: u16, body: &Value) -> Option<bool> {
        let trial = Trial::new(&RAIL, CONFIG, ENVIRONMENT, vec![answer(status, body)]).await;
        let outcome = trial.judge(line, "x").await;
        let received = trial.received();
        assert!(received[0].head.contains("authorization: Bearer secret"));
        outcome.ok().map(|outcome| outcome == Outcome::Allow)
    }

    #[tokio::test]
    async fn the_greatest_score_of_safety_counts() {
        for line in ["fiddler user safety", "fiddler bot safety"] {
            for (body, expected) in [
                (json!({"fdl_harmful": 0.01, "fdl_sexist": 0.09}), Some(true)),
                (json!({"fdl_harmful": 0.01, "fdl_sexist": 0.1}), Some(false)),
                (json!({"fdl_harmful": "low"}), None),
                (json!({"fdl_harmful": null}), None),
                (json!({"fdl_faithful_score": 0.9}), None),
                (json!([]), None),
            ] {
                assert_eq!(passes(line, 200, &body).await, expected, "{line} {body}");
            }
            assert_eq!(passes(line, 503, &json!({"fdl_harmful": 0})).await, None);
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_not_faithful_is_blocked() {
        for (body, expected) in [
            (json!({"fdl_faithful_score": 0.06}), Some(true)),
            (json!({"fdl_faithful_score": 0.05}), Some(false)),
            (json!({}), None),
        ] {
            let line = "fiddler bot faithfulness";
            assert_eq!(passes(line, 200, &body).await, expected, "{body}");
        }
    }

    #[tokio::test]
    async fn an_empty_text_is_not_asked_about() {
        let trial = Trial::new(&RAIL, CONFIG, ENVIRONMENT, vec![]).await;
        let outcome = trial.judge("fiddler user safety", "").await;
        assert_eq!(outcome.unwrap(), Outcome::Allow);
        assert_eq!(trial.received().len(), 0);
    }
}
