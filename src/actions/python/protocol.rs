//! The lines between the crate and its worker: one JSON object each.

use std::{io, path::PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The longest line either way, in bytes.
pub(super) const MAX_LINE: usize = 16 << 20;

/// What a worker is told at its start.
#[derive(Debug, Serialize)]
pub(super) struct Settings<'a> {
    /// The line that comes before all answers.
    pub(super) token: &'a str,
    pub(super) max_line: usize,
    /// How many threads run blocking code.
    pub(super) threads: usize,
    /// The folders whose Python is loaded: the rails directory, then what it imports.
    pub(super) roots: &'a [String],
    /// The configuration.
    pub(super) config: &'a Value,
    /// What is made ready for the crate's own rails.
    pub(super) lends: &'a [Value],
}

/// A line of a worker.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Line {
    /// The call that it is about.
    pub(super) id: Option<u64>,
    /// The call's value.
    pub(super) ok: Option<Value>,
    /// Whether the value is a rail's verdict.
    pub(super) outcome: bool,
    /// Events that happen after the call.
    pub(super) events: Vec<Value>,
    /// Context variables that it sets.
    pub(super) updates: Map<String, Value>,
    /// Why the call failed.
    pub(super) error: Option<String>,
    /// The traceback, for the log.
    pub(super) traceback: String,
    /// The number of what the call asks; beside `error`, of the question whose failure failed the call.
    pub(super) ask: Option<u64>,
    /// What it asks, by `do`.
    pub(super) question: Map<String, Value>,
    /// A cancelled call that is over.
    pub(super) ended: Option<u64>,
    /// How many threads are in code that nobody waits for any more.
    pub(super) stuck: Option<usize>,
    /// The directory is loaded.
    pub(super) ready: Option<Box<Facts>>,
    /// It is not, and why.
    pub(super) failed: Option<String>,
    /// Where that came from.
    pub(super) place: Option<Place>,
}

/// What a loaded directory has.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Facts {
    /// The interpreter's version.
    pub(crate) python: String,
    /// The actions.
    pub(crate) actions: Vec<ActionFacts>,
    /// The filters of prompts.
    pub(crate) filters: Vec<String>,
    /// The parsers of models' answers.
    pub(crate) parsers: Vec<String>,
    /// The variables of prompts.
    pub(crate) variables: Vec<VariableFacts>,
    /// Files of actions that cannot be loaded.
    pub(crate) problems: Vec<Problem>,
    /// What `init` registers that only the reference runs.
    pub(crate) not_run: Vec<String>,
}

/// An action.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ActionFacts {
    pub(crate) name: String,
    pub(crate) is_system: bool,
    /// The names of its parameters.
    pub(crate) parameters: Vec<String>,
}

/// A variable of prompts.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct VariableFacts {
    pub(crate) name: String,
    /// Whether it is asked anew for each prompt.
    pub(crate) is_called: bool,
    /// Its value, where it is not.
    pub(crate) value: Value,
}

/// A file that cannot be loaded.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Problem {
    pub(crate) file: PathBuf,
    pub(crate) line: Option<usize>,
    pub(crate) message: String,
}

/// A place in a file.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Place {
    pub(super) file: Option<PathBuf>,
    pub(super) line: Option<usize>,
}

/// The next line of `reader`, without its end; none at the end.
///
/// # Errors
///
/// Where it cannot be read, and where a line is longer than `limit`.
pub(super) fn next_line(
    reader: &mut impl io::BufRead,
    limit: usize,
) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    loop {
        let piece = match reader.fill_buf() {
            Ok(piece) => piece,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if piece.is_empty() {
            // The rest of a line is none: whoever wrote it is gone.
            return Ok(None);
        }
        let end = memchr::memchr(b'\n', piece);
        let taken = end.unwrap_or(piece.len());
        if line.len() + taken > limit {
            let message = format!("a line is longer than {limit} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        line.extend_from_slice(piece.get(..taken).unwrap_or_default());
        reader.consume(end.map_or(taken, |end| end + 1));
        if end.is_some() {
            return Ok(Some(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::next_line;

    #[test]
    fn lines_have_a_limit_and_an_end() {
        let mut text: &[u8] = b"one\n\ntwo\nrest";
        let mut lines = || next_line(&mut text, 3).unwrap();
        assert_eq!(lines().as_deref(), Some(&b"one"[..]));
        assert_eq!(lines().as_deref(), Some(&b""[..]));
        assert_eq!(lines().as_deref(), Some(&b"two"[..]));
        assert_eq!(next_line(&mut &b"rest"[..], 9).unwrap(), None);
        assert!(next_line(&mut &b"four\n"[..], 3).is_err());
    }
}
