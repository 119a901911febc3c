//! Characters in classes that no set of the patterns tells apart.

use std::collections::HashMap;

use regex_syntax::hir::ClassUnicode;

use super::{
    super::syntax::{
        ast::{Look, Node, WordKind},
        sets,
    },
    context::Side,
};

/// A class of characters. Class 0 holds what is in no set: other characters, and invalid bytes.
pub(in crate::pattern) type CharClass = u16;

/// The class of bytes that are no UTF-8.
pub(in crate::pattern) const INVALID: CharClass = 0;

const PAGE: usize = 256;
const PAGES: usize = 0x11_0000 / PAGE;

/// Which sides the looks of some patterns tell apart.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::pattern) struct Sides {
    unicode_word: bool,
    ascii_word: bool,
    line_feed: bool,
}

impl Sides {
    /// Adds what the looks of `node` ask for.
    pub(in crate::pattern) fn add(&mut self, node: &Node) {
        node.any(&mut |node| {
            match node {
                Node::Look(Look::Word(kind) | Look::NotWord(kind)) => match kind {
                    WordKind::Unicode => self.unicode_word = true,
                    WordKind::Ascii => self.ascii_word = true,
                },
                Node::Look(Look::StartLine | Look::EndLine | Look::EndText) => {
                    self.line_feed = true;
                }
                _ => {}
            }
            false
        });
    }
}

/// Maps characters to classes, and tells which classes each set holds.
#[derive(Debug)]
pub(in crate::pattern) struct Alphabet {
    ascii: [CharClass; 128],
    /// For each page of 256 characters, its place in `classes`.
    pages: Vec<u32>,
    classes: Vec<CharClass>,
    sides: Vec<Side>,
    /// Bits of the classes of each set, `words` a set.
    members: Vec<u64>,
    words: usize,
}

impl Alphabet {
    /// Builds the classes of `sets`; `None` if they are too many to count.
    pub(in crate::pattern) fn new(sets: &[&ClassUnicode], sides: Sides) -> Option<Self> {
        let cuts = cuts(sets, sides);
        let words_of_sets = sets.len().div_ceil(64);
        let mut known: HashMap<(Vec<u64>, u8), CharClass> = HashMap::new();
        known.insert((vec![0; words_of_sets], Side::Other as u8), INVALID);
        let mut class_sides = vec![Side::Other];
        let mut class_sets: Vec<Vec<u64>> = vec![vec![0; words_of_sets]];
        let mut spans: Vec<(u32, CharClass)> = Vec::with_capacity(cuts.len());
        let mut cursors = vec![0_usize; sets.len()];
        for start in cuts {
            let mut signature = vec![0_u64; words_of_sets];
            for (index, (set, cursor)) in sets.iter().zip(&mut cursors).enumerate() {
                let ranges = set.ranges();
                while ranges
                    .get(*cursor)
                    .is_some_and(|range| u32::from(range.end()) < start)
                {
                    *cursor += 1;
                }
                let inside = ranges
                    .get(*cursor)
                    .is_some_and(|range| u32::from(range.start()) <= start);
                if inside && let Some(word) = signature.get_mut(index / 64) {
                    *word |= 1 << (index % 64);
                }
            }
            let side = side(start, sides);
            let next = CharClass::try_from(class_sides.len()).ok()?;
            let class = *known
                .entry((signature.clone(), side as u8))
                .or_insert_with(|| {
                    class_sides.push(side);
                    class_sets.push(signature);
                    next
                });
            spans.push((start, class));
        }
        let words = class_sides.len().div_ceil(64);
        let mut members = vec![0_u64; words * sets.len()];
        for (class, signature) in class_sets.iter().enumerate() {
            for set in 0..sets.len() {
                let inside = signature
                    .get(set / 64)
                    .is_some_and(|word| word & (1 << (set % 64)) != 0);
                if inside && let Some(word) = members.get_mut(set * words + class / 64) {
                    *word |= 1 << (class % 64);
                }
            }
        }
        let (pages, classes) = paged(&spans);
        let mut alphabet = Self {
            ascii: [INVALID; 128],
            pages,
            classes,
            sides: class_sides,
            members,
            words,
        };
        for byte in 0..128_u8 {
            let class = alphabet.paged_class(byte.into());
            if let Some(slot) = alphabet.ascii.get_mut(usize::from(byte)) {
                *slot = class;
            }
        }
        Some(alphabet)
    }

    /// The alphabet of no set.
    pub(in crate::pattern) fn empty() -> Self {
        Self {
            ascii: [INVALID; 128],
            pages: Vec::new(),
            classes: Vec::new(),
            sides: vec![Side::Other],
            members: Vec::new(),
            words: 1,
        }
    }

