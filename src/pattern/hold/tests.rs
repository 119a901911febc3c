use std::sync::Arc;

use proptest::prelude::*;

use super::{
    super::{naive, search::Patterns, syntax::ast::Node},
    Hold, HoldLimits, HoldProgram, Holding,
};

fn program(patterns: &[&str]) -> Arc<HoldProgram> {
    let patterns = Patterns::compile(patterns, false).unwrap();
    Arc::new(patterns.hold_program(HoldLimits::default()))
}

/// Pushes the pieces and gives what is held after each.
fn held(patterns: &[&str], pieces: &[&str]) -> Vec<String> {
    let mut hold = program(patterns).start();
    let mut text = String::new();
    pieces
        .iter()
        .map(|piece| {
            hold.push_str(piece);
            text.push_str(piece);
            text[usize::try_from(hold.held_from()).unwrap()..].to_owned()
        })
        .collect()
}

#[test]
fn holds_only_what_can_still_match() {
    assert_eq!(held(&["abc"], &["xa", "b", "x"]), ["a", "ab", ""]);
    assert_eq!(held(&["abc", "bd"], &["ab", "a"]), ["ab", "a"]);
    assert_eq!(
        held(&[r"\w+@x"], &["hello ", "wor", "ld ", "a"]),
        ["", "wor", "", "a"]
    );
}

#[test]
fn decides_a_trailing_look_one_character_later() {
    let program = program(&[r"foo\b"]);
    let mut hold = program.start();
    hold.push_str("a foo");
    assert_eq!((hold.matched(), hold.held_from()), (None, 2));
    hold.push_str("d");
    assert_eq!((hold.matched(), hold.held_from()), (None, 6));
    hold.push_str(" foo");
    hold.push_str(" ");
    assert_eq!((hold.matched(), hold.held_from()), (Some(0), 7));
}

#[test]
fn the_end_decides_a_dollar_before_the_last_line_feed() {
    for (text, matches) in [
        ("a b", true),
        ("a b\n", true),
        ("a b\n\n", false),
        ("a b\nc", false),
    ] {
        let mut hold = program(&["b$"]).start();
        hold.push_str(text);
        hold.finish();
        assert_eq!(hold.matched().is_some(), matches, "{text:?}");
        assert_eq!(
            hold.held_from(),
            if matches { 2 } else { text.len() as u64 }
        );
    }
}

#[test]
fn what_precedes_stays_known_after_release() {
    let mut hold = program(&[r"\Ax", r"\by"]).start();
    hold.push_str("a");
    hold.push_str("xy");
    assert_eq!((hold.matched(), hold.held_from()), (None, 3));
    hold.push_str("-y");
    assert_eq!((hold.matched(), hold.held_from()), (Some(1), 4));
}

#[test]
fn nothing_more_is_released_after_a_match() {
    let mut hold = program(&["bad"]).start();
    hold.push_str("ok bad ok ok");
    assert_eq!((hold.matched(), hold.held_from()), (Some(0), 3));
    hold.push_str("more");
    hold.finish();
    assert_eq!(
        (hold.matched(), hold.held_from(), hold.position()),
        (Some(0), 3, 16)
    );
}

#[test]
fn a_long_tail_of_an_unbounded_pattern_overflows() {
    let patterns = Patterns::compile(&["a[^;]*;", "b.{9}!"], false).unwrap();
    let program = Arc::new(patterns.hold_program(HoldLimits::default().with_max_hold(8)));
    let mut hold = program.start();
    // A bounded pattern may hold more.
    hold.push_str("xbxxxxxxxxx");
    assert_eq!((hold.overflowed(), hold.held_from()), (false, 1));
    hold.reset();
    hold.push_str("xa1234567");
    assert_eq!((hold.overflowed(), hold.held_from()), (false, 1));
    hold.push_str("8;");
    assert_eq!((hold.overflowed(), hold.held_from()), (true, 1));
    assert_eq!(hold.matched(), None);
}

#[test]
fn characters_are_held_until_they_are_whole() {
    let mut hold = program(&["é!"]).start();
    let text = "aé!".as_bytes();
    hold.push(&text[..2]);
    assert_eq!(hold.held_from(), 1);
    assert_eq!(hold.position(), 2);
    hold.push(&text[2..3]);
    assert_eq!(hold.held_from(), 1);
    hold.push(&text[3..]);
    assert_eq!((hold.matched(), hold.held_from()), (Some(0), 1));
}

