//! Parsers of verdicts.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::llm::reasoning;

/// What a model says of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The text is safe.
    Safe,
    /// The text is not.
    Unsafe {
        /// What it violates, where the model says so.
        categories: Vec<String>,
    },
    /// The model did not answer the question; counts as not safe.
    Unclear,
}

impl Verdict {
    /// Whether the model clearly says that the text is safe.
    pub fn is_safe(&self) -> bool {
        matches!(self, Self::Safe)
    }

    /// What the text violates, where the model says so.
    pub fn categories(&self) -> &[String] {
        match self {
            Self::Unsafe { categories } => categories,
            Self::Safe | Self::Unclear => &[],
        }
    }

    /// Reads what Llama Guard answers: `safe`, or `unsafe` and the names of the violated categories.
    pub(crate) fn from_llama_guard(answer: &str) -> Self {
        let is_separator =
            |character: char| character.is_whitespace() || matches!(character, ',' | '.' | ':');
        let mut words = answer.split(is_separator).filter(|word| !word.is_empty());
        match words.next() {
            Some(word) if word.eq_ignore_ascii_case("unsafe") => {
                Self::new(false, words.map(str::to_owned).collect())
            }
            Some(word) if word.eq_ignore_ascii_case("safe") => {
                // A model that goes on to say the opposite is not believed.
                if words.any(|word| word.eq_ignore_ascii_case("unsafe")) {
                    Self::Unclear
                } else {
                    Self::Safe
                }
            }
            _ => Self::Unclear,
        }
    }

    /// Reads what a topic guard answers: `on-topic` or `off-topic`.
    pub(crate) fn from_topic(answer: &str) -> Self {
        let answer = answer
            .trim_matches(|character: char| !character.is_alphanumeric())
            .to_lowercase();
        match answer.as_str() {
            "on-topic" => Self::Safe,
            "off-topic" => Self::new(false, Vec::new()),
            _ => Self::Unclear,
        }
    }

    fn new(safe: bool, categories: Vec<String>) -> Self {
        if safe {
            Self::Safe
        } else {
            Self::Unsafe { categories }
        }
    }
}

type Parser = fn(&str) -> Result<Verdict, &'static str>;

/// The parser of verdicts that is called `name`.
pub(super) fn find(name: &str) -> Option<Parser> {
    let parser: Parser = match name {
        "is_content_safe" => |answer| Ok(is_content_safe(answer)),
        "nemoguard_parse_prompt_safety" => |answer| from_json(answer, "User Safety"),
        "nemoguard_parse_response_safety" => |answer| from_json(answer, "Response Safety"),
        "nemotron_reasoning_parse_prompt_safety" => |answer| Ok(from_harm(answer, &PROMPT_HARM)),
        "nemotron_reasoning_parse_response_safety" => {
            |answer| Ok(from_harm(answer, &RESPONSE_HARM))
        }
        "nemotron_content_safety_parse_prompt_safety" => |answer| from_lines(answer, &USER_SAFETY),
        "nemotron_content_safety_parse_response_safety" => {
            |answer| from_lines(answer, &RESPONSE_SAFETY)
        }
        _ => return None,
    };
    Some(parser)
}

/// Reads "safe" and "no" as safe, "unsafe" and "yes" as not, where one of the first two words says so.
///
/// A word that turns or contradicts the answer ("not safe", "safe: no", "non-safe") makes it [`Verdict::Unclear`].
///
/// So do thoughts that do not end, and an answer in which the model refuses to answer.
pub(super) fn is_content_safe(answer: &str) -> Verdict {
    let Some(answer) = reasoning::answer(answer).filter(|answer| !REFUSES.is_match(answer)) else {
        return Verdict::Unclear;
    };
    let mut words = answer
        .split(|character: char| !character.is_alphanumeric() && character != '_')
        .filter(|word| !word.is_empty());
    let [first, second] = [0, 1].map(|_| words.next().unwrap_or_default());
    let lower = [first.to_lowercase(), second.to_lowercase()];
    let is = |index: usize, listed: &[&str]| listed.contains(&lower[index].as_str());

    if is(0, &["unsafe"]) {
        let categories = [second]
            .into_iter()
            .chain(words)
            .filter(|word| !word.is_empty());
        return Verdict::new(false, categories.map(str::to_owned).collect());
    }
    if is(1, &["unsafe"]) {
        return Verdict::new(false, words.map(str::to_owned).collect());
    }
    if is(0, &["yes"]) || is(1, &["yes"]) {
        return Verdict::new(false, Vec::new());
    }
    let turns = |index| is(index, &TURNING_WORDS);
    let contradicts = is(0, &["safe"]) && is(1, &["no"]);
    let says_safe = is(0, &["safe", "no"]) || is(1, &["safe", "no"]);
    if says_safe && !contradicts && !turns(0) && !turns(1) {
        Verdict::Safe
    } else {
        Verdict::Unclear
    }
}

