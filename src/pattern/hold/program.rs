//! What all holds of one list of patterns share.

use std::sync::{
    Arc, OnceLock, PoisonError, RwLock,
    atomic::{AtomicU32, Ordering},
};

use super::{
    super::{
        nfa::{CharClass, Liveness, Nfa, Side},
        search::Patterns,
        syntax::ast::Node,
    },
    state::Hold,
    steps::{PLACES, Steps},
    threads::Begun,
};

/// How large held patterns may be, and how much may be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct HoldLimits {
    /// States of one pattern's automaton; 2,000 by default.
    pub pattern_states: usize,
    /// States of all patterns together; 10,000 by default.
    pub states: usize,
    /// Bytes held for a pattern whose matches have no greatest length; 4 KiB by default.
    pub max_hold: u64,
}

impl Default for HoldLimits {
    fn default() -> Self {
        Self {
            pattern_states: 2_000,
            states: 10_000,
            max_hold: 4 << 10,
        }
    }
}

impl HoldLimits {
    /// Sets how many bytes may be held for a pattern whose matches have no greatest length.
    #[must_use]
    pub fn with_max_hold(mut self, bytes: u64) -> Self {
        self.max_hold = bytes;
        self
    }
}

/// How a stream can be judged by one pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Holding {
    /// Held back exactly: by a [`Hold`].
    Exact,
    /// Has look-around or back-references: only the whole text can be judged.
    ToEnd,
    /// Can match no characters at all, so that it matches almost any text: not held.
    Empty,
    /// Needs more states than the limits allow: not held.
    TooLarge,
}

/// Patterns compiled for streams. Built once; each stream [starts](Self::start) its own [`Hold`].
#[derive(Debug)]
pub struct HoldProgram {
    pub(super) nfa: Nfa,
    pub(super) liveness: Liveness,
    holdings: Vec<Holding>,
    /// For each state, whether its pattern's matches have no greatest length; empty if none has.
    unbounded: Vec<bool>,
    pub(super) max_hold: u64,
    /// For each class and left side, the threads that begin there; filled when first asked for.
    begun: Vec<OnceLock<Begun>>,
    /// For each ASCII character, whether no match begins with it, whatever is on the left; filled when first asked for.
    idle: OnceLock<[bool; 256]>,
    /// What streams remember of their steps, once there is a stream.
    steps: RwLock<Option<Arc<Steps>>>,
    generation: AtomicU32,
    /// How many places they remember at most.
    places: usize,
}

impl Patterns {
    /// Compiles the patterns for streams. See [`HoldProgram::holding`] for those that cannot be.
    #[must_use]
    pub fn hold_program(&self, limits: HoldLimits) -> HoldProgram {
        HoldProgram::new(self, limits)
    }
}

impl HoldProgram {
    fn new(patterns: &Patterns, limits: HoldLimits) -> Self {
        let mut holdings = Vec::with_capacity(patterns.len());
        let mut held: Vec<(u32, &Node)> = Vec::new();
        let mut unbounded_patterns = Vec::new();
        let mut states = 0;
        for (number, pattern) in (0_u32..).zip(patterns.patterns()) {
            let node: &Node = &pattern.node;
            let width = node.width(&[]);
            let holding = if node.needs_backtracking() {
                Holding::ToEnd
            } else if width.min == 0 {
                Holding::Empty
            } else {
                match Nfa::count(node, limits.pattern_states) {
                    Ok(count) if states + count < limits.states => {
                        states += count;
                        held.push((number, node));
                        if width.max.is_none() {
                            unbounded_patterns.push(number);
                        }
                        Holding::Exact
                    }
                    _ => Holding::TooLarge,
                }
            };
            holdings.push(holding);
        }
        let nfa = Nfa::new(&held, limits.states.saturating_add(1)).unwrap_or_else(|_| {
            // More classes of characters than can be counted.
            for holding in &mut holdings {
                if *holding == Holding::Exact {
                    *holding = Holding::TooLarge;
                }
            }
            Nfa::empty()
        });
        let unbounded = if unbounded_patterns.is_empty() {
            Vec::new()
        } else {
            (0_u32..)
                .zip(&nfa.steps)
                .map(|(state, _)| {
                    nfa.owner(state)
                        .is_some_and(|owner| unbounded_patterns.contains(&owner))
                })
                .collect()
        };
        Self {
            liveness: Liveness::new(&nfa),
            begun: (0..nfa.alphabet.len() * Side::COUNT)
                .map(|_| OnceLock::new())
                .collect(),
            nfa,
            holdings,
            unbounded,
            max_hold: limits.max_hold,
            idle: OnceLock::new(),
            steps: RwLock::default(),
            generation: AtomicU32::new(0),
            places: PLACES,
        }
    }

