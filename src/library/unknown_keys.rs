//! Keys of rails' sections that no rail reads.

use super::RAILS;
use crate::{config::RailSections, error::Fault};

/// Keys that the reference knows and no rail here reads, so that directories which have them still load.
const PASSED_OVER: &[&str] = &[
    "hf_classifier.*.task",
    "jailbreak_detection.embedding",
    "patronus.input.evaluate_config.success_strategy",
    "patronus.input.evaluate_config.params",
];

/// Paths below which a service or a package says what may stand.
const OPEN: &[&str] = &["hf_classifier.*.parameters"];

/// The keys of `sections` that are those of no rail, with their places and what may be meant: a mistyped one leaves its rail
/// without what it should look for.
pub(crate) fn unknown_keys(sections: &RailSections) -> Vec<Fault> {
    let mut known: Vec<String> = Vec::new();
    for section in RAILS.iter().filter_map(|rail| rail.section.as_ref()) {
        for key in section.keys {
            let path = key.path.replace("NAME.", "*.");
            known.push(format!("{}.{path}", section.key));
        }
        if section.keys.is_empty() {
            known.push(section.key.to_owned());
        }
    }
    let more = PASSED_OVER.iter().chain(OPEN).copied();
    let known: Vec<&str> = known.iter().map(String::as_str).chain(more).collect();
    sections.unknown_keys(&known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RailsConfig;

    fn unknown(sections: &str) -> Vec<String> {
        let yaml = format!("models: []\nrails:\n  config:\n{sections}");
        let config = RailsConfig::from_content(&yaml, "").unwrap();
        let faults = unknown_keys(&config.rails.config);
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn mistyped_keys_are_found_at_any_depth() {
        let found = unknown(
            "    regex_detction: {}\n    clavata: {input: {polcy: x, policy: y}}\n    hf_classifier: {mine: {modl: x}}\n    guardrails_ai: {validators: [{nme: x}]}\n",
        );
        let expected = [
            "line 4:5: unknown key `rails.config.regex_detction`, which no rail reads; did you mean `regex_detection`?",
            "line 5:23: unknown key `rails.config.clavata.input.polcy`, which no rail reads; did you mean `policy`?",
            "line 6:28: unknown key `rails.config.hf_classifier.mine.modl`, which no rail reads; did you mean `model`?",
            "line 7:35: unknown key `rails.config.guardrails_ai.validators.nme`, which no rail reads; did you mean `name`?",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_rails_leave_open_and_what_the_reference_knows_is_no_fault() {
        let found = unknown(
            "    clavata: {policies: {any: '123'}}\n    hf_classifier: {mine: {engine: local, task: text-classification, parameters: {any: {thing: 1}}}}\n    jailbreak_detection: {embedding: x}\n    injection_detection: {yara_rules: {mine: 'rule x {condition: true}'}}\n    autoalign: {input: {guardrails_config: {pii: {mask: true}}}}\n",
        );
        assert!(found.is_empty(), "{found:?}");
    }
}
