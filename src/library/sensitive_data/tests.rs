use std::sync::OnceLock;

use proptest::prelude::*;
use serde_json::json;

use super::{super::testing::Trial, RAIL, entities, settings::Source};
use crate::{
    compute::Stop,
    http::testing::{Answer, json as answer},
    library::Rewriter,
    verdict::Outcome,
};

const DETECT: &str = "detect sensitive data on input";
const MASK: &str = "mask sensitive data on input";

async fn trial(section: &str, answers: Vec<Answer>) -> Trial {
    Trial::new(&RAIL, &config(section), &[], answers).await
}

fn config(section: &str) -> String {
    format!("rails: {{config: {{sensitive_data_detection: {section}}}}}")
}

fn masked(text: &str) -> Outcome {
    Outcome::Transform(text.to_owned())
}

#[tokio::test]
async fn what_is_found_is_blocked_or_masked() {
    let section = "{input: {entities: [EMAIL_ADDRESS, CREDIT_CARD]}, output: {entities: [EMAIL_ADDRESS], mask_token: '[gone]'}}";
    let rail = trial(section, Vec::new()).await;
    let text = "I am ann@example.com, card 4012-8888-8888-1881";
    let Outcome::Block(block) = rail.judge(DETECT, text).await.unwrap() else {
        panic!("it passes");
    };
    assert_eq!(
        block.message.as_deref(),
        Some("I don't know the answer to that.")
    );
    assert_eq!(
        rail.judge(MASK, text).await.unwrap(),
        masked("I am <EMAIL_ADDRESS>, card <CREDIT_CARD>")
    );
    assert_eq!(
        rail.judge("mask sensitive data on output", text)
            .await
            .unwrap(),
        masked("I am [gone], card 4012-8888-8888-1881")
    );
    for line in [DETECT, MASK, "detect sensitive data on retrieval"] {
        assert_eq!(rail.judge(line, "I am Ann").await.unwrap(), Outcome::Allow);
    }
    let line = "detect sensitive data on retrieval";
    assert_eq!(
        rail.judge(line, text).await.unwrap(),
        Outcome::Allow,
        "nothing is listed"
    );
}

/// Each line of the examples: an entity, a text, and how sure it is that the whole text is one; 0: nothing is found.
#[test]
fn every_entity_is_found() {
    let mut named = Vec::new();
    for line in include_str!("examples.txt").lines() {
        let [entity, text, score] = line.split(" | ").collect::<Vec<_>>()[..] else {
            panic!("no example: {line}");
        };
        let found = Source::plain(&[entity])
            .detector
            .find(text, 0.0, &Stop::default())
            .unwrap();
        let score: f64 = score.parse().unwrap();
        match found.as_slice() {
            [] => assert!(score == 0.0, "{line}: nothing found"),
            [found, ..] => {
                assert_eq!(found.range, 0..text.len(), "{line}");
                assert!(
                    (found.score - score).abs() < 0.005,
                    "{line}: {}",
                    found.score
                );
            }
        }
        named.push(entity);
    }
    let labelled = ["US_CLAIM_NUMBER", "US_PRIOR_AUTHORIZATION_NUMBER"];
    for entity in entities::all() {
        assert!(
            named.contains(&entity.name) || labelled.contains(&entity.name),
            "{} has no example",
            entity.name
        );
    }
}

/// What stands beside letters of scripts without spaces, odd spaces, or in code, is found; an id is not.
#[test]
fn entities_are_found_beside_any_letters() {
    let find = |entity: &str, text: &str| {
        let source = Source::plain(&[entity]);
        let found = source.detector.find(text, 0.4, &Stop::default()).unwrap();
        found
            .into_iter()
            .map(|found| text[found.range].to_owned())
            .collect::<Vec<_>>()
    };
    let card = "4111111111111111";
    for text in [
        format!("卡号{card}到期"),
        format!("カード番号は{card}です"),
        format!("카드번호{card}입니다"),
        format!("หมายเลขบัตร{card}ครับ"),
        format!("card={card}&x=1"),
        format!("\"{card}\","),
        format!("\u{a0}{card}\u{202f}"),
        format!("\u{200b}{card}\u{feff}"),
    ] {
        assert_eq!(find("CREDIT_CARD", &text), [card], "{text}");
    }
    let spaced = "4111\u{a0}1111\u{202f}1111 1111";
    assert_eq!(find("CREDIT_CARD", spaced), [spaced]);
    assert_eq!(find("IP_ADDRESS", "服务器10.1.2.3上"), ["10.1.2.3"]);
    assert_eq!(find("US_SSN", "社会保障号078-05-1121。"), ["078-05-1121"]);
    // A letter of these joins what stands beside it, as in Presidio.
    for text in [format!("é{card}"), format!("{card}ж"), format!("x{card}")] {
        assert_eq!(find("CREDIT_CARD", &text), Vec::<String>::new(), "{text}");
    }
}

