//! `cleanlab trustworthiness`: Cleanlab's Trustworthy Language Model scores how far an answer can be trusted.
//!
//! - Service: POST to `/v0/trustworthy_llm/get_confidence_score`, as Cleanlab's own client does. Where it is busy or fails, it is
//!   asked three times more.
//! - Environment: `CLEANLAB_API_KEY`; `CLEANLAB_API_BASE_URL` for another address.
//! - On block: the answer is shown with a caution below it. A service that fails, blocks.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde_json::{Value, json};

use super::{
    Answers, Bound, BuildContext, Built, Call, Check, Finding, Flow, Need, Rail, RailAction,
    Unusable,
    service::{RequiredKey, Service},
};
use crate::{config::FlowReference, error::Error, verdict::Place};

const CALL: &str = "call_cleanlab_api";
const KEY: &str = "CLEANLAB_API_KEY";
const BASE: &str = "CLEANLAB_API_BASE_URL";
const DEFAULT_BASE: &str = "https://api.cleanlab.ai/api";
const UNTRUSTWORTHY: &str = "response untrustworthy";

/// The lowest score that passes.
const THRESHOLD: f64 = 0.6;

/// How often a service that is busy or fails is asked again.
const RETRIES: u32 = 3;

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "cleanlab",
    about: "Has Cleanlab score how far an answer can be trusted",
    flows: &[Flow::new("cleanlab trustworthiness", Place::Output, CALL)
        .arguments(&[
            ("user_message", Bound::Variable("user_message")),
            ("bot_message", Bound::Variable("bot_message")),
        ])
        .result("result")
        .says(UNTRUSTWORTHY)
        .exception(
            "CleanlabTrustworthinessRailException",
            "Trustworthiness score is below threshold",
        )],
    actions: &[RailAction::system(CALL)
        .earlier("call cleanlab api")
        .answers(Answers::Metadata)],
    section: None,
    needs: &[
        Need::Service(
            "Cleanlab TLM",
            "POST to `/v0/trustworthy_llm/get_confidence_score`",
        ),
        Need::Environment(KEY, "the key"),
        Need::Environment(BASE, "another address than Cleanlab's"),
    ],
    messages: &[(
        UNTRUSTWORTHY,
        "$bot_message \nCAUTION: THIS ANSWER HAS BEEN FLAGGED AS POTENTIALLY UNTRUSTWORTHY",
    )],
    build,
};

#[derive(Debug)]
struct Cleanlab {
    service: Service,
    url: String,
    key: RequiredKey,
}

fn build(context: &BuildContext<'_>) -> Built {
    let base = (context.environment)(BASE).filter(|base| !base.is_empty());
    let base = base.unwrap_or_else(|| DEFAULT_BASE.to_owned());
    let base = base.trim_end_matches('/');
    Ok(Arc::new(Cleanlab {
        service: Service::new(context).retries(RETRIES),
        url: format!("{base}/v0/trustworthy_llm/get_confidence_score"),
        key: RequiredKey::new(context, KEY),
    }))
}

impl Cleanlab {
    async fn score(&self, call: &Call<'_>) -> Result<Finding, Error> {
        let key = self.key.get(call)?;
        let text = |name: &str| call.text(name).or_else(|| call.variable_text(name));
        let answer = text("bot_message").filter(|text| !text.is_empty());
        let (Some(question), Some(answer)) = (text("user_message"), answer) else {
            return Err(call.failed("there is no question, or no answer, to score"));
        };
        let authorization = format!("bearer {}", key.expose());
        let headers = [
            ("Authorization", &*authorization),
            ("Client-Type", "python-api"),
        ];
        let body = json!({
            "prompt": question,
            "response": {"response": answer},
            "quality": "medium",
            "options": {"model": "gpt-4o-mini"},
        });
        let scored = self.service.post(&self.url, &headers, &body).await;
        let scored = scored.map_err(|error| call.failed(error))?;
        let score = scored.get("confidence_score").and_then(Value::as_f64);
        let score = score
            .ok_or_else(|| call.failed("Cleanlab's answer has no number `confidence_score`"))?;
        Ok(Finding::block_if(score < THRESHOLD).with("trustworthiness_score", score))
    }
}

impl Check for Cleanlab {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move { self.score(&call).await })
    }

    fn accept(&self, _: &Flow, _: &FlowReference) -> Result<(), Unusable> {
        self.key.accept()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Trial, *};
    use crate::{http::testing::json as answer, verdict::Outcome};

    const ENVIRONMENT: &[(&str, &str)] = &[(KEY, "secret"), (BASE, "URL/api")];
    const LINE: &str = "cleanlab trustworthiness";

    async fn judged(body: &Value) -> Result<Outcome, Error> {
        let trial = Trial::new(&RAIL, "", ENVIRONMENT, vec![answer(200, body)]).await;
        let outcome = trial.judge_answer(LINE, "42", "What?").await;
        let received = trial.received();
        let head = &received[0].head;
        assert!(head.starts_with("POST /api/v0/trustworthy_llm/get_confidence_score "));
        assert!(head.contains("authorization: bearer secret"), "{head}");
        let sent = received[0].json();
        assert_eq!(sent["prompt"], "What?");
        assert_eq!(sent["response"], json!({"response": "42"}));
        outcome
    }

    #[tokio::test]
    async fn an_answer_that_cannot_be_trusted_is_shown_with_a_caution() {
        let trusted = judged(&json!({"confidence_score": 0.6})).await.unwrap();
        assert_eq!(trusted, Outcome::Allow);
        let outcome = judged(&json!({"confidence_score": 0.59})).await.unwrap();
        let Outcome::Block(block) = outcome else {
            panic!("it passes");
        };
        assert_eq!(
            block.message.as_deref(),
            Some("42 \nCAUTION: THIS ANSWER HAS BEEN FLAGGED AS POTENTIALLY UNTRUSTWORTHY")
        );
    }

    #[tokio::test]
    async fn an_answer_that_says_nothing_is_no_verdict() {
        for body in [json!({}), json!({"confidence_score": null}), json!([0.9])] {
            assert!(judged(&body).await.is_err(), "{body}");
        }
        let trial = Trial::new(&RAIL, "", ENVIRONMENT, vec![answer(401, &json!({}))]).await;
        assert!(trial.judge_answer(LINE, "42", "What?").await.is_err());
        assert_eq!(trial.received().len(), 1);
    }
}
