//! What only Python has, lent to the rails of the library where its packages are installed in the worker's interpreter.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value};

use super::{
    Python,
    call::{self, NoAnswers},
    error::PythonError,
    pool::START_LIMIT,
};
use crate::error::BoxError;

/// Something that a worker has made ready: an analyzer, a classifier, a model.
#[derive(Debug, Clone)]
pub(crate) struct Lent {
    python: Arc<Python>,
    request: Map<String, Value>,
}

impl Python {
    /// Has a worker make `what` ready by `settings`: see `lent.py`. Waits until that is done, which may take as long as a model
    /// takes to load.
    ///
    /// # Errors
    ///
    /// Why it cannot: a package that is missing, a model that does not load.
    pub(crate) fn lend(self: &Arc<Self>, what: &str, settings: Value) -> Result<Lent, String> {
        let mut request = Map::new();
        request.insert("what".to_owned(), what.into());
        request.insert("settings".to_owned(), settings);
        let mut lend = request.clone();
        lend.insert("do".to_owned(), "lend".into());
        let made = call::run_blocking(&self.pool, lend.clone(), START_LIMIT);
        let made = made.map_err(|error| error.to_string())?;
        match made.ok.unwrap_or_default() {
            Value::Null => {}
            why => return Err(why.as_str().unwrap_or("it says nothing of why").to_owned()),
        }
        // Those that come after this one begin with it.
        self.pool.remember(lend.into());
        request.insert("do".to_owned(), "use".into());
        Ok(Lent {
            python: Arc::clone(self),
            request,
        })
    }
}

impl Lent {
    /// What it makes of `text`; `asked` is what is asked of it beside.
    ///
    /// # Errors
    ///
    /// A [`PythonError`].
    pub(crate) async fn ask(
        &self,
        text: &str,
        asked: Value,
        limit: Option<Duration>,
    ) -> Result<Value, BoxError> {
        let mut request = self.request.clone();
        request.insert("text".to_owned(), text.into());
        request.insert("asked".to_owned(), asked);
        let limit = limit.unwrap_or(self.python.limit);
        let line = call::run(&self.python.pool, request, &NoAnswers, limit).await?;
        line.ok
            .ok_or_else(|| PythonError::Answer("it has no value".to_owned()).into())
    }
}
