//! A text that is rewritten while it grows.

use std::{ops::Range, sync::Arc};

use crate::{error::Error, library::Rewriter};

/// How much of the text is kept at least, in bytes: what decides what is found, and what waits to leave.
const KEPT: usize = 4 << 20;

/// A text under one rail that rewrites, which says how far it is settled.
#[derive(Debug)]
pub(crate) struct Growing {
    rewriter: Arc<dyn Rewriter>,
    /// The text as it came, from the offset `base` on.
    text: String,
    base: u64,
    /// How far `text` is settled.
    settled: usize,
    changes: Vec<Change>,
    has_changed: bool,
}

/// What takes the place of a part of the text.
#[derive(Debug)]
struct Change {
    place: Range<u64>,
    text: String,
}

impl Growing {
    pub(crate) fn new(rewriter: &Arc<dyn Rewriter>) -> Self {
        Self {
            rewriter: Arc::clone(rewriter),
            text: String::new(),
            base: 0,
            settled: 0,
            changes: Vec::new(),
            has_changed: false,
        }
    }

    /// Takes more text in.
    ///
    /// # Errors
    ///
    /// Where the rail comes to no verdict.
    pub(crate) fn push(&mut self, text: &str) -> Result<(), Error> {
        self.text.push_str(text);
        self.advance(false)?;
        if self.text.len() > 2 * KEPT {
            self.forget();
        }
        Ok(())
    }

    /// Notes that the text is whole.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        self.advance(true)
    }

    fn advance(&mut self, is_whole: bool) -> Result<(), Error> {
        let piece = self.rewriter.rewrite(&self.text, self.settled, is_whole)?;
        let old = self.text.get(self.settled..piece.upto).unwrap_or_default();
        if piece.text != old {
            let (before, after) = common(old, &piece.text);
            let start = self.base + (self.settled + before) as u64;
            let end = self.base + (piece.upto - after) as u64;
            let new = piece.text.get(before..piece.text.len() - after);
            self.changes.push(Change {
                place: start..end,
                text: new.unwrap_or_default().to_owned(),
            });
            self.has_changed = true;
        }
        self.settled = piece.upto.max(self.settled);
        Ok(())
    }

    /// Lets go of text that is far behind.
    fn forget(&mut self) {
        let mut cut = self.text.len().saturating_sub(KEPT).min(self.settled);
        while !self.text.is_char_boundary(cut) {
            cut -= 1;
        }
        self.text.drain(..cut);
        self.base += cut as u64;
        self.settled -= cut;
        self.changes.retain(|change| change.place.end > self.base);
    }

    /// The offset before which the text is settled.
    pub(crate) fn cleared(&self) -> u64 {
        self.base + self.settled as u64
    }

    /// Whether something was rewritten.
    pub(crate) fn has_changed(&self) -> bool {
        self.has_changed
    }

    /// What takes the place of the text at `place`, which is settled; none where it stays as it is.
    pub(crate) fn rewritten(&self, place: &Range<u64>) -> Option<String> {
        let mut touching = self
            .changes
            .iter()
            .filter(|change| change.place.start < place.end && change.place.end > place.start)
            .peekable();
        touching.peek()?;
        let mut rewritten = String::new();
        let mut at = place.start;
        for change in touching {
            if change.place.start >= place.start {
                rewritten.push_str(self.original(at..change.place.start));
                rewritten.push_str(&change.text);
            }
            at = change.place.end.min(place.end);
        }
        rewritten.push_str(self.original(at..place.end));
        Some(rewritten)
    }

    fn original(&self, place: Range<u64>) -> &str {
        let index = |offset: u64| usize::try_from(offset.saturating_sub(self.base)).ok();
        let range = index(place.start).zip(index(place.end));
        let text = range.and_then(|(start, end)| self.text.get(start..end));
        text.unwrap_or_default()
    }
}

/// How many bytes two texts have in common at their beginning, and behind that at their end.
fn common(one: &str, other: &str) -> (usize, usize) {
    let before: usize = one
        .chars()
        .zip(other.chars())
        .take_while(|(one, other)| one == other)
        .map(|(one, _)| one.len_utf8())
        .sum();
    let (one, other) = (
        one.get(before..).unwrap_or_default(),
        other.get(before..).unwrap_or_default(),
    );
    let mut after: usize = one
        .chars()
        .rev()
        .zip(other.chars().rev())
        .take_while(|(one, other)| one == other)
        .map(|(one, _)| one.len_utf8())
        .sum();
    // A change takes the place of something, so that it stands where that stood.
    if after == one.len() {
        after -= one.chars().next().map_or(0, char::len_utf8);
    }
    (before, after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::Rewritten;

    /// Puts `<name>` in the place of `Ann`; settled up to the last space.
    #[derive(Debug)]
    struct Names;

    impl Rewriter for Names {
        fn rewrite(&self, text: &str, from: usize, is_whole: bool) -> Result<Rewritten, Error> {
            let upto = if is_whole {
                text.len()
            } else {
                text.rfind(' ').unwrap_or(0).max(from)
            };
            Ok(Rewritten {
                text: text[from..upto].replace("Ann", "<name>"),
                upto,
            })
        }
    }

    #[test]
    fn pieces_make_up_the_rewritten_text_however_they_are_cut() {
        let rewriter: Arc<dyn Rewriter> = Arc::new(Names);
        for text in [
            "Ann and Ann met Ann.",
            "é Ann, ü Ann AnnAnn é",
            "none here",
            "Ann",
            "",
        ] {
            let characters: Vec<char> = text.chars().collect();
            for size in 1..=characters.len().max(1) {
                let mut growing = Growing::new(&rewriter);
                let (mut places, mut at) = (Vec::new(), 0);
                let (mut said, mut left) = (String::new(), 0);
                let mut release = |growing: &Growing, places: &[(Range<u64>, String)]| {
                    while let Some((place, piece)) = places.get(left)
                        && place.end <= growing.cleared()
                    {
                        said.push_str(&growing.rewritten(place).unwrap_or_else(|| piece.clone()));
                        left += 1;
                    }
                };
                for piece in characters.chunks(size) {
                    let piece: String = piece.iter().collect();
                    growing.push(&piece).unwrap();
                    places.push((at..at + piece.len() as u64, piece.clone()));
                    at += piece.len() as u64;
                    release(&growing, &places);
                }
                growing.finish().unwrap();
                release(&growing, &places);
                assert_eq!(said, text.replace("Ann", "<name>"), "cut at every {size}");
                assert_eq!(growing.has_changed(), text.contains("Ann"));
            }
        }
    }
}
