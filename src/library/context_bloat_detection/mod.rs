//! `context bloat detection on input`, `context bloat detection on retrieval`: texts that are too long, or mostly padding.
//!
//! - What it checks: the length, then for texts that are not short how even the characters are spread (Shannon's entropy), the longest
//!   run of one character, and how often sequences of words come again. Lengths are in code points.
//! - Config: `rails.config.context_bloat_detection`.
//! - On block: a sentence of its own at each place. `action: truncate` cuts what is only too long, `action: warn` lets all pass.

mod measures;

use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use self::measures::{entropy, first_chars, longest_run, repetition, share};
use super::{
    Answers, BuildContext, Built, Call, Check, Finding, Flow, Key, Part, Rail, RailAction, Section,
    call::target_of,
    source::{INPUT, RETRIEVAL},
};
use crate::{
    error::{Error, Fault},
    verdict::Place,
};

const SECTION: &str = "context_bloat_detection";
const DETECT: &str = "context_bloat_detection";

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "context_bloat_detection",
    about: "Blocks or cuts texts that are oversized, padded or repetitive",
    flows: &[
        Flow::new("context bloat detection on input", Place::Input, DETECT)
            .arguments(INPUT)
            .rewrites()
            .says("refuse bloated input")
            .result("bloat_result"),
        Flow::new(
            "context bloat detection on retrieval",
            Place::Retrieval,
            DETECT,
        )
        .arguments(RETRIEVAL)
        .rewrites()
        .says("inform retrieval bloated")
        .result("bloat_result"),
    ],
    actions: &[RailAction::new(DETECT).answers(Answers::Mapping(&[
        ("is_bloat", Part::Metadata),
        ("action", Part::Metadata),
        ("text", Part::Text),
        ("reason", Part::Reason),
        ("detections", Part::Metadata),
        ("metrics", Part::Metadata),
    ]))],
    section: Some(Section {
        key: SECTION,
        keys: &[
            Key::new(
                "max_chars",
                "int > 0",
                "5000",
                "the longest text that is not oversized, in code points",
            ),
            Key::new(
                "min_chars",
                "int >= 0",
                "50",
                "how long a text must be for the other checks, in code points",
            ),
            Key::new(
                "min_entropy",
                "float, 0 to 8",
                "3.5",
                "the least entropy, in bits a character; prose has about 4",
            ),
            Key::new(
                "max_repetition_ratio",
                "float, 0 to 1",
                "0.4",
                "how much of the sequences of words may be repetitions",
            ),
            Key::new(
                "ngram_size",
                "int >= 1",
                "3",
                "how many words make a sequence",
            ),
            Key::new(
                "max_run_ratio",
                "float, 0 to 1",
                "0.1",
                "how much of the text may be one character over and over",
            ),
            Key::new(
                "action",
                "reject, truncate or warn",
                "reject",
                "what follows: a block, a cut where the text is only too long, or nothing but the finding",
            ),
        ],
    }),
    needs: &[],
    messages: &[
        (
            "refuse bloated input",
            "Your message appears oversized or padded with repetitive content. Please send a shorter message focused on your question.",
        ),
        (
            "inform retrieval bloated",
            "The retrieved sources for this question appeared oversized or padded. I'm not using them to avoid context manipulation.",
        ),
    ],
    build,
};

/// `rails.config.context_bloat_detection`.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Settings {
    max_chars: i64,
    min_chars: i64,
    min_entropy: f64,
    max_repetition_ratio: f64,
    ngram_size: i64,
    max_run_ratio: f64,
    action: Action,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_chars: 5000,
            min_chars: 50,
            min_entropy: 3.5,
            max_repetition_ratio: 0.4,
            ngram_size: 3,
            max_run_ratio: 0.1,
            action: Action::Reject,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Reject,
    Truncate,
    Warn,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::Reject => "reject",
            Self::Truncate => "truncate",
            Self::Warn => "warn",
        }
    }
}

/// The limits, checked.
#[derive(Debug, Clone, Copy)]
struct ContextBloat {
    max_chars: usize,
    min_chars: usize,
    min_entropy: f64,
    max_repetition_ratio: f64,
    ngram_size: usize,
    max_run_ratio: f64,
    action: Action,
}

