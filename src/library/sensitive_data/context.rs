//! The words before a match, which may make it likelier.

use super::checksums::is_digit;

/// How much a word that speaks for an entity adds to the score.
const ADDS: f64 = 0.35;
/// The least score of a match with such a word.
const AT_LEAST: f64 = 0.4;
/// How many words are looked at: that of the match itself, and five before it.
const WORDS: usize = 6;
/// How far they are looked for, in bytes.
pub(super) const REACH: usize = 512;

/// The score of a match at `start` whose pattern says `score`.
pub(super) fn enhanced<'a>(
    score: f64,
    text: &str,
    start: usize,
    context: impl Iterator<Item = &'a str>,
) -> f64 {
    let words = words(text, start);
    let mut context = context;
    if context.any(|word| words.iter().any(|found| found.contains(word))) {
        (score + ADDS).clamp(AT_LEAST, 1.0)
    } else {
        score
    }
}

/// The word in which `start` stands and those before it, nearest first, in lower case; words that say nothing left out.
fn words(text: &str, start: usize) -> Vec<String> {
    let mut found = Vec::new();
    let own: usize = text
        .get(start..)
        .unwrap_or_default()
        .chars()
        .take_while(|c| is_word(*c))
        .take(REACH)
        .map(char::len_utf8)
        .sum();
    let mut from = start.saturating_sub(REACH);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let mut rest = text.get(from..start + own).unwrap_or_default();
    while found.len() < WORDS {
        rest = rest.trim_end_matches(|c| !is_word(c));
        let begin = begin(rest);
        let (before, word) = rest.split_at(begin);
        if word.is_empty() {
            break;
        }
        let word = word.to_lowercase();
        if !SAYS_NOTHING.contains(&word.as_str()) {
            found.push(word);
        }
        rest = before;
    }
    found
}

/// Where the last word of `text` begins. Separators between digits do not part them.
fn begin(text: &str) -> usize {
    let mut begin = text.len();
    let mut after_digit = false;
    let mut characters = text.char_indices().rev().peekable();
    while let Some((at, c)) = characters.next() {
        let joins = matches!(c, '-' | '.' | ',' | '/' | ':')
            && after_digit
            && characters.peek().is_some_and(|(_, c)| is_digit(*c));
        if !is_word(c) && !joins {
            break;
        }
        after_digit = is_digit(c);
        begin = at;
    }
    begin
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// English words of grammar, which say nothing of what follows.
const SAYS_NOTHING: &[&str] = &[
    "a", "about", "above", "after", "again", "all", "also", "although", "always", "am", "an",
    "and", "another", "any", "are", "as", "at", "back", "be", "because", "been", "before", "being",
    "below", "between", "both", "but", "by", "can", "could", "did", "do", "does", "doing", "done",
    "down", "during", "each", "either", "else", "even", "ever", "every", "few", "first", "for",
    "from", "further", "get", "give", "go", "had", "has", "have", "he", "her", "here", "hers",
    "him", "his", "how", "i", "if", "in", "into", "is", "it", "its", "just", "last", "least",
    "less", "made", "make", "many", "may", "me", "might", "mine", "more", "most", "much", "must",
    "my", "never", "next", "no", "nor", "not", "now", "of", "off", "often", "on", "once", "one",
    "only", "or", "other", "our", "ours", "out", "over", "own", "please", "put", "quite", "rather",
    "re", "really", "s", "same", "say", "see", "she", "should", "show", "since", "so", "some",
    "still", "such", "take", "than", "that", "the", "their", "them", "then", "there", "these",
    "they", "this", "those", "through", "to", "too", "under", "until", "up", "upon", "us", "used",
    "using", "very", "via", "was", "we", "well", "were", "what", "when", "where", "whether",
    "which", "while", "who", "whom", "whose", "why", "will", "with", "within", "without", "would",
    "yet", "you", "your", "yours",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, what: &str) -> Vec<String> {
        words(text, text.find(what).unwrap())
    }

    #[test]
    fn the_words_before() {
        assert_eq!(
            at("My credit card is 4012-8888.", "4012"),
            ["4012", "card", "credit"]
        );
        assert_eq!(
            at("a b1 c2 d3 e4 f5 g6 h7 99", "99"),
            ["99", "h7", "g6", "f5", "e4", "d3"]
        );
        assert_eq!(
            at("on 2020-01-02: ssn078051120", "078"),
            ["ssn078051120", "2020-01-02"]
        );
        assert_eq!(at("été ➜ ２", "２"), ["２", "été"]);
        assert_eq!(at("(212) 555", "(212"), Vec::<String>::new());
    }

    #[test]
    fn a_word_speaks_for_a_match() {
        let score = |text: &str, score| {
            enhanced(score, text, text.find('1').unwrap(), ["bank"].into_iter())
        };
        assert!((score("the banks: 1", 0.05) - 0.4).abs() < 1e-9);
        assert!((score("the bank: 1", 0.8) - 1.0).abs() < 1e-9);
        assert!((score("the shop: 1", 0.05) - 0.05).abs() < 1e-9);
    }
}
