//! The crate from outside, a module a promise.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod config_errors;
mod cut;
mod flows;
mod limits;
mod models;
mod rails_docs;
mod refused;
mod servers;
mod servers_support;
mod streaming;
mod support;
mod tidy;
mod tower;
mod untouched;
