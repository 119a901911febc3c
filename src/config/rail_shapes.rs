//! What the reference asks of `rails.config`, whether or not the rails run: the types of the settings that it knows.
//!
//! Settings that are not here are nobody's concern but their rail's.

use super::{
    read::{Report, lenient_bool, lenient_float, lenient_integer},
    yaml::Node,
};
use crate::pattern::Patterns;

/// What a setting must be.
#[derive(Clone, Copy)]
enum Shape {
    Text,
    Bool,
    Integer(Limits),
    Number(Limits),
    /// A list of texts.
    Texts,
    /// A list of mappings.
    Mappings,
    Mapping,
    OneOf(&'static [&'static str]),
}

/// Which numbers a setting takes.
#[derive(Clone, Copy)]
enum Limits {
    Any,
    AboveZero,
    FromZero,
    FromOne,
    /// 0 to 1.
    Share,
    /// 0 to 8.
    BitsOfByte,
}

use Limits::{AboveZero, Any, BitsOfByte, FromOne, FromZero, Share};
use Shape::{Bool, Integer, Mapping, Mappings, Number, OneOf, Text, Texts};

/// The settings by their path under `rails.config`; one that may be null has a `?`.
const SETTINGS: &[(&str, Shape)] = &[
    ("ai_defense?", Mapping),
    ("ai_defense.timeout", Number(AboveZero)),
    ("ai_defense.fail_open", Bool),
    ("autoalign", Mapping),
    ("autoalign.parameters", Mapping),
    ("autoalign.input", Mapping),
    ("autoalign.input.guardrails_config", Mapping),
    ("autoalign.output", Mapping),
    ("autoalign.output.guardrails_config", Mapping),
    ("clavata?", Mapping),
    ("clavata.server_endpoint", Text),
    ("clavata.policies", Mapping),
    ("clavata.label_match_logic", OneOf(&["ANY", "ALL"])),
    ("clavata.input?", Mapping),
    ("clavata.input.policy", Text),
    ("clavata.input.labels", Texts),
    ("clavata.output?", Mapping),
    ("clavata.output.policy", Text),
    ("clavata.output.labels", Texts),
    ("content_safety?", Mapping),
    ("content_safety.multilingual", Mapping),
    ("content_safety.multilingual.enabled", Bool),
    ("content_safety.multilingual.refusal_messages?", Mapping),
    ("content_safety.reasoning", Mapping),
    ("content_safety.reasoning.enabled", Bool),
    ("context_bloat_detection?", Mapping),
    ("context_bloat_detection.max_chars", Integer(AboveZero)),
    ("context_bloat_detection.min_chars", Integer(FromZero)),
    ("context_bloat_detection.min_entropy", Number(BitsOfByte)),
    (
        "context_bloat_detection.max_repetition_ratio",
        Number(Share),
    ),
    ("context_bloat_detection.ngram_size", Integer(FromOne)),
    ("context_bloat_detection.max_run_ratio", Number(Share)),
    (
        "context_bloat_detection.action",
        OneOf(&["reject", "truncate", "warn"]),
    ),
    ("crowdstrike_aidr?", Mapping),
    ("crowdstrike_aidr.timeout", Number(Any)),
    ("f5?", Mapping),
    ("f5.api_url", Text),
    ("f5.fail_open", Bool),
    ("f5.max_retries", Integer(FromZero)),
    ("f5.max_retry_after_seconds", Number(FromZero)),
    ("f5.retry_backoff_seconds", Number(FromZero)),
    ("fact_checking", Mapping),
    ("fact_checking.parameters", Mapping),
    ("fact_checking.fallback_to_self_check", Bool),
    ("fiddler?", Mapping),
    ("fiddler.fiddler_endpoint", Text),
    ("fiddler.safety_threshold", Number(Any)),
    ("fiddler.faithfulness_threshold", Number(Any)),
    ("gliner?", Mapping),
    ("gliner.server_endpoint", Text),
    ("gliner.model", Text),
    ("gliner.api_key_env_var?", Text),
    ("gliner.threshold", Number(Share)),
    ("gliner.chunk_length", Integer(Any)),
    ("gliner.overlap", Integer(Any)),
    ("gliner.flat_ner", Bool),
    ("guardrails_ai?", Mapping),
    ("guardrails_ai.validators", Mappings),
    ("hf_classifier?", Mapping),
    ("injection_detection?", Mapping),
    ("injection_detection.injections", Texts),
    ("injection_detection.action", OneOf(&["reject", "omit"])),
    ("injection_detection.yara_path?", Text),
    ("injection_detection.yara_rules?", Mapping),
    ("jailbreak_detection?", Mapping),
    ("jailbreak_detection.server_endpoint?", Text),
    (
        "jailbreak_detection.length_per_perplexity_threshold",
        Number(AboveZero),
    ),
    (
        "jailbreak_detection.prefix_suffix_perplexity_threshold",
        Number(AboveZero),
    ),
    ("jailbreak_detection.nim_base_url?", Text),
    ("jailbreak_detection.nim_server_endpoint?", Text),
    ("jailbreak_detection.api_key?", Text),
    ("jailbreak_detection.api_key_env_var?", Text),
    ("jailbreak_detection.nim_url?", Text),
    ("jailbreak_detection.nim_port?", Integer(Any)),
    ("jailbreak_detection.embedding?", Text),
    ("pangea?", Mapping),
    ("pangea.input?", Mapping),
    ("pangea.input.recipe", Text),
    ("pangea.output?", Mapping),
    ("pangea.output.recipe", Text),
    ("patronus?", Mapping),
    ("patronus.input?", Mapping),
    ("patronus.input.evaluate_config", Mapping),
    ("patronus.input.evaluate_config.params", Mapping),
    ("patronus.output?", Mapping),
    ("patronus.output.evaluate_config", Mapping),
    ("patronus.output.evaluate_config.params", Mapping),
    ("polygraf?", Mapping),
    ("polygraf.server_endpoint", Text),
    ("privateai?", Mapping),
    ("privateai.server_endpoint", Text),
    ("regex_detection?", Mapping),
    ("sensitive_data_detection?", Mapping),
    ("sensitive_data_detection.recognizers", Mappings),
    ("trend_micro?", Mapping),
    ("trend_micro.v1_url", Text),
    ("trend_micro.api_key_env_var?", Text),
    ("trend_micro.application_name", Text),
    ("trend_micro.detailed_response", Bool),
];

