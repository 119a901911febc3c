//! YAML as rails directories are written: PyYAML's reading of YAML 1.1, with the place of each key and value.

mod deserialize;
mod node;
mod parse;
mod scalar;

pub(super) use deserialize::from_node;
pub(super) use node::{Entry, Kind, Node};
pub(crate) use node::{Mark, Places};
pub(super) use parse::parse;
