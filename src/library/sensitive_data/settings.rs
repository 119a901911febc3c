//! `rails.config.sensitive_data_detection`, and what it makes of the entities that it lists.

use std::fmt;

use regex::RegexBuilder;
use serde::Deserialize;

use super::{
    detect::{Custom, Detector, Finder, Hint, Table},
    entities, web,
};
use crate::{error::Fault, library::BuildContext, pattern::Patterns};

/// The section's key.
pub(super) const SECTION: &str = "sensitive_data_detection";
/// How sure a match must be to block, where the section says nothing.
const DETECTS: f64 = 0.2;
/// How sure a match must be to be masked, where the section says nothing.
const MASKS: f64 = 0.4;
/// The mask that stands for the entity's name in angle brackets.
const DEFAULT_MASK: &str = "*";
/// Flags of Python's patterns: letter case, lines, and all characters for the dot.
const FLAGS: u32 = IGNORE_CASE | MULTILINE | DOT_ALL;
const IGNORE_CASE: u32 = 2;
const MULTILINE: u32 = 8;
const DOT_ALL: u32 = 16;

/// The section.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Settings {
    pub(super) recognizers: Vec<Recognizer>,
    pub(super) analyzer_url: Option<String>,
    pub(super) input: Options,
    pub(super) output: Options,
    pub(super) retrieval: Options,
}

/// What is looked for in the texts of one place.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Options {
    pub(super) entities: Vec<String>,
    pub(super) mask_token: Option<String>,
    pub(super) score_threshold: Option<f64>,
}

/// A recognizer as Presidio's recognizers without code are written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recognizer {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    supported_entity: Option<String>,
    #[serde(default)]
    supported_entities: Vec<String>,
    #[serde(default, rename = "supported_language")]
    _language: Option<String>,
    #[serde(default)]
    patterns: Vec<RecognizerPattern>,
    #[serde(default)]
    deny_list: Vec<String>,
    #[serde(default)]
    deny_list_score: Option<f64>,
    #[serde(default)]
    context: Vec<String>,
    #[serde(default)]
    global_regex_flags: Option<u32>,
    #[serde(default, rename = "version")]
    _version: Option<String>,
    #[serde(default, rename = "country_code")]
    _country: Option<String>,
}

#[derive(Debug, Deserialize)]
struct RecognizerPattern {
    #[serde(default, rename = "name")]
    _name: Option<String>,
    regex: String,
    score: f64,
}

impl Recognizer {
    fn entity(&self) -> Option<&str> {
        let first = || self.supported_entities.first().map(String::as_str);
        self.supported_entity.as_deref().or_else(first)
    }

    /// Its patterns, compiled; else what is wrong, each with its path in the recognizer.
    fn compile(&self) -> Result<Custom, Vec<(String, String)>> {
        let mut wrong = Vec::new();
        let mut say = |path: &str, message: String| wrong.push((path.to_owned(), message));
        if self.entity().is_none() {
            say("", "the recognizer has no `supported_entity`".to_owned());
        }
        if self.patterns.is_empty() && self.deny_list.is_empty() {
            say(
                "",
                "the recognizer has neither `patterns` nor `deny_list`".to_owned(),
            );
        }
        let flags = self.global_regex_flags.unwrap_or(FLAGS);
        let scores = self.patterns.iter().map(|pattern| pattern.score);
        let scores: Vec<f64> = scores.collect();
        for (index, score) in scores.iter().enumerate() {
            if !(0.0..=1.0).contains(score) {
                say(
                    &format!(".patterns[{index}].score"),
                    "the score is not from 0 to 1".to_owned(),
                );
            }
        }
        let deny_score = self.deny_list_score.unwrap_or(1.0);
        if !(0.0..=1.0).contains(&deny_score) {
            say(
                ".deny_list_score",
                "the score is not from 0 to 1".to_owned(),
            );
        }
        let sources: Vec<String> = self
            .patterns
            .iter()
            .map(|pattern| with_flags(&pattern.regex, flags))
            .collect();
        let patterns = match Patterns::compile(&sources, flags & IGNORE_CASE != 0) {
            Ok(patterns) => Some(patterns),
            Err(errors) => {
                for error in errors {
                    let path = format!(".patterns[{}].regex", error.index);
                    say(&path, format!("the pattern cannot be compiled: {error}"));
                }
                None
            }
        };
        let deny = self.deny_list(flags).unwrap_or_else(|message| {
            say(".deny_list", message);
            None
        });
        match patterns {
            Some(patterns) if wrong.is_empty() => Ok(Custom {
                patterns,
                scores,
                deny: deny.map(|regex| (regex, deny_score)),
                context: self
                    .context
                    .iter()
                    .map(|word| word.to_lowercase())
                    .collect(),
            }),
            _ => Err(wrong),
        }
    }

    /// The words of the list, where no letter touches them.
    fn deny_list(&self, flags: u32) -> Result<Option<regex::Regex>, String> {
        if self.deny_list.is_empty() {
            return Ok(None);
        }
        let words: Vec<String> = self
            .deny_list
            .iter()
            .map(|word| regex::escape(word))
            .collect();
        let pattern = format!(r"\b{{start-half}}(?:{})\b{{end-half}}", words.join("|"));
        RegexBuilder::new(&pattern)
            .case_insensitive(flags & IGNORE_CASE != 0)
            .build()
            .map(Some)
            .map_err(|error| format!("the list cannot be compiled: {error}"))
    }
}

