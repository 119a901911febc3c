//! What events between flows do by themselves, before any flow matches them: starting and ending flows, logging.

use std::{collections::HashSet, sync::Arc};

use super::{
    Failure, Machine, Trouble,
    events::told,
    lifecycle::Ending,
    signal::{Handled, Kind, Signal},
};
use crate::value::{Dict, Value};

impl Machine<'_> {
    /// What an event does before any flow matches it; gives the loops that handled it.
    pub(super) fn defaults(&mut self, signal: &mut Signal) -> Result<Handled, Trouble> {
        let mut handled = Handled::default();
        if signal.kind != Kind::Internal {
            return Ok(handled);
        }
        match &*signal.name {
            "StartFlow" => handled.all = self.start(signal)?,
            "FinishFlow" | "StopFlow" => handled.loops = self.end(signal)?,
            "BotIntentLog" | "UserIntentLog" | "BotActionLog" | "UserActionLog" => {
                self.state.core.remember(signal.event());
                handled.all = true;
            }
            _ => {}
        }
        Ok(handled)
    }

    /// `FinishFlow` and `StopFlow`: of one instance, or of all of a flow that have these arguments.
    fn end(&mut self, signal: &Signal) -> Result<HashSet<Arc<str>>, Trouble> {
        let mut handled = HashSet::new();
        let finishes = &*signal.name == "FinishFlow";
        let update = match signal.arguments.get("context_update") {
            Some(Value::Dict(update)) => Some(update.clone()),
            _ => None,
        };
        if let Some(uid) = signal.text("flow_instance_uid") {
            let Some(instance) = self.state.core.live(uid) else {
                return Ok(handled);
            };
            if instance.is_active() || instance.status == super::instance::Status::Stopping {
                let uid = Arc::clone(&instance.uid);
                handled.extend(instance.loop_id.clone());
                let ending = Ending {
                    deactivates: !finishes && instance.activated > 0,
                    update,
                };
                match finishes {
                    true => self.finish(&uid, &signal.scores, ending)?,
                    false => self.abort(&uid, &signal.scores, ending)?,
                }
            }
            return Ok(handled);
        }
        let Some(flow) = signal.text("flow_id") else {
            return Ok(handled);
        };
        let mut wanted = signal.arguments.clone();
        for own in [
            "flow_id",
            "deactivate",
            "context_update",
            "source_flow_instance_uid",
            "source_head_uid",
        ] {
            wanted.remove(own);
        }
        let deactivates = signal
            .arguments
            .get("deactivate")
            .is_some_and(Value::is_truthy);
        for uid in self.state.core.instances_of(flow).to_vec() {
            self.charge(1)?;
            let Some(instance) = self.state.core.flows.get(&uid) else {
                continue;
            };
            let fits = wanted
                .iter()
                .all(|(key, value)| instance.arguments.get_value(key.value()) == Some(value));
            if !fits {
                continue;
            }
            handled.extend(instance.loop_id.clone());
            let ending = Ending {
                deactivates,
                update: update.clone(),
            };
            match finishes {
                true => self.finish(&uid, &signal.scores, ending)?,
                false => self.abort(&uid, &signal.scores, ending)?,
            }
        }
        Ok(handled)
    }

    /// `StartFlow`: makes an instance, unless the flow is active already. Gives whether it was.
    fn start(&mut self, signal: &mut Signal) -> Result<bool, Trouble> {
        let Some(name) = signal.text("flow_id").map(Arc::<str>::from) else {
            return Ok(false);
        };
        if &*name == "main" || self.state.flow(&name).is_none() {
            return Ok(false);
        }
        let source = signal
            .text("source_flow_instance_uid")
            .map(Arc::<str>::from);
        let Some(source) = source.filter(|uid| self.state.core.live(uid).is_some()) else {
            return Ok(false);
        };
        let activates = signal
            .arguments
            .get("activated")
            .is_some_and(Value::is_truthy);
        let is_again = self
            .state
            .core
            .live(&source)
            .is_some_and(|instance| instance.flow.name == name);
        let active = match activates {
            true => self.active_instance(&name, &source, is_again, signal)?,
            false => None,
        };
        match active {
            Some(active) if !is_again => {
                if let Some(instance) = self.state.core.flows.get_mut(&active) {
                    instance.activated += 1;
                }
                if let Some(parent) = self.state.core.flows.get_mut(&source) {
                    parent.children.push(Arc::clone(&active));
                }
                let mut more = Dict::new();
                if let Some(uid) = signal.arguments.get("flow_instance_uid") {
                    more.insert("flow_instance_uid", uid.clone());
                }
                let started = told(self.instance(&active)?, "FlowStarted", &more);
                self.queue.push_back(started.scored(&signal.scores));
                Ok(true)
            }
            active => {
                if let Some(active) = active {
                    signal
                        .arguments
                        .insert("source_flow_instance_uid", Value::Str(active));
                }
                if let Err(trouble) = self.create(&name, signal) {
                    let Trouble::Failed(failure) = trouble else {
                        return Err(trouble);
                    };
                    self.refuse(&name, signal, failure);
                    return Ok(true);
                }
                Ok(false)
            }
        }
    }

    /// A flow that cannot start has failed: who waits for it must know.
    fn refuse(&mut self, flow: &Arc<str>, signal: &Signal, failure: Failure) {
        let mut arguments = Dict::new();
        if let Some(uid) = signal.arguments.get("flow_instance_uid") {
            arguments.insert("source_flow_instance_uid", uid.clone());
        }
        for (key, value) in signal.arguments.iter() {
            if !matches!(
                key.as_str(),
                Some("source_flow_instance_uid" | "source_head_uid" | "flow_hierarchy_position")
            ) {
                arguments.insert(key.clone(), value.clone());
            }
        }
        self.tell_error(&format!("the flow `{flow}` cannot start"), &failure);
        let failed = Signal::new("FlowFailed", arguments).scored(&signal.scores);
        self.queue.push_back(failed);
    }

    /// The instance that was activated with the same arguments.
    fn active_instance(
        &mut self,
        name: &str,
        source: &Arc<str>,
        is_again: bool,
        signal: &Signal,
    ) -> Result<Option<Arc<str>>, Trouble> {
        if is_again {
            // It is the source, or the one that the source is a copy of.
            let mut next = Some(Arc::clone(source));
            while let Some(uid) = next {
                let Some(instance) = self.state.core.live(&uid) else {
                    return Ok(None);
                };
                if self.state.core.is_activated_itself(instance) {
                    return Ok(Some(uid));
                }
                next = instance.parent.clone().filter(|parent| {
                    let parent = self.state.core.live(parent);
                    parent.is_some_and(|parent| *parent.flow.name == *name)
                });
            }
            return Ok(None);
        }
        let Some(flow) = self.state.flow(name).cloned() else {
            return Ok(None);
        };
        let mut wanted = Vec::new();
        for (index, parameter) in flow.parameters.iter().enumerate() {
            let position = format!("${index}");
            let given = signal
                .arguments
                .get(&parameter.name)
                .or_else(|| signal.arguments.get(&position));
            wanted.push(match (given, &parameter.default) {
                (Some(value), _) => Some(value.clone()),
                (None, Some(default)) => Some(self.default_of(default)?),
                (None, None) => None,
            });
        }
        // A parameter without any value is none that an active instance has.
        let Some(wanted) = wanted.into_iter().collect::<Option<Vec<Value>>>() else {
            return Ok(None);
        };
        Ok(self.state.core.activation(&flow.name, &wanted))
    }
}
