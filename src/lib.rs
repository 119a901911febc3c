#![doc = include_str!("../README.md")]

// Modules in reading order: top room first. `tests/integration/tidy.rs` keeps the arrows between them.
pub mod actions;
pub mod blocking;
pub mod colang;
pub mod config;
pub mod embeddings;
pub mod error;
pub mod framing;
#[allow(
    dead_code,
    reason = "more of it is used by services that are not in yet"
)]
mod http;
pub mod kb;
pub mod layer;
pub mod library;
#[allow(
    dead_code,
    unused_imports,
    reason = "the cache of answers and some guards' parsers are not in use yet"
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
    rails::{IoRails, IoRailsBuilder, LlmRails, LlmRailsBuilder},
    verdict::GuardrailsVerdict,
};
