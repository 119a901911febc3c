//! `alignscore check facts`: AlignScore says how well an answer follows from the chunks that the knowledge base found.
//!
//! - Runs only in turns that set `$check_facts` to true.
//! - Service: an AlignScore server.
//! - Config: `rails.config.fact_checking`; to fall back on a chat model, a prompt `self_check_facts`.
//! - On block, below a score of 0.5: "I don't know the answer to that.". Without chunks there is nothing to check: the answer
//!   passes. A service that fails, blocks, unless a chat model is asked instead.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Answers, BuildContext, Built, Call, Check, Finding, Flow, INFORM_ANSWER_UNKNOWN, Key, Need,
    Rail, RailAction, Section, Unusable,
    chat::{Chat, given, is_empty},
    self_check_facts,
    service::Service,
};
use crate::{config::FlowReference, error::Error, verdict::Place};

const CHECK: &str = "alignscore_check_facts";
const REQUEST: &str = "alignscore request";

/// Where a server of one's own listens, for the action that only asks.
const DEFAULT_ENDPOINT: &str = "http://localhost:5000/alignscore_large";

/// The lowest score with which an answer passes.
const THRESHOLD: f64 = 0.5;

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "alignscore",
    about: "Has AlignScore rate how well an answer follows from the retrieved chunks",
    flows: &[Flow::new("alignscore check facts", Place::Output, CHECK)
        .only_if("check_facts")
        .needs_variable("relevant_chunks")
        .says(INFORM_ANSWER_UNKNOWN)
        .exception(
            "AlignScoreCheckFactRailException",
            "Fact check failed. The accuracy of the previous answer was below the required threshold.",
        )],
    actions: &[RailAction::new(CHECK).answers(Answers::Entry("accuracy")), RailAction::new(REQUEST)],
    section: Some(Section {
        key: "fact_checking",
        keys: &[
            Key::new("parameters.endpoint", "URL", "", "the server"),
            Key::new(
                "fallback_to_self_check",
                "bool",
                "false",
                "whether a chat model is asked where the server gives no score",
            ),
        ],
    }),
    needs: &[
        Need::Service("AlignScore", "POST to `parameters.endpoint`"),
        Need::Prompt("self_check_facts, to fall back on"),
        Need::Model("alignscore_check_facts, else main, to fall back on"),
    ],
    messages: &[],
    build,
};

/// `rails.config.fact_checking`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Settings {
    parameters: Map<String, Value>,
    fallback_to_self_check: bool,
}

#[derive(Debug)]
struct AlignScore {
    chat: Chat,
    endpoint: Option<String>,
    falls_back: bool,
    service: Service,
}

fn build(context: &BuildContext<'_>) -> Built {
    let settings: Settings = context
        .config
        .rails
        .section("fact_checking")
        .map_err(|fault| vec![fault])?;
    let endpoint = settings.parameters.get("endpoint").and_then(Value::as_str);
    Ok(Arc::new(AlignScore {
        chat: Chat::new(context),
        endpoint: endpoint.map(str::to_owned),
        falls_back: settings.fallback_to_self_check,
        service: Service::new(context),
    }))
}

impl AlignScore {
    async fn check(&self, call: &Call<'_>) -> Result<Finding, Error> {
        let evidence = given(call, "relevant_chunks");
        let response = given(call, "bot_message");
        if is_empty(&evidence) {
            return Ok(finding(1.0));
        }
        let endpoint = self.endpoint.as_deref();
        let endpoint = endpoint.ok_or_else(|| call.failed(NO_ENDPOINT))?;
        match self.score(call, endpoint, &evidence, &response).await? {
            Value::Null if self.falls_back => {
                let accuracy =
                    self_check_facts::accuracy(&self.chat, call, &[CHECK], evidence, response);
                accuracy.await.map(finding)
            }
            Value::Null => Err(call.failed("AlignScore gave no score")),
            score => match score.as_f64() {
                Some(score) => Ok(finding(score)),
                None => Err(call.failed("AlignScore's score is no number")),
            },
        }
    }

    /// The score; nothing where the service does not say.
    async fn score(
        &self,
        call: &Call<'_>,
        endpoint: &str,
        evidence: &Value,
        response: &Value,
    ) -> Result<Value, Error> {
        let body = json!({"evidence": evidence, "claim": response});
        match self.service.post(endpoint, &[], &body).await {
            Ok(answer) => Ok(answer.get("alignscore").cloned().unwrap_or_default()),
            Err(error) if error.status().is_some() => {
                tracing::warn!(%error, "AlignScore failed");
                Ok(Value::Null)
            }
            Err(error) => Err(call.failed(error)),
        }
    }

