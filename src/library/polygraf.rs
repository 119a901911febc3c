//! `polygraf detect pii on input/output/retrieval`, `polygraf mask pii on input/output/retrieval`: Polygraf finds personal data.
//!
//! - Service: Polygraf's text detection, in its cloud or a server of your own.
//! - Config: `rails.config.polygraf`.
//! - On block: "I don't know the answer to that."; masking rewrites the text. Where the service fails or gives an answer that
//!   cannot be trusted, detection blocks, and masking leaves `<REDACTED>` of the whole text.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answers, BuildContext, Built, Call, Check, Finding, Flow, INFORM_ANSWER_UNKNOWN, Key, Need,
    Rail, RailAction, Reach, Section,
    pii::{Span, Wanted, flows, mask},
    service::{Service, key},
    source::of_source,
};
use crate::{error::Error, http::Secret};

const DETECT: &str = "polygraf_detect_pii";
const MASK: &str = "polygraf_mask_pii";

/// What is left of a text that cannot be masked.
const REDACTED: &str = "<REDACTED>";

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "polygraf",
    about: "Blocks or masks the personal data that Polygraf finds",
    flows: &flows(
        (
            DETECT,
            [
                "polygraf detect pii on input",
                "polygraf detect pii on output",
                "polygraf detect pii on retrieval",
            ],
        ),
        INFORM_ANSWER_UNKNOWN,
        (
            MASK,
            [
                "polygraf mask pii on input",
                "polygraf mask pii on output",
                "polygraf mask pii on retrieval",
            ],
        ),
    ),
    actions: &[
        RailAction::new(DETECT).answers(Answers::Found),
        RailAction::new(MASK).answers(Answers::Text),
    ],
    section: Some(Section {
        key: "polygraf",
        keys: &[
            Key::new(
                "server_endpoint",
                "URL",
                "http://localhost:8000/v1/pii/text-detect",
                "the endpoint",
            ),
            Key::new(
                "input.entities",
                "list of texts",
                "[]",
                "the kinds of data that count in what comes in; none: all",
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
        Need::Service("Polygraf", "POST to `server_endpoint`"),
        Need::Environment("POLYGRAF_API_KEY", "the key, which its cloud asks for"),
    ],
    messages: &[],
    build,
};

/// `rails.config.polygraf`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    server_endpoint: String,
    input: Wanted,
    output: Wanted,
    retrieval: Wanted,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            server_endpoint: "http://localhost:8000/v1/pii/text-detect".to_owned(),
            input: Wanted::default(),
            output: Wanted::default(),
            retrieval: Wanted::default(),
        }
    }
}

#[derive(Debug)]
struct Polygraf {
    settings: Settings,
    service: Service,
    key: Option<Secret>,
}

fn build(context: &BuildContext<'_>) -> Built {
    let settings = context.config.rails.section("polygraf");
    Ok(Arc::new(Polygraf {
        settings: settings.map_err(|fault| vec![fault])?,
        service: Service::new(context),
        key: key(context, "POLYGRAF_API_KEY"),
    }))
}

impl Polygraf {
    async fn check(&self, call: &Call<'_>) -> Result<Finding, Error> {
        let settings = &self.settings;
        let (wanted, target) = of_source(
            call,
            [&settings.input, &settings.output, &settings.retrieval],
        )?;
        let text = call.required("text")?;
        let spans = self.find(&text, wanted).await;
        if call.action() == DETECT {
            let has_pii = spans.is_none_or(|spans| !spans.is_empty());
            return Ok(Finding::block_if(has_pii).with("has_pii", has_pii));
        }
        let masked = match spans {
            Some(spans) => mask(&text, spans, ('<', '>')),
            None => REDACTED.to_owned(),
        };
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

    /// Where there is data of the wanted kinds; none where that cannot be told.
    async fn find(&self, text: &str, wanted: &Wanted) -> Option<Vec<Span>> {
        let body = json!({
            "text": text,
            "detect_pid": true,
            "pid_granularity": 3,
            "aggregate_entities": true,
        });
        let answer = self
            .service
            .post_as(&self.settings.server_endpoint, self.key.as_ref(), &body)
            .await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(%error, "Polygraf failed");
                return None;
            }
        };
        let spans = spans(&answer, text.chars().count(), &wanted.entities);
        if spans.is_none() {
            tracing::warn!("Polygraf's answer cannot be trusted");
        }
        spans
    }
}

