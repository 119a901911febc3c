//! Names that are meant: "did you mean".

/// Whether one name may be a mistyping of the other: a few letters lie between them, or a word too many.
pub(crate) fn is_similar(one: &str, other: &str) -> bool {
    let longer = one.chars().count().max(other.chars().count());
    distance(one, other) <= (longer / 4).max(2).min(longer.saturating_sub(1))
        || has_words_of(one, other)
        || has_words_of(other, one)
}

/// Whether `name` has all words of `other`, which are several.
fn has_words_of(name: &str, other: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let words = text.split(['_', ' ', '-']).filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect()
    };
    let (name, other) = (words(name), words(other));
    other.len() > 1 && other.iter().all(|word| name.contains(word))
}

/// The nearest of `known` that is similar to `name`.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .filter(|known| is_similar(known, name))
        .min_by_key(|known| distance(known, name))
}

/// How many letters must be added, dropped, changed or swapped. Names longer than 100 letters count as unlike.
fn distance(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.to_lowercase().chars().collect();
    let other: Vec<char> = other.to_lowercase().chars().collect();
    if one.len().max(other.len()) > 100 {
        return usize::MAX;
    }
    let width = other.len() + 1;
    let mut rows = vec![(0..width).collect::<Vec<usize>>()];
    for (i, &left) in one.iter().enumerate() {
        let mut row = Vec::with_capacity(width);
        row.push(i + 1);
        for (j, &right) in other.iter().enumerate() {
            let mut best = (rows[i][j] + usize::from(left != right))
                .min(rows[i][j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && left == other[j - 1] && one[i - 1] == right {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistyped_names_find_what_was_meant() {
        let known = ["input", "output", "retrieval", "dialog"];
        assert_eq!(nearest("inptu", known.into_iter()), Some("input"));
        assert_eq!(nearest("outputs", known.into_iter()), Some("output"));
        assert_eq!(nearest("whatever", known.into_iter()), None);
        assert!(is_similar("flow", "flows"));
        assert!(!is_similar("a", "b"));
        assert_eq!(
            nearest(
                "single_llm_call",
                ["single_call", "user_messages"].into_iter()
            ),
            Some("single_call")
        );
    }
}
