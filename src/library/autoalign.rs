//! `autoalign check input`, `autoalign check output`, `autoalign groundedness output`, `autoalign factcheck output`: AutoAlign runs
//! guardrails of its own on a text, and scores how true an answer is.
//!
//! - Service: AutoAlign's endpoints, each in the config.
//! - Config: `rails.config.autoalign`.
//! - Environment: `AUTOALIGN_API_KEY`.
//! - On block: the refusal to respond, or "I don't know the answer to that." for an answer that is not true. Personal data that it
//!   finds is replaced. A service that fails, blocks.
//! - The groundedness rail runs only in turns that set `$check_facts` to true.

use std::{borrow::Cow, sync::Arc};

use futures_core::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Answers, Bound, BuildContext, Built, Call, Check, Finding, Flow, INFORM_ANSWER_UNKNOWN, Key,
    Need, Rail, RailAction, Section, Unusable,
    service::{RequiredKey, Service},
};
use crate::{config::FlowReference, error::Error, verdict::Place};

const INPUT: &str = "autoalign_input_api";
const OUTPUT: &str = "autoalign_output_api";
const GROUNDEDNESS: &str = "autoalign_groundedness_output_api";
const FACTCHECK: &str = "autoalign_factcheck_output_api";
const KEY: &str = "AUTOALIGN_API_KEY";

/// What stands before the text without personal data.
const REDACTED: &str = "PII redacted text: ";

/// What stands before the score of groundedness.
const SCORE: &str = "Factcheck Score: ";

const USER_MESSAGE: (&str, Bound) = ("user_message", Bound::Variable("user_message"));
const BOT_MESSAGE: (&str, Bound) = ("bot_message", Bound::Variable("bot_message"));
const THRESHOLD: (&str, Bound) = ("factcheck_threshold", Bound::Literal("0.5"));

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "autoalign",
    about: "Runs AutoAlign's guardrails on a text, and has it score answers",
    flows: &[
        Flow::new("autoalign check input", Place::Input, INPUT)
            .arguments(&[USER_MESSAGE])
            .rewrites()
            .result("input_result")
            .exception(
                "AutoAlignInputRailException",
                "AutoAlign input guardrail triggered",
            ),
        Flow::new("autoalign check output", Place::Output, OUTPUT)
            .arguments(&[BOT_MESSAGE])
            .rewrites()
            .result("output_result")
            .exception(
                "AutoAlignOutputRailException",
                "AutoAlign guardrail triggered",
            ),
        Flow::new("autoalign groundedness output", Place::Output, GROUNDEDNESS)
            .arguments(&[BOT_MESSAGE, THRESHOLD])
            .only_if("check_facts")
            .needs_variable("relevant_chunks_sep")
            .result("output_result")
            .says(INFORM_ANSWER_UNKNOWN)
            .colang1(GROUNDEDNESS_FLOW),
        Flow::new("autoalign factcheck output", Place::Output, FACTCHECK)
            .arguments(&[USER_MESSAGE, BOT_MESSAGE, THRESHOLD])
            .result("output_result")
            .says(INFORM_ANSWER_UNKNOWN)
            .colang1(FACTCHECK_FLOW),
    ],
    actions: &[
        RailAction::new(INPUT).answers(Answers::Metadata),
        RailAction::new(OUTPUT).answers(Answers::Metadata),
        RailAction::new(GROUNDEDNESS).answers(Answers::Entry("score")),
        RailAction::new(FACTCHECK).answers(Answers::Entry("score")),
    ],
    section: Some(Section {
        key: "autoalign",
        keys: &[
            Key::new("parameters.endpoint", "URL", "", "where texts are checked"),
            Key::new(
                "parameters.groundedness_check_endpoint",
                "URL",
                "",
                "where groundedness is scored",
            ),
            Key::new(
                "parameters.fact_check_endpoint",
                "URL",
                "",
                "where facts are checked",
            ),
            Key::new(
                "parameters.multi_language",
                "bool",
                "false",
                "whether texts may be in several languages",
            ),
            Key::new(
                "input.guardrails_config",
                "map",
                "{}",
                "the guardrails to run on what comes in, each with its own settings",
            ),
            Key::new(
                "output.guardrails_config",
                "map",
                "{}",
                "the same for what goes out",
            ),
        ],
    }),
    needs: &[
        Need::Service("AutoAlign", "POST to the endpoints under `parameters`"),
        Need::Environment(KEY, "the key"),
    ],
    messages: &[],
    build,
};

