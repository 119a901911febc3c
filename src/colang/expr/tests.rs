//! What expressions evaluate to. The tables were compared with what Python and simpleeval make of the same expressions.

use proptest::prelude::*;
use serde_json::json;

use super::{Comparison, Dialect, Expr, NoScope, Span};
use crate::value::{Dict, ErrorKind, Value};

fn scope() -> Dict {
    let variables = json!({
        "a": 3, "b": -7, "f": 2.5, "s": "Hello, Wörld", "l": [1, 2, 3, 2], "y": true,
        "d": {"k": 1, "name": "Ana", "tags": [1, 2], "in": {"z": [{"q": 1}]}},
    });
    Value::from_json(&variables)
        .as_dict()
        .cloned()
        .unwrap_or_default()
}

fn eval(text: &str, dialect: Dialect) -> Result<Value, String> {
    let expr = Expr::parse(text, dialect).map_err(|error| error.to_string())?;
    expr.eval(&scope()).map_err(|error| error.to_string())
}

fn kind(text: &str, dialect: Dialect) -> Option<ErrorKind> {
    Expr::parse(text, dialect)
        .unwrap()
        .eval(&scope())
        .err()
        .map(|error| error.source.kind)
}

/// The result as `repr`, and the changed variables as `repr`.
fn changes(text: &str, dialect: Dialect) -> (String, Vec<(String, String)>) {
    let evaluation = Expr::parse(text, dialect)
        .unwrap()
        .evaluate(&scope())
        .unwrap();
    let changed = evaluation
        .changed
        .into_iter()
        .map(|(name, value)| (name, value.repr()));
    (evaluation.value.repr(), changed.collect())
}

#[test]
fn both_dialects() {
    for (text, expected) in BOTH {
        for dialect in [Dialect::V1, Dialect::V2] {
            let value = eval(text, dialect).map(|value| value.repr());
            assert_eq!(value.as_deref(), Ok(*expected), "{text} in {dialect:?}");
        }
    }
}

#[test]
fn colang_2() {
    for (text, expected) in V2 {
        let value = eval(text, Dialect::V2).map(|value| value.repr());
        assert_eq!(value.as_deref(), Ok(*expected), "{text}");
    }
}

#[test]
fn errors() {
    for (texts, dialect) in [(V1_ERRORS, Dialect::V1), (V2_ERRORS, Dialect::V2)] {
        for text in texts {
            assert!(
                eval(text, dialect).is_err(),
                "{text}: {:?}",
                eval(text, dialect)
            );
        }
    }
}

#[test]
fn formatted_texts() {
    let value = eval(
        "f'{$f:.3f}|{$a:>5}|{$s:.3}|{$a!r:05d}|{{{$a}}}'",
        Dialect::V1,
    );
    assert_eq!(value, Ok(Value::from("2.500|    3|Hel|00003|{3}")));
}

#[test]
fn what_the_dialect_lacks_fails_only_where_it_is_reached() {
    assert_eq!(eval("True or [1]", Dialect::V1), Ok(Value::from(true)));
    assert_eq!(kind("False or [1]", Dialect::V1), Some(ErrorKind::Type));
}

#[test]
fn dollars_in_texts_stay() {
    for dialect in [Dialect::V1, Dialect::V2] {
        assert_eq!(eval("'costs $a'", dialect), Ok(Value::from("costs $a")));
    }
}

#[test]
fn methods_change_the_variable_that_they_are_called_on() {
    let changed = |text, dialect| {
        let (_, changed) = changes(text, dialect);
        changed
            .into_iter()
            .next()
            .map(|(name, value)| format!("{name} = {value}"))
    };
    for dialect in [Dialect::V1, Dialect::V2] {
        assert_eq!(
            changed("$l.append(5)", dialect).as_deref(),
            Some("l = [1, 2, 3, 2, 5]")
        );
        let tags = changed("$d.tags.pop()", dialect).unwrap();
        assert!(tags.contains("'tags': [1]"), "{tags}");
        assert_eq!(changed("$d.in_.append(1) if False else 1", dialect), None);
        assert_eq!(changed("$l.index(2)", dialect), None);
    }
    // A dictionary is copied before an expression sees it; Colang 2.x writes the copy back.
    assert_eq!(changed("$d.clear()", Dialect::V1), None);
    assert_eq!(
        changed("$d.clear()", Dialect::V2).as_deref(),
        Some("d = {}")
    );
    assert_eq!(
        changes("[$l.pop(), $l.pop(), $l]", Dialect::V2).0,
        "[2, 3, [1, 2]]"
    );
}

