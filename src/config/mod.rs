//! `RailsConfig`: what a rails directory holds, loaded, merged and validated.
//!
//! Every file is read into a tree that knows the place of each key; the trees are joined; the typed sections are read
//! off the joined tree. Faults are collected on the way and reported together.

mod colang_version;
mod defaults;
mod dialogue_model;
mod files;
mod flow_reference;
mod ignore;
mod join;
mod load;
mod merge;
mod models;
mod prompts;
mod prompts_directory;
mod python;
mod python_files;
mod python_tokens;
mod rail_options;
mod rail_sections;
mod rail_shapes;
mod rails;
mod rails_config;
mod read;
mod secrets;
mod sections;
mod suggest;
mod validate;
mod yaml;

#[cfg(test)]
mod tests;

pub(crate) use prompts_directory::read_prompts_directory;
pub(crate) use read::bool_of_text;
pub(crate) use suggest::nearest;
pub(crate) use yaml::Places;

pub use dialogue_model::DialogueModel;
pub use flow_reference::FlowReference;
pub use load::RailsConfigLoader;
pub use models::{CacheStats, ModelCache, ModelConfig, ModelMode};
pub use prompts::{MessageTemplate, PromptMessage, TaskPrompt};
pub use python::PythonConfig;
pub use rail_options::RailOptions;
pub use rail_sections::RailSections;
pub use rails::{
    ActionRails, DialogRails, InputRails, OutputRails, RailSection, Rails, SingleCallConfig,
    StreamingConfig, UserMessagesConfig,
};
pub use rails_config::{ColangFile, RailsConfig};
pub use sections::{
    CoreConfig, Document, EmbeddingSearchProvider, EmbeddingsCacheConfig, Instruction,
    KnowledgeBaseConfig, MetricsConfig, TracingConfig,
};

/// The value of an environment variable, if it is set and is Unicode. All reading of the environment goes through here.
pub(crate) fn environment_variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
