//! The rails at work: plans, checks, turns, streams.

mod check;
mod dialog;
mod event;
mod events;
pub(crate) mod flows;
mod generate;
mod history;
mod library_flows;
mod library_rails;
mod llm_rails;
mod log;
mod messages;
mod options;
mod plan;
mod response;
mod state;
pub(crate) mod stream;
mod streaming;
mod turn;
mod windows;
#[cfg(test)]
mod work;

pub(crate) use check::Checked;
pub use check::{Blocked, OnRailError};
pub use llm_rails::{LlmRails, LlmRailsBuilder};
pub use log::{
    ActivatedRail, ExecutedAction, ExplainInfo, GenerationLog, GenerationStats, ModelCall,
};
pub use options::{GenerationOptions, LogOptions, OutputVars, RailSwitch, RailsOptions};
pub use response::{GenerationRequest, GenerationResponse, RailStatus, RailType, RailsResult};
pub use state::State;
pub use streaming::{Chunk, ChunkStream, StreamRequest};
