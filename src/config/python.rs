//! `python`: the worker that runs the Python of a rails directory.

use std::time::Duration;

use serde::Serialize;

use super::read::read_section;

/// How many worker processes there may be.
const MOST_WORKERS: usize = 64;
/// The longest time limit, in seconds.
const LONGEST_TIMEOUT: f64 = 86_400.0;

/// `python`: the worker process that runs the directory's `actions.py`, `actions/` and `config.py`. None is started without it.
///
/// ```
/// # use tower_guardrails::RailsConfig;
/// let config = RailsConfig::from_content("models: []\npython: {interpreter: python3, timeout: 10}\n", "")?;
/// assert_eq!(config.python.unwrap().max_workers, 1);
/// # Ok::<(), tower_guardrails::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PythonConfig {
    /// The interpreter: a path, or a name that is looked for in `PATH`. Default: `python3`. It must be 3.9 or later.
    pub interpreter: String,
    /// How long one action may take, in seconds. Default: 30.
    pub timeout: f64,
    /// How many processes run actions. Each loads the directory for itself, so that code that blocks, or keeps an interpreter
    /// busy, does not hold up all calls. Default: 1.
    pub max_workers: usize,
}

impl PythonConfig {
    /// A worker of this interpreter, with the defaults.
    pub fn new(interpreter: impl Into<String>) -> Self {
        Self {
            interpreter: interpreter.into(),
            ..Self::default()
        }
    }

    /// How long one action may take.
    pub(crate) fn time_limit(&self) -> Duration {
        Duration::try_from_secs_f64(self.timeout).unwrap_or(Duration::from_secs(30))
    }

    /// What is wrong with it: the key, and why.
    pub(super) fn wrong(&self) -> Option<(&'static str, String)> {
        if self.interpreter.trim().is_empty() {
            return Some((
                "interpreter",
                "`python.interpreter` names no program".to_owned(),
            ));
        }
        if !(self.timeout > 0.0 && self.timeout <= LONGEST_TIMEOUT) {
            let message = format!(
                "`python.timeout` must be a number of seconds above 0, and at most {LONGEST_TIMEOUT}"
            );
            return Some(("timeout", message));
        }
        if !(1..=MOST_WORKERS).contains(&self.max_workers) {
            let message = format!("`python.max_workers` must be from 1 to {MOST_WORKERS}");
            return Some(("max_workers", message));
        }
        None
    }
}

impl Default for PythonConfig {
    fn default() -> Self {
        Self {
            interpreter: "python3".to_owned(),
            timeout: 30.0,
            max_workers: 1,
        }
    }
}

read_section!(PythonConfig {
    interpreter,
    timeout,
    max_workers
});
