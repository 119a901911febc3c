//! Heads on their way through the elements of their flows.

use std::sync::Arc;

use super::{
    Failure, Machine, Note, Trouble,
    events::told,
    index::HeadRef,
    instance::{Action, Head, HeadId, HeadStatus, Scope, Status},
    lifecycle::Ending,
    process::{add, compare},
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
enum Stop {
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

    /// Moves a head to an element.
    pub(super) fn move_to(&mut self, head: &HeadRef, position: usize) -> Result<(), Trouble> {
        let instance = self.state.core.flows.get_mut(&head.0);
        let Some(own) = instance.and_then(|instance| instance.heads.get_mut(&head.1)) else {
            return Ok(());
        };
        if own.position == position {
            return Ok(());
        }
        own.position = position;
        self.index_head(head)
    }

    fn set_status(&mut self, head: &HeadRef, status: HeadStatus) -> Result<(), Trouble> {
        let instance = self.state.core.flows.get_mut(&head.0);
        let Some(own) = instance.and_then(|instance| instance.heads.get_mut(&head.1)) else {
            return Ok(());
        };
        own.status = status;
        self.index_head(head)
    }

    /// Puts a head where the events find it that it waits for; takes it away where it waits for none.
    pub(super) fn index_head(&mut self, head: &HeadRef) -> Result<(), Trouble> {
        let (uid, id) = head;
        self.state.core.index.remove(*id);
        let Some(instance) = self.state.core.flows.get(uid) else {
            return Ok(());
        };
        let Some(own) = instance.heads.get(id) else {
            return Ok(());
        };
        if own.status == HeadStatus::Inactive || !instance.is_listening() {
            return Ok(());
        }
        let flow = Arc::clone(&instance.flow);
        let element = flow.elements.get(own.position);
        let Some(matching) = element.and_then(|element| element.matching()) else {
            return Ok(());
        };
        let key = self.key(uid, matching)?;
        let arrival = self.state.core.new_arrival();
        let instance = self.state.core.flows.get_mut(uid);
        if let Some(own) = instance.and_then(|instance| instance.heads.get_mut(id)) {
            own.arrival = arrival;
        }
        self.state.core.index.insert(head.clone(), key, arrival);
        Ok(())
    }

    /// Where heads are found may depend on the variable that has changed (on any, without a name).
    pub(super) fn reindex(&mut self, uid: &Arc<str>, variable: Option<&str>) {
        let Some(instance) = self.state.core.flows.get(uid) else {
            return;
        };
        let flow = Arc::clone(&instance.flow);
        let waiting: Vec<(HeadId, usize, u64)> = instance
            .active_heads()
            .map(|(id, head)| (id, head.position, head.arrival))
            .collect();
        for (id, position, arrival) in waiting {
            let element = flow.elements.get(position);
            let Some(matching) = element.and_then(|element| element.matching()) else {
                continue;
            };
            if !self.state.core.index.has(id) || !depends_on(&matching.event, variable) {
                continue;
            }
            // A match that makes no sense any more keeps its place, and fails when an event comes.
            if let Ok(key) = self.key(uid, matching) {
                let head = (Arc::clone(uid), id);
                self.state.core.index.insert(head, key, arrival);
            }
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

    fn fork(
        &mut self,
        head: &HeadRef,
        fork: usize,
        targets: &[usize],
    ) -> Result<Vec<HeadId>, Trouble> {
        let (uid, id) = head;
        self.set_status(head, HeadStatus::Inactive)?;
        let mut new = Vec::new();
        for target in targets {
            let child_id = self.state.core.new_head();
            let Some(instance) = self.state.core.flows.get_mut(uid) else {
                return Ok(new);
            };
            instance.forks.insert(fork, *id);
            let Some(own) = instance.heads.get_mut(id) else {
                return Ok(new);
            };
            own.children.push(child_id);
            let mut child = Head::new();
            child.position = *target;
            child.scores.clone_from(&own.scores);
            child.step = own.step;
            child.scopes.clone_from(&own.scopes);
            child.catches.clone_from(&own.catches);
            instance.heads.insert(child_id, child);
            new.push(child_id);
        }
        Ok(new)
    }

    /// Of the heads that are at the end of their fork, the best goes on, as the head that was forked.
    fn merge(&mut self, head: &HeadRef, fork: usize) -> Result<Stop, Trouble> {
        let (uid, id) = head;
        let step = self.state.core.step;
        let instance = self.instance(uid)?;
        let forked = instance.forks.get(&fork).copied();
        let Some(parent_id) = forked.filter(|parent| instance.heads.contains_key(parent)) else {
            let message = "a group of statements has lost its beginning";
            return Err(Failure::new("ColangRuntimeError", message).into());
        };
        let merged = instance.descendants(parent_id);
        let mut scopes: Vec<usize> = Vec::new();
        let children = instance
            .heads
            .get(&parent_id)
            .map(|head| head.children.clone());
        for child in children.unwrap_or_default() {
            let own = instance
                .heads
                .get(&child)
                .map(|head| head.scopes.as_slice());
            for scope in own.unwrap_or_default() {
                if !scopes.contains(scope) {
                    scopes.push(*scope);
                }
            }
        }
        let mut merging: Vec<(HeadId, Vec<f64>)> = merged
            .iter()
            .filter_map(|id| Some((*id, instance.heads.get(id)?)))
            .filter(|(_, head)| head.status == HeadStatus::Merging)
            .map(|(id, head)| {
                (
                    id,
                    if head.step == step {
                        head.scores.clone()
                    } else {
                        Vec::new()
                    },
                )
            })
            .collect();
        let mut picked = *id;
        if merging.len() > 1 {
            picked = self.best(&mut merging).unwrap_or(picked);
        }
        self.set_status(head, HeadStatus::Inactive)?;
        if picked != *id {
            return Ok(Stop::Here);
        }
        let instance = self.state.core.flows.get_mut(uid);
        let Some(instance) = instance else {
            return Ok(Stop::Here);
        };
        let Some(own) = instance.heads.get(id).cloned() else {
            return Ok(Stop::Here);
        };
        if let Some(parent) = instance.heads.get_mut(&parent_id) {
            parent.position = own.position;
            parent.status = HeadStatus::Active;
            parent.scopes = scopes;
            parent.scores = own.scores;
            parent.step = own.step;
            parent.catches = own.catches;
            parent.children.clear();
        }
        for id in &merged {
            instance.heads.remove(id);
        }
        instance.forks.remove(&fork);
        let gone: Vec<usize> = instance
            .forks
            .iter()
            .filter(|(_, head)| merged.contains(head))
            .map(|(fork, _)| *fork)
            .collect();
        for fork in gone {
            instance.forks.remove(&fork);
        }
        for id in merged {
            self.state.core.index.remove(id);
        }
        Ok(Stop::Became(vec![parent_id]))
    }

    /// The one with the best scores; of equally good ones, any. Orders them, the best first.
    pub(super) fn best(&self, all: &mut [(HeadId, Vec<f64>)]) -> Option<HeadId> {
        let longest = all
            .iter()
            .map(|(_, scores)| scores.len())
            .max()
            .unwrap_or(0);
        let padded = |scores: &Vec<f64>| {
            let mut padded = scores.clone();
            padded.resize(longest, 1.0);
            padded
        };
        all.sort_by(|left, right| compare(&padded(&right.1), &padded(&left.1)));
        let equal = all
            .iter()
            .take_while(|(_, scores)| all.first().is_some_and(|(_, first)| scores == first))
            .count();
        let chosen = self.host.choose(equal).min(equal.saturating_sub(1));
        all.get(chosen).map(|(best, _)| *best)
    }

    fn end_scope(&mut self, head: &HeadRef, number: usize) -> Result<(), Trouble> {
        let (uid, _) = head;
        let scores = self.scores(head);
        let Some(instance) = self.state.core.flows.get_mut(uid) else {
            return Ok(());
        };
        let Scope { flows, actions } = instance.scopes.remove(&number).unwrap_or_default();
        for own in instance.heads.values_mut() {
            own.scopes.retain(|scope| *scope != number);
        }
        for flow in flows {
            if self.state.core.live(&flow).is_some() {
                self.abort(&flow, &scores, Ending::default())?;
            }
        }
        for action in actions {
            self.stop_action(&action);
        }
        Ok(())
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

/// Whether an event's arguments name the variable.
fn depends_on(event: &EventSpec, variable: Option<&str>) -> bool {
    let Some(variable) = variable else {
        return true;
    };
    let names = |arguments: &crate::colang::v2::ast::Arguments| {
        arguments.values().any(|value| value.is_variable(variable))
    };
    match event {
        EventSpec::Named { arguments, .. } => names(arguments),
        EventSpec::OfAction {
            member_arguments, ..
        } => names(member_arguments),
        EventSpec::OfFlow { .. } => false,
        EventSpec::OfVariable { variable: own, .. } => &**own == variable,
    }
}