#[tokio::test]
async fn words_before_a_number_make_it_likelier() {
    let rail = trial(
        "{input: {entities: [US_SSN, US_BANK_NUMBER, US_CLAIM_NUMBER], score_threshold: 0.4}}",
        Vec::new(),
    )
    .await;
    for (text, expected) in [
        (
            "My bank account: 945456787654",
            masked("My bank account: <US_BANK_NUMBER>"),
        ),
        ("Order 945456787654", Outcome::Allow),
        (
            "medical claim number: 12345678",
            masked("medical claim number: <US_CLAIM_NUMBER>"),
        ),
        (
            "my social security number is 078-05-1121",
            masked("my social security number is <US_SSN>"),
        ),
        ("the number is 078051121", Outcome::Allow),
    ] {
        assert_eq!(rail.judge(MASK, text).await.unwrap(), expected, "{text}");
    }
}

#[tokio::test]
async fn own_recognizers() {
    let section = r"{recognizers: [
        {name: Titles, supported_entity: TITLE, deny_list: ['Mr.', Mrs, 'Große Dame'], deny_list_score: 0.9},
        {supported_entity: ZIP, patterns: [{name: weak, regex: '(?i)\b\d{5}\b', score: 0.01}], context: [Zip]},
        {supported_entities: [LINE], patterns: [{regex: '^x.y$', score: 1}]}],
        input: {entities: [TITLE, ZIP, LINE]}}";
    let rail = trial(section, Vec::new()).await;
    for (text, expected) in [
        (
            "mrs Smith and MR. X, MrsX",
            "<TITLE> Smith and <TITLE> X, MrsX",
        ),
        ("die große dame, 12345", "die <TITLE>, 12345"),
        ("my zip is 12345", "my zip is <ZIP>"),
        ("a\nX\nY\nb", "a\n<LINE>\nb"),
    ] {
        assert_eq!(
            rail.judge(MASK, text).await.unwrap(),
            masked(expected),
            "{text}"
        );
    }
    assert!(
        rail.rewriter(MASK).is_none(),
        "own patterns may find anything"
    );
}

#[test]
fn what_cannot_run_is_refused_at_load() {
    let refused = |section: &str| Trial::refused(&RAIL, &config(section)).join("\n");
    assert_eq!(refused("{input: {entities: [URL]}}"), "");
    let names = refused("{input: {entities: [URL, PERSON, LOCATION]}}");
    assert!(names.contains("no pattern finds PERSON, LOCATION; set rails.config.sensitive_data_detection.analyzer_url"), "{names}");
    assert_eq!(
        refused("{analyzer_url: 'http://x', input: {entities: [PERSON]}}"),
        ""
    );
    for (section, what) in [
        ("{output: {score_threshold: 1.5}}", "not from 0 to 1"),
        (
            "{recognizers: [{name: A, patterns: [{regex: a, score: 1}]}]}",
            "no `supported_entity`",
        ),
        (
            "{recognizers: [{supported_entity: A}]}",
            "neither `patterns` nor `deny_list`",
        ),
        (
            "{recognizers: [{supported_entity: A, patterns: [{regex: '(', score: 1}]}]}",
            "recognizers[0].patterns[0].regex",
        ),
        (
            "{recognizers: [{supported_entity: A, patterns: [{regex: a, score: 2}]}]}",
            "patterns[0].score",
        ),
        (
            "{recognizers: [{supported_entity: A, deny_lst: [a]}]}",
            "deny_lst",
        ),
    ] {
        let refused = refused(section);
        assert!(refused.contains(what), "{section}: {refused}");
    }
}

#[tokio::test]
async fn an_analyzer_finds_the_rest() {
    let section = "{analyzer_url: URL, input: {entities: [PERSON, EMAIL_ADDRESS]}}";
    let person = json!([
        {"entity_type": "PERSON", "start": 2, "end": 7, "score": 0.85},
        {"entity_type": "PERSON", "start": 0, "end": 1, "score": 0.1},
        {"entity_type": "LOCATION", "start": 0, "end": 1, "score": 0.9},
    ]);
    let rail = trial(section, vec![answer(200, &person), answer(200, &json!([]))]).await;
    assert_eq!(
        rail.judge(MASK, "é Åsa B ann@example.com").await.unwrap(),
        masked("é <PERSON> <EMAIL_ADDRESS>")
    );
    assert_eq!(rail.judge(DETECT, "Ann").await.unwrap(), Outcome::Allow);
    let received = rail.received();
    assert!(received[0].head.starts_with("POST /analyze "));
    let body: serde_json::Value = serde_json::from_str(&received[0].body).unwrap();
    assert_eq!(
        body,
        json!({"text": "é Åsa B ann@example.com", "language": "en", "entities": ["PERSON"], "score_threshold": 0.4})
    );
    assert!(rail.rewriter(MASK).is_none(), "it needs the whole text");
}

