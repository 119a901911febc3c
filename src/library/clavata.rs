//! `clavata check input`, `clavata check output`: Clavata says whether a text matches a policy of yours.
//!
//! - Service: POST to `/v1/jobs`. While it is busy (429) it is asked twice more.
//! - Config: `rails.config.clavata`.
//! - Environment: `CLAVATA_API_KEY`.
//! - On block: the refusal to respond. A service that fails, or comes to no result, blocks.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_core::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answers, Bound, BuildContext, Built, Call, Check, Finding, Flow, Key, Need, Rail, RailAction,
    Section, Unusable,
    service::{Patience, RequiredKey, Service, bearer},
};
use crate::{config::FlowReference, error::Error, verdict::Place};

const CHECK: &str = "ClavataCheckAction";
const KEY: &str = "CLAVATA_API_KEY";
const EXCEPTION: &str = "ClavataPolicyMatchException";

/// The names in braces stand as they are: nothing is filled in for them, as in the reference.
const MESSAGE: &str =
    "Interaction blocked by clavata check with policy={var_policy} and text={var_text}";

const INPUT_FLOW: &str = r#"define subflow clavata check input
  """Blocks what matches a policy at Clavata."""
  $is_match = execute ClavataCheckAction(text=$user_message, rail="input")
  if $is_match.is_blocked
    if $config.enable_rails_exceptions
      $msg = "Interaction blocked by clavata check with policy={var_policy} and text={var_text}"
      create event ClavataPolicyMatchException(message=$msg)
    else
      bot refuse to respond
    stop
"#;

const OUTPUT_FLOW: &str = r#"define subflow clavata check output
  """Blocks what matches a policy at Clavata."""
  $is_match = execute ClavataCheckAction(text=$bot_message, rail="output")
  if $is_match.is_blocked
    if $config.enable_rails_exceptions
      $msg = "Interaction blocked by clavata check with policy={var_policy} and text={var_text}"
      create event ClavataPolicyMatchException(message=$msg)
    else
      bot refuse to respond
    stop
"#;

const PATIENCE: Patience = Patience {
    retries: 2,
    first_wait: Duration::from_millis(100),
    longest_wait: Duration::from_secs(10),
};

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "clavata",
    about: "Blocks what matches a policy at Clavata",
    flows: &[
        Flow::new("clavata check input", Place::Input, CHECK)
            .arguments(&[
                ("text", Bound::Variable("user_message")),
                ("rail", Bound::Literal("input")),
            ])
            .result("is_match")
            .exception(EXCEPTION, MESSAGE)
            .colang1(INPUT_FLOW),
        Flow::new("clavata check output", Place::Output, CHECK)
            .arguments(&[
                ("text", Bound::Variable("bot_message")),
                ("rail", Bound::Literal("output")),
            ])
            .result("is_match")
            .exception(EXCEPTION, MESSAGE)
            .colang1(OUTPUT_FLOW),
    ],
    actions: &[RailAction::new(CHECK).answers(Answers::Found)],
    section: Some(Section {
        key: "clavata",
        keys: &[
            Key::new(
                "server_endpoint",
                "URL",
                "https://gateway.app.clavata.ai:8443",
                "the service",
            ),
            Key::new(
                "policies",
                "map of texts",
                "{}",
                "the identifiers (UUIDs) of policies, by the names that you give them",
            ),
            Key::new(
                "label_match_logic",
                "`ANY` or `ALL`",
                "ANY",
                "whether one of the labels has to match, or all",
            ),
            Key::new(
                "input.policy",
                "text",
                "",
                "the policy for what comes in: a name in `policies`, or a UUID",
            ),
            Key::new(
                "input.labels",
                "list of texts",
                "[]",
                "the labels that count; none: whether the policy as a whole matches",
            ),
            Key::new("output.policy", "text", "", "the same for what goes out"),
            Key::new(
                "output.labels",
                "list of texts",
                "[]",
                "the same for what goes out",
            ),
        ],
    }),
    needs: &[
        Need::Service("Clavata", "POST to `/v1/jobs`"),
        Need::Environment(KEY, "the key"),
    ],
    messages: &[],
    build,
};

