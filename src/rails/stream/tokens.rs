//! Counting tokens on a text that comes in pieces.

/// A word with the white space before it is a token; a longer word counts one token for every so many characters.
const LONGEST: u32 = 16;

/// Finds where tokens begin, whatever the pieces.
#[derive(Debug, Default)]
pub(super) struct TokenCounter {
    /// Characters of the current token's word; 0 while still in the white space before it.
    word: u32,
    /// Whether a token has begun.
    begun: bool,
}

impl TokenCounter {
    /// Reads the next piece, which begins at `offset`, and calls `begins` with the offset of each token that begins in it.
    pub(super) fn read(&mut self, piece: &str, offset: u64, mut begins: impl FnMut(u64)) {
        for (index, character) in piece.char_indices() {
            let at = offset + index as u64;
            if character.is_whitespace() {
                if !self.begun || self.word > 0 {
                    self.begun = true;
                    self.word = 0;
                    begins(at);
                }
            } else {
                if !self.begun || self.word == LONGEST {
                    self.begun = true;
                    self.word = 0;
                    begins(at);
                }
                self.word += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begins(pieces: &[&str]) -> Vec<u64> {
        let (mut counter, mut found, mut offset) = (TokenCounter::default(), Vec::new(), 0);
        for piece in pieces {
            counter.read(piece, offset, |at| found.push(at));
            offset += piece.len() as u64;
        }
        found
    }

    #[test]
    fn a_token_is_a_word_with_the_space_before_it() {
        assert_eq!(begins(&["one two  three"]), [0, 3, 7]);
        assert_eq!(begins(&["  one"]), [0]);
        assert_eq!(begins(&[&"x".repeat(40)]), [0, 16, 32]);
    }

    #[test]
    fn any_cut_counts_the_same() {
        let text = "one two  three 東京は大きい都市です。とても大きい。 end";
        let whole = begins(&[text]);
        for (cut, _) in text.char_indices() {
            assert_eq!(begins(&[&text[..cut], &text[cut..]]), whole);
        }
    }
}
