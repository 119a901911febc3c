//! Searching by backtracking, for what no automaton runs: look-around, atomic groups, possessive repetition, back-references.
//!
//! What was tried once from a state at a place is not tried again: without back-references that makes the search linear in the
//! text, the pattern's size being what a character may cost. With them what was tried says nothing of the next time, so that only
//! the limit of steps ends a search.

use std::ops::Range;

use super::{
    super::{
        nfa::{CharClass, Nfa, Side, Step},
        syntax::ast::{Look, Node},
    },
    memo::{Known, Memo, Points},
};
use crate::compute::Stop;

/// The end of the whole pattern, which is compiled first.
const END: u32 = 0;
/// States of one pattern's program.
const MOST_STATES: usize = 100_000;
/// Steps of one search, and how many more for each byte of the text.
const STEPS: u64 = 4_000_000;
const STEPS_A_BYTE: u64 = 64;
/// The longest text, in bytes: places are noted in four.
const LONGEST: usize = u32::MAX as usize - 2;
/// How often a search looks whether it is still wanted, in steps.
const LOOK_UP: u64 = 1 << 14;

/// A pattern as it is searched.
#[derive(Debug)]
pub(super) struct Program {
    nfa: Nfa,
    /// Where the search branches; none where what a group matched decides what comes after it.
    points: Option<Points>,
    /// For each class of characters whether a match may begin with it; none where it may begin with anything, or be empty.
    first: Option<Vec<bool>>,
    /// Places to note: two for each group.
    slots: usize,
}

/// Why a search came to no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exhausted {
    /// It took more than this many steps.
    Steps(u64),
    /// There is more to remember than may be.
    Memory,
    /// Nobody waits any more.
    Stopped,
}

impl Program {
    /// `None` where the pattern is too large.
    pub(super) fn new(node: &Node) -> Option<Self> {
        let nfa = Nfa::for_backtracking(node, MOST_STATES).ok()?;
        let noted = nfa.steps.iter().filter_map(|step| match step {
            Step::Note { slot, .. } | Step::Enter { slot, .. } => Some(*slot as usize + 1),
            _ => None,
        });
        Some(Self {
            slots: noted.max().unwrap_or(0),
            points: (!node.refers_back()).then(|| Points::new(&nfa)),
            first: first(&nfa),
            nfa,
        })
    }

    /// Begins searching `text`.
    pub(super) fn search<'a>(&'a self, text: &'a str, stop: &'a Stop) -> Search<'a> {
        Search {
            program: self,
            text,
            stop,
            memo: self.points.as_ref().map(Memo::new),
            stack: Vec::new(),
            trail: Vec::new(),
            slots: vec![None; self.slots],
            steps: 0,
            most_steps: STEPS + STEPS_A_BYTE * text.len() as u64,
        }
    }
}

/// The classes of characters with which a match can begin.
fn first(nfa: &Nfa) -> Option<Vec<bool>> {
    let mut first = vec![false; nfa.alphabet.len()];
    let mut seen = vec![false; nfa.steps.len()];
    let mut pending = vec![nfa.start];
    while let Some(state) = pending.pop() {
        match seen.get_mut(state as usize) {
            Some(seen) if !*seen => *seen = true,
            _ => continue,
        }
        match nfa.steps.get(state as usize)? {
            Step::Set { set, .. } => {
                for (class, begins) in (0..CharClass::MAX).zip(&mut first) {
                    *begins |= nfa.alphabet.holds(*set, class);
                }
            }
            Step::Split(branches) => pending.extend(&**branches),
            Step::Look { next, .. }
            | Step::Around { next, .. }
            | Step::Note { next, .. }
            | Step::Enter { next, .. } => pending.push(*next),
            Step::Again { body, next, .. } => pending.extend([*body, *next]),
            // What the part begins with, or what comes after it where the part is empty: the part's end leads nowhere.
            Step::Atomic { start, next } => pending.extend([*start, *next]),
            Step::Choose { yes, no, .. } => pending.extend([*yes, *no]),
            // Only the whole pattern's end says that the match may be empty; that of a part is passed over.
            Step::Match(_) if state == END => return None,
            Step::Match(_) => {}
            Step::Backreference { .. } => return None,
        }
    }
    Some(first)
}

