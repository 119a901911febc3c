//! The crate from outside, a module a promise.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what fails here fails the test; clippy.toml allows it in the tests alone, not in their helpers"
)]

mod cut;
mod refused;
mod streaming;
mod support;
mod tidy;
mod untouched;
