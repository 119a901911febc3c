use proptest::prelude::*;

use super::{super::testing::Trial, *};
use crate::verdict::Outcome;

const LINE: &str = "injection detection";

async fn judge(settings: &str, text: &str) -> Result<Outcome, Error> {
    let config = format!("rails: {{config: {{injection_detection: {settings}}}}}");
    let trial = Trial::new(&RAIL, &config, &[], vec![]).await;
    trial.judge(LINE, text).await
}

#[tokio::test]
async fn a_refusal_names_the_rules_in_the_order_of_the_groups() {
    let text = "from os import x socket {{}} ![a](b)";
    let outcome = judge("{injections: [xss, template, code, xss]}", text).await;
    let Outcome::Block(block) = outcome.unwrap() else {
        panic!("it passes");
    };
    assert_eq!(
        block.message.as_deref(),
        Some(
            "I'm sorry, the desired output triggered rule(s) designed to mitigate exploitation of markdown_xss, jinja_injection, import_shells, import_networking."
        )
    );
    let other = judge("{injections: [sqli]}", text).await.unwrap();
    assert_eq!(other, Outcome::Allow);
}

#[tokio::test]
async fn what_is_found_is_cut_out() {
    let settings = "{injections: [template, xss, sqli], action: omit}";
    for (text, left) in [
        ("before {{ 7*7 }} after", "before  7*7  after"),
        ("x <script>alert(1)</script> y", "x  y"),
        ("see ![a](b) here", "see here"),
        ("drop it --é", " it "),
        // What a cut leaves is cut as well.
        ("{{{{}} }} x", "  x"),
    ] {
        let outcome = judge(settings, text).await.unwrap();
        assert_eq!(outcome, Outcome::Transform(left.to_owned()), "{text}");
    }
    assert_eq!(judge(settings, "fine").await.unwrap(), Outcome::Allow);
}

#[tokio::test]
async fn no_rules_find_nothing() {
    assert_eq!(judge("{}", "{{}} drop;x").await.unwrap(), Outcome::Allow);
}

fn built(settings: &str) -> Result<Detection, String> {
    let settings: Settings = serde_yaml::from_str(settings).map_err(|error| error.to_string())?;
    let rules = built_in_rules(&settings);
    Ok(Detection { settings, rules })
}

#[test]
fn an_unknown_group_cannot_run() {
    let rail = InjectionDetection(Arc::new(built("{injections: [sqli, pirate]}").unwrap()));
    let refused = rail.accept(&RAIL.flows[0], &FlowReference::parse(LINE));
    assert!(matches!(refused, Err(Unusable::Unready(_))), "{refused:?}");
    assert!(rail.0.check("drop;x").is_err());
    assert!(built("{injections: [sqli], action: sanitize}").is_err());
}

#[cfg(not(feature = "yara"))]
#[test]
fn rules_of_ones_own_need_the_feature() {
    let settings: Settings = serde_yaml::from_str("{injections: [a], yara_path: x}").unwrap();
    let fault = |key: &str, message: String| Fault::new(format!("{key}: {message}"));
    let faults = own_rules(&settings, &fault).unwrap_err();
    assert!(faults[0].to_string().contains("feature `yara`"));
}

#[cfg(feature = "yara")]
mod with_yara {
    use std::sync::LazyLock;

    use super::*;

    const PIRATE: &str = "yara_rules: {pirate: 'rule pirate_talk { strings: $a = \"arrr\" nocase condition: $a }', other: 'not read'}";

    #[tokio::test]
    async fn rules_of_ones_own() {
        let settings = format!("{{injections: [pirate], {PIRATE}}}");
        let Outcome::Block(block) = judge(&settings, "Arrr, matey").await.unwrap() else {
            panic!("it passes");
        };
        assert!(
            block
                .message
                .unwrap()
                .ends_with("exploitation of pirate_talk.")
        );
        let settings = format!("{{injections: [pirate], action: omit, {PIRATE}}}");
        let cut = judge(&settings, "Arrr, matey").await.unwrap();
        assert_eq!(cut, Outcome::Transform(", matey".to_owned()));
    }

