//! How well an event matches what a head waits for.

use std::sync::Arc;

use super::{
    Failure, Machine, Trouble,
    index::{HeadRef, Key},
    scope::is_global,
    signal::{Kind, Signal, is_internal},
};
use crate::{
    colang::{
        expr::{Comparison, Pattern},
        v2::{
            ast::Arguments,
            element::{EventSpec, Match},
            expression::Expression,
        },
    },
    value::{Dict, Value},
};

/// What each argument that a match does not name costs.
const UNNAMED: f64 = 0.9;
/// Arguments of events that no match looks at.
const IGNORED: &[&str] = &["return_value", "activated", "source_flow_instance_uid"];
/// How deep values are compared.
const MAX_DEPTH: usize = 100;

/// What an event means to a head.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Outcome {
    /// It matches, this well: 1 if every argument is named.
    Matches(f64),
    /// What the head waits for can never come any more.
    Fails,
    Nothing,
}

impl Machine<'_> {
    /// What the event means to a head that waits.
    pub(super) fn outcome(&mut self, head: &HeadRef, signal: &Signal) -> Result<Outcome, Trouble> {
        let Some(instance) = self.state.core.flows.get(&head.0) else {
            return Ok(Outcome::Nothing);
        };
        let (flow, priority) = (Arc::clone(&instance.flow), instance.priority);
        let position = instance.heads.get(&head.1).map(|own| own.position);
        let matching = position
            .and_then(|position| flow.elements.get(position))
            .and_then(|element| element.matching());
        let Some(matching) = matching else {
            return Ok(Outcome::Nothing);
        };
        let pattern = match &matching.event {
            EventSpec::Named { name, arguments } if matching.is_internal => {
                self.started_pattern(&head.0, name, arguments, signal)?
            }
            event => self.signal(&head.0, event, true)?,
        };
        if !pattern.kind.takes(signal.kind) {
            return Ok(Outcome::Nothing);
        }
        self.compare(signal, &pattern, Some(priority))
    }

    /// What `FlowStarted` must say of the instance that the flow has just started. Its arguments are what they were when it was started:
    /// a variable among them may have another value by now, if the started flow itself has set it.
    fn started_pattern(
        &mut self,
        uid: &Arc<str>,
        name: &Arc<str>,
        arguments: &Arguments,
        signal: &Signal,
    ) -> Result<Signal, Trouble> {
        let mut wanted = Dict::new();
        for (argument, value) in arguments {
            let told = signal.arguments.get(argument).cloned();
            let value = match told {
                Some(told) if !matches!(&**argument, "flow_id" | "flow_instance_uid") => told,
                _ => self.eval(uid, value)?,
            };
            wanted.insert(&**argument, value);
        }
        Ok(Signal::new(Arc::clone(name), wanted))
    }

    /// What the event means to what `pattern` says.
    pub(super) fn compare(
        &self,
        signal: &Signal,
        pattern: &Signal,
        priority: Option<f64>,
    ) -> Result<Outcome, Trouble> {
        let score = if &*signal.name == "StartFlow" && &*pattern.name == "StartFlow" {
            match pattern.arguments.get("flow_id") {
                Some(flow) => f64::from(signal.arguments.get("flow_id") == Some(flow)),
                None => dicts(&signal.arguments, &pattern.arguments, 0)? * UNNAMED,
            }
        } else if is_internal(&signal.name) && is_internal(&pattern.name) {
            match between_flows(signal, pattern)? {
                Outcome::Matches(score) => score,
                other => return Ok(other),
            }
        } else {
            if signal.name != pattern.name {
                return Ok(Outcome::Nothing);
            }
            let mut arguments = signal.arguments.clone();
            if signal.kind == Kind::Action && pattern.kind == Kind::Action {
                if pattern.action.is_some() && pattern.action != signal.action {
                    return Ok(Outcome::Nothing);
                }
                let action = signal.action.as_ref();
                if let Some(action) = action.and_then(|uid| self.state.core.actions.get(uid)) {
                    arguments.insert("action_arguments", action.arguments.clone());
                }
            }
            dicts(&arguments, &pattern.arguments, 0)?
        };
        let score = match priority {
            Some(priority) if priority != 0.0 => score * priority,
            _ => score,
        };
        Ok(match score > 0.0 {
            true => Outcome::Matches(score),
            false => Outcome::Nothing,
        })
    }

    /// Where a head that waits for this is found.
    pub(super) fn key(&mut self, uid: &Arc<str>, matching: &Match) -> Result<Key, Trouble> {
        let event = self.event_name(uid, &matching.event)?;
        let filter = match &matching.event {
            EventSpec::OfVariable { .. } => {
                let pattern = self.signal(uid, &matching.event, true);
                pattern.ok().and_then(|pattern| match &pattern.action {
                    Some(action) => Some(("action_uid".into(), Arc::clone(action))),
                    None => {
                        let uid = pattern.text("flow_instance_uid")?;
                        Some(("flow_instance_uid".into(), uid.into()))
                    }
                })
            }
            EventSpec::OfFlow { flow, .. } => Some(("flow_id".into(), Arc::clone(flow))),
            EventSpec::OfAction {
                member_arguments, ..
            } => self.filter(uid, &event, member_arguments),
            EventSpec::Named { arguments, .. } => self.filter(uid, &event, arguments),
        };
        Ok(Key { event, filter })
    }

    /// An argument that must be a certain text.
    fn filter(
        &self,
        uid: &Arc<str>,
        event: &str,
        arguments: &Arguments,
    ) -> Option<(Arc<str>, Arc<str>)> {
        let known = |name: &str| {
            let text = self.fixed_text(uid, arguments.get(name)?)?;
            Some((Arc::from(name), text))
        };
        if is_internal(event) {
            let first = match event {
                "StartFlow" => None,
                _ => known("flow_instance_uid"),
            };
            if let Some(found) = first.or_else(|| known("flow_id")) {
                return Some(found);
            }
        }
        if event == "StartFlow" {
            return None;
        }
        let names = arguments.keys().filter(|name| !IGNORED.contains(&&***name));
        names.into_iter().find_map(|name| known(name))
    }

    /// The text that an expression is, and stays unless a variable of the instance's own changes.
    fn fixed_text(&self, uid: &Arc<str>, expression: &Expression) -> Option<Arc<str>> {
        let value = match expression {
            Expression::Constant(value) => value.clone(),
            Expression::Path(variable, []) => self.local(uid, variable)?,
            Expression::Parsed(expr) => match expr.constant() {
                Some(value) => value.clone(),
                None => {
                    let variable = expr.as_variable()?;
                    let instance = self.state.core.flows.get(uid)?;
                    let context = self.state.core.context(instance.context);
                    let is_own = !matches!(variable, "self" | "system")
                        && !is_global(context, variable)
                        && !self.state.core.is_shared(instance.context);
                    match is_own {
                        true => context.get(variable)?.clone(),
                        false => return None,
                    }
                }
            },
            _ => return None,
        };
        match value {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }
}

