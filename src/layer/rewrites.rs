//! Where rewritten texts lie, and what is put there.

use std::{borrow::Cow, ops::Range};

use super::{calls::CallKey, tracks::Tracks};
use crate::wire::Edit;

/// A place in a body that another text may be put into.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) spot: Spot,
    pub(super) span: Range<usize>,
}

/// What stands in a place.
#[derive(Debug, Clone, Copy)]
pub(super) enum Spot {
    /// A text of a track.
    Text(usize),
    /// A part of a call, or a piece of such a part.
    Call {
        track: usize,
        call: CallKey,
        part: CallPart,
        /// Whether it stands there as a string, rather than as other JSON.
        is_string: bool,
    },
}

/// A part of a call that a rail may rewrite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallPart {
    Name,
    Arguments,
}

/// An edit of a body.
pub(super) type BodyEdit = (Range<usize>, Edit<'static>);

/// The edits that put `text` in the place of the texts of `track`, in one body or in several, one after the other: the first
/// token takes it, the others nothing. Log-probabilities, which repeat the text piece by piece, are emptied.
pub(super) struct Rewriting {
    track: usize,
    text: Option<String>,
    log_probabilities: Vec<(usize, bool)>,
}

impl Rewriting {
    pub(super) fn new(tracks: &Tracks, track: usize, text: String) -> Self {
        Self {
            track,
            text: Some(text),
            log_probabilities: tracks.log_probabilities(track),
        }
    }

    /// The edits of the next body.
    pub(super) fn edit(&mut self, places: &[Place], edits: &mut Vec<BodyEdit>) {
        for place in places {
            let Spot::Text(track) = place.spot else {
                continue;
            };
            if track == self.track {
                let text = self.text.take().unwrap_or_default();
                edits.push((place.span.clone(), Edit::Text(text.into())));
                continue;
            }
            let repeated = self
                .log_probabilities
                .iter()
                .find(|(repeated, _)| *repeated == track);
            match repeated {
                Some((_, true)) => {
                    edits.push((place.span.clone(), Edit::Raw(Cow::Borrowed(b"null"))));
                }
                Some((_, false)) => edits.push((place.span.clone(), Edit::Text(Cow::Borrowed("")))),
                None => {}
            }
        }
    }

    /// Whether the text found its place.
    pub(super) fn is_placed(&self) -> bool {
        self.text.is_none()
    }
}

/// The edits that make the calls of a track others, in one body or in several, one after the other.
pub(super) struct CallRewriting {
    track: usize,
    /// Each with whether its first place has taken it.
    changes: Vec<(CallKey, CallPart, String, bool)>,
}

impl CallRewriting {
    pub(super) fn new(track: usize, changes: Vec<(CallKey, CallPart, String)>) -> Self {
        let changes = changes.into_iter();
        Self {
            track,
            changes: changes
                .map(|(key, part, text)| (key, part, text, false))
                .collect(),
        }
    }

    /// The edits of the next body.
    pub(super) fn edit(&mut self, places: &[Place], edits: &mut Vec<BodyEdit>) {
        for place in places {
            let Spot::Call {
                track,
                call,
                part,
                is_string,
            } = place.spot
            else {
                continue;
            };
            let mut changes = self.changes.iter_mut();
            let change = changes.find(|(key, of, ..)| (*key, *of) == (call, part));
            let Some((_, _, text, is_placed)) = change.filter(|_| track == self.track) else {
                continue;
            };
            *is_placed = true;
            let text = std::mem::take(text);
            let edit = if is_string {
                Edit::Text(text.into())
            } else {
                Edit::Raw(text.into_bytes().into())
            };
            edits.push((place.span.clone(), edit));
        }
    }

    /// Whether every change found its place.
    pub(super) fn is_placed(&self) -> bool {
        self.changes.iter().all(|(.., is_placed)| *is_placed)
    }
}
