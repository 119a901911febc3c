//! `rails:`: which rails stand where, and how.

use serde::{Serialize, de::DeserializeOwned};

use super::{FlowReference, yaml::Node};
use crate::{error::Fault, verdict::Place};

/// `rails:`.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct Rails {
    /// The rails' own sections, raw: each rail types its own.
    #[serde(skip)]
    pub(crate) config: Option<Node>,
    /// `rails.input`.
    pub input: InputRails,
    /// `rails.output`.
    pub output: OutputRails,
    /// `rails.retrieval.flows`.
    pub retrieval: Vec<FlowReference>,
    /// `rails.tool_input.flows`.
    pub tool_input: Vec<FlowReference>,
    /// `rails.tool_output.flows`.
    pub tool_output: Vec<FlowReference>,
}

/// `rails.input`.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct InputRails {
    /// The flows, in order.
    pub flows: Vec<FlowReference>,
    /// Whether they run together.
    pub parallel: bool,
    /// Whether the main model is asked while they run.
    pub speculative_generation: bool,
}

/// `rails.output`.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct OutputRails {
    /// The flows, in order.
    pub flows: Vec<FlowReference>,
    /// Whether they run together.
    pub parallel: bool,
    /// `rails.output.streaming`, where the configuration has such a section.
    pub streaming: Option<StreamingConfig>,
}

/// `rails.output.streaming`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StreamingConfig {
    /// Whether a stream is checked as it comes rather than at its end.
    pub enabled: bool,
    /// How many new tokens are checked at a time.
    pub chunk_size: usize,
    /// How many tokens before them are shown to the rails, too.
    pub context_size: usize,
    /// Whether text leaves before it is checked; absent: the reference takes true, the layer false.
    pub stream_first: Option<bool>,
}

impl Default for StreamingConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            chunk_size: 200,
            context_size: 50,
            stream_first: None,
        }
    }
}

impl Rails {
    /// A rail's own section under `rails.config`, typed; the type's default where there is none.
    ///
    /// # Errors
    ///
    /// Where the section is not of the type, with its place.
    pub(crate) fn section<T: DeserializeOwned + Default>(&self, name: &str) -> Result<T, Fault> {
        let Some(node) = self
            .config
            .as_ref()
            .and_then(Node::as_map)
            .and_then(|sections| sections.get(name))
        else {
            return Ok(T::default());
        };
        serde_yaml::from_value(node.to_yaml())
            .map_err(|error| node.place.fault(format!("rails.config.{name}: {error}")))
    }

    /// A fault at a path under `rails.config`.
    pub(crate) fn section_fault(&self, path: &str, message: impl std::fmt::Display) -> Fault {
        let message = format!("rails.config.{path}: {message}");
        match &self.config {
            Some(node) => node.nearest(path).place.fault(message),
            None => Fault::new(message),
        }
    }

    /// A fault at a line of `rails.*.flows`.
    pub(crate) fn flow_fault(
        place: Place,
        flow: &FlowReference,
        message: impl std::fmt::Display,
    ) -> Fault {
        let section = match place {
            Place::Input => "input",
            Place::Output => "output",
            Place::Retrieval => "retrieval",
            Place::ToolInput => "tool_input",
            Place::ToolOutput => "tool_output",
        };
        flow.place
            .fault(format!("rails.{section}.flows: {message}"))
    }
}