    /// How many classes there are.
    pub(in crate::pattern) fn len(&self) -> usize {
        self.sides.len()
    }

    /// The class of a character.
    pub(in crate::pattern) fn class(&self, c: char) -> CharClass {
        match u8::try_from(c) {
            Ok(byte) if byte < 128 => self.ascii_class(byte),
            _ => self.paged_class(c),
        }
    }

    /// The class of an ASCII character.
    #[inline]
    pub(in crate::pattern) fn ascii_class(&self, byte: u8) -> CharClass {
        self.ascii
            .get(usize::from(byte))
            .copied()
            .unwrap_or(INVALID)
    }

    fn paged_class(&self, c: char) -> CharClass {
        let point = u32::from(c) as usize;
        self.pages
            .get(point / PAGE)
            .and_then(|page| self.classes.get(*page as usize + point % PAGE))
            .copied()
            .unwrap_or(INVALID)
    }

    /// What the looks see of a class.
    pub(in crate::pattern) fn side(&self, class: CharClass) -> Side {
        self.sides
            .get(usize::from(class))
            .copied()
            .unwrap_or(Side::Other)
    }

    /// Whether the set with the number `set` holds the class.
    #[inline]
    pub(in crate::pattern) fn holds(&self, set: u32, class: CharClass) -> bool {
        let class = usize::from(class);
        self.members
            .get(set as usize * self.words + class / 64)
            .is_some_and(|word| word & (1 << (class % 64)) != 0)
    }

    /// The mask of the sides that the characters of a set can have.
    pub(in crate::pattern) fn sides_of(&self, set: u32) -> u8 {
        (0..self.len())
            .filter_map(|class| CharClass::try_from(class).ok())
            .filter(|class| self.holds(set, *class))
            .fold(0, |mask, class| mask | self.side(class).bit())
    }

    /// The mask of the sides that any character can have.
    pub(in crate::pattern) fn all_sides(&self) -> u8 {
        self.sides.iter().fold(0, |mask, side| mask | side.bit())
    }

    /// Bytes on the heap, about.
    pub(in crate::pattern) fn memory(&self) -> usize {
        self.pages.len() * 4 + self.classes.len() * 2 + self.sides.len() + self.members.len() * 8
    }
}

/// Where a class may change: the starts of ranges, and what follows their ends.
fn cuts(sets: &[&ClassUnicode], sides: Sides) -> Vec<u32> {
    let mut cuts = vec![0];
    let mut add = |set: &ClassUnicode| {
        for range in set.ranges() {
            cuts.push(range.start().into());
            cuts.push(u32::from(range.end()) + 1);
        }
    };
    sets.iter().for_each(|set| add(set));
    if sides.unicode_word {
        add(&sets::word());
    }
    if sides.unicode_word || sides.ascii_word {
        add(&sets::ascii_word());
    }
    if sides.line_feed {
        add(&sets::single('\n'));
    }
    cuts.retain(|cut| *cut < 0x11_0000);
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

fn side(point: u32, sides: Sides) -> Side {
    let Some(c) = char::from_u32(point) else {
        return Side::Other;
    };
    if c == '\n' && sides.line_feed {
        return Side::LineFeed;
    }
    let ascii = c == '_' || c.is_ascii_alphanumeric();
    if ascii && (sides.ascii_word || sides.unicode_word) {
        Side::AsciiWord
    } else if sides.unicode_word && sets::holds(&sets::word(), c) {
        Side::UnicodeWord
    } else {
        Side::Other
    }
}

/// Pages of classes, equal pages only once.
fn paged(spans: &[(u32, CharClass)]) -> (Vec<u32>, Vec<CharClass>) {
    let mut known: HashMap<Vec<CharClass>, u32> = HashMap::new();
    let mut pages = Vec::with_capacity(PAGES);
    let mut classes: Vec<CharClass> = Vec::new();
    let mut spans = spans.iter().copied().peekable();
    let mut class = INVALID;
    let mut point = 0_u32;
    for _ in 0..PAGES {
        let page: Vec<CharClass> = (0..PAGE)
            .map(|_| {
                while let Some((_, next)) = spans.next_if(|(start, _)| *start <= point) {
                    class = next;
                }
                point += 1;
                class
            })
            .collect();
        let place = *known.entry(page).or_insert_with_key(|page| {
            let place = u32::try_from(classes.len()).unwrap_or(u32::MAX);
            classes.extend_from_slice(page);
            place
        });
        pages.push(place);
    }
    (pages, classes)
}
