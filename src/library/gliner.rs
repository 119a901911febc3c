//! `gliner detect pii on input/output/retrieval`, `gliner mask pii on input/output/retrieval`: a GLiNER model finds personal data.
//!
//! - Service: a GLiNER server: NVIDIA's, which has the shape of a chat completion, or a plain one.
//! - Config: `rails.config.gliner`.
//! - On block: the refusal to respond; masking rewrites the text. A service that fails, blocks.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answers, BuildContext, Built, Call, Check, Finding, Flow, Key, Need, REFUSE_TO_RESPOND, Rail,
    RailAction, Reach, Section,
    pii::{Span, Wanted, flows, mask},
    service::{Service, key},
    source::of_source,
};
use crate::{
    error::{Error, Fault},
    http::Secret,
};

const DETECT: &str = "gliner_detect_pii";
const MASK: &str = "gliner_mask_pii";

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "gliner",
    about: "Blocks or masks the personal data that a GLiNER model finds",
    flows: &flows(
        (
            DETECT,
            [
                "gliner detect pii on input",
                "gliner detect pii on output",
                "gliner detect pii on retrieval",
            ],
        ),
        REFUSE_TO_RESPOND,
        (
            MASK,
            [
                "gliner mask pii on input",
                "gliner mask pii on output",
                "gliner mask pii on retrieval",
            ],
        ),
    ),
    actions: &[
        RailAction::new(DETECT).answers(Answers::Found),
        RailAction::new(MASK).answers(Answers::Text),
    ],
    section: Some(Section {
        key: "gliner",
        keys: &[
            Key::new(
                "server_endpoint",
                "URL",
                "http://localhost:8000/v1/chat/completions",
                "the endpoint; one that ends in `/v1/chat/completions` is asked as a chat model",
            ),
            Key::new(
                "model",
                "text",
                "nvidia/gliner-pii",
                "the model that a chat endpoint is asked for",
            ),
            Key::new(
                "api_key_env_var",
                "text",
                "",
                "the environment variable that holds the key",
            ),
            Key::new(
                "threshold",
                "number, 0 to 1",
                "0.5",
                "how sure the model has to be",
            ),
            Key::new(
                "chunk_length",
                "int",
                "384",
                "how much text the model reads at once",
            ),
            Key::new("overlap", "int", "128", "how much of it is read again"),
            Key::new(
                "flat_ner",
                "bool",
                "false",
                "whether what is found may not overlap",
            ),
            Key::new(
                "input.entities",
                "list of texts",
                "[]",
                "the kinds of data to find in what comes in; none: those of the server",
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
    needs: &[Need::Service(
        "a GLiNER server",
        "POST to `server_endpoint`",
    )],
    messages: &[],
    build,
};

/// `rails.config.gliner`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    server_endpoint: String,
    model: String,
    api_key_env_var: Option<String>,
    threshold: f64,
    chunk_length: i64,
    overlap: i64,
    flat_ner: bool,
    input: Wanted,
    output: Wanted,
    retrieval: Wanted,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            server_endpoint: "http://localhost:8000/v1/chat/completions".to_owned(),
            model: "nvidia/gliner-pii".to_owned(),
            api_key_env_var: None,
            threshold: 0.5,
            chunk_length: 384,
            overlap: 128,
            flat_ner: false,
            input: Wanted::default(),
            output: Wanted::default(),
            retrieval: Wanted::default(),
        }
    }
}

#[derive(Debug)]
struct Gliner {
    settings: Settings,
    service: Service,
    key: Option<Secret>,
}

fn build(context: &BuildContext<'_>) -> Built {
    let settings = context.config.rails.section::<Settings>("gliner");
    let settings = settings.map_err(|fault| vec![fault])?;
    let faults = faults(context, &settings);
    if !faults.is_empty() {
        return Err(faults);
    }
    let variable = settings.api_key_env_var.as_deref();
    Ok(Arc::new(Gliner {
        service: Service::new(context),
        key: variable.and_then(|variable| key(context, variable)),
        settings,
    }))
}

fn faults(context: &BuildContext<'_>, settings: &Settings) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fault = |key: &str, message: &str| {
        let message = format!("`rails.config.gliner.{key}` {message}");
        let rails = &context.config.rails;
        faults.push(rails.section_fault(&format!("gliner.{key}"), message));
    };
    if !(0.0..=1.0).contains(&settings.threshold) {
        fault("threshold", "must be between 0 and 1");
    }
    if settings.chunk_length <= 0 {
        fault("chunk_length", "must be greater than 0");
    }
    if settings.overlap < 0 {
        fault("overlap", "must not be negative");
    }
    if settings.overlap >= settings.chunk_length {
        fault("overlap", "must be less than `chunk_length`");
    }
    faults
}

