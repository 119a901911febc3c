//! Moving through the elements that neither wait nor act: conditions, jumps, assignments, calls.

use std::sync::Arc;

use super::{
    super::{
        call,
        program::{Expression, Flow, Op, Prepared},
    },
    Flows, Running, StateError, Status, Step, Turn, matching,
};
use crate::value::Value;

/// How many elements all flows together may pass at one event.
pub(super) const MOST_STEPS: usize = 100_000;

/// How deep flows may call each other at once.
const MOST_CALLS: usize = 64;

impl Turn {
    pub(super) fn evaluate(&mut self, expression: &Expression) -> Result<Value, StateError> {
        let parsed = expression
            .parsed()
            .map_err(|source| StateError::Expression {
                expression: expression.text().to_owned(),
                source: source.clone(),
            })?;
        let evaluation =
            parsed
                .evaluate(&*self.context)
                .map_err(|source| StateError::Evaluation {
                    expression: expression.text().to_owned(),
                    source,
                })?;
        for (name, value) in evaluation.changed {
            self.set(&name, value);
        }
        Ok(evaluation.value)
    }

    fn evaluate_at(
        &mut self,
        expression: &Expression,
        flow: &Flow,
        head: isize,
    ) -> Result<Value, StateError> {
        self.evaluate(expression)
            .map_err(|error| error.at(flow, head))
    }

    /// Counts a step: of flows that call each other, none has a loop of its own.
    fn spend_step(&mut self, flow: &Flow) -> Result<(), StateError> {
        match self.steps_left.checked_sub(1) {
            Some(left) => {
                self.steps_left = left;
                Ok(())
            }
            None => Err(StateError::Endless(flow.id.clone())),
        }
    }

    fn set(&mut self, name: &str, value: Value) {
        Arc::make_mut(&mut self.context).insert(name.to_owned(), value.clone());
        self.update(name, value);
    }

    /// Records a change of the context that the next `ContextUpdate` makes.
    pub(super) fn update(&mut self, name: &str, value: Value) {
        self.updates.insert(name.to_owned(), value);
    }

    /// Moves from `head` to the next element that waits, acts or calls. Past the end it gives a negative number: the last
    /// element's position as the reference counts it from the end.
    pub(super) fn slide(&mut self, flow: &Flow, head: isize) -> Result<isize, StateError> {
        let length = flow.elements.len().cast_signed();
        let mut head = head;
        let mut last = if head < length { head } else { head - 1 };
        loop {
            self.spend_step(flow)?;
            let element = match usize::try_from(head) {
                Ok(position) => flow.elements.get(position),
                Err(_) => None,
            };
            let Some(element) = element else {
                return Ok(-(last + 1));
            };
            last = head;
            head += match &element.op {
                Op::Check(condition) => {
                    match self.evaluate_at(condition, flow, head)?.is_truthy() {
                        true => 1,
                        false => return Err(StateError::Check(flow.id.clone()).at(flow, head)),
                    }
                }
                Op::If {
                    condition,
                    otherwise: offset,
                }
                | Op::While {
                    condition,
                    end: offset,
                } => match self.evaluate_at(condition, flow, head)?.is_truthy() {
                    true => 1,
                    false => *offset,
                },
                Op::Jump(offset) => *offset,
                Op::Return => -1 - head,
                Op::Set { variable, value } => {
                    let value = match self.evaluate_at(value, flow, head)? {
                        Value::Tuple(items) => Value::List(items),
                        value => value,
                    };
                    self.set(variable, value);
                    1
                }
                Op::User { .. }
                | Op::Action { .. }
                | Op::Event { .. }
                | Op::Call { .. }
                | Op::Branch(_)
                | Op::Any(_) => return Ok(head),
            };
        }
    }

    /// As [`slide`](Self::slide), into the flows that are called on the way; records what is to be done there.
    pub(super) fn advance(
        &mut self,
        flows: &Flows<'_>,
        running: &mut Running,
        depth: usize,
    ) -> Result<(), StateError> {
        let prepared = running.flow.clone();
        if depth > MOST_CALLS {
            return Err(StateError::TooDeep(prepared.flow.id.clone()));
        }
        loop {
            self.spend_step(&prepared.flow)?;
            running.head = self.slide(&prepared.flow, running.head)?;
            if running.head < 0 {
                if let Some((uid, has_ended)) = &mut self.started {
                    *has_ended |= *uid == running.uid;
                }
                return Ok(());
            }
            let element = prepared.flow.element(running.head);
            let Some(Op::Call { flow: called }) = element.map(|element| &element.op) else {
                self.record(running, 1.0);
                return Ok(());
            };
            let head = running.head;
            let waits = self
                .call(flows, running, called, depth)
                .map_err(|error| error.at(&prepared.flow, head))?;
            if waits {
                return Ok(());
            }
        }
    }

    /// Calls a flow. False where it has come to its end already.
    fn call(
        &mut self,
        flows: &Flows<'_>,
        running: &mut Running,
        called: &str,
        depth: usize,
    ) -> Result<bool, StateError> {
        let mut name = called.to_owned();
        if name.starts_with('$') {
            name = self.evaluate(&Expression::new(&name))?.to_string();
        }
        if call::has_parameters(&name) {
            for (parameter, value) in call::flow_parameters(&name) {
                self.update(parameter, value.map_or(Value::None, Value::str));
            }
            name = call::flow_name(&name).to_owned();
        }
        let Some(flow) = flows.find(&name) else {
            return Err(StateError::UnknownFlow(name));
        };
        let mut sub = Running::new(self.next_uid(), flow.clone(), 0);
        // When the caller goes on, it does so after the call.
        running.head += 1;
        self.advance(flows, &mut sub, depth + 1)?;
        if sub.head < 0 {
            return Ok(false);
        }
        running.status = Status::Interrupted;
        running.interrupted_by = Some(sub.uid);
        self.running.push(sub.clone());
        self.record(&sub, 1.0);
        Ok(true)
    }

    pub(super) fn next_uid(&mut self) -> u64 {
        self.last_uid += 1;
        self.last_uid
    }

    /// Makes what a flow is about to do the next step, if nothing of the same or a higher priority is.
    pub(super) fn record(&mut self, running: &Running, modifier: f64) {
        let flow = &running.flow.flow;
        if self
            .next
            .as_ref()
            .is_some_and(|next| next.priority >= flow.priority)
        {
            return;
        }
        if let Some(element) = flow.element(running.head)
            && matching::is_actionable(&element.op)
        {
            self.next = Some(Next {
                by: running.uid,
                flow: running.flow.clone(),
                head: running.head,
                priority: flow.priority * modifier,
            });
        }
    }
}

/// What is to be done next.
#[derive(Debug, Clone)]
pub(super) struct Next {
    pub(super) by: u64,
    pub(super) flow: Arc<Prepared>,
    pub(super) head: isize,
    pub(super) priority: f64,
}

impl Next {
    pub(super) fn step(&self) -> Option<Step> {
        let element = self.flow.flow.element(self.head)?;
        let Op::Action {
            name,
            parameters,
            result,
        } = &element.op
        else {
            return None;
        };
        if name != "utter" {
            return Some(Step::StartAction {
                name: name.clone(),
                parameters: parameters.clone(),
                result: result.clone(),
            });
        }
        let comment = element
            .origin
            .as_ref()
            .and_then(|origin| origin.comment.clone());
        Some(Step::Bot {
            intent: parameters.get("value").cloned().unwrap_or_default(),
            instructions: comment.filter(|comment| !comment.is_empty()),
        })
    }
}
