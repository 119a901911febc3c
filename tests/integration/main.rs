//! The crate from outside, a module a promise.

mod cut;
mod refused;
mod streaming;
mod support;
mod tidy;
mod untouched;
