//! `when`, `or when`, `else`.

use std::sync::Arc;

use super::{
    Lowering, UNKNOWN,
    groups::{Waited, alternatives},
    operations::group_span,
};
use crate::colang::v2::{
    ast::{Group, Spec, Statement, Subject},
    element::Op,
    expression::Expression,
};

impl Lowering<'_> {
    /// All cases wait at once, in a scope: the first that is met stops what the others have started.
    ///
    /// The reference lays a case's body out once for each way to meet the case, and the `else` once for each case; only the
    /// last of them is ever reached. They are left out here, and counted, since an element's place orders flows.
    pub(super) fn when(
        &mut self,
        cases: &[(Group, Vec<Statement>)],
        otherwise: Option<&[Statement]>,
    ) {
        let scope = self.number();
        self.push(Op::BeginScope(scope));
        let fork = self.number();
        let cases_fork = self.push(Op::Fork {
            fork,
            targets: Vec::new(),
        });
        let (mut to_else, mut to_end) = (Vec::new(), Vec::new());
        let mut begins = Vec::new();
        for (group, body) in cases {
            let ways = match alternatives(group) {
                Ok(ways) => ways,
                Err(too_many) => {
                    self.fault(group_span(group), too_many);
                    continue;
                }
            };
            let begin = self.label();
            begins.push(begin);
            self.aim(cases_fork, begin);
            let catch = self.push(Op::Catch(Some(UNKNOWN)));
            let number = self.number();
            let groups_fork = self.push(Op::Fork {
                fork: number,
                targets: Vec::new(),
            });
            let (mut to_case, mut parts) = (Vec::new(), Vec::new());
            for all in &ways {
                let label = self.label();
                parts.push(label);
                self.aim(groups_fork, label);
                self.wait_for_case(all);
                to_case.push(self.goto(UNKNOWN));
            }
            let case = self.label();
            parts.push(case);
            self.aim_all(&to_case, case);
            self.push(Op::Merge(fork));
            self.push(Op::Catch(None));
            self.push(Op::EndScope(scope));
            self.statements(body);
            to_end.push(self.goto(UNKNOWN));
            let failure = self.label();
            self.aim(catch, failure);
            self.push(Op::WaitForHeads(ways.len()));
            self.push(Op::Catch(None));
            to_else.push(self.goto(UNKNOWN));
            self.count_copies(&parts);
        }
        let other = self.label();
        begins.push(other);
        self.aim_all(&to_else, other);
        self.push(Op::WaitForHeads(cases.len()));
        // The reference has neither, so that a loop around a `when` with `else` fails at its second round.
        self.push_uncounted(Op::Join(fork));
        self.push_uncounted(Op::EndScope(scope));
        match otherwise {
            None => {
                self.push(Op::Abort);
            }
            Some(body) => {
                let goto = self.goto(UNKNOWN);
                let statement = self.label();
                self.aim(goto, statement);
                self.statements(body);
            }
        }
        let end = self.label();
        self.aim_all(&to_end, end);
        self.count_copies(&begins);
    }

    /// Starts what a case starts, and waits for all of it.
    fn wait_for_case(&mut self, all: &[&Spec]) {
        let mut started: Vec<Option<Arc<str>>> = Vec::new();
        for spec in all {
            let is_started = !matches!(spec.subject, Subject::Event(_) | Subject::Variable(_));
            started.push(match is_started && spec.members.is_empty() {
                true => {
                    let variable = self.hidden_variable("ref");
                    self.start_one(spec, Some(&variable))
                }
                false => None,
            });
        }
        let waited = all
            .iter()
            .zip(&started)
            .map(|(spec, started)| match started {
                Some(variable) => Waited::End(variable),
                None => Waited::Spec(spec),
            });
        self.match_all(&waited.collect::<Vec<_>>());
        for (spec, started) in all.iter().zip(&started) {
            if let (Some(reference), Some(variable)) = (&spec.reference, started) {
                self.assign(reference, Expression::variable(variable));
            }
        }
    }

    /// Counts copies of the last part (it ends here) behind each part but the last: `parts` are where the parts begin.
    fn count_copies(&mut self, parts: &[usize]) {
        let Some(last) = parts.last() else {
            return;
        };
        let position = |at: usize| self.elements.get(at).map_or(0, |element| element.position);
        let length = self.position() - position(*last);
        let before = parts.len() - 1;
        if before == 0 {
            return;
        }
        // The last part itself stands for one of the copies.
        for (index, begin) in parts.iter().enumerate() {
            let end = parts.get(index + 1).copied().unwrap_or(self.elements.len());
            let shift = index.min(before - 1) * length;
            for element in self.elements.get_mut(*begin..end).into_iter().flatten() {
                element.position += shift;
            }
        }
        let shift = isize::try_from((before - 1) * length).unwrap_or(0);
        self.skipped = self.skipped.saturating_add(shift);
    }
}
