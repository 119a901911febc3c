//! What an action's outcome answers in flows that were written for versions of the reference before 0.24.

use serde_json::{Map, Value};

use super::{Decision, Finding};

/// The bare value that an action of a check returned before version 0.24, which the verdict of today still answers as.
///
/// An action without one came with 0.24 itself, or gives no verdict: flows see the verdict alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answers {
    /// The verdict alone.
    Verdict,
    /// Whether the text is allowed: `if not $allowed`.
    Allowed,
    /// Whether something was found that blocks: `if $is_jailbreak`.
    Found,
    /// The entry of the metadata under this name, such as a score: `if $accuracy < 0.5`.
    Entry(&'static str),
    /// A mapping: `$response["allowed"]`, `$result.max_risk_score`.
    Mapping(&'static [(&'static str, Part)]),
    /// The whole metadata.
    Metadata,
    /// The text, rewritten or not: `$user_message = execute mask_sensitive_data(…)`.
    Text,
}

/// Where an entry of a mapping comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// Whether the text is allowed.
    Allowed,
    /// Whether it is not.
    Blocked,
    /// The verdict's reason.
    Reason,
    /// The text, rewritten or not.
    Text,
    /// The entry of the metadata under the same name.
    Metadata,
}

impl Answers {
    /// The value of `finding`, of an action that was called with `arguments`; none where the verdict stands alone.
    pub(crate) fn of(self, finding: &Finding, arguments: &Map<String, Value>) -> Option<Value> {
        let entry = |name: &str| finding.metadata.get(name).cloned().unwrap_or_default();
        // A check that takes chunks away has found something, though it blocks nothing.
        let passes = finding.decision == Decision::Allow;
        Some(match self {
            Self::Verdict => return None,
            Self::Allowed => passes.into(),
            Self::Found => (!passes).into(),
            Self::Entry(name) => entry(name),
            Self::Metadata => finding.metadata.clone().into(),
            Self::Mapping(parts) => {
                let entries = parts.iter().map(|(name, part)| {
                    let value = match part {
                        Part::Allowed => passes.into(),
                        Part::Blocked => (!passes).into(),
                        Part::Reason => finding.reason.clone().into(),
                        Part::Text => text_of(finding, arguments),
                        Part::Metadata => entry(name),
                    };
                    ((*name).to_owned(), value)
                });
                Value::Object(entries.collect())
            }
            Self::Text => text_of(finding, arguments),
        })
    }
}

/// The text that a check rewrote, else the one that it was given.
fn text_of(finding: &Finding, arguments: &Map<String, Value>) -> Value {
    let rewritten = match &finding.decision {
        Decision::Rewrite(texts) => texts.first(),
        _ => None,
    };
    match rewritten {
        Some((_, text)) => text.clone().into(),
        None => arguments.get("text").cloned().unwrap_or_default(),
    }
}

