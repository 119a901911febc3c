//! Where rewritten texts lie, and what is put there.

use std::{borrow::Cow, ops::Range};

use super::{calls::CallKey, tracks::Tracks};
use crate::wire::{BodyEdit, Edit};

/// A place in a body that another text may be put into.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) spot: Spot,
    pub(super) span: Range<usize>,
}

/// What stands in a place.
#[derive(Debug, Clone, Copy)]
pub(super) enum Spot {
    /// A text of a track, with where it begins and ends in it.
    Text { track: usize, start: u64, end: u64 },
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

/// A part of a call that a rail may rewrite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallPart {
    Name,
    Arguments,
    Index,
}

/// The edits that put `text` in the place of the texts of `track`, in one body or in several, one after the other: the first
/// token takes it, the others nothing. What repeats the text piece by piece, as log-probabilities do, is emptied.
pub(super) struct Rewriting {
    track: usize,
    text: Option<String>,
    repeating: Vec<(usize, Edit<'static>)>,
}

impl Rewriting {
    pub(super) fn new(tracks: &Tracks, track: usize, text: String) -> Self {
        Self {
            track,
            text: Some(text),
            repeating: tracks.repeating(track),
        }
    }

    /// The edits of the next body.
    pub(super) fn edit(&mut self, places: &[Place], edits: &mut Vec<BodyEdit>) {
        for place in places {
            let Spot::Text { track, .. } = place.spot else {
                continue;
            };
            if track == self.track {
                let text = self.text.take().unwrap_or_default();
                edits.push((place.span.clone(), Edit::Text(text.into())));
                continue;
            }
            let mut repeating = self.repeating.iter();
            if let Some((_, nothing)) = repeating.find(|(repeating, _)| *repeating == track) {
                edits.push((place.span.clone(), nothing.clone()));
            }
        }
    }

    /// Whether the text found its place.
    pub(super) fn is_placed(&self) -> bool {
        self.text.is_none()
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
    pub(super) fn edit(&mut self, places: &[Place], edits: &mut Vec<BodyEdit>) {
        for place in places {
            if let Spot::Call {
                track,
                call,
                part,
                is_string,
            } = place.spot
                && track == self.track
            {
                let edit = self.edit_of(call, part, is_string);
                edits.extend(edit.map(|edit| (place.span.clone(), edit)));
            }
        }
        self.take_out(places, edits);
    }

    fn edit_of(&mut self, call: CallKey, part: CallPart, is_string: bool) -> Option<Edit<'static>> {
        if part == CallPart::Index {
            let mut renumbered = self.changes.renumbered.iter();
            let (_, index) = renumbered.find(|(key, _)| *key == call)?;
            return Some(Edit::Raw(index.to_string().into_bytes().into()));
        }
        let mut texts = self.changes.texts.iter_mut().zip(&mut self.placed);
        let ((_, _, text), is_placed) =
            texts.find(|((key, of, _), _)| (*key, *of) == (call, part))?;
        *is_placed = true;
        let text = std::mem::take(text);
        Some(if is_string {
            Edit::Text(text.into())
        } else {
            Edit::Raw(text.into_bytes().into())
        })
    }

    /// Takes the dropped calls out of their lists, each with a comma.
    fn take_out(&self, places: &[Place], edits: &mut Vec<BodyEdit>) {
        if self.changes.dropped.is_empty() {
            return;
        }
        let elements: Vec<_> = places
            .iter()
            .filter_map(|place| match place.spot {
                Spot::Element { track, call, list } if track == self.track => {
                    Some((list, self.changes.dropped.contains(&call), &place.span))
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
