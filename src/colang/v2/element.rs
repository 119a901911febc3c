//! What a flow consists of once it is laid out flat.
//!
//! Heads walk over the elements. A statement about several things at once forks its head: one for each. Targets are indices
//! of [`Op::Label`] elements in the same flow.

use std::sync::Arc;

use super::{ast::Arguments, expression::Expression};

/// A step of a flow.
#[derive(Debug, Clone)]
pub(super) struct Element {
    pub(super) op: Op,
    /// The line, from 1.
    pub(super) line: usize,
    /// Its place among the elements as the reference counts them, which orders flows that act on the same event.
    pub(super) position: usize,
}

#[derive(Debug, Clone)]
pub(super) enum Op {
    /// Waits for an event.
    Match(Match),
    /// Sends an event: to other flows at once, to the outside when no other flow wants to act differently.
    Send(Send),
    /// Makes an action, which is not started yet.
    NewAction {
        name: Arc<str>,
        arguments: Arguments,
        variable: Arc<str>,
    },
    /// A place to go to.
    Label,
    /// The flow starts anew beside itself, `start_new_flow_instance:`.
    StartNewInstance,
    /// Goes to `target`, if the condition is as `when` says.
    Goto {
        target: usize,
        condition: Option<Condition>,
    },
    /// The head waits, new ones go on at the targets.
    Fork {
        fork: usize,
        targets: Vec<usize>,
    },
    /// Of the heads of a fork, the one with the best match goes on, as the head that was forked.
    Merge(usize),
    /// The heads of a fork become one again, here and now: all of them have failed.
    Join(usize),
    /// Goes on when this many heads are here.
    WaitForHeads(usize),
    Assign {
        variable: Arc<str>,
        value: Expression,
    },
    Return(Option<Expression>),
    Abort,
    Log(Expression),
    Print(Expression),
    Priority(Expression),
    Global(Arc<str>),
    /// A failure from here on leads to the target; without a target, the last such order ends.
    Catch(Option<usize>),
    /// Flows and actions that start from here on belong to the scope.
    BeginScope(usize),
    /// Stops what the scope has started.
    EndScope(usize),
    /// Does nothing.
    Pass,
}

#[derive(Debug, Clone)]
pub(super) struct Condition {
    pub(super) value: Expression,
    /// What its value must count as.
    pub(super) holds: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Match {
    pub(super) event: EventSpec,
    /// The variable that takes the event.
    pub(super) reference: Option<Arc<str>>,
    /// Whether it belongs to the start of another flow: its own flow does not count as started while it waits here.
    pub(super) is_internal: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Send {
    pub(super) event: EventSpec,
    pub(super) reference: Option<Arc<str>>,
}

/// An event as a statement names it.
#[derive(Debug, Clone)]
pub(super) enum EventSpec {
    /// `UtteranceBotActionFinished(…)`.
    Named {
        name: Arc<str>,
        arguments: Arguments,
    },
    /// `(bot say "x").Finished()`.
    OfFlow {
        flow: Arc<str>,
        member: Arc<str>,
        arguments: Arguments,
    },
    /// `UtteranceBotAction(script="x").Finished()`.
    OfAction {
        action: Arc<str>,
        arguments: Arguments,
        member: Arc<str>,
        member_arguments: Arguments,
    },
    /// `$ref.Finished()`, `$event.action.Finished()`.
    OfVariable {
        variable: Arc<str>,
        path: Vec<Arc<str>>,
        member: Arc<str>,
        arguments: Arguments,
    },
}

impl Element {
    pub(super) fn matching(&self) -> Option<&Match> {
        match &self.op {
            Op::Match(matching) => Some(matching),
            _ => None,
        }
    }
}