#[test]
fn limits() {
    let limit = |text: &str| assert_eq!(kind(text, Dialect::V2), Some(ErrorKind::Limit), "{text}");
    limit("4000001 ** 2");
    limit("'ab' * 60000");
    limit("1 << 20000");
    limit("[x for x in $l for y in ('a' * 90000)]");
    limit("['a' * 99999 for x in ('a' * 9999)]");
    assert_eq!(kind("2 ** 64", Dialect::V2), Some(ErrorKind::Overflow));
    assert!(Expr::parse(&"(".repeat(10_000), Dialect::V2).is_err());
    assert!(Expr::parse(&"not ".repeat(10_000), Dialect::V2).is_err());
    assert!(Expr::parse(&format!("1{}", " + 1".repeat(10_000)), Dialect::V2).is_err());
    assert!(Expr::parse(&format!("1{}", " + 1".repeat(150)), Dialect::V2).is_ok());
    assert!(Expr::parse(&"\"{".repeat(10_000), Dialect::V2).is_err());
    assert!(Expr::parse(&format!("$s{}", ".strip()".repeat(1_000)), Dialect::V2).is_err());
}

/// The deepest that is allowed fits into the stack of a thread.
#[test]
fn as_deep_as_allowed() {
    let deep = [
        format!("$s{}", ".strip()".repeat(190)),
        format!("{}1{}", "(".repeat(55), ")".repeat(55)),
        format!("{}1{}", "[".repeat(55), "]".repeat(55)),
        format!("{}1", "1 if 0 else ".repeat(55)),
        format!("{}$l{}", "[x for x in ".repeat(55), "]".repeat(55)),
        format!("{}1{}", "str(".repeat(55), ")".repeat(55)),
        format!("{}1", "-".repeat(55)),
    ];
    for text in deep {
        assert!(
            eval(&text, Dialect::V2).is_ok(),
            "{text}: {:?}",
            eval(&text, Dialect::V2)
        );
    }
}

#[test]
fn values_cannot_be_nested_without_end() {
    let mut scope = Dict::new();
    let grow = Expr::parse("[$x, $x]", Dialect::V2).unwrap();
    let error = (0..200).find_map(|_| match grow.eval(&scope) {
        Ok(value) => {
            scope.insert("x", value);
            None
        }
        Err(error) => Some(error.source.kind),
    });
    assert_eq!(error, Some(ErrorKind::Limit));
}

#[test]
fn errors_name_their_place() {
    let error = Expr::parse("1 + (2 *", Dialect::V1).unwrap_err();
    assert_eq!(
        (error.span, error.to_string().as_str()),
        (
            Span::new(8, 8),
            "a value is expected, but the expression ends"
        )
    );
    let error = Expr::parse(r#"'é' + "n: {1 +}""#, Dialect::V2).unwrap_err();
    assert_eq!(error.span, Span::new(14, 14));
    let error = Expr::parse("1 + $a.x", Dialect::V1)
        .unwrap()
        .eval(&scope())
        .unwrap_err();
    assert_eq!(error.span, Span::new(4, 8));
    assert_eq!(
        error.to_string(),
        "the expression `1 + $a.x` failed: a value of type int has no attribute `x`"
    );
}

#[test]
fn comparisons_want_numbers_of_their_own_type() {
    let value = eval("less_than(3)", Dialect::V2).unwrap();
    let comparison = value.as_object::<Comparison>().unwrap();
    assert_eq!(comparison.compare(&Value::from(2)), Ok(true));
    assert_eq!(comparison.compare(&Value::from(3)), Ok(false));
    assert!(comparison.compare(&Value::from(2.0)).is_err());
}

#[test]
fn variables_are_listed_once() {
    let expr = Expr::parse(r#"$a + len("{$b} {$a}") + $c[$d]"#, Dialect::V2).unwrap();
    assert_eq!(expr.variables(), ["a", "b", "c", "d"]);
}

#[test]
fn identifiers_look_like_uuids_and_differ() {
    let value = Expr::parse("[uid(), uid()]", Dialect::V2)
        .unwrap()
        .eval(&NoScope)
        .unwrap();
    let [first, second] = value.as_slice().unwrap() else {
        panic!("two identifiers")
    };
    assert_ne!(first, second);
    let groups: Vec<usize> = first.as_str().unwrap().split('-').map(str::len).collect();
    assert_eq!(groups, [8, 4, 4, 4, 12]);
}

/// Pieces of expressions in any order, so that more than the lexer is reached.
fn word() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &[
        "1",
        "-",
        "+",
        "*",
        "**",
        "//",
        "%",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        ".",
        "==",
        "<",
        "not",
        "in",
        "is",
        "and",
        "or",
        "if",
        "else",
        "for",
        "x",
        "$a",
        "$l",
        "$d",
        "$s",
        "'a'",
        "\"{",
        "}\"",
        "f'{",
        "}'",
        "len",
        "(1)",
        "0",
        "9223372036854775807",
        "1e308",
        "None",
        ".append(1)",
        ".pop()",
        "[::-1]",
        "<<",
        "~",
        "'%s' %",
        "=",
        "\\x",
    ];
    prop_oneof![
        proptest::sample::select(WORDS).prop_map(str::to_owned),
        "\\PC{0,3}"
    ]
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        for dialect in [Dialect::V1, Dialect::V2] {
            let _ = eval(&text, dialect);
        }
    }

    #[test]
    fn no_order_of_words_panics(words in prop::collection::vec(word(), 0..24)) {
        for dialect in [Dialect::V1, Dialect::V2] {
            let _ = eval(&words.join(" "), dialect);
            let _ = eval(&words.concat(), dialect);
        }
    }

    #[test]
    fn no_format_panics(spec in "[<>=^*+ #0,_.0-9a-zA-Z%]{0,8}", number in any::<f64>(), whole in any::<i64>()) {
        for value in [Value::from(number), Value::from(whole), Value::from("text")] {
            let _ = value.format(&spec);
            let scope: Dict = [("x", value)].into_iter().collect();
            let _ = Expr::parse(&format!("'%{spec}' % $x"), Dialect::V1).unwrap().eval(&scope);
        }
    }

    #[test]
    fn floats_read_back_as_they_were(number in any::<f64>()) {
        prop_assume!(number.is_finite());
        let value = Expr::parse(&Value::from(number).repr(), Dialect::V1).unwrap().eval(&NoScope).unwrap();
        prop_assert_eq!(value, Value::from(number));
    }

    #[test]
    fn texts_read_back_as_they_were(text in any::<String>()) {
        let repr = Value::from(text.as_str()).repr();
        let value = Expr::parse(&repr, Dialect::V1).unwrap().eval(&NoScope).unwrap();
        prop_assert_eq!(value, Value::from(text));
    }
}

