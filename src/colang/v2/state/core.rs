//! What a state consists of, apart from the flows' text.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use indexmap::IndexMap;

use super::{
    Event,
    index::Index,
    instance::{Action, HeadId, Instance},
};
use crate::value::{Dict, Value};

/// How many events of the past are kept.
const MAX_HISTORY: usize = 500;
/// How long instances that have ended are still found by their flow, in milliseconds (the reference's own time).
const LINGER: u64 = 5_000;
/// How many such instances are found at most.
const MAX_LINGERING: usize = 1_000;

/// Arguments as a text that differs where they do.
fn repr(arguments: &[Value]) -> String {
    let parts: Vec<String> = arguments.iter().map(Value::repr).collect();
    parts.join(", ")
}

#[derive(Debug, Clone, Default)]
pub(super) struct Core {
    pub(super) flows: HashMap<Arc<str>, Instance>,
    /// The instances of each flow, in the order in which they were made.
    pub(super) by_flow: HashMap<Arc<str>, BTreeMap<u64, Arc<str>>>,
    /// The active instance of each flow and its arguments.
    activations: HashMap<(Arc<str>, String), Arc<str>>,
    pub(super) actions: HashMap<Arc<str>, Action>,
    /// The variables of instances, and how many instances see them.
    pub(super) contexts: HashMap<u64, (Dict, usize)>,
    /// How many instances listen in each interaction loop.
    pub(super) loops: Arc<IndexMap<Arc<str>, usize>>,
    pub(super) index: Index,
    pub(super) main: Option<Arc<str>>,
    /// Instances that have ended, and when.
    pub(super) done: VecDeque<(u64, Arc<str>)>,
    pub(super) retired: usize,
    pub(super) history: VecDeque<Event>,
    /// The last number that was given out.
    pub(super) next: u64,
    /// How many events of the outside there were.
    pub(super) step: u64,
    empty: Dict,
}

impl Core {
    pub(super) fn context(&self, id: u64) -> &Dict {
        self.contexts
            .get(&id)
            .map_or(&self.empty, |(context, _)| context)
    }

    pub(super) fn context_mut(&mut self, id: u64) -> &mut Dict {
        &mut self
            .contexts
            .entry(id)
            .or_insert_with(|| (Dict::new(), 1))
            .0
    }

    pub(super) fn new_context(&mut self, context: Dict) -> u64 {
        self.next += 1;
        self.contexts.insert(self.next, (context, 1));
        self.next
    }

    pub(super) fn share(&mut self, id: u64) {
        if let Some((_, users)) = self.contexts.get_mut(&id) {
            *users += 1;
        }
    }

    pub(super) fn is_shared(&self, id: u64) -> bool {
        self.contexts.get(&id).is_some_and(|(_, users)| *users > 1)
    }

    pub(super) fn new_head(&mut self) -> HeadId {
        self.next += 1;
        self.next
    }

