//! What can go wrong, from a rails directory that does not load to a model that does not answer.
//!
//! [`Error`] is what the public functions return. Each kind keeps its cause as its
//! [`source`](std::error::Error::source), so that a log shows the whole chain.

use std::{fmt, path::PathBuf, time::Duration};

/// A boxed cause.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The result of the public functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a public function failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The rails directory, or what was registered for it, is not usable.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A model or its endpoint failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// An action raised an error, is unknown, or was called with the wrong arguments.
    #[error("action `{action}` failed")]
    Action {
        /// The action's name.
        action: String,
        /// What it raised.
        #[source]
        source: BoxError,
    },
    /// A rail could not come to a verdict.
    #[error("rail `{rail}` failed")]
    Rail {
        /// The rail's flow name, as configured.
        rail: String,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// A rail took longer than its time limit.
    #[error("rail `{rail}` took longer than {limit:?}")]
    RailTimeout {
        /// The rail's flow name, as configured.
        rail: String,
        /// The limit that it reached.
        limit: Duration,
    },
    /// What the caller passed makes no sense: no messages, options that contradict each other.
    #[error("{0}")]
    InvalidInput(String),
    /// A Colang program failed while it ran: an expression, an endless loop.
    #[error("{0}")]
    Colang(String),
}

impl Error {
    /// An error for input that makes no sense.
    pub(crate) fn invalid_input(message: impl Into<String>) -> Self {
        Self::InvalidInput(message.into())
    }

    /// As [`for_log`].
    pub(crate) fn for_log(&self) -> String {
        for_log(self)
    }
}

/// An error with its causes, in one line, for logs: without what a service said, which may repeat the user's text or a key.
pub(crate) fn for_log(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let said = match (error.downcast_ref::<Error>(), error.downcast_ref()) {
            (Some(Error::Model(model)), _) | (_, Some(model)) => ModelError::for_log(model),
            _ => without_answer(error),
        };
        // An error that shows its cause itself says it once.
        if !line.ends_with(&said) {
            if !line.is_empty() {
                line.push_str(": ");
            }
            line.push_str(&said);
        }
        next = error.source();
    }
    line
}

/// What an error says, unless it quotes what it could not read.
fn without_answer(error: &(dyn std::error::Error + 'static)) -> String {
    match error.downcast_ref::<serde_json::Error>() {
        Some(json) => format!("line {} column {}", json.line(), json.column()),
        None => error.to_string(),
    }
}

/// Everything that is wrong with a configuration, reported together.
///
/// ```
/// # use tower_guardrails::RailsConfig;
/// let error = RailsConfig::from_content("models: 3\n", "").unwrap_err();
/// assert!(error.to_string().contains("models"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The faults, in the order of files and lines.
    pub faults: Vec<Fault>,
}

impl ConfigError {
    /// An error of a single fault.
    pub(crate) fn new(fault: Fault) -> Self {
        Self {
            faults: vec![fault],
        }
    }
}

/// The faults found first, and of those found later the ones at places that have none yet; in the order of files and lines.
pub(crate) fn all_faults(first: Vec<Fault>, later: Vec<Fault>) -> Vec<Fault> {
    let place = |fault: &Fault| (fault.file.clone(), fault.line, fault.column);
    // A line that was found wrong before has its fault already.
    let is_known = |fault: &Fault| {
        fault.line.is_some() && first.iter().any(|known| place(known) == place(fault))
    };
    let later: Vec<Fault> = later.into_iter().filter(|fault| !is_known(fault)).collect();
    let mut all = first;
    for fault in later {
        if !all.contains(&fault) {
            all.push(fault);
        }
    }
    all.sort_by_cached_key(place);
    all
}

impl From<Fault> for ConfigError {
    fn from(fault: Fault) -> Self {
        Self::new(fault)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.faults.as_slice() {
            [] => f.write_str("the configuration is not usable"),
            [only] => only.fmt(f),
            many => {
                write!(f, "the configuration has {} faults:", many.len())?;
                for fault in many {
                    write!(f, "\n- {fault}")?;
                }
                Ok(())
            }
        }
    }
}

/// One fault of a configuration, or a warning about it, with its place.
///
/// Displayed as `file:line:column: message`, then the drawn line where there is one.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Fault {
    /// What is wrong, and with which key or name.
    pub message: String,
    /// The file, relative to the rails directory where it lies in it.
    pub file: Option<PathBuf>,
    /// The line, from 1.
    pub line: Option<usize>,
    /// The column in characters, from 1.
    pub column: Option<usize>,
    /// The source line with a mark under the place, ready to print.
    #[serde(skip)]
    pub excerpt: Option<String>,
}