impl Answers {
    /// What it is, for the docs; none where the verdict stands alone.
    pub(super) fn about(self) -> Option<String> {
        Some(match self {
            Self::Verdict => return None,
            Self::Allowed => "answers `True` where the text is allowed".to_owned(),
            Self::Found => "answers `True` where it blocks".to_owned(),
            Self::Entry(name) => format!("answers its `{name}`"),
            Self::Mapping(parts) => {
                let keys: Vec<String> = parts.iter().map(|(key, _)| format!("`{key}`")).collect();
                format!("answers a mapping of {}", keys.join(", "))
            }
            Self::Metadata => "answers its metadata".to_owned(),
            Self::Text => "answers the text".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::RAILS, *};
    use crate::value::{Arguments, Value as Py};

    /// What flows see of `finding`, of the action `name`.
    fn seen(name: &str, finding: &Finding) -> Py {
        let (_, action) = super::super::find_action(name).unwrap();
        let arguments = json!({"text": "old"});
        Py::from_json(&action.outcome(finding, arguments.as_object().unwrap()))
    }

    #[test]
    fn truth_values_have_each_actions_own_meaning() {
        let cases = [
            ("self_check_input", true),
            ("self_check_output", true),
            ("hf_classifier_check_input", true),
            ("self_check_hallucination", false),
            ("check_hallucination", false),
            ("jailbreak_detection_heuristics", false),
            ("jailbreak_detection_model", false),
            ("detect_sensitive_data", false),
            ("detect_pii", false),
            ("gliner_detect_pii", false),
            ("polygraf_detect_pii", false),
            ("ClavataCheckAction", false),
            ("call fiddler safety on user message", false),
            ("call fiddler faithfulness", false),
        ];
        for (name, when_allowed) in cases {
            for (finding, expected) in [
                (Finding::allow(), when_allowed),
                (Finding::block(), !when_allowed),
            ] {
                let value = seen(name, &finding);
                assert_eq!(value.is_truthy(), expected, "{name}");
                assert_eq!(value, Py::from(expected), "{name}");
                assert_eq!(value.to_string(), Py::from(expected).to_string(), "{name}");
                let blocked = value.get("is_blocked").unwrap();
                assert_eq!(blocked, Py::from(finding.is_block()), "{name}");
            }
        }
    }

    #[test]
    fn a_check_that_takes_chunks_away_has_found_something() {
        let finding = Finding::rewrite("relevant_chunks", "");
        assert!(!seen("hf_classifier_check_retrieval", &finding).is_truthy());
    }

    #[test]
    fn scores_are_numbers() {
        let cases = [
            ("self_check_facts", "accuracy"),
            ("alignscore_check_facts", "accuracy"),
            ("autoalign_groundedness_output_api", "score"),
            ("autoalign_factcheck_output_api", "score"),
        ];
        for (name, key) in cases {
            let value = seen(name, &Finding::block().with(key, 0.25));
            assert_eq!(value, Py::from(0.25), "{name}");
            assert_eq!(value.to_string(), "0.25", "{name}");
        }
    }

    #[test]
    fn mappings_have_the_keys_of_earlier_versions() {
        let risk = json!({"Toxic": 0.9});
        let cases = [
            (
                "content_safety_check_input",
                Finding::block().with("policy_violations", json!(["S1"])),
                "{'allowed': False, 'policy_violations': ['S1']}",
            ),
            (
                "llama_guard_check_output",
                Finding::allow().with("policy_violations", json!([])),
                "{'allowed': True, 'policy_violations': []}",
            ),
            (
                "topic_safety_check_input",
                Finding::block(),
                "{'on_topic': False}",
            ),
            (
                "call gcpnlp api",
                Finding::allow()
                    .with("max_risk_score", 0.9)
                    .with("violations", risk.clone())
                    .with("threshold_mode", "simple"),
                "{'max_risk_score': 0.9, 'violations': {'Toxic': 0.9}}",
            ),
            (
                "call activefence api",
                Finding::allow()
                    .with("max_risk_score", 0.9)
                    .with("violations", risk),
                "{'max_risk_score': 0.9, 'violations': {'Toxic': 0.9}}",
            ),
            (
                "trend_ai_guard",
                Finding::block().because("bad").with("action", "Block"),
                "{'action': 'Block', 'reason': 'bad', 'blocked': True}",
            ),
            (
                "patronus_api_check_output",
                Finding::allow().with("pass", true),
                "{'pass': True}",
            ),
            (
                "detect_regex_pattern",
                Finding::block()
                    .with("is_match", true)
                    .with("text", "x")
                    .with("detections", json!(["x"]))
                    .with("source", "input"),
                "{'is_match': True, 'text': 'x', 'detections': ['x']}",
            ),
        ];
        for (name, finding, expected) in cases {
            let value = seen(name, &finding);
            assert_eq!(value.to_string(), expected, "{name}");
            assert!(value.is_truthy(), "{name}");
        }
    }

    #[test]
    fn a_mapping_is_read_by_key_attribute_and_method() {
        let finding = Finding::block()
            .with("max_risk_score", 0.9)
            .with("violations", json!({"a": 0.7}));
        let mut value = seen("call_activefence_api", &finding);
        let violations = value.item(&"violations".into()).unwrap();
        assert_eq!(violations, value.get("violations").unwrap());
        assert_eq!(value.get("max_risk_score").unwrap(), Py::from(0.9));
        let get = Arguments::positional([Py::from("max_risk_score"), Py::from(0)]);
        assert_eq!(value.call_method("get", &get).unwrap(), Py::from(0.9));
        // What neither has is an error, not nothing: nothing would count as false, and let the text pass.
        assert!(value.item(&"alowed".into()).is_err());
        assert_eq!(value.get("is_blockd"), None);
    }

    #[test]
    fn masks_are_the_text() {
        for name in [
            "mask_sensitive_data",
            "mask_pii",
            "gliner_mask_pii",
            "polygraf_mask_pii",
        ] {
            let masked = seen(name, &Finding::rewrite("user_message", "new"));
            assert_eq!(masked.to_string(), "new", "{name}");
            let same = seen(name, &Finding::allow());
            assert_eq!(same, Py::from("old"), "{name}");
        }
    }

    #[test]
    fn an_outcome_outlives_json() {
        for finding in [Finding::allow(), Finding::block().because("why")] {
            let value = seen("self_check_input", &finding);
            let again = Py::from_json(&value.to_json());
            assert_eq!(again.is_truthy(), value.is_truthy());
            assert_eq!(again.get("reason"), value.get("reason"));
        }
    }

    /// The actions of earlier versions all answer as they did; these came with 0.24, or give no verdict.
    #[test]
    fn every_action_says_what_it_answers() {
        let verdicts_alone: Vec<&str> = RAILS
            .iter()
            .flat_map(|rail| rail.actions)
            .filter(|action| action.answers == Answers::Verdict)
            .map(|action| action.name)
            .collect();
        assert_eq!(
            verdicts_alone,
            [
                "alignscore request",
                "detect_language",
                "f5_guardrails_scan",
                "tool_call_validation",
                "tool_result_validation"
            ]
        );
    }
}
