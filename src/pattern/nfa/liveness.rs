//! Which states can still reach a match, and which have reached one.

use super::{
    super::syntax::ast::Look,
    compile::{Nfa, Step},
    context::Side,
};

const NO_MATCH: u32 = u32::MAX;

/// What may stand on the left of a thread.
const LEFTS: [Side; 5] = [
    Side::Start,
    Side::Other,
    Side::AsciiWord,
    Side::UnicodeWord,
    Side::LineFeed,
];

/// What may stand on the right of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Right {
    Side(Side),
    /// A line feed that `$` has taken for the last character.
    LastLineFeed,
}

const RIGHTS: [Right; 6] = [
    Right::Side(Side::Other),
    Right::Side(Side::AsciiWord),
    Right::Side(Side::UnicodeWord),
    Right::Side(Side::LineFeed),
    Right::Side(Side::End),
    Right::LastLineFeed,
];

fn holds(look: Look, left: Side, right: Right) -> bool {
    match right {
        Right::Side(right) => look.holds(left, right),
        Right::LastLineFeed => look == Look::EndText || look.holds(left, Side::LineFeed),
    }
}

/// Computed once an automaton: what becomes of a thread, by its state and what stands on its left.
#[derive(Debug)]
pub(in crate::pattern) struct Liveness {
    /// Masks of the left sides with which a state can still reach a match.
    live: Vec<u8>,
    /// Whether a state reaches a match if the text ends here, after a line feed.
    ends: Vec<bool>,
    /// For each left side and state: the first pattern that has matched whatever comes next.
    matched: Vec<u32>,
    states: usize,
}

impl Liveness {
    pub(in crate::pattern) fn new(nfa: &Nfa) -> Self {
        let before = predecessors(nfa);
        let mut search = Search {
            nfa,
            before: &before,
            reached: vec![0; nfa.steps.len() * LEFTS.len()],
            pending: Vec::new(),
            live: vec![0; nfa.steps.len()],
        };
        search.run();
        let ends = LEFTS
            .iter()
            .position(|left| *left == Side::LineFeed)
            .zip(
                RIGHTS
                    .iter()
                    .position(|right| *right == Right::Side(Side::End)),
            )
            .map(|(left, right)| {
                (0..nfa.steps.len())
                    .map(|state| search.is_reached(state, left, right))
                    .collect()
            })
            .unwrap_or_default();
        Self {
            live: search.live,
            ends,
            matched: matched(nfa, &before),
            states: nfa.steps.len(),
        }
    }

    /// Whether some continuation makes a match of a thread in `state`.
    #[inline]
    pub(in crate::pattern) fn is_live(&self, state: u32, left: Side) -> bool {
        self.live
            .get(state as usize)
            .is_some_and(|mask| mask & left.bit() != 0)
    }

    /// Whether a thread in `state` matches if the text ends here, after a line feed.
    pub(in crate::pattern) fn matches_at_end(&self, state: u32) -> bool {
        self.ends.get(state as usize).copied().unwrap_or(false)
    }

    /// The first pattern that a thread in `state` has matched, whatever comes next.
    #[inline]
    pub(in crate::pattern) fn matched(&self, state: u32, left: Side) -> Option<u32> {
        self.matched
            .get(left.index() * self.states + state as usize)
            .copied()
            .filter(|pattern| *pattern != NO_MATCH)
    }

    /// Bytes on the heap, about.
    pub(in crate::pattern) fn memory(&self) -> usize {
        self.live.len() * 2 + self.matched.len() * 4
    }
}

/// Backwards from all matches, over the states with all that may stand on both sides.
struct Search<'a> {
    nfa: &'a Nfa,
    before: &'a [Vec<u32>],
    /// For each state and left side, a mask of the right sides with which it reaches a match.
    reached: Vec<u8>,
    /// State, left side, right side.
    pending: Vec<(u32, usize, usize)>,
    live: Vec<u8>,
}