impl Fault {
    /// A fault without a place.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            file: None,
            line: None,
            column: None,
            excerpt: None,
        }
    }

    /// Sets the file.
    #[must_use]
    pub fn in_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// Sets the line and the column, both from 1.
    #[must_use]
    pub fn at(mut self, line: usize, column: usize) -> Self {
        self.line = Some(line);
        self.column = Some(column);
        self
    }

    /// Sets the drawn excerpt.
    #[must_use]
    pub fn with_excerpt(mut self, excerpt: impl Into<String>) -> Self {
        self.excerpt = Some(excerpt.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}:", file.display())?;
        }
        if let Some(line) = self.line {
            if self.file.is_none() {
                f.write_str("line ")?;
            }
            write!(f, "{line}:")?;
            if let Some(column) = self.column {
                write!(f, "{column}:")?;
            }
        }
        if self.file.is_some() || self.line.is_some() {
            f.write_str(" ")?;
        }
        f.write_str(&self.message)?;
        if let Some(excerpt) = &self.excerpt {
            write!(f, "\n{excerpt}")?;
        }
        Ok(())
    }
}

/// What kind of failure a [`ModelError`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ModelErrorKind {
    /// 401 or 403: the key is missing or not accepted.
    Authentication,
    /// 429.
    RateLimit,
    /// 400, 404, 422 and other refusals of the request.
    BadRequest,
    /// The conversation is longer than the model reads.
    ContextWindow,
    /// 5xx.
    Server,
    /// No answer in time.
    Timeout,
    /// No connection, or one that broke off.
    Connection,
    /// An answer that is not what the protocol says.
    InvalidResponse,
    /// The model is configured in a way that cannot work.
    Configuration,
}

impl ModelErrorKind {
    /// What an answer of this HTTP status says, where nothing more is known.
    pub(crate) fn of_status(status: u16) -> Self {
        match status {
            401 | 403 => Self::Authentication,
            408 => Self::Timeout,
            429 => Self::RateLimit,
            400..=499 => Self::BadRequest,
            500.. => Self::Server,
            _ => Self::InvalidResponse,
        }
    }
}

/// A model, or the endpoint that serves it, failed.
///
/// The message never holds a key: secrets are redacted where the error is made.
#[derive(Debug, thiserror::Error)]
#[error("model `{model}`: {message}")]
pub struct ModelError {
    /// What kind of failure.
    pub kind: ModelErrorKind,
    /// The model's name.
    pub model: String,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// The provider's own error code, where it gave one.
    pub code: Option<String>,
    /// How long the provider asks to wait.
    pub retry_after: Option<Duration>,
    /// What the provider, or the transport, said.
    pub message: String,
    /// The cause.
    #[source]
    pub source: Option<BoxError>,
}

impl ModelError {
    /// An error of `kind` for `model`, with no status and no cause.
    pub fn new(kind: ModelErrorKind, model: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind,
            model: model.into(),
            status: None,
            code: None,
            retry_after: None,
            message: message.into(),
            source: None,
        }
    }

    /// The error for logs. What came with a status is the provider's own text.
    fn for_log(&self) -> String {
        let Self { kind, model, .. } = self;
        match (self.status, &self.code) {
            (Some(status), _) => format!("model `{model}`: {kind:?}, status {status}"),
            (None, Some(_)) => format!("model `{model}`: {kind:?}"),
            (None, None) => self.to_string(),
        }
    }

    /// Sets the HTTP status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Sets the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_do_not_show_what_a_service_said() {
        let refused = ModelError::new(ModelErrorKind::BadRequest, "m", "bad: my user's words")
            .with_status(400);
        let rail = Error::Rail {
            rail: "self check input".to_owned(),
            source: refused.into(),
        };
        assert_eq!(
            rail.for_log(),
            "rail `self check input` failed: model `m`: BadRequest, status 400"
        );
        let broken = ModelError::new(ModelErrorKind::Connection, "m", "no route");
        assert_eq!(Error::from(broken).for_log(), "model `m`: no route");
        let json = serde_json::from_str::<u64>("\"my user's words\"").unwrap_err();
        let rail = Error::Rail {
            rail: "r".to_owned(),
            source: json.into(),
        };
        assert_eq!(rail.for_log(), "rail `r` failed: line 1 column 17");
    }
}
