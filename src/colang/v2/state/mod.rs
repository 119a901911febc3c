//! The state machine: which events follow an event.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Event, Flow, Host, Program};
use crate::{
    error::ConfigError,
    value::{Dict, Value},
};

/// How far the flows have come in a conversation.
#[derive(Debug, Clone)]
pub struct State {
    program: Arc<Program>,
    config: Value,
    context: Dict,
}

/// What follows an event.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    /// The events that leave, in order.
    pub events: Vec<Event>,
    /// What happened inside, in order, for a log.
    pub notes: Vec<Note>,
}

/// Something that happened inside the machine.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Note {
    /// Flows told each other something: `StartFlow`, `FlowFinished`, `UnhandledEvent`, `ColangError`, …
    Event(Event),
    /// A `log` statement.
    Log {
        /// The flow.
        flow: Arc<str>,
        /// The text.
        text: String,
    },
    /// A `print` statement.
    Print(String),
    /// Something is odd, though the flow goes on, or fails by itself: its error, with its place.
    Warning(String),
}

/// A place where a flow waits.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// The flow that waits.
    pub flow: Arc<str>,
    /// The event that it waits for.
    pub event: Event,
}

/// Why the machine stops.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The flows take too many steps at one event.
    #[error("the flows take too many steps at once, the last of them in the flow `{0}`")]
    Endless(String),
    /// A stored state is none of these flows, or of another version.
    #[error("the stored state cannot be used: {0}")]
    Stored(String),
}

/// What is to be stored of a [`State`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StateSnapshot {
    version: u32,
}

impl State {
    /// The state before any event. Expressions see `config` as `$system.config`.
    pub fn new(program: Arc<Program>, config: Value) -> Self {
        Self {
            program,
            config,
            context: Dict::new(),
        }
    }

    /// The events that start the story, or start it anew after `main` has ended: to be fed before the next event.
    pub fn start(&self, host: &dyn Host) -> Vec<Event> {
        let _ = host;
        Vec::new()
    }

    /// Follows an event.
    ///
    /// An error inside a flow lets that flow fail and is an event `ColangError`.
    ///
    /// # Errors
    ///
    /// The flows come to no end. The state is of no use then: who wants to go on keeps a clone from before.
    pub fn feed(&mut self, event: Event, host: &dyn Host) -> Result<Decision, StateError> {
        let _ = (event, host);
        Ok(Decision::default())
    }

    /// The global variables.
    pub fn context(&self) -> &Dict {
        &self.context
    }

    /// Sets a global variable.
    pub fn set_variable(&mut self, name: &str, value: Value) {
        self.context.insert(name, value);
    }

    /// The events of the conversation so far, the last 500 of them: what was fed, and what flows with `@meta` logged
    /// (`UserIntentLog`, `BotIntentLog`, `UserActionLog`, `BotActionLog`).
    pub fn history(&self) -> impl Iterator<Item = &Event> {
        std::iter::empty()
    }

    /// The flow of this name, of the program or added later.
    pub fn flow(&self, name: &str) -> Option<&Arc<Flow>> {
        self.program.flow(name)
    }

    /// All flows, of the program and added later.
    pub fn flows(&self) -> impl Iterator<Item = &Arc<Flow>> {
        self.program.flows()
    }

    /// Whether the flow was ever started, and its instances are still known.
    pub fn has_instance(&self, flow: &str) -> bool {
        let _ = flow;
        false
    }

    /// The variables of the flow's last instance.
    pub fn variables_of(&self, flow: &str) -> Option<&Dict> {
        let _ = flow;
        None
    }

    /// Where running flows wait, in the order in which they came there; `event` keeps those that it would match.
    pub fn waiting(&self, event: Option<&Event>, host: &dyn Host) -> Vec<Waiting> {
        let _ = (event, host, &self.config);
        Vec::new()
    }

    /// Adds the flows that a source defines (a model wrote them); gives their names. One whose name is taken, and those
    /// after it, are left out.
    ///
    /// # Errors
    ///
    /// The source does not parse.
    pub fn add_flows(&mut self, source: &str) -> Result<Vec<Arc<str>>, ConfigError> {
        let _ = source;
        Ok(Vec::new())
    }

    /// Removes flows and their instances.
    pub fn remove_flows(&mut self, names: &[&str]) {
        let _ = names;
    }

    /// What is to be stored.
    pub fn snapshot(&self) -> StateSnapshot {
        StateSnapshot { version: 1 }
    }

    /// The state that was stored, with the flows of `program`.
    ///
    /// # Errors
    ///
    /// The snapshot is of another version, or does not fit the flows.
    pub fn restore(
        program: Arc<Program>,
        config: Value,
        snapshot: StateSnapshot,
    ) -> Result<Self, StateError> {
        let _ = snapshot;
        Ok(Self::new(program, config))
    }
}
