//! The state machine: which events follow an event.
//!
//! [`State::feed`] takes one event of the outside. `process` lets the heads that wait for it know (`index` finds them,
//! `matching` scores them, the best first), `advance` moves heads on to where they wait again (`forks`: several at once; `places`:
//! where events find them), `create` and `lifecycle` start and end instances of flows, which `defaults` does for events that ask
//! for it, `conflicts` decides between flows that want to act at once. Events between flows go through a queue
//! until it is empty; then what has left is the answer.

mod advance;
mod clock;
mod collect;
mod conflicts;
mod core;
mod create;
mod defaults;
mod encode;
mod events;
mod failures;
mod forks;
mod index;
mod instance;
mod intents;
mod lifecycle;
mod matching;
mod places;
mod process;
mod refs;
mod scope;
mod signal;
mod snapshot;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, sync::Arc};

use indexmap::IndexMap;

pub use self::snapshot::StateSnapshot;
use self::{core::Core, matching::Outcome, signal::Signal};
use super::{Event, Flow, Host, Program, parse};
use crate::{
    error::ConfigError,
    value::{Dict, Value, ValueError},
};

/// How much the flows may do at one event: elements, heads and events, one each.
const MAX_STEPS: usize = 100_000;
/// How many events flows may send each other at one event of the outside.
const MAX_QUEUE: usize = 10_000;

/// How far the flows have come in a conversation.
#[derive(Debug, Clone)]
pub struct State {
    program: Arc<Program>,
    config: Value,
    /// The flows that were added while the conversation ran.
    added: IndexMap<Arc<str>, Arc<Flow>>,
    /// Their sources, as they came.
    sources: Vec<Arc<str>>,
    globals: Dict,
    core: Core,
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
    /// Something is odd, though the flow goes on; or it fails by itself: its error, with its place.
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
    /// The flows take too many steps at one event: they loop or call each other without waiting for anything.
    #[error("the flows take too many steps at once, the last of them in the flow `{0}`")]
    Endless(String),
    /// A stored state is none of these flows, or of another version.
    #[error("the stored state cannot be used: {0}")]
    Stored(String),
}

/// An error in a flow: it fails, and others hear of it.
#[derive(Debug, Clone)]
struct Failure {
    /// The reference's name for errors of its kind.
    class: &'static str,
    message: String,
}

impl Failure {
    fn new(class: &'static str, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
        }
    }

    fn value(error: &ValueError) -> Self {
        Self::new("ColangValueError", error.to_string())
    }
}

/// What keeps a flow, or all of them, from going on.
#[derive(Debug)]
enum Trouble {
    Failed(Failure),
    Endless(String),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// A state that follows an event.
struct Machine<'a> {
    state: &'a mut State,
    host: &'a dyn Host,
    /// The present time, in milliseconds since 1970.
    now: u64,
    queue: VecDeque<Signal>,
    outgoing: Vec<Event>,
    notes: Vec<Note>,
    steps: usize,
    /// How many forks are being walked into.
    forks: usize,
}

impl<'a> Machine<'a> {
    fn new(state: &'a mut State, host: &'a dyn Host) -> Self {
        Self {
            now: host.now(),
            state,
            host,
            queue: VecDeque::new(),
            outgoing: Vec::new(),
            notes: Vec::new(),
            steps: 0,
            forks: 0,
        }
    }

    fn charge(&mut self, steps: usize) -> Result<(), Trouble> {
        self.steps += steps;
        if self.steps > MAX_STEPS || self.queue.len() > MAX_QUEUE {
            let last = self.queue.back();
            let flow = last
                .and_then(|signal| signal.text("flow_id"))
                .unwrap_or("main");
            return Err(Trouble::Endless(flow.to_owned()));
        }
        Ok(())
    }

    fn endless(&self, uid: &str) -> Trouble {
        let instance = self.state.core.flows.get(uid);
        Trouble::Endless(instance.map_or_else(String::new, |own| own.flow.name.to_string()))
    }
}

