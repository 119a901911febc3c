//! The rails at work: plans, checks, turns, streams.

mod dialog;
mod event;
pub(crate) mod flows;
mod generate;
mod history;
mod llm_rails;
mod log;
mod messages;
mod options;
mod response;
mod state;
mod streaming;
mod turn;
mod windows;

pub use llm_rails::{LlmRails, LlmRailsBuilder};
pub use log::{
    ActivatedRail, ExecutedAction, ExplainInfo, GenerationLog, GenerationStats, ModelCall,
};
pub use options::{GenerationOptions, LogOptions, OutputVars, RailSwitch, RailsOptions};
pub use response::{GenerationRequest, GenerationResponse, RailStatus, RailType, RailsResult};
pub use state::State;
pub use streaming::{Chunk, ChunkStream, StreamRequest};
