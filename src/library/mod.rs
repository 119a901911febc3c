//! The built-in rails, one file each, declared.
//!
//! A rail is a [`Rail`]: its flows with their places, the actions that they execute, how a verdict becomes a refusal, its
//! settings and what it needs. [`RAILS`] lists them all; to add one, write its file and add its line here. From the one
//! declaration come the compiled rail, the Colang flow and the row in the docs.

mod call;
mod chat;
mod compiled;
mod content_safety;
mod docs;
mod privateai;
mod rail;
mod regex;
mod self_check;
mod self_check_facts;
mod service;
#[cfg(test)]
mod testing;
mod tool_validation;
mod witness;

pub use call::{Call, Decision, Finding};
pub(crate) use call::{Question, Scene, text_variable};
pub(crate) use compiled::{CompiledFlow, Shared};
pub use docs::markdown;
pub use rail::{
    Ask, AskContext, Bound, BuildContext, Built, Check, Exception, Flow, INFORM_ANSWER_UNKNOWN,
    Judge, Key, Need, PatternRail, REFUSE_TO_RESPOND, Rail, RailAction, Refusal, Section, Subject,
    ToolContext, Unusable,
};
pub(crate) use rail::{RAIL_TIMEOUT, SHARED_MESSAGES};
pub(crate) use tool_validation::{Toolset, check_calls, check_results, result_faults};
pub(crate) use witness::{Asked, Seen, Witness};

/// Every built-in rail, alphabetic.
pub static RAILS: &[&Rail] = &[
    &content_safety::RAIL,
    &privateai::RAIL,
    &regex::RAIL,
    &self_check::RAIL,
    &self_check_facts::RAIL,
    &tool_validation::RAIL,
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

/// The declaration of the rail with the action `name`, and the action.
pub fn find_action(name: &str) -> Option<(&'static Rail, &'static RailAction)> {
    RAILS.iter().find_map(|rail| {
        let action = rail.actions.iter().find(|action| action.name == name)?;
        Some((*rail, action))
    })
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
