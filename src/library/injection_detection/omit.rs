//! Cutting out of a text what rules found in it.

use std::{collections::HashSet, ops::Range};

use memchr::memmem;

/// How many bytes may be looked at to cut one text: some texts are made so that every cut makes the next.
const BUDGET: usize = 64 * 1024 * 1024;

/// What is left of the work that one text may take.
#[derive(Debug)]
pub(super) struct Budget {
    left: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { left: BUDGET }
    }
}

/// A text that takes more work than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is too much to cut out of this text")]
pub(super) struct Overrun;

impl Budget {
    /// Takes the work of looking at `bytes` bytes.
    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), Overrun> {
        // What is empty is not looked at for nothing.
        let left = self.left.checked_sub(bytes.max(16)).ok_or(Overrun)?;
        self.left = left;
        Ok(())
    }
}

/// `text` without the `pieces`: each in its turn is cut wherever the text, as it is by then, holds it.
pub(super) fn cut(
    text: &str,
    pieces: &[Range<usize>],
    budget: &mut Budget,
) -> Result<String, Overrun> {
    let mut left = text.to_owned();
    // What is known not to be in the text that is left.
    let mut absent: HashSet<&str> = HashSet::new();
    for piece in pieces {
        let piece = on_boundaries(text, piece.clone());
        if piece.is_empty() || absent.contains(piece) {
            continue;
        }
        budget.spend(left.len())?;
        let finder = memmem::Finder::new(piece.as_bytes());
        if finder.find(left.as_bytes()).is_some() {
            left = left.replace(piece, "");
            absent.clear();
        } else {
            absent.insert(piece);
        }
    }
    Ok(left)
}

/// The characters that `range` touches: what was found may begin or end within one.
fn on_boundaries(text: &str, range: Range<usize>) -> &str {
    let mut start = range.start.min(text.len());
    let mut end = range.end.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    while !text.is_char_boundary(end) {
        end += 1;
    }
    text.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_all(text: &str, pieces: &[(usize, usize)]) -> String {
        let pieces: Vec<Range<usize>> = pieces.iter().map(|&(start, end)| start..end).collect();
        cut(text, &pieces, &mut Budget::default()).unwrap()
    }

    #[test]
    fn what_is_found_goes_everywhere() {
        assert_eq!(cut_all("a{{b{{c", &[(1, 3)]), "abc");
        assert_eq!(cut_all("abcabc", &[(0, 1), (3, 4), (1, 3)]), "");
    }

    #[test]
    fn half_a_character_is_a_whole_one() {
        assert_eq!(cut_all("--é!", &[(0, 3)]), "!");
        assert_eq!(cut_all("aéb", &[(2, 3)]), "ab");
    }

    #[test]
    fn a_piece_that_a_cut_makes_goes_as_often_as_it_was_there() {
        // `;x` is there twice: the second time it is what the first cut left together.
        assert_eq!(cut_all(";x;;xx", &[(0, 2), (3, 5)]), "");
    }

    #[test]
    fn work_ends() {
        let mut budget = Budget { left: 40 };
        assert!(cut("abcabcabcabcabcabcabc", &[0..1, 1..2, 2..3], &mut budget).is_err());
    }
}
