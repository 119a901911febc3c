//! JSON's escapes, resolved piece by piece.

use crate::wire::json::unescape_leniently;

/// Resolves the escapes of JSON that comes in pieces. It reads from the first piece on: what stands before the first escape
/// may begin a match that ends after it.
#[derive(Debug, Default)]
pub(super) struct Unescape {
    /// An escape that is not whole yet.
    pending: String,
}

impl Unescape {
    /// The next piece of the reading.
    pub(super) fn read(&mut self, text: &str) -> String {
        self.pending.push_str(text);
        let whole = self.pending.len() - unfinished(&self.pending);
        let rest = self.pending.split_off(whole);
        let ready = std::mem::replace(&mut self.pending, rest);
        unescape_leniently(&ready).into_owned()
    }
}

/// How many bytes at the end of a text are of an escape that is not whole.
fn unfinished(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', bytes.get(at..).unwrap_or_default()) {
        let start = at + found;
        let is_unit = |from: usize| bytes.get(from + 1) == Some(&b'u');
        let mut end = start + if is_unit(start) { 6 } else { 2 };
        // The first half of a pair of units waits for the second.
        let is_high = |digits: &[u8]| {
            matches!(
                digits,
                [b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B', ..]
            )
        };
        if is_unit(start) && bytes.get(start + 2..).is_some_and(is_high) {
            end += 6;
        }
        if end > bytes.len() {
            // A high unit that no second one follows is whole as it stands.
            return if bytes.get(start + 6).is_some_and(|next| *next != b'\\') {
                0
            } else {
                bytes.len() - start
            };
        }
        at = if bytes.get(start + 6) == Some(&b'\\') || end <= start + 6 {
            end
        } else {
            start + 6
        };
    }
    0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However a text is cut, the pieces of the reading are the reading of the whole, but for an escape that is not whole.
        #[test]
        fn a_cut_changes_nothing(
            pieces in prop::collection::vec(
                prop::sample::select(vec![
                    "\\", "\\\\", "\\n", "\\u", "0073", "\\u0073", "\\ud83d", "\\ude00", "d83", "s", "é", "\"", "\\/", "x",
                ]),
                0..24,
            ),
            cuts in prop::collection::vec(1_usize..4, 0..40),
        ) {
            let text = pieces.concat();
            let whole = unescape_leniently(&text);
            let mut unescape = Unescape::default();
            let mut read = String::new();
            let characters: Vec<char> = text.chars().collect();
            let mut rest = characters.as_slice();
            for cut in cuts.into_iter().chain(std::iter::once(usize::MAX)) {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                read.push_str(&unescape.read(&piece.iter().collect::<String>()));
                rest = after;
            }
            prop_assert!(whole.starts_with(&read), "{read:?} of {whole:?}");
            prop_assert_eq!(read + &unescape_leniently(&unescape.pending), whole.into_owned());
        }
    }
}
