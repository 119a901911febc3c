//! `activefence moderation on input`, `… on output`, `… on input detailed`: ActiveFence scores the risks of a text.
//!
//! - Service: ActiveFence's ActiveScore.
//! - Environment: `ACTIVEFENCE_API_KEY`; `ACTIVEFENCE_API_URL` for another endpoint, such as a proxy.
//! - On block: the refusal to respond; the detailed rail has its own for each kind of risk. A service that fails, blocks.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
};

use futures_core::future::BoxFuture;
use serde_json::{Map, Value, json};

use super::{
    Answers, Bound, BuildContext, Built, Call, Check, Finding, Flow, Need, Part, REFUSE_TO_RESPOND,
    Rail, RailAction, Unusable,
    service::{RequiredKey, Service},
};
use crate::{config::FlowReference, error::Error, verdict::Place};

const CALL: &str = "call_activefence_api";
const KEY: &str = "ACTIVEFENCE_API_KEY";
const URL: &str = "ACTIVEFENCE_API_URL";
const DEFAULT_URL: &str = "https://apis.activefence.com/sync/v3/content/text";

/// The greatest risk that passes where kinds are not looked at.
const THRESHOLD: f64 = 0.7;

const EXCEPTION: &str = "ActiveFenceModerationRailException";
const HARMFUL: &str = "inform cannot engage in abusive or harmful behavior";
const SELF_HARM: &str = "inform cannot engage in self harm behavior";
const INAPPROPRIATE: &str = "inform cannot engage with inappropriate content";
const SENSITIVE: &str = "inform cannot engage with sensitive content";

/// A kind of risk that the detailed rail looks at; the first that is too great counts.
struct Risk {
    kind: &'static str,
    /// The greatest score that passes.
    threshold: f64,
    /// How the reason names it.
    name: &'static str,
    /// The intent of the refusal.
    refusal: &'static str,
}

const RISKS: &[Risk] = &[
    risk(
        "abusive_or_harmful.harassment_or_bullying",
        0.8,
        "harassment or bullying",
        HARMFUL,
    ),
    risk("abusive_or_harmful.profanity", 0.7, "profanity", HARMFUL),
    risk(
        "abusive_or_harmful.hate_speech",
        0.6,
        "hate speech",
        HARMFUL,
    ),
    risk(
        "abusive_or_harmful.child_grooming",
        0.4,
        "child grooming",
        HARMFUL,
    ),
    risk(
        "abusive_or_harmful.general_violence",
        0.7,
        "general violence",
        HARMFUL,
    ),
    risk("self_harm.general", 0.8, "self harm", SELF_HARM),
    risk("adult_content.general", 0.3, "adult content", INAPPROPRIATE),
    risk("privacy_violation.pii", 0.8, "privacy violation", SENSITIVE),
];

const fn risk(
    kind: &'static str,
    threshold: f64,
    name: &'static str,
    refusal: &'static str,
) -> Risk {
    Risk {
        kind,
        threshold,
        name,
        refusal,
    }
}

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "activefence",
    about: "Asks ActiveFence how great the risks of a text are",
    flows: &[
        Flow::new("activefence moderation on input", Place::Input, CALL)
            .arguments(&[
                ("text", Bound::Variable("user_message")),
                ("threshold_mode", Bound::Literal("simple")),
            ])
            .result("result")
            .exception(EXCEPTION, "$result.reason"),
        Flow::new("activefence moderation on output", Place::Output, CALL)
            .arguments(&[
                ("text", Bound::Variable("bot_message")),
                ("threshold_mode", Bound::Literal("simple")),
            ])
            .result("result")
            .exception(EXCEPTION, "$result.reason"),
        Flow::new(
            "activefence moderation on input detailed",
            Place::Input,
            CALL,
        )
        .arguments(&[
            ("text", Bound::Variable("user_message")),
            ("threshold_mode", Bound::Literal("detailed")),
        ])
        .result("result")
        .says_by(refusal)
        .colang1(DETAILED),
    ],
    actions: &[RailAction::system(CALL)
        .earlier("call activefence api")
        .answers(Answers::Mapping(&[
            ("max_risk_score", Part::Metadata),
            ("violations", Part::Metadata),
        ]))],
    section: None,
    needs: &[
        Need::Service("ActiveFence", "POST to its ActiveScore endpoint"),
        Need::Environment(KEY, "the key"),
        Need::Environment(URL, "another endpoint"),
    ],
    messages: &[
        (
            HARMFUL,
            "I will not engage in any abusive or harmful behavior.",
        ),
        (SELF_HARM, "I will not engage in any self harm behavior."),
        (
            INAPPROPRIATE,
            "I will not engage with inappropriate content.",
        ),
        (SENSITIVE, "I will not engage with sensitive content."),
    ],
    build,
};

