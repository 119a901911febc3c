//! Halves of surrogate pairs: a service that cuts its text anywhere sends one at the end of a record, the other in the next.

use std::borrow::Cow;

/// Where half a pair stands for itself: 2,048 characters for private use, as many as there are halves.
const FIRST: u32 = 0x10_F800;
const FIRST_HALF: u32 = 0xD800;
const FIRST_LOW_HALF: u32 = 0xDC00;

/// The character that a half is decoded to.
pub(super) fn character(half: u32) -> char {
    let offset = half.wrapping_sub(FIRST_HALF);
    let character = (offset < 0x800).then(|| char::from_u32(FIRST + offset));
    character.flatten().unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn half_of(character: char) -> Option<u32> {
    let code = u32::from(character);
    (code >= FIRST).then(|| code - FIRST + FIRST_HALF)
}

/// Joins the halves of a text that comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct Halves {
    /// The half that the last piece ended with.
    high: Option<u32>,
}

impl Halves {
    /// `piece` with each pair joined, and without the half that it ends with, which stands before the next piece if that begins
    /// with the other. Half a pair that stays one is U+FFFD.
    pub(crate) fn join<'p>(&mut self, piece: &'p str) -> Cow<'p, str> {
        /// The byte that all those characters begin with.
        const LEAD: u8 = 0xF4;
        if self.high.is_none() && memchr::memchr(LEAD, piece.as_bytes()).is_none() {
            return Cow::Borrowed(piece);
        }
        let mut joined = String::with_capacity(piece.len() + 4);
        for character in piece.chars() {
            let half = half_of(character);
            let low = half.filter(|half| *half >= FIRST_LOW_HALF);
            if let Some(high) = self.high.take() {
                let pair = low.and_then(|low| {
                    let high = (high - FIRST_HALF) << 10;
                    char::from_u32(0x1_0000 + high + (low - FIRST_LOW_HALF))
                });
                joined.push(pair.unwrap_or(char::REPLACEMENT_CHARACTER));
                if pair.is_some() {
                    continue;
                }
            }
            match half {
                None => joined.push(character),
                Some(_) if low.is_some() => joined.push(char::REPLACEMENT_CHARACTER),
                high => self.high = high,
            }
        }
        Cow::Owned(joined)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(units: &[u16]) -> String {
        char::decode_utf16(units.iter().copied())
            .map(|unit| unit.unwrap_or_else(|half| character(half.unpaired_surrogate().into())))
            .collect()
    }

    #[test]
    fn any_cut_of_a_text_gives_the_same_text() {
        let text = "a😀b𝐱\u{10f7ff}";
        let units: Vec<u16> = text.encode_utf16().collect();
        for first in 0..=units.len() {
            for second in first..=units.len() {
                let mut halves = Halves::default();
                let pieces = [&units[..first], &units[first..second], &units[second..]];
                let joined: String = pieces
                    .map(|piece| halves.join(&decoded(piece)).into_owned())
                    .concat();
                assert_eq!(joined, text, "{first} {second}");
            }
        }
    }

    #[test]
    fn half_a_pair_that_stays_one_is_no_letter() {
        let mut halves = Halves::default();
        assert_eq!(halves.join(&decoded(&[0x61, 0xD83D])), "a");
        assert_eq!(halves.join("b"), "\u{fffd}b");
        assert_eq!(
            halves.join(&decoded(&[0xDE00, 0xD83D, 0xD83D])),
            "\u{fffd}\u{fffd}"
        );
        assert_eq!(halves.join(&decoded(&[0xDE00])), "😀");
        assert_eq!(halves.join("plain"), "plain");
    }
}