/// Flows' events: some also tell that what a match waits for cannot come any more.
fn between_flows(signal: &Signal, pattern: &Signal) -> Result<Outcome, Trouble> {
    let differs = |argument: &str, own: &Value| match signal.arguments.get(argument) {
        Some(value) => Ok::<bool, Trouble>(values(value, own, 0)? != 1.0),
        None => Ok(false),
    };
    if let Some(flow) = pattern.arguments.get("flow_id")
        && differs("flow_id", flow)?
    {
        return Ok(Outcome::Nothing);
    }
    if let Some(uid) = &pattern.flow
        && differs("source_flow_instance_uid", &Value::Str(Arc::clone(uid)))?
    {
        return Ok(Outcome::Nothing);
    }
    let score = dicts(&signal.arguments, &pattern.arguments, 0)?;
    if score <= 0.0 || pattern.name == signal.name {
        return Ok(match score > 0.0 {
            true => Outcome::Matches(score),
            false => Outcome::Nothing,
        });
    }
    let cannot_come = matches!(
        (&*pattern.name, &*signal.name),
        ("FlowFinished", "FlowFailed")
            | ("FlowFailed", "FlowFinished")
            | ("FlowStarted", "FlowFinished" | "FlowFailed")
    );
    Ok(
        match cannot_come && pattern.arguments.contains_key("flow_instance_uid") {
            true => Outcome::Fails,
            false => Outcome::Nothing,
        },
    )
}

