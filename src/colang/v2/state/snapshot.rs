//! A state as JSON, and back.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value as Json;

use super::{
    Event, Machine, State, StateError,
    encode::{dict_from_json, dict_to_json},
    instance::{Action, ActionStatus, Head, HeadId, HeadStatus, Instance, Scope, Status},
};
use crate::{
    colang::v2::{Flow, Program, SystemHost},
    value::{Dict, Value},
};

/// The version of the form. It changes when an older one cannot be read any more.
const VERSION: u32 = 1;
/// The highest number that may stand in a snapshot: there is room for more above it.
const MAX_NUMBER: u64 = 1 << 62;

/// What is to be stored of a [`State`]: JSON, with a version.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StateSnapshot {
    version: u32,
    /// The sources of flows that were added.
    sources: Vec<String>,
    /// What the flows were like: by name, a number of their text.
    flows: BTreeMap<String, u64>,
    globals: Json,
    instances: Vec<InstanceSnapshot>,
    contexts: BTreeMap<u64, Json>,
    actions: Vec<ActionSnapshot>,
    main: Option<String>,
    done: Vec<(u64, String)>,
    history: Vec<(String, Json)>,
    next: u64,
    step: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct InstanceSnapshot {
    uid: String,
    flow: String,
    serial: u64,
    loop_id: Option<String>,
    hierarchy: String,
    depth: usize,
    heads: BTreeMap<HeadId, HeadSnapshot>,
    scopes: BTreeMap<usize, (Vec<String>, Vec<String>)>,
    forks: BTreeMap<usize, HeadId>,
    actions: Vec<String>,
    context: u64,
    priority: f64,
    arguments: Json,
    parent: Option<String>,
    parent_head: Option<String>,
    children: Vec<String>,
    status: Status,
    activated: i64,
    restarted: bool,
    is_retired: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct HeadSnapshot {
    position: usize,
    status: HeadStatus,
    scopes: Vec<usize>,
    children: Vec<HeadId>,
    catches: Vec<usize>,
    arrival: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct ActionSnapshot {
    uid: String,
    name: String,
    flow: Option<String>,
    status: ActionStatus,
    context: Json,
    arguments: Json,
    users: i64,
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.snapshot().serialize(serializer)
    }
}

fn texts(all: &[Arc<str>]) -> Vec<String> {
    all.iter().map(|text| text.to_string()).collect()
}

fn shared(all: Vec<String>) -> Vec<Arc<str>> {
    all.into_iter().map(Arc::from).collect()
}

fn text(text: Option<&Arc<str>>) -> Option<String> {
    text.map(|text| text.to_string())
}

/// A number that differs, most likely, where the flow's text does (FNV-1a).
fn fingerprint(flow: &Flow) -> u64 {
    let length = flow.elements.len().to_le_bytes();
    let bytes = flow.source_code.bytes().chain(length);
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl State {
    /// What is to be stored.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tower_guardrails::colang::v2::{Program, State, StateSnapshot, SystemHost, parse};
    /// # let (module, _) = parse("main.co", "flow main\n  match Never()\n");
    /// # let program = Arc::new(Program::new([module])?);
    /// let mut state = State::new(Arc::clone(&program), Default::default());
    /// for event in state.start(&SystemHost) {
    ///     state.feed(event, &SystemHost)?;
    /// }
    /// let stored = serde_json::to_string(&state.snapshot())?;
    /// let snapshot: StateSnapshot = serde_json::from_str(&stored)?;
    /// let restored = State::restore(program, Default::default(), snapshot)?;
    /// assert_eq!(serde_json::to_string(&restored)?, stored);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn snapshot(&self) -> StateSnapshot {
        let core = &self.core;
        let mut instances: Vec<InstanceSnapshot> =
            core.flows.values().map(InstanceSnapshot::new).collect();
        instances.sort_by_key(|instance| instance.serial);
        let mut actions: Vec<ActionSnapshot> =
            core.actions.values().map(ActionSnapshot::new).collect();
        actions.sort_by(|left, right| left.uid.cmp(&right.uid));
        let contexts = core.contexts.iter();
        let flows = core.flows.values().map(|instance| {
            let flow = &instance.flow;
            (flow.name.to_string(), fingerprint(flow))
        });
        StateSnapshot {
            version: VERSION,
            sources: texts(&self.sources),
            flows: flows.collect(),
            globals: dict_to_json(&self.globals),
            instances,
            contexts: contexts
                .map(|(id, (context, _))| (*id, dict_to_json(context)))
                .collect(),
            actions,
            main: text(core.main.as_ref()),
            done: core
                .done
                .iter()
                .map(|(time, uid)| (*time, uid.to_string()))
                .collect(),
            history: core
                .history
                .iter()
                .map(|event| (event.name.to_string(), dict_to_json(&event.arguments)))
                .collect(),
            next: core.next,
            step: core.step,
        }
    }

    /// The state that was stored, with the flows of `program`. Expressions see `config` as `$system.config`.
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
            return Err(stored(format!(
                "its version is {}, not {VERSION}",
                snapshot.version
            )));
        }
        let mut state = Self::new(program, config);
        for source in &snapshot.sources {
            state
                .add_flows(source)
                .map_err(|error| stored(format!("a flow that was added is wrong: {error}")))?;
        }
        for (name, number) in &snapshot.flows {
            let flow = state
                .flow(name)
                .ok_or_else(|| stored(format!("there is no flow `{name}` any more")))?;
            if fingerprint(flow) != *number {
                return Err(stored(format!("the flow `{name}` is another one now")));
            }
        }
        state.globals = dict(&snapshot.globals)?;
        state.core.next = number(snapshot.next)?;
        state.core.step = number(snapshot.step)?;
        state.core.main = snapshot.main.map(Arc::from);
        state.core.done = snapshot
            .done
            .into_iter()
            .map(|(time, uid)| (time, uid.into()))
            .collect();
        for (id, context) in &snapshot.contexts {
            state.core.contexts.insert(*id, (dict(context)?, 0));
        }
        for action in snapshot.actions {
            let action = action.restore()?;
            state.core.actions.insert(Arc::clone(&action.uid), action);
        }
        for (name, arguments) in &snapshot.history {
            let event = Event::new(name.as_str(), dict(arguments)?);
            state.core.remember(event);
        }
        let mut waiting = Vec::new();
        for instance in snapshot.instances {
            let instance = instance.restore(&state)?;
            for (id, head) in &instance.heads {
                waiting.push((head.arrival, (Arc::clone(&instance.uid), *id)));
            }
            state.add_restored(instance);
        }
        let uids: Vec<Arc<str>> = state.core.flows.keys().cloned().collect();
        for uid in uids {
            state.core.note_activation(&uid);
        }
        waiting.sort_unstable();
        let next = state.core.next;
        let mut machine = Machine::new(&mut state, &SystemHost);
        for (arrival, head) in waiting {
            machine.state.core.next = arrival.saturating_sub(1).min(next);
            // A match that makes no sense any more waits for nothing.
            let _ = machine.index_head(&head);
        }
        state.core.next = next;
        Ok(state)
    }

    fn add_restored(&mut self, instance: Instance) {
        self.core.share(instance.context);
        if instance.is_listening()
            && let Some(id) = &instance.loop_id
        {
            self.core.enter_loop(id);
        }
        if instance.is_retired {
            self.core.retired += 1;
            self.core.flows.insert(Arc::clone(&instance.uid), instance);
        } else {
            self.core.add(Arc::clone(&instance.flow.name), instance);
        }
    }
}

