//! The rails at work: plans, checks, turns, streams.

mod asked_models;
mod check;
mod dialog;
mod dialogue;
mod event;
mod events;
mod findings;
pub(crate) mod flows;
mod generate;
mod inspect;
mod iorails;
mod library_flows;
mod library_rails;
mod llm_rails;
mod log;
mod messages;
mod needed_actions;
mod options;
mod own_rails;
mod plan;
mod response;
mod run;
mod stage;
mod state;
pub(crate) mod stream;
mod streaming;
mod tools;
mod tracer;
mod turn;
mod windows;
#[cfg(test)]
mod work;

pub use check::{Blocked, OnRailError};
pub(crate) use check::{Checked, Policy};
pub(crate) use dialog::{Attachments, Piece, Report, Sink};
pub use inspect::{Inspection, ModelFacts, OutputFacts, PromptFacts, RailsFacts, SectionFacts};
pub use iorails::{IoRails, IoRailsBuilder};
pub use llm_rails::{LlmRails, LlmRailsBuilder};
pub use log::{
    ActivatedRail, ExecutedAction, ExplainInfo, GenerationLog, GenerationStats, ModelCall,
};
pub use needed_actions::{ActionCall, NeededAction, Provider};
pub use options::{GenerationOptions, LogOptions, OutputVars, RailSwitch, RailsOptions};
pub(crate) use plan::RailSet;
pub use response::{GenerationRequest, GenerationResponse, RailStatus, RailType, RailsResult};
pub(crate) use stage::{Powers, Stage};
pub use state::State;
pub use streaming::{Chunk, ChunkStream, StreamRequest};
pub(crate) use tools::{calls_of_text, calls_text};