impl Gliner {
    async fn check(&self, call: &Call<'_>) -> Result<Finding, Error> {
        let settings = &self.settings;
        let (wanted, target) = of_source(
            call,
            [&settings.input, &settings.output, &settings.retrieval],
        )?;
        let text = call.required("text")?;
        let answer = self.ask(call, &text, wanted).await?;
        let unclear = |what: &str| call.failed(format!("GLiNER's answer {what}"));
        let entities = match answer.get("entities") {
            Some(Value::Array(entities)) => Some(entities),
            None | Some(Value::Null) => None,
            Some(_) => return Err(unclear("has `entities` that are no list")),
        };
        let total = match answer.get("total_entities") {
            None | Some(Value::Null) => None,
            Some(total) => Some(
                total
                    .as_f64()
                    .ok_or_else(|| unclear("has a `total_entities` that is no number"))?,
            ),
        };
        if call.action() == DETECT {
            if entities.is_none() && total.is_none() {
                return Err(unclear("has neither `entities` nor `total_entities`"));
            }
            let has_pii = total.is_some_and(|total| total > 0.0)
                || entities.is_some_and(|entities| !entities.is_empty());
            return Ok(Finding::block_if(has_pii).with("has_pii", has_pii));
        }
        let entities = entities.ok_or_else(|| unclear("has no `entities` to mask"))?;
        if entities.is_empty() && total.is_some_and(|total| total > 0.0) {
            return Err(unclear("counts `total_entities` that it does not list"));
        }
        let length = text.chars().count();
        let spans = entities.iter().map(|entity| {
            span(entity, length).ok_or_else(|| unclear("has an entity without label or place"))
        });
        let masked = mask(&text, spans.collect::<Result<_, _>>()?, ('[', ']'));
        let finding = if masked == text {
            Finding::allow()
        } else {
            Finding::rewrite(target, masked.as_str())
        };
        let source = call.required("source")?;
        Ok(finding
            .with("source", &*source)
            .with("text", &*text)
            .with("masked_text", masked))
    }

    /// What the model found: an object with `entities` and `total_entities`.
    async fn ask(&self, call: &Call<'_>, text: &str, wanted: &Wanted) -> Result<Value, Error> {
        let settings = &self.settings;
        let endpoint = &settings.server_endpoint;
        let is_chat = endpoint
            .trim_end_matches('/')
            .ends_with("/v1/chat/completions");
        let mut body = json!({
            "threshold": settings.threshold,
            "chunk_length": settings.chunk_length,
            "overlap": settings.overlap,
            "flat_ner": settings.flat_ner,
        });
        if is_chat {
            body["model"] = json!(settings.model);
            body["messages"] = json!([{"role": "user", "content": text}]);
        } else {
            body["text"] = json!(text);
        }
        if !wanted.entities.is_empty() {
            body["labels"] = json!(wanted.entities);
        }
        let answer = self
            .service
            .post_as(endpoint, self.key.as_ref(), &body)
            .await;
        let answer = answer.map_err(|error| call.failed(error))?;
        let found = if is_chat {
            let content = answer.pointer("/choices/0/message/content");
            let content = content.and_then(Value::as_str);
            let content = content.ok_or_else(|| call.failed("GLiNER's answer has no message"))?;
            serde_json::from_str(content).map_err(|error| call.failed(error))?
        } else {
            answer
        };
        if !found.is_object() {
            return Err(call.failed("GLiNER's answer is no object"));
        }
        Ok(found)
    }
}

/// The span of `entity` in a text of `length` characters, in the words of either server.
fn span(entity: &Value, length: usize) -> Option<Span> {
    let field = |names: [&str; 2]| names.into_iter().find_map(|name| entity.get(name));
    let offset = |names| usize::try_from(field(names)?.as_u64()?).ok();
    let start = offset(["start", "start_position"])?;
    let end = offset(["end", "end_position"])?;
    let label = field(["label", "suggested_label"])?.as_str()?;
    (start < end && start < length).then(|| Span {
        start,
        end,
        label: label.to_uppercase(),
    })
}

