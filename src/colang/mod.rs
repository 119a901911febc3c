//! The Colang language, both versions.
//!
//! A program is text first: [`v1::parse`] makes flows and messages of it, with a [`Fault`](crate::error::Fault) for each
//! place that is wrong. An interpreter then decides what follows an event; it never awaits anything itself.

pub mod expr;
pub mod v1;
pub mod v2;

mod diagnostic;
mod source;
