//! The interpreter: which steps follow an event.
//!
//! [`State::feed`] takes one event after the other. What it decides is what the reference computes from the whole history
//! of events; it costs what the event costs. To hide a turn, the state before each of the last turns is kept; copies share
//! what they have in common.

mod error;
mod follow;
mod matching;
mod slide;
mod snapshot;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use self::slide::Next;
pub use self::{error::StateError, snapshot::StateSnapshot};
use super::{
    parser,
    program::{Element, Op, Prepared, Program},
};
use crate::value::Value;

/// How many turns can be hidden, one after the other, before the events must be read again.
const MOST_EARLIER_TURNS: usize = 8;

/// How far the flows have come in a conversation.
#[derive(Debug, Clone)]
pub struct State {
    program: Arc<Program>,
    config: Value,
    /// The flows that events brought along, by name.
    added: Arc<HashMap<String, Added>>,
    turn: Turn,
    /// The state before each of the last turns, the oldest first.
    earlier: VecDeque<Arc<Turn>>,
}

/// What the flows make of an event.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    /// The flow that decided, where one did.
    pub flow: Option<String>,
    /// What happens next, in order. Nothing: the flows wait.
    pub steps: Vec<Step>,
}

/// What happens next.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Step {
    /// Variables change.
    UpdateContext(Vec<(String, Value)>),
    /// The bot says something.
    Bot {
        /// The message's name, or a message in place, as an object.
        intent: Json,
        /// How to say it: the comment before the line.
        instructions: Option<Arc<str>>,
    },
    /// An action runs.
    StartAction {
        /// Its name.
        name: String,
        /// Its arguments; a text that begins with `$` stands for a variable.
        parameters: Map<String, Json>,
        /// The variable that takes its result.
        result: Option<String>,
    },
}

impl Step {
    /// The step as the event that it is, without an id and a time.
    pub fn to_event(&self) -> Map<String, Json> {
        let event = match self {
            Self::UpdateContext(updates) => {
                let data: Map<String, Json> = updates
                    .iter()
                    .map(|(name, value)| (name.clone(), value.to_json()))
                    .collect();
                json!({"type": "ContextUpdate", "data": data})
            }
            Self::Bot {
                intent,
                instructions: None,
            } => json!({"type": "BotIntent", "intent": intent}),
            Self::Bot {
                intent,
                instructions: Some(instructions),
            } => json!({"type": "BotIntent", "intent": intent, "instructions": **instructions}),
            Self::StartAction {
                name,
                parameters,
                result,
            } => json!({
                "type": "StartInternalSystemAction",
                "action_name": name,
                "action_params": parameters,
                "action_result_key": result,
            }),
        };
        match event {
            Json::Object(event) => event,
            _ => Map::new(),
        }
    }
}

/// What changes from event to event.
#[derive(Debug, Clone, Default)]
struct Turn {
    context: Arc<HashMap<String, Value>>,
    running: Vec<Running>,
    next: Option<Next>,
    updates: IndexMap<String, Value>,
    last_uid: u64,
    /// How many more steps the flows may take at this event.
    steps_left: usize,
    /// Whether the last event was the bot's `stop`.
    stopped: bool,
    /// The flow that a `start_flow` started last, and whether it has come to its end.
    started: Option<(u64, bool)>,
}

/// A flow that runs.
#[derive(Debug, Clone)]
struct Running {
    uid: u64,
    flow: Arc<Prepared>,
    head: isize,
    status: Status,
    interrupted_by: Option<u64>,
}

impl Running {
    fn new(uid: u64, flow: Arc<Prepared>, head: isize) -> Self {
        Self {
            uid,
            flow,
            head,
            status: Status::Active,
            interrupted_by: None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Active,
    Interrupted,
    Aborted,
    Completed,
}

/// A flow that an event brought along.
#[derive(Debug, Clone)]
struct Added {
    flow: Arc<Prepared>,
    /// Its statements as written.
    body: Arc<str>,
}

impl Added {
    fn new(id: &str, body: &str) -> Result<Self, StateError> {
        let mut flow = parser::flow_of(id, body).map_err(|fault| StateError::FlowBody {
            flow: id.to_owned(),
            fault,
        })?;
        let begins = Op::Event {
            kind: "start_flow".to_owned(),
            fields: [("flow_id".to_owned(), Json::from(id))]
                .into_iter()
                .collect(),
        };
        flow.elements.insert(
            0,
            Element {
                op: begins,
                origin: None,
            },
        );
        Ok(Self {
            flow: Arc::new(Prepared::new(flow)),
            body: body.into(),
        })
    }
}

/// The flows that can be called.
#[derive(Debug, Clone, Copy)]
struct Flows<'a> {
    program: &'a Program,
    added: &'a HashMap<String, Added>,
}

impl<'a> Flows<'a> {
    fn find(self, id: &str) -> Option<&'a Arc<Prepared>> {
        self.program
            .prepared(id)
            .or_else(|| self.added.get(id).map(|added| &added.flow))
    }

