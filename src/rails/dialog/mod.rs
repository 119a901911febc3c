//! A dialog turn: the flows decide, this room awaits what they ask for.
//!
//! `v1` and `v2` drive the flows of the two versions of Colang. What both share stands beside them: the engine, the dispatch of
//! actions, the calls of models, the examples of prompts.

mod actions;
mod call;
mod conversation;
mod engine;
mod flows;
mod generation;
mod handler;
mod index;
mod rail_call;
mod reference;
mod report;
mod text;
mod turn;
pub(crate) mod v1;
pub(crate) mod v2;

use actions::Called;
pub(crate) use actions::INTERNAL_ERROR;
pub(crate) use call::metadata_of;
pub(crate) use conversation::Conversation;
pub(crate) use engine::{Engine, Registered, shown_config};
pub(crate) use flows::Flows;
use generation::Asked;
pub(crate) use handler::{Handler, Piece};
pub(crate) use report::Report;
pub(crate) use turn::{Attachments, Sink, Turn};
