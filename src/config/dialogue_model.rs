//! `dialogue:`: whom a layer's dialogue asks.

use serde::Serialize;

use super::{
    read::{Read, Report},
    yaml::Node,
};

/// The model that the dialogue of a [`GuardrailsLayer`](crate::GuardrailsLayer) asks. [`LlmRails`](crate::LlmRails) always asks
/// the configuration's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DialogueModel {
    /// The service under the layer, with the client's own model, headers and parameters.
    #[default]
    Service,
    /// The configuration's model of type `main`.
    OwnModel,
}

impl Read for DialogueModel {
    fn read(node: &Node, path: &str, report: &mut Report) -> Option<Self> {
        match node.as_str() {
            Some("service") => Some(Self::Service),
            Some("own_model") => Some(Self::OwnModel),
            _ => {
                let message = format!("`{path}` must be `service` or `own_model`");
                report.fault(&node.at, message);
                None
            }
        }
    }
}