fn build(context: &BuildContext<'_>) -> Built {
    let rails = &context.config.rails;
    let settings: Settings = rails.section(SECTION).map_err(|fault| vec![fault])?;
    let mut faults: Vec<Fault> = Vec::new();
    let mut require = |holds: bool, key: &str, bounds: &str| {
        if !holds {
            let path = format!("{SECTION}.{key}");
            let message = format!("`rails.config.{path}` must be {bounds}");
            faults.push(rails.section_fault(&path, message));
        }
    };
    let ratio = 0.0..=1.0;
    require(settings.max_chars > 0, "max_chars", "greater than 0");
    require(settings.min_chars >= 0, "min_chars", "at least 0");
    require(settings.ngram_size >= 1, "ngram_size", "at least 1");
    require(
        (0.0..=8.0).contains(&settings.min_entropy),
        "min_entropy",
        "between 0 and 8",
    );
    require(
        ratio.contains(&settings.max_repetition_ratio),
        "max_repetition_ratio",
        "between 0 and 1",
    );
    require(
        ratio.contains(&settings.max_run_ratio),
        "max_run_ratio",
        "between 0 and 1",
    );
    if !faults.is_empty() {
        return Err(faults);
    }
    let size = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
    Ok(Arc::new(ContextBloat {
        max_chars: size(settings.max_chars),
        min_chars: size(settings.min_chars),
        min_entropy: settings.min_entropy,
        max_repetition_ratio: settings.max_repetition_ratio,
        ngram_size: size(settings.ngram_size),
        max_run_ratio: settings.max_run_ratio,
        action: settings.action,
    }))
}

/// What is known of a text.
#[derive(Debug, Default)]
struct Evidence {
    detections: Vec<&'static str>,
    metrics: Map<String, Value>,
}

impl Evidence {
    fn finding(self, finding: Finding, action: Action) -> Finding {
        finding
            .with("is_bloat", !self.detections.is_empty())
            .with("action", action.name())
            .with("detections", self.detections)
            .with("metrics", self.metrics)
    }
}

impl ContextBloat {
    fn judge(&self, target: &'static str, text: &str) -> Finding {
        let chars = text.chars().count();
        let mut evidence = Evidence::default();
        evidence.metrics.insert("chars".to_owned(), json!(chars));
        let mut kept = text;
        if chars > self.max_chars {
            evidence.detections.push("size_cap_exceeded");
            match self.action {
                Action::Reject => return Self::reject(evidence),
                Action::Truncate => kept = first_chars(text, self.max_chars),
                Action::Warn => {}
            }
        }
        if chars >= self.min_chars && self.is_padded(kept, &mut evidence) {
            return Self::reject(evidence);
        }
        if evidence.detections.is_empty() {
            return evidence.finding(Finding::allow(), self.action);
        }
        let reason = evidence.detections.join(", ");
        let finding = if kept.len() == text.len() {
            Finding::allow()
        } else {
            Finding::rewrite(target, kept)
        };
        evidence.finding(finding.because(reason), self.action)
    }

    /// Looks at the text itself; whether that is a block.
    fn is_padded(&self, text: &str, evidence: &mut Evidence) -> bool {
        let mut note = |name: &'static str, metric: &str, value: f64, found: bool| {
            evidence.metrics.insert(metric.to_owned(), rounded(value));
            if found {
                evidence.detections.push(name);
            }
            found && self.action != Action::Warn
        };
        let chars = text.chars().count();
        let entropy = entropy(text, chars);
        if note(
            "low_entropy",
            "entropy",
            entropy,
            entropy < self.min_entropy,
        ) {
            return true;
        }
        let run = share(longest_run(text), chars);
        if note(
            "long_run",
            "longest_run_ratio",
            run,
            run > self.max_run_ratio,
        ) {
            return true;
        }
        let repetition = repetition(text, self.ngram_size);
        note(
            "high_repetition",
            "repetition_ratio",
            repetition,
            repetition > self.max_repetition_ratio,
        )
    }

    /// Blocks for what was found last.
    fn reject(evidence: Evidence) -> Finding {
        let reason = evidence.detections.last().copied().unwrap_or_default();
        evidence.finding(Finding::block().because(reason), Action::Reject)
    }
}

impl Check for ContextBloat {
    fn rewrites(&self, _: &Flow) -> bool {
        self.action == Action::Truncate
    }

