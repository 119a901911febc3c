//! `detect pii on input/output/retrieval`, `mask pii on input/output/retrieval`: Private AI finds personal data.
//!
//! - Service: Private AI's text endpoint, in its cloud or a container of your own.
//! - Config: `rails.config.privateai`.
//! - On block: "I don't know the answer to that."; masking rewrites the text. A service that fails, blocks.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answers, BuildContext, Built, Call, Check, Finding, Flow, INFORM_ANSWER_UNKNOWN, Key, Need,
    Rail, RailAction, Reach, Section,
    pii::flows,
    service::{Service, key},
    source::of_source,
};
use crate::{error::Error, http::Secret};

const DETECT: &str = "detect_pii";
const MASK: &str = "mask_pii";

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "privateai",
    about: "Blocks or masks the personal data that Private AI finds",
    flows: &flows(
        (
            DETECT,
            [
                "detect pii on input",
                "detect pii on output",
                "detect pii on retrieval",
            ],
        ),
        INFORM_ANSWER_UNKNOWN,
        (
            MASK,
            [
                "mask pii on input",
                "mask pii on output",
                "mask pii on retrieval",
            ],
        ),
    ),
    actions: &[
        RailAction::new(DETECT).answers(Answers::Found),
        RailAction::new(MASK).answers(Answers::Text),
    ],
    section: Some(Section {
        key: "privateai",
        keys: &[
            Key::new(
                "server_endpoint",
                "URL",
                "http://localhost:8080/process/text",
                "the endpoint",
            ),
            Key::new(
                "input.entities",
                "list of texts",
                "[]",
                "the kinds of data to find in what comes in; none: all",
            ),
            Key::new(
                "output.entities",
                "list of texts",
                "[]",
                "the same for what goes out",
            ),
            Key::new(
                "retrieval.entities",
                "list of texts",
                "[]",
                "the same for chunks",
            ),
        ],
    }),
    needs: &[
        Need::Service("Private AI", "POST to `server_endpoint`"),
        Need::Environment("PAI_API_KEY", "the key, which its cloud asks for"),
    ],
    messages: &[],
    build,
};

/// `rails.config.privateai`.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Settings {
    server_endpoint: String,
    input: Options,
    output: Options,
    retrieval: Options,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            server_endpoint: "http://localhost:8080/process/text".to_owned(),
            input: Options::default(),
            output: Options::default(),
            retrieval: Options::default(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Options {
    entities: Vec<String>,
}

#[derive(Debug)]
struct PrivateAi {
    settings: Settings,
    service: Service,
    key: Option<Secret>,
}

fn build(context: &BuildContext<'_>) -> Built {
    let settings = context.config.rails.section("privateai");
    Ok(Arc::new(PrivateAi {
        settings: settings.map_err(|fault| vec![fault])?,
        service: Service::new(context),
        key: key(context, "PAI_API_KEY"),
    }))
}

impl PrivateAi {
    async fn check(&self, call: &Call<'_>) -> Result<Finding, Error> {
        let settings = &self.settings;
        let (options, target) = of_source(
            call,
            [&settings.input, &settings.output, &settings.retrieval],
        )?;
        let text = call.required("text")?;
        let answer = self.ask(call, &text, options).await?;
        let results = answer.as_array().filter(|results| !results.is_empty());
        let results = results.ok_or_else(|| call.failed("Private AI's answer is no list"))?;
        if call.action() == MASK {
            let masked = results
                .first()
                .and_then(|result| result.get("processed_text"));
            let masked = masked.and_then(Value::as_str);
            let masked =
                masked.ok_or_else(|| call.failed("Private AI's answer has no `processed_text`"))?;
            return Ok(if masked == text {
                Finding::allow()
            } else {
                Finding::rewrite(target, masked)
            });
        }
        let mut has_pii = false;
        for result in results {
            let present = result.get("entities_present").and_then(Value::as_bool);
            has_pii |= present
                .ok_or_else(|| call.failed("Private AI's answer has no `entities_present`"))?;
        }
        Ok(Finding::block_if(has_pii).with("has_pii", has_pii))
    }

    async fn ask(&self, call: &Call<'_>, text: &str, options: &Options) -> Result<Value, Error> {
        let endpoint = &self.settings.server_endpoint;
        let mut body = json!({
            "text": [text],
            "link_batch": false,
            "entity_detection": {"accuracy": "high_automatic", "return_entity": false},
        });
        if !options.entities.is_empty() {
            body["entity_detection"]["entity_types"] =
                json!([{"type": "ENABLE", "value": options.entities}]);
        }
        let mut headers = Vec::new();
        match &self.key {
            Some(key) => headers.push(("x-api-key", key.expose())),
            None if endpoint.contains("//api.private-ai.com/") => {
                return Err(call.failed("Private AI's cloud needs a key: set `PAI_API_KEY`"));
            }
            None => {}
        }
        let answer = self.service.post(endpoint, &headers, &body).await;
        answer.map_err(|error| call.failed(error))
    }
}

impl Check for PrivateAi {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move { self.check(&call).await })
    }

    fn reach(&self, _: &Flow) -> Reach {
        Reach::Span
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::testing::Trial, *};
    use crate::{http::testing::json as answer, verdict::Outcome};

    const CONFIG: &str = "rails: {config: {privateai: {server_endpoint: 'URL/process/text', input: {entities: [NAME]}}}}";

    #[tokio::test]
    async fn personal_data_is_blocked_or_masked() {
        let answers = vec![
            answer(
                200,
                &json!([{"entities_present": true, "processed_text": "I am [NAME]"}]),
            ),
            answer(
                200,
                &json!([{"entities_present": true, "processed_text": "I am [NAME]"}]),
            ),
            answer(
                200,
                &json!([{"entities_present": false, "processed_text": "Hello"}]),
            ),
        ];
        let trial = Trial::new(&RAIL, CONFIG, &[("PAI_API_KEY", "secret")], answers).await;
        let blocked = trial
            .judge("detect pii on input", "I am Ann")
            .await
            .unwrap();
        let Outcome::Block(block) = blocked else {
            panic!("it passes");
        };
        assert_eq!(
            block.message.as_deref(),
            Some("I don't know the answer to that.")
        );
        assert_eq!(
            trial.judge("mask pii on output", "I am Ann").await.unwrap(),
            Outcome::Transform("I am [NAME]".to_owned())
        );
        assert_eq!(
            trial.judge("detect pii on input", "Hello").await.unwrap(),
            Outcome::Allow
        );
        let received = trial.received();
        assert!(
            received[0].head.contains("x-api-key: secret"),
            "{}",
            received[0].head
        );
        assert_eq!(
            received[0].json()["entity_detection"]["entity_types"][0]["value"],
            json!(["NAME"])
        );
    }

    #[tokio::test]
    async fn an_answer_that_says_nothing_is_no_verdict() {
        for body in [json!([]), json!([{}]), json!({"entities_present": false})] {
            let trial = Trial::new(&RAIL, CONFIG, &[], vec![answer(200, &body)]).await;
            assert!(
                trial.judge("detect pii on input", "x").await.is_err(),
                "{body}"
            );
        }
    }
}