    fn added(self, id: &str) -> Option<&'a Arc<Prepared>> {
        let added = self.added.get(id)?;
        self.program.prepared(id).is_none().then_some(&added.flow)
    }
}

impl State {
    /// The state before any event. Expressions see `config` as `$config`.
    pub fn new(program: Arc<Program>, config: Value) -> Self {
        Self {
            program,
            config,
            added: Arc::default(),
            turn: Turn::default(),
            earlier: VecDeque::new(),
        }
    }

    /// Follows an event, which is an object with a `type`, and gives what happens next.
    ///
    /// # Errors
    ///
    /// An expression of a flow fails, a flow that is called is not there, or flows come to no end. The state is of no
    /// use then: who wants to go on keeps a clone from before, which costs little.
    pub fn feed(&mut self, event: &Map<String, Json>) -> Result<Decision, StateError> {
        match matching::kind(event) {
            "hide_prev_turn" => {
                let Some(before) = self.earlier.pop_back() else {
                    return Err(StateError::NothingToHide);
                };
                self.turn = Arc::unwrap_or_clone(before);
                return Ok(self.decision());
            }
            "UtteranceUserActionFinished" => {
                if self.earlier.len() == MOST_EARLIER_TURNS {
                    self.earlier.pop_front();
                }
                self.earlier.push_back(Arc::new(self.turn.clone()));
            }
            "start_flow" => self.add_flow(event)?,
            _ => {}
        }
        let flows = Flows {
            program: &self.program,
            added: &self.added,
        };
        self.turn.follow(&flows, &self.config, event)?;
        self.turn.stopped = matching::is_stop(event);
        Ok(self.decision())
    }

    /// Whether the state before the last turn is still kept: a `hide_prev_turn` needs it. Those of the last few turns are.
    pub fn can_hide_turn(&self) -> bool {
        !self.earlier.is_empty()
    }

    /// The state of the same flows before any event.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self::new(Arc::clone(&self.program), self.config.clone())
    }

    /// Whether the flow that the last `start_flow` started has come to its end. One that still waits has not, nor one that
    /// another flow has stopped.
    pub fn has_ended(&self) -> bool {
        self.turn.started.is_some_and(|(_, has_ended)| has_ended)
    }

    /// The value of a variable.
    pub fn variable(&self, name: &str) -> Option<&Value> {
        self.turn.context.get(name)
    }

    /// Adds the flow that an event brings along.
    fn add_flow(&mut self, event: &Map<String, Json>) -> Result<(), StateError> {
        let (Some(id), Some(body)) = (
            matching::text(event, "flow_id"),
            matching::text(event, "flow_body"),
        ) else {
            return Ok(());
        };
        if self.program.prepared(id).is_some() || self.added.contains_key(id) {
            return Ok(());
        }
        let added = Added::new(id, body)?;
        Arc::make_mut(&mut self.added).insert(id.to_owned(), added);
        Ok(())
    }

    fn decision(&self) -> Decision {
        let turn = &self.turn;
        if turn.stopped {
            return Decision::default();
        }
        let mut steps = Vec::new();
        if !turn.updates.is_empty() {
            let updates = turn.updates.iter();
            let updates = updates.map(|(name, value)| (name.clone(), value.clone()));
            steps.push(Step::UpdateContext(updates.collect()));
        }
        steps.extend(turn.next.as_ref().and_then(Next::step));
        let decided = turn.next.as_ref().filter(|_| !steps.is_empty());
        let flow = decided
            .filter(|next| turn.running.iter().any(|running| running.uid == next.by))
            .map(|next| next.flow.flow.id.clone());
        Decision { flow, steps }
    }
}
