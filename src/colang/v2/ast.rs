//! The tree of a file, before flows are laid out flat.

use std::sync::Arc;

use indexmap::IndexMap;

use super::{expression::Expression, program::Parameter};
use crate::value::Value;

/// A flow as written.
#[derive(Debug, Clone)]
pub(super) struct FlowDef {
    pub(super) name: Arc<str>,
    pub(super) parameters: Vec<Parameter>,
    pub(super) returns: Vec<Parameter>,
    pub(super) decorators: IndexMap<String, IndexMap<String, Value>>,
    pub(super) body: Vec<Statement>,
    pub(super) source_code: String,
    pub(super) docstring: Option<String>,
    pub(super) line: usize,
    /// Where its name stands, in bytes.
    pub(super) span: (usize, usize),
}

/// A statement and its line.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    pub(super) kind: Kind,
    pub(super) line: usize,
    /// Where it begins and ends, in bytes.
    pub(super) span: (usize, usize),
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// `match`, `send`, … of one or several specs; the variable takes the result.
    Operation {
        operator: Operator,
        group: Group,
        result: Option<Arc<str>>,
    },
    Assign {
        variable: Arc<str>,
        value: Expression,
    },
    /// `$x = ..."instruction"`.
    GenerateValue {
        variable: Arc<str>,
        instruction: Expression,
    },
    /// `...`: the steps of the flow are made at run time.
    GenerateSteps,
    /// An expression in parentheses, for what it changes.
    Evaluate(Expression),
    If {
        branches: Vec<(Expression, Vec<Statement>)>,
        otherwise: Option<Vec<Statement>>,
    },
    While {
        condition: Expression,
        body: Vec<Statement>,
    },
    For {
        variable: Arc<str>,
        items: Expression,
        body: Vec<Statement>,
    },
    When {
        cases: Vec<(Group, Vec<Statement>)>,
        otherwise: Option<Vec<Statement>>,
    },
    Return(Option<Expression>),
    Abort,
    Break,
    Continue,
    Pass,
    Log(Expression),
    Print(Expression),
    Priority(Expression),
    Global(Arc<str>),
    Label(Arc<str>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Match,
    Await,
    Start,
    Stop,
    Activate,
    Deactivate,
    Send,
}

/// Specs, joined by `and` and `or`.
#[derive(Debug, Clone)]
pub(super) enum Group {
    One(Spec),
    And(Vec<Group>),
    Or(Vec<Group>),
}

/// A flow, an action, an event, or a variable that holds one.
#[derive(Debug, Clone)]
pub(super) struct Spec {
    pub(super) subject: Subject,
    pub(super) arguments: Arguments,
    /// `.Finished()`, and names on the way to it.
    pub(super) members: Vec<Member>,
    /// `as $x`.
    pub(super) reference: Option<Arc<str>>,
    pub(super) span: (usize, usize),
}

#[derive(Debug, Clone)]
pub(super) enum Subject {
    Flow(Arc<str>),
    Action(Arc<str>),
    Event(Arc<str>),
    Variable(Arc<str>),
}

/// What is named after a dot, with arguments.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) name: Arc<str>,
    pub(super) arguments: Arguments,
}

/// Arguments by name; `$0`, `$1`, … for those without.
pub(super) type Arguments = IndexMap<Arc<str>, Expression>;

impl Subject {
    /// What a name names: flows have no capital letter, actions end in `Action`.
    pub(super) fn named(name: Arc<str>) -> Self {
        let is_event = ["Start", "Change", "Stop"]
            .iter()
            .any(|prefix| name.starts_with(prefix));
        if is_lower(&name) {
            Self::Flow(name)
        } else if name.ends_with("Action") && !is_event {
            Self::Action(name)
        } else {
            Self::Event(name)
        }
    }
}

/// Python's `islower`.
fn is_lower(name: &str) -> bool {
    name.chars().any(char::is_lowercase) && !name.chars().any(char::is_uppercase)
}

impl Spec {
    pub(super) fn new(subject: Subject, arguments: Arguments) -> Self {
        Self {
            subject,
            arguments,
            members: Vec::new(),
            reference: None,
            span: (0, 0),
        }
    }
}
