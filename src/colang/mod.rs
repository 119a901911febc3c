//! The Colang language, both versions.

pub mod expr;