/// What passes is said anew after the check, as in the reference.
const GROUNDEDNESS_FLOW: &str = r#"define subflow autoalign groundedness output
  """Has AutoAlign score how far an answer follows from the retrieved chunks."""
  if $check_facts == True
    $check_facts = False
    $threshold = 0.5
    $output_result = execute autoalign_groundedness_output_api(factcheck_threshold=$threshold)
    if $output_result.is_blocked
      bot inform answer unknown
      stop
    bot provide response
"#;

const FACTCHECK_FLOW: &str = r#"define subflow autoalign factcheck output
  """Has AutoAlign score whether an answer is true."""
  $threshold = 0.5
  $output_result = execute autoalign_factcheck_output_api(factcheck_threshold=$threshold)
  if $output_result.is_blocked
    bot inform answer unknown
    stop
"#;

/// The kinds of personal data that are looked for unless the config names others.
const PII_TYPES: &[&str] = &[
    "[BANK ACCOUNT NUMBER]",
    "[CREDIT CARD NUMBER]",
    "[DATE OF BIRTH]",
    "[DATE]",
    "[DRIVER LICENSE NUMBER]",
    "[EMAIL ADDRESS]",
    "[RACE/ETHNICITY]",
    "[GENDER]",
    "[IP ADDRESS]",
    "[LOCATION]",
    "[MONEY]",
    "[ORGANIZATION]",
    "[PASSPORT NUMBER]",
    "[PASSWORD]",
    "[PERSON NAME]",
    "[PHONE NUMBER]",
    "[PROFESSION]",
    "[SOCIAL SECURITY NUMBER]",
    "[USERNAME]",
    "[SECRET_KEY]",
    "[TRANSACTION_ID]",
    "[RELIGION]",
];

/// The guardrails beside `pii`, each with what its findings are called.
const GUARDRAILS: &[(&str, &str)] = &[
    (
        "confidential_info_detection",
        "Confidential Information violation",
    ),
    ("gender_bias_detection", "Stereotypical bias"),
    ("harm_detection", "Potential harm to human"),
    ("toxicity_detection", "Toxicity in text"),
    ("racial_bias_detection", "Stereotypical bias"),
    ("tonal_detection", "Negative tone"),
    ("jailbreak_detection", "Jailbreak attempt"),
    ("intellectual_property", "Intellectual property"),
];

/// `rails.config.autoalign`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Settings {
    parameters: Parameters,
    input: Options,
    output: Options,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Parameters {
    endpoint: Option<String>,
    groundedness_check_endpoint: Option<String>,
    fact_check_endpoint: Option<String>,
    multi_language: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Options {
    guardrails_config: Map<String, Value>,
}

impl Options {
    /// All guardrails, those of the config switched on.
    fn guardrails(&self) -> Result<Value, String> {
        if self.guardrails_config.is_empty() {
            return Err("`guardrails_config` names no guardrail to run".to_owned());
        }
        let off = GUARDRAILS
            .iter()
            .map(|(name, _)| ((*name).to_owned(), json!({"mode": "OFF"})));
        let mut all: Map<String, Value> = off.collect();
        all.insert(
            "pii".to_owned(),
            json!({"mode": "OFF", "mask": false, "enabled_types": PII_TYPES}),
        );
        for (name, own) in &self.guardrails_config {
            let own = match own {
                Value::Null => &Map::new(),
                Value::Object(own) => own,
                _ => return Err(format!("`guardrails_config.{name}` is no map")),
            };
            match all.get_mut(name).and_then(Value::as_object_mut) {
                Some(guardrail) => {
                    guardrail.insert("mode".to_owned(), "DETECT".into());
                    guardrail.extend(own.clone());
                }
                // A check of its own, which the rail for it runs.
                None if name == "factcheck" && own.is_empty() => {}
                None => return Err(format!("AutoAlign has no guardrail `{name}`")),
            }
        }
        Ok(all.into())
    }
}

#[derive(Debug)]
struct AutoAlign {
    settings: Settings,
    service: Service,
    key: RequiredKey,
}

fn build(context: &BuildContext<'_>) -> Built {
    let settings = context.config.rails.section("autoalign");
    Ok(Arc::new(AutoAlign {
        settings: settings.map_err(|fault| vec![fault])?,
        service: Service::new(context),
        key: RequiredKey::new(context, KEY),
    }))
}

/// The text `name`, as an argument or else from the context.
fn text<'a>(call: &Call<'a>, name: &str) -> Result<Cow<'a, str>, Error> {
    let text = call.text(name).or_else(|| call.variable_text(name));
    text.ok_or_else(|| call.failed(format!("there is no text `{name}`")))
}