/// How well `given` has what `wanted` asks for.
fn values(given: &Value, wanted: &Value, depth: usize) -> Result<f64, Trouble> {
    if depth > MAX_DEPTH {
        return Ok(0.0);
    }
    if let Some(pattern) = wanted.as_object::<Pattern>()
        && matches!(
            given,
            Value::Str(_) | Value::Int(_) | Value::Float(_) | Value::Bool(_)
        )
    {
        let found = pattern.search(&given.to_string());
        return Ok(f64::from(found.map_err(|error| Failure::value(&error))?));
    }
    if let Some(comparison) = wanted.as_object::<Comparison>() {
        let holds = comparison.compare(given);
        return Ok(f64::from(holds.map_err(|error| Failure::value(&error))?));
    }
    Ok(match (given, wanted) {
        (Value::Dict(given), Value::Dict(wanted)) => dicts(given, wanted, depth + 1)?,
        (Value::List(given), Value::List(wanted)) => {
            if wanted.len() > given.len() {
                return Ok(0.0);
            }
            let mut score = 1.0;
            let mut left = wanted.iter().peekable();
            for value in given.iter() {
                let Some(next) = left.peek() else {
                    break;
                };
                let own = values(value, next, depth + 1)?;
                if own > 0.0 {
                    score *= own;
                    left.next();
                }
            }
            match left.peek() {
                Some(_) => 0.0,
                None => score * unnamed(given.len() - wanted.len()),
            }
        }
        (Value::Set(given), Value::Set(wanted)) => {
            let mut score = 1.0;
            for next in wanted.iter() {
                let mut best = 0.0;
                for value in given.iter() {
                    best = values(value.value(), next.value(), depth + 1)?;
                    if best > 0.0 {
                        break;
                    }
                }
                score *= best;
                if score == 0.0 {
                    return Ok(0.0);
                }
            }
            score * unnamed(given.len().saturating_sub(wanted.len()))
        }
        _ => f64::from(has_type_of(wanted, given) && given == wanted),
    })
}

/// Python's `isinstance(wanted, type(given))`.
fn has_type_of(wanted: &Value, given: &Value) -> bool {
    match (wanted, given) {
        (Value::Bool(_), Value::Int(_)) => true,
        (Value::Object(_), Value::Object(_)) => true,
        _ => std::mem::discriminant(wanted) == std::mem::discriminant(given),
    }
}

fn dicts(given: &Dict, wanted: &Dict, depth: usize) -> Result<f64, Trouble> {
    if wanted.len() > given.len() {
        return Ok(0.0);
    }
    let mut score = 1.0;
    for (key, value) in wanted.iter() {
        if key.as_str().is_some_and(|key| IGNORED.contains(&key)) {
            continue;
        }
        let Some(own) = given.get_value(key.value()) else {
            return Ok(0.0);
        };
        score *= values(own, value, depth)?;
        if score == 0.0 {
            return Ok(0.0);
        }
    }
    Ok(score * unnamed(given.len() - wanted.len()))
}

fn unnamed(count: usize) -> f64 {
    UNNAMED.powi(i32::try_from(count).unwrap_or(i32::MAX))
}
