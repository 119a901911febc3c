//! What stands on the two sides of a place, as far as looks ask.

use super::super::syntax::ast::{Look, WordKind};

/// One side of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(in crate::pattern) enum Side {
    /// The start of the text; only on the left.
    Start,
    Other,
    AsciiWord,
    UnicodeWord,
    LineFeed,
    /// The end of the text; only on the right.
    End,
}

impl Side {
    /// How many sides there are.
    pub(in crate::pattern) const COUNT: usize = 6;

    /// All of them, by their numbers.
    pub(in crate::pattern) const ALL: [Self; Self::COUNT] = [
        Self::Start,
        Self::Other,
        Self::AsciiWord,
        Self::UnicodeWord,
        Self::LineFeed,
        Self::End,
    ];

    /// Its number, below [`COUNT`](Self::COUNT).
    pub(in crate::pattern) fn index(self) -> usize {
        usize::from(self as u8)
    }

    /// Its place in a mask.
    pub(in crate::pattern) fn bit(self) -> u8 {
        1 << (self as u8)
    }

    fn is_word(self, kind: WordKind) -> bool {
        match kind {
            WordKind::Unicode => matches!(self, Self::AsciiWord | Self::UnicodeWord),
            WordKind::Ascii => self == Self::AsciiWord,
        }
    }
}

impl Look {
    /// Whether the look holds between `left` and `right`. `$` before the last line feed is the
    /// caller's: it depends on what follows the line feed.
    pub(in crate::pattern) fn holds(self, left: Side, right: Side) -> bool {
        match self {
            Self::Start => left == Side::Start,
            Self::StartLine => matches!(left, Side::Start | Side::LineFeed),
            Self::End | Self::EndText => right == Side::End,
            Self::EndLine => matches!(right, Side::End | Side::LineFeed),
            Self::Word(kind) => left.is_word(kind) != right.is_word(kind),
            Self::NotWord(kind) => {
                left.is_word(kind) == right.is_word(kind)
                    && !(left == Side::Start && right == Side::End)
            }
        }
    }

    /// Whether the look asks only for what is on the left.
    pub(in crate::pattern) fn is_behind(self) -> bool {
        matches!(self, Self::Start | Self::StartLine)
    }
}
