//! What the rails share that have a service find personal data, and mask it themselves.

use std::cmp::Reverse;

use serde::Deserialize;

use super::{
    Flow,
    source::{INPUT, OUTPUT, RETRIEVAL},
};
use crate::verdict::Place;

/// The flows of a rail that finds personal data at every place: those of `detect`, which say `refusal` on a block, then those of
/// `mask`; `names` in this order: on input, on output, on retrieval.
pub(super) const fn flows(
    detect: (&'static str, [&'static str; 3]),
    refusal: &'static str,
    mask: (&'static str, [&'static str; 3]),
) -> [Flow; 6] {
    [
        Flow::new(detect.1[0], Place::Input, detect.0)
            .arguments(INPUT)
            .says(refusal),
        Flow::new(detect.1[1], Place::Output, detect.0)
            .arguments(OUTPUT)
            .says(refusal),
        Flow::new(detect.1[2], Place::Retrieval, detect.0)
            .arguments(RETRIEVAL)
            .says(refusal),
        Flow::new(mask.1[0], Place::Input, mask.0)
            .arguments(INPUT)
            .only_rewrites(),
        Flow::new(mask.1[1], Place::Output, mask.0)
            .arguments(OUTPUT)
            .only_rewrites(),
        Flow::new(mask.1[2], Place::Retrieval, mask.0)
            .arguments(RETRIEVAL)
            .only_rewrites(),
    ]
}

/// The kinds of data to find in the texts of one source; none: all.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Wanted {
    pub(super) entities: Vec<String>,
}

/// Where a service found something; offsets count characters, and the end is outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) label: String,
}

/// `text` with the label of each span between `brackets` in its place. Spans that overlap are masked together, under the label of
/// the first, and of those that begin together the longest.
pub(super) fn mask(text: &str, mut spans: Vec<Span>, brackets: (char, char)) -> String {
    let offsets: Vec<usize> = text.char_indices().map(|(offset, _)| offset).collect();
    let between = |start: usize, end: usize| {
        let byte = |index: usize| offsets.get(index).copied().unwrap_or(text.len());
        text.get(byte(start)..byte(end)).unwrap_or_default()
    };
    spans.sort_by_key(|span| (span.start, Reverse(span.end)));
    let mut masked = String::with_capacity(text.len());
    let mut done = 0;
    for span in &spans {
        if span.start >= done {
            masked.push_str(between(done, span.start));
            masked.push(brackets.0);
            masked.push_str(&span.label);
            masked.push(brackets.1);
        }
        done = done.max(span.end);
    }
    masked.push_str(between(done, usize::MAX));
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str, spans: &[(usize, usize, &str)]) -> String {
        let spans = spans.iter().map(|(start, end, label)| Span {
            start: *start,
            end: *end,
            label: (*label).to_owned(),
        });
        mask(text, spans.collect(), ('[', ']'))
    }

    #[test]
    fn spans_count_characters_and_may_overlap() {
        assert_eq!(
            masked("é Ann of Rome", &[(9, 13, "CITY"), (2, 5, "NAME")]),
            "é [NAME] of [CITY]"
        );
        assert_eq!(masked("Ann", &[]), "Ann");
        assert_eq!(masked("Ann", &[(0, 99, "A")]), "[A]");
        // Nothing of either is left, whatever the labels' lengths.
        assert_eq!(
            masked(
                "ann@rome.it!",
                &[(0, 3, "NAME"), (0, 11, "EMAIL"), (4, 11, "DOMAIN")]
            ),
            "[EMAIL]!"
        );
        assert_eq!(masked("abcdef", &[(0, 3, "A"), (2, 5, "B")]), "[A]f");
    }
}