/// `rails.config.clavata`.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Settings {
    server_endpoint: String,
    policies: HashMap<String, String>,
    label_match_logic: Logic,
    input: Option<Options>,
    output: Option<Options>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            server_endpoint: "https://gateway.app.clavata.ai:8443".to_owned(),
            policies: HashMap::new(),
            label_match_logic: Logic::default(),
            input: None,
            output: None,
        }
    }
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
enum Logic {
    #[default]
    #[serde(rename = "ANY")]
    Any,
    #[serde(rename = "ALL")]
    All,
}

#[derive(Debug, Deserialize)]
struct Options {
    policy: String,
    #[serde(default)]
    labels: Vec<String>,
}

impl Settings {
    fn options(&self, rail: &str) -> Result<&Options, String> {
        let options = match rail {
            "input" => &self.input,
            "output" => &self.output,
            _ => return Err(format!("`rail` is `{rail}`, not `input` or `output`")),
        };
        let options = options.as_ref();
        options.ok_or_else(|| {
            format!("`rails.config.clavata.{rail}` is missing, which names the policy")
        })
    }

    /// The identifier of `policy`, which is one itself or a name of one.
    fn policy_id(&self, policy: &str) -> Result<String, String> {
        if let Some(id) = canonical_uuid(policy) {
            return Ok(id);
        }
        let id = self.policies.get(policy).ok_or_else(|| {
            format!(
                "the policy `{policy}` is no UUID, and `rails.config.clavata.policies` lacks it"
            )
        })?;
        canonical_uuid(id).ok_or_else(|| {
            format!("`rails.config.clavata.policies.{policy}` is `{id}`, which is no UUID")
        })
    }
}

/// The usual form of a UUID, which may be written with braces, as a URN or without hyphens; none where `text` is none.
fn canonical_uuid(text: &str) -> Option<String> {
    let digits = text.replace("urn:", "").replace("uuid:", "");
    let digits = digits.trim_matches(['{', '}']).replace('-', "");
    if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let digits = u128::from_str_radix(&digits, 16).ok()?;
    let group = |shift: u32, bits: u32| (digits >> shift) & ((1 << bits) - 1);
    Some(format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        group(96, 32),
        group(80, 16),
        group(64, 16),
        group(48, 16),
        group(0, 48)
    ))
}

/// What the service says, as far as it is looked at.
#[derive(Debug, Deserialize)]
struct Answer {
    job: Job,
}

#[derive(Debug, Deserialize)]
struct Job {
    status: String,
    results: Vec<JobResult>,
}

#[derive(Debug, Deserialize)]
struct JobResult {
    report: Report,
}

#[derive(Debug, Deserialize)]
struct Report {
    result: Match,
    #[serde(rename = "sectionEvaluationReports")]
    sections: Vec<SectionReport>,
}

#[derive(Debug, Deserialize)]
struct SectionReport {
    name: String,
    result: Match,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Match {
    #[serde(rename = "OUTCOME_TRUE")]
    Yes,
    #[serde(rename = "OUTCOME_FALSE")]
    No,
    #[serde(rename = "OUTCOME_FAILED")]
    Failed,
    #[serde(rename = "OUTCOME_UNSPECIFIED")]
    Unspecified,
}

#[derive(Debug)]
struct Clavata {
    settings: Settings,
    service: Service,
    key: RequiredKey,
}

fn build(context: &BuildContext<'_>) -> Built {
    let settings = context.config.rails.section("clavata");
    Ok(Arc::new(Clavata {
        settings: settings.map_err(|fault| vec![fault])?,
        service: Service::new(context),
        key: RequiredKey::new(context, KEY),
    }))
}

/// The labels that an action is given: a list, or a text with commas between.
fn given_labels(labels: &Value) -> Option<Vec<String>> {
    match labels {
        Value::String(labels) => Some(labels.split(',').map(str::to_owned).collect()),
        Value::Array(labels) => labels
            .iter()
            .map(|label| label.as_str().map(str::to_owned))
            .collect(),
        _ => None,
    }
}

impl Clavata {
    async fn check(&self, call: &Call<'_>) -> Result<Finding, Error> {
        let text = call.required("text")?;
        if text.is_empty() {
            return Err(call.failed("there is no text to check"));
        }
        let options = call.text("rail").map(|rail| self.settings.options(&rail));
        let policy = match (call.text("policy"), &options) {
            (Some(policy), _) => policy.into_owned(),
            (None, Some(Ok(options))) => options.policy.clone(),
            (None, Some(Err(message))) => return Err(call.failed(message.clone())),
            (None, None) => return Err(call.failed("neither `policy` nor `rail` is given")),
        };
        let policy = self.settings.policy_id(&policy);
        let policy = policy.map_err(|message| call.failed(message))?;
        let labels = match (call.argument("labels"), options) {
            (Some(labels), _) => given_labels(&labels)
                .ok_or_else(|| call.failed("`labels` is neither a text nor a list of texts"))?,
            (None, Some(Ok(options))) => options.labels.clone(),
            (None, Some(Err(message))) => return Err(call.failed(message)),
            (None, None) => Vec::new(),
        };
        let report = self.ask(call, &text, &policy).await?;
        let is_match = self.is_match(&report, &labels);
        let is_match = is_match.ok_or_else(|| call.failed("Clavata came to no result"))?;
        Ok(Finding::block_if(is_match).with("policy_matched", is_match))
    }

