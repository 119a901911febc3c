//! `match`, `send`, `start`, `await`, `activate`, `deactivate` and `stop`.

use std::sync::Arc;

use super::{Lowering, groups::alternatives};
use crate::colang::v2::{
    ast::{Arguments, Group, Operator, Spec, Subject},
    element::{EventSpec, Match, Op, Send},
    expression::Expression,
};

impl Lowering<'_> {
    pub(super) fn operation(
        &mut self,
        operator: Operator,
        group: &Group,
        result: Option<&Arc<str>>,
    ) {
        if let Group::One(spec) = group {
            self.single(operator, spec, result);
            return;
        }
        let alternatives = match alternatives(group) {
            Ok(alternatives) => alternatives,
            Err(too_many) => {
                self.fault(group_span(group), too_many);
                return;
            }
        };
        match operator {
            Operator::Match => self.match_any(&alternatives),
            Operator::Await => self.await_any(&alternatives),
            Operator::Start | Operator::Send | Operator::Stop => {
                self.any(operator, &alternatives);
            }
            Operator::Activate | Operator::Deactivate => match alternatives.as_slice() {
                [all] => {
                    for spec in all {
                        self.single(operator, spec, None);
                    }
                }
                _ => {
                    let message = "`or` has no meaning here: all of the flows are meant, or each \
                                   one in a statement of its own";
                    self.fault(group_span(group), message);
                }
            },
        }
    }

    pub(super) fn single(&mut self, operator: Operator, spec: &Spec, result: Option<&Arc<str>>) {
        match operator {
            Operator::Match => self.match_one(spec, result),
            Operator::Send => self.send_one(spec),
            Operator::Start => {
                self.start_one(spec, spec.reference.as_ref());
            }
            Operator::Await => self.await_one(spec, result),
            Operator::Activate => self.activate(spec),
            Operator::Deactivate => self.deactivate(spec),
            Operator::Stop => self.stop(spec),
        }
    }

    /// The event that a spec stands for; none, and a fault, where it stands for none.
    fn event(&mut self, spec: &Spec, verb: &str) -> Option<EventSpec> {
        let mut members = spec.members.clone();
        let member = members.pop();
        let event = match (&spec.subject, member) {
            (Subject::Variable(variable), Some(member)) => EventSpec::OfVariable {
                variable: Arc::clone(variable),
                path: members.into_iter().map(|member| member.name).collect(),
                member: member.name,
                arguments: member.arguments,
            },
            (_, Some(_)) if !members.is_empty() => {
                self.fault_at(
                    spec,
                    "only one event can be named after a flow or an action",
                );
                return None;
            }
            (Subject::Flow(flow), Some(member)) => EventSpec::OfFlow {
                flow: Arc::clone(flow),
                member: member.name,
                arguments: spec
                    .arguments
                    .iter()
                    .chain(member.arguments.iter())
                    .map(|(name, value)| (Arc::clone(name), value.clone()))
                    .collect(),
            },
            (Subject::Action(action), Some(member)) => EventSpec::OfAction {
                action: Arc::clone(action),
                arguments: spec.arguments.clone(),
                member: member.name,
                member_arguments: member.arguments,
            },
            (Subject::Event(name), None) => EventSpec::Named {
                name: Arc::clone(name),
                arguments: shared(name, &spec.arguments),
            },
            (Subject::Event(name), Some(_)) => {
                self.fault_at(spec, format!("the event `{name}` has no events of its own"));
                return None;
            }
            (Subject::Flow(name), None) => {
                let message = format!(
                    "`{verb}` takes an event, not the flow `{name}`: name one of its events, \
                     such as `{name}.Finished()`"
                );
                self.fault_at(spec, message);
                return None;
            }
            (Subject::Action(name), None) => {
                let message = format!(
                    "`{verb}` takes an event, not the action `{name}`: name one of its events, \
                     such as `{name}().Finished()`"
                );
                self.fault_at(spec, message);
                return None;
            }
            (Subject::Variable(name), None) => {
                let message = format!(
                    "`{verb}` takes an event of what `${name}` holds, such as `${name}.Finished()`"
                );
                self.fault_at(spec, message);
                return None;
            }
        };
        self.check_member(spec, &event, verb);
        Some(event)
    }

    /// An event of a flow or action is one that flows and actions have.
    fn check_member(&mut self, spec: &Spec, event: &EventSpec, verb: &str) {
        let is_known = match event {
            EventSpec::OfFlow { member, .. } => is_flow_event(member),
            EventSpec::OfAction { member, .. } => is_action_event(member),
            EventSpec::OfVariable { member, .. } => {
                is_flow_event(member) || is_action_event(member)
            }
            EventSpec::Named { .. } => true,
        };
        if !is_known {
            let name = spec.members.last().map_or("", |member| &*member.name);
            let message = format!(
                "there is no event `{name}` to {verb}: flows have Start, Stop, Started, Finished \
                 and Failed, actions have Start, Change, Stop, Started, Updated and Finished"
            );
            self.fault_at(spec, message);
        }
    }

    pub(super) fn match_one(&mut self, spec: &Spec, result: Option<&Arc<str>>) {
        let Some(event) = self.event(spec, "match") else {
            return;
        };
        let reference = match (&spec.reference, result) {
            (Some(own), _) => Some(Arc::clone(own)),
            (None, Some(_)) => Some(self.hidden_variable("event_ref")),
            (None, None) => None,
        };
        self.wait(event, reference.clone());
        if let (Some(reference), Some(result)) = (reference, result) {
            let value = Expression::Path(reference, &["arguments", "return_value"]);
            self.assign(result, value);
        }
    }

    pub(super) fn wait(&mut self, event: EventSpec, reference: Option<Arc<str>>) {
        self.push(Op::Match(Match {
            event,
            reference,
            is_internal: false,
        }));
    }

    /// Waits for the end of the flow or action that a variable holds.
    pub(super) fn wait_for_end(&mut self, variable: &Arc<str>, reference: Option<Arc<str>>) {
        self.wait(
            EventSpec::OfVariable {
                variable: Arc::clone(variable),
                path: Vec::new(),
                member: "Finished".into(),
                arguments: Arguments::new(),
            },
            reference,
        );
    }

    fn send_one(&mut self, spec: &Spec) {
        if let Some(event) = self.event(spec, "send") {
            self.push(Op::Send(Send {
                event,
                reference: spec.reference.clone(),
            }));
        }
    }

    fn send(&mut self, name: &str, arguments: Arguments) {
        self.push(Op::Send(Send {
            event: EventSpec::Named {
                name: name.into(),
                arguments,
            },
            reference: None,
        }));
    }

    /// Starts a flow or an action; the variable `reference` holds it then, or a hidden one.
    pub(super) fn start_one(
        &mut self,
        spec: &Spec,
        reference: Option<&Arc<str>>,
    ) -> Option<Arc<str>> {
        match &spec.subject {
            Subject::Flow(flow) if spec.members.is_empty() => {
                Some(self.start_flow(flow, &spec.arguments, reference))
            }
            Subject::Action(action) if spec.members.is_empty() => {
                Some(self.start_action(action, &spec.arguments, reference))
            }
            _ => {
                let message = "only a flow or an action can be started; an event is sent (`send`) \
                               or waited for (`match`)";
                self.fault_at(spec, message);
                None
            }
        }
    }

    fn start_flow(
        &mut self,
        flow: &Arc<str>,
        arguments: &Arguments,
        reference: Option<&Arc<str>>,
    ) -> Arc<str> {
        let event = self.hidden_variable("flow_event_ref");
        let started = self.start_instance(flow, arguments, false);
        self.push(Op::Match(Match {
            event: EventSpec::Named {
                name: "FlowStarted".into(),
                arguments: started,
            },
            reference: Some(Arc::clone(&event)),
            is_internal: true,
        }));
        let reference = match reference {
            Some(reference) => Arc::clone(reference),
            None => self.hidden_variable("flow_ref"),
        };
        self.assign(&reference, Expression::Path(event, &["flow"]));
        reference
    }

    /// Sends the start of an instance; gives what its `FlowStarted` will say.
    fn start_instance(
        &mut self,
        flow: &Arc<str>,
        arguments: &Arguments,
        activated: bool,
    ) -> Arguments {
        let uid = self.hidden_variable("instance_uid");
        self.assign(&uid, Expression::InstanceUid(Arc::clone(flow)));
        let mut all = arguments.clone();
        all.insert("flow_id".into(), Expression::text(flow));
        all.insert("flow_instance_uid".into(), Expression::variable(&uid));
        let mut start = all.clone();
        if activated {
            start.insert("activated".into(), Expression::Constant(true.into()));
        }
        self.send("StartFlow", start);
        all
    }

    fn start_action(
        &mut self,
        action: &Arc<str>,
        arguments: &Arguments,
        reference: Option<&Arc<str>>,
    ) -> Arc<str> {
        let variable = match reference {
            Some(reference) => Arc::clone(reference),
            None => self.hidden_variable("action_ref"),
        };
        self.push(Op::NewAction {
            name: Arc::clone(action),
            arguments: arguments.clone(),
            variable: Arc::clone(&variable),
        });
        self.push(Op::Send(Send {
            event: EventSpec::OfVariable {
                variable: Arc::clone(&variable),
                path: Vec::new(),
                member: "Start".into(),
                arguments: Arguments::new(),
            },
            reference: None,
        }));
        variable
    }

    fn await_one(&mut self, spec: &Spec, result: Option<&Arc<str>>) {
        let reference = match &spec.reference {
            Some(reference) => Arc::clone(reference),
            None => self.hidden_variable("ref"),
        };
        let Some(variable) = self.start_one(spec, Some(&reference)) else {
            return;
        };
        self.wait_for_result(&variable, result);
    }

    fn wait_for_result(&mut self, variable: &Arc<str>, result: Option<&Arc<str>>) {
        let event = result.map(|_| self.hidden_variable("event_ref"));
        self.wait_for_end(variable, event.clone());
        if let (Some(event), Some(result)) = (event, result) {
            let value = Expression::Path(event, &["arguments", "return_value"]);
            self.assign(result, value);
        }
    }

    pub(super) fn await_action(
        &mut self,
        action: &str,
        arguments: Arguments,
        result: Option<&Arc<str>>,
    ) {
        let reference = self.hidden_variable("ref");
        self.start_action(&action.into(), &arguments, Some(&reference));
        self.wait_for_result(&reference, result);
    }

    fn activate(&mut self, spec: &Spec) {
        let Subject::Flow(flow) = &spec.subject else {
            self.fault_at(spec, "only a flow can be activated");
            return;
        };
        if !spec.members.is_empty() {
            self.fault_at(spec, "only a flow can be activated, not an event of one");
            return;
        }
        let started = self.start_instance(flow, &spec.arguments, true);
        self.push(Op::Match(Match {
            event: EventSpec::Named {
                name: "FlowStarted".into(),
                arguments: started,
            },
            reference: None,
            is_internal: true,
        }));
    }

    fn deactivate(&mut self, spec: &Spec) {
        let (Subject::Flow(flow), []) = (&spec.subject, spec.members.as_slice()) else {
            self.fault_at(spec, "only a flow can be deactivated");
            return;
        };
        let mut arguments = Arguments::new();
        arguments.insert("flow_id".into(), Expression::text(flow));
        arguments.insert("deactivate".into(), Expression::Constant(true.into()));
        arguments.extend(
            spec.arguments
                .iter()
                .map(|(name, value)| (Arc::clone(name), value.clone())),
        );
        self.send("StopFlow", arguments);
    }

    /// `stop $ref`, which the reference has in its grammar only.
    fn stop(&mut self, spec: &Spec) {
        let (Subject::Variable(variable), []) = (&spec.subject, spec.members.as_slice()) else {
            let message = "`stop` takes a variable that holds a flow or an action";
            self.fault_at(spec, message);
            return;
        };
        self.push(Op::Send(Send {
            event: EventSpec::OfVariable {
                variable: Arc::clone(variable),
                path: Vec::new(),
                member: "Stop".into(),
                arguments: Arguments::new(),
            },
            reference: None,
        }));
    }

    /// `...`: a flow is made of the docstring, added, and runs with the variables of this one.
    pub(super) fn generate_steps(&mut self) {
        let (info, uid): (Arc<str>, Arc<str>) = ("flow_info".into(), "instance_uid".into());
        let flow = [("flow_id".into(), Expression::known("$self.flow_id"))];
        self.await_action(
            "GenerateFlowAction",
            flow.into_iter().collect(),
            Some(&info),
        );
        let config = [("config".into(), Expression::known("$flow_info['body']"))];
        self.await_action("AddFlowsAction", config.into_iter().collect(), None);
        self.assign(&uid, Expression::known("uid()"));
        let start = [
            ("flow_id".into(), Expression::known("$flow_info['name']")),
            ("flow_instance_uid".into(), Expression::variable(&uid)),
            ("context".into(), Expression::OwnVariables),
        ];
        self.send("StartFlow", start.into_iter().collect());
        for name in ["FlowStarted", "FlowFinished"] {
            let instance = [("flow_instance_uid".into(), Expression::variable(&uid))];
            self.wait(
                EventSpec::Named {
                    name: name.into(),
                    arguments: instance.into_iter().collect(),
                },
                None,
            );
        }
    }
}

/// The arguments of an event: a flow that starts with `context=$self.context` has the variables of this one, not a copy of them.
fn shared(event: &str, arguments: &Arguments) -> Arguments {
    let mut arguments = arguments.clone();
    if event == "StartFlow"
        && let Some(context) = arguments.get_mut("context")
        && context.source().trim() == "$self.context"
    {
        *context = Expression::OwnVariables;
    }
    arguments
}

pub(super) fn group_span(group: &Group) -> (usize, usize) {
    match group {
        Group::One(spec) => spec.span,
        Group::And(all) | Group::Or(all) => {
            let first = all.first().map_or((0, 0), group_span);
            let last = all.last().map_or((0, 0), group_span);
            (first.0, last.1)
        }
    }
}

fn is_flow_event(member: &str) -> bool {
    matches!(
        member,
        "Start"
            | "Stop"
            | "Pause"
            | "Resume"
            | "Started"
            | "Paused"
            | "Resumed"
            | "Finished"
            | "Failed"
    )
}

fn is_action_event(member: &str) -> bool {
    matches!(member, "Start" | "Change" | "Stop" | "Started" | "Finished")
        || member.ends_with("Updated")
}
