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
    /// The beginning of an escape whose end never came: it stands as it is.
    pub(super) fn rest(&mut self) -> String {
        std::mem::take(&mut self.pending)
    }

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
        match length(bytes.get(start..).unwrap_or_default()) {
            Some(length) => at = start + length,
            None => return bytes.len() - start,
        }
    }
    0
}

/// How long the escape is that a text begins with: one byte, if it is none after all. None: its end has not come.
fn length(text: &[u8]) -> Option<usize> {
    const NO_ESCAPE: Option<usize> = Some(1);
    match text.get(1)? {
        b'u' => {}
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => return Some(2),
        _ => return NO_ESCAPE,
    }
    match unit(text) {
        Unit::Open => None,
        Unit::Value(0xD800..0xDC00) => {
            // The first half of a pair waits for the second.
            let second = text.get(6..).unwrap_or_default();
            match second {
                [] | [b'\\'] => None,
                [b'\\', b'u', ..] => match unit(second) {
                    Unit::Open => None,
                    Unit::Value(0xDC00..0xE000) => Some(12),
                    _ => NO_ESCAPE,
                },
                _ => NO_ESCAPE,
            }
        }
        Unit::Value(0xDC00..0xE000) | Unit::No => NO_ESCAPE,
        Unit::Value(_) => Some(6),
    }
}

/// What stands behind `\u`.
enum Unit {
    Value(u32),
    /// The beginning of four digits.
    Open,
    No,
}

/// Reads the unit of a text that begins with `\u`.
fn unit(text: &[u8]) -> Unit {
    let mut value = 0;
    for at in 2..6 {
        let Some(byte) = text.get(at) else {
            return Unit::Open;
        };
        match char::from(*byte).to_digit(16) {
            Some(digit) => value = value * 16 + digit,
            None => return Unit::No,
        }
    }
    Unit::Value(value)
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
