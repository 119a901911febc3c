#![doc = include_str!("../README.md")]

// Modules in reading order: top room first. `tests/integration/tidy.rs` keeps the arrows between them.
pub mod colang;
pub mod config;
#[allow(
    dead_code,
    unused_imports,
    reason = "the dialogue engine, which searches by them, is not in yet"
)]
pub mod embeddings;
pub mod error;
pub mod framing;
#[allow(
    dead_code,
    unused_imports,
    reason = "embedding providers use the rest of it"
)]
mod http;
#[allow(
    dead_code,
    unused_imports,
    reason = "the dialogue engine, which searches it, is not in yet"
)]
pub mod kb;
pub mod layer;
pub mod library;
#[allow(
    dead_code,
    unused_imports,
    reason = "the dialogue engine, which uses all of it, is not in yet"
)]
pub mod llm;
pub mod message;
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
    rails::{LlmRails, LlmRailsBuilder},
    verdict::GuardrailsVerdict,
};