    #[tokio::test]
    async fn what_cannot_be_cut_out_is_refused() {
        let settings = "{injections: [long], action: omit, yara_rules: {long: 'rule too_long { condition: filesize > 5 }'}}";
        assert_eq!(judge(settings, "short").await.unwrap(), Outcome::Allow);
        let outcome = judge(settings, "longer").await.unwrap();
        assert!(matches!(outcome, Outcome::Block(_)), "{outcome:?}");
    }

    #[tokio::test]
    async fn rules_of_a_folder() {
        let folder =
            std::env::temp_dir().join(format!("tower-guardrails-yara-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let rule = r#"rule arrr { strings: $a = "arrr" condition: $a }"#;
        std::fs::write(folder.join("pirate.yara"), rule).unwrap();
        let settings = format!(
            "{{injections: [pirate], yara_path: {:?}}}",
            folder.display().to_string()
        );
        let outcome = judge(&settings, "arrr").await.unwrap();
        assert!(matches!(outcome, Outcome::Block(_)), "{outcome:?}");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn rules_that_do_not_compile_are_faults() {
        let settings: Settings = serde_yaml::from_str(
            "{injections: [a, b], yara_rules: {a: 'rule {', b: 'rule b { condition: $x }'}}",
        )
        .unwrap();
        let fault = |key: &str, message: String| Fault::new(format!("{key}: {message}"));
        let faults = own_rules(&settings, &fault).unwrap_err();
        let shown: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), 2);
        assert!(shown[1].contains("yara_rules.b"), "{}", shown[1]);
    }

    /// The built-in rules in YARA's words, against which the matchers are held.
    const IN_YARA: &str = include_str!("builtin.yara");

    static COMPILED: LazyLock<yara::YaraRules> = LazyLock::new(|| {
        let mut compiler = yara::YaraCompiler::new();
        compiler.add("all", IN_YARA).unwrap();
        compiler.finish()
    });

    fn built_in() -> Rules {
        let rules = Group::ALL.into_iter().flat_map(Group::rules);
        Rules::BuiltIn(rules.copied().collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn the_matchers_agree_with_yara(text in injections()) {
            let own = built_in().detections(&text).unwrap();
            prop_assert_eq!(own, COMPILED.detections(&text).unwrap(), "{}", text);
        }
    }
}

/// Texts that are nearly injections.
fn injections() -> impl Strategy<Value = String> {
    let words = [
        "select",
        "ADD",
        "drop",
        "union ",
        "from",
        "import ",
        "os",
        "cmd",
        "http",
        "socket",
        "--",
        "; ",
        "x",
        "é",
        "\n",
        " ",
        "'",
        "it's",
        "/*",
        "*/",
        "char(6)",
        "chr(7)||",
        "pg_user",
        "{{",
        "}}",
        "{%",
        "%}",
        "<script>",
        "</SCRIPT>",
        "![",
        "[",
        "](",
        ")",
        "](javascript",
        "^",
        "n",
        "href",
        "javascript",
        "\u{b}",
        "\r",
    ];
    prop::collection::vec(prop::sample::select(words.to_vec()), 0..12)
        .prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn any_text_has_a_verdict(text in injections(), other in "(?s).{0,200}", omits in any::<bool>()) {
        let action = if omits { "omit" } else { "reject" };
        let rail = built(&format!("{{injections: [sqli, template, code, xss], action: {action}}}")).unwrap();
        for text in [format!("{text}{other}"), text] {
            let finding = rail.check(&text).unwrap();
            if let super::super::Decision::Rewrite(rewrites) = &finding.decision {
                let left = rail.check(&rewrites[0].1).unwrap();
                prop_assert_eq!(left.decision, super::super::Decision::Allow);
            }
        }
    }
}
