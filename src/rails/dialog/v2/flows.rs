//! The flows of a configuration in Colang 2.x: its own and those that it imports, as one program.

use std::{collections::HashSet, sync::Arc};

use indexmap::IndexMap;
use serde_json::Value as Json;

use super::{judge::MAIN_OF_JUDGE, lines::may_set, messages::add_examples, modules::Modules};
use crate::{
    colang::v2::{self, Flow, Program},
    config::RailsConfig,
    error::{ConfigError, Error, Fault, Result},
    rails::state::State,
    value::Value,
};

/// The flows, ready to run. They serve any number of conversations at once.
#[derive(Debug)]
pub(crate) struct Flows {
    program: Arc<Program>,
    /// The same flows where `main` only runs a rail.
    judging: Arc<Program>,
    config: Value,
    /// The names of the flows that files define.
    own: HashSet<String>,
    /// The sources of flows that prompts may show.
    examples: Vec<String>,
    /// Those of them that say what they are for.
    instructions: Vec<String>,
    user_messages: IndexMap<String, Vec<String>>,
    bot_messages: IndexMap<String, Vec<String>>,
}

impl Flows {
    /// The flows of `config`; `shown` is what `$system.config` stands for in them.
    ///
    /// # Errors
    ///
    /// All that is wrong in Colang files and between flows, and rails whose flows are not there.
    pub(crate) fn new(config: &RailsConfig, shown: &Json) -> Result<Self, ConfigError> {
        let (program, own, mut faults) = program_of(config);
        let program = match program {
            Ok(program) => program,
            Err(error) => {
                faults.extend(error.faults);
                return Err(ConfigError { faults });
            }
        };
        if !config.colang_files.is_empty() && program.flow("main").is_none() {
            faults.push(Fault::new(
                "there is no flow `main`, with which a conversation in Colang 2.x begins",
            ));
        }
        if !faults.is_empty() {
            return Err(ConfigError { faults });
        }
        let shows = |flow: &&Arc<Flow>| {
            !flow.is_excluded_from_llm
                && !flow.source_code.is_empty()
                && flow.meta("llm_exclude").is_none()
        };
        let shown_flows: Vec<_> = program.flows().filter(shows).collect();
        let source = |flow: &&Arc<Flow>| flow.source_code.clone();
        let examples = shown_flows.iter().map(source).collect();
        let instructing = shown_flows.iter().filter(|flow| says_its_purpose(flow));
        let instructions = instructing.map(source).collect();
        let mut user_messages = config.user_messages.clone();
        add_examples(program.flows().map(|flow| &**flow), &mut user_messages);
        Ok(Self {
            examples,
            instructions,
            judging: Arc::new(judging(&program)?),
            program: Arc::new(program),
            config: Value::from_json(shown),
            own,
            user_messages,
            bot_messages: bot_messages(config),
        })
    }

    /// A conversation that has not begun.
    pub(super) fn start(&self) -> v2::State {
        v2::State::new(Arc::clone(&self.program), self.config.clone())
    }

    /// A conversation in which `main` only waits for a rail to run.
    pub(super) fn start_judging(&self) -> v2::State {
        v2::State::new(Arc::clone(&self.judging), self.config.clone())
    }

    /// The conversation of `state`.
    ///
    /// # Errors
    ///
    /// Where it is none of these flows.
    pub(super) fn restored(&self, state: State) -> Result<v2::State> {
        let (program, config) = (Arc::clone(&self.program), self.config.clone());
        state
            .into_v2(|snapshot| {
                v2::State::restore(program, config, snapshot)
                    .map_err(|error| Error::invalid_input(error.to_string()))
            })
            .map(|state| state.unwrap_or_else(|| self.start()))
    }

    pub(super) fn flow(&self, name: &str) -> Option<&Arc<Flow>> {
        self.program.flow(name)
    }

