//! The built-in rails, one file each, declared.
//!
//! A rail is a [`Rail`]: its flows with their places, the actions that they execute, how a verdict becomes a refusal, its
//! settings and what it needs. [`RAILS`] lists them all; to add one, write its file and add its line here. From the one
//! declaration come the compiled rail, the Colang flow and the row in the docs.

mod activefence;
mod ai_defense;
mod alignscore;
mod answers;
mod autoalign;
mod call;
mod chat;
mod clavata;
mod cleanlab;
mod compiled;
mod content_safety;
mod context_bloat_detection;
mod crowdstrike_aidr;
mod docs;
mod f5;
mod fiddler;
mod gcp_moderate_text;
mod gliner;
mod guardrails_ai;
mod hallucination;
mod hf_classifier;
mod injection_detection;
mod jailbreak_detection;
mod llama_guard;
mod pangea;
mod patronus_api;
mod patronus_lynx;
mod pii;
mod policyai;
mod polygraf;
mod privateai;
mod prompt_security;
mod rail;
mod regex;
mod self_check;
mod self_check_facts;
mod sensitive_data;
mod service;
mod source;
#[cfg(test)]
mod testing;
mod tool_validation;
mod topic_safety;
mod trend_micro;
mod unknown_keys;
mod witness;

pub use answers::{Answers, Part};
pub use call::{Call, Decision, Finding};
pub(crate) use call::{Question, Scene, shown_verdict, text_variable};
pub(crate) use compiled::{CompiledFlow, Shared};
pub use docs::markdown;
pub use rail::{
    Ask, AskContext, Bound, BuildContext, Built, Check, Exception, Flow, INFORM_ANSWER_UNKNOWN,
    Judge, Key, Need, PatternRail, REFUSE_TO_RESPOND, Rail, RailAction, Reach, Refusal, Rewriter,
    Rewritten, Section, Subject, ToolContext, Unusable,
};
pub(crate) use rail::{RAIL_TIMEOUT, SHARED_MESSAGES};
pub(crate) use tool_validation::{Toolset, check_results, result_faults, validate_calls};
pub(crate) use unknown_keys::unknown_keys;
pub(crate) use witness::{Asked, Seen, Witness};

/// Every built-in rail, alphabetic.
pub static RAILS: &[&Rail] = &[
    &activefence::RAIL,
    &ai_defense::RAIL,
    &alignscore::RAIL,
    &autoalign::RAIL,
    &clavata::RAIL,
    &cleanlab::RAIL,
    &content_safety::RAIL,
    &context_bloat_detection::RAIL,
    &crowdstrike_aidr::RAIL,
    &f5::RAIL,
    &fiddler::RAIL,
    &gcp_moderate_text::RAIL,
    &gliner::RAIL,
    &guardrails_ai::RAIL,
    &hallucination::RAIL,
    &hf_classifier::RAIL,
    &injection_detection::RAIL,
    &jailbreak_detection::RAIL,
    &llama_guard::RAIL,
    &pangea::RAIL,
    &patronus_api::RAIL,
    &patronus_lynx::RAIL,
    &policyai::RAIL,
    &polygraf::RAIL,
    &privateai::RAIL,
    &prompt_security::RAIL,
    &regex::RAIL,
    &self_check::RAIL,
    &self_check_facts::RAIL,
    &sensitive_data::RAIL,
    &tool_validation::RAIL,
    &topic_safety::RAIL,
    &trend_micro::RAIL,
];

/// The declaration of the rail with the flow `name`, and the flow.
///
/// ```
/// let (rail, flow) = tower_guardrails::library::find("regex check output").unwrap();
/// assert_eq!(rail.name, "regex");
/// assert_eq!(flow.place, tower_guardrails::verdict::Place::Output);
/// ```
pub fn find(name: &str) -> Option<(&'static Rail, &'static Flow)> {
    RAILS.iter().find_map(|rail| {
        let flow = rail.flows.iter().find(|flow| flow.name == name)?;
        Some((*rail, flow))
    })
}

/// The declaration of the rail with the action that flows call `name`, and the action; `DetectPiiAction` also finds `detect_pii`,
/// and so does the name that an action had in earlier versions.
pub fn find_action(name: &str) -> Option<(&'static Rail, &'static RailAction)> {
    let named = |name: &str| {
        RAILS.iter().find_map(|rail| {
            let named =
                |action: &&RailAction| action.name == name || action.earlier_name == Some(name);
            let action = rail.actions.iter().find(named)?;
            Some((*rail, action))
        })
    };
    named(name).or_else(|| named(&crate::actions::normalized(name)))
}

/// The built-in message of the bot's intent `intent`.
pub(crate) fn message(intent: &str) -> Option<&'static str> {
    messages()
        .find(|(known, _)| *known == intent)
        .map(|(_, text)| text)
}

/// The built-in messages: the bot's intents with their texts.
pub(crate) fn messages() -> impl Iterator<Item = (&'static str, &'static str)> {
    let own = RAILS.iter().flat_map(|rail| rail.messages);
    SHARED_MESSAGES.iter().chain(own).copied()
}
