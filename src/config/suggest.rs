//! "Did you mean": the known name that is closest to one that is not.

/// Whether two names differ by a slip or two: letters left out, added, changed or swapped.
pub(crate) fn is_similar(one: &str, other: &str) -> bool {
    let allowed = (one.chars().count().max(other.chars().count()) / 4).clamp(1, 3);
    distance(one, other, allowed) <= allowed
}

/// The closest of `known` to `name`, where one is close.
pub(crate) fn suggest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let close = known.into_iter().filter(|known| is_similar(known, name));
    close.min_by_key(|known| distance(known, name, 3))
}

/// The Damerau-Levenshtein distance (swaps of neighbours count one), or more than `limit`.
fn distance(one: &str, other: &str, limit: usize) -> usize {
    let one: Vec<char> = one.chars().flat_map(char::to_lowercase).take(128).collect();
    let other: Vec<char> = other
        .chars()
        .flat_map(char::to_lowercase)
        .take(128)
        .collect();
    if one.len().abs_diff(other.len()) > limit {
        return limit + 1;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, a) in one.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, b) in other.iter().enumerate() {
            let change = last[column] + usize::from(a != b);
            let mut best = change.min(last[column + 1] + 1).min(current[column] + 1);
            let is_swap = row > 0 && column > 0 && *a == other[column - 1] && one[row - 1] == *b;
            if is_swap {
                best = best.min(before[column - 1] + 1);
            }
            current.push(best);
        }
        before = std::mem::replace(&mut last, current);
    }
    last.last().copied().unwrap_or(limit + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_seen() {
        let known = ["input", "output", "retrieval", "dialog"];
        assert_eq!(suggest("inptu", known), Some("input"));
        assert_eq!(suggest("ouput", known), Some("output"));
        assert_eq!(suggest("streaming", known), None);
        assert_eq!(suggest("flow", ["flows", "parallel"]), Some("flows"));
    }
}