const BOTH: &[(&str, &str)] = &[
    ("1 + 2 * 3 ** 2", "19"),
    ("-7 // 2", "-4"),
    ("-7 % 3", "2"),
    ("7 % -3", "-2"),
    ("-7.5 // 2", "-4.0"),
    ("7.5 % -2", "-0.5"),
    ("2 ** -1", "0.5"),
    ("1 / 3", "0.3333333333333333"),
    ("1e16", "1e+16"),
    ("1e15", "1000000000000000.0"),
    ("0.1 + 0.2", "0.30000000000000004"),
    ("1e-5", "1e-05"),
    ("0.0001", "0.0001"),
    ("-0.0", "-0.0"),
    ("1e400", "inf"),
    ("5.0", "5.0"),
    ("True + 1", "2"),
    ("1 == 1.0 == True", "True"),
    ("1 < $a < 5", "True"),
    ("not $undef", "True"),
    ("$undef is None", "True"),
    ("$undef == None", "True"),
    (r#"$undef or "x""#, "'x'"),
    ("$a and 0", "0"),
    ("'' or $undef or 0", "0"),
    ("3 if $y else 4", "3"),
    (r#""it's""#, r#""it's""#),
    (r#"'"both" it\'s'"#, r#"'"both" it\'s'"#),
    (r"'\n\t\x41\u00e9\q'", r"'\n\tAé\\q'"),
    (r"r'\d+'", r"'\\d+'"),
    ("'a' 'b'", "'ab'"),
    ("'ab' * 3", "'ababab'"),
    ("3 * 'ab'", "'ababab'"),
    ("'ab' < 'b'", "True"),
    ("'l' in $s", "True"),
    ("4 not in $l", "True"),
    ("$l[-1]", "2"),
    ("$l[1:]", "[2, 3, 2]"),
    ("$l[::-1]", "[2, 3, 2, 1]"),
    ("$s[1:5:2]", "'el'"),
    ("$s[99:]", "''"),
    ("$l + $l", "[1, 2, 3, 2, 1, 2, 3, 2]"),
    ("$d.name", "'Ana'"),
    ("$d.missing", "None"),
    ("$d['in']['z'][0]['q']", "1"),
    ("$d.tags[1]", "2"),
    ("$d.get('k')", "1"),
    ("$d.get('q', 5)", "5"),
    ("len($s)", "12"),
    ("len($d)", "4"),
    ("$s.upper()", "'HELLO, WÖRLD'"),
    ("$s.split(', ')", "['Hello', 'Wörld']"),
    ("$s.replace('l', 'L', 1)", "'HeLlo, Wörld'"),
    ("$s.startswith('He')", "True"),
    ("$s.title()", "'Hello, Wörld'"),
    ("' a b '.strip()", "'a b'"),
    ("'a,b,,c'.split(',')", "['a', 'b', '', 'c']"),
    ("' a  b '.split()", "['a', 'b']"),
    ("','.join('abc')", "'a,b,c'"),
    ("'x'.center(4, '*')", "'*x**'"),
    ("'-7'.zfill(4)", "'-007'"),
    ("$s.partition(',')", "('Hello', ',', ' Wörld')"),
    ("'%5.2f|' % $f", "' 2.50|'"),
    ("$a | 4", "7"),
    ("~$a", "-4"),
    ("6 & 3 ^ 1", "3"),
    ("1 << 10", "1024"),
    ("0x1f + 0b11 + 0o7 + 1_000", "1041"),
    ("$y.real", "1"),
    ("1 <= 1.5 != 2", "True"),
];
const V2: &[(&str, &str)] = &[
    (r#"[1, "two", None, 2.0]"#, "[1, 'two', None, 2.0]"),
    ("(1,)", "(1,)"),
    ("()", "()"),
    ("{'k': 2, 1: [True]}", "{'k': 2, 1: [True]}"),
    ("{**$d, 'k': 5}.k", "5"),
    ("[*$l, 9]", "[1, 2, 3, 2, 9]"),
    ("{1}", "{1}"),
    ("1, 2", "(1, 2)"),
    ("[x * 2 for x in $l if x > 1]", "[4, 6, 4]"),
    (
        "[x + y for x in $l for y in (1, 2)]",
        "[2, 3, 3, 4, 4, 5, 3, 4]",
    ),
    ("{x: x * x for x in $l}", "{1: 1, 2: 4, 3: 9}"),
    ("[k for k, v in $d.items() if v == 1]", "['k']"),
    (r#""{$a} times {$a + 1}; {{kept}}""#, "'3 times 4; {kept}'"),
    (r#"'single "{$d.name}"'"#, r#"'single "Ana"'"#),
    (
        r#""{$l} {$undef} {$y} {$f}""#,
        "'[1, 2, 3, 2] None True 2.5'",
    ),
    (r#""{len($l)} {$d['name']}""#, "'4 Ana'"),
    (r#""{}""#, "'{}'"),
    (r#"""" "{$a}" """"#, r#"' "3" '"#),
    (r#"search("o+", "foo")"#, "True"),
    (r#"search("z", "foo")"#, "False"),
    (r#"find_all("[0-9]+", "a1b22")"#, "['1', '22']"),
    (r#"find_all("(.)(l)", $s)"#, "[('e', 'l'), ('r', 'l')]"),
    ("is_int(3)", "True"),
    ("is_float(3)", "False"),
    ("is_bool(True)", "True"),
    ("is_str(3)", "False"),
    ("is_regex(regex('a'))", "True"),
    ("type([1])", "'list'"),
    ("type(None)", "'NoneType'"),
    ("type($d)", "'AttributeDict'"),
    ("type({})", "'dict'"),
    ("type(2.5)", "'float'"),
    (r#"int("42")"#, "42"),
    ("int(-2.7)", "-2"),
    (r#"float("1e3")"#, "1000.0"),
    ("str(1.0)", "'1.0'"),
    ("str([1, 'a'])", r#""[1, 'a']""#),
    (r#"list("ab")"#, "['a', 'b']"),
    (r#"escape("it's {{x}}")"#, r#""it\\'s {x}""#),
    (
        r#"pretty_str({"a": [1, None]})"#,
        r#"'{\n    "a": [\n        1,\n        null\n    ]\n}'"#,
    ),
    ("dict(a=1)", "{'a': 1}"),
];
const V1_ERRORS: &[&str] = &[
    "[1]",
    "(1, 2)",
    "{}",
    "str(1)",
    "frobnicate(3)",
    "1 / 0",
    "$undef.x",
    "$a.x",
    "$s.format(1)",
    "$s._x",
    "$l[9]",
    "$d['q']",
    "1 + 'a'",
    "1 < 'a'",
    "1 in 2",
    "x",
    "2 ** 5000000",
    "'ab' * 100000",
    "1 +",
    "(1",
    "'a",
    "$",
    "1 2",
    "lambda: 1",
    "007",
    "[x for x in $l]",
];
const V2_ERRORS: &[&str] = &[
    r#""{nope}""#,
    "[1][5]",
    "{[1]: 2}",
    r#"int("x")"#,
    r#"search("(", "a")"#,
    "[*1]",
    "{x for x in $l}",
    "[x for x in 5]",
    r#"less_than("a")"#,
    r#""{1 +}""#,
];