    /// The same with room for fewer places.
    #[cfg(test)]
    pub(super) fn remembering(mut self, places: usize) -> Self {
        self.places = places;
        self
    }

    /// What streams remember of their steps.
    pub(super) fn steps(&self) -> Arc<Steps> {
        let steps = self.steps.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(steps) = &*steps {
            return Arc::clone(steps);
        }
        drop(steps);
        let mut steps = self.steps.write().unwrap_or_else(PoisonError::into_inner);
        let made = || Arc::new(Steps::new(self, self.generation(), self.places));
        Arc::clone(steps.get_or_insert_with(made))
    }

    /// How often streams have begun to remember anew.
    pub(super) fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    /// Has streams begin to remember anew, unless they do so already since `full`.
    pub(super) fn forget(&self, full: &Steps) {
        let mut steps = self.steps.write().unwrap_or_else(PoisonError::into_inner);
        if full.generation == self.generation() {
            *steps = None;
            self.generation
                .store(full.generation.wrapping_add(1), Ordering::Release);
        }
    }

    /// Whether no match begins with the byte, whatever is on the left. Of characters that are not ASCII, nothing is said.
    pub(super) fn idle(&self) -> &[bool; 256] {
        self.idle.get_or_init(|| {
            std::array::from_fn(|byte| {
                let ascii = u8::try_from(byte).ok().filter(u8::is_ascii);
                ascii.is_some_and(|byte| {
                    let class = self.nfa.alphabet.ascii_class(byte);
                    let begins = |left: Side| {
                        self.begun(left, class)
                            .is_none_or(|begun| !begun.is_nothing())
                    };
                    !Side::ALL.into_iter().any(begins)
                })
            })
        })
    }

    /// How each pattern is judged, in the order of the list.
    #[must_use]
    pub fn holdings(&self) -> &[Holding] {
        &self.holdings
    }

    /// How the pattern is judged.
    #[must_use]
    pub fn holding(&self, pattern: usize) -> Option<Holding> {
        self.holdings.get(pattern).copied()
    }

    /// The patterns that only the whole text can be judged by.
    pub fn to_end(&self) -> impl Iterator<Item = usize> + '_ {
        self.holdings
            .iter()
            .enumerate()
            .filter(|(_, holding)| **holding == Holding::ToEnd)
            .map(|(index, _)| index)
    }

    /// Begins a stream.
    #[must_use]
    pub fn start(self: &Arc<Self>) -> Hold {
        Hold::new(Arc::clone(self))
    }

    /// The threads that begin with a character of the class, after what is on the left.
    #[inline]
    pub(super) fn begun(&self, left: Side, class: CharClass) -> Option<&Begun> {
        let place = usize::from(class) * Side::COUNT + left.index();
        let begun = self.begun.get(place)?;
        Some(begun.get_or_init(|| Begun::new(self, left, class)))
    }

    /// Whether some pattern's matches have no greatest length.
    pub(super) fn has_unbounded(&self) -> bool {
        !self.unbounded.is_empty()
    }

    /// Whether the matches of the state's pattern have no greatest length.
    pub(super) fn is_unbounded(&self, state: u32) -> bool {
        self.unbounded.get(state as usize).copied().unwrap_or(false)
    }

    /// Bytes on the heap, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.nfa.memory() + self.liveness.memory() + self.unbounded.len() + self.holdings.len()
    }
}
