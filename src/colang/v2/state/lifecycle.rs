//! How instances of flows end, and start anew where they are activated.

use std::sync::Arc;

use super::{
    Machine, Note, Trouble,
    events::{extend, start_signal, told},
    instance::{Head, HeadId, Status},
    signal::Signal,
};
use crate::value::{Dict, Value};

/// How an instance ends.
#[derive(Debug, Clone, Default)]
pub(super) struct Ending {
    /// Whether it does not start anew, though it is activated.
    pub(super) deactivates: bool,
    /// Variables to set at the end.
    pub(super) update: Option<Dict>,
}

impl Machine<'_> {
    /// Takes back an activation. Gives whether the instance goes on, since others have activated it too.
    fn deactivate(&mut self, uid: &Arc<str>, scores: &[f64]) -> Result<bool, Trouble> {
        let Some(instance) = self.state.core.flows.get(uid) else {
            return Ok(true);
        };
        if !self.state.core.is_activated_itself(instance) {
            return Ok(false);
        }
        let (name, children) = (Arc::clone(&instance.flow.name), instance.children.clone());
        let Some(instance) = self.state.core.flows.get_mut(uid) else {
            return Ok(true);
        };
        instance.activated -= 1;
        if instance.activated > 0 {
            return Ok(true);
        }
        if instance.is_done() {
            self.state.core.done.push_back((self.now, Arc::clone(uid)));
        }
        for child in children {
            let is_copy = self
                .state
                .core
                .live(&child)
                .is_some_and(|child| child.flow.name == name);
            if is_copy {
                let ending = Ending {
                    deactivates: true,
                    update: None,
                };
                self.abort(&child, scores, ending)?;
                if let Some(child) = self.state.core.flows.get_mut(&child) {
                    child.activated = 0;
                    let (done, uid) = (child.is_done(), Arc::clone(&child.uid));
                    if done {
                        self.state.core.done.push_back((self.now, uid));
                    }
                }
            }
        }
        Ok(false)
    }

    /// The instance fails, with all that it has started.
    pub(super) fn abort(
        &mut self,
        uid: &Arc<str>,
        scores: &[f64],
        ending: Ending,
    ) -> Result<(), Trouble> {
        self.charge(1)?;
        if ending.deactivates && self.deactivate(uid, scores)? {
            return Ok(());
        }
        let Some(instance) = self.state.core.flows.get(uid) else {
            return Ok(());
        };
        if !instance.is_listening() && instance.status != Status::Stopping {
            return Ok(());
        }
        self.release(uid, scores)?;
        self.close(uid, Status::Stopped, ending.update.as_ref());
        let failed = told(self.instance(uid)?, "FlowFailed", &Dict::new());
        self.queue.push_back(failed.scored(scores));
        self.start_anew(uid, scores, ending.deactivates);
        Ok(())
    }

    /// The instance ends well; what it has started and does not need any more is stopped.
    pub(super) fn finish(
        &mut self,
        uid: &Arc<str>,
        scores: &[f64],
        ending: Ending,
    ) -> Result<(), Trouble> {
        self.charge(1)?;
        if ending.deactivates && self.deactivate(uid, scores)? {
            return Ok(());
        }
        let Some(instance) = self.state.core.flows.get(uid) else {
            return Ok(());
        };
        if !instance.is_listening() {
            return Ok(());
        }
        self.release(uid, scores)?;
        if self.state.core.main.as_ref() == Some(uid) {
            return self.rewind(uid);
        }
        self.close(uid, Status::Finished, ending.update.as_ref());
        let instance = self.instance(uid)?;
        let mut result = Dict::new();
        if let Some(value) = self
            .state
            .core
            .context(instance.context)
            .get("_return_value")
        {
            result.insert("return_value", value.clone());
        }
        let finished = told(instance, "FlowFinished", &result);
        self.queue.push_back(finished.scored(scores));
        self.log_intent(uid, scores)?;
        self.start_anew(uid, scores, ending.deactivates);
        Ok(())
    }

    /// `main` goes back to its beginning, and waits for the start of the story.
    fn rewind(&mut self, uid: &Arc<str>) -> Result<(), Trouble> {
        let id = self.state.core.new_head();
        if let Some(instance) = self.state.core.flows.get_mut(uid) {
            instance.heads.insert(id, Head::new());
            instance.forks.clear();
            instance.scopes.clear();
            instance.status = Status::Waiting;
        }
        self.index_head(&(Arc::clone(uid), id))
    }

    /// Stops the instance's flows and actions, and takes its heads off.
    fn release(&mut self, uid: &Arc<str>, scores: &[f64]) -> Result<(), Trouble> {
        let instance = self.instance(uid)?;
        let (children, actions) = (instance.children.clone(), instance.actions.clone());
        for child in children {
            let Some(instance) = self.state.core.live(&child) else {
                continue;
            };
            if !self.state.core.is_activated_copy(instance) {
                let ending = Ending {
                    deactivates: true,
                    update: None,
                };
                self.abort(&child, scores, ending)?;
            }
        }
        for action in actions {
            self.stop_action(&action);
        }
        self.remove_heads(uid);
        Ok(())
    }

    fn remove_heads(&mut self, uid: &Arc<str>) {
        let Some(instance) = self.state.core.flows.get_mut(uid) else {
            return;
        };
        let heads: Vec<HeadId> = std::mem::take(&mut instance.heads).into_keys().collect();
        for head in heads {
            self.state.core.index.remove(head);
        }
    }

    /// Stops an action, unless another flow needs it.
    pub(super) fn stop_action(&mut self, uid: &str) {
        let Some(action) = self.state.core.actions.get_mut(uid) else {
            return;
        };
        if !action.is_running() {
            return;
        }
        action.users -= 1;
        if action.users != 0 {
            return;
        }
        action.status = super::instance::ActionStatus::Stopping;
        let mut stop = Signal::new(format!("Stop{}", action.name), Dict::new());
        stop.action = Some(Arc::clone(&action.uid));
        // A stop has nothing in it that could be wrong.
        let _ = self.emit(&mut stop);
    }

    fn close(&mut self, uid: &Arc<str>, status: Status, update: Option<&Dict>) {
        let now = self.now;
        let core = &mut self.state.core;
        let Some(instance) = core.flows.get_mut(uid) else {
            return;
        };
        instance.status = status;
        let (loop_id, context, activated) = (
            instance.loop_id.clone(),
            instance.context,
            instance.activated,
        );
        let parent = instance.parent.clone();
        if let Some(id) = loop_id {
            core.leave_loop(&id);
        }
        if activated == 0 {
            core.done.push_back((now, Arc::clone(uid)));
            let parent = parent.and_then(|parent| core.flows.get_mut(&parent));
            if let Some(parent) = parent
                && let Some(at) = parent.children.iter().position(|child| child == uid)
            {
                parent.children.remove(at);
            }
        }
        if let Some(update) = update {
            extend(core.context_mut(context), update);
        }
    }

    /// An activated flow starts once more.
    fn start_anew(&mut self, uid: &Arc<str>, scores: &[f64], deactivated: bool) {
        let new = self.host.uid();
        let core = &mut self.state.core;
        let Some(instance) = core.flows.get(uid) else {
            return;
        };
        if deactivated || instance.activated <= 0 || instance.restarted {
            return;
        }
        let mut start = start_signal(instance, new).scored(scores);
        let source = instance.parent.as_ref().filter(|parent| {
            let parent = core.flows.get(*parent);
            parent.is_some_and(|parent| parent.flow.name == instance.flow.name)
        });
        let source = Arc::clone(source.unwrap_or(uid));
        start
            .arguments
            .insert("source_flow_instance_uid", Value::Str(source));
        self.queue.push_front(start);
        let is_copy = core.is_activated_copy(instance);
        if let Some(instance) = core.flows.get_mut(uid) {
            instance.restarted = true;
        }
        if is_copy {
            // The first instance stands for the activation; a copy of it is of no more use.
            core.done.push_back((self.now, Arc::clone(uid)));
        }
    }

    /// `start_new_flow_instance:`
    pub(super) fn start_beside(&mut self, uid: &Arc<str>, scores: &[f64]) -> Result<(), Trouble> {
        let new = self.host.uid();
        let instance = self.instance(uid)?;
        if instance.status != Status::Started {
            let message = format!(
                "the flow `{}` does not start anew at `start_new_flow_instance:`, since it has \
                 not waited for anything yet: it would never come to an end",
                instance.flow.name
            );
            self.notes.push(Note::Warning(message));
            return Ok(());
        }
        let mut start = start_signal(instance, new).scored(scores);
        start
            .arguments
            .insert("source_flow_instance_uid", Value::Str(Arc::clone(uid)));
        self.queue.push_front(start);
        if let Some(instance) = self.state.core.flows.get_mut(uid) {
            instance.restarted = true;
        }
        Ok(())
    }
}