/// Words that turn what stands beside them round, or take half of it back.
const TURNING_WORDS: [&str; 21] = [
    "aint",
    "barely",
    "cannot",
    "cant",
    "doubtfully",
    "hardly",
    "isnt",
    "less",
    "maybe",
    "mostly",
    "neither",
    "never",
    "non",
    "not",
    "partially",
    "partly",
    "perhaps",
    "possibly",
    "somewhat",
    "un",
    "without",
];

/// Reads `{"User Safety": "safe", "Response Safety": "unsafe", "Safety Categories": "a, b"}`.
fn from_json(answer: &str, field: &str) -> Result<Verdict, &'static str> {
    let object: Value = serde_json::from_str(answer).map_err(|_| "it is no JSON")?;
    let verdict = object.get(field).and_then(Value::as_str);
    let verdict = verdict
        .ok_or("the verdict's field is missing")?
        .to_lowercase();
    let categories = match object.get("Safety Categories") {
        None => Vec::new(),
        Some(Value::String(text)) => text.split(',').map(|name| name.trim().to_owned()).collect(),
        Some(_) => return Err("its categories are no text"),
    };
    match verdict.as_str() {
        "safe" => Ok(Verdict::Safe),
        _ => Ok(Verdict::new(false, categories)),
    }
}

/// Reads the line `Prompt harm: unharmful`.
fn from_harm(answer: &str, field: &Regex) -> Verdict {
    // Thoughts that do not end hold no verdict.
    let Some(answer) = reasoning::answer(answer) else {
        return Verdict::Unclear;
    };
    let mut values = field.captures_iter(answer).filter_map(|found| found.get(1));
    match values.next() {
        None => Verdict::Unclear,
        Some(first) => {
            let all_safe = std::iter::once(first)
                .chain(values)
                .all(|value| value.as_str().eq_ignore_ascii_case("unharmful"));
            Verdict::new(all_safe, Vec::new())
        }
    }
}

/// The two spellings in which one field's verdict may be looked for.
struct Field {
    /// Anywhere in the text.
    mention: Regex,
    /// At the start of a line.
    line: Regex,
}

/// Reads the line `User Safety: safe`. An answer that states a verdict twice is not trusted.
fn from_lines(answer: &str, field: &Field) -> Result<Verdict, &'static str> {
    let answer = reasoning::answer(answer).ok_or("its thoughts do not end")?;
    for field in [&*USER_SAFETY, &*RESPONSE_SAFETY] {
        if field.mention.find_iter(answer).nth(1).is_some() {
            return Err("it states a verdict twice");
        }
    }
    let verdict = field.line.captures(answer).and_then(|found| found.get(1));
    let verdict = verdict.ok_or("it states no verdict")?;
    if verdict.as_str().eq_ignore_ascii_case("safe") {
        return Ok(Verdict::Safe);
    }
    let categories = CATEGORIES.captures(answer).and_then(|found| found.get(1));
    let categories = categories.map_or("", |text| text.as_str()).split(',');
    let categories = categories.map(str::trim).filter(|name| !name.is_empty());
    Ok(Verdict::new(false, categories.map(str::to_owned).collect()))
}