#[test]
fn invalid_bytes_match_nothing() {
    let mut hold = program(&["a[^b]c"]).start();
    for bytes in [
        &b"a\xff"[..],
        b"c a\xe2\x82",
        b"c",
        b"a\xf0\x9f",
        b"\x98\x80c",
    ] {
        assert_eq!(hold.matched(), None);
        hold.push(bytes);
    }
    assert_eq!((hold.matched(), hold.held_from()), (Some(0), 8));
}

#[test]
fn patterns_that_cannot_be_held_are_named() {
    let many = format!("{}x", r"\d?".repeat(3_000));
    let program = program(&["a", "(?=a)b", "b*", r"\b", &many, r"(a)\1", "$"]);
    use Holding::{Empty, Exact, ToEnd, TooLarge};
    assert_eq!(
        program.holdings(),
        [Exact, ToEnd, Empty, Empty, TooLarge, ToEnd, Empty]
    );
    assert_eq!(program.to_end().collect::<Vec<_>>(), [1, 5]);
    assert_eq!(program.holding(4), Some(TooLarge));
}

#[test]
fn more_than_three_hundred_threads_keep_their_starts() {
    for gap in [300, 700] {
        let pattern = format!("a.{{{gap}}}@");
        let mut hold = program(&[&pattern]).start();
        let text = format!("x{}", "a".repeat(gap + 1));
        hold.push_str(&text);
        for n in 0..=gap {
            assert_eq!(hold.held_from(), 1 + n as u64);
            if n == gap / 2 {
                let mut other = program(&[&pattern]).start();
                other.push_str(&text);
                other.push_str(&"a".repeat(n));
                other.push_str("@");
                assert_eq!(
                    (other.matched(), other.held_from()),
                    (Some(0), 1 + n as u64)
                );
            }
            hold.push_str("b");
        }
        assert_eq!(hold.held_from(), (2 * gap + 3) as u64);
    }
}

#[test]
fn reset_begins_anew() {
    let mut hold = program(&[r"\Aab"]).start();
    hold.push_str("xa");
    hold.reset();
    hold.push_str("ab");
    assert_eq!((hold.matched(), hold.held_from()), (Some(0), 0));
}

/// A random pattern over few characters, in Python's syntax.
pub(super) fn pattern() -> impl Strategy<Value = String> {
    let atom = prop_oneof![
        6 => prop::sample::select(vec!["a", "b", "-", "é", "\\n"]).prop_map(str::to_owned),
        3 => prop::sample::select(vec!["[ab]", "[^a]", r"\w", r"\W", ".", r"(?s:.)", "[^b\\n]"])
            .prop_map(str::to_owned),
        4 => prop::sample::select(vec![
            r"\b", r"\B", "^", "$", r"\A", r"\Z", "(?m:^)", "(?m:$)", r"(?a:\b)", r"(?a:\B)",
        ])
        .prop_map(str::to_owned),
    ];
    atom.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            4 => prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            2 => prop::collection::vec(inner.clone(), 2..4)
                .prop_map(|parts| format!("(?:{})", parts.join("|"))),
            2 => (inner, prop::sample::select(vec!["*", "+", "?", "{2}", "{1,3}", "*?", "??"]))
                .prop_map(|(part, times)| format!("(?:{part}){times}")),
        ]
    })
}

/// Random text, sometimes with bytes that are no UTF-8.
pub(super) fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        12 => prop::sample::select(vec!["a", "b", "-", "é", "\n"])
            .prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::sample::select(vec![&b"\xff"[..], b"\xc3", b"\xe2\x82", b"\x80"])
            .prop_map(<[u8]>::to_vec),
    ];
    prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

/// The characters of a text and where each begins; invalid ones are `None`.
fn characters(mut bytes: &[u8]) -> (Vec<Option<char>>, Vec<u64>) {
    let (mut chars, mut places) = (Vec::new(), vec![0_u64]);
    while !bytes.is_empty() {
        let chunk = bytes.utf8_chunks().next().unwrap();
        for c in chunk.valid().chars() {
            chars.push(Some(c));
            places.push(places.last().unwrap() + c.len_utf8() as u64);
        }
        if !chunk.invalid().is_empty() {
            chars.push(None);
            places.push(places.last().unwrap() + chunk.invalid().len() as u64);
        }
        bytes = &bytes[chunk.valid().len() + chunk.invalid().len()..];
    }
    (chars, places)
}