#[tokio::test]
async fn an_analyzer_that_fails_blocks() {
    for wrong in [
        answer(500, &json!({"error": "x"})),
        answer(200, &json!({"entities": []})),
        answer(200, &json!([{"entity_type": "PERSON"}])),
        answer(
            200,
            &json!([{"entity_type": "PERSON", "start": 1, "end": 9, "score": 1}]),
        ),
    ] {
        let section = "{analyzer_url: URL, input: {entities: [PERSON]}}";
        let rail = trial(section, vec![wrong]).await;
        assert!(rail.judge(DETECT, "Ann").await.is_err());
    }
}

/// All built-in entities at once.
fn everything() -> &'static Source {
    static ALL: OnceLock<Source> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut names: Vec<&str> = entities::all().map(|entity| entity.name).collect();
        names.extend(["EMAIL_ADDRESS", "URL"]);
        if cfg!(feature = "phone-numbers") {
            names.push("PHONE_NUMBER");
        }
        Source::plain(&names)
    })
}

/// Texts of words, numbers, what is between them, and examples.
/// What looks for few entities, which settles sooner.
fn some(which: usize) -> &'static Source {
    static SOME: OnceLock<[Source; 6]> = OnceLock::new();
    let some = SOME.get_or_init(|| {
        [
            Source::plain(&["EMAIL_ADDRESS"]),
            Source::plain(&["CREDIT_CARD", "US_SSN", "EMAIL_ADDRESS", "URL"]),
            Source::plain(&["UUID", "IP_ADDRESS", "MAC_ADDRESS", "CRYPTO"]),
            Source::plain(&["IBAN_CODE"]),
            Source::plain(&["URL"]),
            Source::plain(match cfg!(feature = "phone-numbers") {
                true => &["PHONE_NUMBER"],
                false => &["US_PASSPORT"],
            }),
        ]
    });
    &some[which]
}

fn text() -> impl Strategy<Value = String> {
    let examples: Vec<&'static str> = include_str!("examples.txt")
        .lines()
        .filter_map(|line| line.split(" | ").nth(1))
        .collect();
    let words = vec![
        "plain",
        "example",
        "account",
        "the",
        "prior authorization",
        "claim",
        "extension",
        "ext.",
        "DE12",
        "abcdefgh",
        "iban",
        "straße",
        "テスト文字列",
        "(212)",
        "555",
        "0123",
        "+44",
        "x@",
        "@example.com",
        "www.",
        "٣٤٥",
        "\u{301}",
        "😀",
        "hrb",
        "passport",
    ];
    let between = vec![
        " ", " ", " ", " ", "\n", "  ", ", ", "。", "-", ": ", "", "\t", "\u{a0}", " | ", "|",
        "\", \"", "\"", "} ", "> ", "=", "\r\n",
    ];
    let piece = prop_oneof![
        3 => proptest::sample::select(words).prop_map(str::to_owned),
        1 => proptest::sample::select(examples).prop_map(str::to_owned),
        // Far enough from any digit.
        2 => Just("nothing of note stands here, only plain words that go on, one after another, until the sentence ends".to_owned()),
        1 => "[0-9]{1,6}",
        1 => "\\PC{0,6}",
    ];
    let piece = (piece, proptest::sample::select(between));
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| {
        pieces
            .into_iter()
            .flat_map(|(piece, space)| [piece, space.to_owned()])
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn pieces_give_what_the_whole_gives(text in text(), cuts in proptest::collection::vec(0_usize..200, 0..20)) {
        for source in std::iter::once(everything()).chain((0..6).map(some)) {
            let whole = source.rewrite(&text, 0, true).unwrap();
            prop_assert_eq!(whole.upto, text.len());
            let mut pieces = String::new();
            let (mut from, mut end) = (0, 0);
            for cut in &cuts {
                end = (end + cut).min(text.len());
                while !text.is_char_boundary(end) {
                    end += 1;
                }
                let piece = source.rewrite(&text[..end], from, false).unwrap();
                prop_assert!(from <= piece.upto && piece.upto <= end);
                from = piece.upto;
                pieces.push_str(&piece.text);
            }
            pieces.push_str(&source.rewrite(&text, from, true).unwrap().text);
            prop_assert_eq!(pieces, whole.text);
        }
    }

    #[test]
    fn any_text_is_judged(text in "\\PC{0,60}", threshold in 0.0_f64..1.0) {
        let found = everything().detector.find(&text, threshold, &Stop::default()).unwrap();
        for found in found {
            prop_assert!(text.get(found.range).is_some_and(|found| !found.is_empty()));
        }
    }
}