    fn idle(&self, _: &Flow) -> Option<String> {
        (self.action == Action::Warn).then(|| {
            format!("`rails.config.{SECTION}.action` is `warn`, not `reject` or `truncate`")
        })
    }

    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move {
            let text = call.text("text").unwrap_or_default();
            // Flows of version 0.23 gave the text only.
            let source = match call.argument("source") {
                Some(_) => call.required("source")?,
                None if call.variable_text("relevant_chunks").as_deref() == Some(&*text) => {
                    "retrieval".into()
                }
                None => "input".into(),
            };
            let target = target_of(&source)
                .filter(|_| source != "output")
                .ok_or_else(|| {
                    call.failed(format!(
                        "`source` is `{source}`, not `input` or `retrieval`"
                    ))
                })?;
            Ok(self.judge(target, &text))
        })
    }
}

/// To three places, for the metadata.
fn rounded(value: f64) -> Value {
    // By its digits: a product would round once more.
    json!(format!("{value:.3}").parse().unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::testing::Trial, *};
    use crate::verdict::Outcome;

    const INPUT: &str = "context bloat detection on input";
    const PROSE: &str =
        "the grey heron waits beside a slow river while two boys skip flat stones across it";

    async fn judge(settings: &str, line: &str, text: &str) -> Outcome {
        let config = format!("rails: {{config: {{context_bloat_detection: {settings}}}}}");
        let trial = Trial::new(&RAIL, &config, &[], vec![]).await;
        trial.judge(line, text).await.unwrap()
    }

    fn reason(outcome: Outcome) -> String {
        match outcome {
            Outcome::Block(block) => block.reason.unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn each_check_blocks_by_itself() {
        assert_eq!(judge("{}", INPUT, PROSE).await, Outcome::Allow);
        let long = judge("{max_chars: 10}", INPUT, PROSE).await;
        assert_eq!(reason(long), "size_cap_exceeded");
        let same = judge("{}", INPUT, &"ab".repeat(30)).await;
        assert_eq!(reason(same), "low_entropy");
        let run = judge("{}", INPUT, &format!("{PROSE}{}", "!".repeat(30))).await;
        assert_eq!(reason(run), "long_run");
        let again = judge("{}", INPUT, &format!("{PROSE} ").repeat(3)).await;
        assert_eq!(reason(again), "high_repetition");
    }

    #[tokio::test]
    async fn lengths_are_in_code_points() {
        assert_eq!(judge("{max_chars: 4}", INPUT, "äöüß").await, Outcome::Allow);
        let cut = judge("{max_chars: 3, action: truncate}", INPUT, "äöüß").await;
        assert_eq!(cut, Outcome::Transform("äöü".to_owned()));
    }

    #[tokio::test]
    async fn a_cut_text_may_still_be_padding() {
        let text = "ab".repeat(200);
        let padded = judge("{max_chars: 100, action: truncate}", INPUT, &text).await;
        assert_eq!(reason(padded), "low_entropy");
        let warned = judge("{max_chars: 100, action: warn}", INPUT, &text).await;
        assert_eq!(warned, Outcome::Allow);
    }

    #[tokio::test]
    async fn each_place_has_its_message() {
        let line = "context bloat detection on retrieval";
        let text = "ab".repeat(200);
        let config = "rails: {config: {context_bloat_detection: {}}}";
        let trial = Trial::new(&RAIL, config, &[], vec![]).await;
        for (line, start) in [(INPUT, "Your message"), (line, "The retrieved sources")] {
            let Outcome::Block(block) = trial.judge(line, &text).await.unwrap() else {
                panic!("it passes");
            };
            assert!(block.message.unwrap().starts_with(start));
        }
    }

    proptest! {
        #[test]
        fn any_text_has_a_verdict(
            text in "(?s).{0,400}",
            words in "[ab \u{1c}\u{2028}é]{0,400}",
            max_chars in 1_usize..300,
            ngram_size in 1_usize..600,
            action in 0_usize..3,
        ) {
            let action = [Action::Reject, Action::Truncate, Action::Warn][action];
            let rail = ContextBloat {
                max_chars,
                min_chars: 0,
                min_entropy: 3.5,
                max_repetition_ratio: 0.4,
                ngram_size,
                max_run_ratio: 0.1,
                action,
            };
            for text in [text, words] {
                let finding = rail.judge("user_message", &text);
                prop_assert!(action != Action::Warn || !finding.is_block());
                prop_assert!(action != Action::Reject || text.chars().count() <= max_chars || finding.is_block());
            }
        }
    }
}
