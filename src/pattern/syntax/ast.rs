//! What a pattern means once its flags are resolved: sets of characters, looks, and how they combine.

use std::sync::Arc;

use regex_syntax::hir::ClassUnicode;

/// A piece of a pattern. Case-insensitivity, `.` and `\w` are already spelled out as sets.
#[derive(Debug, Clone)]
pub(in crate::pattern) enum Node {
    Empty,
    /// One character of the set; of an empty set, none.
    Set(Arc<ClassUnicode>),
    Look(Look),
    /// A capturing group.
    Capture(Box<Node>),
    Concat(Vec<Node>),
    /// Tried in order.
    Alternate(Vec<Node>),
    Repeat {
        node: Box<Node>,
        min: u32,
        max: Option<u32>,
        mode: RepeatMode,
    },
    Atomic(Box<Node>),
    Around {
        ahead: bool,
        negate: bool,
        node: Box<Node>,
    },
    Backreference {
        group: u32,
        ignore_case: bool,
    },
    Conditional {
        group: u32,
        yes: Box<Node>,
        no: Option<Box<Node>>,
    },
}

/// What a repetition tries first, and whether it gives back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pattern) enum RepeatMode {
    Greedy,
    Lazy,
    Possessive,
}

/// A condition on the characters on both sides of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pattern) enum Look {
    /// `\A`, and `^` without the flag `m`.
    Start,
    /// `^` with the flag `m`.
    StartLine,
    /// `\Z`.
    End,
    /// `$` without the flag `m`: the end, or before a line feed that is the last character.
    EndText,
    /// `$` with the flag `m`.
    EndLine,
    /// `\b`.
    Word(WordKind),
    /// `\B`. Like Python up to 3.13, never true in an empty text.
    NotWord(WordKind),
}

/// Which characters `\b` takes for a word's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pattern) enum WordKind {
    Unicode,
    Ascii,
}

/// How long, in characters, what a node matches can be; `None` without a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pattern) struct Width {
    pub(in crate::pattern) min: u64,
    pub(in crate::pattern) max: Option<u64>,
}

impl Width {
    pub(in crate::pattern) const ZERO: Self = Self {
        min: 0,
        max: Some(0),
    };
    pub(in crate::pattern) const ONE: Self = Self {
        min: 1,
        max: Some(1),
    };

    fn then(self, next: Self) -> Self {
        Self {
            min: self.min.saturating_add(next.min),
            max: self
                .max
                .zip(next.max)
                .map(|(one, other)| one.saturating_add(other)),
        }
    }

    fn or(self, other: Self) -> Self {
        Self {
            min: self.min.min(other.min),
            max: self.max.zip(other.max).map(|(one, other)| one.max(other)),
        }
    }

    fn times(self, min: u32, max: Option<u32>) -> Self {
        Self {
            min: self.min.saturating_mul(min.into()),
            max: match (self.max, max) {
                (Some(0), _) | (_, Some(0)) => Some(0),
                (Some(width), Some(times)) => Some(width.saturating_mul(times.into())),
                _ => None,
            },
        }
    }
}

impl Node {
    /// The width, where `groups` holds the widths of the capturing groups closed so far (group 1 first).
    pub(in crate::pattern) fn width(&self, groups: &[Option<Width>]) -> Width {
        match self {
            Self::Empty | Self::Look(_) | Self::Around { .. } => Width::ZERO,
            Self::Set(_) => Width::ONE,
            Self::Capture(node) | Self::Atomic(node) => node.width(groups),
            Self::Concat(nodes) => nodes
                .iter()
                .fold(Width::ZERO, |width, node| width.then(node.width(groups))),
            Self::Alternate(nodes) => nodes
                .iter()
                .map(|node| node.width(groups))
                .reduce(Width::or)
                .unwrap_or(Width::ZERO),
            Self::Repeat { node, min, max, .. } => node.width(groups).times(*min, *max),
            Self::Backreference { group, .. } => usize::try_from(*group)
                .ok()
                .and_then(|group| groups.get(group.checked_sub(1)?).copied().flatten())
                .unwrap_or(Width { min: 0, max: None }),
            Self::Conditional { yes, no, .. } => {
                let no = no.as_ref().map_or(Width::ZERO, |no| no.width(groups));
                yes.width(groups).or(no)
            }
        }
    }

    /// Whether `found` holds for this node or one inside it.
    pub(in crate::pattern) fn any(&self, found: &mut impl FnMut(&Self) -> bool) -> bool {
        if found(self) {
            return true;
        }
        match self {
            Self::Empty | Self::Set(_) | Self::Look(_) | Self::Backreference { .. } => false,
            Self::Capture(node)
            | Self::Atomic(node)
            | Self::Repeat { node, .. }
            | Self::Around { node, .. } => node.any(found),
            Self::Concat(nodes) | Self::Alternate(nodes) => {
                nodes.iter().any(|node| node.any(found))
            }
            Self::Conditional { yes, no, .. } => {
                yes.any(found) || no.as_ref().is_some_and(|no| no.any(found))
            }
        }
    }

    /// Whether what a group matched decides what comes after it.
    pub(in crate::pattern) fn refers_back(&self) -> bool {
        self.any(&mut |node| matches!(node, Self::Backreference { .. } | Self::Conditional { .. }))
    }

    /// Whether an automaton cannot run the pattern: look-around, back-references, atomic groups.
    pub(in crate::pattern) fn needs_backtracking(&self) -> bool {
        self.any(&mut |node| {
            matches!(
                node,
                Self::Around { .. }
                    | Self::Backreference { .. }
                    | Self::Conditional { .. }
                    | Self::Atomic(_)
                    | Self::Repeat {
                        mode: RepeatMode::Possessive,
                        ..
                    }
            )
        })
    }
}
