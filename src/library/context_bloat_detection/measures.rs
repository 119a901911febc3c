//! What padding shows in: how even characters are spread, how long one runs, how often words come again.

use std::collections::{HashMap, HashSet};

/// Above this length, in code points, entropy is taken from a sample.
const SAMPLE_ABOVE: usize = 10_000;
/// A third of the sample: what is taken from the beginning, the middle and the end.
const SAMPLE_THIRD: usize = 8_000 / 3;

/// Shannon's entropy of a text of `chars` code points, in bits a code point; of a long text that of its beginning, middle and end.
pub(super) fn entropy(text: &str, chars: usize) -> f64 {
    let mut counts = Counts::default();
    if chars > SAMPLE_ABOVE {
        let half = SAMPLE_THIRD / 2;
        let middle = chars / 2 - half..chars / 2 + half;
        for (index, char) in text.chars().enumerate() {
            if index < SAMPLE_THIRD || middle.contains(&index) || index >= chars - SAMPLE_THIRD {
                counts.add(char);
            }
        }
    } else {
        text.chars().for_each(|char| counts.add(char));
    }
    counts.entropy()
}

/// How often each character occurs, in the order in which they came: sums of fractions depend on it.
struct Counts {
    counts: Vec<u32>,
    /// Of each ASCII character its place in `counts`, plus one.
    ascii: [u8; 128],
    others: HashMap<char, usize>,
    total: u32,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            counts: Vec::with_capacity(64),
            ascii: [0; 128],
            others: HashMap::new(),
            total: 0,
        }
    }
}

impl Counts {
    fn add(&mut self, char: char) {
        let next = self.counts.len();
        let slot = match self.ascii.get_mut(char as usize) {
            // Characters of other kinds may have taken places, so that one of ASCII finds none that fits: it goes with them.
            Some(slot) if *slot > 0 => usize::from(*slot) - 1,
            Some(slot) if next < usize::from(u8::MAX) => {
                *slot = u8::try_from(next + 1).unwrap_or(u8::MAX);
                next
            }
            _ => *self.others.entry(char).or_insert(next),
        };
        self.total = self.total.saturating_add(1);
        match self.counts.get_mut(slot) {
            Some(count) => *count += 1,
            None => self.counts.push(1),
        }
    }

    fn entropy(&self) -> f64 {
        let total = f64::from(self.total);
        let terms = self.counts.iter().map(|count| {
            let share = f64::from(*count) / total;
            share * share.log2()
        });
        0.0 - terms.sum::<f64>()
    }
}

/// The length of the longest run of one character, in code points.
pub(super) fn longest_run(text: &str) -> usize {
    let mut longest = 0;
    let mut current = 0;
    let mut last = None;
    for char in text.chars() {
        if last == Some(char) {
            current += 1;
        } else {
            last = Some(char);
            current = 1;
        }
        longest = longest.max(current);
    }
    longest
}

/// How many of the sequences of `size` words are there already when they come.
pub(super) fn repetition(text: &str, size: usize) -> f64 {
    // Words become numbers, so that a sequence is compared without its letters.
    let mut known: HashMap<&str, u32> = HashMap::new();
    let mut words: Vec<u32> = Vec::new();
    for word in text.split(is_python_space).filter(|word| !word.is_empty()) {
        let next = u32::try_from(known.len()).unwrap_or(u32::MAX);
        words.push(*known.entry(word).or_insert(next));
    }
    if words.len() < size {
        return 0.0;
    }
    let sequences = words.len() - size + 1;
    let distinct = if known.len() == words.len() {
        sequences
    } else {
        let mut seen = HashSet::with_capacity(sequences);
        seen.extend(words.windows(size));
        seen.len()
    };
    share(sequences - distinct, sequences)
}

/// What Python's `str.split` splits at.
fn is_python_space(char: char) -> bool {
    char.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&char)
}

/// The first `count` code points of `text`.
pub(super) fn first_chars(text: &str, count: usize) -> &str {
    match text.char_indices().nth(count) {
        Some((end, _)) => text.get(..end).unwrap_or(text),
        None => text,
    }
}

/// Which part of `whole` is `part`; 0 of nothing.
#[allow(
    clippy::cast_precision_loss,
    reason = "lengths of texts are far below 2^52"
)]
pub(super) fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    part as f64 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_the_beginning_the_middle_and_the_end() {
        // What lies between the three is not looked at.
        let text = format!(
            "{}{}{}",
            "a".repeat(3000),
            "xyz".repeat(20),
            "a".repeat(8000)
        );
        assert_eq!(entropy(&text, 11_060), 0.0);
        let middle = format!(
            "{}{}{}",
            "a".repeat(5500),
            "xyz".repeat(20),
            "a".repeat(5500)
        );
        assert!(entropy(&middle, 11_060) > 0.0);
    }

    #[test]
    fn more_kinds_of_characters_than_a_byte_counts() {
        let text: String = ('\u{100}'..'\u{300}').chain('a'..='z').collect();
        assert!((entropy(&text, 538) - 538_f64.log2()).abs() < 1e-9);
        let twice = format!("{text}{text}");
        assert!((entropy(&twice, 1076) - 538_f64.log2()).abs() < 1e-9);
    }

    #[test]
    fn sequences_that_come_again() {
        assert_eq!(repetition("a b a b a b", 2), 3.0 / 5.0);
        assert_eq!(repetition("a b c", 3), 0.0);
        assert_eq!(repetition("a a", 3), 0.0);
        // Python's spaces, some of which Unicode does not count among them.
        assert_eq!(repetition("a\u{1c}a\u{2028}a", 1), 2.0 / 3.0);
    }
}