/// Sections with the same settings for each place at which their rails stand.
const BY_PLACE: &[(&str, &[(&str, Shape)])] = &[
    ("gliner", &[("entities", Texts)]),
    ("polygraf", &[("entities", Texts)]),
    ("privateai", &[("entities", Texts)]),
    (
        "regex_detection",
        &[("patterns", Texts), ("case_insensitive", Bool)],
    ),
    (
        "sensitive_data_detection",
        &[
            ("entities", Texts),
            ("mask_token", Text),
            ("score_threshold", Number(Any)),
        ],
    ),
];

/// Settings that a mapping must have.
const REQUIRED: &[(&str, &str)] = &[
    ("clavata.input", "policy"),
    ("clavata.output", "policy"),
    ("pangea.input", "recipe"),
    ("pangea.output", "recipe"),
];

/// Notes settings of `rails.config` that are of the wrong type.
pub(super) fn check(sections: &Node, report: &mut Report) {
    for (path, shape) in SETTINGS {
        check_at(sections, path, *shape, report);
    }
    for (section, settings) in BY_PLACE {
        for place in ["input", "output", "retrieval"] {
            let path = format!("{section}.{place}");
            check_at(sections, &path, Mapping, report);
            for (key, shape) in *settings {
                check_at(sections, &format!("{path}.{key}"), *shape, report);
            }
        }
    }
    for (path, key) in REQUIRED {
        if let Some(mapping) = find(sections, path)
            && mapping.entries().is_some()
            && mapping.get(key).is_none()
        {
            let message = format!("`rails.config.{path}.{key}` is missing");
            report.fault(sections.place_of(path), message);
        }
    }
    check_patterns(sections, report);
}

fn find<'a>(sections: &'a Node, path: &str) -> Option<&'a Node> {
    path.split('.')
        .try_fold(sections, |node, key| node.get(key))
}

fn check_at(sections: &Node, path: &str, shape: Shape, report: &mut Report) {
    let (path, nullable) = match path.strip_suffix('?') {
        Some(path) => (path, true),
        None => (path, false),
    };
    let Some(node) = find(sections, path) else {
        return;
    };
    if node.is_null() {
        if !nullable {
            let message =
                format!("`rails.config.{path}` is left empty; fill it in or drop the key");
            report.fault(sections.place_of(path), message);
        }
        return;
    }
    if let Some(expected) = shape.missed_by(node) {
        let message = format!(
            "`rails.config.{path}` must be {expected}, not {}",
            node.as_str()
                .map_or_else(|| node.kind_name().to_owned(), |text| format!("`{text}`"))
        );
        report.fault(&node.at, message);
    }
}

