//! The crate from outside, a module a promise.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod cut;
mod refused;
mod streaming;
mod support;
mod tidy;
mod untouched;