impl Check for Gliner {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move { self.check(&call).await })
    }

    fn reach(&self, _: &Flow) -> Reach {
        Reach::Span
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{Trial, faults_of},
        *,
    };
    use crate::{http::testing::json as answer, verdict::Outcome};

    const PLAIN: &str = "rails: {config: {gliner: {server_endpoint: 'URL/v1/extract', threshold: 0.6, input: {entities: [email]}}}}";
    const CHAT: &str = "rails: {config: {gliner: {server_endpoint: 'URL/v1/chat/completions', api_key_env_var: KEY}}}";

    fn chat(content: &str) -> Value {
        json!({"choices": [{"message": {"role": "assistant", "content": content}}]})
    }

    #[tokio::test]
    async fn both_servers_are_understood() {
        let found = json!({
            "entities": [{"value": "Ann", "suggested_label": "first_name", "start_position": 5, "end_position": 8}],
            "total_entities": 1,
        });
        let answers = vec![
            answer(200, &found),
            answer(200, &found),
            answer(200, &json!({"entities": [], "total_entities": 0})),
        ];
        let trial = Trial::new(&RAIL, PLAIN, &[], answers).await;
        let verdict = trial.judge("gliner detect pii on input", "I am Ann").await;
        assert!(matches!(verdict, Ok(Outcome::Block(_))));
        assert_eq!(
            trial
                .judge("gliner mask pii on output", "I am Ann")
                .await
                .unwrap(),
            Outcome::Transform("I am [FIRST_NAME]".to_owned())
        );
        let verdict = trial.judge("gliner detect pii on input", "Hello").await;
        assert_eq!(verdict.unwrap(), Outcome::Allow);
        assert_eq!(
            trial.received()[0].json(),
            json!({
                "text": "I am Ann", "labels": ["email"], "threshold": 0.6, "chunk_length": 384, "overlap": 128,
                "flat_ner": false,
            })
        );

        let content = r#"{"entities": [{"text": "Ann", "label": "name", "start": 5, "end": 8}]}"#;
        let answers = vec![answer(200, &chat(content))];
        let trial = Trial::new(&RAIL, CHAT, &[("KEY", "secret")], answers).await;
        assert_eq!(
            trial
                .judge("gliner mask pii on input", "I am Ann")
                .await
                .unwrap(),
            Outcome::Transform("I am [NAME]".to_owned())
        );
        let received = trial.received();
        assert!(received[0].head.contains("authorization: Bearer secret"));
        assert_eq!(received[0].json()["messages"][0]["content"], "I am Ann");
        assert_eq!(received[0].json()["model"], "nvidia/gliner-pii");
    }

    #[tokio::test]
    async fn an_answer_that_says_nothing_is_no_verdict() {
        for body in [
            json!({}),
            json!([]),
            json!({"entities": 3}),
            json!({"total_entities": "x"}),
        ] {
            for line in ["gliner detect pii on input", "gliner mask pii on input"] {
                let trial = Trial::new(&RAIL, PLAIN, &[], vec![answer(200, &body)]).await;
                assert!(trial.judge(line, "Ann").await.is_err(), "{line} {body}");
            }
        }
        for entity in [
            json!({"label": "name"}),
            json!({"label": "name", "start": 9, "end": 12}),
            json!(1),
        ] {
            let body = json!({"entities": [entity]});
            let trial = Trial::new(&RAIL, PLAIN, &[], vec![answer(200, &body)]).await;
            assert!(
                trial
                    .judge("gliner mask pii on input", "Ann")
                    .await
                    .is_err(),
                "{body}"
            );
        }
        for body in [json!({}), chat("no JSON"), chat("[]")] {
            let trial = Trial::new(&RAIL, CHAT, &[], vec![answer(200, &body)]).await;
            assert!(
                trial
                    .judge("gliner detect pii on input", "x")
                    .await
                    .is_err(),
                "{body}"
            );
        }
        let trial = Trial::new(&RAIL, PLAIN, &[], vec![answer(500, &json!({}))]).await;
        assert!(
            trial
                .judge("gliner detect pii on input", "x")
                .await
                .is_err()
        );
    }

    #[test]
    fn settings_are_checked() {
        for (section, word) in [
            ("{threshold: 1.5}", "threshold"),
            ("{chunk_length: 0, overlap: -1}", "chunk_length"),
            ("{overlap: 384}", "overlap"),
            ("{treshold: 0.5}", "treshold"),
            ("{input: {entites: [a]}}", "entites"),
        ] {
            let config = format!("rails: {{config: {{gliner: {section}}}}}");
            let faults = faults_of(&RAIL, &config);
            assert!(faults[0].to_string().contains(word), "{faults:?}");
        }
    }
}
