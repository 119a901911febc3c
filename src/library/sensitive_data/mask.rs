//! Masking the entities that were found.

use std::ops::Range;

use super::detect::Found;

/// `text` with each entity replaced by what `mask` gives for it; none where there is none.
pub(super) fn masked(
    text: &str,
    found: Vec<Found>,
    mask: impl Fn(usize) -> String,
) -> Option<String> {
    (!found.is_empty()).then(|| masked_within(text, found, 0..text.len(), mask))
}

/// The same for a part of `text`, into which no entity reaches from outside.
pub(super) fn masked_within(
    text: &str,
    found: Vec<Found>,
    part: Range<usize>,
    mask: impl Fn(usize) -> String,
) -> String {
    let mut masked = String::with_capacity(part.len());
    let mut from = part.start;
    let inside = |span: &Found| part.start <= span.range.start && span.range.end <= part.end;
    for span in spans(text, found).into_iter().filter(inside) {
        // Of two that overlap, the second begins where the first does not end.
        masked.push_str(text.get(from..span.range.start).unwrap_or_default());
        masked.push_str(&mask(span.entity));
        from = from.max(span.range.end);
    }
    masked.push_str(text.get(from..part.end).unwrap_or_default());
    masked
}

/// What is masked as one, in the order of the text: overlapping ones of an entity as one, and those with nothing but spaces
/// between them; none that stands in a longer one.
pub(super) fn spans(text: &str, mut found: Vec<Found>) -> Vec<Found> {
    found.sort_by_key(|found| (found.entity, found.range.start, found.range.end));
    let mut merged: Vec<Found> = Vec::with_capacity(found.len());
    for next in found {
        match merged.last_mut() {
            Some(last) if last.entity == next.entity && last.range.end > next.range.start => {
                last.range.end = last.range.end.max(next.range.end);
                last.score = last.score.max(next.score);
            }
            _ => merged.push(next),
        }
    }
    // The longest first, of equal ones the surest.
    merged.sort_by(|left, right| {
        (left.range.start, right.range.end)
            .cmp(&(right.range.start, left.range.end))
            .then(right.score.total_cmp(&left.score))
    });
    let mut spans: Vec<Found> = Vec::with_capacity(merged.len());
    let mut reach = 0;
    for next in merged {
        if next.range.end <= reach {
            continue;
        }
        reach = next.range.end;
        match spans.last_mut() {
            Some(last)
                if last.entity == next.entity
                    && is_spaces(text, last.range.end, next.range.start) =>
            {
                last.range.end = next.range.end;
            }
            _ => spans.push(next),
        }
    }
    spans
}

fn is_spaces(text: &str, from: usize, to: usize) -> bool {
    text.get(from..to)
        .is_some_and(|between| !between.is_empty() && between.bytes().all(|byte| byte == b' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(text: &str, found: &[(std::ops::Range<usize>, f64, usize)]) -> Option<String> {
        let found = found.iter().map(|(range, score, entity)| Found {
            range: range.clone(),
            score: *score,
            entity: *entity,
        });
        masked(text, found.collect(), |entity| format!("<{entity}>"))
    }

    #[test]
    fn overlaps() {
        assert_eq!(mask("abcdef", &[]), None);
        assert_eq!(
            mask("abcdef", &[(0..3, 0.5, 0), (2..5, 0.5, 0)]).unwrap(),
            "<0>f"
        );
        assert_eq!(
            mask("abcdef", &[(0..3, 0.5, 0), (2..5, 0.5, 1)]).unwrap(),
            "<0><1>f"
        );
        assert_eq!(
            mask("abcdef", &[(1..3, 0.9, 0), (0..5, 0.5, 1)]).unwrap(),
            "<1>f"
        );
        assert_eq!(
            mask("abcdef", &[(0..3, 0.5, 0), (0..3, 0.9, 1)]).unwrap(),
            "<1>def"
        );
        assert_eq!(
            mask("a  b c", &[(0..1, 0.5, 0), (3..4, 0.5, 0), (5..6, 0.5, 1)]).unwrap(),
            "<0> <1>"
        );
        assert_eq!(mask("é😀ü", &[(2..6, 0.5, 0)]).unwrap(), "é<0>ü");
    }
}