/// The least score that passes.
fn threshold(call: &Call<'_>) -> Result<f64, Error> {
    let given = call.argument("factcheck_threshold");
    let threshold = match given.as_deref() {
        None => Some(0.0),
        Some(Value::String(text)) => text.parse().ok(),
        Some(value) => value.as_f64(),
    };
    threshold.ok_or_else(|| call.failed("`factcheck_threshold` is no number"))
}

fn by_score(score: f64, threshold: f64) -> Finding {
    Finding::block_if(score < threshold)
        .with("score", score)
        .with("threshold", threshold)
}

impl AutoAlign {
    /// The endpoint for `action`.
    fn endpoint(&self, action: &str) -> Result<&str, String> {
        let parameters = &self.settings.parameters;
        let (key, endpoint) = match action {
            GROUNDEDNESS => (
                "groundedness_check_endpoint",
                &parameters.groundedness_check_endpoint,
            ),
            FACTCHECK => ("fact_check_endpoint", &parameters.fact_check_endpoint),
            _ => ("endpoint", &parameters.endpoint),
        };
        let endpoint = endpoint.as_deref().filter(|endpoint| !endpoint.is_empty());
        endpoint.ok_or_else(|| format!("`rails.config.autoalign.parameters.{key}` is missing"))
    }

    async fn guard(
        &self,
        call: &Call<'_>,
        variable: &'static str,
        options: &Options,
    ) -> Result<Finding, Error> {
        let text = text(call, variable)?;
        let config = options.guardrails();
        let body = json!({
            "prompt": text,
            "config": config.map_err(|message| call.failed(message))?,
            "multi_language": self.settings.parameters.multi_language,
        });
        let mut report = Report::default();
        for finding in self.ask(call, &body).await? {
            let read = report.add(&finding);
            read.ok_or_else(|| call.failed("a line of AutoAlign's answer is no finding"))?;
        }
        if report.guardrails.is_empty() {
            return Err(call.failed("AutoAlign's answer has no finding"));
        }
        Ok(report.into_finding(variable))
    }

    async fn groundedness(&self, call: &Call<'_>) -> Result<Finding, Error> {
        let threshold = threshold(call)?;
        let documents = call.argument("relevant_chunks_sep");
        let documents = documents.or_else(|| call.variable("relevant_chunks_sep"));
        let mut config = Map::new();
        let checker = json!({"verify_response": false});
        config.insert("groundedness_checker".to_owned(), checker);
        config.extend(self.settings.output.guardrails_config.clone());
        let body = json!({
            "prompt": text(call, "bot_message")?,
            "documents": documents.map_or_else(|| json!([]), Cow::into_owned),
            "config": config,
        });
        let findings = self.ask(call, &body).await?;
        let mut findings = findings.iter();
        let score = findings.find_map(|finding| {
            let is_own = finding.get("task")? == "groundedness_checker";
            let response = finding.get("response")?.as_str().filter(|_| is_own)?;
            response.strip_prefix(SCORE)?.trim().parse::<f64>().ok()
        });
        let score = score.filter(|score| score.is_finite());
        let score = score.ok_or_else(|| call.failed("AutoAlign's answer has no score"))?;
        Ok(by_score(score, threshold))
    }

    async fn factcheck(&self, call: &Call<'_>) -> Result<Finding, Error> {
        let threshold = threshold(call)?;
        let key = self.key.get(call)?;
        let body = json!({
            "labels": {"session_id": "nemo", "api_key": key.expose()},
            "content_moderation_docs": [{
                "content": text(call, "bot_message")?,
                "type": "text_content",
                "file_name": "HighlightedText.txt",
            }],
            "user_query": text(call, "user_message")?,
            "config": self.settings.output.guardrails_config,
            "multi_language": self.settings.parameters.multi_language,
        });
        let endpoint = self.endpoint(FACTCHECK);
        let endpoint = endpoint.map_err(|message| call.failed(message))?;
        let headers = [("x-api-key", key.expose())];
        let answer = self.service.post(endpoint, &headers, &body).await;
        let answer = answer.map_err(|error| call.failed(error))?;
        let score = answer.pointer("/all_overall_fact_scores/0");
        let score = score.and_then(Value::as_f64);
        let score = score.ok_or_else(|| call.failed("AutoAlign's answer has no score"))?;
        Ok(by_score(score, threshold))
    }

