//! What an event changes: which flows advance, start, wait and go on.

use serde_json::Value as Json;

use super::{
    super::program::Op,
    Flows, Running, StateError, Status, Turn,
    matching::{self, Event, is_actionable, is_match, kind, text},
    slide::MOST_STEPS,
};
use crate::value::Value;

impl Turn {
    /// Follows an event.
    pub(super) fn follow(
        &mut self,
        flows: &Flows<'_>,
        config: &Value,
        event: &Event,
    ) -> Result<(), StateError> {
        self.steps_left = MOST_STEPS;
        match kind(event) {
            // What counts is that the action has finished.
            "StartInternalSystemAction" => return Ok(()),
            "ContextUpdate" => {
                if let Some(Json::Object(data)) = event.get("data") {
                    for (name, value) in data {
                        self.put(name, Value::from_json(value));
                    }
                }
                self.updates.clear();
                self.next = None;
                return Ok(());
            }
            "UserMessage" => self.put_field("last_user_message", event, "text"),
            "StartUtteranceBotAction" => self.put_field("last_bot_message", event, "script"),
            _ => {}
        }
        let fields = event
            .iter()
            .map(|(name, value)| (name, Value::from_json(value)));
        self.put("event", Value::dict(fields));
        self.put("config", config.clone());
        self.updates.clear();
        self.next = None;
        let extension_ended = self.advance_all(flows, event)?;
        self.start_all(flows, event)?;
        if extension_ended {
            self.revive_aborted();
        }
        self.settle_interruptions();
        self.resume(flows)?;
        if matching::is_stop(event) {
            self.running.clear();
        }
        Ok(())
    }

    fn put(&mut self, name: &str, value: Value) {
        std::sync::Arc::make_mut(&mut self.context).insert(name.to_owned(), value);
    }

    fn put_field(&mut self, name: &str, event: &Event, field: &str) {
        self.put(name, event.get(field).map_or(Value::None, Value::from_json));
    }

    /// Advances the flows that run; true where an extension came to its end.
    fn advance_all(&mut self, flows: &Flows<'_>, event: &Event) -> Result<bool, StateError> {
        let mut extension_ended = false;
        for mut running in std::mem::take(&mut self.running) {
            match running.status {
                Status::Completed | Status::Aborted => continue,
                Status::Interrupted => {
                    self.running.push(running);
                    continue;
                }
                Status::Active => {}
            }
            if !running.flow.is_triggered_by(kind(event)) {
                // What is decided by this event comes before what was decided earlier.
                self.record(&running, 0.9);
                self.running.push(running);
                continue;
            }
            let flow = running.flow.clone();
            if let Some(next) = next_head(&running, event)? {
                running.head = next;
                self.advance(flows, &mut running, 0)?;
                if running.head < 0 {
                    running.status = Status::Completed;
                    extension_ended |= flow.flow.is_extension;
                }
            } else {
                let acts = flow
                    .flow
                    .element(running.head)
                    .is_some_and(|element| is_actionable(&element.op));
                running.status = match acts || !flow.flow.is_interruptible {
                    true => Status::Aborted,
                    false => Status::Interrupted,
                };
            }
            self.running.push(running);
        }
        Ok(extension_ended)
    }

    /// Starts the flows that begin with the event, and the one that the event starts.
    fn start_all(&mut self, flows: &Flows<'_>, event: &Event) -> Result<(), StateError> {
        let started = match kind(event) {
            "start_flow" => text(event, "flow_id"),
            _ => None,
        };
        // An added flow starts by its name only.
        let added = started.and_then(|id| flows.added(id));
        for prepared in flows.program.all().iter().chain(added) {
            let flow = &prepared.flow;
            let is_started = started == Some(flow.id.as_str());
            if flow.is_subflow && !is_started {
                continue;
            }
            if !flow.allow_multiple
                && self
                    .running
                    .iter()
                    .any(|running| running.flow.flow.id == flow.id)
            {
                continue;
            }
            let head = self.slide(flow, 0)?;
            // No flow begins by branching: one that waits for several events does so after another one.
            let branches = matches!(
                flow.element(head).map(|element| &element.op),
                Some(Op::Branch(_))
            );
            let next = match branches {
                true => None,
                false => match_at(prepared, head, event)?,
            };
            let is_at_end = head < 0;
            if let Some(head) = next.or(is_started.then_some(head)) {
                if is_started {
                    // One without anything to do or to wait for is at its end already.
                    self.started = Some((self.last_uid + 1, is_at_end));
                }
                self.start(flows, prepared, head, event)?;
            }
        }
        Ok(())
    }

