//! `patronus api check output`: Patronus' evaluators judge an answer.
//!
//! - Service: Patronus' Evaluate API.
//! - Config: `rails.config.patronus.output`.
//! - On block: "I don't know the answer to that.". A service that fails, blocks.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    Answers, BuildContext, Built, Call, Check, Finding, Flow, INFORM_ANSWER_UNKNOWN, Key, Need,
    Rail, RailAction, Section, Unusable,
    chat::given,
    service::{Service, key},
};
use crate::{config::FlowReference, error::Error, http::Secret, verdict::Place};

const ACTION: &str = "patronus_api_check_output";
const KEY: &str = "PATRONUS_API_KEY";
const URL: &str = "https://api.patronus.ai/v1/evaluate";

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "patronus_api",
    about: "Has Patronus' evaluators judge an answer",
    flows: &[
        Flow::new("patronus api check output", Place::Output, ACTION)
            .needs_variable("relevant_chunks")
            .says(INFORM_ANSWER_UNKNOWN)
            .result("patronus_response")
            .colang1(
                r#"define subflow patronus api check output
  $patronus_response = execute PatronusApiCheckOutputAction
  $evaluation_passed = $patronus_response.metadata["pass"]

  if $patronus_response.is_blocked
    bot inform answer unknown
    stop
"#,
            ),
    ],
    actions: &[RailAction::new(ACTION).answers(Answers::Metadata)],
    section: Some(Section {
        key: "patronus",
        keys: &[
            Key::new(
                "output.evaluate_config.success_strategy",
                "`all_pass` or `any_pass`",
                "all_pass",
                "whether all evaluators must pass the answer, or one is enough",
            ),
            Key::new(
                "output.evaluate_config.params",
                "mapping",
                "{}",
                "what the service is sent beside the texts; `evaluators` must be there",
            ),
            Key::new("api_url", "URL", URL, "the endpoint"),
        ],
    }),
    needs: &[
        Need::Service("Patronus", "POST to `api_url`"),
        Need::Environment(KEY, "the key"),
    ],
    messages: &[],
    build,
};

