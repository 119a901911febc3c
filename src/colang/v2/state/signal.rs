//! Events on their way through the machine.

use std::{collections::HashSet, sync::Arc};

use super::super::Event;
use crate::value::Dict;

/// An event inside of the machine.
#[derive(Debug, Clone)]
pub(super) struct Signal {
    pub(super) name: Arc<str>,
    pub(super) arguments: Dict,
    pub(super) kind: Kind,
    /// The scores of the matches that led to it, from the event of the outside on.
    pub(super) scores: Vec<f64>,
    /// The instance that it is about, where a variable gets at it.
    pub(super) flow: Option<Arc<str>>,
    /// The action that it is about.
    pub(super) action: Option<Arc<str>>,
    /// Of an `UnhandledEvent`: the loops that handled the event. All others did not.
    pub(super) handled: Option<Handled>,
}

/// Which of the reference's classes an event is of: a `match` for one kind does not take another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any event.
    Plain,
    /// One of an action.
    Action,
    /// One between flows.
    Internal,
}

/// The interaction loops that had to do with an event.
#[derive(Debug, Clone, Default)]
pub(super) struct Handled {
    pub(super) all: bool,
    pub(super) loops: HashSet<Arc<str>>,
}

/// The events between flows, which never leave.
const INTERNAL: &[&str] = &[
    "StartFlow",
    "FinishFlow",
    "StopFlow",
    "FlowStarted",
    "FlowFinished",
    "FlowFailed",
    "UnhandledEvent",
    "BotIntentLog",
    "UserIntentLog",
    "BotActionLog",
    "UserActionLog",
];

pub(super) fn is_internal(name: &str) -> bool {
    INTERNAL.contains(&name)
}

impl Kind {
    /// The kind of an event by its name.
    pub(super) fn of(name: &str) -> Self {
        if is_internal(name) {
            Self::Internal
        } else if name.contains("Action") {
            Self::Action
        } else {
            Self::Plain
        }
    }

    /// Whether a `match` of this kind takes an event of the other.
    pub(super) fn takes(self, event: Self) -> bool {
        event == Self::Plain || self == event
    }

    pub(super) fn type_name(self) -> &'static str {
        match self {
            Self::Plain => "Event",
            Self::Action => "ActionEvent",
            Self::Internal => "InternalEvent",
        }
    }
}

impl Signal {
    pub(super) fn new(name: impl Into<Arc<str>>, arguments: Dict) -> Self {
        let name = name.into();
        Self {
            kind: Kind::of(&name),
            name,
            arguments,
            scores: Vec::new(),
            flow: None,
            action: None,
            handled: None,
        }
    }

    /// An event of the outside.
    pub(super) fn outside(event: Event) -> Self {
        let mut signal = Self::new(event.name, event.arguments);
        if signal.kind == Kind::Action {
            signal.action = signal.text("action_uid").map(Arc::from);
        }
        signal
    }

    pub(super) fn scored(mut self, scores: &[f64]) -> Self {
        self.scores = scores.to_vec();
        self
    }

    pub(super) fn text(&self, argument: &str) -> Option<&str> {
        self.arguments
            .get(argument)
            .and_then(|value| value.as_str())
    }

    pub(super) fn event(&self) -> Event {
        Event::new(Arc::clone(&self.name), self.arguments.clone())
    }
}
