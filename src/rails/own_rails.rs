//! Whether an application's own flow can judge as a rail: that it can block or change something, waits for nothing that
//! never comes, and has all that it needs.

use std::collections::HashSet;

use super::{dialog::v1::Flows, library_rails::LibraryRails, needed_actions::Provider};
use crate::{
    colang::v1::{Flow, Op, Reached, flow_name, flow_parameters},
    config::{FlowReference, Rails, nearest},
    error::Fault,
    library::{self, Bound, Unusable},
    verdict::{Enforcement, Place},
};

/// The variables that stand there without a flow that sets them.
const GIVEN: [&str; 16] = [
    "bot_message",
    "bot_thinking",
    "bot_tool_calls",
    "config",
    "event",
    "generation_options",
    "last_bot_message",
    "last_user_message",
    "relevant_chunks",
    "tool_call_id",
    "tool_calls",
    "tool_message",
    "tool_messages",
    "tool_name",
    "user_message",
    "user_tool_messages",
];

/// Events that say something to the user.
const SAYING: [&str; 3] = ["BotIntent", "BotMessage", "StartUtteranceBotAction"];

/// What own flows are looked at with.
pub(super) struct OwnRails<'a> {
    pub(super) flows: &'a Flows,
    pub(super) library: &'a LibraryRails,
    /// Who runs an action.
    pub(super) provider: &'a dyn Fn(&str) -> Provider,
}

/// One line of `rails.*.flows` whose flow is the application's own.
struct OwnRail<'a> {
    all: &'a OwnRails<'a>,
    place: Place,
    line: &'a FlowReference,
    reached: Vec<Reached<'a>>,
    faults: Vec<Fault>,
}

impl OwnRails<'_> {
    /// What keeps the application's own flows from judging as the rails that the configuration makes of them.
    pub(super) fn faults(&self) -> Vec<Fault> {
        let rails = &self.library.config.rails;
        let mut faults: Vec<Fault> = Vec::new();
        for (place, line) in rails.lines() {
            if !self.flows.is_own(&line.name) {
                continue;
            }
            let rail = OwnRail {
                all: self,
                place,
                line,
                reached: self.flows.program().reach(&line.name),
                faults: Vec::new(),
            };
            for fault in rail.check() {
                // A flow may stand at several places.
                if !faults.contains(&fault) {
                    faults.push(fault);
                }
            }
        }
        faults
    }
}

impl<'a> OwnRail<'a> {
    fn check(mut self) -> Vec<Fault> {
        self.waits();
        self.calls();
        self.actions();
        self.variables();
        let options = self.all.library.config.rails.rail_options(self.line);
        let is_watched = options.enforcement == Some(Enforcement::Monitor);
        if !is_watched && self.faults.is_empty() && !self.can_act() {
            let message = format!(
                "the flow `{}` can neither block nor change anything as {}: no branch of it says something, stops, raises an exception or sets `${}`. Let it do so, drop it, or mark it as one that only watches: `rails.options: {{\"{}\": {{enforcement: monitor}}}}`",
                self.line.name,
                self.place.a_rail(),
                library::text_variable(self.place),
                self.line.name,
            );
            self.faults.push(self.of_flow(message));
        }
        self.faults
    }

    /// The fault `message` at the flow's own first line, where there is one, else at the line that names it.
    fn of_flow(&self, message: String) -> Fault {
        let own = self
            .reached
            .iter()
            .find(|found| found.flow.id == self.line.name && found.element.origin.is_some());
        match own {
            Some(found) => self.at(found, message),
            None => Rails::flow_fault(self.place, self.line, message),
        }
    }

    /// The fault `message` at an element, or at the line that names the flow.
    fn at(&self, found: &Reached<'_>, message: String) -> Fault {
        let origin = found.element.origin.as_ref();
        let is_own = self.all.flows.is_own(&found.flow.id);
        match found.flow.file.as_deref().zip(origin).filter(|_| is_own) {
            Some((file, origin)) => Fault::new(message).in_file(file).at(origin.line, 1),
            None => Rails::flow_fault(self.place, self.line, message),
        }
    }

