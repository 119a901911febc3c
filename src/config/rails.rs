//! The sections under `rails`, less `rails.config`.

use indexmap::IndexMap;
use serde::Serialize;

use super::{
    flow_reference::FlowReference,
    rail_options::{self, RailOptions},
    rail_sections::RailSections,
    read::{Fields, Read, Report, read_section},
    yaml::Node,
};
use crate::{
    error::Fault,
    verdict::{Enforcement, Place},
};

/// `rails`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
#[derive(Default)]
pub struct Rails {
    /// `rails.config`: the settings of the library rails, a section a rail.
    pub config: RailSections,
    /// Rails on what comes in.
    pub input: InputRails,
    /// Rails on what goes out.
    pub output: OutputRails,
    /// Rails on what the knowledge base gave.
    pub retrieval: RailSection,
    /// How the dialog is led.
    pub dialog: DialogRails,
    /// How actions are called.
    pub actions: ActionRails,
    /// Rails on the tool calls that the model makes.
    pub tool_output: RailSection,
    /// Rails on the results of tools.
    pub tool_input: RailSection,
    /// What becomes of single rails' verdicts and failures, by the rail's line or name; see
    /// [`rail_options`](Self::rail_options). A key of this crate, which the reference passes over.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub options: IndexMap<String, RailOptions>,
    /// Whether rails act on what they find, where `options` does not say of one. A key of this crate, which the
    /// reference passes over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforcement: Option<Enforcement>,
    /// The keys that the configuration has under `rails`.
    #[serde(skip)]
    pub(crate) given: Vec<String>,
}

impl Read for Rails {
    fn read(node: &Node, path: &str, report: &mut Report) -> Option<Self> {
        let mut fields = Fields::open(node, path, report)?;
        let default = Self::default();
        let section = Self {
            config: fields.or("config", default.config),
            input: fields.or("input", default.input),
            output: fields.or("output", default.output),
            retrieval: fields.or("retrieval", default.retrieval),
            dialog: fields.or("dialog", default.dialog),
            actions: fields.or("actions", default.actions),
            tool_output: one_of(&mut fields, ["tool_output", "tool_call"]),
            tool_input: one_of(&mut fields, ["tool_input", "tool_result"]),
            options: rail_options::read_options(&mut fields),
            enforcement: fields.optional("enforcement"),
            given: given(node),
        };
        fields.close();
        Some(section)
    }
}

/// The section under either of two names: 0.25 of the reference calls it by the second.
fn one_of(fields: &mut Fields<'_>, [name, later]: [&'static str; 2]) -> RailSection {
    let (first, second) = (fields.optional(name), fields.optional(later));
    if first.is_some() && second.is_some() {
        let message = format!(
            "`rails.{later}` is another name of `rails.{name}`, which stands there too: join them into one"
        );
        let at = fields.node.place_of(later).clone();
        fields.report.fault(&at, message);
    }
    first.or(second).unwrap_or_default()
}

fn given(node: &Node) -> Vec<String> {
    let entries = node.entries().unwrap_or_default().iter();
    let keys = entries.filter_map(|entry| entry.key.as_str().map(str::to_owned));
    keys.collect()
}

impl Rails {
    /// The rails that stand at `place`.
    pub fn flows(&self, place: Place) -> &[FlowReference] {
        match place {
            Place::Input => &self.input.flows,
            Place::Output => &self.output.flows,
            Place::Retrieval => &self.retrieval.flows,
            Place::ToolInput => &self.tool_input.flows,
            Place::ToolOutput => &self.tool_output.flows,
        }
    }

    /// The lines at which a rail stands, with their places.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (Place, &FlowReference)> {
        let lines = |place: Place| self.flows(place).iter().map(move |line| (place, line));
        Place::ALL.into_iter().flat_map(lines)
    }

    /// The places at which the flow `name` stands as a rail.
    pub(crate) fn places_of(&self, name: &str) -> impl Iterator<Item = Place> {
        let lines = self.lines();
        lines.filter_map(move |(place, line)| (line.name == name).then_some(place))
    }

    /// A library rail's section of `rails.config`, read as `T`; the default of `T` where there is none.
    ///
    /// Quoted numbers and booleans are accepted.
    ///
    /// # Errors
    ///
    /// What does not fit, with its place.
    pub fn section<T: serde::de::DeserializeOwned + Default>(
        &self,
        name: &str,
    ) -> Result<T, Fault> {
        self.config.read(name)
    }

    /// A fault of a library rail's settings, at the place of `path`, such as `regex_detection.input.patterns[2]`.
    pub fn section_fault(&self, path: &str, message: impl Into<String>) -> Fault {
        self.config.fault(path, message)
    }

    /// A fault of a line of `rails.*.flows`, with its place.
    pub fn flow_fault(_place: Place, flow: &FlowReference, message: impl Into<String>) -> Fault {
        flow.at.fault(message)
    }
}

