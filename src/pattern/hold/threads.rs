//! The threads of a stream, one step at a time.

use super::{
    super::{
        nfa::{CharClass, Marks, Side, Step},
        syntax::ast::Look,
    },
    program::HoldProgram,
};

/// Marks a state whose thread matches only if the text ends here: `$` has taken the line feed
/// just read for the last character. In a step, it marks what comes after such a `$`.
const LAST: u32 = 1 << 31;

/// A place in a pattern, and the offset in bytes where its match would begin.
pub(super) type Thread = (u32, u64);

/// The state of a thread, without its mark.
pub(super) fn state(thread: Thread) -> u32 {
    thread.0 & !LAST
}

/// What a step needs and nothing remembers.
#[derive(Debug)]
pub(super) struct Scratch {
    seen: Marks,
    arrived: Marks,
    stack: Vec<u32>,
}

impl Scratch {
    pub(super) fn new(program: &HoldProgram) -> Self {
        let states = program.nfa.steps.len();
        Self {
            seen: Marks::new(2 * states),
            arrived: Marks::new(2 * states),
            stack: Vec::new(),
        }
    }
}

/// The threads that begin at one character.
#[derive(Debug)]
pub(super) struct Begun {
    /// Their states after the character, some marked with [`LAST`].
    states: Box<[u32]>,
    matched: Option<u32>,
}

impl Begun {
    pub(super) fn new(program: &HoldProgram, left: Side, class: CharClass) -> Self {
        let mut scratch = Scratch::new(program);
        scratch.seen.clear();
        scratch.arrived.clear();
        let mut threads = Vec::new();
        let matched = Stepper {
            program,
            scratch: &mut scratch,
            left,
            class,
        }
        .thread(program.nfa.start, 0, &mut threads);
        Self {
            states: threads.into_iter().map(|(state, _)| state).collect(),
            matched,
        }
    }

    /// Whether no thread begins, and nothing matches.
    pub(super) fn is_nothing(&self) -> bool {
        self.states.is_empty() && self.matched.is_none()
    }
}

/// One step over one character.
pub(super) struct Stepper<'a> {
    pub(super) program: &'a HoldProgram,
    pub(super) scratch: &'a mut Scratch,
    pub(super) left: Side,
    pub(super) class: CharClass,
}

impl Stepper<'_> {
    /// Moves the threads, oldest first, and those that begin at `place`, over the character.
    /// Keeps in `next`, oldest first, those that can still match. Gives the first pattern that
    /// has matched: before the character, or with it whatever comes next.
    pub(super) fn step(
        &mut self,
        threads: &[Thread],
        place: u64,
        next: &mut Vec<Thread>,
    ) -> Option<u32> {
        next.clear();
        let begun = self.program.begun(self.left, self.class);
        if threads.is_empty() {
            let begun = begun?;
            next.extend(begun.states.iter().map(|state| (*state, place)));
            return begun.matched;
        }
        self.scratch.seen.clear();
        self.scratch.arrived.clear();
        let mut matched = None;
        for &(state, start) in threads {
            if state & LAST == 0 {
                earliest(&mut matched, self.thread(state, start, next));
            }
        }
        if let Some(begun) = begun {
            let states = self.program.nfa.steps.len();
            for &marked in &begun.states {
                let offset = if marked & LAST == 0 { 0 } else { states };
                if self.scratch.arrived.add(offset + (marked & !LAST) as usize) {
                    next.push((marked, place));
                }
            }
            earliest(&mut matched, begun.matched);
        }
        matched
    }

    fn thread(&mut self, state: u32, start: u64, next: &mut Vec<Thread>) -> Option<u32> {
        let Self {
            program,
            scratch,
            left,
            class,
        } = self;
        let Scratch {
            seen,
            arrived,
            stack,
        } = &mut **scratch;
        let nfa = &program.nfa;
        let states = nfa.steps.len();
        let right = nfa.alphabet.side(*class);
        let mut matched = None;
        stack.clear();
        stack.push(state);
        while let Some(marked) = stack.pop() {
            let last = marked & LAST;
            let state = marked & !LAST;
            let offset = if last == 0 { 0 } else { states };
            if !seen.add(offset + state as usize) {
                continue;
            }
            match nfa.steps.get(state as usize) {
                Some(Step::Split(branches)) => {
                    stack.extend(branches.iter().rev().map(|branch| branch | last));
                }
                Some(Step::Look { look, next }) => {
                    if look.holds(*left, right) || *look == Look::EndText && last != 0 {
                        stack.push(next | last);
                    } else if *look == Look::EndText && right == Side::LineFeed {
                        stack.push(next | LAST);
                    }
                }
                Some(Step::Set { set, next: target }) => {
                    if !nfa.alphabet.holds(*set, *class) {
                        continue;
                    }
                    if last == 0 {
                        earliest(&mut matched, program.liveness.matched(*target, right));
                        if program.liveness.is_live(*target, right) && arrived.add(*target as usize)
                        {
                            next.push((*target, start));
                        }
                    } else if right == Side::LineFeed
                        && program.liveness.matches_at_end(*target)
                        && arrived.add(states + *target as usize)
                    {
                        next.push((target | LAST, start));
                    }
                }
                Some(Step::Match(pattern)) => {
                    if last == 0 {
                        earliest(&mut matched, Some(*pattern));
                    } else if arrived.add(states + state as usize) {
                        next.push((state | LAST, start));
                    }
                }
                _ => {}
            }
        }
        matched
    }
}

/// The first pattern that matches if the text ends here.
pub(super) fn finish(
    program: &HoldProgram,
    scratch: &mut Scratch,
    left: Side,
    threads: &[Thread],
) -> Option<u32> {
    let Scratch { seen, stack, .. } = scratch;
    seen.clear();
    let mut matched = None;
    for thread in threads {
        program.nfa.visit(
            state(*thread),
            seen,
            stack,
            |look| look.holds(left, Side::End),
            |step| {
                if let Step::Match(pattern) = step {
                    earliest(&mut matched, Some(*pattern));
                }
                None::<()>
            },
        );
    }
    matched
}

fn earliest(into: &mut Option<u32>, found: Option<u32>) {
    *into = match (*into, found) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
}