    /// All flows, those of libraries among them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Flow>> {
        self.program.flows()
    }

    /// The flows that files define.
    pub(super) fn own_flows(&self) -> impl Iterator<Item = &Arc<Flow>> {
        let flows = self.program.flows();
        flows.filter(|flow| self.own.contains(&*flow.name))
    }

    /// Whether a flow of this name is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.program.flow(name).is_some()
    }

    /// Whether a file defines the flow of this name.
    pub(crate) fn is_own(&self, name: &str) -> bool {
        self.own.contains(name)
    }

    /// Whether the flow of the line `flow`, or one that it calls, may set `variable`. An action may set it unseen.
    pub(crate) fn may_set(&self, flow: &str, variable: &str) -> bool {
        may_set(self, flow, variable)
    }

    /// What users may mean, with examples.
    pub(crate) fn user_messages(&self) -> &IndexMap<String, Vec<String>> {
        &self.user_messages
    }

    /// What the bot says, by intent.
    pub(crate) fn bot_messages(&self) -> &IndexMap<String, Vec<String>> {
        &self.bot_messages
    }

    /// The sources of flows that prompts may show.
    pub(crate) fn examples(&self) -> &[String] {
        &self.examples
    }

    /// Those of them that say what they are for; all, where none does.
    pub(super) fn instructions(&self) -> &[String] {
        match self.instructions.is_empty() {
            true => &self.examples,
            false => &self.instructions,
        }
    }
}

/// The program in which `main` waits for a rail to run.
fn judging(program: &Program) -> Result<Program, ConfigError> {
    let (module, faults) = v2::parse("judge.co", MAIN_OF_JUDGE);
    if !faults.is_empty() {
        return Err(ConfigError { faults });
    }
    let own = Program::new([module])?;
    let main = own.flow("main").cloned();
    Ok(main.map_or_else(|| program.clone(), |main| program.with_main(main)))
}

/// What files define.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    pub(crate) flows: Vec<Arc<Flow>>,
}

impl Definitions {
    /// What `config` defines, as far as it can be read, and all that is wrong in its Colang files.
    pub(crate) fn of(config: &RailsConfig) -> (Self, Vec<Fault>) {
        let (program, own, faults) = program_of(config);
        let flows = program.as_ref().ok().into_iter().flat_map(Program::flows);
        let flows = flows.filter(|flow| own.contains(&*flow.name)).cloned();
        let mut flows: Vec<_> = flows.collect();
        // In the order in which they are read.
        let files = config.colang_files.iter();
        let files: Vec<_> = files.map(|file| file.path.to_string_lossy()).collect();
        let place = |flow: &Arc<Flow>| files.iter().position(|file| **file == *flow.file);
        flows.sort_by_key(|flow| (place(flow), flow.line));
        (Self { flows }, faults)
    }
}

/// The program of `config`, the names of the flows that files define, and what is wrong in the files.
pub(super) fn program_of(
    config: &RailsConfig,
) -> (Result<Program, ConfigError>, HashSet<String>, Vec<Fault>) {
    let Modules { all, own, faults } = Modules::of(config);
    (Program::new(all), own, faults)
}

/// Whether the flow begins with a comment or a text that says what it is for.
fn says_its_purpose(flow: &Flow) -> bool {
    let second = flow.source_code.lines().nth(1).unwrap_or_default().trim();
    second.starts_with('#') || second.starts_with("\"\"\"")
}

/// The messages of YAML, and the library's for what it does not word.
fn bot_messages(config: &RailsConfig) -> IndexMap<String, Vec<String>> {
    let mut messages = config.bot_messages.clone();
    for (intent, text) in crate::library::messages() {
        messages
            .entry(intent.to_owned())
            .or_insert_with(|| vec![text.to_owned()]);
    }
    messages
}

/// Whether the flow is of the standard library.
pub(super) fn is_standard(flow: &Flow) -> bool {
    let module = flow.file.strip_suffix(".co").unwrap_or(&flow.file);
    v2::standard_modules().any(|name| name == module)
}
