//! From parsed patterns to the automaton.

use std::{collections::HashMap, ptr, sync::Arc};

use regex_syntax::hir::ClassUnicode;

use super::{
    super::syntax::ast::{Look, Node, RepeatMode, Width},
    alphabet::{Alphabet, Sides},
};

/// The widths of a pattern's groups, in the order in which they open.
fn group_widths(node: &Node) -> Vec<Option<Width>> {
    let mut groups: Vec<Option<Width>> = Vec::new();
    node.any(&mut |node| {
        if let Node::Capture(node) = node {
            let width = node.width(&groups);
            groups.push(Some(width));
        }
        false
    });
    groups
}

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
    /// The pattern matches, or the part of it that another step runs.
    Match(u32),
    /// Goes on if the part from `start` on matches, or does not: behind it where `width` is how many characters it takes. Only
    /// where a pattern is searched by backtracking, as all that follow.
    Around {
        start: u32,
        negate: bool,
        width: Option<u64>,
        next: u32,
    },
    /// Goes on where the first match of the part from `start` on ends.
    Atomic { start: u32, next: u32 },
    /// Notes the place: where a group begins (an even number), or ends.
    Note { slot: u32, next: u32 },
    /// Takes what the group matched last.
    Backreference {
        group: u32,
        ignore_case: bool,
        next: u32,
    },
    /// Begins a repetition: it has not been anywhere.
    Enter { slot: u32, next: u32 },
    /// Tries the repetition's part again, or goes on; only goes on where the part matched nothing since the last time.
    Again {
        slot: u32,
        body: u32,
        next: u32,
        lazy: bool,
    },
    /// Goes on by whether the group has matched.
    Choose { group: u32, yes: u32, no: u32 },
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
        Self::compiled(Compiler::new(most_states), patterns)
    }

    /// Compiles a pattern that is searched by backtracking.
    pub(in crate::pattern) fn for_backtracking(
        node: &Node,
        most_states: usize,
    ) -> Result<Self, TooLarge> {
        let mut compiler = Compiler::new(most_states);
        compiler.backtracks = true;
        compiler.groups = group_widths(node);
        compiler.notes_groups = node.refers_back();
        compiler.loops = u32::try_from(2 * compiler.groups.len()).unwrap_or(u32::MAX / 2);
        Self::compiled(compiler, &[(0, node)])
    }

    fn compiled(mut compiler: Compiler, patterns: &[(u32, &Node)]) -> Result<Self, TooLarge> {
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
    /// Whether steps may be added that only backtracking runs.
    backtracks: bool,
    /// Whether a step asks what groups matched.
    notes_groups: bool,
    /// The next slot that is free behind those of the groups.
    loops: u32,
    /// The widths of the groups.
    groups: Vec<Option<Width>>,
    /// How many groups open before the node that is compiled.
    opened: u32,
}

impl Compiler {
    fn new(most_states: usize) -> Self {
        Self {
            steps: Vec::new(),
            sets: Vec::new(),
            numbers: HashMap::new(),
            places: HashMap::new(),
            most_states: most_states.min(u32::MAX as usize / 4),
            backtracks: false,
            notes_groups: false,
            loops: 0,
            groups: Vec::new(),
            opened: 0,
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
            Node::Capture(node) if self.notes_groups => self.group(node, next),
            Node::Capture(node) => self.node(node, next),
            Node::Concat(nodes) => {
                let mut opened: Vec<u32> = Vec::with_capacity(nodes.len());
                let mut before = self.opened;
                for node in nodes {
                    opened.push(before);
                    before += self.groups_in(node);
                }
                let mut next = next;
                for (node, before) in nodes.iter().zip(opened).rev() {
                    next = self.after(before, node, next)?;
                }
                Ok(next)
            }
            Node::Alternate(nodes) => {
                let mut starts = Vec::with_capacity(nodes.len());
                let mut before = self.opened;
                for node in nodes {
                    starts.push(self.after(before, node, next)?);
                    before += self.groups_in(node);
                }
                self.add(Step::Split(starts.into()))
            }
            Node::Repeat {
                node,
                min,
                max,
                mode,
            } => {
                if *mode != RepeatMode::Possessive {
                    return self.repeat(node, *min, *max, *mode == RepeatMode::Lazy, next);
                }
                let (node, min, max) = (&**node, *min, *max);
                self.atomic(next, |compiler, end| {
                    compiler.repeat(node, min, max, false, end)
                })
            }
            Node::Atomic(node) => self.atomic(next, |compiler, end| compiler.node(node, end)),
            // Never asked for: such patterns are searched by backtracking.
            _ if !self.backtracks => Err(TooLarge),
            Node::Around {
                ahead,
                negate,
                node,
            } => {
                let end = self.add(Step::Match(0))?;
                let start = self.node(node, end)?;
                let width = node.width(&self.groups);
                self.add(Step::Around {
                    start,
                    negate: *negate,
                    width: (!ahead).then_some(width.min),
                    next,
                })
            }
            Node::Backreference { group, ignore_case } => self.add(Step::Backreference {
                group: *group,
                ignore_case: *ignore_case,
                next,
            }),
            Node::Conditional { group, yes, no } => {
                let before = self.opened;
                let no = match no {
                    Some(no) => self.after(before + self.groups_in(yes), no, next)?,
                    None => next,
                };
                let yes = self.after(before, yes, next)?;
                self.add(Step::Choose {
                    group: *group,
                    yes,
                    no,
                })
            }
        }
    }

    /// Compiles a node before which `opened` groups open.
    fn after(&mut self, opened: u32, node: &Node, next: u32) -> Result<u32, TooLarge> {
        let before = std::mem::replace(&mut self.opened, opened);
        let start = self.node(node, next);
        self.opened = before;
        start
    }

    /// How many groups a node has, where that counts.
    fn groups_in(&self, node: &Node) -> u32 {
        if !self.notes_groups {
            return 0;
        }
        let mut count = 0;
        node.any(&mut |node| {
            count += u32::from(matches!(node, Node::Capture(_)));
            false
        });
        count
    }

    fn group(&mut self, node: &Node, next: u32) -> Result<u32, TooLarge> {
        let group = self.opened;
        let end = self.add(Step::Note {
            slot: 2 * group + 1,
            next,
        })?;
        let next = self.after(group + 1, node, end)?;
        self.add(Step::Note {
            slot: 2 * group,
            next,
        })
    }

    fn atomic(
        &mut self,
        next: u32,
        part: impl FnOnce(&mut Self, u32) -> Result<u32, TooLarge>,
    ) -> Result<u32, TooLarge> {
        if !self.backtracks {
            return Err(TooLarge);
        }
        let end = self.add(Step::Match(0))?;
        let start = part(self, end)?;
        self.add(Step::Atomic { start, next })
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
            None if self.notes_groups => {
                let slot = self.loops;
                self.loops += 1;
                // Written when its part is known, as below.
                let again = self.add(Step::Match(0))?;
                let body = self.node(node, again)?;
                if let Some(step) = self.steps.get_mut(again as usize) {
                    *step = Step::Again {
                        slot,
                        body,
                        next,
                        lazy,
                    };
                }
                let (first, copies) = if min == 0 {
                    (again, 0)
                } else {
                    (body, min - 1)
                };
                let start = self.add(Step::Enter { slot, next: first })?;
                (start, copies)
            }
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
