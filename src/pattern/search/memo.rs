//! What a backtracking search has learnt: from which states, at which places, it has been before.

use super::super::nfa::{Nfa, Step};

/// Bytes of the text of one page.
const PAGE: usize = 4 << 10;
const WORDS: usize = PAGE / 64;
/// What may be remembered, in bytes.
const MOST_BYTES: usize = 64 << 20;

/// What has to be remembered of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// That no match goes on from there.
    Failures,
    /// Whether the part of a look-around that is searched matches.
    Answers,
    /// Where the part of an atomic group that is searched ends.
    Ends,
}

/// The states at which a search branches: all that it does twice, it does from one of these.
#[derive(Debug)]
pub(super) struct Points {
    /// For each state its point, if it is one.
    of_states: Vec<Option<u32>>,
    kinds: Vec<Kind>,
}

impl Points {
    pub(super) fn new(nfa: &Nfa) -> Self {
        let mut points = Self {
            of_states: vec![None; nfa.steps.len()],
            kinds: Vec::new(),
        };
        let mut seen = vec![false; nfa.steps.len()];
        let mut pending = vec![(nfa.start, Kind::Failures)];
        while let Some((state, kind)) = pending.pop() {
            match seen.get_mut(state as usize) {
                Some(seen) if !*seen => *seen = true,
                _ => continue,
            }
            match nfa.steps.get(state as usize) {
                Some(Step::Split(branches)) => {
                    if let Some(slot) = points.of_states.get_mut(state as usize) {
                        *slot = u32::try_from(points.kinds.len()).ok();
                    }
                    points.kinds.push(kind);
                    pending.extend(branches.iter().map(|branch| (*branch, kind)));
                }
                Some(Step::Around { start, next, .. }) => {
                    pending.extend([(*start, Kind::Answers), (*next, kind)]);
                }
                Some(Step::Atomic { start, next }) => {
                    pending.extend([(*start, Kind::Ends), (*next, kind)]);
                }
                Some(
                    Step::Set { next, .. }
                    | Step::Look { next, .. }
                    | Step::Note { next, .. }
                    | Step::Enter { next, .. }
                    | Step::Backreference { next, .. },
                ) => pending.push((*next, kind)),
                Some(Step::Choose { yes, no, .. }) => pending.extend([(*yes, kind), (*no, kind)]),
                Some(Step::Again { body, next, .. }) => {
                    pending.extend([(*body, kind), (*next, kind)]);
                }
                Some(Step::Match(_)) | None => {}
            }
        }
        points
    }

    /// The point that a state is.
    #[inline]
    pub(super) fn of(&self, state: u32) -> Option<u32> {
        self.of_states.get(state as usize).copied().flatten()
    }
}

/// What is known of a point at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Nothing,
    Fails,
    /// It matches; the end is 0 where nobody asks for it.
    Matches(usize),
}

/// The memory of one search.
#[derive(Debug)]
pub(super) struct Memo<'a> {
    points: &'a Points,
    /// For each point its pages; those that are not touched take nothing.
    pages: Vec<Vec<Option<Page>>>,
    bytes: usize,
}

#[derive(Debug)]
enum Page {
    Failures(Box<[u64; WORDS]>),
    /// Seen, then found to match.
    Answers(Box<[[u64; WORDS]; 2]>),
    /// 0 where nothing is known, 1 where it fails, else the end and 2.
    Ends(Box<[u32]>),
}

impl<'a> Memo<'a> {
    pub(super) fn new(points: &'a Points) -> Self {
        Self {
            pages: points.kinds.iter().map(|_| Vec::new()).collect(),
            points,
            bytes: 0,
        }
    }

    /// What is known of `point` at `place`. From now on it fails, unless [`found`](Self::found) says otherwise: whoever comes back
    /// to it before that goes round in a circle.
    ///
    /// `None` where there is no memory left.
    pub(super) fn enter(&mut self, point: u32, place: usize) -> Option<Known> {
        let kind = *self.points.kinds.get(point as usize)?;
        let pages = self.pages.get_mut(point as usize)?;
        let (number, place) = (place / PAGE, place % PAGE);
        if pages.len() <= number {
            self.bytes += (number + 1 - pages.len()) * size_of::<Option<Page>>();
            pages.resize_with(number + 1, || None);
        }
        let slot = pages.get_mut(number)?;
        if slot.is_none() {
            self.bytes += kind.page_bytes();
        }
        if self.bytes > MOST_BYTES {
            return None;
        }
        let (word, bit) = (place / 64, 1 << (place % 64));
        match slot.get_or_insert_with(|| kind.page()) {
            Page::Failures(seen) => {
                let seen = seen.get_mut(word)?;
                let known = *seen & bit != 0;
                *seen |= bit;
                Some(if known { Known::Fails } else { Known::Nothing })
            }
            Page::Answers(answers) => {
                let [seen, matches] = &mut **answers;
                let (seen, matches) = (seen.get_mut(word)?, matches.get(word)?);
                let known = match (*seen & bit != 0, *matches & bit != 0) {
                    (_, true) => Known::Matches(0),
                    (true, false) => Known::Fails,
                    (false, false) => Known::Nothing,
                };
                *seen |= bit;
                Some(known)
            }
            Page::Ends(ends) => {
                let end = ends.get_mut(place)?;
                Some(match *end {
                    0 => {
                        *end = 1;
                        Known::Nothing
                    }
                    1 => Known::Fails,
                    end => Known::Matches(end as usize - 2),
                })
            }
        }
    }

    /// Notes that a match goes on from `point` at `place`, up to `end`. Of the whole pattern's match nothing is noted: that search
    /// is over, and the next one begins anew.
    pub(super) fn found(&mut self, point: u32, place: usize, end: usize) {
        let pages = self.pages.get_mut(point as usize);
        let page = pages.and_then(|pages| pages.get_mut(place / PAGE));
        let (word, bit) = (place % PAGE / 64, 1 << (place % 64));
        match page {
            Some(Some(Page::Failures(seen))) => {
                if let Some(seen) = seen.get_mut(word) {
                    *seen &= !bit;
                }
            }
            Some(Some(Page::Answers(answers))) => {
                let [_, matches] = &mut **answers;
                if let Some(matches) = matches.get_mut(word) {
                    *matches |= bit;
                }
            }
            Some(Some(Page::Ends(ends))) => {
                if let Some(slot) = ends.get_mut(place % PAGE) {
                    *slot = u32::try_from(end + 2).unwrap_or(1);
                }
            }
            _ => {}
        }
    }
}

impl Kind {
    fn page_bytes(self) -> usize {
        match self {
            Self::Failures => PAGE / 8,
            Self::Answers => PAGE / 4,
            Self::Ends => PAGE * 4,
        }
    }

    fn page(self) -> Page {
        match self {
            Self::Failures => Page::Failures(Box::new([0; WORDS])),
            Self::Answers => Page::Answers(Box::new([[0; WORDS]; 2])),
            Self::Ends => Page::Ends(vec![0; PAGE].into()),
        }
    }
}