    /// What is reached in flows of the application itself.
    fn own(&self) -> Vec<Reached<'a>> {
        let own = |found: &&Reached<'a>| self.all.flows.is_own(&found.flow.id);
        self.reached.iter().filter(own).copied().collect()
    }

    /// Notes where the flow waits: nothing happens beside a rail that judges.
    fn waits(&mut self) {
        let created: HashSet<&str> = self.reached.iter().filter_map(created).collect();
        let runs_foreign = self.runs_foreign_action();
        let name = &self.line.name;
        let place = self.place.a_rail();
        for found in self.own() {
            let message = match &found.element.op {
                Op::User { intent, .. } => {
                    let intent = intent
                        .as_str()
                        .map_or_else(|| intent.to_string(), str::to_owned);
                    format!(
                        "the flow `{name}` waits for the user's intent `{intent}`, but no intent is made out while {place} judges: take it out of `rails.{}.flows`, so that it is a flow of the dialogue, or judge the message, by `self check input` or by an action of your own",
                        self.place.key()
                    )
                }
                Op::Action {
                    name: action,
                    parameters,
                    ..
                } if action == "utter" && (found.is_awaited || is_any(parameters.get("value"))) => {
                    format!(
                        "the flow `{name}` waits for the bot to say something, but nothing is said while {place} judges: the message is there already, in `${}`",
                        library::text_variable(self.place)
                    )
                }
                Op::Action { name: action, .. } if found.is_awaited => format!(
                    "the flow `{name}` waits for the action `{action}`, but nobody else runs one while {place} judges: run it by `execute {action}`"
                ),
                Op::Event { kind, .. } if !runs_foreign && !created.contains(kind.as_str()) => {
                    format!(
                        "the flow `{name}` waits for the event `{kind}`, but none comes while {place} judges: look at `${}` by an `if`",
                        library::text_variable(self.place)
                    )
                }
                _ => continue,
            };
            let fault = self.at(&found, message);
            self.faults.push(fault);
        }
    }

    /// Notes calls of flows that are not there.
    fn calls(&mut self) {
        for found in self.own() {
            let Op::Call { flow } = &found.element.op else {
                continue;
            };
            let called = flow_name(flow);
            if flow.starts_with('$') || self.all.flows.has(called) {
                continue;
            }
            let names = self
                .all
                .flows
                .program()
                .flows()
                .map(|flow| flow.id.as_str());
            let hint = nearest(called, names)
                .map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
            let message = format!(
                "the flow `{}` calls `{called}`, which is not defined{hint}",
                found.flow.id
            );
            let fault = self.at(&found, message);
            self.faults.push(fault);
        }
    }

    /// Notes actions that nobody provides, and those of the library that lack what they need.
    fn actions(&mut self) {
        for found in self.reached.clone() {
            let Op::Action { name, .. } = &found.element.op else {
                continue;
            };
            if name == "utter" || name == "create_event" || found.is_awaited {
                continue;
            }
            match (self.all.provider)(name) {
                Provider::Application => {
                    let known = library::RAILS.iter().flat_map(|rail| rail.actions);
                    let hint = nearest(name, known.map(|action| action.name))
                        .map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
                    let message = format!(
                        "the flow `{}` runs the action `{name}`, which nobody provides{hint}: {}",
                        found.flow.id,
                        self.all.library.config.ways_to_provide(name)
                    );
                    let fault = self.at(&found, message);
                    self.faults.push(fault);
                }
                Provider::Library => self.library_action(&found, name),
                _ => {}
            }
        }
    }

    /// Notes what an action of the library lacks.
    fn library_action(&mut self, found: &Reached<'a>, action: &str) {
        let Some((rail, action)) = library::find_action(action) else {
            return;
        };
        let check = match self.all.library.get(rail) {
            Ok(check) => check,
            Err(error) => return self.faults.extend(error.faults),
        };
        let mut flows = rail.flows.iter().filter(|flow| flow.action == action.name);
        let named = flows.clone().find(|flow| flow.name == found.flow.id);
        let here = flows.clone().find(|flow| flow.place == self.place);
        let Some(flow) = named.or(here).or_else(|| flows.next()) else {
            return;
        };
        let Some(line) = self.line_of(found, flow) else {
            return;
        };
        let messages = match check.accept(flow, &line) {
            Ok(()) => check.idle(flow).into_iter().collect(),
            Err(Unusable::Invalid(messages) | Unusable::Unready(messages)) => messages,
        };
        for message in messages {
            let message = format!(
                "the flow `{}` runs the action `{}`: {message}",
                found.flow.id, action.name
            );
            let fault = self.at(found, message);
            self.faults.push(fault);
        }
    }

    /// The line of the library's `flow` that would run the same action with the same parameters; none where one of them
    /// shows only when the flow runs.
    fn line_of(&self, found: &Reached<'a>, flow: &library::Flow) -> Option<FlowReference> {
        let Op::Action { parameters, .. } = &found.element.op else {
            return None;
        };
        let mut line = self.line.clone();
        line.name = flow.name.to_owned();
        flow.name.clone_into(&mut line.text);
        for (argument, bound) in flow.arguments {
            let Bound::Parameter(parameter) = bound else {
                continue;
            };
            match parameters.get(*argument).map(serde_json::Value::as_str) {
                None => {}
                Some(Some(value)) if !value.starts_with('$') => {
                    line.parameters
                        .insert((*parameter).to_owned(), value.to_owned());
                }
                Some(Some(value)) if line.parameter(&value[1..]).is_some() => {}
                Some(_) => return None,
            }
        }
        for (name, value) in &line.parameters {
            line.text.push_str(&format!(" ${name}={value}"));
        }
        Some(line)
    }

    /// Notes conditions on variables that nothing sets: such a branch is taken always or never.
    fn variables(&mut self) {
        if self.runs_foreign_action() {
            return;
        }
        for found in self.own() {
            let (Op::If { condition, .. } | Op::While { condition, .. } | Op::Check(condition)) =
                &found.element.op
            else {
                continue;
            };
            let Ok(parsed) = condition.parsed() else {
                continue;
            };
            for name in parsed.variables() {
                if self.is_set(name) {
                    continue;
                }
                let message = format!(
                    "the flow `{}` depends on `${name}`, which nothing sets: run an action into it first (`${name} = execute ...`), or ask for what is there, such as `${}`",
                    found.flow.id,
                    library::text_variable(self.place),
                );
                let fault = self.at(&found, message);
                self.faults.push(fault);
            }
        }
    }

    /// Whether something may set the variable `name`.
    fn is_set(&self, name: &str) -> bool {
        let sets = |flow: &Flow| {
            flow.elements.iter().any(|element| match &element.op {
                Op::Set { variable, .. } => variable == name,
                Op::Action { result, .. } => result.as_deref() == Some(name),
                Op::Call { flow } => flow_parameters(flow)
                    .iter()
                    .any(|(parameter, _)| parameter.trim_start_matches('$') == name),
                _ => false,
            })
        };
        GIVEN.contains(&name)
            || self.line.parameters.contains_key(name)
            || self.all.flows.program().flows().any(sets)
    }

    /// Whether an action runs that is not the library's: it may set variables and give events of its own.
    fn runs_foreign_action(&self) -> bool {
        self.reached.iter().any(|found| match &found.element.op {
            Op::Action { name, .. } if name != "utter" && name != "create_event" => !matches!(
                (self.all.provider)(name),
                Provider::BuiltIn | Provider::Library
            ),
            _ => false,
        })
    }

    /// Whether a branch of it blocks, or changes the text that it judges.
    fn can_act(&self) -> bool {
        let text = library::text_variable(self.place);
        self.reached.iter().any(|found| match &found.element.op {
            Op::Action { name, .. } if name == "utter" => !found.is_awaited,
            Op::Action { name, .. } if name == "create_event" => created(found)
                .is_some_and(|kind| kind.ends_with("Exception") || SAYING.contains(&kind)),
            Op::Action { name, result, .. } => {
                // What the application registers may give events, or set the text, unseen.
                let is_unseen =
                    result.is_none() && (self.all.provider)(name) == Provider::Registered;
                is_unseen || result.as_deref() == Some(text)
            }
            Op::Set { variable, .. } => variable == text,
            Op::Check(_) => true,
            // Which flow that is shows when it runs.
            Op::Call { flow } => flow.starts_with('$'),
            _ => false,
        })
    }
}

fn is_any(intent: Option<&serde_json::Value>) -> bool {
    intent.and_then(serde_json::Value::as_str) == Some("...")
}

/// The type of the event that an element creates.
fn created<'a>(found: &Reached<'a>) -> Option<&'a str> {
    match &found.element.op {
        Op::Action {
            name, parameters, ..
        } if name == "create_event" => parameters.get("event")?.get("_type")?.as_str(),
        _ => None,
    }
}