impl Shape {
    /// What a setting should be, if `node` is not.
    fn missed_by(self, node: &Node) -> Option<String> {
        let each = |fits: fn(&Node) -> bool| {
            let items = node.items();
            items.is_some_and(|items| items.iter().all(fits))
        };
        let (fits, expected) = match self {
            Text => (node.as_str().is_some(), "a text".to_owned()),
            Bool => (lenient_bool(node).is_some(), "true or false".to_owned()),
            #[allow(
                clippy::cast_precision_loss,
                reason = "only compared with small numbers"
            )]
            Integer(limits) => (
                lenient_integer(node).is_some_and(|value| limits.hold(value as f64)),
                format!("a whole number{}", limits.words()),
            ),
            Number(limits) => (
                lenient_float(node).is_some_and(|value| limits.hold(value)),
                format!("a number{}", limits.words()),
            ),
            Texts => (
                each(|item| item.as_str().is_some()),
                "a list of texts".to_owned(),
            ),
            Mappings => (
                each(|item| item.entries().is_some()),
                "a list of mappings".to_owned(),
            ),
            Mapping => (node.entries().is_some(), "a mapping".to_owned()),
            OneOf(words) => (
                node.as_str().is_some_and(|text| words.contains(&text)),
                format!("one of `{}`", words.join("`, `")),
            ),
        };
        (!fits).then_some(expected)
    }
}

impl Limits {
    fn hold(self, value: f64) -> bool {
        match self {
            Any => true,
            AboveZero => value > 0.0,
            FromZero => value >= 0.0,
            FromOne => value >= 1.0,
            Share => (0.0..=1.0).contains(&value),
            BitsOfByte => (0.0..=8.0).contains(&value),
        }
    }

    fn words(self) -> &'static str {
        match self {
            Any => "",
            AboveZero => " above 0",
            FromZero => " of at least 0",
            FromOne => " of at least 1",
            Share => " from 0 to 1",
            BitsOfByte => " from 0 to 8",
        }
    }
}

/// Patterns are looked at even where no rail uses them.
fn check_patterns(sections: &Node, report: &mut Report) {
    for place in ["input", "output", "retrieval"] {
        let path = format!("regex_detection.{place}");
        let texts = find(sections, &format!("{path}.patterns")).and_then(Node::items);
        let texts: Vec<&str> = texts
            .unwrap_or_default()
            .iter()
            .filter_map(Node::as_str)
            .collect();
        let flag = find(sections, &format!("{path}.case_insensitive")).and_then(lenient_bool);
        let Err(errors) = Patterns::compile(&texts, flag.unwrap_or(false)) else {
            continue;
        };
        for error in errors {
            let path = format!("{path}.patterns[{}]", error.index);
            let message = format!("rails.config.{path}: the pattern cannot be compiled: {error}");
            report.fault(sections.place_of(&path), message);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::RailsConfig;

    fn faults(sections: &str) -> Vec<String> {
        let yaml = format!("models: []\nrails:\n  config:\n{sections}");
        match RailsConfig::from_content(&yaml, "") {
            Ok(_) => Vec::new(),
            Err(error) => error.faults.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn settings_of_the_wrong_type_are_faults_with_their_places() {
        let wrong = faults(
            "    jailbreak_detection: {length_per_perplexity_threshold: high, nim_port: '80'}\n    gliner:\n      input: {entities: PERSON}\n      threshold: 1.5\n    clavata: {input: {labels: []}, label_match_logic: any}\n    pangea:\n    privateai: {output:}\n    regex_detection: {output: {patterns: ['ok', 'a(']}}\n    mine: {anything: 3}\n",
        );
        let expected = [
            "line 4:60: `rails.config.jailbreak_detection.length_per_perplexity_threshold` must be a number above 0, not `high`",
            "line 6:25: `rails.config.gliner.input.entities` must be a list of texts, not `PERSON`",
            "line 7:18: `rails.config.gliner.threshold` must be a number from 0 to 1, not a number",
            "line 8:15: `rails.config.clavata.input.policy` is missing",
            "line 8:55: `rails.config.clavata.label_match_logic` must be one of `ANY`, `ALL`, not `any`",
            "line 10:17: `rails.config.privateai.output` is left empty; fill it in or drop the key",
        ];
        assert_eq!(
            wrong.get(..6),
            Some(expected.map(str::to_owned).as_slice()),
            "{wrong:#?}"
        );
        assert!(
            wrong[6].starts_with("line 11:49: rails.config.regex_detection.output.patterns[1]")
        );
        assert_eq!(wrong.len(), 7);
    }

    #[test]
    fn what_is_right_is_none() {
        let right = faults(
            "    f5: {max_retries: '3', fail_open: 'yes'}\n    content_safety:\n    injection_detection: {action: omit, yara_path:}\n    trend_micro: {v1_url: x}\n",
        );
        assert!(right.is_empty(), "{right:?}");
    }
}