    /// The lines of the answer, each an object of JSON.
    async fn ask(&self, call: &Call<'_>, body: &Value) -> Result<Vec<Value>, Error> {
        let key = self.key.get(call)?;
        let endpoint = self.endpoint(call.action());
        let endpoint = endpoint.map_err(|message| call.failed(message))?;
        let headers = [("x-api-key", key.expose())];
        let answer = self.service.post_for_text(endpoint, &headers, body).await;
        let answer = answer.map_err(|error| call.failed(error))?;
        let lines = answer
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty());
        let lines = lines.map(serde_json::from_str).collect::<Result<_, _>>();
        lines.map_err(|error| call.failed(error))
    }
}

/// What AutoAlign's guardrails found.
#[derive(Debug, Default)]
struct Report {
    /// Each guardrail with what flows see of it.
    guardrails: Map<String, Value>,
    /// The text without personal data, where there was some.
    redacted: Option<String>,
    /// What was found, in words.
    found: Vec<&'static str>,
}

impl Report {
    /// Adds the finding of a guardrail; none where it is not understood.
    fn add(&mut self, finding: &Value) -> Option<()> {
        let task = finding.get("task")?.as_str()?;
        let is_guarded = finding.get("guarded")?.as_bool()?;
        let response = match task {
            _ if !is_guarded => json!(""),
            "pii" => {
                let redacted = finding.get("response")?.as_str()?;
                let redacted = redacted.strip_prefix(REDACTED)?;
                self.redacted = Some(redacted.to_owned());
                json!(redacted)
            }
            _ => {
                let (_, found) = GUARDRAILS.iter().find(|(name, _)| *name == task)?;
                if !self.found.contains(found) {
                    self.found.push(found);
                }
                match task {
                    "toxicity_detection" => json!([found, toxic_phrases(finding)?]),
                    _ => json!(found),
                }
            }
        };
        let shown = json!({"guarded": is_guarded, "response": response});
        self.guardrails.insert(task.to_owned(), shown);
        Some(())
    }

    fn into_finding(self, target: &'static str) -> Finding {
        let is_triggered = !self.found.is_empty();
        let combined = match is_triggered {
            true => format!("{} detected.", self.found.join(", ")),
            false => String::new(),
        };
        let finding = match self.redacted {
            _ if is_triggered => Finding::block(),
            Some(redacted) => Finding::rewrite(target, redacted),
            None => Finding::allow(),
        };
        // The order in which histories show them.
        let mut finding = finding
            .with("guardrails_triggered", is_triggered)
            .with("pii", json!({"guarded": false, "response": ""}));
        finding.metadata.extend(self.guardrails);
        finding.with("combined_response", combined)
    }
}

fn toxic_phrases(finding: &Value) -> Option<String> {
    let phrases = finding.get("output_data")?.as_array()?.iter();
    let phrases: Option<Vec<&str>> = phrases.map(Value::as_str).collect();
    Some(format!(" Toxic phrases: {}", phrases?.join(", ")))
}

