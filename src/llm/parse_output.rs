//! Reading a model's answer: texts put back into Colang's spelling, and verdicts.
//!
//! A verdict is read strictly: what is not clearly safe is not safe.

mod text;
mod verdict;

use std::{collections::HashMap, fmt, sync::Arc};

pub use verdict::Verdict;

/// What a parser makes of an answer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Parsed {
    /// A text.
    Text(String),
    /// A verdict.
    Verdict(Verdict),
}

/// A parser of answers, built-in or registered.
pub type OutputParser = Arc<dyn Fn(&str) -> Result<Parsed, ParseError> + Send + Sync>;

/// An answer is not what its parser expects, or there is no such parser.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// The answer cannot be read.
    #[error("the model's answer cannot be read by the parser `{parser}`: {reason}")]
    Unreadable {
        /// The parser's name.
        parser: String,
        /// What is wrong with the answer, which is not quoted.
        reason: String,
    },
    /// No parser of this name.
    #[error("there is no output parser `{0}`")]
    Unknown(String),
}

/// The parsers that prompts may name as `output_parser`.
#[derive(Clone)]
pub struct OutputParsers {
    registered: HashMap<String, OutputParser>,
}

impl OutputParsers {
    /// The built-in parsers.
    pub fn new() -> Self {
        Self {
            registered: HashMap::new(),
        }
    }

    /// Adds a parser; one of the same name, even a built-in one, is replaced.
    pub fn register(&mut self, name: impl Into<String>, parser: OutputParser) {
        self.registered.insert(name.into(), parser);
    }

    /// Whether a parser `name` is registered, the built-in ones aside.
    pub(crate) fn is_registered(&self, name: &str) -> bool {
        self.registered.contains_key(name)
    }

    /// Whether there is a parser `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.registered.contains_key(name)
            || text::find(name).is_some()
            || verdict::find(name).is_some()
    }

    /// Has the parser `name` read `answer`.
    ///
    /// # Errors
    ///
    /// [`ParseError::Unknown`] without such a parser, [`ParseError::Unreadable`] from the parser.
    pub fn parse(&self, name: &str, answer: &str) -> Result<Parsed, ParseError> {
        if let Some(parser) = self.registered.get(name) {
            return parser(answer);
        }
        if let Some(parser) = text::find(name) {
            return Ok(Parsed::Text(parser(answer)));
        }
        let parser = verdict::find(name).ok_or_else(|| ParseError::Unknown(name.to_owned()))?;
        let verdict = parser(answer).map_err(|reason| ParseError::Unreadable {
            parser: name.to_owned(),
            reason: reason.to_owned(),
        })?;
        Ok(Parsed::Verdict(verdict))
    }

    /// Has the parser `name` read `answer` as a verdict. A text, from a parser of texts, is read by `is_content_safe`.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn parse_verdict(&self, name: &str, answer: &str) -> Result<Verdict, ParseError> {
        match self.parse(name, answer)? {
            Parsed::Verdict(verdict) => Ok(verdict),
            Parsed::Text(text) => Ok(verdict::is_content_safe(&text)),
        }
    }
}

impl Default for OutputParsers {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for OutputParsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutputParsers")
            .field("registered", &self.registered.keys())
            .finish()
    }
}