/// The spans of the wanted kinds in `answer`: a list of entities, or an object with such a list. None where it is neither, or where
/// an entity that may be wanted has no place in a text of `length` characters.
fn spans(answer: &Value, length: usize, wanted: &[String]) -> Option<Vec<Span>> {
    let entities = match answer {
        Value::Array(entities) => entities.as_slice(),
        Value::Object(object) => match object.get("entities")? {
            Value::Array(entities) => entities.as_slice(),
            Value::Null => &[],
            _ => return None,
        },
        _ => return None,
    };
    let mut spans = Vec::with_capacity(entities.len());
    for entity in entities {
        let kind = entity.get("entity_type")?.as_str()?;
        if kind.is_empty() {
            return None;
        }
        if !wanted.is_empty() && !wanted.iter().any(|wanted| wanted == kind) {
            continue;
        }
        let offset = |name: &str| usize::try_from(entity.get(name)?.as_u64()?).ok();
        let (start, end) = (offset("start")?, offset("end")?);
        if start >= end || end > length {
            return None;
        }
        spans.push(Span {
            start,
            end,
            label: kind.to_owned(),
        });
    }
    Some(spans)
}

impl Check for Polygraf {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move { self.check(&call).await })
    }

    fn reach(&self, _: &Flow) -> Reach {
        Reach::Span
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Trial, *};
    use crate::{http::testing::json as answer, verdict::Outcome};

    const CONFIG: &str =
        "rails: {config: {polygraf: {server_endpoint: 'URL/pii', input: {entities: [PERSON]}}}}";

    async fn trial(status: u16, body: Value) -> Trial {
        let environment = [("POLYGRAF_API_KEY", "secret")];
        Trial::new(&RAIL, CONFIG, &environment, vec![answer(status, &body)]).await
    }

    #[tokio::test]
    async fn wanted_data_is_blocked_or_masked() {
        let found = json!({"entities": [
            {"entity_type": "PERSON", "start": 5, "end": 8},
            {"entity_type": "CITY", "start": 12, "end": 16},
        ]});
        let detect = trial(200, found.clone()).await;
        let verdict = detect
            .judge("polygraf detect pii on input", "I am Ann of Rome")
            .await;
        let Outcome::Block(block) = verdict.unwrap() else {
            panic!("it passes");
        };
        assert_eq!(
            block.message.as_deref(),
            Some("I don't know the answer to that.")
        );
        let received = detect.received();
        assert!(received[0].head.contains("authorization: Bearer secret"));
        assert_eq!(received[0].json()["pid_granularity"], 3);
        for (line, masked) in [
            ("polygraf mask pii on input", "I am <PERSON> of Rome"),
            ("polygraf mask pii on output", "I am <PERSON> of <CITY>"),
        ] {
            let mask = trial(200, found.clone()).await;
            assert_eq!(
                mask.judge(line, "I am Ann of Rome").await.unwrap(),
                Outcome::Transform(masked.to_owned())
            );
        }
        let other = trial(200, json!([{"entity_type": "CITY", "start": 3, "end": 7}])).await;
        let verdict = other.judge("polygraf detect pii on input", "in Rome").await;
        assert_eq!(verdict.unwrap(), Outcome::Allow);
    }

    #[tokio::test]
    async fn what_cannot_be_trusted_is_blocked_or_redacted() {
        for (status, body) in [
            (500, json!([])),
            (200, json!("no list")),
            (200, json!({"found": []})),
            (200, json!(["x"])),
            (200, json!([{"start": 0, "end": 1}])),
            (
                200,
                json!([{"entity_type": "PERSON", "start": true, "end": 1}]),
            ),
            (
                200,
                json!([{"entity_type": "PERSON", "start": 0, "end": 9}]),
            ),
        ] {
            let detect = trial(status, body.clone()).await;
            let verdict = detect.judge("polygraf detect pii on input", "Ann").await;
            assert!(matches!(verdict, Ok(Outcome::Block(_))), "{body}");
            let mask = trial(status, body).await;
            assert_eq!(
                mask.judge("polygraf mask pii on input", "Ann")
                    .await
                    .unwrap(),
                Outcome::Transform(REDACTED.to_owned())
            );
        }
    }
}
