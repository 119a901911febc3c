//! Why Python gives no answer.

use std::{path::PathBuf, time::Duration};

use crate::error::Fault;

/// Why a worker did not start, or a call of it has no result.
///
/// What is displayed never holds what the code raised in its own words: those may quote a user's text, and are only logged.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum PythonError {
    /// The interpreter cannot be started.
    #[error("the Python interpreter `{interpreter}` cannot be started: {reason}")]
    Interpreter {
        /// The program.
        interpreter: String,
        /// What the system says.
        reason: String,
    },
    /// The worker ended, or did not answer, before the directory was loaded.
    #[error("the Python worker (`{interpreter}`) did not start: {reason}")]
    Start {
        /// The program.
        interpreter: String,
        /// What happened.
        reason: String,
    },
    /// The directory's `config.py` cannot be run, or its `init` fails.
    #[error("{message}")]
    Load {
        /// What was raised.
        message: String,
        /// The file.
        file: Option<PathBuf>,
        /// The line in it, from 1.
        line: Option<usize>,
    },
    /// The worker ended while the call ran.
    #[error("the Python worker ended while it ran: {0}")]
    Died(String),
    /// There is no worker at the moment.
    #[error("there is no Python worker at the moment: {0}")]
    Away(String),
    /// It took too long.
    #[error("Python took longer than {0:?}")]
    Timeout(Duration),
    /// The call is too long to be sent.
    #[error("the call is {length} bytes long; at most {limit} are sent to Python")]
    TooLong {
        /// How long.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// The code raised an exception.
    #[error("Python raised `{0}`; the log has its traceback")]
    Raised(String),
    /// What the code returned cannot be sent.
    #[error("what the Python code gives cannot be taken: {0}")]
    NotSent(String),
    /// What came is no answer.
    #[error("the Python worker's answer makes no sense: {0}")]
    Answer(String),
}

impl PythonError {
    /// As a fault of the configuration.
    pub(crate) fn into_fault(self) -> Fault {
        match self {
            Self::Load {
                message,
                file,
                line,
            } => {
                let fault = Fault::new(message);
                match (file, line) {
                    (Some(file), Some(line)) => fault.in_file(file).at(line, 1),
                    (Some(file), None) => fault.in_file(file),
                    (None, _) => fault,
                }
            }
            other => Fault::new(other.to_string()),
        }
    }
}