/// What to go back to.
#[derive(Debug, Clone, Copy)]
enum Frame {
    /// Another way, from this state at this place, with as much of the trail.
    Try {
        state: u32,
        place: usize,
        trail: usize,
    },
    /// What a slot was before.
    Slot { slot: u32, before: Option<usize> },
}

/// A search through one text.
#[derive(Debug)]
pub(super) struct Search<'a> {
    program: &'a Program,
    text: &'a str,
    stop: &'a Stop,
    memo: Option<Memo<'a>>,
    stack: Vec<Frame>,
    /// The points on the way that is tried.
    trail: Vec<(u32, usize)>,
    slots: Vec<Option<usize>>,
    steps: u64,
    most_steps: u64,
}

impl Search<'_> {
    /// The first match that starts at `from` or later.
    ///
    /// # Errors
    ///
    /// Where the search comes to no answer.
    pub(super) fn find_at(&mut self, from: usize) -> Result<Option<Range<usize>>, Exhausted> {
        if self.text.len() > LONGEST {
            return Err(Exhausted::Memory);
        }
        let mut start = from;
        while let Some(rest) = self.text.get(start..) {
            start += self.skipped(rest);
            if start == self.text.len() && self.program.first.is_some() {
                return Ok(None);
            }
            self.stack.clear();
            self.trail.clear();
            self.slots.fill(None);
            if let Some(end) = self.run(self.program.nfa.start, start)? {
                return Ok(Some(start..end));
            }
            let Some(next) = self.next_char(start) else {
                return Ok(None);
            };
            start += next.len_utf8();
        }
        Ok(None)
    }

    /// How many bytes of `rest` no match begins in.
    fn skipped(&self, rest: &str) -> usize {
        let Some(first) = &self.program.first else {
            return 0;
        };
        let alphabet = &self.program.nfa.alphabet;
        let begins = |class: CharClass| first.get(usize::from(class)).copied().unwrap_or(true);
        let found = rest
            .char_indices()
            .find(|(_, c)| begins(alphabet.class(*c)));
        found.map_or(rest.len(), |(offset, _)| offset)
    }

    fn next_char(&self, place: usize) -> Option<char> {
        match self.text.as_bytes().get(place) {
            Some(byte) if byte.is_ascii() => Some(char::from(*byte)),
            Some(_) => self.text.get(place..)?.chars().next(),
            None => None,
        }
    }

    /// Where the first way from `start` at `place` ends that leads to the end of its part.
    fn run(&mut self, start: u32, place: usize) -> Result<Option<usize>, Exhausted> {
        let (stack, trail) = (self.stack.len(), self.trail.len());
        let (mut state, mut place) = (start, place);
        let end = loop {
            self.count()?;
            match self.step(state, place)? {
                Moved::On(next, at) => (state, place) = (next, at),
                Moved::Ends(end) => break Some(end),
                Moved::Back => match self.back(stack) {
                    Some((next, at)) => (state, place) = (next, at),
                    None => break None,
                },
            }
        };
        if let (Some(end), Some(memo)) = (end, &mut self.memo) {
            for (point, place) in self.trail.drain(trail..) {
                memo.found(point, place, end);
            }
        }
        self.trail.truncate(trail);
        // The ways that were not tried are given up; what groups were before is still needed.
        let mut kept = stack;
        for index in stack..self.stack.len() {
            if matches!(self.stack.get(index), Some(Frame::Slot { .. })) {
                self.stack.swap(kept, index);
                kept += 1;
            }
        }
        self.stack.truncate(kept);
        Ok(end)
    }

    fn count(&mut self) -> Result<(), Exhausted> {
        self.steps += 1;
        if self.steps > self.most_steps {
            return Err(Exhausted::Steps(self.most_steps));
        }
        if self.steps.is_multiple_of(LOOK_UP) && self.stop.is_set() {
            return Err(Exhausted::Stopped);
        }
        Ok(())
    }

    fn step(&mut self, state: u32, place: usize) -> Result<Moved, Exhausted> {
        let program = self.program;
        let Some(step) = program.nfa.steps.get(state as usize) else {
            return Ok(Moved::Back);
        };
        Ok(match step {
            Step::Set { set, next } => match self.next_char(place) {
                Some(c)
                    if program
                        .nfa
                        .alphabet
                        .holds(*set, program.nfa.alphabet.class(c)) =>
                {
                    Moved::On(*next, place + c.len_utf8())
                }
                _ => Moved::Back,
            },
            Step::Split(branches) => return self.branch(state, branches, place),
            Step::Look { look, next } if self.holds(*look, place) => Moved::On(*next, place),
            Step::Look { .. } => Moved::Back,
            Step::Match(_) => Moved::Ends(place),
            Step::Around {
                start,
                negate,
                width,
                next,
            } => {
                if self.around(*start, *negate, *width, place)? == *negate {
                    Moved::Back
                } else {
                    Moved::On(*next, place)
                }
            }
            Step::Atomic { start, next } => match self.run(*start, place)? {
                Some(end) => Moved::On(*next, end),
                None => Moved::Back,
            },
            Step::Note { slot, next } => {
                self.note(*slot, Some(place));
                Moved::On(*next, place)
            }
            Step::Enter { slot, next } => {
                self.note(*slot, None);
                Moved::On(*next, place)
            }
            Step::Again {
                slot,
                body,
                next,
                lazy,
            } => {
                if self.slots.get(*slot as usize) == Some(&Some(place)) {
                    return Ok(Moved::On(*next, place));
                }
                self.note(*slot, Some(place));
                let (first, other) = if *lazy { (next, body) } else { (body, next) };
                self.stack.push(Frame::Try {
                    state: *other,
                    place,
                    trail: self.trail.len(),
                });
                Moved::On(*first, place)
            }
            Step::Backreference {
                group,
                ignore_case,
                next,
            } => match self.repeated(*group, *ignore_case, place) {
                Some(end) => Moved::On(*next, end),
                None => Moved::Back,
            },
            Step::Choose { group, yes, no } => {
                let next = if self.group(*group).is_some() {
                    yes
                } else {
                    no
                };
                Moved::On(*next, place)
            }
        })
    }

    fn branch(&mut self, state: u32, branches: &[u32], place: usize) -> Result<Moved, Exhausted> {
        if let (Some(memo), Some(points)) = (&mut self.memo, &self.program.points)
            && let Some(point) = points.of(state)
        {
            match memo.enter(point, place).ok_or(Exhausted::Memory)? {
                Known::Nothing => self.trail.push((point, place)),
                Known::Fails => return Ok(Moved::Back),
                Known::Matches(end) => return Ok(Moved::Ends(end)),
            }
        }
        let Some((first, others)) = branches.split_first() else {
            return Ok(Moved::Back);
        };
        let trail = self.trail.len();
        self.stack
            .extend(others.iter().rev().map(|state| Frame::Try {
                state: *state,
                place,
                trail,
            }));
        Ok(Moved::On(*first, place))
    }

    /// The last way that was not tried; none down to the frame `floor`.
    fn back(&mut self, floor: usize) -> Option<(u32, usize)> {
        while self.stack.len() > floor {
            match self.stack.pop()? {
                Frame::Try {
                    state,
                    place,
                    trail,
                } => {
                    self.trail.truncate(trail);
                    return Some((state, place));
                }
                Frame::Slot { slot, before } => self.set(slot, before),
            }
        }
        None
    }

    /// Sets a slot until the search goes back.
    fn note(&mut self, slot: u32, value: Option<usize>) {
        if let Some(noted) = self.slots.get_mut(slot as usize) {
            let before = std::mem::replace(noted, value);
            self.stack.push(Frame::Slot { slot, before });
        }
    }

    fn set(&mut self, slot: u32, value: Option<usize>) {
        if let Some(noted) = self.slots.get_mut(slot as usize) {
            *noted = value;
        }
    }

    /// Whether the part from `start` on matches at `place`, or behind it.
    fn around(
        &mut self,
        start: u32,
        negate: bool,
        width: Option<u64>,
        place: usize,
    ) -> Result<bool, Exhausted> {
        let from = match width {
            None => place,
            Some(width) => match self.before(place, width) {
                Some(from) => from,
                None => return Ok(false),
            },
        };
        let floor = self.stack.len();
        let end = self.run(start, from)?;
        if negate {
            // Groups in it have matched nothing.
            while self.stack.len() > floor {
                if let Some(Frame::Slot { slot, before }) = self.stack.pop() {
                    self.set(slot, before);
                }
            }
        }
        Ok(end.is_some())
    }

    /// The place `width` characters before `place`.
    fn before(&mut self, place: usize, width: u64) -> Option<usize> {
        let mut chars = self.text.get(..place)?.char_indices().rev();
        self.steps += width / 8;
        match width.checked_sub(1) {
            None => Some(place),
            Some(others) => chars
                .nth(usize::try_from(others).ok()?)
                .map(|(index, _)| index),
        }
    }

    fn holds(&self, look: Look, place: usize) -> bool {
        let alphabet = &self.program.nfa.alphabet;
        let before = self.text.get(..place).unwrap_or_default();
        let left = before.chars().next_back();
        let left = left.map_or(Side::Start, |c| alphabet.side(alphabet.class(c)));
        let next = self.next_char(place);
        let right = next.map_or(Side::End, |c| alphabet.side(alphabet.class(c)));
        let last_line_feed = next == Some('\n') && place + 1 == self.text.len();
        look.holds(left, right) || look == Look::EndText && last_line_feed
    }

    /// Where a group matched, from 1.
    fn group(&self, group: u32) -> Option<Range<usize>> {
        let slot = 2 * (group.checked_sub(1)? as usize);
        let start = self.slots.get(slot).copied().flatten()?;
        let end = self.slots.get(slot + 1).copied().flatten()?;
        (start <= end).then_some(start..end)
    }

    /// Where what the group matched ends once more, from `place` on.
    fn repeated(&mut self, group: u32, ignore_case: bool, place: usize) -> Option<usize> {
        let wanted = self.text.get(self.group(group)?)?;
        let rest = self.text.get(place..)?;
        self.steps += wanted.len() as u64 / 8;
        if !ignore_case {
            return rest.starts_with(wanted).then_some(place + wanted.len());
        }
        let mut chars = rest.chars();
        for c in wanted.chars() {
            let other = chars.next()?;
            if c != other && !c.to_lowercase().eq(other.to_lowercase()) {
                return None;
            }
        }
        Some(self.text.len() - chars.as_str().len())
    }
}

