//! The built-in rails, one file each, declared.
//!
//! A rail is a [`Rail`]: its flow names with their places, and how it is compiled from a config. [`RAILS`] lists
//! them all; to add one, write its file and add its line here.

mod rail;
mod regex;
mod self_check;

pub(crate) use rail::RAIL_TIMEOUT;
pub use rail::{Ask, AskContext, CompileContext, Judge, PatternRail, Rail, Subject};

/// Every built-in rail, alphabetic.
pub static RAILS: &[&Rail] = &[&regex::RAIL, &self_check::RAIL];

/// The declaration of the rail with the flow `name`, and the place that the flow stands at.
///
/// ```
/// let (_, place) = tower_guardrails::library::find("regex check output").unwrap();
/// assert_eq!(place, tower_guardrails::verdict::Place::Output);
/// ```
pub fn find(name: &str) -> Option<(&'static Rail, crate::verdict::Place)> {
    RAILS.iter().find_map(|rail| {
        let flow = rail.flows.iter().find(|(flow, _)| *flow == name)?;
        Some((*rail, flow.1))
    })
}