const DETAILED: &str = r#"define subflow activefence moderation on input detailed
  """Asks ActiveFence how great each risk of a text is."""
  $result = execute call_activefence_api(text=$user_message, threshold_mode="detailed")
  if $result.is_blocked
    $triggered_violation = $result.metadata["triggered_violation"]
    if $config.enable_rails_exceptions
      if $triggered_violation == "abusive_or_harmful.harassment_or_bullying"
        create event ActiveFenceHarassmentRailException(message=$result.reason)
      else if $triggered_violation == "abusive_or_harmful.profanity"
        create event ActiveFenceProfanityRailException(message=$result.reason)
      else if $triggered_violation == "abusive_or_harmful.hate_speech"
        create event ActiveFenceHateSpeechRailException(message=$result.reason)
      else if $triggered_violation == "abusive_or_harmful.child_grooming"
        create event ActiveFenceChildGroomingRailException(message=$result.reason)
      else if $triggered_violation == "abusive_or_harmful.general_violence"
        create event ActiveFenceGeneralViolenceRailException(message=$result.reason)
      else if $triggered_violation == "self_harm.general"
        create event ActiveFenceSelfHarmRailException(message=$result.reason)
      else if $triggered_violation == "adult_content.general"
        create event ActiveFenceAdultContentRailException(message=$result.reason)
      else
        create event ActiveFencePrivacyViolationRailException(message=$result.reason)
    else
      if $triggered_violation == "self_harm.general"
        bot inform cannot engage in self harm behavior
      else if $triggered_violation == "adult_content.general"
        bot inform cannot engage with inappropriate content
      else if $triggered_violation == "privacy_violation.pii"
        bot inform cannot engage with sensitive content
      else
        bot inform cannot engage in abusive or harmful behavior
    stop
"#;

fn refusal(finding: &Finding) -> &'static str {
    let triggered = finding.metadata.get("triggered_violation");
    let risk = RISKS
        .iter()
        .find(|risk| triggered.and_then(Value::as_str) == Some(risk.kind));
    risk.map_or(REFUSE_TO_RESPOND, |risk| risk.refusal)
}

#[derive(Debug)]
struct ActiveFence {
    service: Service,
    url: String,
    key: RequiredKey,
}

fn build(context: &BuildContext<'_>) -> Built {
    let url = (context.environment)(URL).filter(|url| !url.is_empty());
    Ok(Arc::new(ActiveFence {
        service: Service::new(context),
        url: url.unwrap_or_else(|| DEFAULT_URL.to_owned()),
        key: RequiredKey::new(context, KEY),
    }))
}

impl ActiveFence {
    async fn moderate(&self, call: &Call<'_>) -> Result<Finding, Error> {
        let key = self.key.get(call)?;
        // Flows of version 0.10 gave no text: they meant what the user says.
        let text = match call.argument("text") {
            Some(_) => call.required("text")?,
            None => call
                .variable_text("user_message")
                .ok_or_else(|| call.failed("there is no text to moderate"))?,
        };
        let body = json!({"text": text, "content_id": content_id()});
        let headers = [
            ("af-api-key", key.expose()),
            ("af-source", "nemo-guardrails"),
        ];
        let answer = self.service.post(&self.url, &headers, &body).await;
        let answer = answer.map_err(|error| call.failed(error))?;
        let violations = violations(&answer)
            .ok_or_else(|| call.failed("ActiveFence's answer has no list of scored violations"))?;
        let score = |kind: &str| violations.get(kind).and_then(Value::as_f64).unwrap_or(0.0);
        let greatest = violations.keys().map(|kind| score(kind));
        let greatest = greatest.fold(0.0, f64::max);
        let is_detailed = call.text("threshold_mode").as_deref() == Some("detailed");
        let triggered = RISKS
            .iter()
            .find(|risk| is_detailed && score(risk.kind) > risk.threshold);
        let finding = match triggered {
            Some(risk) => Finding::block().because(format!(
                "ActiveFence moderation triggered. The {} risk score exceeded the threshold.",
                risk.name
            )),
            None if !is_detailed && greatest > THRESHOLD => Finding::block().because(
                "ActiveFence moderation triggered. The maximum risk score exceeded the threshold.",
            ),
            None => Finding::allow(),
        };
        let mode = if is_detailed { "detailed" } else { "simple" };
        Ok(finding
            .with("max_risk_score", greatest)
            .with("violations", violations)
            .with("threshold_mode", mode)
            .with("triggered_violation", triggered.map(|risk| risk.kind)))
    }
}