/// What a step comes to.
enum Moved {
    /// On to this state, at this place.
    On(u32, usize),
    /// The part ends here.
    Ends(usize),
    /// No way goes on.
    Back,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pattern::{Patterns, syntax::parser};

    fn program(pattern: &str) -> Program {
        Program::new(&parser::parse(pattern, false).unwrap()).unwrap()
    }

    /// What is found in `text`, and in how many steps.
    fn searched(pattern: &str, text: &str) -> (Option<Range<usize>>, u64) {
        let (program, stop) = (program(pattern), Stop::default());
        let mut search = program.search(text, &stop);
        let found = search.find_at(0).unwrap();
        (found, search.steps)
    }

    #[test]
    fn twice_the_text_takes_twice_the_steps() {
        for (pattern, text) in [
            (r"(?=.*password)(?=.*absent).*secret", "password secret "),
            (r"(?=.*password)x*y", "password x "),
            (r"(?=[^!]*a)a*(?=a*b)c", "a"),
            (r"(?>a+)b", "a"),
            (r"a++b", "a"),
            (r"(?:(?=.*x)a)*b", "ax"),
            (r"(?>(?:a|ab)*)c", "aba"),
            (r"(?<=a{40})b(?!.*c)", "a"),
            (r"(?<!x)(?:a*)*(?=b)", "a"),
            (r"(?!.*b)(?:a?){20}c", "a"),
            (r"(?:(?>a*)a*)*(?!a)b", "a"),
            (r"(?=((?:.*a)*)b)c", "a"),
        ] {
            let (small, large) = (text.repeat(1_000), text.repeat(2_000));
            let (found, steps) = searched(pattern, &small);
            assert_eq!(found, None, "{pattern}");
            let (found, more) = searched(pattern, &large);
            assert_eq!(found, None, "{pattern}");
            assert!(more <= 3 * steps, "{pattern}: {steps}, then {more}");
            assert!(more < 300 * large.len() as u64, "{pattern}: {more}");
        }
    }

