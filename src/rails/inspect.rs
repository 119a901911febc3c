//! What a rails directory holds, and what is wrong with it, without running it.

use std::path::Path;

use indexmap::IndexMap;
use serde::Serialize;

use super::{
    dialog::{
        v1::{Defined, Definitions, built_in_flows},
        v2,
    },
    llm_rails::LlmRails,
    needed_actions::{NeededAction, needed_actions, needed_actions_2},
};
use crate::{
    actions::Registry,
    colang::v1::Program,
    config::{FlowReference, RailSection, Rails, RailsConfig, StreamingConfig, nearest},
    error::{Fault, all_faults},
    library,
    verdict::Place,
};

/// What a rails directory holds. Where it does not load, what could be read of it, with all that is wrong.
///
/// ```
/// # let folder = std::env::temp_dir().join(format!("inspect-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// std::fs::write(folder.join("config.yml"), "models: []\nrails: {input: {flows: [check it]}}\n")?;
/// std::fs::write(folder.join("rails.co"), "define flow check it\n  execute look_up\n")?;
/// let inspection = tower_guardrails::rails::Inspection::of(&folder);
/// assert!(inspection.loads && !inspection.guards);
/// assert!(inspection.refused[0].message.contains("`look_up`, which nobody provides"));
/// assert_eq!(inspection.flow_ids, ["check it"]);
/// assert_eq!(inspection.actions[0].called[0].line, Some(2));
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct Inspection {
    /// Whether it can be run.
    pub loads: bool,
    /// Why not: everything that is wrong, with files and lines.
    pub errors: Vec<Fault>,
    /// Whether a [`GuardrailsLayer`](crate::GuardrailsLayer) starts with it: nothing is refused, and nothing is wrong but with
    /// models that no rail asks.
    pub guards: bool,
    /// What a layer refuses besides: mistyped keys under `rails`, rails that can never block, prompts that would fail, actions
    /// that nobody provides.
    pub refused: Vec<Fault>,
    /// What is odd, though nothing passes unchecked for it: unknown keys elsewhere, actions and flows of a dialogue that are
    /// called but not there.
    pub warnings: Vec<Fault>,
    /// `colang_version`.
    pub colang_version: String,
    /// `models`.
    pub models: Vec<ModelFacts>,
    /// How many flows it defines.
    pub flows: usize,
    /// Their names.
    pub flow_ids: Vec<String>,
    /// How many examples each user message has.
    pub user_messages: IndexMap<String, usize>,
    /// How many texts each bot message has.
    pub bot_messages: IndexMap<String, usize>,
    /// `prompts`.
    pub prompts: Vec<PromptFacts>,
    /// How many documents the knowledge base has.
    pub docs: usize,
    /// `rails`.
    pub rails: RailsFacts,
    /// The actions that its flows run.
    pub actions: Vec<NeededAction>,
}

/// An entry of `models`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ModelFacts {
    /// What it is for.
    #[serde(rename = "type")]
    pub kind: String,
    /// The provider.
    pub engine: String,
    /// The name at the provider.
    pub model: Option<String>,
}

/// An entry of `prompts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PromptFacts {
    /// The task.
    pub task: String,
}

/// `rails`, in the order in which they run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RailsFacts {
    /// `rails.input`.
    pub input: SectionFacts,
    /// `rails.output`.
    pub output: OutputFacts,
    /// `rails.retrieval`.
    pub retrieval: SectionFacts,
    /// `rails.tool_input`.
    pub tool_input: SectionFacts,
    /// `rails.tool_output`.
    pub tool_output: SectionFacts,
}

/// The rails of one place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SectionFacts {
    /// The flows, as written.
    pub flows: Vec<String>,
    /// Whether they run at the same time.
    pub parallel: bool,
}

/// The output rails.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct OutputFacts {
    /// The flows, as written.
    pub flows: Vec<String>,
    /// Whether they run at the same time.
    pub parallel: bool,
    /// `rails.output.streaming`, where there is such a section.
    pub streaming: Option<StreamingConfig>,
}

impl Inspection {
    /// Looks at the rails directory, or the single YAML file, at `path`. No model and no action is called.
    pub fn of(path: impl AsRef<Path>) -> Self {
        match RailsConfig::loader().read_path(path.as_ref()) {
            (Some(config), faults) => Self::read(config, faults),
            (None, errors) => Self {
                errors,
                ..Self::default()
            },
        }
    }