/// Each kind of risk in `answer` with its greatest score; none where the answer is no list of such.
fn violations(answer: &Value) -> Option<Map<String, Value>> {
    let mut found = Map::new();
    for violation in answer.get("violations")?.as_array()? {
        let kind = violation.get("violation_type")?.as_str()?;
        let score = violation.get("risk_score")?.as_f64()?;
        let known = found.get(kind).and_then(Value::as_f64);
        if known.is_none_or(|known| score > known) {
            found.insert(kind.to_owned(), score.into());
        }
    }
    Some(found)
}

/// A name for the text that no other has, for ActiveFence's records.
fn content_id() -> String {
    let bits = || RandomState::new().build_hasher().finish();
    format!("ng-{:016x}{:016x}", bits(), bits())
}

impl Check for ActiveFence {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move { self.moderate(&call).await })
    }

    fn accept(&self, _: &Flow, _: &FlowReference) -> Result<(), Unusable> {
        self.key.accept()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Trial, *};
    use crate::{http::testing::json as answer, verdict::Outcome};

    const ENVIRONMENT: &[(&str, &str)] = &[(KEY, "secret"), (URL, "URL/text")];

    async fn judged(line: &str, body: Value) -> Result<Outcome, Error> {
        let trial = Trial::new(&RAIL, "", ENVIRONMENT, vec![answer(200, &body)]).await;
        let outcome = trial.judge(line, "x").await;
        let received = trial.received();
        assert!(received[0].head.contains("af-api-key: secret"));
        let sent = received[0].json();
        assert_eq!(sent["text"], "x");
        assert!(sent["content_id"].as_str().unwrap().starts_with("ng-"));
        outcome
    }

    fn scored(scores: &[(&str, f64)]) -> Value {
        let violations = scores
            .iter()
            .map(|(kind, score)| json!({"violation_type": kind, "risk_score": score}));
        json!({"violations": violations.collect::<Vec<_>>()})
    }

    #[tokio::test]
    async fn the_greatest_risk_counts() {
        for (score, passes) in [(0.7, true), (0.71, false)] {
            let body = scored(&[("a", 0.1), ("b", score), ("b", 0.2)]);
            let outcome = judged("activefence moderation on output", body).await;
            assert_eq!(outcome.unwrap() == Outcome::Allow, passes, "{score}");
        }
    }

    #[tokio::test]
    async fn details_have_thresholds_and_words_of_their_own() {
        let line = "activefence moderation on input detailed";
        for (kind, score, words) in [
            ("unknown", 1.0, None),
            ("adult_content.general", 0.3, None),
            (
                "adult_content.general",
                0.31,
                Some("I will not engage with inappropriate content."),
            ),
            (
                "self_harm.general",
                0.9,
                Some("I will not engage in any self harm behavior."),
            ),
            (
                "privacy_violation.pii",
                0.9,
                Some("I will not engage with sensitive content."),
            ),
            (
                "abusive_or_harmful.child_grooming",
                0.5,
                Some("I will not engage in any abusive or harmful behavior."),
            ),
        ] {
            let outcome = judged(line, scored(&[(kind, score)])).await.unwrap();
            let said = match outcome {
                Outcome::Block(block) => block.message,
                _ => None,
            };
            assert_eq!(said.as_deref(), words, "{kind}");
        }
    }

    #[tokio::test]
    async fn an_answer_that_says_nothing_is_no_verdict() {
        for body in [
            json!({}),
            json!([]),
            json!({"violations": null}),
            json!({"violations": [{"violation_type": "a", "risk_score": "high"}]}),
            json!({"violations": [{"risk_score": 0.9}]}),
        ] {
            let outcome = judged("activefence moderation on input", body.clone()).await;
            assert!(outcome.is_err(), "{body}");
        }
    }

    #[tokio::test]
    async fn a_service_that_fails_is_no_verdict() {
        let trial = Trial::new(&RAIL, "", ENVIRONMENT, vec![answer(500, &json!({}))]).await;
        let outcome = trial.judge("activefence moderation on input", "x").await;
        assert!(outcome.is_err());
        assert_eq!(trial.received().len(), 1);
    }
}
