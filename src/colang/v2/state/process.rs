//! One event of the outside, and all that follows until every flow waits again.

use std::sync::Arc;

use super::{
    Machine, Note, Trouble,
    index::HeadRef,
    instance::{Action, HeadStatus},
    lifecycle::Ending,
    matching::Outcome,
    refs::EventRef,
    signal::{Handled, Kind, Signal},
};
use crate::value::{Dict, Key, Set, Value};

/// How many matches of a chain of events have a say in which flow acts.
const MAX_SCORES: usize = 256;

impl Machine<'_> {
    /// Runs until every flow waits.
    pub(super) fn run(&mut self, signal: Signal) -> Result<(), Trouble> {
        self.queue.push_back(signal);
        let mut actionable: Vec<HeadRef> = Vec::new();
        loop {
            loop {
                while let Some(signal) = self.queue.pop_front() {
                    self.charge(1)?;
                    for head in self.process(signal)? {
                        add(&mut actionable, head);
                    }
                }
                let mut merging = Vec::new();
                let mut acting = Vec::new();
                for head in actionable.drain(..) {
                    match self.head_status(&head) {
                        Some(HeadStatus::Merging) => merging.push(head),
                        Some(HeadStatus::Active) => acting.push(head),
                        _ => {}
                    }
                }
                actionable = acting;
                if merging.is_empty() {
                    break;
                }
                for head in self.advance(&merging)? {
                    add(&mut actionable, head);
                }
            }
            actionable.retain(|(uid, id)| {
                self.state.core.flows.get(uid).is_some_and(|instance| {
                    let head = instance.heads.get(id);
                    instance.is_active()
                        && head.is_some_and(|head| head.status == HeadStatus::Active)
                })
            });
            if actionable.is_empty() && self.queue.is_empty() {
                return Ok(());
            }
            let advancing = self.resolve(&actionable)?;
            actionable = self.advance(&advancing)?;
        }
    }

    fn head_status(&self, (uid, id): &HeadRef) -> Option<HeadStatus> {
        let instance = self.state.core.flows.get(uid)?;
        instance.heads.get(id).map(|head| head.status)
    }

    /// Lets all heads know about an event; gives those that want to act.
    fn process(&mut self, mut signal: Signal) -> Result<Vec<HeadRef>, Trouble> {
        let loops = Arc::clone(&self.state.core.loops);
        if &*signal.name == "ContextUpdate"
            && let Some(Value::Dict(data)) = signal.arguments.get("data").cloned()
        {
            for (name, value) in data.iter_str() {
                self.state.globals.insert(name, value.clone());
            }
        }
        let candidates = self.candidates(&signal);
        if let Some(handled) = signal.handled.take() {
            self.note_unhandled(&signal);
            if candidates.is_empty() {
                return Ok(Vec::new());
            }
            let others = loops.keys().filter(|id| !handled.loops.contains(*id));
            let others: Set = others.map(|id| Key::from(&**id)).collect();
            signal.arguments.insert("loop_ids", Value::Set(others));
        } else {
            self.note(&signal);
        }
        let mut handled = self.defaults(&mut signal)?;
        // The defaults may have made an instance that waits for its start.
        let candidates = match &*signal.name {
            "StartFlow" | "FinishFlow" | "StopFlow" => self.candidates(&signal),
            _ => candidates,
        };
        let (mut matching, mut failing) = (Vec::new(), Vec::new());
        for head in candidates {
            self.charge(1)?;
            let outcome = match self.outcome(&head, &signal) {
                Ok(outcome) => outcome,
                Err(Trouble::Failed(failure)) => {
                    self.report(&head, &failure);
                    Outcome::Nothing
                }
                Err(endless) => return Err(endless),
            };
            match outcome {
                Outcome::Matches(score) => {
                    let mut scores = signal.scores.clone();
                    if scores.len() < MAX_SCORES {
                        scores.push(score);
                    }
                    let step = self.state.core.step;
                    let instance = self.state.core.flows.get_mut(&head.0);
                    let Some(instance) = instance else { continue };
                    if let Some(own) = instance.heads.get_mut(&head.1) {
                        own.scores = scores.clone();
                        own.step = step;
                    }
                    match &*signal.name {
                        "StartFlow" => handled.all = true,
                        _ => handled.loops.extend(instance.loop_id.clone()),
                    }
                    matching.push((scores, head));
                }
                Outcome::Fails => failing.push(head),
                Outcome::Nothing => {}
            }
        }
        self.tell_unhandled(&signal, handled, &loops);
        matching.sort_by(|left, right| compare(&right.0, &left.0));
        let mut moving: Vec<HeadRef> = matching.into_iter().map(|(_, head)| head).collect();
        for head in &moving {
            if let Err(trouble) = self.matched(&signal, head) {
                let Trouble::Failed(failure) = trouble else {
                    return Err(trouble);
                };
                self.report(head, &failure);
                self.abort(&head.0, &[], Ending::default())?;
            }
        }
        if signal.kind == Kind::Action {
            self.follow_action(&signal);
        }
        for head in failing {
            match self.caught(&head) {
                Some(target) => {
                    self.move_to(&head, target)?;
                    moving.push(head);
                }
                None => self.abort(&head.0, &[], Ending::default())?,
            }
        }
        self.advance(&moving)
    }

    /// Where a failure of the head leads to, if it is caught.
    pub(super) fn caught(&self, (uid, id): &HeadRef) -> Option<usize> {
        let head = self.state.core.flows.get(uid)?.heads.get(id)?;
        head.catches.last().copied()
    }

    /// The heads that the event may concern, by the priority of their loops and their place in the hierarchy of flows.
    fn candidates(&self, signal: &Signal) -> Vec<HeadRef> {
        let index = &self.state.core.index;
        let mut heads = index.waiting(&signal.name, signal);
        let others: &[&str] = match &*signal.name {
            "FlowFinished" => &["FlowStarted", "FlowFailed"],
            "FlowFailed" => &["FlowStarted", "FlowFinished"],
            _ => &[],
        };
        for other in others {
            heads.extend(index.waiting(other, signal));
        }
        heads.sort_by_cached_key(|(uid, _)| {
            let instance = self.state.core.flows.get(uid);
            instance.map(|instance| {
                (
                    -instance.flow.loop_priority(),
                    Arc::clone(&instance.hierarchy),
                )
            })
        });
        heads
    }

    fn note_unhandled(&mut self, signal: &Signal) {
        let mut about = Dict::new();
        if let Some(event) = signal.arguments.get("event") {
            about.insert("event", event.clone());
        }
        self.notes
            .push(Note::Event(super::Event::new("UnhandledEvent", about)));
    }

    fn note(&mut self, signal: &Signal) {
        if signal.kind == Kind::Internal || &*signal.name == "ColangError" {
            self.notes.push(Note::Event(signal.event()));
        }
    }

    /// Tells flows about an event that some interaction loops did not handle.
    fn tell_unhandled(
        &mut self,
        signal: &Signal,
        handled: Handled,
        loops: &indexmap::IndexMap<Arc<str>, usize>,
    ) {
        if handled.all || &*signal.name == "UnhandledEvent" {
            return;
        }
        if loops.keys().all(|id| handled.loops.contains(id)) {
            return;
        }
        let mut arguments = signal.arguments.clone();
        arguments.insert("event", Value::Str(Arc::clone(&signal.name)));
        let mut told = Signal::new("UnhandledEvent", arguments).scored(&signal.scores);
        told.handled = Some(handled);
        self.queue.push_back(told);
    }

    /// What a match means to the head's own flow.
    fn matched(&mut self, signal: &Signal, head: &HeadRef) -> Result<(), Trouble> {
        let (uid, id) = head;
        let instance = self.instance(uid)?;
        let Some(own) = instance.heads.get(id) else {
            return Ok(());
        };
        let (position, scopes) = (own.position, own.scopes.clone());
        let flow = Arc::clone(&instance.flow);
        let matching = flow
            .elements
            .get(position)
            .and_then(|element| element.matching());
        if let Some(matching) = matching
            && let Some(reference) = &matching.reference
        {
            let mut pattern = self.signal(uid, &matching.event, true)?;
            super::events::extend(&mut pattern.arguments, &signal.arguments);
            self.refer(&mut pattern, signal);
            let value = Value::object(EventRef::new(pattern));
            self.set(uid, reference, value);
        }
        if &*signal.name == "StartFlow"
            && signal.text("flow_id") == Some(&*flow.name)
            && position == 0
        {
            return self.begin(uid, signal);
        }
        if &*signal.name == "FlowStarted"
            && let Some(started) = signal
                .text("source_flow_instance_uid")
                .map(Arc::<str>::from)
            && let Some(instance) = self.state.core.flows.get_mut(uid)
        {
            for scope in scopes {
                if let Some(scope) = instance.scopes.get_mut(&scope) {
                    scope.flows.push(Arc::clone(&started));
                }
            }
        }
        Ok(())
    }

    /// The flow or action that a matched event is about.
    fn refer(&mut self, pattern: &mut Signal, signal: &Signal) {
        match pattern.kind {
            Kind::Internal => {
                let source = signal.text("source_flow_instance_uid");
                let known = source.filter(|uid| self.state.core.flows.contains_key(*uid));
                pattern.flow = known.map(Arc::from);
            }
            Kind::Action => {
                pattern.action = signal.action.clone();
                let Some(uid) = &signal.action else {
                    return;
                };
                let actions = &mut self.state.core.actions;
                if !actions.contains_key(uid)
                    && let Some(action) =
                        Action::of_event(Arc::clone(uid), &signal.name, &signal.arguments)
                {
                    actions.insert(Arc::clone(uid), action);
                }
            }
            Kind::Plain => {}
        }
    }

    /// Takes over what an event says about its action.
    pub(super) fn follow_action(&mut self, signal: &Signal) {
        let action = signal.action.as_ref();
        if let Some(action) = action.and_then(|uid| self.state.core.actions.get_mut(uid))
            && action.status != super::instance::ActionStatus::Finished
        {
            action.follow(&signal.name, &signal.arguments);
        }
    }
}

/// Adds a head once.
pub(super) fn add(heads: &mut Vec<HeadRef>, head: HeadRef) {
    if !heads.iter().any(|own| own.1 == head.1) {
        heads.push(head);
    }
}

/// The order of scores: the first difference decides.
pub(super) fn compare(left: &[f64], right: &[f64]) -> std::cmp::Ordering {
    let differing = left
        .iter()
        .zip(right)
        .map(|(left, right)| left.total_cmp(right))
        .find(|order| order.is_ne());
    differing.unwrap_or_else(|| left.len().cmp(&right.len()))
}