    fn start(
        &mut self,
        flows: &Flows<'_>,
        flow: &std::sync::Arc<super::Prepared>,
        head: isize,
        event: &Event,
    ) -> Result<(), StateError> {
        let mut running = Running::new(self.next_uid(), flow.clone(), head);
        if let Some(Json::Object(parameters)) = event.get("params") {
            for (name, value) in parameters {
                self.update(name, Value::from_json(value));
            }
        }
        let at = self.running.len();
        self.running.push(running.clone());
        self.advance(flows, &mut running, 0)?;
        if let Some(place) = self.running.get_mut(at) {
            *place = running;
        }
        Ok(())
    }

    /// What an extension had stopped goes on.
    fn revive_aborted(&mut self) {
        for at in 0..self.running.len() {
            let Some(running) = self.running.get_mut(at) else {
                return;
            };
            if running.status == Status::Aborted {
                running.status = Status::Active;
                let running = running.clone();
                self.record(&running, 1.0);
            }
        }
    }

    /// What waits since this event waits for the flow that decides.
    fn settle_interruptions(&mut self) {
        let by = self.next.as_ref().map(|next| next.by);
        for running in &mut self.running {
            if running.status == Status::Interrupted && running.interrupted_by.is_none() {
                running.interrupted_by = by;
            }
        }
        let decides = |running: &&Running| Some(running.uid) == by;
        let extension_decides = self
            .running
            .iter()
            .find(decides)
            .is_some_and(|running| running.flow.flow.is_extension && running.head > 1);
        if !extension_decides {
            return;
        }
        for running in &mut self.running {
            if running.status == Status::Aborted && running.flow.flow.is_interruptible {
                running.status = Status::Interrupted;
                running.interrupted_by = by;
            }
        }
    }

    /// What waited for flows that have come to their end goes on, or ends with them.
    fn resume(&mut self, flows: &Flows<'_>) -> Result<(), StateError> {
        let mut changed = true;
        while changed {
            changed = false;
            let mut at = 0;
            while let Some(running) = self.running.get(at) {
                let outcome = match (running.status, running.interrupted_by) {
                    (Status::Interrupted, None) => Some(Status::Completed),
                    (Status::Interrupted, Some(by)) => self
                        .running
                        .iter()
                        .find(|other| other.uid == by)
                        .map(|other| other.status),
                    _ => None,
                };
                match outcome {
                    Some(Status::Completed) => {
                        let mut running = running.clone();
                        running.status = Status::Active;
                        running.interrupted_by = None;
                        self.advance(flows, &mut running, 0)?;
                        if running.head < 0 {
                            running.status = Status::Completed;
                        }
                        self.replace(at, running);
                        changed = true;
                    }
                    Some(Status::Aborted) => {
                        let mut running = running.clone();
                        running.status = Status::Aborted;
                        running.interrupted_by = None;
                        self.replace(at, running);
                        changed = true;
                    }
                    _ => {}
                }
                at += 1;
            }
        }
        Ok(())
    }

    fn replace(&mut self, at: usize, running: Running) {
        if let Some(place) = self.running.get_mut(at) {
            *place = running;
        }
    }
}

/// Where a flow goes on after an event; nowhere, if it does not wait for it.
fn next_head(running: &Running, event: &Event) -> Result<Option<isize>, StateError> {
    match_at(&running.flow, running.head, event)
}

/// Where a flow goes on after an event if it stands at `head`.
fn match_at(
    flow: &super::Prepared,
    head: isize,
    event: &Event,
) -> Result<Option<isize>, StateError> {
    let Some(element) = flow.flow.element(head) else {
        return Ok(None);
    };
    let mut found = None;
    match &element.op {
        Op::Branch(heads) => {
            for offset in heads {
                if let Some(next) = match_at(flow, head + offset, event)? {
                    found = Some(next);
                }
            }
        }
        Op::Any(count) => {
            let last = head + count.cast_signed();
            for offset in 1..=count.cast_signed() {
                if let Some(alternative) = flow.flow.element(head + offset)
                    && is_match(&alternative.op, event)?
                {
                    found = Some(last + 1);
                }
            }
        }
        op => {
            if is_match(op, event)? {
                found = Some(head + 1);
            }
        }
    }
    Ok(found)
}
