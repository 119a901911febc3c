//! Python's pattern syntax: what is accepted, what is refused, and what it means.

pub(in crate::pattern) mod ast;
mod class;
mod flags;
mod group;
pub(in crate::pattern) mod parser;
pub(in crate::pattern) mod sets;
mod tokens;