    #[test]
    fn every_match_of_a_long_text_is_found_in_linear_steps() {
        let patterns = Patterns::compile(&["a(?=a*c)", r"(?<=a)a++"], false).unwrap();
        let text = format!("{}c", "a".repeat(20_000));
        let all = patterns.find_all(&text).unwrap();
        assert_eq!(all.len(), 20_000 + 1);
    }

    #[test]
    fn a_search_that_takes_too_much_is_an_error() {
        let back = program(r"(?:(a|aa)+)+\1$");
        let text = format!("{}c", "a".repeat(100));
        let stop = Stop::default();
        let found = back.search(&text, &stop).find_at(0);
        assert!(matches!(found, Err(Exhausted::Steps(_))), "{found:?}");
        // A long text of a pattern with many branches is too much to remember.
        let wide = program("(?=(?:a|b?){800}c)[ad]");
        let text = "a".repeat(1 << 20);
        let found = wide.search(&text, &stop).find_at(0);
        assert!(found.is_err(), "{found:?}");
    }

    #[test]
    fn repetitions_of_nothing_end() {
        for (pattern, text, end) in [
            (r"(a|b*)*\1c", "abbc", 4),
            (r"(?:(a?)*)*\1b", "aab", 3),
            (r"(?:(a)|b*?)*\1", "aba", 3),
            (r"(a*)*(?(1)c|d)", "aac", 3),
            (r"(?=(?:a*)*b)aab", "aab", 3),
            (r"(?>(?:)*)a", "a", 1),
        ] {
            assert_eq!(searched(pattern, text).0, Some(0..end), "{pattern}");
        }
    }