    pub(super) fn new_arrival(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// An instance that is found by its flow and its identifier.
    pub(super) fn live(&self, uid: &str) -> Option<&Instance> {
        self.flows.get(uid).filter(|instance| !instance.is_retired)
    }

    /// The instances of a flow, in the order in which they were made.
    pub(super) fn instances_of(&self, flow: &str) -> Vec<Arc<str>> {
        let instances = self.by_flow.get(flow);
        instances.map_or_else(Vec::new, |all| all.values().cloned().collect())
    }

    pub(super) fn add(&mut self, flow: Arc<str>, instance: Instance) {
        let uid = Arc::clone(&instance.uid);
        let of_flow = self.by_flow.entry(flow).or_default();
        of_flow.insert(instance.serial, Arc::clone(&uid));
        self.flows.insert(uid, instance);
    }

    pub(super) fn enter_loop(&mut self, id: &Arc<str>) {
        *Arc::make_mut(&mut self.loops)
            .entry(Arc::clone(id))
            .or_insert(0) += 1;
    }

    pub(super) fn leave_loop(&mut self, id: &str) {
        let loops = Arc::make_mut(&mut self.loops);
        if let Some(count) = loops.get_mut(id) {
            *count -= 1;
            if *count == 0 {
                loops.swap_remove(id);
            }
        }
    }

    /// The instances above one and itself, the topmost first.
    pub(super) fn hierarchy(&self, uid: &str) -> Vec<Arc<str>> {
        let mut above = Vec::new();
        let mut next = self.live(uid);
        while let Some(instance) = next {
            if above.contains(&instance.uid) {
                break;
            }
            above.push(Arc::clone(&instance.uid));
            next = instance
                .parent
                .as_deref()
                .and_then(|parent| self.live(parent));
        }
        above.reverse();
        above
    }

    /// Whether this instance stands for an activation: it was not made by starting an activated flow anew.
    pub(super) fn is_activated_itself(&self, instance: &Instance) -> bool {
        let parent = instance
            .parent
            .as_deref()
            .and_then(|parent| self.live(parent));
        instance.activated > 0
            && parent.is_some_and(|parent| parent.flow.name != instance.flow.name)
    }

    /// The instance that stands for the activation of a flow with these arguments.
    pub(super) fn activation(&self, flow: &Arc<str>, arguments: &[Value]) -> Option<Arc<str>> {
        let uid = self.activations.get(&(Arc::clone(flow), repr(arguments)))?;
        let instance = self.live(uid)?;
        self.is_activated_itself(instance).then(|| Arc::clone(uid))
    }

    /// Notes that an instance stands for an activation, if it does and no other one does.
    pub(super) fn note_activation(&mut self, uid: &str) {
        let instance = self.live(uid);
        if !instance.is_some_and(|instance| self.is_activated_itself(instance)) {
            return;
        }
        let Some(key) = self.activation_key(uid) else {
            return;
        };
        let known = self.activations.get(&key).and_then(|uid| self.live(uid));
        if !known.is_some_and(|known| self.is_activated_itself(known)) {
            self.activations.insert(key, uid.into());
        }
    }

    fn forget_activation(&mut self, uid: &str) {
        if let Some(key) = self.activation_key(uid)
            && self.activations.get(&key).is_some_and(|own| **own == *uid)
        {
            self.activations.remove(&key);
        }
    }

    fn activation_key(&self, uid: &str) -> Option<(Arc<str>, String)> {
        let instance = self.flows.get(uid)?;
        let arguments = instance.flow.parameters.iter().map(|parameter| {
            let value = instance.arguments.get(&parameter.name);
            value.cloned().unwrap_or_default()
        });
        let arguments: Vec<Value> = arguments.collect();
        Some((Arc::clone(&instance.flow.name), repr(&arguments)))
    }

    /// Whether this instance was made by starting an activated flow anew.
    pub(super) fn is_activated_copy(&self, instance: &Instance) -> bool {
        let parent = instance
            .parent
            .as_deref()
            .and_then(|parent| self.live(parent));
        instance.activated > 0
            && parent.is_some_and(|parent| parent.flow.name == instance.flow.name)
    }

    pub(super) fn remember(&mut self, event: Event) {
        if self.history.len() >= MAX_HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(event);
    }

    /// Lets go of instances that ended some time ago.
    pub(super) fn retire(&mut self, now: u64) {
        while let Some((ended, uid)) = self.done.front() {
            let lingers = now.saturating_sub(*ended) <= LINGER;
            if lingers && self.done.len() <= MAX_LINGERING {
                break;
            }
            let uid = Arc::clone(uid);
            self.done.pop_front();
            self.retire_one(&uid);
        }
    }

    pub(super) fn retire_one(&mut self, uid: &str) {
        self.forget_activation(uid);
        let Some(instance) = self.flows.get_mut(uid) else {
            return;
        };
        if instance.is_retired || !instance.is_done() {
            return;
        }
        instance.is_retired = true;
        self.retired += 1;
        let (name, serial) = (Arc::clone(&instance.flow.name), instance.serial);
        let parent = instance.parent.clone();
        if let Some(of_flow) = self.by_flow.get_mut(&name) {
            of_flow.remove(&serial);
            if of_flow.is_empty() {
                self.by_flow.remove(&name);
            }
        }
        let parent = parent.and_then(|parent| self.flows.get_mut(&parent));
        if let Some(parent) = parent
            && let Some(at) = parent.children.iter().rposition(|child| **child == *uid)
        {
            parent.children.remove(at);
        }
    }
}

impl Core {
    /// Takes an instance out as if it had never been: its flow is gone.
    pub(super) fn remove(&mut self, uid: &str) {
        let Some(instance) = self.flows.get_mut(uid) else {
            return;
        };
        let heads = std::mem::take(&mut instance.heads);
        let was_listening = instance.is_listening();
        instance.status = super::instance::Status::Stopped;
        let loop_id = instance.loop_id.clone();
        for head in heads.into_keys() {
            self.index.remove(head);
        }
        if let Some(id) = loop_id.filter(|_| was_listening) {
            self.leave_loop(&id);
        }
        self.retire_one(uid);
    }
}
