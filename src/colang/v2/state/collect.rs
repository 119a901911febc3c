//! Forgets instances, actions and variables that nothing can reach any more.

use std::{collections::HashSet, sync::Arc};

use super::{
    State,
    instance::ActionStatus,
    refs::{ActionRef, ContextRef, EventRef, FlowRef},
};
use crate::value::{Dict, Value};

/// How many instances that have ended are kept before it is worth to look which are of use.
const WORTH_IT: usize = 256;

/// What is still of use.
#[derive(Default)]
struct Marks {
    flows: HashSet<Arc<str>>,
    actions: HashSet<Arc<str>>,
    contexts: HashSet<u64>,
    /// Instances that are marked, but not looked into yet.
    open: Vec<Arc<str>>,
}

impl State {
    /// Forgets what is of no use, when there is enough of it: the cost is shared by the events since the last time.
    pub(super) fn collect(&mut self) {
        let living = self.core.flows.len() - self.core.retired.min(self.core.flows.len());
        let idle_actions = self.core.actions.len() > WORTH_IT + 4 * self.core.flows.len();
        if self.core.retired <= WORTH_IT.max(living) && !idle_actions {
            return;
        }
        self.forget();
    }

    pub(super) fn forget(&mut self) {
        let core = &mut self.core;
        let finished =
            |uid: &Arc<str>, actions: &std::collections::HashMap<_, super::instance::Action>| {
                actions
                    .get(uid)
                    .is_none_or(|action| action.status == ActionStatus::Finished)
            };
        for instance in core.flows.values_mut() {
            let actions = &core.actions;
            instance.actions.retain(|uid| !finished(uid, actions));
        }
        let mut marks = Marks::default();
        for instance in core.flows.values().filter(|instance| !instance.is_retired) {
            marks.flow(&instance.uid);
        }
        marks.dict(&self.globals);
        while let Some(uid) = marks.open.pop() {
            let Some(instance) = core.flows.get(&uid) else {
                continue;
            };
            marks.dict(&instance.arguments);
            marks.actions.extend(instance.actions.iter().cloned());
            for scope in instance.scopes.values() {
                marks.actions.extend(scope.actions.iter().cloned());
            }
            if marks.contexts.insert(instance.context) {
                marks.dict(core.context(instance.context));
            }
        }
        core.flows.retain(|uid, _| marks.flows.contains(uid));
        core.actions.retain(|uid, _| marks.actions.contains(uid));
        core.contexts.retain(|id, _| marks.contexts.contains(id));
        core.retired = core.flows.values().filter(|flow| flow.is_retired).count();
    }
}

impl Marks {
    fn flow(&mut self, uid: &Arc<str>) {
        if self.flows.insert(Arc::clone(uid)) {
            self.open.push(Arc::clone(uid));
        }
    }

    fn dict(&mut self, dict: &Dict) {
        for (_, value) in dict.iter() {
            self.value(value);
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::List(items) | Value::Tuple(items) => {
                items.iter().for_each(|item| self.value(item));
            }
            Value::Dict(dict) => self.dict(dict),
            Value::Object(_) => {
                if let Some(flow) = value.as_object::<FlowRef>() {
                    self.flow(&flow.uid);
                } else if let Some(context) = value.as_object::<ContextRef>() {
                    self.flow(&context.uid);
                } else if let Some(action) = value.as_object::<ActionRef>() {
                    self.actions.insert(Arc::clone(&action.uid));
                } else if let Some(event) = value.as_object::<EventRef>() {
                    self.event(event);
                }
            }
            _ => {}
        }
    }

    fn event(&mut self, event: &EventRef) {
        if let Some(uid) = &event.signal.flow {
            self.flow(uid);
        }
        self.actions.extend(event.signal.action.clone());
        self.dict(&event.signal.arguments);
    }
}
