//! Heads that fork, merge and close scopes: statements about several things at once.

use super::{
    Failure, Machine, Trouble,
    advance::Stop,
    index::HeadRef,
    instance::{Head, HeadId, HeadStatus, Scope},
    lifecycle::Ending,
    process::compare,
};

impl Machine<'_> {
    pub(super) fn fork(
        &mut self,
        head: &HeadRef,
        fork: usize,
        targets: &[usize],
    ) -> Result<Vec<HeadId>, Trouble> {
        let (uid, id) = head;
        self.set_status(head, HeadStatus::Inactive)?;
        let mut new = Vec::new();
        for target in targets {
            let child_id = self.state.core.new_head();
            let Some(instance) = self.state.core.flows.get_mut(uid) else {
                return Ok(new);
            };
            instance.forks.insert(fork, *id);
            let Some(own) = instance.heads.get_mut(id) else {
                return Ok(new);
            };
            own.children.push(child_id);
            let mut child = Head::new();
            child.position = *target;
            child.scores.clone_from(&own.scores);
            child.step = own.step;
            child.scopes.clone_from(&own.scopes);
            child.catches.clone_from(&own.catches);
            instance.heads.insert(child_id, child);
            new.push(child_id);
        }
        Ok(new)
    }

    /// Of the heads that are at the end of their fork, the best goes on, as the head that was forked.
    pub(super) fn merge(&mut self, head: &HeadRef, fork: usize) -> Result<Stop, Trouble> {
        let (uid, id) = head;
        let step = self.state.core.step;
        let instance = self.instance(uid)?;
        let forked = instance.forks.get(&fork).copied();
        let Some(parent_id) = forked.filter(|parent| instance.heads.contains_key(parent)) else {
            let message = "a group of statements has lost its beginning";
            return Err(Failure::new("ColangRuntimeError", message).into());
        };
        let merged = instance.descendants(parent_id);
        let mut scopes: Vec<usize> = Vec::new();
        let children = instance
            .heads
            .get(&parent_id)
            .map(|head| head.children.clone());
        for child in children.unwrap_or_default() {
            let own = instance
                .heads
                .get(&child)
                .map(|head| head.scopes.as_slice());
            for scope in own.unwrap_or_default() {
                if !scopes.contains(scope) {
                    scopes.push(*scope);
                }
            }
        }
        let mut merging: Vec<(HeadId, Vec<f64>)> = merged
            .iter()
            .filter_map(|id| Some((*id, instance.heads.get(id)?)))
            .filter(|(_, head)| head.status == HeadStatus::Merging)
            .map(|(id, head)| {
                (
                    id,
                    if head.step == step {
                        head.scores.clone()
                    } else {
                        Vec::new()
                    },
                )
            })
            .collect();
        let mut picked = *id;
        if merging.len() > 1 {
            picked = self.best(&mut merging).unwrap_or(picked);
        }
        self.set_status(head, HeadStatus::Inactive)?;
        if picked != *id {
            return Ok(Stop::Here);
        }
        let instance = self.state.core.flows.get_mut(uid);
        let Some(instance) = instance else {
            return Ok(Stop::Here);
        };
        let Some(own) = instance.heads.get(id).cloned() else {
            return Ok(Stop::Here);
        };
        if let Some(parent) = instance.heads.get_mut(&parent_id) {
            parent.position = own.position;
            parent.status = HeadStatus::Active;
            parent.scopes = scopes;
            parent.scores = own.scores;
            parent.step = own.step;
            parent.catches = own.catches;
            parent.children.clear();
        }
        for id in &merged {
            instance.heads.remove(id);
        }
        instance.forks.remove(&fork);
        let gone: Vec<usize> = instance
            .forks
            .iter()
            .filter(|(_, head)| merged.contains(head))
            .map(|(fork, _)| *fork)
            .collect();
        for fork in gone {
            instance.forks.remove(&fork);
        }
        for id in merged {
            self.state.core.index.remove(id);
        }
        Ok(Stop::Became(vec![parent_id]))
    }

    /// The one with the best scores; of equally good ones, any. Orders them, the best first.
    pub(super) fn best(&self, all: &mut [(HeadId, Vec<f64>)]) -> Option<HeadId> {
        let longest = all
            .iter()
            .map(|(_, scores)| scores.len())
            .max()
            .unwrap_or(0);
        let padded = |scores: &Vec<f64>| {
            let mut padded = scores.clone();
            padded.resize(longest, 1.0);
            padded
        };
        all.sort_by(|left, right| compare(&padded(&right.1), &padded(&left.1)));
        let equal = all
            .iter()
            .take_while(|(_, scores)| all.first().is_some_and(|(_, first)| scores == first))
            .count();
        let chosen = self.host.choose(equal).min(equal.saturating_sub(1));
        all.get(chosen).map(|(best, _)| *best)
    }

    pub(super) fn end_scope(&mut self, head: &HeadRef, number: usize) -> Result<(), Trouble> {
        let (uid, _) = head;
        let scores = self.scores(head);
        let Some(instance) = self.state.core.flows.get_mut(uid) else {
            return Ok(());
        };
        let Scope { flows, actions } = instance.scopes.remove(&number).unwrap_or_default();
        for own in instance.heads.values_mut() {
            own.scopes.retain(|scope| *scope != number);
        }
        for flow in flows {
            if self.state.core.live(&flow).is_some() {
                self.abort(&flow, &scores, Ending::default())?;
            }
        }
        for action in actions {
            self.stop_action(&action);
        }
        Ok(())
    }
}
