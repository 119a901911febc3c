//! The events that statements name.

use std::sync::Arc;

use super::{
    Failure, Machine, Trouble,
    instance::{Action, Instance},
    refs::{ActionRef, EventRef, FlowRef},
    signal::{Kind, Signal},
};
use crate::{
    colang::v2::element::EventSpec,
    value::{Dict, Value},
};

/// What a variable holds that has events.
enum Subject {
    Flow(Arc<str>),
    Action(Arc<str>),
}

impl Machine<'_> {
    /// The name of the event, without its arguments.
    pub(super) fn event_name(
        &mut self,
        uid: &Arc<str>,
        event: &EventSpec,
    ) -> Result<Arc<str>, Trouble> {
        match event {
            EventSpec::Named { name, .. } => Ok(Arc::clone(name)),
            EventSpec::OfFlow { flow, member, .. } => {
                self.known_flow(flow)?;
                Ok(flow_event_name(member)?.into())
            }
            EventSpec::OfAction { action, member, .. } => action_event_name(action, member),
            EventSpec::OfVariable {
                variable,
                path,
                member,
                ..
            } => match self.subject(uid, variable, path)? {
                Subject::Flow(_) => Ok(flow_event_name(member)?.into()),
                Subject::Action(action) => {
                    let name = self.action(&action)?.name.clone();
                    action_event_name(&name, member)
                }
            },
        }
    }

    /// The event, to be sent or to be compared with (`is_pattern`).
    pub(super) fn signal(
        &mut self,
        uid: &Arc<str>,
        event: &EventSpec,
        is_pattern: bool,
    ) -> Result<Signal, Trouble> {
        match event {
            EventSpec::Named { name, arguments } => {
                let arguments = self.eval_arguments(uid, arguments)?;
                let mut signal = Signal::new(Arc::clone(name), arguments);
                if signal.kind == Kind::Action && !is_pattern {
                    signal.action = signal.text("action_uid").map(Arc::from);
                }
                Ok(signal)
            }
            EventSpec::OfFlow {
                flow,
                member,
                arguments,
            } => {
                self.known_flow(flow)?;
                let given = self.eval_arguments(uid, arguments)?;
                let mut all = Dict::new();
                all.insert("flow_id", Value::Str(Arc::clone(flow)));
                extend(&mut all, &given);
                Ok(Signal::new(flow_event_name(member)?, all))
            }
            EventSpec::OfAction {
                action,
                arguments,
                member,
                member_arguments,
            } => {
                let arguments = self.eval_arguments(uid, arguments)?;
                let given = self.eval_arguments(uid, member_arguments)?;
                let own = Action::new(self.host.uid().into(), Arc::clone(action), arguments);
                let mut signal = action_signal(&own, member, given)?;
                if is_pattern {
                    signal.action = None;
                }
                Ok(signal)
            }
            EventSpec::OfVariable {
                variable,
                path,
                member,
                arguments,
            } => match self.subject(uid, variable, path)? {
                Subject::Flow(flow) => {
                    let given = self.eval_arguments(uid, arguments)?;
                    let instance = self.instance(&flow)?;
                    flow_signal(instance, member, &given, self.host.uid())
                }
                Subject::Action(action) => {
                    let given = self.eval_arguments(uid, arguments)?;
                    action_signal(self.action(&action)?, member, given)
                }
            },
        }
    }

    fn known_flow(&self, flow: &str) -> Result<(), Trouble> {
        match self.state.flow(flow) {
            Some(_) => Ok(()),
            None => Err(Failure::new("KeyError", format!("there is no flow `{flow}`")).into()),
        }
    }

    fn subject(
        &mut self,
        uid: &Arc<str>,
        variable: &Arc<str>,
        path: &[Arc<str>],
    ) -> Result<Subject, Trouble> {
        let context = self
            .state
            .core
            .flows
            .get(uid)
            .map(|instance| instance.context);
        let is_global = context.is_some_and(|context| {
            super::scope::is_global(self.state.core.context(context), variable)
        });
        let value = match is_global {
            true => self.state.globals.get(variable).cloned(),
            false => self.local(uid, variable),
        };
        let Some(value) = value else {
            let message = format!("the variable `${variable}` is not set");
            return Err(Failure::new("ColangRuntimeError", message).into());
        };
        let value = self.follow(uid, value, path)?;
        if let Some(flow) = value.as_object::<FlowRef>() {
            return Ok(Subject::Flow(Arc::clone(&flow.uid)));
        }
        if let Some(action) = value.as_object::<ActionRef>() {
            return Ok(Subject::Action(Arc::clone(&action.uid)));
        }
        let message = match value.as_object::<EventRef>() {
            Some(_) => format!("`${variable}` holds an event, which has no events of its own"),
            None => format!(
                "`${variable}` holds a value of type {}, which has no events",
                value.type_name()
            ),
        };
        Err(Failure::new("ColangRuntimeError", message).into())
    }

    pub(super) fn instance(&self, uid: &str) -> Result<&Instance, Trouble> {
        self.state.core.flows.get(uid).ok_or_else(|| {
            Failure::new("ColangRuntimeError", format!("the flow `{uid}` is gone")).into()
        })
    }

    fn action(&self, uid: &str) -> Result<&Action, Trouble> {
        self.state.core.actions.get(uid).ok_or_else(|| {
            Failure::new("ColangRuntimeError", format!("the action `{uid}` is gone")).into()
        })
    }
}