/// The pattern under the flags for lines and the dot; its own flags, which must stand first, stay first.
fn with_flags(pattern: &str, flags: u32) -> String {
    let mut letters = String::new();
    if flags & MULTILINE != 0 {
        letters.push('m');
    }
    if flags & DOT_ALL != 0 {
        letters.push('s');
    }
    if letters.is_empty() {
        return pattern.to_owned();
    }
    let own = pattern.strip_prefix("(?").and_then(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_lowercase())?;
        rest.get(end..)?
            .starts_with(')')
            .then(|| pattern.split_at(end + 3))
    });
    let (own, rest) = own.unwrap_or(("", pattern));
    format!("{own}(?{letters}:{rest})")
}

/// What looks for the entities of one place.
#[derive(Default)]
pub(super) struct Source {
    pub(super) options: Options,
    pub(super) detector: Detector,
    /// The entities that no pattern finds.
    pub(super) asked: Vec<String>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("entities", &self.detector.entities)
            .finish_non_exhaustive()
    }
}

impl Source {
    /// What looks for the entities of `options`, with the recognizers of `settings`.
    ///
    /// # Errors
    ///
    /// What is wrong, with its place.
    pub(super) fn new(
        context: &BuildContext<'_>,
        settings: &Settings,
        options: &Options,
        key: &str,
    ) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut say = |path: String, message: String| {
            faults.push(
                context
                    .config
                    .rails
                    .section_fault(&path, format!("rails.config.{path}: {message}")),
            );
        };
        if options
            .score_threshold
            .is_some_and(|threshold| !(0.0..=1.0).contains(&threshold))
        {
            let path = format!("{SECTION}.{key}.score_threshold");
            say(path, "the threshold is not from 0 to 1".to_owned());
        }
        let mut source = Self {
            options: options.clone(),
            ..Self::default()
        };
        for (index, entity) in options.entities.iter().enumerate() {
            if source.detector.entities.contains(entity) {
                continue;
            }
            let place = source.detector.entities.len();
            let mut finders = Vec::new();
            match built_in(entity) {
                Ok(found) => finders.extend(found),
                Err(error) => say(
                    format!("{SECTION}.{key}.entities[{index}]"),
                    error.to_string(),
                ),
            }
            for recognizer in settings.recognizers.iter() {
                if recognizer.entity() == Some(entity)
                    && let Ok(custom) = recognizer.compile()
                {
                    finders.push(Finder::Custom(custom));
                }
            }
            if finders.is_empty() {
                source.asked.push(entity.clone());
            }
            source.detector.entities.push(entity.clone());
            let finders = finders.into_iter().map(|finder| (place, finder));
            source.detector.finders.extend(finders);
        }
        if faults.is_empty() {
            Ok(source)
        } else {
            Err(faults)
        }
    }
}

#[cfg(test)]
impl Source {
    /// What looks for these entities, which patterns find.
    pub(super) fn plain(entities: &[&str]) -> Self {
        let mut source = Self::default();
        for (place, entity) in entities.iter().enumerate() {
            let finder = built_in(entity).unwrap().unwrap();
            source.detector.entities.push((*entity).to_owned());
            source.detector.finders.push((place, finder));
        }
        source
    }
}

impl Source {
    /// How sure a match must be to count.
    pub(super) fn threshold(&self, masks: bool) -> f64 {
        let default = if masks { MASKS } else { DETECTS };
        self.options.score_threshold.unwrap_or(default)
    }

    /// What the entity at the place `entity` is masked with.
    pub(super) fn mask(&self, entity: usize) -> String {
        match self.options.mask_token.as_deref() {
            None | Some(DEFAULT_MASK) => {
                let name = self.detector.entities.get(entity);
                format!("<{}>", name.map_or("", String::as_str))
            }
            Some(token) => token.to_owned(),
        }
    }

    /// Whether a text can be settled before its end: patterns of a configuration, and an analyzer, may find anything.
    pub(super) fn is_settled_early(&self) -> bool {
        let custom = |(_, finder): &(usize, Finder)| matches!(finder, Finder::Custom(_));
        self.asked.is_empty() && !self.detector.finders.iter().any(custom)
    }
}

/// What finds `entity` without any configuration.
fn built_in(entity: &str) -> Result<Option<Finder>, regex::Error> {
    Ok(match entity {
        "EMAIL_ADDRESS" => Some(Finder::Code(web::emails, &["email"], Hint::At)),
        "URL" => Some(Finder::Code(
            web::urls,
            &["url", "website", "link"],
            Hint::Dot,
        )),
        #[cfg(feature = "phone-numbers")]
        "PHONE_NUMBER" => {
            super::phone::prepare();
            Some(Finder::Code(
                super::phone::numbers,
                &[
                    "phone",
                    "number",
                    "telephone",
                    "cell",
                    "cellphone",
                    "mobile",
                    "call",
                ],
                Hint::Digits(super::phone::FEWEST_DIGITS),
            ))
        }
        _ => match entities::find(entity) {
            Some(entity) => Some(Finder::Table(Table::new(entity)?)),
            None => None,
        },
    })
}

/// All that is wrong with the recognizers of `settings`.
pub(super) fn faults(context: &BuildContext<'_>, settings: &Settings) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (index, recognizer) in settings.recognizers.iter().enumerate() {
        for (path, message) in recognizer.compile().err().into_iter().flatten() {
            let path = format!("{SECTION}.recognizers[{index}]{path}");
            let name = recognizer
                .name
                .as_deref()
                .map(|name| format!(" of `{name}`"));
            let message = format!("rails.config.{path}{}: {message}", name.unwrap_or_default());
            faults.push(context.config.rails.section_fault(&path, message));
        }
    }
    faults
}
