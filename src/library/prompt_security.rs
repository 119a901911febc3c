//! `protect prompt`, `protect response`: Prompt Security judges a text, and may change it.
//!
//! - Service: the protect API at `PS_PROTECT_URL`.
//! - Environment: `PS_PROTECT_URL`, `PS_APP_ID`.
//! - On block: "I don't know the answer to that.". A service that fails, blocks.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde_json::{Value, json};

use super::{
    Answers, Bound, BuildContext, Built, Call, Check, Finding, Flow, INFORM_ANSWER_UNKNOWN, Need,
    Rail, RailAction, Unusable,
    service::{Service, key},
};
use crate::{config::FlowReference, error::Error, http::Secret, verdict::Place};

const ACTION: &str = "protect_text";
const URL: &str = "PS_PROTECT_URL";
const APP: &str = "PS_APP_ID";

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "prompt_security",
    about: "Blocks or changes texts as Prompt Security says",
    flows: &[
        Flow::new("protect prompt", Place::Input, ACTION)
            .arguments(&[("user_prompt", Bound::Variable("user_message"))])
            .rewrites()
            .says(INFORM_ANSWER_UNKNOWN)
            .exception(
                "PromptSecurityRailRailException",
                "Prompt not allowed. The prompt was blocked by the 'protect prompt' flow.",
            ),
        Flow::new("protect response", Place::Output, ACTION)
            .arguments(&[("bot_response", Bound::Variable("bot_message"))])
            .rewrites()
            .says(INFORM_ANSWER_UNKNOWN)
            .exception(
                "PromptSecurityRailException",
                "Response not allowed. The response was blocked by the 'protect response' flow.",
            ),
    ],
    actions: &[RailAction::system(ACTION).answers(Answers::Metadata)],
    section: None,
    needs: &[
        Need::Service("Prompt Security", "POST to `PS_PROTECT_URL`"),
        Need::Environment(URL, "the URL of the protect API"),
        Need::Environment(APP, "the application's id, which is its key"),
    ],
    messages: &[],
    build,
};

#[derive(Debug)]
struct PromptSecurity {
    service: Service,
    url: Option<String>,
    app: Option<Secret>,
}

fn build(context: &BuildContext<'_>) -> Built {
    Ok(Arc::new(PromptSecurity {
        service: Service::new(context),
        url: (context.environment)(URL).filter(|url| !url.is_empty()),
        app: key(context, APP),
    }))
}

impl PromptSecurity {
    async fn check(&self, call: &Call<'_>) -> Result<Finding, Error> {
        let missing = |variable| {
            call.failed(format!(
                "Prompt Security needs the environment variable `{variable}`"
            ))
        };
        let url = self.url.as_deref().ok_or_else(|| missing(URL))?;
        let app = self.app.as_ref().ok_or_else(|| missing(APP))?;
        let given = |name: &str| call.text(name).filter(|text| !text.is_empty());
        let (prompt, response) = match given("bot_response") {
            Some(response) => (None, Some(response)),
            None => (given("user_prompt"), None),
        };
        let (kind, target) = match (&prompt, &response) {
            (_, Some(_)) => ("response", "bot_message"),
            (Some(_), None) => ("prompt", "user_message"),
            (None, None) => return Err(call.failed("there is no text to protect")),
        };
        let body = json!({
            "prompt": prompt,
            "system_prompt": null,
            "response": response,
            "user": null,
        });
        let headers = [("app-id", app.expose())];
        let answer = self.service.post(url, &headers, &body).await;
        let answer = answer.map_err(|error| call.failed(error))?;
        let action = answer.pointer("/result/action").and_then(Value::as_str);
        let (finding, modified) = match action {
            Some("block") => (Finding::block(), None),
            Some("modify") => {
                let text = answer.pointer(&format!("/result/{kind}/modified_text"));
                // What is not there is as empty as what is taken away.
                let text = match text {
                    None | Some(Value::Null) => "",
                    Some(Value::String(text)) => text,
                    Some(_) => {
                        return Err(call.failed("Prompt Security's `modified_text` is no text"));
                    }
                };
                (Finding::rewrite(target, text), Some(text))
            }
            Some("log" | "allow" | "pass") => (Finding::allow(), None),
            _ => return Err(call.failed("Prompt Security's answer has no `action` that is known")),
        };
        let is_blocked = finding.is_block();
        Ok(finding
            .with("is_blocked", is_blocked)
            .with("is_modified", modified.is_some())
            .with("modified_text", modified))
    }
}

impl Check for PromptSecurity {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move { self.check(&call).await })
    }

    fn accept(&self, _: &Flow, _: &FlowReference) -> Result<(), Unusable> {
        let needed = [(URL, self.url.is_some()), (APP, self.app.is_some())];
        let missing = needed.iter().filter(|(_, is_set)| !is_set);
        let messages: Vec<_> = missing
            .map(|(variable, _)| {
                format!("Prompt Security needs the environment variable `{variable}`")
            })
            .collect();
        if messages.is_empty() {
            return Ok(());
        }
        Err(Unusable::Unready(messages))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Trial, *};
    use crate::{http::testing::json as answer, verdict::Outcome};

    const ENVIRONMENT: &[(&str, &str)] = &[(URL, "URL/api/protect"), (APP, "app-1")];

    async fn trial(status: u16, body: Value) -> Trial {
        Trial::new(&RAIL, "", ENVIRONMENT, vec![answer(status, &body)]).await
    }

    #[tokio::test]
    async fn texts_are_blocked_changed_or_logged() {
        let block = trial(200, json!({"result": {"action": "block"}})).await;
        let Outcome::Block(refusal) = block.judge("protect prompt", "evil").await.unwrap() else {
            panic!("it passes");
        };
        assert_eq!(
            refusal.message.as_deref(),
            Some("I don't know the answer to that.")
        );
        let received = block.received();
        assert!(received[0].head.contains("app-id: app-1"));
        assert_eq!(
            received[0].json(),
            json!({"prompt": "evil", "system_prompt": null, "response": null, "user": null})
        );

        let body =
            json!({"result": {"action": "modify", "response": {"modified_text": "my ****"}}});
        let modify = trial(200, body).await;
        assert_eq!(
            modify.judge("protect response", "my 4000").await.unwrap(),
            Outcome::Transform("my ****".to_owned())
        );
        assert_eq!(modify.received()[0].json()["response"], "my 4000");

        let log = trial(200, json!({"result": {"action": "log"}})).await;
        assert_eq!(
            log.judge("protect prompt", "hello").await.unwrap(),
            Outcome::Allow
        );
    }

    #[tokio::test]
    async fn failures_and_unclear_answers_are_no_verdict() {
        for (status, body) in [
            (500, json!({"result": {"action": "log"}})),
            (200, json!({})),
            (200, json!({"result": {"action": "perhaps"}})),
            (
                200,
                json!({"result": {"action": "modify", "prompt": {"modified_text": 3}}}),
            ),
        ] {
            let trial = trial(status, body.clone()).await;
            assert!(trial.judge("protect prompt", "x").await.is_err(), "{body}");
        }
    }

    #[tokio::test]
    async fn without_its_variables_it_is_not_ready() {
        let trial = Trial::new(&RAIL, "", &[], vec![]).await;
        let Err(Unusable::Unready(messages)) = trial.accept("protect prompt") else {
            panic!("it is accepted");
        };
        assert_eq!(messages.len(), 2);
    }
}
