use proptest::prelude::*;
use serde_json::Value as Reference;

use super::*;

fn read(body: &[u8]) -> Result<Document<'_>, JsonErrorKind> {
    Document::read(body, &JsonLimits::default()).map_err(|error| error.kind)
}

/// What `serde_json` would make of the value, the last of repeated keys winning.
fn reference(value: Value<'_, '_>) -> Reference {
    match value.kind() {
        Kind::Array => value.elements().map(reference).collect(),
        Kind::Object => {
            let members = value.members();
            let pairs = members.map(|m| (m.key.as_str().unwrap().into_owned(), reference(m.value)));
            Reference::Object(pairs.collect())
        }
        Kind::String | Kind::EscapedString => value.as_str().unwrap().into(),
        _ => serde_json::from_str(value.source()).unwrap(),
    }
}

#[test]
fn what_readers_do_not_agree_on_is_refused() {
    use JsonErrorKind::*;
    let cases: &[(&[u8], JsonErrorKind)] = &[
        (b"", UnexpectedEnd),
        (b"{", UnexpectedEnd),
        (b"[1,]", UnexpectedCharacter),
        (b"{\"a\":1,}", UnexpectedCharacter),
        (b"{'a':1}", UnexpectedCharacter),
        (b"{a:1}", UnexpectedCharacter),
        (b"[NaN]", UnexpectedCharacter),
        (b"[-Infinity]", Number),
        (b"[01]", UnexpectedCharacter),
        (b"[1.]", Number),
        (b"[.5]", UnexpectedCharacter),
        (b"[+1]", UnexpectedCharacter),
        (b"[1]//", TrailingData),
        (b"/**/[1]", UnexpectedCharacter),
        (b"{} {}", TrailingData),
        (b"{}\0", TrailingData),
        (b"\x1e{}", UnexpectedCharacter),
        (b"\"a\nb\"", ControlCharacter),
        (b"\"a\0b\"", ControlCharacter),
        (b"\"1234567\x1f\"", ControlCharacter),
        (br#""\x41""#, Escape),
        (br#""\u00g0""#, Escape),
        (br#""\ud800""#, LoneSurrogate),
        (br#""\udc00\ud800""#, LoneSurrogate),
        (br#""\ud800\u0041""#, LoneSurrogate),
        (b"\"\xff\"", Utf8),
        (b"\"\xed\xa0\x80\"", Utf8),
        (b"\"\xc0\xaf\"", Utf8),
        (b"\xef\xbb\xbf{}", Encoding),
        (b"\xff\xfe{\0}\0", Encoding),
        (b"{\0}\0", Encoding),
        (b"\0{\0}", Encoding),
        (b"[1}", UnexpectedCharacter),
        (b"tru", UnexpectedCharacter),
        (b"{\"a\"}", UnexpectedCharacter),
        (b"{\"a\":}", UnexpectedCharacter),
        (b"\"abc", UnexpectedEnd),
        (b"\"abc\\", UnexpectedEnd),
    ];
    for (body, kind) in cases {
        let found = read(body).err();
        assert_eq!(found, Some(*kind), "{}", String::from_utf8_lossy(body));
    }
}

#[test]
fn depth_and_size_have_limits() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(read(nested(128).as_bytes()).is_ok());
    assert_eq!(
        read(nested(129).as_bytes()).err(),
        Some(JsonErrorKind::TooDeep)
    );
    assert_eq!(
        read("[".repeat(1 << 20).as_bytes()).err(),
        Some(JsonErrorKind::TooDeep)
    );
    let limits = JsonLimits {
        max_values: 3,
        ..JsonLimits::default()
    };
    assert!(Document::read(b"[1,2]", &limits).is_ok());
    assert!(Document::read(b"[1,2,3]", &limits).is_err());
}

#[test]
fn escapes_are_decoded_in_what_is_no_json() {
    for (text, plain) in [
        (r#"{"a":"s\u0065cret\n"#, "{\"a\":\"secret\n"),
        (r"\ud83d\ude00 \ud83d \x \", r"😀 \ud83d \x \"),
        ("é", "é"),
    ] {
        assert_eq!(unescape_leniently(text), plain);
    }
}

#[test]
fn a_byte_order_mark_may_be_allowed() {
    let limits = JsonLimits {
        allow_byte_order_mark: true,
        ..JsonLimits::default()
    };
    let document = Document::read(b"\xef\xbb\xbf[\"a\"]", &limits).unwrap();
    assert_eq!(document.root().elements().next().unwrap().span(), 4..7);
}

#[test]
fn repeated_keys_are_found_however_they_are_spelled() {
    for body in [
        r#"{"a":1,"a":2}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"[{"x":{"a":[{"b":1,"b":1}]}}]"#,
    ] {
        assert!(
            read(body.as_bytes()).unwrap().repeated_key().is_some(),
            "{body}"
        );
    }
    let many: Vec<_> = (0..40).map(|n| format!("\"k{n}\":{n}")).collect();
    let body = format!("{{{}}}", many.join(","));
    assert!(read(body.as_bytes()).unwrap().repeated_key().is_none());
    let body = format!("{{{},\"\\u006b7\":0}}", many.join(","));
    assert!(read(body.as_bytes()).unwrap().repeated_key().is_some());
}

#[test]
fn edits_may_come_in_any_order_and_overlap() {
    let body = br#"{"a":"b","c":["d"]}"#;
    let edits = [
        (14..17, Edit::Text("lost".into())),
        (5..8, Edit::Text("\"\n\u{1}é".into())),
        (13..18, Edit::Raw(b"null".as_slice().into())),
        (90..91, Edit::Text("outside".into())),
    ];
    assert_eq!(
        patch(body, &edits),
        "{\"a\":\"\\\"\\n\\u0001é\",\"c\":null}".as_bytes()
    );
}

/// JSON-like text: mostly valid, often not.
fn json_like() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\"a\"",
        "\"é\\n\"",
        "\"\\u0061\"",
        "\\ud83d\\ude00",
        "\\ud800",
        "1",
        "-0",
        "1e5",
        "0.5",
        "true",
        "null",
        " ",
        "\n",
        "\\",
        "\u{1}",
        "NaN",
        "😀",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn json() -> impl Strategy<Value = Reference> {
    let leaf = prop_oneof![
        Just(Reference::Null),
        any::<bool>().prop_map(Reference::from),
        any::<i64>().prop_map(Reference::from),
        ".*".prop_map(Reference::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Reference::from),
            prop::collection::vec((".{0,6}", inner), 0..6)
                .prop_map(|pairs| Reference::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn it_accepts_what_serde_json_accepts(text in json_like()) {
        let ours = read(text.as_bytes());
        let theirs = serde_json::from_str::<Reference>(&text);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok());
        if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
            prop_assert_eq!(reference(ours.root()), theirs);
        }
    }

    #[test]
    fn it_reads_what_serde_json_writes(value in json(), pretty: bool) {
        let text = match pretty {
            true => serde_json::to_string_pretty(&value).unwrap(),
            false => value.to_string(),
        };
        let document = read(text.as_bytes()).unwrap();
        prop_assert_eq!(reference(document.root()), value);
        prop_assert_eq!(patch(text.as_bytes(), &[]), text.as_bytes());
    }

    #[test]
    fn a_patched_string_reads_back_and_the_rest_stays(value in json(), new in ".*", pick: prop::sample::Index) {
        let text = value.to_string();
        let document = read(text.as_bytes()).unwrap();
        let strings: Vec<_> = document.strings().collect();
        prop_assume!(!strings.is_empty());
        let span = strings[pick.index(strings.len())].span();
        let patched = patch(text.as_bytes(), &[(span.clone(), Edit::Text(new.as_str().into()))]);
        let again = read(&patched).unwrap();
        let string = again.strings().find(|string| string.span().start == span.start).unwrap();
        prop_assert_eq!(string.as_str().unwrap(), new);
        prop_assert!(patched.starts_with(&text.as_bytes()[..span.start]));
        prop_assert!(patched.ends_with(&text.as_bytes()[span.end..]));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        prop_assert_eq!(read(&bytes).is_ok(), serde_json::from_slice::<Reference>(&bytes).is_ok());
    }
}