impl State {
    /// The state before any event. Expressions see `config` as `$system.config`.
    pub fn new(program: Arc<Program>, config: Value) -> Self {
        Self {
            program,
            config,
            added: IndexMap::new(),
            sources: Vec::new(),
            globals: Dict::new(),
            core: Core::default(),
        }
    }

    /// The events that start the story, or start it anew after `main` has ended: to be fed before the next event. None while
    /// the story goes on, and where there is no flow `main`.
    pub fn start(&mut self, host: &dyn Host) -> Vec<Event> {
        let Some(main) = self.program.flow("main").cloned() else {
            return Vec::new();
        };
        let uid = match &self.core.main {
            Some(uid) => Arc::clone(uid),
            None => match Machine::new(self, host).create_main(main) {
                Ok(uid) => uid,
                Err(_) => return Vec::new(),
            },
        };
        let instance = self.core.flows.get(&uid);
        let Some(instance) = instance.filter(|main| main.status == instance::Status::Waiting)
        else {
            return Vec::new();
        };
        let head = instance.heads.keys().next().copied().unwrap_or(0);
        let active: Vec<&Arc<Flow>> = self.flows().filter(|flow| flow.is_active()).collect();
        let count = active.len();
        let mut events: Vec<Event> = Vec::new();
        for (index, flow) in active.into_iter().enumerate() {
            let mut arguments = Dict::new();
            arguments.insert("flow_id", Value::Str(Arc::clone(&flow.name)));
            arguments.insert("source_flow_instance_uid", Value::Str(Arc::clone(&uid)));
            arguments.insert(
                "flow_instance_uid",
                format!("({}){}", flow.name, host.uid()),
            );
            arguments.insert(
                "flow_hierarchy_position",
                format!("0.0.{}", count - 1 - index),
            );
            arguments.insert("source_head_uid", head.to_string());
            arguments.insert("activated", true);
            events.push(Event::internal("StartFlow", arguments));
        }
        let main: Dict = [("flow_id", "main")].into_iter().collect();
        events.push(Event::internal("StartFlow", main));
        events
    }

    /// Follows an event.
    ///
    /// An error inside a flow lets that flow fail; the others hear of it as an event `ColangError`.
    ///
    /// # Errors
    ///
    /// The flows come to no end. The state is of no use then: who wants to go on keeps a clone from before.
    pub fn feed(&mut self, event: Event, host: &dyn Host) -> Result<Decision, StateError> {
        self.core.step += 1;
        self.core.retire(host.now());
        self.collect();
        let is_foreign = signal::is_internal(&event.name) && !event.is_internal;
        if !event.is_internal {
            self.core.remember(event.clone());
        }
        let signal = if is_foreign {
            let message = format!("the event `{}` is one between flows only", event.name);
            let error = [("type", "ColangRuntimeError"), ("error", &message)];
            Signal::new("ColangError", error.into_iter().collect())
        } else {
            Signal::outside(event)
        };
        let mut machine = Machine::new(self, host);
        match machine.run(signal) {
            Ok(()) => Ok(Decision {
                events: machine.outgoing,
                notes: machine.notes,
            }),
            Err(Trouble::Endless(flow)) => Err(StateError::Endless(flow)),
            Err(Trouble::Failed(failure)) => {
                // What concerns no flow of its own.
                machine.queue.clear();
                machine.tell_error("", &failure);
                let signal = machine.queue.pop_front();
                let after = signal.map_or(Ok(()), |signal| machine.run(signal));
                match after {
                    Err(Trouble::Endless(flow)) => Err(StateError::Endless(flow)),
                    _ => Ok(Decision {
                        events: machine.outgoing,
                        notes: machine.notes,
                    }),
                }
            }
        }
    }

    /// The global variables.
    pub fn context(&self) -> &Dict {
        &self.globals
    }

    /// Sets a global variable.
    pub fn set_variable(&mut self, name: &str, value: Value) {
        self.globals.insert(name, value);
    }

