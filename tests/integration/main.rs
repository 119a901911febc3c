//! The crate from outside, a module a promise.

mod config_errors;
mod limits;
mod models;
mod servers;
mod servers_support;
mod tidy;
mod tower;
