//! Flat programs: flows as sequences of elements, with jumps.

use std::{collections::HashMap, sync::Arc};

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::call;
use crate::{
    colang::expr::{Dialect, Expr, ExprError},
    error::Fault,
};

/// What a file, or several, define.
#[derive(Debug, Clone, Default)]
pub struct Parsed {
    /// The flows, in order.
    pub flows: Vec<Flow>,
    /// The examples of each user intent.
    pub user_messages: IndexMap<String, Vec<String>>,
    /// The texts of each bot message.
    pub bot_messages: IndexMap<String, Vec<String>>,
    /// What `import` and `include` name.
    pub imports: Vec<String>,
    /// Expressions that are none. A flow fails where it comes to one, but the file loads.
    pub warnings: Vec<Fault>,
}

/// A flow.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Flow {
    /// Its name.
    pub id: String,
    /// Its steps.
    pub elements: Vec<Element>,
    /// What its `meta` says, beyond the fields below too.
    pub meta: Map<String, Value>,
    /// Of several flows that could decide, the one of the highest priority does. 1 if not set.
    pub priority: f64,
    /// Whether it may interrupt other flows where those act.
    pub is_extension: bool,
    /// Whether other flows may interrupt it.
    pub is_interruptible: bool,
    /// Whether it only starts when another flow calls it.
    pub is_subflow: bool,
    /// Whether it may run several times at once.
    pub allow_multiple: bool,
    /// Its lines as written, for prompts.
    pub source_code: Option<String>,
    /// The file that it stands in.
    pub file: Option<Arc<str>>,
}

/// A step of a flow.
#[derive(Debug, Clone)]
pub struct Element {
    /// What it does or waits for.
    pub op: Op,
    /// Where it stands, unless no line stands for it.
    pub origin: Option<Origin>,
}

/// Where an element was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The line, from 1.
    pub line: usize,
    /// The line as written, without the space around it.
    pub text: Arc<str>,
    /// The comment before it.
    pub comment: Option<Arc<str>>,
}

/// What an element does or waits for. Offsets are relative to the element.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Op {
    /// Waits for a user intent: a text, `...` for any, or a list of texts.
    User {
        /// The intent.
        intent: Value,
        /// Further parameters; nothing depends on them.
        parameters: Map<String, Value>,
    },
    /// Runs an action, or waits until something else has run it. The action `utter` says a bot message.
    Action {
        /// The action's name.
        name: String,
        /// Its arguments. A text that begins with `$` stands for a variable.
        parameters: Map<String, Value>,
        /// The variable that takes its result.
        result: Option<String>,
    },
    /// Waits for an event.
    Event {
        /// The event's type.
        kind: String,
        /// The fields to match; `...` matches anything.
        fields: Map<String, Value>,
    },
    /// Runs another flow.
    Call {
        /// The flow's name, with its parameters; or a variable that holds it.
        flow: String,
    },
    /// Goes on only if the condition holds.
    Check(Expression),
    /// Goes on to the next element, or to `otherwise`.
    If {
        /// The condition.
        condition: Expression,
        /// How far it is to the other branch.
        otherwise: isize,
    },
    /// Goes on to the next element, or beyond the loop.
    While {
        /// The condition.
        condition: Expression,
        /// How far it is to the end of the loop.
        end: isize,
    },
    /// Goes elsewhere.
    Jump(isize),
    /// Ends the flow.
    Return,
    /// Sets a variable.
    Set {
        /// Its name, without `$`.
        variable: String,
        /// Its value.
        value: Expression,
    },
    /// Waits for one of several elements, which stand at these offsets.
    Branch(Vec<isize>),
    /// Waits for one of the elements that follow.
    Any(usize),
}

/// An expression, parsed once.
///
/// An expression that is none is no fault of the file: as in the reference it fails when a flow comes to it.
#[derive(Debug, Clone)]
pub struct Expression {
    text: Arc<str>,
    parsed: Result<Expr, ExprError>,
}

impl Expression {
    /// Parses `text`.
    pub fn new(text: &str) -> Self {
        Self {
            text: text.into(),
            parsed: Expr::parse(text, Dialect::V1),
        }
    }

    /// As written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The expression.
    ///
    /// # Errors
    ///
    /// Where the text is no expression.
    pub fn parsed(&self) -> Result<&Expr, &ExprError> {
        self.parsed.as_ref()
    }
}

impl Element {
    /// The expression that it depends on.
    pub fn expression(&self) -> Option<&Expression> {
        match &self.op {
            Op::Check(expression)
            | Op::If {
                condition: expression,
                ..
            }
            | Op::While {
                condition: expression,
                ..
            }
            | Op::Set {
                value: expression, ..
            } => Some(expression),
            _ => None,
        }
    }
}

