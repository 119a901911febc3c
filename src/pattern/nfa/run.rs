//! The states that a thread reaches without a character.

use super::super::syntax::ast::Look;
use super::compile::{Nfa, Step};

/// A set of small numbers that is emptied in constant time.
#[derive(Debug, Clone, Default)]
pub(in crate::pattern) struct Marks {
    marks: Vec<u32>,
    round: u32,
}

impl Marks {
    pub(in crate::pattern) fn new(len: usize) -> Self {
        Self {
            marks: vec![0; len],
            round: 0,
        }
    }

    /// Empties the set.
    #[inline]
    pub(in crate::pattern) fn clear(&mut self) {
        self.round = self.round.wrapping_add(1);
        if self.round == 0 {
            self.marks.fill(0);
            self.round = 1;
        }
    }

    /// Adds a number; whether it is new.
    #[inline]
    pub(in crate::pattern) fn add(&mut self, number: usize) -> bool {
        match self.marks.get_mut(number) {
            Some(mark) if *mark != self.round => {
                *mark = self.round;
                true
            }
            _ => false,
        }
    }
}

impl Nfa {
    /// Visits what `state` reaches without a character, in order of preference: each state that
    /// takes a character or matches, once. `holds` decides the looks.
    pub(in crate::pattern) fn visit<B>(
        &self,
        state: u32,
        seen: &mut Marks,
        stack: &mut Vec<u32>,
        holds: impl Fn(Look) -> bool,
        mut found: impl FnMut(&Step) -> Option<B>,
    ) -> Option<B> {
        stack.clear();
        stack.push(state);
        while let Some(state) = stack.pop() {
            if !seen.add(state as usize) {
                continue;
            }
            match self.steps.get(state as usize) {
                Some(Step::Split(branches)) => stack.extend(branches.iter().rev()),
                Some(Step::Look { look, .. }) if !holds(*look) => {}
                Some(Step::Look { next, .. }) => stack.push(*next),
                Some(step) => {
                    if let Some(result) = found(step) {
                        return Some(result);
                    }
                }
                None => {}
            }
        }
        None
    }
}