fn stored(message: String) -> StateError {
    StateError::Stored(message)
}

fn number(number: u64) -> Result<u64, StateError> {
    match number <= MAX_NUMBER {
        true => Ok(number),
        false => Err(stored("a number in it is too high".to_owned())),
    }
}

fn dict(json: &Json) -> Result<Dict, StateError> {
    dict_from_json(json).ok_or_else(|| stored("a value in it is none of Colang's".to_owned()))
}

impl InstanceSnapshot {
    fn new(instance: &Instance) -> Self {
        let heads = instance.heads.iter().map(|(id, head)| {
            let head = HeadSnapshot {
                position: head.position,
                status: head.status,
                scopes: head.scopes.clone(),
                children: head.children.clone(),
                catches: head.catches.clone(),
                arrival: head.arrival,
            };
            (*id, head)
        });
        let scopes = instance
            .scopes
            .iter()
            .map(|(id, scope)| (*id, (texts(&scope.flows), texts(&scope.actions))));
        Self {
            uid: instance.uid.to_string(),
            flow: instance.flow.name.to_string(),
            serial: instance.serial,
            loop_id: text(instance.loop_id.as_ref()),
            hierarchy: instance.hierarchy.to_string(),
            depth: instance.depth,
            heads: heads.collect(),
            scopes: scopes.collect(),
            forks: instance.forks.clone(),
            actions: texts(&instance.actions),
            context: instance.context,
            priority: instance.priority,
            arguments: dict_to_json(&instance.arguments),
            parent: text(instance.parent.as_ref()),
            parent_head: text(instance.parent_head.as_ref()),
            children: texts(&instance.children),
            status: instance.status,
            activated: instance.activated,
            restarted: instance.restarted,
            is_retired: instance.is_retired,
        }
    }

