//! Heads on their way through the elements of their flows.

use std::sync::Arc;

use super::{
    Failure, Machine, Note, Trouble,
    events::told,
    index::HeadRef,
    instance::{Action, Head, HeadId, HeadStatus, Status},
    lifecycle::Ending,
    process::add,
    scope::{action_value, is_global},
    signal::is_internal,
};
use crate::{
    colang::v2::{
        Flow,
        element::{EventSpec, Op},
    },
    value::{Dict, Value},
};

/// How often a head's heads may fork while none of them waits.
const MAX_FORKS: usize = 60;

/// Where a head stops for now.
pub(super) enum Stop {
    /// It waits, wants to act, or is at the end.
    Here,
    /// It has become these heads.
    Became(Vec<HeadId>),
}

impl Machine<'_> {
    /// Moves heads on to where they wait or want to act; gives those that want to act, or to merge.
    pub(super) fn advance(&mut self, heads: &[HeadRef]) -> Result<Vec<HeadRef>, Trouble> {
        let mut actionable = Vec::new();
        for head in heads {
            self.advance_one(head, &mut actionable)?;
        }
        actionable.retain(|(uid, id)| {
            self.state.core.flows.get(uid).is_some_and(|instance| {
                let head = instance.heads.get(id);
                head.is_some_and(|head| head.status != HeadStatus::Inactive)
            })
        });
        Ok(actionable)
    }

    fn advance_one(
        &mut self,
        head: &HeadRef,
        actionable: &mut Vec<HeadRef>,
    ) -> Result<(), Trouble> {
        self.charge(1)?;
        let (uid, id) = head;
        let Some(instance) = self.state.core.flows.get_mut(uid) else {
            return Ok(());
        };
        let is_listening = instance.is_listening();
        let Some(own) = instance.heads.get(id) else {
            return Ok(());
        };
        match own.status {
            _ if !is_listening => return Ok(()),
            HeadStatus::Inactive => return Ok(()),
            HeadStatus::Merging => {
                if !self.queue.is_empty() {
                    add(actionable, head.clone());
                    return Ok(());
                }
            }
            HeadStatus::Active => {}
        }
        if instance.status == Status::Waiting {
            instance.status = Status::Starting;
        }
        let steps_on = own.status == HeadStatus::Active;
        let next = own.position + usize::from(steps_on);
        let result = match self.move_to(head, next) {
            Ok(()) => self.walk(head, actionable),
            Err(trouble) => Err(trouble),
        };
        let ending = match result {
            Ok(ending) => ending,
            Err(Trouble::Failed(failure)) => {
                self.report(head, &failure);
                Some(Status::Stopped)
            }
            Err(endless) => return Err(endless),
        };
        let scores = self.scores(head);
        match ending {
            Some(Status::Finished) => self.finish(uid, &scores, Ending::default()),
            Some(_) => self.abort(uid, &scores, Ending::default()),
            None => Ok(()),
        }
    }

    /// Lets a head walk; gives how its flow ends, if it does.
    fn walk(
        &mut self,
        head: &HeadRef,
        actionable: &mut Vec<HeadRef>,
    ) -> Result<Option<Status>, Trouble> {
        let (uid, id) = head;
        let flow = Arc::clone(&self.instance(uid)?.flow);
        if let Stop::Became(new) = self.slide(head, &flow)? {
            self.forks += 1;
            if self.forks > MAX_FORKS {
                return Err(self.endless(uid));
            }
            let new: Vec<HeadRef> = new.into_iter().map(|id| (Arc::clone(uid), id)).collect();
            let more = self.advance(&new);
            self.forks -= 1;
            for head in more? {
                add(actionable, head);
            }
        }
        let instance = self.instance(uid)?;
        let Some(own) = instance.heads.get(id) else {
            return Ok(None);
        };
        if own.status == HeadStatus::Merging {
            add(actionable, head.clone());
        }
        let mut ending = None;
        let position = own.position;
        if position >= flow.elements.len() {
            ending = Some(match instance.status {
                Status::Stopping => Status::Stopped,
                _ => Status::Finished,
            });
        }
        if ending == Some(Status::Stopped) {
            return Ok(ending);
        }
        let all_wait = ending.is_none()
            && instance.active_heads().all(|(_, head)| {
                flow.elements
                    .get(head.position)
                    .is_some_and(|element| match &element.op {
                        Op::WaitForHeads(_) => true,
                        Op::Match(matching) => !matching.is_internal,
                        _ => false,
                    })
            });
        if ending.is_some() || all_wait {
            if instance.status == Status::Starting {
                let is_activated = instance.activated > 0;
                let started = told(instance, "FlowStarted", &Dict::new());
                let scores = self.scores(head);
                self.queue.push_back(started.scored(&scores));
                if let Some(instance) = self.state.core.flows.get_mut(uid) {
                    instance.status = Status::Started;
                }
                if ending.is_some() && is_activated {
                    // It would start anew at once, and never come to an end.
                    ending = None;
                    self.set_status(head, HeadStatus::Inactive)?;
                }
            }
        } else if flow
            .elements
            .get(position)
            .is_some_and(|element| wants_to_act(&element.op))
        {
            add(actionable, head.clone());
        }
        Ok(ending)
    }

    /// The scores of the matches that brought a head where it is, in this step.
    pub(super) fn scores(&self, (uid, id): &HeadRef) -> Vec<f64> {
        let instance = self.state.core.flows.get(uid);
        match instance.and_then(|instance| instance.heads.get(id)) {
            Some(head) if head.step == self.state.core.step => head.scores.clone(),
            _ => Vec::new(),
        }
    }

    /// Lets a head go on as far as nothing outside of its flow is needed.
    fn slide(&mut self, head: &HeadRef, flow: &Flow) -> Result<Stop, Trouble> {
        let (uid, id) = head;
        loop {
            self.charge(1)?;
            let Some(instance) = self.state.core.flows.get(uid) else {
                return Ok(Stop::Here);
            };
            let Some(own) = instance.heads.get(id) else {
                return Ok(Stop::Here);
            };
            let position = own.position;
            let Some(element) = flow.elements.get(position) else {
                return Ok(Stop::Here);
            };
            if own.status == HeadStatus::Inactive {
                return Ok(Stop::Here);
            }
            let mut next = position + 1;
            match &element.op {
                Op::Match(_) => return Ok(Stop::Here),
                Op::Send(send) => {
                    if !self.send_internal(head, &send.event, element.position)? {
                        return Ok(Stop::Here);
                    }
                }
                Op::NewAction {
                    name,
                    arguments,
                    variable,
                } => {
                    let arguments = self.eval_arguments(uid, arguments)?;
                    self.new_action(head, name, arguments, variable);
                }
                Op::Label | Op::Pass => {}
                Op::StartNewInstance => {
                    let scores = self.scores(head);
                    self.start_beside(uid, &scores)?;
                }
                Op::Goto { target, condition } => {
                    let goes = match condition {
                        Some(condition) => {
                            let value = self.eval(uid, &condition.value)?;
                            value.is_truthy() == condition.holds
                        }
                        None => true,
                    };
                    if goes {
                        next = target + 1;
                    }
                }
                Op::Fork { fork, targets } => {
                    return self.fork(head, *fork, targets).map(Stop::Became);
                }
                Op::Merge(fork) => match own.status {
                    HeadStatus::Active => {
                        self.set_status(head, HeadStatus::Merging)?;
                        return Ok(Stop::Here);
                    }
                    _ => return self.merge(head, *fork),
                },
                Op::Join(fork) => return self.merge(head, *fork),
                Op::WaitForHeads(number) => {
                    let here = instance.active_heads();
                    let here = here.filter(|(_, head)| head.position == position).count();
                    if here < *number {
                        return Ok(Stop::Here);
                    }
                }
                Op::Assign { variable, value } => {
                    let value = self.eval(uid, value)?;
                    self.set(uid, variable, value);
                }
                Op::Return(value) => {
                    let value = match value {
                        Some(value) => self.eval(uid, value)?,
                        None => Value::None,
                    };
                    let context = self.instance(uid)?.context;
                    let context = self.state.core.context_mut(context);
                    context.insert("_return_value", value);
                    next = flow.elements.len();
                }
                Op::Abort => match self.caught(head) {
                    Some(target) => next = target + 1,
                    None => {
                        if let Some(instance) = self.state.core.flows.get_mut(uid) {
                            instance.status = Status::Stopping;
                        }
                        next = flow.elements.len();
                    }
                },
                Op::Log(value) => {
                    let text = self.eval(uid, value)?.to_string();
                    let flow = Arc::clone(&flow.name);
                    self.notes.push(Note::Log { flow, text });
                }
                Op::Print(value) => {
                    let text = self.eval(uid, value)?.to_string();
                    self.notes.push(Note::Print(text));
                }
                Op::Priority(value) => {
                    let priority = match self.eval(uid, value)? {
                        Value::Float(priority) if (0.0..=1.0).contains(&priority) => priority,
                        other => {
                            let message = format!(
                                "a priority is a floating-point number from 0.0 to 1.0, not {}",
                                other.repr()
                            );
                            return Err(Failure::new("ColangValueError", message).into());
                        }
                    };
                    if let Some(instance) = self.state.core.flows.get_mut(uid) {
                        instance.priority = priority;
                    }
                }
                Op::Global(name) => self.declare_global(uid, name),
                Op::Catch(target) => {
                    if let Some(own) = self.head_mut(head) {
                        match target {
                            Some(target) => own.catches.push(*target),
                            None => {
                                own.catches.pop();
                            }
                        }
                    }
                }
                Op::BeginScope(scope) => {
                    let instance = self.state.core.flows.get_mut(uid);
                    if let Some(instance) = instance {
                        instance.scopes.entry(*scope).or_default();
                        if let Some(own) = instance.heads.get_mut(id)
                            && !own.scopes.contains(scope)
                        {
                            own.scopes.push(*scope);
                        }
                    }
                }
                Op::EndScope(scope) => self.end_scope(head, *scope)?,
            }
            self.move_to(head, next)?;
        }
    }

    fn head_mut(&mut self, (uid, id): &HeadRef) -> Option<&mut Head> {
        self.state.core.flows.get_mut(uid)?.heads.get_mut(id)
    }

    /// Sends an event to other flows; gives `false`, and does nothing, if it is one for the outside.
    fn send_internal(
        &mut self,
        head: &HeadRef,
        event: &EventSpec,
        position: usize,
    ) -> Result<bool, Trouble> {
        let (uid, id) = head;
        let mut signal = self.signal(uid, event, false)?;
        if !is_internal(&signal.name) {
            return Ok(false);
        }
        signal
            .arguments
            .insert("source_flow_instance_uid", Value::Str(Arc::clone(uid)));
        signal.arguments.insert("source_head_uid", format!("{id}"));
        if &*signal.name == "StartFlow" {
            let hierarchy = format!("{}.{position}", self.instance(uid)?.hierarchy);
            signal
                .arguments
                .insert("flow_hierarchy_position", hierarchy);
        }
        let scores = self.scores(head);
        signal.flow = None;
        self.queue.push_back(signal.scored(&scores));
        Ok(true)
    }

    fn new_action(&mut self, head: &HeadRef, name: &Arc<str>, arguments: Dict, variable: &str) {
        let (uid, id) = head;
        let action_uid: Arc<str> = self.host.uid().into();
        let mut action = Action::new(Arc::clone(&action_uid), Arc::clone(name), arguments);
        action.flow = Some(Arc::clone(uid));
        let core = &mut self.state.core;
        core.actions.insert(Arc::clone(&action_uid), action);
        if let Some(instance) = core.flows.get_mut(uid) {
            instance.actions.push(Arc::clone(&action_uid));
            let scopes = instance.heads.get(id).map(|head| head.scopes.clone());
            for scope in scopes.unwrap_or_default() {
                if let Some(scope) = instance.scopes.get_mut(&scope) {
                    scope.actions.push(Arc::clone(&action_uid));
                }
            }
        }
        let value = action_value(&action_uid);
        self.set_local(uid, variable, value);
    }

    /// Sets a variable of the instance itself, even if one of that name is global.
    pub(super) fn set_local(&mut self, uid: &Arc<str>, variable: &str, value: Value) {
        let Some(context) = self.state.core.flows.get(uid).map(|flow| flow.context) else {
            return;
        };
        match is_global(self.state.core.context(context), variable) {
            true => self.set(uid, variable, value),
            false => {
                self.state.core.context_mut(context).insert(variable, value);
                self.reindex(uid, Some(variable));
            }
        }
    }

    fn declare_global(&mut self, uid: &Arc<str>, name: &str) {
        let Some(context) = self.state.core.flows.get(uid).map(|flow| flow.context) else {
            return;
        };
        let mark = format!("_global_{name}");
        self.state
            .core
            .context_mut(context)
            .insert(mark, Value::None);
        if !self.state.globals.contains_key(name) {
            self.state.globals.insert(name, Value::None);
        }
        self.reindex(uid, Some(name));
    }
}

/// Whether a head at this element waits for its turn to act.
fn wants_to_act(op: &Op) -> bool {
    match op {
        Op::Send(send) => match &send.event {
            EventSpec::Named { name, .. } => !is_internal(name),
            _ => true,
        },
        _ => false,
    }
}