    /// The same, with the directory's Python in a worker of this interpreter, so that what it defines is known. Its files are run
    /// for that, as they are when the rails are built.
    pub fn with_python(path: impl AsRef<Path>, interpreter: impl Into<String>) -> Self {
        match RailsConfig::loader().read_path(path.as_ref()) {
            (Some(config), faults) => Self::read(config.with_python(interpreter), faults),
            (None, errors) => Self {
                errors,
                ..Self::default()
            },
        }
    }

    fn read(config: RailsConfig, faults: Vec<Fault>) -> Self {
        let mut inspection = Self::facts(&config);
        let is_one = config.colang_version == "1.0";
        let (definitions, wrong) = if is_one {
            Definitions::of(&config)
        } else {
            (Definitions::default(), Vec::new())
        };
        let building = LlmRails::builder(config.clone()).build_all();
        let wrong = if is_one {
            inspection.add_definitions(&config, definitions, &building.actions);
            wrong
        } else {
            let (definitions, wrong) = v2::Definitions::of(&config);
            inspection.flows = definitions.flows.len();
            let names = definitions.flows.iter().map(|flow| flow.name.to_string());
            inspection.flow_ids = names.collect();
            inspection.actions = needed_actions_2(&config, &definitions.flows, &building.actions);
            wrong
        };
        inspection.errors = all_faults(faults, wrong);
        if !inspection.errors.is_empty() && is_one {
            // Where flows cannot be built, nobody else looks for those that rails name.
            let missing = undefined_rails(&config, &inspection.flow_ids);
            let known = std::mem::take(&mut inspection.errors);
            inspection.errors = all_faults(known, missing);
        }
        let known = std::mem::take(&mut inspection.errors);
        let faults = all_faults(known, building.faults);
        let has_faults = !faults.is_empty();
        inspection.errors = all_faults(faults, building.unasked);
        inspection.loads = inspection.errors.is_empty();
        inspection.refused = building.findings.refused;
        inspection.guards = !has_faults && inspection.refused.is_empty();
        // What is refused is more than odd.
        let refused = &inspection.refused;
        let found = std::mem::take(&mut inspection.warnings);
        let found = building.findings.warnings.into_iter().chain(found);
        inspection.warnings = found
            .filter(|warning| {
                let place = |fault: &Fault| (fault.file.clone(), fault.line);
                !refused.iter().any(|fault| place(fault) == place(warning))
            })
            .collect();
        inspection
    }

    fn facts(config: &RailsConfig) -> Self {
        let rails = &config.rails;
        Self {
            colang_version: config.colang_version.clone(),
            models: config
                .models
                .iter()
                .map(|model| ModelFacts {
                    kind: model.kind.clone(),
                    engine: model.engine.clone(),
                    model: model.model.clone(),
                })
                .collect(),
            prompts: config
                .prompts
                .iter()
                .map(|prompt| PromptFacts {
                    task: prompt.task.clone(),
                })
                .collect(),
            user_messages: counts(&config.user_messages),
            bot_messages: counts(&config.bot_messages),
            docs: config.docs.len(),
            rails: RailsFacts {
                input: SectionFacts {
                    flows: texts(&rails.input.flows),
                    parallel: rails.input.parallel,
                },
                output: OutputFacts {
                    flows: texts(&rails.output.flows),
                    parallel: rails.output.parallel,
                    streaming: rails.output.streaming.clone(),
                },
                retrieval: section(&rails.retrieval),
                tool_input: section(&rails.tool_input),
                tool_output: section(&rails.tool_output),
            },
            ..Self::default()
        }
    }

    fn add_definitions(
        &mut self,
        config: &RailsConfig,
        definitions: Definitions,
        registered: &Registry,
    ) {
        self.user_messages = counts(&definitions.user_messages);
        self.bot_messages = counts(&definitions.bot_messages);
        self.flows = definitions.flows.len();
        self.flow_ids = definitions
            .flows
            .iter()
            .map(|defined| defined.flow.id.clone())
            .collect();
        self.actions = needed_actions(config, &definitions.flows, registered);
        let missing = self
            .actions
            .iter()
            .flat_map(|action| action.missing(config));
        let missing: Vec<Fault> = missing.collect();
        self.warnings.extend(missing);
        self.warnings.extend(unknown_calls(&definitions.flows));
        self.warnings
            .extend(unknown_tool_rails(config, &definitions.flows));
    }
}