    fn restore(self, state: &State) -> Result<Instance, StateError> {
        let unknown = || stored(format!("there is no flow `{}` any more", self.flow));
        let flow = Arc::clone(state.flow(&self.flow).ok_or_else(unknown)?);
        let length = flow.elements.len();
        let mut heads = BTreeMap::new();
        for (id, head) in self.heads {
            let targets = head.catches.iter().chain([&head.position]);
            if targets.into_iter().any(|target| *target > length) {
                let message = format!("the flow `{}` has no such step", flow.name);
                return Err(stored(message));
            }
            let restored = Head {
                position: head.position,
                status: head.status,
                scores: Vec::new(),
                step: 0,
                scopes: head.scopes,
                children: head.children,
                catches: head.catches,
                arrival: number(head.arrival)?,
            };
            heads.insert(number(id)?, restored);
        }
        let scopes = self.scopes.into_iter().map(|(id, (flows, actions))| {
            let scope = Scope {
                flows: shared(flows),
                actions: shared(actions),
            };
            (id, scope)
        });
        Ok(Instance {
            uid: self.uid.into(),
            flow,
            serial: number(self.serial)?,
            loop_id: self.loop_id.map(Arc::from),
            hierarchy: self.hierarchy.into(),
            depth: self.depth,
            heads,
            scopes: scopes.collect(),
            forks: self.forks,
            actions: shared(self.actions),
            context: self.context,
            priority: self.priority,
            arguments: dict(&self.arguments)?,
            parent: self.parent.map(Arc::from),
            parent_head: self.parent_head.map(Arc::from),
            children: shared(self.children),
            status: self.status,
            activated: self.activated,
            restarted: self.restarted,
            is_retired: self.is_retired,
        })
    }
}

impl ActionSnapshot {
    fn new(action: &Action) -> Self {
        Self {
            uid: action.uid.to_string(),
            name: action.name.to_string(),
            flow: text(action.flow.as_ref()),
            status: action.status,
            context: dict_to_json(&action.context),
            arguments: dict_to_json(&action.arguments),
            users: action.users,
        }
    }

    fn restore(self) -> Result<Action, StateError> {
        let mut action = Action::new(self.uid.into(), self.name.into(), dict(&self.arguments)?);
        action.flow = self.flow.map(Arc::from);
        action.status = self.status;
        action.context = dict(&self.context)?;
        action.users = self.users;
        Ok(action)
    }
}