    fn patterns() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            5 => "[abc.]",
            1 => Just(r"\b".to_owned()),
            1 => Just("^".to_owned()),
            1 => Just("$".to_owned()),
            1 => Just("[^a]".to_owned()),
            1 => Just("(?<=a)".to_owned()),
            1 => Just("(?<!b.)".to_owned()),
        ];
        leaf.prop_recursive(4, 24, 3, |inner| {
            prop_oneof![
                3 => prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
                2 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(?:{a}|{b})")),
                1 => (inner.clone(), "[*+?]|\\{1,2\\}").prop_map(|(a, b)| format!("(?:a{a}){b}")),
                1 => (inner.clone(), "[*+]").prop_map(|(a, b)| format!("(?:{a}b){b}?")),
                1 => inner.clone().prop_map(|a| format!("(?:b{a})*+")),
                1 => inner.clone().prop_map(|a| format!("(?>{a})")),
                1 => inner.clone().prop_map(|a| format!("(?={a})")),
                1 => inner.prop_map(|a| format!("(?!{a})")),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Another engine, which tries everything again, is the judge.
        #[test]
        fn finds_what_another_engine_finds(pattern in patterns(), text in "[abc]{0,12}", from in 0..4_usize) {
            let judge = fancy_regex::Regex::new(&pattern).unwrap();
            let from = from.min(text.len());
            let (program, stop) = (program(&pattern), Stop::default());
            let mut search = program.search(&text, &stop);
            // One search finds the second match, too.
            for from in [from, (from + 1).min(text.len())] {
                let expected = judge.find_from_pos(&text, from).unwrap().map(|found| found.range());
                prop_assert_eq!(search.find_at(from).unwrap(), expected, "{} in {:?}", &pattern, &text);
            }
        }

        #[test]
        fn back_references_are_found_as_by_another_engine(
            a in patterns(), b in patterns(), text in "[abc]{0,10}",
        ) {
            let pattern = format!("(a*{a})(?:b|{b})\\1");
            let judge = fancy_regex::Regex::new(&pattern).unwrap();
            let (program, stop) = (program(&pattern), Stop::default());
            let found = program.search(&text, &stop).find_at(0).unwrap();
            let expected = judge.find(&text).unwrap().map(|found| found.range());
            prop_assert_eq!(found, expected, "{} in {:?}", &pattern, &text);
        }
    }
}