    /// Whether `report` says that the text matches; none where it does not say.
    fn is_match(&self, report: &Report, labels: &[String]) -> Option<bool> {
        if labels.is_empty() {
            return match report.result {
                Match::Yes => Some(true),
                Match::No => Some(false),
                Match::Failed | Match::Unspecified => None,
            };
        }
        let matches = |counts: &dyn Fn(Match) -> bool| {
            let found = |label: &String| {
                let mut sections = report.sections.iter();
                sections.any(|section| section.name == *label && counts(section.result))
            };
            match self.settings.label_match_logic {
                Logic::Any => labels.iter().any(found),
                Logic::All => labels.iter().all(found),
            }
        };
        if matches(&|result| result == Match::Yes) {
            return Some(true);
        }
        // Had each open question been answered with yes, would it still be none?
        (!matches(&|result| result != Match::No)).then_some(false)
    }

    async fn ask(&self, call: &Call<'_>, text: &str, policy: &str) -> Result<Report, Error> {
        let authorization = bearer(self.key.get(call)?);
        let headers = [("Authorization", &*authorization)];
        let endpoint = self.settings.server_endpoint.trim_end_matches('/');
        let body = json!({
            "content_data": [{"text": text}],
            "policy_id": policy,
            "wait_for_completion": true,
        });
        let answer = self
            .service
            .post_patiently(&format!("{endpoint}/v1/jobs"), &headers, &body, &PATIENCE)
            .await;
        let answer = answer.map_err(|error| call.failed(error))?;
        let answer = serde_json::from_value::<Answer>(answer);
        let job = answer.map_err(|error| call.failed(error))?.job;
        if job.status != "JOB_STATUS_COMPLETED" {
            return Err(call.failed("Clavata's job is not completed"));
        }
        let Ok([result]) = <[JobResult; 1]>::try_from(job.results) else {
            return Err(call.failed("Clavata's job does not have one result"));
        };
        match result.report.result {
            Match::Failed => Err(call.failed("Clavata's job failed")),
            _ => Ok(result.report),
        }
    }
}

impl Check for Clavata {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move { self.check(&call).await })
    }

    fn accept(&self, flow: &Flow, _: &FlowReference) -> Result<(), Unusable> {
        self.key.accept()?;
        let rail = match flow.place {
            Place::Output => "output",
            _ => "input",
        };
        let options = self.settings.options(rail);
        let policy = options.and_then(|options| self.settings.policy_id(&options.policy));
        policy
            .map(|_| ())
            .map_err(|message| Unusable::Unready(vec![message]))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Trial, *};
    use crate::{http::testing::json as answer, verdict::Outcome};

    const ENVIRONMENT: &[(&str, &str)] = &[(KEY, "secret")];

    fn config(logic: &str, labels: &str) -> String {
        format!(
            "rails: {{config: {{clavata: {{server_endpoint: 'URL/', label_match_logic: {logic}, policies: {{Threats: '{{0000000000000000000000000000ABCD}}'}}, output: {{policy: Threats, labels: {labels}}}}}}}}}"
        )
    }

    fn report(result: &str, sections: &[(&str, &str)]) -> Value {
        let sections = sections
            .iter()
            .map(|(name, result)| json!({"name": name, "message": "", "result": result}));
        let report = json!({
            "result": result,
            "sectionEvaluationReports": sections.collect::<Vec<_>>(),
        });
        json!({"job": {"status": "JOB_STATUS_COMPLETED", "results": [{"report": report}]}})
    }

    async fn passes(config: &str, body: &Value) -> Option<bool> {
        let trial = Trial::new(&RAIL, config, ENVIRONMENT, vec![answer(200, body)]).await;
        let outcome = trial.judge("clavata check output", "x").await;
        let received = trial.received();
        assert!(received[0].head.contains("authorization: Bearer secret"));
        assert_eq!(
            received[0].json(),
            json!({
                "content_data": [{"text": "x"}],
                "policy_id": "00000000-0000-0000-0000-00000000abcd",
                "wait_for_completion": true,
            })
        );
        outcome.ok().map(|outcome| outcome == Outcome::Allow)
    }

    const YES: &str = "OUTCOME_TRUE";
    const NO: &str = "OUTCOME_FALSE";
    const FAILED: &str = "OUTCOME_FAILED";
    const OPEN: &str = "OUTCOME_UNSPECIFIED";

    #[tokio::test]
    async fn without_labels_the_policy_counts() {
        let config = config("ANY", "[]");
        for (result, expected) in [
            (YES, Some(false)),
            (NO, Some(true)),
            (FAILED, None),
            (OPEN, None),
            ("?", None),
        ] {
            let body = report(result, &[("A", NO)]);
            assert_eq!(passes(&config, &body).await, expected, "{result}");
        }
    }

    #[tokio::test]
    async fn with_labels_only_they_count() {
        for (logic, sections, expected) in [
            ("ANY", &[("A", NO), ("B", YES)] as &[_], Some(false)),
            ("ANY", &[("C", YES)], Some(true)),
            ("ANY", &[("A", NO), ("B", OPEN)], None),
            ("ANY", &[("A", YES), ("B", FAILED)], Some(false)),
            ("ALL", &[("A", YES), ("B", YES), ("C", NO)], Some(false)),
            ("ALL", &[("A", YES)], Some(true)),
            ("ALL", &[("A", YES), ("B", OPEN)], None),
            ("ALL", &[("A", NO), ("B", OPEN)], Some(true)),
        ] {
            let body = report(YES, sections);
            let config = config(logic, "[A, B]");
            assert_eq!(
                passes(&config, &body).await,
                expected,
                "{logic} {sections:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_job_without_one_result_is_no_verdict() {
        let config = config("ANY", "[]");
        for body in [
            json!({}),
            json!({"job": {"status": "JOB_STATUS_COMPLETED", "results": []}}),
            json!({"job": {"status": "JOB_STATUS_RUNNING", "results": []}}),
            json!({"job": {"status": "JOB_STATUS_FAILED", "results": []}}),
        ] {
            assert_eq!(passes(&config, &body).await, None, "{body}");
        }
    }

    #[tokio::test]
    async fn a_busy_service_is_asked_again() {
        let busy = || answer(429, &json!({}));
        let answers = vec![busy(), busy(), answer(200, &report(NO, &[]))];
        let trial = Trial::new(&RAIL, &config("ANY", "[]"), ENVIRONMENT, answers).await;
        let outcome = trial.judge("clavata check output", "x").await;
        assert_eq!(outcome.unwrap(), Outcome::Allow);
        assert_eq!(trial.received().len(), 3);
    }

    #[test]
    fn uuids_have_many_forms() {
        for text in [
            "00000000-0000-0000-0000-000000abcdef",
            "{00000000-0000-0000-0000-000000ABCDEF}",
            "urn:uuid:00000000000000000000000000abcdef",
        ] {
            let expected = Some("00000000-0000-0000-0000-000000abcdef".to_owned());
            assert_eq!(canonical_uuid(text), expected, "{text}");
        }
        for text in [
            "",
            "Threats",
            "0000000000000000000000000000000é",
            "+0000000000000000000000000000000",
        ] {
            assert_eq!(canonical_uuid(text), None, "{text}");
        }
    }
}