/// The characters that a continuation at least needs, at most, once a match has begun.
fn longest_shortest(node: &Node) -> u32 {
    match node {
        Node::Set(_) => 1,
        Node::Capture(node) => longest_shortest(node),
        Node::Concat(nodes) => nodes.iter().map(longest_shortest).sum(),
        Node::Alternate(nodes) => nodes.iter().map(longest_shortest).max().unwrap_or(0),
        Node::Repeat { node, min, .. } => longest_shortest(node) * (*min).max(1),
        _ => 0,
    }
}

/// Calls `found` with every continuation of up to `most` characters until it says yes.
fn continued(
    text: &mut Vec<Option<char>>,
    most: u32,
    found: &mut impl FnMut(&[Option<char>]) -> bool,
) -> bool {
    if found(text) {
        return true;
    }
    if most == 0 {
        return false;
    }
    ['a', '-', '\n', 'b', 'é'].into_iter().any(|c| {
        text.push(Some(c));
        let result = continued(text, most - 1, found);
        text.pop();
        result
    })
}

fn check(patterns: &[String], text: &[u8], cuts: &[usize], mut hold: Hold) {
    let compiled = Patterns::compile(patterns, false).unwrap();
    let kinds = compiled.hold_program(HoldLimits::default());
    let nodes: Vec<(usize, &Node)> = compiled
        .patterns()
        .iter()
        .enumerate()
        .filter(|(index, _)| kinds.holding(*index) == Some(Holding::Exact))
        .map(|(index, pattern)| (index, &*pattern.node))
        .collect();
    let starts = |text: &[Option<char>], place: usize| {
        nodes
            .iter()
            .any(|(_, node)| naive::starts_at(node, text, place))
    };
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
    cuts.extend([0, text.len()]);
    cuts.sort_unstable();
    let mut before = 0;
    for cut in cuts.windows(2) {
        hold.push(&text[cut[0]..cut[1]]);
        let held_from = hold.held_from();
        assert!(held_from >= before, "the hold never goes back");
        before = held_from;
        if hold.matched().is_some() {
            break;
        }
        // Up to the last whole character.
        let (mut chars, places) = characters(&text[..cut[1]]);
        let incomplete = chars.last() == Some(&None) && {
            let last = places[places.len() - 2];
            let tail = &text[usize::try_from(last).unwrap()..cut[1]];
            std::str::from_utf8(tail).is_err_and(|error| error.error_len().is_none())
        };
        if incomplete {
            chars.pop();
        }
        let released = places.iter().position(|place| *place == held_from).unwrap();
        let most = 3;
        for place in 0..released {
            assert!(
                !continued(&mut chars, most, &mut |text| starts(text, place)),
                "a match may start at {place}, but {released} characters are released"
            );
        }
        let shortest = nodes.iter().map(|(_, node)| longest_shortest(node)).max();
        if released < chars.len() && shortest.is_some_and(|shortest| shortest < 5) {
            assert!(
                continued(&mut chars, 5, &mut |text| starts(text, released)),
                "no match starts at {released}, where the hold begins"
            );
        }
    }
    hold.push(&text[text.len()..]);
    hold.finish();
    let (chars, places) = characters(text);
    let first = (0..chars.len()).find(|place| starts(&chars, *place));
    match (hold.matched(), first) {
        (Some(index), Some(first)) => {
            let node = nodes.iter().find(|(number, _)| *number == index).unwrap().1;
            assert!((0..=chars.len()).any(|place| naive::starts_at(node, &chars, place)));
            assert!(hold.held_from() <= places[first], "released a match");
        }
        (None, None) => assert_eq!(hold.held_from(), text.len() as u64),
        (matched, first) => panic!("matched {matched:?}, but the first match is at {first:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn holds_exactly(
        patterns in prop::collection::vec(pattern(), 1..4),
        text in text(),
        cuts in prop::collection::vec(0..40_usize, 0..5),
    ) {
        let compiled = Patterns::compile(&patterns, false).unwrap();
        let program = Arc::new(compiled.hold_program(HoldLimits::default()));
        check(&patterns, &text, &cuts, program.start());
        // What is remembered changes nothing, and neither does little room for it.
        let program = Arc::new(compiled.hold_program(HoldLimits::default()).remembering(9));
        program.start().push(&text);
        check(&patterns, &text, &cuts, program.start());
    }
}
