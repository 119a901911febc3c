//! Colang 1.0: one event at a time, each action awaited before the next.

mod definitions;
mod driver;
mod flows;
mod generation;
mod history;
mod output_rail;
mod parallel;
mod run;
mod start_action;
mod turn;

pub(crate) use definitions::{Defined, Definitions};
pub(crate) use flows::{Flows, OutputRail, built_in_flows};
pub(super) use generation::PendingMessage;
use history::{History, Recent};
pub(crate) use run::Run;
pub(crate) use start_action::has_action;
pub(super) use start_action::is_system_action;
pub(crate) use turn::{answer, generate_events};