/// The calls of flows that are not there: the flow that makes such a call fails there.
fn unknown_calls(own: &[Defined]) -> Vec<Fault> {
    let file_of: IndexMap<&str, Option<&Path>> = own
        .iter()
        .rev()
        .map(|defined| (defined.flow.id.as_str(), defined.file.as_deref()))
        .collect();
    let flows = own.iter().map(|defined| defined.flow.clone());
    let program = Program::new(flows.chain(built_in_flows().into_iter().flatten()));
    program
        .unknown_calls()
        .filter_map(|(flow, called, origin)| {
            let file = file_of.get(flow.id.as_str())?;
            let message = format!(
                "the flow `{}` calls `{called}`, which is not defined",
                flow.id
            );
            let mut fault = Fault::new(message);
            if let Some(file) = file {
                fault = fault.in_file(file);
                if let Some(origin) = origin {
                    fault = fault.at(origin.line, 1);
                }
            }
            Some(fault)
        })
        .collect()
}

/// The rails whose flows are neither read nor begun in any Colang file.
fn undefined_rails(config: &RailsConfig, own: &[String]) -> Vec<Fault> {
    let built_in = built_in_flows();
    let known = || {
        let built_in = built_in.iter().flatten().map(|flow| flow.id.as_str());
        let library = library::RAILS.iter().flat_map(|rail| rail.flows);
        let own = own.iter().map(String::as_str);
        own.chain(built_in).chain(library.map(|flow| flow.name))
    };
    // A flow with faults is not read, but it is there.
    let is_begun = |name: &str| {
        let lines = config
            .colang_files
            .iter()
            .flat_map(|file| file.text.lines());
        let mut lines = lines.map(|line| line.trim().trim_end_matches(':'));
        lines.any(|line| {
            let id = line
                .strip_prefix("define ")
                .and_then(|line| line.split_once("flow "));
            id.is_some_and(|(_, id)| id.trim() == name)
        })
    };
    [Place::Input, Place::Output, Place::Retrieval]
        .into_iter()
        .flat_map(|place| {
            config
                .rails
                .flows(place)
                .iter()
                .map(move |flow| (place, flow))
        })
        .filter(|(_, flow)| known().all(|name| name != flow.name) && !is_begun(&flow.name))
        .map(|(place, flow)| {
            let hint = nearest(&flow.name, known())
                .map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
            let message = format!("the rail `{}` is not defined{hint}", flow.name);
            Rails::flow_fault(place, flow, message)
        })
        .collect()
}

/// The tool rails that are not there: each fails when a tool is called, not before.
fn unknown_tool_rails(config: &RailsConfig, own: &[Defined]) -> Vec<Fault> {
    let built_in = built_in_flows();
    let is_there = |name: &str| {
        let own = own.iter().map(|defined| &defined.flow);
        let mut flows = own.chain(built_in.iter().flatten());
        flows.any(|flow| flow.id == name)
    };
    [Place::ToolInput, Place::ToolOutput]
        .into_iter()
        .flat_map(|place| {
            config
                .rails
                .flows(place)
                .iter()
                .map(move |flow| (place, flow))
        })
        .filter(|(_, flow)| !is_there(&flow.name))
        .map(|(place, flow)| {
            let message = format!("the tool rail `{}` is not defined", flow.text);
            Rails::flow_fault(place, flow, message)
        })
        .collect()
}

fn counts(messages: &IndexMap<String, Vec<String>>) -> IndexMap<String, usize> {
    let counted = messages.iter();
    counted
        .map(|(name, texts)| (name.clone(), texts.len()))
        .collect()
}

fn texts(flows: &[FlowReference]) -> Vec<String> {
    flows.iter().map(|flow| flow.text.clone()).collect()
}

fn section(section: &RailSection) -> SectionFacts {
    SectionFacts {
        flows: texts(&section.flows),
        parallel: section.parallel,
    }
}
