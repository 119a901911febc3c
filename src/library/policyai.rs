//! `policyai moderation on input`, `policyai moderation on output`: PolicyAI judges a text by the policies of a tag.
//!
//! - Service: PolicyAI's decisions.
//! - Environment: `POLICYAI_API_KEY`, `POLICYAI_BASE_URL`, `POLICYAI_TAG_NAME`.
//! - On block: the refusal to respond. A service that fails, blocks; a single policy that it could not evaluate does not.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde_json::{Value, json};

use super::{
    Answers, Bound, BuildContext, Built, Call, Check, Finding, Flow, Need, Part, Rail, RailAction,
    Unusable,
    service::{Service, key},
};
use crate::{config::FlowReference, error::Error, http::Secret, verdict::Place};

const ACTION: &str = "call_policyai_api";
const KEY: &str = "POLICYAI_API_KEY";
const URL: &str = "POLICYAI_BASE_URL";
const TAG: &str = "POLICYAI_TAG_NAME";

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "policyai",
    about: "Blocks what violates a policy, by PolicyAI",
    flows: &[
        Flow::new("policyai moderation on input", Place::Input, ACTION)
            .arguments(&[("text", Bound::Variable("user_message"))])
            .result("result")
            .exception(
                "PolicyAIModerationRailException",
                "$result.metadata[\"exception_message\"]",
            ),
        Flow::new("policyai moderation on output", Place::Output, ACTION)
            .arguments(&[("text", Bound::Variable("bot_message"))])
            .result("result")
            .exception(
                "PolicyAIModerationRailException",
                "$result.metadata[\"exception_message\"]",
            ),
    ],
    actions: &[RailAction::system(ACTION).answers(Answers::Mapping(&[
        ("assessment", Part::Metadata),
        ("category", Part::Metadata),
        ("severity", Part::Metadata),
        ("reason", Part::Reason),
        ("exception_message", Part::Metadata),
    ]))],
    section: None,
    needs: &[
        Need::Service("PolicyAI", "POST `/policyai/v1/decisions/evaluate/TAG`"),
        Need::Environment(KEY, "the key"),
        Need::Environment(URL, "the service's URL, where it is not PolicyAI's own"),
        Need::Environment(TAG, "the tag whose policies count, else `prod`"),
    ],
    messages: &[],
    build,
};

#[derive(Debug)]
struct PolicyAi {
    service: Service,
    url: String,
    tag: String,
    key: Option<Secret>,
}

fn build(context: &BuildContext<'_>) -> Built {
    let url = (context.environment)(URL);
    let url = url.as_deref().unwrap_or("https://api.musubilabs.ai");
    Ok(Arc::new(PolicyAi {
        service: Service::new(context),
        url: format!(
            "{}/policyai/v1/decisions/evaluate",
            url.trim_end_matches('/')
        ),
        tag: (context.environment)(TAG).unwrap_or_else(|| "prod".to_owned()),
        key: key(context, KEY),
    }))
}

impl PolicyAi {
    async fn check(&self, call: &Call<'_>) -> Result<Finding, Error> {
        let key = self.key.as_ref();
        let key = key.ok_or_else(|| call.failed(no_key()))?;
        let text = call.required("text")?;
        let tag = call.text("tag_name");
        let tag = tag.as_deref().unwrap_or(&self.tag);
        let body = json!({"content": [{"type": "TEXT", "content": text}]});
        let headers = [("musubi-api-key", key.expose())];
        let url = format!("{}/{tag}", self.url);
        let answer = self.service.post(&url, &headers, &body).await;
        let answer = answer.map_err(|error| call.failed(error))?;
        let results = answer.get("data").and_then(Value::as_array);
        let results = results.filter(|results| !results.is_empty());
        let results = results.ok_or_else(|| {
            call.failed(format!(
                "PolicyAI has no results: has the tag `{tag}` policies?"
            ))
        })?;
        finding(results).map_err(|message| call.failed(message))
    }
}

