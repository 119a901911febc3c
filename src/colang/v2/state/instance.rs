//! Instances of flows, their heads, and actions.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::super::program::Flow;
use crate::value::Dict;

/// A place in a running flow.
pub(super) type HeadId = u64;

/// An instance of a flow.
#[derive(Debug, Clone)]
pub(super) struct Instance {
    pub(super) uid: Arc<str>,
    pub(super) flow: Arc<Flow>,
    /// How many instances there were before it.
    pub(super) serial: u64,
    /// Its interaction loop; none before it has started.
    pub(super) loop_id: Option<Arc<str>>,
    /// Where it was started: the place of the statement in the parent, behind the parent's own.
    pub(super) hierarchy: Arc<str>,
    pub(super) depth: usize,
    pub(super) heads: BTreeMap<HeadId, Head>,
    /// Open scopes, with the flows and actions that started in them.
    pub(super) scopes: BTreeMap<usize, Scope>,
    /// The head that each fork has forked.
    pub(super) forks: BTreeMap<usize, HeadId>,
    pub(super) actions: Vec<Arc<str>>,
    /// Which variables it has: those of another instance, if they share them.
    pub(super) context: u64,
    pub(super) priority: f64,
    pub(super) arguments: Dict,
    pub(super) parent: Option<Arc<str>>,
    pub(super) parent_head: Option<Arc<str>>,
    pub(super) children: Vec<Arc<str>>,
    pub(super) status: Status,
    /// How many flows have activated it: it starts anew when it ends.
    pub(super) activated: i64,
    /// Whether it has started anew already.
    pub(super) restarted: bool,
    /// Whether only variables know it: it ended some time ago.
    pub(super) is_retired: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    pub(super) flows: Vec<Arc<str>>,
    pub(super) actions: Vec<Arc<str>>,
}

#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) position: usize,
    pub(super) status: HeadStatus,
    /// The scores of the matches that brought it here, in the step `step`.
    pub(super) scores: Vec<f64>,
    pub(super) step: u64,
    pub(super) scopes: Vec<usize>,
    pub(super) children: Vec<HeadId>,
    /// Where failures lead to, innermost last.
    pub(super) catches: Vec<usize>,
    /// When it came to the `match` where it waits.
    pub(super) arrival: u64,
}

impl Head {
    pub(super) fn new() -> Self {
        Self {
            position: 0,
            status: HeadStatus::Active,
            scores: Vec::new(),
            step: 0,
            scopes: Vec::new(),
            children: Vec::new(),
            catches: Vec::new(),
            arrival: 0,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum HeadStatus {
    Active,
    /// Forked: its children go on.
    Inactive,
    /// At the end of a fork, until all other heads have had their turn.
    Merging,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// Not started.
    Waiting,
    /// On the way to its first `match`.
    Starting,
    Started,
    /// On the way to its end by `abort`.
    Stopping,
    /// Failed.
    Stopped,
    Finished,
}

impl Status {
    pub(super) fn value(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Started => "started",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Finished => "finished",
        }
    }
}

impl Instance {
    /// Whether events reach it.
    pub(super) fn is_listening(&self) -> bool {
        matches!(
            self.status,
            Status::Waiting | Status::Starting | Status::Started
        )
    }

    /// Whether it has started and not ended.
    pub(super) fn is_active(&self) -> bool {
        matches!(self.status, Status::Starting | Status::Started)
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.status, Status::Stopped | Status::Finished)
    }

    /// Heads that are not forked.
    pub(super) fn active_heads(&self) -> impl Iterator<Item = (HeadId, &Head)> {
        self.heads
            .iter()
            .filter(|(_, head)| head.status != HeadStatus::Inactive)
            .map(|(id, head)| (*id, head))
    }

    /// The children of a head, and theirs.
    pub(super) fn descendants(&self, head: HeadId) -> Vec<HeadId> {
        let mut all = Vec::new();
        let mut open: Vec<HeadId> = self.children_of(head).rev().collect();
        while let Some(next) = open.pop() {
            if all.contains(&next) {
                continue;
            }
            all.push(next);
            open.extend(self.children_of(next).rev());
        }
        all
    }

    fn children_of(&self, head: HeadId) -> impl DoubleEndedIterator<Item = HeadId> + '_ {
        let children = self.heads.get(&head).map(|head| head.children.as_slice());
        children.unwrap_or_default().iter().copied()
    }
}

/// An action.
#[derive(Debug, Clone)]
pub(super) struct Action {
    pub(super) uid: Arc<str>,
    pub(super) name: Arc<str>,
    /// The instance that made it.
    pub(super) flow: Option<Arc<str>>,
    pub(super) status: ActionStatus,
    /// What its events said.
    pub(super) context: Dict,
    /// What it was made with.
    pub(super) arguments: Dict,
    /// How many flows it still runs for.
    pub(super) users: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ActionStatus {
    Initialized,
    Starting,
    Started,
    Stopping,
    Finished,
}

impl ActionStatus {
    pub(super) fn value(self) -> &'static str {
        match self {
            Self::Initialized => "initialized",
            Self::Starting => "starting",
            Self::Started => "started",
            Self::Stopping => "stopping",
            Self::Finished => "finished",
        }
    }
}

impl Action {
    pub(super) fn new(uid: Arc<str>, name: Arc<str>, arguments: Dict) -> Self {
        Self {
            uid,
            name,
            flow: None,
            status: ActionStatus::Initialized,
            context: Dict::new(),
            arguments,
            users: 0,
        }
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.status, ActionStatus::Starting | ActionStatus::Started)
    }

    /// Takes over what an event of the action says.
    pub(super) fn follow(&mut self, event: &str, arguments: &Dict) {
        let status = if event.contains("ActionStarted") {
            Some(ActionStatus::Started)
        } else if event.contains("Updated") {
            None
        } else if event.contains("ActionFinished") {
            self.users = 0;
            Some(ActionStatus::Finished)
        } else if event.starts_with("Start") {
            self.users = 1;
            Some(ActionStatus::Starting)
        } else if event.starts_with("Stop") {
            Some(ActionStatus::Stopping)
        } else {
            return;
        };
        self.status = status.unwrap_or(self.status);
        self.context.extend(
            arguments
                .iter()
                .map(|(key, value)| (key.clone(), value.clone())),
        );
    }

    /// The action that an event of the outside belongs to.
    pub(super) fn of_event(uid: Arc<str>, event: &str, arguments: &Dict) -> Option<Self> {
        let parts = ["Started", "Updated", "Finished", "Start", "Change", "Stop"];
        let part = parts.iter().find(|part| event.contains(**part))?;
        let mut action = Self::new(uid, event.replace(part, "").into(), Dict::new());
        action.follow(event, arguments);
        action.status = match *part {
            "Finished" => ActionStatus::Finished,
            _ => ActionStatus::Started,
        };
        Some(action)
    }
}
