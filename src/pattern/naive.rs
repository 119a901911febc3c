//! Matching by definition, slowly: what the tests compare with.

use std::collections::BTreeSet;

use super::syntax::{
    ast::{Look, Node, WordKind},
    sets,
};

/// Every place in `text` where a match that starts at `start` can end.
pub(super) fn ends(node: &Node, text: &[Option<char>], start: usize) -> BTreeSet<usize> {
    match node {
        Node::Empty => BTreeSet::from([start]),
        Node::Set(set) => match text.get(start) {
            Some(Some(c)) if sets::holds(set, *c) => BTreeSet::from([start + 1]),
            _ => BTreeSet::new(),
        },
        Node::Look(look) if holds(*look, text, start) => BTreeSet::from([start]),
        Node::Look(_) => BTreeSet::new(),
        Node::Capture(node) => ends(node, text, start),
        Node::Concat(nodes) => nodes.iter().fold(BTreeSet::from([start]), |places, node| {
            places
                .into_iter()
                .flat_map(|place| ends(node, text, place))
                .collect()
        }),
        Node::Alternate(nodes) => nodes
            .iter()
            .flat_map(|node| ends(node, text, start))
            .collect(),
        Node::Repeat { node, min, max, .. } => {
            let once = |places: &BTreeSet<usize>| -> BTreeSet<usize> {
                places
                    .iter()
                    .flat_map(|place| ends(node, text, *place))
                    .collect()
            };
            let mut places = BTreeSet::from([start]);
            for _ in 0..*min {
                places = once(&places);
            }
            let mut all = places.clone();
            let mut rounds = max.map_or(u32::MAX, |max| max - min);
            while rounds > 0 && !places.is_empty() {
                rounds -= 1;
                places = once(&places).difference(&all).copied().collect();
                all.extend(&places);
            }
            all
        }
        _ => panic!("no automaton runs this pattern"),
    }
}

fn holds(look: Look, text: &[Option<char>], place: usize) -> bool {
    let left = place.checked_sub(1).and_then(|left| text.get(left));
    let right = text.get(place);
    let is_word = |side: Option<&Option<char>>, kind| match (side, kind) {
        (Some(Some(c)), WordKind::Unicode) => sets::holds(&sets::word(), *c),
        (Some(Some(c)), WordKind::Ascii) => *c == '_' || c.is_ascii_alphanumeric(),
        _ => false,
    };
    let line_feed = Some(&Some('\n'));
    match look {
        Look::Start => left.is_none(),
        Look::StartLine => left.is_none() || left == line_feed,
        Look::End => right.is_none(),
        Look::EndText => right.is_none() || right == line_feed && place + 1 == text.len(),
        Look::EndLine => right.is_none() || right == line_feed,
        Look::Word(kind) => is_word(left, kind) != is_word(right, kind),
        Look::NotWord(kind) => is_word(left, kind) == is_word(right, kind) && !text.is_empty(),
    }
}

/// Whether a match starts at `start`.
pub(super) fn starts_at(node: &Node, text: &[Option<char>], start: usize) -> bool {
    !ends(node, text, start).is_empty()
}