/// The verdict of the policies' results: the first that is violated decides. A policy that could not be evaluated does not count,
/// unless none could.
fn finding(results: &[Value]) -> Result<Finding, &'static str> {
    let text = |result: &Value, name: &str| result.get(name)?.as_str().map(str::to_owned);
    let done: Vec<&Value> = results
        .iter()
        .filter(|result| result.get("status").and_then(Value::as_str) != Some("failed"))
        .collect();
    if done.is_empty() {
        return Err("PolicyAI could evaluate no policy");
    }
    let assessment = |result: &Value| text(result, "assessment");
    let violated = done
        .iter()
        .find(|result| assessment(result).as_deref() == Some("UNSAFE"));
    let (finding, assessment, category, severity, reason) = match violated {
        Some(result) => (
            Finding::block(),
            "UNSAFE",
            text(result, "category").unwrap_or_else(|| "Unknown".to_owned()),
            match result.get("severity") {
                Some(severity) if severity.as_f64().is_some_and(|number| number > 0.0) => {
                    severity.clone()
                }
                _ => json!(0),
            },
            text(result, "reason").unwrap_or_else(|| "Policy violation detected".to_owned()),
        ),
        None => {
            let is_safe = |result: &&Value| assessment(result).as_deref() == Some("SAFE");
            if !done.iter().all(is_safe) {
                return Err("a result of PolicyAI is neither `SAFE` nor `UNSAFE`");
            }
            let reason = "Content passed all policy checks".to_owned();
            (
                Finding::allow(),
                "SAFE",
                "Safe".to_owned(),
                json!(0),
                reason,
            )
        }
    };
    let message = format!("PolicyAI moderation triggered. Content violated policy: {category}");
    Ok(finding
        .because(reason)
        .with("assessment", assessment)
        .with("category", category)
        .with("severity", severity)
        .with("exception_message", message))
}

fn no_key() -> String {
    format!("PolicyAI needs a key: the environment variable `{KEY}` is not set")
}

impl Check for PolicyAi {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move { self.check(&call).await })
    }

    fn accept(&self, _: &Flow, _: &FlowReference) -> Result<(), Unusable> {
        match self.key {
            Some(_) => Ok(()),
            None => Err(Unusable::Unready(vec![no_key()])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Trial, *};
    use crate::{http::testing::json as answer, verdict::Outcome};

    const ENVIRONMENT: &[(&str, &str)] = &[(KEY, "secret"), (URL, "URL/"), (TAG, "shop")];

    async fn trial(status: u16, body: Value) -> Trial {
        Trial::new(&RAIL, "", ENVIRONMENT, vec![answer(status, &body)]).await
    }

    #[tokio::test]
    async fn one_violated_policy_blocks() {
        let body = json!({"data": [
            {"status": "failed", "assessment": "UNSAFE", "reason": "not this"},
            {"assessment": "SAFE"},
            {"assessment": "UNSAFE", "category": "Hate", "severity": 2, "reason": "slur"},
        ]});
        let blocks = trial(200, body).await;
        let verdict = blocks.judge("policyai moderation on input", "evil").await;
        let Outcome::Block(block) = verdict.unwrap() else {
            panic!("it passes");
        };
        assert_eq!(block.reason.as_deref(), Some("slur"));
        let received = blocks.received();
        let path = "POST /policyai/v1/decisions/evaluate/shop ";
        assert!(received[0].head.starts_with(path), "{}", received[0].head);
        assert!(received[0].head.contains("musubi-api-key: secret"));
        assert_eq!(
            received[0].json(),
            json!({"content": [{"type": "TEXT", "content": "evil"}]})
        );

        let body = json!({"data": [{"status": "failed"}, {"assessment": "SAFE"}]});
        let passes = trial(200, body).await;
        let verdict = passes.judge("policyai moderation on output", "Hello").await;
        assert_eq!(verdict.unwrap(), Outcome::Allow);
    }

    #[tokio::test]
    async fn failures_and_unclear_answers_are_no_verdict() {
        for (status, body) in [
            (500, json!({"data": [{"assessment": "SAFE"}]})),
            (200, json!({})),
            (200, json!({"data": []})),
            (200, json!({"data": [{"status": "failed"}]})),
            (200, json!({"data": [{"status": "ok"}]})),
            (
                200,
                json!({"data": [{"assessment": "SAFE"}, {"assessment": "not SAFE"}]}),
            ),
        ] {
            let trial = trial(status, body.clone()).await;
            let verdict = trial.judge("policyai moderation on input", "x").await;
            assert!(verdict.is_err(), "{body}");
        }
        let trial = Trial::new(&RAIL, "", &[], vec![]).await;
        assert!(trial.accept("policyai moderation on input").is_err());
    }
}