fn flow_event_name(member: &str) -> Result<&'static str, Trouble> {
    Ok(match member {
        "Start" => "StartFlow",
        "Stop" => "StopFlow",
        "Pause" => "PauseFlow",
        "Resume" => "ResumeFlow",
        "Started" => "FlowStarted",
        "Finished" => "FlowFinished",
        "Failed" => "FlowFailed",
        _ => {
            let message = format!("flows have no event `{member}`");
            return Err(Failure::new("ColangSyntaxError", message).into());
        }
    })
}

fn action_event_name(action: &str, member: &str) -> Result<Arc<str>, Trouble> {
    Ok(match member {
        "Start" | "Change" | "Stop" => format!("{member}{action}").into(),
        "Started" | "Finished" => format!("{action}{member}").into(),
        _ if member.ends_with("Updated") => format!("{action}{member}").into(),
        _ => {
            let message = format!("actions have no event `{member}`");
            return Err(Failure::new("ColangSyntaxError", message).into());
        }
    })
}

fn action_signal(action: &Action, member: &str, given: Dict) -> Result<Signal, Trouble> {
    let name = action_event_name(&action.name, member)?;
    let arguments = match member {
        "Start" => action.arguments.clone(),
        "Stop" => Dict::new(),
        "Change" => match given.get("arguments") {
            Some(Value::Dict(arguments)) => arguments.clone(),
            _ => given,
        },
        _ => {
            let mut arguments = given;
            if !action.arguments.is_empty() {
                arguments.insert("action_arguments", action.arguments.clone());
            }
            arguments
        }
    };
    let mut signal = Signal::new(name, arguments);
    signal.action = Some(Arc::clone(&action.uid));
    Ok(signal)
}

fn flow_signal(
    instance: &Instance,
    member: &str,
    given: &Dict,
    uid: String,
) -> Result<Signal, Trouble> {
    let name = flow_event_name(member)?;
    let mut signal = match name {
        "StartFlow" => {
            let mut signal = start_signal(instance, uid);
            extend(&mut signal.arguments, given);
            signal
        }
        "FlowStarted" | "FlowFinished" | "FlowFailed" => told(instance, name, given),
        _ => {
            let mut arguments = Dict::new();
            arguments.insert("flow_id", Value::Str(Arc::clone(&instance.flow.name)));
            arguments.insert("flow_instance_uid", Value::Str(Arc::clone(&instance.uid)));
            Signal::new(name, arguments)
        }
    };
    signal.flow = Some(Arc::clone(&instance.uid));
    Ok(signal)
}

/// The event that starts a flow once more, with the same arguments.
pub(super) fn start_signal(instance: &Instance, uid: String) -> Signal {
    let name = &instance.flow.name;
    let mut arguments = Dict::new();
    arguments.insert("flow_instance_uid", format!("({name}){uid}"));
    arguments.insert("flow_id", Value::Str(Arc::clone(name)));
    arguments.insert("source_flow_instance_uid", instance.parent.clone());
    arguments.insert("source_head_uid", instance.parent_head.clone());
    arguments.insert(
        "flow_hierarchy_position",
        Value::Str(Arc::clone(&instance.hierarchy)),
    );
    arguments.insert("activated", instance.activated);
    extend(&mut arguments, &instance.arguments);
    Signal::new("StartFlow", arguments)
}

/// What an instance tells about itself.
pub(super) fn told(instance: &Instance, name: &str, more: &Dict) -> Signal {
    let mut arguments = Dict::new();
    arguments.insert(
        "source_flow_instance_uid",
        Value::Str(Arc::clone(&instance.uid)),
    );
    arguments.insert("flow_instance_uid", Value::Str(Arc::clone(&instance.uid)));
    arguments.insert("flow_id", Value::Str(Arc::clone(&instance.flow.name)));
    extend(&mut arguments, &instance.arguments);
    extend(&mut arguments, more);
    Signal::new(name, arguments)
}

pub(super) fn extend(dict: &mut Dict, more: &Dict) {
    if !more.is_empty() {
        dict.extend(more.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
}
