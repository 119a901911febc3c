//! Where rewritten texts lie, and what is put there.

use std::{borrow::Cow, ops::Range};

use super::tracks::Tracks;
use crate::wire::Edit;

/// The places in a body of the texts of one track: each is a token that another may take the place of.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) track: usize,
    pub(super) span: Range<usize>,
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
            if place.track == self.track {
                let text = self.text.take().unwrap_or_default();
                edits.push((place.span.clone(), Edit::Text(text.into())));
                continue;
            }
            let repeated = self
                .log_probabilities
                .iter()
                .find(|(track, _)| *track == place.track);
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
