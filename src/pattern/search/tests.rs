use super::super::Patterns;

fn found(pattern: &str, ignore_case: bool, text: &str) -> Option<(usize, usize)> {
    let patterns = Patterns::compile(&[pattern], ignore_case).unwrap();
    let found = patterns.find(text).unwrap()?;
    Some((found.range.start, found.range.end))
}

/// What Python 3.11 finds.
#[test]
fn finds_what_python_finds() {
    type Case = (&'static str, &'static str, Option<(usize, usize)>);
    let cases: &[Case] = &[
        // `\w` has no combining marks, but all numbers; `\d` only decimal digits; `\s` separators.
        (r"\bcafe\b", "cafe\u{301}", Some((0, 4))),
        (r"\bcafe\b", "cafés", None),
        (r"\w+", "½Ⅷ", Some((0, 5))),
        (r"\d", "½", None),
        (r"\d", "٣", Some((0, 2))),
        (r"\s", "\x1c", Some((0, 1))),
        (r"(?a)\w", "é", None),
        (r"(?a:\w)\w", "aé", Some((0, 3))),
        (r"(?a)\bé", "aé", Some((1, 3))),
        (r"(?a)a\b", "aé", Some((0, 1))),
        (r"a\b", "aé", None),
        (r"\B", "", None),
        (r"\B-", "é-", None),
        (r"\B-", "-", Some((0, 1))),
        // Ends.
        (r"a$", "a\n", Some((0, 1))),
        (r"a$", "a\n\n", None),
        (r"a$\n", "a\n", Some((0, 2))),
        (r"a\Z", "a\n", None),
        (r"(?m)a$", "a\nb", Some((0, 1))),
        (r"(?m)^b", "a\nb", Some((2, 3))),
        (r"^b", "a\nb", None),
        (r"a.b", "a\nb", None),
        (r"(?s)a.b", "a\nb", Some((0, 3))),
        (r"a.b", "a\rb", Some((0, 3))),
        // Case.
        (r"(?i)k", "\u{212a}", Some((0, 3))),
        (r"(?i)s", "ſ", Some((0, 2))),
        (r"(?i)[^s]", "ſ", None),
        (r"(?i)i", "İ", Some((0, 2))),
        (r"(?i)ß", "ẞ", Some((0, 3))),
        (r"(?i)[ßx]", "ẞ", Some((0, 3))),
        (r"(?i:a)b", "AB", None),
        (r"(?i)a(?-i:b)", "Ab", Some((0, 2))),
        (r"(?ai)k", "\u{212a}", None),
        // Sets.
        (r"[]a]+", "]a", Some((0, 2))),
        (r"[^]a]", "]ab", Some((2, 3))),
        (r"[a&&b]+", "a&b", Some((0, 3))),
        (r"[[a]+", "[a", Some((0, 2))),
        (r"[~~a-]+", "~-", Some((0, 2))),
        (r"[\w-]+", "a-b", Some((0, 3))),
        (r"[\b]", "\x08", Some((0, 1))),
        // Escapes and braces.
        (r"\x41\u00e9\U0001F600\101\0", "Aé😀A\0", Some((0, 9))),
        (r"a{,2}b", "aab", Some((0, 3))),
        (r"a{", "a{", Some((0, 2))),
        (r"a{}", "a{}", Some((0, 3))),
        (r"a{1,b", "a{1,b", Some((0, 5))),
        (r"\ud800|x", "x", Some((0, 1))),
        (r"a(?#no)b", "ab", Some((0, 2))),
        ("(?x) a b # c\n d", "abd", Some((0, 3))),
        (r"(?P<n>a)(?P=n)", "aa", Some((0, 2))),
        // Order of preference.
        (r"a|ab", "ab", Some((0, 1))),
        (r"a??b?", "ab", Some((0, 0))),
        (r"(?:ab|a)\b", "ab é", Some((0, 2))),
        (r"é|éa\b", "éa", Some((0, 2))),
        (r"x*$", "é\n", Some((2, 2))),
        // Look-around and what goes with it.
        (r"a(?=b)", "ab", Some((0, 1))),
        (r"a(?!b)", "ab", None),
        (r"(?<=é)b", "éb", Some((2, 3))),
        (r"(?<!é)b", "éb", None),
        (r"(a|b)\1", "abb", Some((1, 3))),
        (r"(?i)(a)\1", "aA", Some((0, 2))),
        (r"(a)?(?(1)b|c)", "c", Some((0, 1))),
        (r"()?(?(1)a|b)", "b", Some((0, 1))),
        (r"(?:(a)|a)(?(1)b|c)", "ac", Some((0, 2))),
        (r"(?:(a)|a)(?:\1|c)", "ac", Some((0, 2))),
        (r"(a|b|ab)(b|c)\2", "abcc", Some((0, 4))),
        (r"(?>a|ab)c", "abc", None),
        (r"a++a", "aaa", None),
        (r"(?=a)*b", "b", Some((0, 1))),
        (r"(?=é\b)é$", "é\n", Some((0, 2))),
    ];
    for (pattern, text, expected) in cases {
        assert_eq!(
            found(pattern, false, text),
            *expected,
            "{pattern:?} in {text:?}"
        );
    }
    assert_eq!(found("É|ω", true, "é"), Some((0, 2)));
    assert_eq!(found("Ω", true, "\u{2126}"), Some((0, 3)));
}

