//! Statements about several flows, actions or events at once.

use std::sync::Arc;

use super::{Lowering, UNKNOWN};
use crate::colang::v2::{
    ast::{Group, Operator, Spec},
    element::Op,
    expression::Expression,
};

/// How many ways a group may be met.
const MAX_ALTERNATIVES: usize = 100;

/// The ways to meet a group: one of the lists, all of its specs.
pub(super) fn alternatives(group: &Group) -> Result<Vec<Vec<&Spec>>, String> {
    let all = match group {
        Group::One(spec) => vec![vec![spec]],
        Group::Or(groups) => {
            let mut all = Vec::new();
            for group in groups {
                all.extend(alternatives(group)?);
            }
            all
        }
        Group::And(groups) => {
            let mut all: Vec<Vec<&Spec>> = vec![Vec::new()];
            for group in groups {
                let next = alternatives(group)?;
                if all.len() * next.len() > MAX_ALTERNATIVES {
                    return Err(too_many());
                }
                all = all
                    .iter()
                    .flat_map(|one| {
                        next.iter()
                            .map(|more| one.iter().chain(more).copied().collect())
                    })
                    .collect();
            }
            all
        }
    };
    match all.len() > MAX_ALTERNATIVES {
        true => Err(too_many()),
        false => Ok(all),
    }
}

fn too_many() -> String {
    format!("the group can be met in more than {MAX_ALTERNATIVES} ways: split it")
}

impl Lowering<'_> {
    /// `start`, `send` or `stop`: all of a list; of several lists, one.
    pub(super) fn any(&mut self, operator: Operator, alternatives: &[Vec<&Spec>]) {
        if let [all] = alternatives {
            for spec in all {
                self.single(operator, spec, None);
            }
            return;
        }
        let (catch, fork, number) = self.begin_alternatives();
        let mut to_end = Vec::new();
        for all in alternatives {
            let label = self.label();
            self.aim(fork, label);
            for spec in all {
                self.single(operator, spec, None);
            }
            to_end.push(self.goto(UNKNOWN));
        }
        self.end_alternatives(catch, number, alternatives.len(), &to_end);
    }

    fn begin_alternatives(&mut self) -> (usize, usize, usize) {
        let catch = self.push(Op::Catch(Some(UNKNOWN)));
        let number = self.number();
        let fork = self.push(Op::Fork {
            fork: number,
            targets: Vec::new(),
        });
        (catch, fork, number)
    }

    /// The end of heads of which one is enough: if all fail, the flow does.
    fn end_alternatives(&mut self, catch: usize, fork: usize, heads: usize, to_end: &[usize]) {
        let failure = self.label();
        self.aim(catch, failure);
        self.push(Op::WaitForHeads(heads));
        self.push(Op::Merge(fork));
        self.push(Op::Catch(None));
        self.push(Op::Abort);
        let end = self.label();
        self.aim_all(to_end, end);
        self.push(Op::Merge(fork));
        self.push(Op::Catch(None));
    }

    pub(super) fn match_any(&mut self, alternatives: &[Vec<&Spec>]) {
        if let [all] = alternatives {
            let events: Vec<Waited<'_>> = all.iter().map(|spec| Waited::Spec(spec)).collect();
            self.match_all(&events);
            return;
        }
        let (catch, fork, number) = self.begin_alternatives();
        let mut to_end = Vec::new();
        for all in alternatives {
            let label = self.label();
            self.aim(fork, label);
            let events: Vec<Waited<'_>> = all.iter().map(|spec| Waited::Spec(spec)).collect();
            self.match_all(&events);
            to_end.push(self.goto(UNKNOWN));
        }
        self.end_alternatives(catch, number, alternatives.len(), &to_end);
    }

    /// Waits for all of the events, in any order.
    pub(super) fn match_all(&mut self, events: &[Waited<'_>]) {
        if let [only] = events {
            self.wait_for(only);
            return;
        }
        let (catch, fork, number) = self.begin_alternatives();
        let mut to_end = Vec::new();
        for event in events {
            let label = self.label();
            self.aim(fork, label);
            self.wait_for(event);
            to_end.push(self.goto(UNKNOWN));
        }
        let failure = self.label();
        self.aim(catch, failure);
        self.push(Op::Merge(number));
        self.push(Op::Catch(None));
        self.push(Op::Abort);
        let end = self.label();
        self.aim_all(&to_end, end);
        self.push(Op::WaitForHeads(events.len()));
        self.push(Op::Merge(number));
        self.push(Op::Catch(None));
    }

    fn wait_for(&mut self, event: &Waited<'_>) {
        match event {
            Waited::Spec(spec) => self.match_one(spec, None),
            Waited::End(variable) => self.wait_for_end(variable, None),
        }
    }

    pub(super) fn await_any(&mut self, alternatives: &[Vec<&Spec>]) {
        if let [all] = alternatives {
            self.await_all(all);
            return;
        }
        let scope = self.number();
        self.push(Op::BeginScope(scope));
        let (catch, fork, number) = self.begin_alternatives();
        let mut to_end = Vec::new();
        for all in alternatives {
            let label = self.label();
            self.aim(fork, label);
            self.await_all(all);
            to_end.push(self.goto(UNKNOWN));
        }
        let failure = self.label();
        self.aim(catch, failure);
        self.push(Op::WaitForHeads(alternatives.len()));
        self.push(Op::Catch(None));
        self.push(Op::EndScope(scope));
        self.push(Op::Abort);
        let end = self.label();
        self.aim_all(&to_end, end);
        self.push(Op::Merge(number));
        self.push(Op::Catch(None));
        self.push(Op::EndScope(scope));
    }

    fn await_all(&mut self, all: &[&Spec]) {
        let mut started = Vec::new();
        for spec in all {
            let variable = self.hidden_variable("ref");
            started.extend(self.start_one(spec, Some(&variable)));
        }
        let ends: Vec<Waited<'_>> = started.iter().map(Waited::End).collect();
        self.match_all(&ends);
        for (spec, variable) in all.iter().zip(&started) {
            if let Some(reference) = &spec.reference {
                self.assign(reference, Expression::variable(variable));
            }
        }
    }
}

/// What a head waits for.
pub(super) enum Waited<'a> {
    /// An event as written.
    Spec(&'a Spec),
    /// The end of what a variable holds.
    End(&'a Arc<str>),
}
