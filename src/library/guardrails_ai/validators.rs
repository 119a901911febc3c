//! The validators that need nothing but the text.

use serde::{Deserialize, de::DeserializeOwned, de::IgnoredAny};
use serde_json::{Map, Value};

use crate::{
    compute::Stop,
    pattern::{Patterns, SearchError},
};

/// The names of the validators that run here.
pub(super) const KNOWN: [&str; 5] = [
    "competitor_check",
    "one_line",
    "regex_match",
    "valid_json",
    "valid_length",
];

/// A validator with its parameters.
#[derive(Debug)]
pub(super) enum Validator {
    /// None of these patterns, each a competitor's name, may match.
    Competitors(Patterns),
    OneLine,
    /// The pattern must match.
    Regex(Patterns),
    Json,
    /// The least and the greatest length, in code points.
    Length {
        min: usize,
        max: usize,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Competitors {
    competitors: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Regex {
    regex: String,
    #[serde(default)]
    match_type: MatchType,
}

#[derive(Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum MatchType {
    #[default]
    FullMatch,
    Search,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Length {
    min: Option<usize>,
    max: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl Validator {
    /// Reads the validator `name`, which may be given by its path in the hub (`guardrails/one_line`).
    ///
    /// # Errors
    ///
    /// A name that is none of the known ones; parameters that do not fit.
    pub(super) fn read(name: &str, mut parameters: Map<String, Value>) -> Result<Self, String> {
        parameters.retain(|key, value| !value.is_null() && key != "metadata");
        let short = name.strip_prefix("guardrails/").unwrap_or(name);
        if !KNOWN.contains(&short) {
            let known = KNOWN.join(", ");
            return Err(format!(
                "the Guardrails AI validator `{name}` is not one that runs here ({known})"
            ));
        }
        match parameters.remove("on_fail") {
            None => {}
            Some(Value::String(action)) if action == "noop" || action == "exception" => {}
            Some(other) => {
                return Err(format!(
                    "the validator `{name}` has `on_fail: {other}`, but texts are blocked, not mended: only `noop` and `exception` are known"
                ));
            }
        }
        let validator = match short {
            "competitor_check" => read(parameters).and_then(competitors),
            "one_line" => read(parameters).map(|Nothing {}| Self::OneLine),
            "regex_match" => read(parameters).and_then(regex),
            "valid_json" => read(parameters).map(|Nothing {}| Self::Json),
            _ => read(parameters).map(|Length { min, max }| Self::Length {
                min: min.unwrap_or(0),
                max: max.unwrap_or(usize::MAX),
            }),
        };
        validator.map_err(|message| format!("the validator `{name}`: {message}"))
    }

    /// Whether `text` is as it must be.
    ///
    /// # Errors
    ///
    /// A pattern that comes to no answer.
    pub(super) fn passes(&self, text: &str, stop: &Stop) -> Result<bool, SearchError> {
        Ok(match self {
            Self::Competitors(names) => names.find_until(text, stop)?.is_none(),
            Self::OneLine => is_one_line(text),
            Self::Regex(pattern) => pattern.find_until(text, stop)?.is_some(),
            Self::Json => serde_json::from_str::<IgnoredAny>(text).is_ok(),
            Self::Length { min, max } => {
                // No text has more code points than bytes: most need no count.
                (*min == 0 && text.len() <= *max) || (*min..=*max).contains(&text.chars().count())
            }
        })
    }
}

fn read<T: DeserializeOwned>(parameters: Map<String, Value>) -> Result<T, String> {
    serde_json::from_value(Value::Object(parameters)).map_err(|error| error.to_string())
}

/// Each name as a word of its own, in any letter case.
fn competitors(parameters: Competitors) -> Result<Validator, String> {
    let mut patterns = Vec::new();
    for name in &parameters.competitors {
        let name = name.trim();
        let (Some(first), Some(last)) = (name.chars().next(), name.chars().next_back()) else {
            return Err("`competitors` holds an empty name".to_owned());
        };
        let edge = |char: char| {
            if char.is_alphanumeric() || char == '_' {
                r"\b"
            } else {
                ""
            }
        };
        patterns.push(format!("{}{}{}", edge(first), escaped(name), edge(last)));
    }
    compile(&patterns, true).map(Validator::Competitors)
}

fn regex(parameters: Regex) -> Result<Validator, String> {
    let Regex { regex, match_type } = parameters;
    // By itself first: what closes a group too many must not get along with the group around it.
    let alone = compile(&[regex.as_str()], false)?;
    Ok(Validator::Regex(match match_type {
        MatchType::Search => alone,
        MatchType::FullMatch => {
            let (flags, rest) = leading_flags(&regex);
            // A comment of a verbose pattern ends with its line.
            let end = if flags.contains('x') { "\n" } else { "" };
            compile(&[format!(r"{flags}\A(?:{rest}{end})\Z")], false)?
        }
    }))
}

fn compile<S: AsRef<str>>(patterns: &[S], any_case: bool) -> Result<Patterns, String> {
    Patterns::compile(patterns, any_case).map_err(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        format!("the pattern cannot be compiled: {}", errors.join("; "))
    })
}

/// Splits off the flags at the beginning, such as `(?i)`, which may stand nowhere else.
fn leading_flags(pattern: &str) -> (&str, &str) {
    let flags = pattern.strip_prefix("(?").and_then(|rest| {
        let end = rest.find(|char: char| !char.is_ascii_alphabetic())?;
        (end > 0 && rest.get(end..)?.starts_with(')')).then_some(end + 3)
    });
    pattern.split_at(flags.unwrap_or(0))
}

/// `text` as a pattern that matches it, and nothing else.
fn escaped(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        if char.is_ascii() && !char.is_ascii_alphanumeric() && char != '_' {
            pattern.push('\\');
        }
        pattern.push(char);
    }
    pattern
}

/// Whether nothing comes after the first of what Python's `str.splitlines` takes for an end of a line.
fn is_one_line(text: &str) -> bool {
    let Some(end) = text.find(ends_line) else {
        return true;
    };
    let mut rest = text.get(end..).unwrap_or_default().chars();
    let first = rest.next();
    let rest = rest.as_str();
    let rest = if first == Some('\r') {
        rest.strip_prefix('\n').unwrap_or(rest)
    } else {
        rest
    };
    rest.is_empty()
}

fn ends_line(char: char) -> bool {
    matches!(
        char,
        '\n'..='\r' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn validator(name: &str, parameters: Value) -> Result<Validator, String> {
        let Value::Object(parameters) = parameters else {
            panic!("no object");
        };
        Validator::read(name, parameters)
    }

    fn passing<'a>(name: &str, parameters: Value, texts: &[&'a str]) -> Vec<&'a str> {
        let validator = validator(name, parameters).unwrap();
        let texts = texts.iter().copied();
        texts
            .filter(|text| validator.passes(text, &Stop::default()).unwrap())
            .collect()
    }

