//! YAML as the reference's loader reads it, with the place of every key and value.

mod node;
mod parse;
mod scalar;

pub(crate) use node::{Key, Map, Node, NodeKind, Place};
pub(crate) use parse::parse;