impl Flow {
    /// A flow of these elements, with default settings.
    pub fn new(id: impl Into<String>, elements: Vec<Element>) -> Self {
        Self {
            id: id.into(),
            elements,
            meta: Map::new(),
            priority: 1.0,
            is_extension: false,
            is_interruptible: true,
            is_subflow: false,
            allow_multiple: false,
            source_code: None,
            file: None,
        }
    }

    /// Takes over what a `meta` says.
    pub(super) fn with_meta(mut self, meta: Map<String, Value>) -> Self {
        let is_set = |name: &str| meta.get(name).map(crate::value::Value::from_json);
        let flag = |name: &str| is_set(name).map(|value| value.is_truthy());
        if let Some(priority) = is_set("priority").and_then(|value| value.as_float()) {
            self.priority = priority;
        }
        self.is_extension = flag("is_extension").unwrap_or(false);
        self.is_interruptible = flag("interruptable").unwrap_or(true);
        self.is_subflow = flag("subflow").unwrap_or(false);
        self.allow_multiple = flag("allow_multiple").unwrap_or(false);
        self.meta = meta;
        self
    }

    /// The element at `position`; a negative one counts from the end.
    pub(super) fn element(&self, position: isize) -> Option<&Element> {
        let position = match usize::try_from(position) {
            Ok(position) => position,
            Err(_) => self.elements.len().checked_sub(position.unsigned_abs())?,
        };
        self.elements.get(position)
    }

    /// The actions that it runs, with their places, in order. Bot messages are none.
    pub fn actions(&self) -> impl Iterator<Item = (&str, Option<&Origin>)> {
        self.elements
            .iter()
            .filter_map(|element| match &element.op {
                Op::Action { name, .. } if name != "utter" && name != "create_event" => {
                    Some((name.as_str(), element.origin.as_ref()))
                }
                _ => None,
            })
    }
}

/// Flows that run together.
#[derive(Debug, Clone, Default)]
pub struct Program {
    flows: Vec<Arc<Prepared>>,
    by_id: HashMap<String, usize>,
}

/// A flow, and which events may advance it.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) flow: Flow,
    created: Vec<String>,
}

impl Prepared {
    pub(super) fn new(flow: Flow) -> Self {
        let created = flow.elements.iter().filter_map(created_event).collect();
        Self { flow, created }
    }

    /// Whether an event of this type may advance the flow once it runs.
    pub(super) fn is_triggered_by(&self, kind: &str) -> bool {
        matches!(
            kind,
            "UserIntent" | "BotIntent" | "run_action" | "InternalSystemActionFinished"
        ) || self.created.iter().any(|created| created == kind)
    }
}

/// The event that an element creates: the flow that creates an event may also wait for it.
fn created_event(element: &Element) -> Option<String> {
    match &element.op {
        Op::Action {
            name, parameters, ..
        } if name == "create_event" => {
            let kind = parameters.get("event")?.get("_type")?.as_str()?;
            Some(kind.to_owned())
        }
        _ => None,
    }
}

impl Program {
    /// Flows that run together. Of several flows of the same name the first counts. Statements outside of any definition are
    /// a flow without a name, which gets one here.
    pub fn new(flows: impl IntoIterator<Item = Flow>) -> Self {
        let mut program = Self::default();
        for mut flow in flows {
            if flow.id.is_empty() {
                flow.id = format!("unnamed-{}", program.flows.len());
            }
            if !program.by_id.contains_key(&flow.id) {
                program.by_id.insert(flow.id.clone(), program.flows.len());
                program.flows.push(Arc::new(Prepared::new(flow)));
            }
        }
        program
    }

    /// The flows, in order.
    pub fn flows(&self) -> impl Iterator<Item = &Flow> {
        self.flows.iter().map(|prepared| &prepared.flow)
    }

    /// The flow of this name.
    pub fn flow(&self, id: &str) -> Option<&Flow> {
        self.prepared(id).map(|prepared| &prepared.flow)
    }

    /// The calls of flows that are not there, each with the flow that it stands in. A flow fails where it comes to one.
    /// Calls by a variable are not looked at.
    pub fn unknown_calls(&self) -> impl Iterator<Item = (&Flow, &str, Option<&Origin>)> {
        self.flows().flat_map(move |flow| {
            flow.elements
                .iter()
                .filter_map(move |element| match &element.op {
                    Op::Call { flow: called } if !called.starts_with('$') => {
                        let name = match call::has_parameters(called) {
                            true => call::flow_name(called),
                            false => called,
                        };
                        let is_known = self.by_id.contains_key(name);
                        (!is_known).then_some((flow, name, element.origin.as_ref()))
                    }
                    _ => None,
                })
        })
    }

    pub(super) fn prepared(&self, id: &str) -> Option<&Arc<Prepared>> {
        self.flows.get(*self.by_id.get(id)?)
    }

    pub(super) fn all(&self) -> &[Arc<Prepared>] {
        &self.flows
    }
}