    /// The events of the conversation so far, the last 500 of them: what was fed, and what flows with `@meta` logged
    /// (`UserIntentLog`, `BotIntentLog`, `UserActionLog`, `BotActionLog`).
    pub fn history(&self) -> impl DoubleEndedIterator<Item = &Event> {
        self.core.history.iter()
    }

    /// The flow of this name, of the program or added later.
    pub fn flow(&self, name: &str) -> Option<&Arc<Flow>> {
        self.program.flow(name).or_else(|| self.added.get(name))
    }

    /// All flows, of the program and added later.
    pub fn flows(&self) -> impl DoubleEndedIterator<Item = &Arc<Flow>> {
        self.program.flows().chain(self.added.values())
    }

    /// Whether the flow was started, and runs or has ended a short time ago.
    pub fn has_instance(&self, flow: &str) -> bool {
        self.core.by_flow.contains_key(flow)
    }

    /// The variables of the flow's last instance.
    pub fn variables_of(&self, flow: &str) -> Option<&Dict> {
        let (_, uid) = self.core.by_flow.get(flow)?.last_key_value()?;
        let instance = self.core.flows.get(uid)?;
        Some(self.core.context(instance.context))
    }

    /// Where running flows wait, in the order in which they came there. With `event`, only those whose event has all that
    /// this one says.
    pub fn waiting(&self, event: Option<&Event>, host: &dyn Host) -> Vec<Waiting> {
        let mut state = self.clone();
        let mut machine = Machine::new(&mut state, host);
        let wanted =
            event.map(|event| Signal::new(Arc::clone(&event.name), event.arguments.clone()));
        let mut found = Vec::new();
        for (uid, id) in machine.state.core.index.all() {
            let Some(instance) = machine.state.core.flows.get(&uid) else {
                continue;
            };
            if !instance.is_active() {
                continue;
            }
            let flow = Arc::clone(&instance.flow);
            let position = instance.heads.get(&id).map(|head| head.position);
            let element = position.and_then(|position| flow.elements.get(position));
            let Some(matching) = element.and_then(|element| element.matching()) else {
                continue;
            };
            let Ok(signal) = machine.signal(&uid, &matching.event, true) else {
                continue;
            };
            let fits = match &wanted {
                Some(wanted) => matches!(
                    machine.compare(&signal, wanted, None),
                    Ok(Outcome::Matches(_))
                ),
                None => true,
            };
            if fits {
                found.push(Waiting {
                    flow: Arc::clone(&flow.name),
                    event: signal.event(),
                });
            }
        }
        found
    }

    /// Adds the flows that a source defines (a model wrote them); gives their names. One whose name is taken, and those
    /// after it, are left out.
    ///
    /// # Errors
    ///
    /// The source does not parse.
    pub fn add_flows(&mut self, source: &str) -> Result<Vec<Arc<str>>, ConfigError> {
        let (module, faults) = parse("generated flow", source);
        if !faults.is_empty() {
            return Err(ConfigError { faults });
        }
        let program = Program::new([module])?;
        let mut names = Vec::new();
        for flow in program.flows() {
            if self.flow(&flow.name).is_some() {
                break;
            }
            self.added.insert(Arc::clone(&flow.name), Arc::clone(flow));
            names.push(Arc::clone(&flow.name));
        }
        if !names.is_empty() {
            self.sources.push(source.into());
        }
        Ok(names)
    }

    /// Removes flows that were added, with their instances. Flows of the program stay.
    pub fn remove_flows(&mut self, names: &[&str]) {
        for name in names {
            if self.added.shift_remove(*name).is_none() {
                continue;
            }
            for uid in self.core.instances_of(name) {
                self.core.remove(&uid);
            }
        }
        let added = &self.added;
        self.sources.retain(|source| {
            let (module, _) = parse("generated flow", source);
            module
                .flows
                .iter()
                .any(|flow| added.contains_key(&flow.name))
        });
    }
}
