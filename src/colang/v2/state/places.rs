//! Where heads stand, and where the events find them that they wait for.

use std::sync::Arc;

use super::{
    Machine, Trouble,
    index::HeadRef,
    instance::{HeadId, HeadStatus},
};
use crate::colang::v2::element::EventSpec;

impl Machine<'_> {
    /// Moves a head to an element.
    pub(super) fn move_to(&mut self, head: &HeadRef, position: usize) -> Result<(), Trouble> {
        let instance = self.state.core.flows.get_mut(&head.0);
        let Some(own) = instance.and_then(|instance| instance.heads.get_mut(&head.1)) else {
            return Ok(());
        };
        if own.position == position {
            return Ok(());
        }
        own.position = position;
        self.index_head(head)
    }

    pub(super) fn set_status(&mut self, head: &HeadRef, status: HeadStatus) -> Result<(), Trouble> {
        let instance = self.state.core.flows.get_mut(&head.0);
        let Some(own) = instance.and_then(|instance| instance.heads.get_mut(&head.1)) else {
            return Ok(());
        };
        own.status = status;
        self.index_head(head)
    }

    /// Puts a head where the events find it that it waits for; takes it away where it waits for none.
    pub(super) fn index_head(&mut self, head: &HeadRef) -> Result<(), Trouble> {
        let (uid, id) = head;
        self.state.core.index.remove(*id);
        let Some(instance) = self.state.core.flows.get(uid) else {
            return Ok(());
        };
        let Some(own) = instance.heads.get(id) else {
            return Ok(());
        };
        if own.status == HeadStatus::Inactive || !instance.is_listening() {
            return Ok(());
        }
        let flow = Arc::clone(&instance.flow);
        let element = flow.elements.get(own.position);
        let Some(matching) = element.and_then(|element| element.matching()) else {
            return Ok(());
        };
        let key = self.key(uid, matching)?;
        let arrival = self.state.core.new_arrival();
        let instance = self.state.core.flows.get_mut(uid);
        if let Some(own) = instance.and_then(|instance| instance.heads.get_mut(id)) {
            own.arrival = arrival;
        }
        self.state.core.index.insert(head.clone(), key, arrival);
        Ok(())
    }

    /// Where heads are found may depend on the variable that has changed (on any, without a name).
    pub(super) fn reindex(&mut self, uid: &Arc<str>, variable: Option<&str>) {
        let Some(instance) = self.state.core.flows.get(uid) else {
            return;
        };
        let flow = Arc::clone(&instance.flow);
        let waiting: Vec<(HeadId, usize, u64)> = instance
            .active_heads()
            .map(|(id, head)| (id, head.position, head.arrival))
            .collect();
        for (id, position, arrival) in waiting {
            let element = flow.elements.get(position);
            let Some(matching) = element.and_then(|element| element.matching()) else {
                continue;
            };
            if !self.state.core.index.has(id) || !depends_on(&matching.event, variable) {
                continue;
            }
            // A match that makes no sense any more keeps its place, and fails when an event comes.
            if let Ok(key) = self.key(uid, matching) {
                let head = (Arc::clone(uid), id);
                self.state.core.index.insert(head, key, arrival);
            }
        }
    }
}

/// Whether an event's arguments name the variable.
fn depends_on(event: &EventSpec, variable: Option<&str>) -> bool {
    let Some(variable) = variable else {
        return true;
    };
    let names = |arguments: &crate::colang::v2::ast::Arguments| {
        arguments.values().any(|value| value.is_variable(variable))
    };
    match event {
        EventSpec::Named { arguments, .. } => names(arguments),
        EventSpec::OfAction {
            member_arguments, ..
        } => names(member_arguments),
        EventSpec::OfFlow { .. } => false,
        EventSpec::OfVariable { variable: own, .. } => &**own == variable,
    }
}