/// `rails.input`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
#[derive(Default)]
pub struct InputRails {
    /// Whether they run at the same time.
    pub parallel: bool,
    /// Whether the answer is generated while the rails still run.
    pub speculative_generation: bool,
    /// The flows, in the order in which they run.
    pub flows: Vec<FlowReference>,
}

read_section!(InputRails { flows; nullable parallel, speculative_generation });

/// `rails.output`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
#[derive(Default)]
pub struct OutputRails {
    /// Whether they run at the same time.
    pub parallel: bool,
    /// The flows, in the order in which they run.
    pub flows: Vec<FlowReference>,
    /// How streams are checked; None where the config has no such section.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streaming: Option<StreamingConfig>,
}

impl Read for OutputRails {
    fn read(node: &Node, path: &str, report: &mut Report) -> Option<Self> {
        let mut fields = Fields::open(node, path, report)?;
        let default = Self::default();
        let section = Self {
            parallel: fields
                .or("parallel", Some(default.parallel))
                .unwrap_or_default(),
            flows: fields.or("flows", default.flows),
            streaming: fields.optional("streaming"),
        };
        fields.close();
        Some(section)
    }
}

/// `rails.output.streaming`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StreamingConfig {
    /// Whether the answer is checked while it streams.
    pub enabled: bool,
    /// How many tokens are checked at once. With a negative number the configuration loads, but
    /// [`LlmRails::stream`](crate::LlmRails::stream) fails, as in the reference; the layer takes it for zero.
    pub chunk_size: i64,
    /// How many tokens of what was checked before are checked with them; negative ones as above.
    pub context_size: i64,
    /// Whether tokens are sent on before they are checked; None where the config does not say (the reference: yes).
    #[serde(skip_serializing_if = "Option::is_none")]
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

impl Read for StreamingConfig {
    fn read(node: &Node, path: &str, report: &mut Report) -> Option<Self> {
        let mut fields = Fields::open(node, path, report)?;
        let default = Self::default();
        let section = Self {
            enabled: fields.or("enabled", default.enabled),
            chunk_size: fields.or("chunk_size", default.chunk_size),
            context_size: fields.or("context_size", default.context_size),
            stream_first: fields.optional("stream_first"),
        };
        fields.close();
        Some(section)
    }
}

/// `rails.retrieval`, `rails.tool_input` and `rails.tool_output`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
#[derive(Default)]
pub struct RailSection {
    /// The flows, in the order in which they run.
    pub flows: Vec<FlowReference>,
    /// Whether they run at the same time.
    pub parallel: bool,
}

read_section!(RailSection { flows; nullable parallel });

/// `rails.dialog`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
#[derive(Default)]
pub struct DialogRails {
    /// One model call for intent, next step and message together.
    pub single_call: SingleCallConfig,
    /// How user messages are matched.
    pub user_messages: UserMessagesConfig,
}

read_section!(DialogRails {
    single_call,
    user_messages
});

/// `rails.dialog.single_call`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SingleCallConfig {
    /// Whether one call does all.
    pub enabled: bool,
    /// Whether several calls are made where the one gave no usable answer.
    pub fallback_to_multiple_calls: bool,
}

impl Default for SingleCallConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            fallback_to_multiple_calls: true,
        }
    }
}

read_section!(SingleCallConfig {
    enabled,
    fallback_to_multiple_calls
});

/// `rails.dialog.user_messages`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
#[derive(Default)]
pub struct UserMessagesConfig {
    /// Whether intents are found by similarity alone.
    pub embeddings_only: bool,
    /// The least similarity, 0 to 1.
    pub embeddings_only_similarity_threshold: Option<f64>,
    /// The intent where nothing is similar enough.
    pub embeddings_only_fallback_intent: Option<String>,
}

impl Read for UserMessagesConfig {
    fn read(node: &Node, path: &str, report: &mut Report) -> Option<Self> {
        let mut fields = Fields::open(node, path, report)?;
        let default = Self::default();
        let section = Self {
            embeddings_only: fields.or("embeddings_only", default.embeddings_only),
            embeddings_only_similarity_threshold: fields.or(
                "embeddings_only_similarity_threshold",
                default.embeddings_only_similarity_threshold,
            ),
            embeddings_only_fallback_intent: fields.or(
                "embeddings_only_fallback_intent",
                default.embeddings_only_fallback_intent,
            ),
        };
        let threshold: Option<f64> = section.embeddings_only_similarity_threshold;
        if threshold.is_some_and(|threshold| !(0.0..=1.0).contains(&threshold)) {
            let key = "embeddings_only_similarity_threshold";
            let message = format!("`{path}.{key}` must lie between 0 and 1");
            fields.report.fault(node.place_of(key), message);
        }
        fields.close();
        Some(section)
    }
}

/// `rails.actions`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
#[derive(Default)]
pub struct ActionRails {
    /// Actions that finish at once.
    pub instant_actions: Option<Vec<String>>,
}

read_section!(ActionRails { instant_actions });
