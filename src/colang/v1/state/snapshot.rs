//! A state to be stored, and read again with the same flows.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize, Serializer};

use super::{
    super::program::{Prepared, Program},
    Added, Flows, MOST_EARLIER_TURNS, Next, Running, State, StateError, Status, Turn,
};
use crate::value::Value;

/// The version of what is stored.
const VERSION: u32 = 1;

/// The highest number of a flow's run that is read: far more than a conversation can start, and far from an overflow.
const HIGHEST_UID: u64 = 1 << 53;

/// A [`State`] without its flows, which a program brings: it can be written as JSON and read again.
///
/// Variables are kept as JSON keeps them: a tuple comes back as a list, a number that JSON does not have as none.
///
/// ```
/// # use std::sync::Arc;
/// # use serde_json::json;
/// use tower_guardrails::{colang::v1::{Program, State, StateSnapshot, parse}, value::Value};
///
/// let (parsed, _) = parse("main.co", "define flow\n  user hi\n  bot hello\n  bot bye\n");
/// let program = Arc::new(Program::new(parsed.flows));
/// let mut state = State::new(Arc::clone(&program), Value::None);
/// let event = json!({"type": "UserIntent", "intent": "hi"});
/// state.feed(event.as_object().unwrap())?;
///
/// let stored = serde_json::to_string(&state)?;
/// let snapshot: StateSnapshot = serde_json::from_str(&stored)?;
/// let mut restored = State::restore(program, Value::None, snapshot)?;
/// let event = json!({"type": "BotIntent", "intent": "hello"});
/// let decision = restored.feed(event.as_object().unwrap())?;
/// assert_eq!(decision.steps[0].to_event()["intent"], "bye");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StateSnapshot {
    version: u32,
    /// The statements of the flows that events brought along, by name.
    added: BTreeMap<String, String>,
    turn: TurnSnapshot,
    earlier: Vec<TurnSnapshot>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct TurnSnapshot {
    context: BTreeMap<String, Value>,
    running: Vec<RunningSnapshot>,
    next: Option<NextSnapshot>,
    updates: IndexMap<String, Value>,
    last_uid: u64,
    stopped: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct RunningSnapshot {
    uid: u64,
    flow: String,
    head: isize,
    status: Status,
    interrupted_by: Option<u64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct NextSnapshot {
    by: u64,
    flow: String,
    head: isize,
    priority: f64,
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.snapshot().serialize(serializer)
    }
}

impl State {
    /// What is to be stored of the state.
    pub fn snapshot(&self) -> StateSnapshot {
        let added = self.added.iter();
        let added = added.map(|(id, added)| (id.clone(), (*added.body).to_owned()));
        StateSnapshot {
            version: VERSION,
            added: added.collect(),
            turn: TurnSnapshot::new(&self.turn),
            earlier: self
                .earlier
                .iter()
                .map(|turn| TurnSnapshot::new(turn))
                .collect(),
        }
    }

    /// The state that was stored, with the flows of `program`. Expressions see `config` as `$config`.
    ///
    /// # Errors
    ///
    /// The snapshot is of another version, or does not fit the flows.
    pub fn restore(
        program: Arc<Program>,
        config: Value,
        snapshot: StateSnapshot,
    ) -> Result<Self, StateError> {
        if snapshot.version != VERSION {
            let message = format!("its version is {}, not {VERSION}", snapshot.version);
            return Err(StateError::Stored(message));
        }
        if snapshot.earlier.len() > MOST_EARLIER_TURNS {
            let message = format!("it keeps more than {MOST_EARLIER_TURNS} earlier turns");
            return Err(StateError::Stored(message));
        }
        let added = snapshot.added.into_iter().map(|(id, body)| {
            let added = Added::new(&id, &body)?;
            Ok((id, added))
        });
        let added: HashMap<String, Added> = added.collect::<Result<_, StateError>>()?;
        let flows = Flows {
            program: &program,
            added: &added,
        };
        let turn = snapshot.turn.restore(flows, &config)?;
        let earlier = snapshot.earlier.into_iter();
        let earlier = earlier
            .map(|turn| turn.restore(flows, &config).map(Arc::new))
            .collect::<Result<VecDeque<_>, _>>()?;
        Ok(Self {
            added: Arc::new(added),
            program,
            config,
            turn,
            earlier,
        })
    }
}

impl TurnSnapshot {
    fn new(turn: &Turn) -> Self {
        // The configuration is not of the conversation.
        let context = turn.context.iter().filter(|(name, _)| *name != "config");
        let running = turn.running.iter().map(|running| RunningSnapshot {
            uid: running.uid,
            flow: running.flow.flow.id.clone(),
            head: running.head,
            status: running.status,
            interrupted_by: running.interrupted_by,
        });
        let next = turn.next.as_ref().map(|next| NextSnapshot {
            by: next.by,
            flow: next.flow.flow.id.clone(),
            head: next.head,
            priority: next.priority,
        });
        Self {
            context: context
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            running: running.collect(),
            next,
            updates: turn.updates.clone(),
            last_uid: turn.last_uid,
            stopped: turn.stopped,
        }
    }

    fn restore(self, flows: Flows<'_>, config: &Value) -> Result<Turn, StateError> {
        let mut context: HashMap<String, Value> = self.context.into_iter().collect();
        context.insert("config".to_owned(), config.clone());
        let last_uid = uid(self.last_uid)?;
        let running = self.running.into_iter().map(|running| {
            let flow = flow(flows, &running.flow, running.head)?;
            let mut restored = Running::new(uid(running.uid)?, flow, running.head);
            restored.status = running.status;
            restored.interrupted_by = running.interrupted_by;
            Ok(restored)
        });
        let running = running.collect::<Result<_, StateError>>()?;
        let next = match self.next {
            Some(next) => Some(Next {
                by: next.by,
                flow: flow(flows, &next.flow, next.head)?,
                head: next.head,
                priority: next.priority,
            }),
            None => None,
        };
        Ok(Turn {
            started: None,
            context: Arc::new(context),
            running,
            next,
            updates: self.updates,
            last_uid,
            steps_left: 0,
            stopped: self.stopped,
        })
    }
}

fn uid(uid: u64) -> Result<u64, StateError> {
    match uid <= HIGHEST_UID {
        true => Ok(uid),
        false => Err(StateError::Stored("a number in it is too high".to_owned())),
    }
}

/// The flow `id`, which stands at `head`.
fn flow(flows: Flows<'_>, id: &str, head: isize) -> Result<Arc<Prepared>, StateError> {
    let flow = flows
        .find(id)
        .ok_or_else(|| StateError::UnknownFlow(id.to_owned()))?;
    match head.unsigned_abs() <= flow.flow.elements.len() {
        true => Ok(Arc::clone(flow)),
        false => Err(StateError::Stored(format!(
            "the flow `{id}` has no such step"
        ))),
    }
}
