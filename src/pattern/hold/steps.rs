//! Steps that were taken before, remembered for all streams of a program.
//!
//! Which threads there are after a character depends on the threads before it, on what is on the left and on the character's
//! class; only where each of them began differs from stream to stream. So a step is worked out once, and says of each
//! thread after it which one it was before. What is remembered is bounded: where it is full, streams go on without, and
//! in the end begin to remember anew.

use std::{
    collections::HashMap,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use super::{
    super::nfa::{CharClass, Side},
    program::HoldProgram,
    threads::{Scratch, Stepper, Thread},
};

/// How many places are remembered, and how many steps that leave threads.
pub(super) const PLACES: usize = 512;
const MOVES: usize = 8 * PLACES;
/// How many threads all these places and steps have together.
const THREADS: usize = 1 << 18;

/// The origin of a thread that begins at the character.
const BORN: u16 = u16::MAX;

/// No step is known.
const UNKNOWN: u32 = 0;

/// Which threads there are, and what is on the left.
#[derive(Debug)]
pub(super) struct Place {
    /// The states of the threads, the oldest first.
    pub(super) threads: Box<[u32]>,
    pub(super) left: Side,
}

/// A step that leaves threads, or matches.
#[derive(Debug)]
pub(super) struct Move {
    pub(super) next: u32,
    pub(super) matched: Option<u32>,
    /// For each thread after the step which one it was before.
    origins: Box<[u16]>,
}

impl Move {
    /// Where the threads after a step at `place` began, by where those before it did.
    pub(super) fn starts(&self, before: &[u64], place: u64, after: &mut Vec<u64>) {
        after.clear();
        after.extend(self.origins.iter().map(|origin| match *origin {
            BORN => place,
            origin => before.get(usize::from(origin)).copied().unwrap_or(place),
        }));
    }
}

/// What a step comes to.
pub(super) enum Known<'s> {
    /// No thread is left.
    Idle(u32),
    Move(&'s Move),
}

/// The memory of a program.
#[derive(Debug)]
pub(super) struct Steps {
    /// How many memories the program had before.
    pub(super) generation: u32,
    classes: usize,
    /// For each place and class: 0, or the next place times two and one where no thread is left there, or the number of a
    /// move and one, times two.
    table: Box<[AtomicU32]>,
    places: Box<[OnceLock<Place>]>,
    moves: Box<[OnceLock<Move>]>,
    made: Mutex<Made>,
}

#[derive(Debug, Default)]
struct Made {
    known: HashMap<(Side, Box<[u32]>), u32>,
    moves: usize,
    threads: usize,
}

impl Steps {
    /// An empty memory of `places` places at most.
    pub(super) fn new(program: &HoldProgram, generation: u32, places: usize) -> Self {
        let classes = program.nfa.alphabet.len();
        let places = places.max(Side::COUNT);
        let steps = Self {
            generation,
            classes,
            table: (0..places * classes)
                .map(|_| AtomicU32::new(UNKNOWN))
                .collect(),
            places: (0..places).map(|_| OnceLock::new()).collect(),
            moves: (0..MOVES).map(|_| OnceLock::new()).collect(),
            made: Mutex::default(),
        };
        // The places without threads are there from the beginning, each at its side's number.
        let mut made = steps.made.lock().unwrap_or_else(PoisonError::into_inner);
        for side in Side::ALL {
            steps.place_of(&mut made, side, Box::default());
        }
        drop(made);
        steps
    }

    /// The place without threads.
    pub(super) fn idle(left: Side) -> u32 {
        left as u32
    }

    pub(super) fn place(&self, place: u32) -> Option<&Place> {
        self.places.get(place as usize)?.get()
    }

    /// The step over a character of the class, if it is known.
    #[inline]
    pub(super) fn step(&self, place: u32, class: CharClass) -> Option<Known<'_>> {
        let index = place as usize * self.classes + usize::from(class);
        let step = self.table.get(index)?.load(Ordering::Acquire);
        match step {
            UNKNOWN => None,
            step if step & 1 == 1 => Some(Known::Idle(step >> 1)),
            step => {
                let number = (step >> 1) as usize - 1;
                Some(Known::Move(self.moves.get(number)?.get()?))
            }
        }
    }

    /// Works the step out; none where there is no room for it.
    pub(super) fn learn(
        &self,
        program: &HoldProgram,
        scratch: &mut Scratch,
        place: u32,
        class: CharClass,
    ) -> Option<Known<'_>> {
        let from = self.place(place)?;
        let threads: Vec<Thread> = (0_u64..)
            .zip(&from.threads)
            .map(|(number, state)| (*state, number))
            .collect();
        let mut next = Vec::new();
        let born = threads.len() as u64;
        let matched = Stepper {
            program,
            scratch,
            left: from.left,
            class,
        }
        .step(&threads, born, &mut next);
        let states: Box<[u32]> = next.iter().map(|(state, _)| *state).collect();
        let left = program.nfa.alphabet.side(class);
        let index = place as usize * self.classes + usize::from(class);
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let step = self.table.get(index)?;
        if step.load(Ordering::Acquire) != UNKNOWN {
            drop(made);
            return self.step(place, class);
        }
        let is_idle = states.is_empty() && matched.is_none();
        let to = self.place_of(&mut made, left, states)?;
        if is_idle {
            step.store(to << 1 | 1, Ordering::Release);
            return Some(Known::Idle(to));
        }
        let origins = next.iter().map(|(_, origin)| match *origin == born {
            true => BORN,
            false => u16::try_from(*origin).unwrap_or(BORN),
        });
        let number = made.moves;
        let room = self.moves.get(number)?;
        made.moves += 1;
        made.threads += next.len();
        let step_to = Move {
            next: to,
            matched,
            origins: origins.collect(),
        };
        let known = room.get_or_init(|| step_to);
        let number = u32::try_from(number).ok()?;
        step.store((number + 1) << 1, Ordering::Release);
        Some(Known::Move(known))
    }

    /// The place with these threads, made if there is none yet; none where there is no room.
    pub(super) fn find_or_make(&self, left: Side, threads: Box<[u32]>) -> Option<u32> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        self.place_of(&mut made, left, threads)
    }

    fn place_of(&self, made: &mut Made, left: Side, threads: Box<[u32]>) -> Option<u32> {
        let key = (left, threads);
        if let Some(place) = made.known.get(&key) {
            return Some(*place);
        }
        let number = made.known.len();
        let room = self.places.get(number)?;
        let count = key.1.len();
        if made.threads + count > THREADS || count >= usize::from(BORN) {
            return None;
        }
        made.threads += count;
        room.get_or_init(|| Place {
            threads: key.1.clone(),
            left,
        });
        let number = u32::try_from(number).ok()?;
        made.known.insert(key, number);
        Some(number)
    }
}