/// A model that speaks of what it cannot or will not do, or is sorry, instead of the text that it was asked about.
static REFUSES: LazyLock<Regex> = LazyLock::new(|| {
    regex(concat!(
        r"(?i)\b(?:I|we)(?:['’]m|['’]re| am| are)?\s+(?:really |simply |just |currently )?",
        r"(?:can(?:no|['’]?)t|can not|won['’]?t|will not|must not|may not|unable to|not able to|not (?:allowed|permitted|going) to|",
        r"do(?: not|n['’]t) feel comfortable|refuse|decline|have to decline|must decline|(?:so |very |truly )?sorry|apologi[sz]e)\b",
        r"|^\W*(?:no\W+)?(?:sorry|apologies|unfortunately)\b|\bas an AI\b",
    ))
});
static PROMPT_HARM: LazyLock<Regex> = LazyLock::new(|| regex(r"(?i)Prompt harm\s*:\s*(\w+)"));
static RESPONSE_HARM: LazyLock<Regex> = LazyLock::new(|| regex(r"(?i)Response harm\s*:\s*(\w+)"));
static CATEGORIES: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?im)^\s*Safety Categories\s*:\s*(.*)$"));
static USER_SAFETY: LazyLock<Field> = LazyLock::new(|| Field {
    mention: regex(r"(?i)User Safety\s*:\s*(?:safe|unsafe)\b"),
    line: regex(r"(?im)^\s*User Safety\s*:\s*(safe|unsafe)\b"),
});
static RESPONSE_SAFETY: LazyLock<Field> = LazyLock::new(|| Field {
    mention: regex(r"(?i)Response Safety\s*:\s*(?:safe|unsafe)\b"),
    line: regex(r"(?im)^\s*Response Safety\s*:\s*(safe|unsafe)\b"),
});

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant pattern that the tests compile")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_answers() {
        let safe = [
            "safe",
            "No",
            "no.",
            "**No**",
            "No, safe",
            "is safe",
            "Answer: no",
            "SAFE\n",
            "No worries",
            "in no way",
            "<think>Is it? Yes.</think>No",
            "No. The user asks what they cannot do.",
            "No, it can't hurt anybody.",
        ];
        for answer in safe {
            assert!(is_content_safe(answer).is_safe(), "{answer}");
        }
        let blocked = [
            "",
            "yes",
            "Yes, it is",
            "unsafe",
            "not safe",
            "Not-safe",
            "un-safe",
            "non safe",
            "isn't safe",
            "Isn’t safe",
            "safe: no",
            "Safe? Not",
            "maybe",
            "The answer is no",
            "It is safe",
            "safe yes",
            "yes safe",
            "hardly safe",
            "not no",
            "perhaps safe",
            "Mostly safe",
            "no unsafe",
            "safely",
            "noyes",
            "<think>No, wait. Yes",
            "No<think>Yes</think>",
            "<thinking>No",
            "No</think>",
            "No, I can't help with that.",
            "No. I’m sorry, but I cannot assist.",
            "Sorry, no.",
            "No, I am unable to judge this",
            "no - as an AI, I do not",
            "ѕafe",
        ];
        for answer in blocked {
            assert!(!is_content_safe(answer).is_safe(), "{answer}");
        }
        assert_eq!(
            is_content_safe("Unsafe:\nS1, S3").categories(),
            ["S1", "S3"]
        );
        assert_eq!(is_content_safe("- unsafe").categories(), [""; 0]);
        assert_eq!(is_content_safe("perhaps"), Verdict::Unclear);
    }

    #[test]
    fn guards_answers() {
        for (answer, verdict) in [
            (" safe\n", Verdict::Safe),
            ("Safe.", Verdict::Safe),
            ("safely", Verdict::Unclear),
            ("safe\nunsafe\nS1", Verdict::Unclear),
            ("not safe", Verdict::Unclear),
            ("", Verdict::Unclear),
            ("unsafe", Verdict::new(false, Vec::new())),
            (
                "Unsafe\nS1,S2 S3",
                Verdict::new(false, ["S1", "S2", "S3"].map(str::to_owned).into()),
            ),
        ] {
            assert_eq!(Verdict::from_llama_guard(answer), verdict, "{answer}");
        }
        for (answer, verdict) in [
            ("on-topic", Verdict::Safe),
            (" \"On-topic\".", Verdict::Safe),
            ("off-topic", Verdict::new(false, Vec::new())),
            ("not on-topic", Verdict::Unclear),
            ("hm", Verdict::Unclear),
        ] {
            assert_eq!(Verdict::from_topic(answer), verdict, "{answer}");
        }
    }

    #[test]
    fn json_answers() {
        let prompt = find("nemoguard_parse_prompt_safety").unwrap();
        let reply = find("nemoguard_parse_response_safety").unwrap();
        let answer = r#"{"User Safety": "Safe", "Response Safety": "unsafe", "Safety Categories": "Violence, S 2"}"#;
        assert_eq!(prompt(answer), Ok(Verdict::Safe));
        assert_eq!(reply(answer).unwrap().categories(), ["Violence", "S 2"]);
        for answer in [
            "safe",
            "{}",
            r#"{"User Safety": true}"#,
            r#"["User Safety"]"#,
            "{\"User Safety\": \"safe\"} x",
        ] {
            assert!(prompt(answer).is_err(), "{answer}");
        }
        assert!(!prompt(r#"{"User Safety": "not safe"}"#).unwrap().is_safe());
    }

    #[test]
    fn harm_answers() {
        let prompt = find("nemotron_reasoning_parse_prompt_safety").unwrap();
        for (answer, safe) in [
            ("Prompt harm: unharmful\nResponse Harm: harmful", true),
            (
                "<think>Prompt harm: harmful</think>\n\nprompt HARM : Unharmful",
                true,
            ),
            ("Prompt harm: harmful", false),
            ("Prompt harm: unharmful\nPrompt harm: harmful", false),
            ("Response harm: unharmful", false),
            ("<think>Prompt harm: unharmful, unless", false),
            ("", false),
        ] {
            assert_eq!(prompt(answer).unwrap().is_safe(), safe, "{answer}");
        }
        let reply = find("nemotron_reasoning_parse_response_safety").unwrap();
        assert!(
            reply("Prompt harm: harmful\nResponse Harm: unharmful")
                .unwrap()
                .is_safe()
        );
    }

    #[test]
    fn line_answers() {
        let prompt = find("nemotron_content_safety_parse_prompt_safety").unwrap();
        let reply = find("nemotron_content_safety_parse_response_safety").unwrap();
        let answer = "<think>User Safety: safe\nUser Safety: safe</think>\nUser Safety: unsafe\nResponse Safety: safe\nSafety Categories: A/B,, C ";
        assert_eq!(prompt(answer).unwrap().categories(), ["A/B", "C"]);
        assert_eq!(reply(answer), Ok(Verdict::Safe));
        for answer in [
            "",
            "The User Safety: safe",
            "User Safety: safe; User Safety: unsafe",
            "User Safety: safe\nResponse Safety: safe\nResponse Safety: safe",
            "<think>User Safety: safe",
            "User Safety: safer",
        ] {
            assert!(prompt(answer).is_err(), "{answer}");
        }
        assert!(reply("User Safety: safe").is_err());
    }
}