/// What Python 3.11 says when it refuses.
#[test]
fn refuses_what_python_refuses_at_the_same_place() {
    let cases = [
        ("(", "missing ), unterminated subpattern at position 0"),
        (
            "a\n(",
            "missing ), unterminated subpattern at position 2 (line 2, column 1)",
        ),
        ("a)", "unbalanced parenthesis at position 1"),
        ("é**", "multiple repeat at position 2"),
        ("*a", "nothing to repeat at position 0"),
        ("(^*)", "nothing to repeat at position 2"),
        ("a{2,1}", "min repeat greater than max repeat at position 2"),
        ("a{99999999999}", "the repetition number is too large"),
        ("[a", "unterminated character set at position 0"),
        ("[]", "unterminated character set at position 0"),
        ("[b-a]", "bad character range b-a at position 1"),
        (r"[\w-a]", r"bad character range \w-a at position 1"),
        (r"\z", r"bad escape \z at position 0"),
        (r"a\", "bad escape (end of pattern) at position 1"),
        (r"\x4", r"incomplete escape \x4 at position 0"),
        (r"\u00e", r"incomplete escape \u00e at position 0"),
        (r"\U00110000", r"bad escape \U00110000 at position 0"),
        (
            r"\400",
            r"octal escape value \400 outside of range 0-0o377 at position 0",
        ),
        (r"\8", "invalid group reference 8 at position 1"),
        (r"[\8]", r"bad escape \8 at position 1"),
        (r"(a\1)", "cannot refer to an open group at position 2"),
        (r"(?P<1>a)", "bad character in group name '1' at position 4"),
        (
            r"(?P<a>x)(?P<a>y)",
            "redefinition of group name 'a' as group 2; was group 1 at position 12",
        ),
        (r"(?P=x)", "unknown group name 'x' at position 4"),
        (r"(?Px)", "unknown extension ?Px at position 1"),
        (r"(?<x>a)", "unknown extension ?<x at position 1"),
        (r"(?z)", "unknown extension ?z at position 1"),
        (r"(?i", "missing -, : or ) at position 3"),
        (r"(?iz)", "unknown flag at position 3"),
        (
            r"(?i-i:a)",
            "bad inline flags: flag turned on and off at position 5",
        ),
        (
            r"(?-a:a)",
            "bad inline flags: cannot turn off flags 'a', 'u' and 'L' at position 4",
        ),
        (
            r"(?L)",
            "bad inline flags: cannot use 'L' flag with a str pattern at position 3",
        ),
        (
            r"a(?i)",
            "global flags not at the start of the expression at position 1",
        ),
        (r"(?#a", "missing ), unterminated comment at position 0"),
        (
            r"(?(1)a|b|c)",
            "conditional backref with more than two branches at position 8",
        ),
        (r"(?(2)a)", "invalid group reference 2 at position 3"),
        (r"(?(0)a)", "bad group number at position 3"),
        (r"(?<=a*)b", "look-behind requires fixed-width pattern"),
        (r"(?<=a|bb)c", "look-behind requires fixed-width pattern"),
    ];
    for (pattern, expected) in cases {
        let errors = Patterns::compile(&["ok", pattern], false).unwrap_err();
        let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(shown, [expected], "{pattern:?}");
        assert_eq!(errors[0].index, 1);
    }
}

#[test]
fn every_refused_pattern_is_reported() {
    let errors = Patterns::compile(&["(", "a", "["], true).unwrap_err();
    let places: Vec<usize> = errors.iter().map(|error| error.index).collect();
    assert_eq!(places, [0, 2]);
}

#[test]
fn deep_and_long_patterns_are_errors() {
    for pattern in [
        format!("{}a{}", "(".repeat(100_000), ")".repeat(100_000)),
        "(?:".repeat(90_000),
        "(".repeat(300),
        "a".repeat(1 << 19),
        "(?=".repeat(5_000),
        "(?(1)".repeat(5_000),
        r"(?:(?:\w{1000}){1000}){1000}".to_owned(),
    ] {
        assert!(Patterns::compile(&[&pattern], false).is_err());
    }
    let deep = format!("{}a{}", "(?:".repeat(90), ")*?".repeat(90));
    assert!(
        Patterns::compile(&[&deep], false)
            .unwrap()
            .find("a")
            .is_ok()
    );
}

#[test]
fn the_first_pattern_of_the_list_wins() {
    let patterns = Patterns::compile(&["zz", r"(?=b)b", r"\ba", "b$"], false).unwrap();
    for text in ["ab", "ab\n", "é ab", "é ab\n"] {
        assert_eq!(patterns.find(text).unwrap().unwrap().pattern, 1, "{text:?}");
        assert_eq!(patterns.matching(text).unwrap(), [1, 2, 3], "{text:?}");
    }
    assert_eq!(patterns.matching("éa").unwrap(), [] as [usize; 0]);
    assert!(Patterns::compile::<&str>(&[], false).unwrap().is_empty());
}

#[test]
fn all_matches_are_found_pattern_by_pattern() {
    let patterns = Patterns::compile(&[r"\bé+", "a|aa", "x*"], false).unwrap();
    let all: Vec<_> = patterns
        .find_all("éé aa xé é")
        .unwrap()
        .into_iter()
        .map(|found| (found.pattern, found.range))
        .collect();
    assert_eq!(
        all,
        [(0, 0..4), (0, 12..14), (1, 5..6), (1, 6..7), (2, 8..9)]
    );
}

#[test]
fn too_much_backtracking_is_an_error() {
    let patterns = Patterns::compile(&[r"(?:(a|aa)+)+\1$"], false).unwrap();
    assert!(patterns.find(&format!("{}c", "a".repeat(40))).is_err());
}

#[test]
fn non_ascii_text_of_word_looks_takes_linear_time() {
    let sources: Vec<String> = (0..50).map(|n| format!(r"\bword{n}\w*\b")).collect();
    let patterns = Patterns::compile(&sources, true).unwrap();
    let text = "слово и word за словом ".repeat(2_000);
    assert!(patterns.find(&text).unwrap().is_none());
}

proptest::proptest! {
    #[test]
    fn no_pattern_panics(pattern in r"[\[\](){}*+?|^$.\\\-:#<>=!PiLxu09,ab&é ]{0,24}", text in ".{0,8}") {
        if let Ok(patterns) = Patterns::compile(&[&pattern], text.len() % 2 == 0) {
            let _ = patterns.find(&text);
            let _ = patterns.find_all(&text);
            let _ = patterns.hold_program(crate::pattern::HoldLimits::default());
        }
    }
}