impl Check for AutoAlign {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move {
            match call.action() {
                GROUNDEDNESS => self.groundedness(&call).await,
                FACTCHECK => self.factcheck(&call).await,
                OUTPUT => {
                    self.guard(&call, "bot_message", &self.settings.output)
                        .await
                }
                _ => {
                    self.guard(&call, "user_message", &self.settings.input)
                        .await
                }
            }
        })
    }

    fn accept(&self, flow: &Flow, _: &FlowReference) -> Result<(), Unusable> {
        self.key.accept()?;
        let settings = match flow.action {
            INPUT => self.settings.input.guardrails().map(|_| ()),
            OUTPUT => self.settings.output.guardrails().map(|_| ()),
            _ => Ok(()),
        };
        let usable = self.endpoint(flow.action).and(settings);
        usable.map_err(|message| Unusable::Unready(vec![message]))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Trial, *};
    use crate::{http::testing::answer as plain, verdict::Outcome};

    const CONFIG: &str = "rails: {config: {autoalign: {parameters: {endpoint: 'URL/guard', groundedness_check_endpoint: 'URL/ground', fact_check_endpoint: 'URL/fact'}, output: {guardrails_config: {pii: {mask: true}, toxicity_detection: }}}}}";
    const ENVIRONMENT: &[(&str, &str)] = &[(KEY, "secret")];

    async fn judged(line: &str, status: u16, body: &str) -> (Result<Outcome, Error>, Value) {
        let trial = Trial::new(&RAIL, CONFIG, ENVIRONMENT, vec![plain(status, "", body)]).await;
        let outcome = trial.judge_answer(line, "old", "asked").await;
        let received = trial.received();
        assert!(received[0].head.contains("x-api-key: secret"));
        (outcome, received[0].json())
    }

    const TOXIC: &str = r#"{"task": "toxicity_detection", "guarded": true, "response": "x", "output_data": ["bah"]}"#;
    const CLEAN: &str = r#"{"task": "toxicity_detection", "guarded": false, "response": ""}"#;
    const PII: &str =
        r#"{"task": "pii", "guarded": true, "response": "PII redacted text: I am [PERSON NAME]"}"#;

    #[tokio::test]
    async fn findings_block_and_personal_data_is_replaced() {
        let rewritten = Outcome::Transform("I am [PERSON NAME]".to_owned());
        for (body, expected) in [
            (format!("{CLEAN}\n"), Some(Outcome::Allow)),
            (format!("{CLEAN}\r\n\n{PII}"), Some(rewritten)),
            (String::new(), None),
            ("[]".to_owned(), None),
            (format!("{CLEAN}\n{{}}"), None),
            (format!("{CLEAN}\noops"), None),
            (PII.replace(REDACTED, ""), None),
            (CLEAN.replace("false", "\"no\""), None),
            (TOXIC.replace("toxicity", "unheard_of"), None),
        ] {
            let (outcome, sent) = judged("autoalign check output", 200, &body).await;
            assert_eq!(outcome.ok(), expected, "{body}");
            assert_eq!(sent["prompt"], "old");
            assert_eq!(sent["multi_language"], false);
            assert_eq!(sent["config"]["pii"]["mask"], true);
            assert_eq!(sent["config"]["pii"]["mode"], "DETECT");
            assert_eq!(
                sent["config"]["toxicity_detection"],
                json!({"mode": "DETECT"})
            );
            assert_eq!(sent["config"]["harm_detection"], json!({"mode": "OFF"}));
        }
        let (outcome, _) = judged("autoalign check output", 200, &format!("{PII}\n{TOXIC}")).await;
        assert!(matches!(outcome, Ok(Outcome::Block(_))));
        let (outcome, _) = judged("autoalign check output", 500, CLEAN).await;
        assert!(outcome.is_err());
    }

    #[tokio::test]
    async fn answers_below_a_score_are_blocked() {
        let passes = |outcome: Result<Outcome, Error>| outcome.ok().map(|it| it == Outcome::Allow);
        for (score, expected) in [
            ("Factcheck Score: 0.5", Some(true)),
            ("Factcheck Score: 0.49", Some(false)),
            ("Factcheck Score: nan", None),
            ("Factcheck Score: good", None),
            ("0.9", None),
        ] {
            let body = json!({"task": "groundedness_checker", "response": score}).to_string();
            let (outcome, sent) = judged("autoalign groundedness output", 200, &body).await;
            assert_eq!(passes(outcome), expected, "{score}");
            assert_eq!(sent["documents"], json!([]));
        }
        for (scores, expected) in [
            ("[0.5]", Some(true)),
            ("[0.4, 1]", Some(false)),
            ("[]", None),
            ("[\"1\"]", None),
        ] {
            let body = format!("{{\"all_overall_fact_scores\": {scores}}}");
            let (outcome, sent) = judged("autoalign factcheck output", 200, &body).await;
            assert_eq!(passes(outcome), expected, "{scores}");
            assert_eq!(sent["user_query"], "asked");
            assert_eq!(sent["content_moderation_docs"][0]["content"], "old");
        }
    }
}
