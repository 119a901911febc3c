//! The crate from outside, a module a promise.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod aws;
mod bypass_in;
mod colang2;
mod colang_docs;
mod config_errors;
mod cut;
mod dialogue;
mod endpoints;
mod flows;
mod formats;
mod history;
mod inspect;
mod limits;
mod media;
#[cfg(feature = "metrics")]
mod metered;
mod models;
mod monitor;
mod observed;
mod order;
mod outcomes;
mod places;
mod python;
mod rails_docs;
mod readings;
mod refused;
mod rewriting;
mod servers;
mod servers_support;
mod speculative;
mod streaming;
mod support;
mod tidy;
mod tool_formats;
mod tools;
mod tower;
mod traces;
mod unnoticed;
mod untouched;
mod watch;
mod wild;
