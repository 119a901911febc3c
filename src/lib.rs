#![doc = include_str!("../README.md")]

// Modules in reading order: top room first. `tests/integration/tidy.rs` keeps the arrows between them.
pub mod actions;
pub mod blocking;
pub mod colang;
mod compute;
pub mod config;
pub mod embeddings;
pub mod error;
pub mod framing;
mod http;
pub mod kb;
pub mod layer;
pub mod library;
pub mod llm;
pub mod message;
mod observe;
pub mod pattern;
pub mod rails;
pub mod value;
pub mod verdict;
pub mod wire;

pub use crate::{
    config::RailsConfig,
    error::{Error, Result},
    layer::GuardrailsLayer,
    message::{Message, Role},
    observe::capture_content,
    rails::{IoRails, IoRailsBuilder, LlmRails, LlmRailsBuilder},
    verdict::GuardrailsVerdict,
};
