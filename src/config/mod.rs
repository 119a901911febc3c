//! `RailsConfig`: what a rails directory holds, loaded, merged and validated.

mod models;
mod prompts;

pub use models::{CacheStats, ModelCache, ModelConfig, ModelMode};
pub use prompts::{MessageTemplate, PromptMessage, TaskPrompt};

/// A loaded rails directory.
#[derive(Debug, Clone)]
pub struct RailsConfig {}