/// `rails.config.patronus`.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Settings {
    api_url: String,
    output: Option<Evaluation>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            api_url: URL.to_owned(),
            output: None,
        }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Evaluation {
    evaluate_config: EvaluateConfig,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct EvaluateConfig {
    success_strategy: Option<Strategy>,
    params: Map<String, Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Strategy {
    AllPass,
    AnyPass,
}

#[derive(Debug)]
struct PatronusApi {
    url: String,
    evaluation: EvaluateConfig,
    service: Service,
    key: Option<Secret>,
}

fn build(context: &BuildContext<'_>) -> Built {
    let settings: Settings = context
        .config
        .rails
        .section("patronus")
        .map_err(|fault| vec![fault])?;
    Ok(Arc::new(PatronusApi {
        url: settings.api_url,
        evaluation: settings.output.unwrap_or_default().evaluate_config,
        service: Service::new(context),
        key: key(context, KEY),
    }))
}

impl PatronusApi {
    /// What keeps the service from being called.
    fn missing(&self) -> Option<String> {
        if self.key.is_none() {
            return Some(format!("Patronus needs a key: set `{KEY}`"));
        }
        let evaluators = self.evaluation.params.get("evaluators");
        let names = |entry: &Value| entry.get("evaluator").is_some();
        match evaluators.and_then(Value::as_array) {
            Some(list) if list.iter().all(names) => None,
            _ => Some(
                "`rails.config.patronus.output.evaluate_config.params` needs `evaluators`: a list, each with its `evaluator`"
                    .to_owned(),
            ),
        }
    }

    async fn check(&self, call: &Call<'_>) -> Result<Finding, Error> {
        if let Some(missing) = self.missing() {
            return Err(call.failed(missing));
        }
        let mut body = self.evaluation.params.clone();
        for (name, variable) in [
            ("evaluated_model_input", "user_message"),
            ("evaluated_model_output", "bot_message"),
            ("evaluated_model_retrieved_context", "relevant_chunks"),
        ] {
            body.insert(name.to_owned(), given(call, variable));
        }
        let key = self.key.as_ref().map(Secret::expose).unwrap_or_default();
        let headers = [("X-API-KEY", key)];
        let answer = self.service.post(&self.url, &headers, &body.into()).await;
        let answer = match answer {
            Ok(answer) => answer,
            // The service's own failure is a verdict: the answer did not pass.
            Err(error)
                if error
                    .status()
                    .is_some_and(|status| !status.is_client_error()) =>
            {
                tracing::warn!(%error, "Patronus failed");
                return Ok(finding(false));
            }
            Err(error) => return Err(call.failed(error)),
        };
        Ok(finding(self.passes(&answer)))
    }

    fn passes(&self, answer: &Value) -> bool {
        let results = answer.get("results").and_then(Value::as_array);
        let Some(results) = results.filter(|results| !results.is_empty()) else {
            return false;
        };
        let passes = |result: &Value| result["evaluation_result"]["pass"] == Value::Bool(true);
        match self.evaluation.success_strategy {
            Some(Strategy::AnyPass) => results.iter().any(passes),
            _ => results.iter().all(passes),
        }
    }
}

fn finding(passes: bool) -> Finding {
    Finding::block_if(!passes).with("pass", passes)
}

impl Check for PatronusApi {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move { self.check(&call).await })
    }

    fn accept(&self, _: &Flow, _: &FlowReference) -> Result<(), Unusable> {
        match self.missing() {
            Some(message) => Err(Unusable::Unready(vec![message])),
            None => Ok(()),
        }
    }

    /// The chunks count too.
    fn is_steady(&self, _: &Flow) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::testing::Trial, *};
    use crate::http::testing::json as answer;

    fn config(strategy: &str) -> String {
        format!(
            "rails: {{config: {{patronus: {{api_url: 'URL/v1/evaluate', output: {{evaluate_config: {{success_strategy: {strategy}, params: {{evaluators: [{{evaluator: lynx}}]}}}}}}}}}}}}"
        )
    }

    async fn run(strategy: &str, status: u16, body: Value) -> Result<bool, Error> {
        let answers = vec![answer(status, &body)];
        let trial = Trial::new(&RAIL, &config(strategy), &[(KEY, "secret")], answers).await;
        let variables = json!({"user_message": "q", "bot_message": "a"});
        let found = trial.run(ACTION, json!({}), variables).await;
        let received = trial.received();
        assert!(
            received[0].head.contains("x-api-key: secret"),
            "{}",
            received[0].head
        );
        let expected = json!({"evaluators": [{"evaluator": "lynx"}], "evaluated_model_input": "q", "evaluated_model_output": "a", "evaluated_model_retrieved_context": null});
        assert_eq!(received[0].json(), expected);
        found.map(|found| found.is_block())
    }

    #[tokio::test]
    async fn the_strategy_says_how_many_must_pass() {
        let passes = |pass: bool| json!({"evaluation_result": {"pass": pass}});
        let mixed = json!({"results": [passes(true), passes(false)]});
        assert!(run("all_pass", 200, mixed.clone()).await.unwrap());
        assert!(!run("any_pass", 200, mixed).await.unwrap());
        let all = json!({"results": [passes(true), passes(true)]});
        assert!(!run("all_pass", 200, all).await.unwrap());
        for nonsense in [
            json!({}),
            json!({"results": []}),
            json!({"results": [{}]}),
            json!([]),
        ] {
            assert!(
                run("all_pass", 200, nonsense.clone()).await.unwrap(),
                "{nonsense}"
            );
        }
    }

    #[tokio::test]
    async fn a_failure_blocks() {
        assert!(run("any_pass", 500, json!({})).await.unwrap());
        assert!(run("any_pass", 422, json!({})).await.is_err());
    }

    #[tokio::test]
    async fn a_key_and_evaluators_are_needed() {
        let trial = Trial::new(&RAIL, &config("all_pass"), &[], Vec::new()).await;
        assert!(matches!(
            trial.accept("patronus api check output"),
            Err(Unusable::Unready(_))
        ));
        let trial = Trial::new(
            &RAIL,
            "rails: {config: {patronus: {}}}",
            &[(KEY, "k")],
            Vec::new(),
        )
        .await;
        assert!(trial.accept("patronus api check output").is_err());
        assert!(trial.run(ACTION, json!({}), json!({})).await.is_err());
    }
}
