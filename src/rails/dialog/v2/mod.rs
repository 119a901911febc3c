//! Colang 2.x: events in, events out; several actions run at once, and what they give comes in as they end.

mod actions;
mod driver;
mod flows;
mod generation;
mod judge;
mod lines;
mod messages;
mod modules;
mod moment;
mod turn;

pub(crate) use actions::has_action;
pub(super) use actions::is_system_action;
pub(crate) use flows::{Definitions, Flows};
pub(crate) use judge::judge;
pub(super) use lines::lines;
pub(crate) use lines::{called_actions, refused};
pub(crate) use turn::{answer, process_events};