impl Search<'_> {
    fn run(&mut self) {
        let possible = self.nfa.alphabet.all_sides() | Side::Start.bit();
        let rights: Vec<usize> = (0..RIGHTS.len())
            .filter(|right| match RIGHTS.get(*right) {
                Some(Right::Side(Side::End)) => true,
                Some(Right::Side(side)) => possible & side.bit() != 0,
                Some(Right::LastLineFeed) => possible & Side::LineFeed.bit() != 0,
                None => false,
            })
            .collect();
        let lefts: Vec<usize> = LEFTS
            .iter()
            .enumerate()
            .filter(|(_, side)| possible & side.bit() != 0)
            .map(|(left, _)| left)
            .collect();
        for (state, step) in (0_u32..).zip(&self.nfa.steps) {
            if matches!(step, Step::Match(_)) {
                for &left in &lefts {
                    for &right in &rights {
                        self.reach(state, left, right);
                    }
                }
            }
        }
        let masks: Vec<u8> = self
            .nfa
            .steps
            .iter()
            .map(|step| match step {
                Step::Set { set, .. } => self.nfa.alphabet.sides_of(*set),
                _ => 0,
            })
            .collect();
        while let Some((state, left, right)) = self.pending.pop() {
            self.spread(state, left, right, &lefts, &masks);
        }
    }

    fn is_reached(&self, state: usize, left: usize, right: usize) -> bool {
        self.reached
            .get(state * LEFTS.len() + left)
            .is_some_and(|mask| mask & (1 << right) != 0)
    }

    fn reach(&mut self, state: u32, left: usize, right: usize) {
        if let Some(mask) = self.reached.get_mut(state as usize * LEFTS.len() + left)
            && *mask & (1 << right) == 0
        {
            *mask |= 1 << right;
            self.pending.push((state, left, right));
        }
    }

    /// Carries on from a state to those before it.
    fn spread(&mut self, state: u32, left: usize, right: usize, lefts: &[usize], masks: &[u8]) {
        let (Some(&left_side), Some(&right_side)) = (LEFTS.get(left), RIGHTS.get(right)) else {
            return;
        };
        let first = match self.live.get_mut(state as usize) {
            Some(live) if right_side != Right::LastLineFeed => {
                let first = *live & left_side.bit() == 0;
                *live |= left_side.bit();
                first
            }
            _ => false,
        };
        let is_end = left_side == Side::LineFeed && right_side == Right::Side(Side::End);
        let before: &[Vec<u32>] = self.before;
        for &earlier in before.get(state as usize).into_iter().flatten() {
            match self.nfa.steps.get(earlier as usize) {
                Some(Step::Split(_)) => self.reach(earlier, left, right),
                Some(Step::Look { look, .. }) => {
                    if holds(*look, left_side, right_side) {
                        self.reach(earlier, left, right);
                    }
                    if *look == Look::EndText && right_side == Right::LastLineFeed {
                        let line_feed = RIGHTS
                            .iter()
                            .position(|right| *right == Right::Side(Side::LineFeed));
                        if let Some(line_feed) = line_feed {
                            self.reach(earlier, left, line_feed);
                        }
                    }
                }
                Some(Step::Set { .. }) => {
                    let mask = masks.get(earlier as usize).copied().unwrap_or(0);
                    if mask & left_side.bit() == 0 {
                        continue;
                    }
                    for (taken, taken_side) in RIGHTS.iter().enumerate() {
                        let fits = match taken_side {
                            Right::Side(side) => first && *side == left_side,
                            Right::LastLineFeed => is_end,
                        };
                        if fits {
                            for &left in lefts {
                                self.reach(earlier, left, taken);
                            }
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

/// For each state, those that go on to it.
fn predecessors(nfa: &Nfa) -> Vec<Vec<u32>> {
    let mut before: Vec<Vec<u32>> = vec![Vec::new(); nfa.steps.len()];
    let mut add = |from: u32, to: u32| {
        if let Some(list) = before.get_mut(to as usize) {
            list.push(from);
        }
    };
    for (state, step) in (0_u32..).zip(&nfa.steps) {
        match step {
            Step::Set { next, .. } | Step::Look { next, .. } => add(state, *next),
            Step::Split(branches) => branches.iter().for_each(|next| add(state, *next)),
            _ => {}
        }
    }
    before
}

/// For each left side and state, the first pattern whose match needs nothing more.
fn matched(nfa: &Nfa, before: &[Vec<u32>]) -> Vec<u32> {
    let states = nfa.steps.len();
    let mut matched = vec![NO_MATCH; states * Side::COUNT];
    let mut ends: Vec<(u32, u32)> = (0_u32..)
        .zip(&nfa.steps)
        .filter_map(|(state, step)| match step {
            Step::Match(pattern) => Some((*pattern, state)),
            _ => None,
        })
        .collect();
    ends.sort_unstable();
    for left in LEFTS {
        for &(pattern, end) in &ends {
            let mut pending = vec![end];
            while let Some(state) = pending.pop() {
                match matched.get_mut(left.index() * states + state as usize) {
                    Some(slot) if *slot == NO_MATCH => *slot = pattern,
                    _ => continue,
                }
                for &earlier in before.get(state as usize).into_iter().flatten() {
                    match nfa.steps.get(earlier as usize) {
                        Some(Step::Split(_)) => pending.push(earlier),
                        // What is on the right does not matter to these.
                        Some(Step::Look { look, .. })
                            if look.is_behind() && look.holds(left, Side::End) =>
                        {
                            pending.push(earlier);
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    matched
}
