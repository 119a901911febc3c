//! From parsed patterns to the automaton.

use std::{collections::HashMap, ptr, sync::Arc};

use regex_syntax::hir::ClassUnicode;

use super::{
    super::syntax::ast::{Look, Node, RepeatMode},
    alphabet::{Alphabet, Sides},
};

/// The pattern needs more states than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pattern) struct TooLarge;

/// What a state does.
#[derive(Debug, Clone)]
pub(in crate::pattern) enum Step {
    /// Takes a character of the set, then goes on.
    Set { set: u32, next: u32 },
    /// Goes on without a character, in this order of preference.
    Split(Box<[u32]>),
    /// Goes on if the look holds.
    Look { look: Look, next: u32 },
    /// The pattern matches.
    Match(u32),
}

/// The automaton of one or more patterns.
#[derive(Debug)]
pub(in crate::pattern) struct Nfa {
    pub(in crate::pattern) steps: Vec<Step>,
    pub(in crate::pattern) alphabet: Alphabet,
    /// Where all patterns begin.
    pub(in crate::pattern) start: u32,
    /// For each pattern, its number and the first state that is no longer its own.
    owners: Vec<(u32, u32)>,
}

impl Nfa {
    /// Compiles patterns, each with the number that its match reports.
    pub(in crate::pattern) fn new(
        patterns: &[(u32, &Node)],
        most_states: usize,
    ) -> Result<Self, TooLarge> {
        let mut compiler = Compiler::new(most_states);
        let mut sides = Sides::default();
        let mut starts = Vec::with_capacity(patterns.len());
        let mut owners = Vec::with_capacity(patterns.len());
        for (number, node) in patterns {
            sides.add(node);
            let end = compiler.add(Step::Match(*number))?;
            starts.push(compiler.node(node, end)?);
            owners.push((*number, compiler.len()));
        }
        let start = compiler.add(Step::Split(starts.into()))?;
        let sets: Vec<&ClassUnicode> = compiler.sets.iter().map(|set| &**set).collect();
        let alphabet = Alphabet::new(&sets, sides).ok_or(TooLarge)?;
        Ok(Self {
            steps: compiler.steps,
            alphabet,
            start,
            owners,
        })
    }

    /// The automaton of no pattern.
    pub(in crate::pattern) fn empty() -> Self {
        Self {
            steps: vec![Step::Split(Box::new([]))],
            alphabet: Alphabet::empty(),
            start: 0,
            owners: Vec::new(),
        }
    }

    /// The number of the pattern that a state belongs to.
    pub(in crate::pattern) fn owner(&self, state: u32) -> Option<u32> {
        let place = self.owners.partition_point(|(_, end)| *end <= state);
        self.owners.get(place).map(|(number, _)| *number)
    }

    /// How many states one pattern needs.
    pub(in crate::pattern) fn count(node: &Node, most_states: usize) -> Result<usize, TooLarge> {
        let mut compiler = Compiler::new(most_states);
        let end = compiler.add(Step::Match(0))?;
        compiler.node(node, end)?;
        Ok(compiler.steps.len())
    }

    /// Bytes on the heap, about.
    pub(in crate::pattern) fn memory(&self) -> usize {
        self.steps.len() * size_of::<Step>() * 2 + self.alphabet.memory()
    }
}

struct Compiler {
    steps: Vec<Step>,
    sets: Vec<Arc<ClassUnicode>>,
    /// The numbers of sets, by what they hold.
    numbers: HashMap<Vec<(char, char)>, u32>,
    /// The numbers of sets, by where they lie: sets that patterns share are looked at once.
    places: HashMap<usize, u32>,
    most_states: usize,
}

impl Compiler {
    fn new(most_states: usize) -> Self {
        Self {
            steps: Vec::new(),
            sets: Vec::new(),
            numbers: HashMap::new(),
            places: HashMap::new(),
            most_states: most_states.min(u32::MAX as usize / 4),
        }
    }

    fn len(&self) -> u32 {
        // `add` keeps the length within.
        u32::try_from(self.steps.len()).unwrap_or(u32::MAX)
    }

    fn add(&mut self, step: Step) -> Result<u32, TooLarge> {
        if self.steps.len() >= self.most_states {
            return Err(TooLarge);
        }
        let place = u32::try_from(self.steps.len()).map_err(|_| TooLarge)?;
        self.steps.push(step);
        Ok(place)
    }

    fn set(&mut self, set: &Arc<ClassUnicode>) -> u32 {
        let place = ptr::from_ref::<ClassUnicode>(set).addr();
        if let Some(number) = self.places.get(&place) {
            return *number;
        }
        let ranges = set
            .ranges()
            .iter()
            .map(|range| (range.start(), range.end()))
            .collect();
        let next = u32::try_from(self.sets.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(ranges).or_insert_with(|| {
            self.sets.push(Arc::clone(set));
            next
        });
        self.places.insert(place, number);
        number
    }

    /// Compiles a node that goes on at `next`, and gives its start.
    fn node(&mut self, node: &Node, next: u32) -> Result<u32, TooLarge> {
        match node {
            Node::Empty => Ok(next),
            Node::Set(set) => {
                let set = self.set(set);
                self.add(Step::Set { set, next })
            }
            Node::Look(look) => self.add(Step::Look { look: *look, next }),
            Node::Capture(node) => self.node(node, next),
            Node::Concat(nodes) => nodes
                .iter()
                .rev()
                .try_fold(next, |next, node| self.node(node, next)),
            Node::Alternate(nodes) => {
                let starts: Result<Vec<u32>, TooLarge> =
                    nodes.iter().map(|node| self.node(node, next)).collect();
                self.add(Step::Split(starts?.into()))
            }
            Node::Repeat {
                node,
                min,
                max,
                mode,
            } => self.repeat(node, *min, *max, *mode == RepeatMode::Lazy, next),
            // Never asked for: such patterns are searched by backtracking.
            Node::Atomic(_)
            | Node::Around { .. }
            | Node::Backreference { .. }
            | Node::Conditional { .. } => Err(TooLarge),
        }
    }

    fn repeat(
        &mut self,
        node: &Node,
        min: u32,
        max: Option<u32>,
        lazy: bool,
        next: u32,
    ) -> Result<u32, TooLarge> {
        let either = |body: u32| -> Box<[u32]> {
            if lazy {
                Box::new([next, body])
            } else {
                Box::new([body, next])
            }
        };
        let (mut start, copies) = match max {
            None => {
                let again = self.add(Step::Split(Box::new([])))?;
                let body = self.node(node, again)?;
                if let Some(step) = self.steps.get_mut(again as usize) {
                    *step = Step::Split(either(body));
                }
                if min == 0 {
                    (again, 0)
                } else {
                    (body, min - 1)
                }
            }
            Some(max) => {
                let mut start = next;
                for _ in min..max {
                    let body = self.node(node, start)?;
                    start = self.add(Step::Split(either(body)))?;
                }
                (start, min)
            }
        };
        for _ in 0..copies {
            let before = start;
            start = self.node(node, start)?;
            if start == before {
                // A node without states: more copies change nothing.
                break;
            }
        }
        Ok(start)
    }
}