    async fn request(&self, call: &Call<'_>) -> Result<Finding, Error> {
        let evidence = call.argument("evidence").unwrap_or_default();
        if is_empty(&evidence) {
            return Ok(Finding::of_value(1.0));
        }
        let endpoint = call.text("api_url");
        let endpoint = endpoint.as_deref().unwrap_or(DEFAULT_ENDPOINT);
        let response = call.argument("response").unwrap_or_default();
        let score = self.score(call, endpoint, &evidence, &response).await?;
        Ok(Finding::of_value(score))
    }
}

const NO_ENDPOINT: &str =
    "AlignScore has no server: set `rails.config.fact_checking.parameters.endpoint`";

fn finding(accuracy: f64) -> Finding {
    Finding::block_if(accuracy < THRESHOLD).with("accuracy", accuracy)
}

impl Check for AlignScore {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move {
            match call.action() {
                REQUEST => self.request(&call).await,
                _ => self.check(&call).await,
            }
        })
    }

    fn accept(&self, _: &Flow, _: &FlowReference) -> Result<(), Unusable> {
        if self.endpoint.is_some() {
            Ok(())
        } else {
            Err(Unusable::Unready(vec![NO_ENDPOINT.to_owned()]))
        }
    }

    /// The chunks count too.
    fn is_steady(&self, _: &Flow) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{Script, Trial},
        *,
    };
    use crate::http::testing::json as answer;

    /// The accuracy that is found where the service answers this; with a `script`, a chat model may be asked instead.
    async fn run(script: Option<&Script>, status: u16, body: Value) -> Result<f64, Error> {
        let falls_back = script.is_some();
        let config = format!(
            "rails: {{config: {{fact_checking: {{parameters: {{endpoint: 'URL/align'}}, fallback_to_self_check: {falls_back}}}}}}}\nprompts: [{{task: self_check_facts, content: '{{{{ evidence }}}}|{{{{ response }}}}'}}]"
        );
        let models = script
            .map(|script| script.of(&["main"]))
            .unwrap_or_default();
        let trial =
            Trial::with_models(&RAIL, &config, &[], vec![answer(status, &body)], models).await;
        let variables = json!({"relevant_chunks": "lamp", "bot_message": "red"});
        let found = trial.run(CHECK, json!({}), variables).await;
        assert_eq!(
            trial.received()[0].json(),
            json!({"evidence": "lamp", "claim": "red"})
        );
        let found = found?;
        let accuracy = found.metadata["accuracy"].as_f64().unwrap();
        assert_eq!(found.is_block(), accuracy < THRESHOLD);
        Ok(accuracy)
    }

    #[tokio::test]
    async fn the_score_decides() {
        assert_eq!(
            run(None, 200, json!({"alignscore": 0.93})).await.unwrap(),
            0.93
        );
        assert_eq!(
            run(None, 200, json!({"alignscore": 0.49})).await.unwrap(),
            0.49
        );
    }

    #[tokio::test]
    async fn without_a_score_there_is_no_verdict() {
        for (status, body) in [
            (500, json!({})),
            (200, json!({})),
            (200, json!({"alignscore": "1"})),
            (200, json!([])),
        ] {
            assert!(run(None, status, body.clone()).await.is_err(), "{body}");
        }
    }

    #[tokio::test]
    async fn a_chat_model_may_be_asked_instead() {
        let script = Script::new(["yes", "no", "maybe"]);
        for accuracy in [1.0, 0.0, 0.0] {
            assert_eq!(run(Some(&script), 500, json!({})).await.unwrap(), accuracy);
        }
        assert_eq!(script.asked()[0].messages[0].content.text(), "lamp|red");
        assert_eq!(
            run(Some(&script), 200, json!({"alignscore": 0.7}))
                .await
                .unwrap(),
            0.7
        );
    }

    #[tokio::test]
    async fn without_chunks_the_answer_passes() {
        let trial = Trial::new(&RAIL, "rails: {}", &[], Vec::new()).await;
        let found = trial
            .run(CHECK, json!({}), json!({"bot_message": "red"}))
            .await
            .unwrap();
        assert!(!found.is_block());
        assert!(matches!(
            trial.accept("alignscore check facts"),
            Err(Unusable::Unready(_))
        ));
    }
}
