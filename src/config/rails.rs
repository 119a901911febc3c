//! `rails:`: which rails stand where, and how.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

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
    /// `rails.retrieval`.
    pub retrieval: RailSection,
    /// `rails.tool_input`.
    pub tool_input: RailSection,
    /// `rails.tool_output`.
    pub tool_output: RailSection,
    /// `rails.dialog`.
    pub dialog: DialogRails,
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

/// A section of flows.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct RailSection {
    /// The flows, in order.
    pub flows: Vec<FlowReference>,
    /// Whether they run together.
    pub parallel: bool,
}

/// `rails.dialog`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct DialogRails {
    /// One call for intent, next step and message.
    pub single_call: SingleCall,
    /// How the user's intent is found.
    pub user_messages: UserMessages,
}

/// `rails.dialog.single_call`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SingleCall {
    /// Whether one call is made.
    pub enabled: bool,
    /// Whether several are made where one gives no answer.
    pub fallback_to_multiple_calls: bool,
}

impl Default for SingleCall {
    fn default() -> Self {
        Self {
            enabled: false,
            fallback_to_multiple_calls: true,
        }
    }
}

/// `rails.dialog.user_messages`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct UserMessages {
    /// Whether the closest example decides, without a model.
    pub embeddings_only: bool,
    /// How close it has to be, from 0 to 1.
    pub embeddings_only_similarity_threshold: Option<f64>,
    /// The intent where none is close enough.
    pub embeddings_only_fallback_intent: Option<String>,
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