    #[test]
    fn lines() {
        let texts = [
            "",
            "a",
            "a\n",
            "a\r\n",
            "\n\n",
            "a\nb",
            "a\u{2028}b",
            "a\rb",
            "a\n\r",
        ];
        assert_eq!(
            passing("one_line", json!({}), &texts),
            ["", "a", "a\n", "a\r\n"]
        );
    }

    #[test]
    fn lengths_are_in_code_points() {
        let texts = ["", "é", "éé", "ééé"];
        assert_eq!(
            passing("valid_length", json!({"min": 1, "max": 2}), &texts),
            ["é", "éé"]
        );
        assert_eq!(
            passing(
                "guardrails/valid_length",
                json!({"max": 2, "min": null}),
                &texts
            ),
            ["", "é", "éé"]
        );
    }

    #[test]
    fn json_is_json() {
        let texts = [
            "{}",
            "[1, 1e999]",
            "\"\\ud800\"",
            "{'a': 1}",
            "{} x",
            "",
            "NaN",
        ];
        assert_eq!(
            passing("valid_json", json!({}), &texts),
            ["{}", "[1, 1e999]", "\"\\ud800\""]
        );
        // However deep: nothing recurses.
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(passing("valid_json", json!({}), &[&deep]).len(), 1);
    }

    #[test]
    fn patterns_match_whole_texts_or_anywhere() {
        let texts = ["Caesar", "caesar", "Caesar Salad", "Caesar\n"];
        let regex = json!({"regex": "[A-Z][a-z]*|x"});
        assert_eq!(passing("regex_match", regex, &texts), ["Caesar"]);
        let any_case = json!({"regex": "(?ix)caesar # or not"});
        assert_eq!(
            passing("regex_match", any_case, &texts),
            ["Caesar", "caesar"]
        );
        let search = json!({"regex": "S", "match_type": "search"});
        assert_eq!(passing("regex_match", search, &texts), ["Caesar Salad"]);
    }

    #[test]
    fn competitors_are_words() {
        let texts = [
            "We like acme.",
            "acmeist",
            "Use C++ now",
            "Yahoo! is it",
            "fine",
        ];
        let names = json!({"competitors": ["ACME", "C++", "Yahoo!"]});
        assert_eq!(
            passing("competitor_check", names, &texts),
            ["acmeist", "fine"]
        );
    }

    #[test]
    fn what_does_not_fit_is_said() {
        for (name, parameters, part) in [
            ("toxic_language", json!({}), "not one that runs here"),
            ("regex_match", json!({}), "missing field `regex`"),
            (
                "regex_match",
                json!({"regex": "a)(b"}),
                "cannot be compiled",
            ),
            (
                "regex_match",
                json!({"regex": "a", "match_type": "x"}),
                "unknown variant",
            ),
            ("valid_length", json!({"max": -1}), "invalid value"),
            ("one_line", json!({"on_fail": "fix"}), "not mended"),
            ("one_line", json!({"other": 1}), "unknown field"),
            (
                "competitor_check",
                json!({"competitors": [" "]}),
                "empty name",
            ),
        ] {
            let error = validator(name, parameters).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        validator("one_line", json!({"on_fail": "noop", "metadata": {}})).unwrap();
    }
}
