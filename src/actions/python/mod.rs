//! The Python of a rails directory: `actions.py`, `actions/` and `config.py`, run unchanged in worker processes.
//!
//! The crate starts its workers where the configuration or the application says so, and only then; it ends them when the engine is
//! dropped, and they end by themselves when it is gone. They speak in lines of JSON over pipes that nothing else can write
//! to: what the code prints goes to the log.
//!
//! `protocol.rs` has the lines, `process.rs` one process, `pool.rs` all of them, `call.rs` one call. `start.py` is what the
//! interpreter is given, `worker.py` its loop, `registry.py` how files are loaded and actions run, `package.py` what stands in for
//! the reference's package.

mod action;
mod call;
mod error;
mod host;
mod lent;
mod names;
mod output;
mod pool;
mod process;
mod protocol;

use std::{path::Path, sync::Arc, time::Duration};

use super::Action;
use crate::{config::RailsConfig, error::Fault};
pub(crate) use lent::Lent;
use pool::Pool;
use protocol::Facts;

/// The loaded Python of a directory.
#[derive(Debug)]
pub(crate) struct Python {
    pool: Pool,
    facts: Facts,
    limit: Duration,
}

impl Python {
    /// Starts the worker that `config` asks for, and waits until it has loaded the directory; none where it asks for none.
    ///
    /// # Errors
    ///
    /// Where it does not start, or the directory's `config.py` cannot be run.
    pub(crate) fn start(config: &RailsConfig) -> Result<Option<Arc<Self>>, Fault> {
        let Some(settings) = &config.python else {
            return Ok(None);
        };
        let shown = serde_json::to_value(config).unwrap_or_default();
        let started = Pool::start(settings, roots(config), shown);
        let (pool, facts) = started.map_err(error::PythonError::into_fault)?;
        for problem in &facts.problems {
            let mut fault = Fault::new(format!(
                "the file cannot be loaded, and its actions are not there: {}",
                problem.message
            ));
            fault = fault.in_file(&problem.file);
            if let Some(line) = problem.line {
                fault = fault.at(line, 1);
            }
            tracing::warn!("{fault}");
        }
        for what in &facts.not_run {
            tracing::warn!("{what}, which the directory's Python registers, is not used");
        }
        tracing::info!(
            python = facts.python,
            actions = facts.actions.len(),
            "a Python worker runs the directory's actions"
        );
        Ok(Some(Arc::new(Self {
            pool,
            facts,
            limit: settings.time_limit(),
        })))
    }

    /// Starts the other workers that were asked for: by now the first has all that they will need.
    ///
    /// # Errors
    ///
    /// Where the system gives no threads.
    pub(crate) fn grow(&self) -> Result<(), Fault> {
        self.pool.grow().map_err(error::PythonError::into_fault)
    }

    /// The actions of the directory, by their names.
    pub(crate) fn actions(self: &Arc<Self>) -> Vec<(String, Arc<dyn Action>)> {
        let actions = self.facts.actions.iter().map(|facts| {
            let action = action::PythonAction {
                python: Arc::clone(self),
                facts: facts.clone(),
            };
            (facts.name.clone(), Arc::new(action) as Arc<dyn Action>)
        });
        actions.collect()
    }
}

/// The folders whose Python is loaded: the directory's own, then those that it imports.
fn roots(config: &RailsConfig) -> Vec<String> {
    let own = config.config_path.iter().flat_map(|path| path.split(','));
    let imported = config.imported_paths.values().map(String::as_str);
    let mut roots: Vec<String> = Vec::new();
    for root in own.chain(imported) {
        let root = Path::new(root.trim());
        if !root.is_dir() {
            continue;
        }
        let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        let root = root.to_string_lossy().into_owned();
        if !roots.contains(&root) {
            roots.push(root);
        }
    }
    roots
}
