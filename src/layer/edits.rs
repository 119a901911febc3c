//! Where texts of a reply lie that may be rewritten, and what is put there.

use std::{borrow::Cow, ops::Range};

use super::{calls::CallKey, channels::Channels};
use crate::wire::{BodyEdit, Edit};

/// A place in a body that another text may be put into.
#[derive(Debug, Clone)]
pub(super) struct EditSite {
    pub(super) slot: Slot,
    pub(super) span: Range<usize>,
}

/// What stands in a place.
#[derive(Debug, Clone, Copy)]
pub(super) enum Slot {
    /// A text of a track, with where it begins and ends in it.
    Text {
        track: usize,
        start: u64,
        end: u64,
        copy: Copied,
    },
    /// A part of a call, or a piece of such a part.
    Call {
        track: usize,
        call: CallKey,
        part: CallPart,
        /// Whether it stands there as a string, rather than as other JSON.
        is_string: bool,
    },
    /// All of a call, or of a piece of it, in the list that begins at this offset.
    Element {
        track: usize,
        call: CallKey,
        list: usize,
    },
}

/// Whether a place has the text itself, or repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Copied {
    /// It is the text's own place.
    No,
    /// It repeats a piece of it; the copy's own track tells the copies apart.
    Piece(usize),
    /// It repeats all of it so far.
    Whole,
}

/// A part of a call that a rail may rewrite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallPart {
    Name,
    /// The whole name, once more.
    NameAgain,
    Arguments,
    /// All arguments, once more.
    ArgumentsAgain,
    Index,
}

/// The edits that put new texts in the place of those of a track, in one body or in several, one after the other: each place
/// takes the next text, those behind the last take nothing. What repeats the text piece by piece without being a text itself,
/// as log-probabilities do, is emptied.
pub(super) struct Rewriting {
    track: usize,
    texts: Vec<String>,
    /// How many places of the text, and of each copy of it, have theirs.
    placed: Vec<(Option<usize>, usize)>,
    repeating: Vec<(usize, Edit<'static>)>,
}

impl Rewriting {
    pub(super) fn new(channels: &Channels, track: usize, texts: Vec<String>) -> Self {
        Self {
            track,
            texts,
            placed: Vec::new(),
            repeating: channels.repeating(track),
        }
    }

    /// The edits of the next body.
    pub(super) fn edit(&mut self, sites: &[EditSite], edits: &mut Vec<BodyEdit>) {
        for site in sites {
            let Slot::Text { track, copy, .. } = site.slot else {
                continue;
            };
            if track == self.track {
                let text = match copy {
                    Copied::No => self.next_of(None),
                    Copied::Piece(copy) => self.next_of(Some(copy)),
                    Copied::Whole => self.texts.concat(),
                };
                edits.push((site.span.clone(), Edit::Text(text.into())));
                continue;
            }
            let mut repeating = self.repeating.iter();
            if let Some((_, nothing)) = repeating.find(|(repeating, _)| *repeating == track) {
                edits.push((site.span.clone(), nothing.clone()));
            }
        }
    }

    fn next_of(&mut self, copy: Option<usize>) -> String {
        let found = self.placed.iter_mut().find(|(other, _)| *other == copy);
        let number = match found {
            Some((_, number)) => {
                *number += 1;
                *number - 1
            }
            None => {
                self.placed.push((copy, 1));
                0
            }
        };
        self.texts.get(number).cloned().unwrap_or_default()
    }

    /// Whether all texts found their place.
    pub(super) fn is_placed(&self) -> bool {
        let mut placed = self.placed.iter();
        placed.any(|(copy, number)| copy.is_none() && *number >= self.texts.len())
    }
}

/// What makes the calls of a choice others.
#[derive(Debug, Default)]
pub(super) struct CallChanges {
    /// New names and arguments: the first place takes them, the others nothing.
    pub(super) texts: Vec<(CallKey, CallPart, String)>,
    /// Calls that are taken out.
    pub(super) dropped: Vec<CallKey>,
    /// Calls that follow those: their new index.
    pub(super) renumbered: Vec<(CallKey, u32)>,
}

/// The edits that make the calls of a track others, in one body or in several, one after the other.
#[derive(Debug)]
pub(super) struct CallRewriting {
    track: usize,
    changes: CallChanges,
    /// Which of the texts have found a place.
    placed: Vec<bool>,
}

impl CallRewriting {
    pub(super) fn new(track: usize, changes: CallChanges) -> Self {
        Self {
            track,
            placed: vec![false; changes.texts.len()],
            changes,
        }
    }

    /// The edits of the next body.
    pub(super) fn edit(&mut self, sites: &[EditSite], edits: &mut Vec<BodyEdit>) {
        for site in sites {
            if let Slot::Call {
                track,
                call,
                part,
                is_string,
            } = site.slot
                && track == self.track
            {
                let edit = self.edit_of(call, part, is_string);
                edits.extend(edit.map(|edit| (site.span.clone(), edit)));
            }
        }
        self.take_out(sites, edits);
    }

    fn edit_of(&mut self, call: CallKey, part: CallPart, is_string: bool) -> Option<Edit<'static>> {
        if part == CallPart::Index {
            let mut renumbered = self.changes.renumbered.iter();
            let (_, index) = renumbered.find(|(key, _)| *key == call)?;
            return Some(Edit::Raw(index.to_string().into_bytes().into()));
        }
        let (part, is_again) = match part {
            CallPart::NameAgain => (CallPart::Name, true),
            CallPart::ArgumentsAgain => (CallPart::Arguments, true),
            part => (part, false),
        };
        let mut texts = self.changes.texts.iter().zip(&mut self.placed);
        let ((_, _, text), is_placed) =
            texts.find(|((key, of, _), _)| (*key, *of) == (call, part))?;
        let text = match *is_placed && !is_again {
            true => String::new(),
            false => text.clone(),
        };
        *is_placed = true;
        Some(if is_string {
            Edit::Text(text.into())
        } else {
            Edit::Raw(text.into_bytes().into())
        })
    }

    /// Takes the dropped calls out of their lists, each with a comma.
    fn take_out(&self, sites: &[EditSite], edits: &mut Vec<BodyEdit>) {
        if self.changes.dropped.is_empty() {
            return;
        }
        let elements: Vec<_> = sites
            .iter()
            .filter_map(|site| match site.slot {
                Slot::Element { track, call, list } if track == self.track => {
                    Some((list, self.changes.dropped.contains(&call), &site.span))
                }
                _ => None,
            })
            .collect();
        for list in elements.chunk_by(|(one, ..), (other, ..)| one == other) {
            let last_kept = list.iter().rposition(|(_, is_dropped, _)| !is_dropped);
            for (index, (_, _, span)) in list.iter().enumerate().filter(|(_, (_, d, _))| *d) {
                // Up to the next one; behind the last that stays, from the end of the one before.
                let range = match (last_kept, list.get(index + 1)) {
                    (Some(kept), _) if index > kept => {
                        list.get(index - 1)
                            .map_or(span.start, |(.., before)| before.end)
                            ..span.end
                    }
                    (_, Some((.., next))) => span.start..next.start,
                    (_, None) => (*span).clone(),
                };
                edits.push((range, Edit::Raw(Cow::Borrowed(b""))));
            }
        }
    }

    /// Whether every text found its place.
    pub(super) fn is_placed(&self) -> bool {
        self.placed.iter().all(|is_placed| *is_placed)
    }
}
