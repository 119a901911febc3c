//! One call of a worker: what it is sent, what it asks on the way, what comes of it.

use std::{
    collections::HashMap,
    sync::{Arc, mpsc},
    time::Duration,
};

use futures_core::future::BoxFuture;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use serde_json::{Map, Value, json};

use super::{
    error::PythonError,
    pool::Pool,
    process::{Come, Process},
    protocol::Line,
};
use crate::error::{BoxError, ModelError};

/// How many questions of one call may be open; more get an error.
const MOST_QUESTIONS: usize = 256;

/// Why a question has no answer.
pub(super) enum Unanswered {
    /// A model failed.
    Model(ModelError),
    /// Anything else, in words for the code that asks.
    Other(String),
}

/// Who answers what the code of a call asks.
pub(super) trait Answers: Send + Sync {
    /// The answer to `question`.
    fn answer(&self, question: Map<String, Value>) -> BoxFuture<'_, Result<Value, Unanswered>>;
}

/// Nobody.
pub(super) struct NoAnswers;

impl Answers for NoAnswers {
    fn answer(&self, _: Map<String, Value>) -> BoxFuture<'_, Result<Value, Unanswered>> {
        let message = "this code cannot ask for models or prompts";
        Box::pin(std::future::ready(Err(Unanswered::Other(
            message.to_owned(),
        ))))
    }
}

/// A call that runs; dropping it cancels it.
struct Running<'a> {
    pool: &'a Pool,
    process: Arc<Process>,
    number: u64,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // After its last line it is no call any more.
        self.pool.cancel(&self.process, self.number);
    }
}

/// Has a worker do what `request` says, for at most `limit`.
///
/// # Errors
///
/// A [`PythonError`], or the [`ModelError`] that the code let pass.
pub(super) async fn run(
    pool: &Pool,
    request: Map<String, Value>,
    answers: &dyn Answers,
    limit: Duration,
) -> Result<Line, BoxError> {
    let limited = tokio::time::timeout(limit, run_unlimited(pool, request, answers));
    match limited.await {
        Ok(result) => result,
        Err(_) => Err(PythonError::Timeout(limit).into()),
    }
}

async fn run_unlimited(
    pool: &Pool,
    mut request: Map<String, Value>,
    answers: &dyn Answers,
) -> Result<Line, BoxError> {
    let length = serde_json::to_vec(&request)?.len();
    let _room = pool.room(length).await?;
    let (told, mut comes) = tokio::sync::mpsc::unbounded_channel();
    let (process, number) = loop {
        let process = pool.worker().await?;
        let number = process.next_number();
        request.insert("id".to_owned(), number.into());
        let told = told.clone();
        let waiter = Box::new(move |come| {
            // That nobody waits any more is no error.
            let _ = told.send(come);
        });
        // One that is gone by now has not had the call: the next gets it.
        if process.begin(number, serde_json::to_vec(&request)?, waiter) {
            break (process, number);
        }
    };
    drop((told, request));
    let running = Running {
        pool,
        process,
        number,
    };
    let mut failures: HashMap<u64, ModelError> = HashMap::new();
    let mut questions = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some((ask, answer)) = questions.next(), if !questions.is_empty() => {
                let reply = match answer {
                    Ok(value) => json!({"reply": ask, "ok": value}),
                    Err(Unanswered::Other(message)) => json!({"reply": ask, "error": message}),
                    Err(Unanswered::Model(error)) => {
                        let message = error.to_string();
                        failures.insert(ask, error);
                        json!({"reply": ask, "error": message, "model": true})
                    }
                };
                running.process.send(serde_json::to_vec(&reply)?);
            }
            come = comes.recv() => {
                let line = match come {
                    Some(Come::Line(line)) => *line,
                    Some(Come::Dead(reason)) => return Err(PythonError::Died(reason.to_string()).into()),
                    None => return Err(PythonError::Died("it is gone".to_owned()).into()),
                };
                match line.ask {
                    Some(ask) if line.error.is_none() => {
                        if questions.len() >= MOST_QUESTIONS {
                            let message = format!("more than {MOST_QUESTIONS} questions of one action at once");
                            let reply = json!({"reply": ask, "error": message});
                            running.process.send(serde_json::to_vec(&reply)?);
                        } else {
                            questions.push(async move { (ask, answers.answer(line.question).await) });
                        }
                    }
                    ask => {
                        let failed = ask.and_then(|ask| failures.remove(&ask));
                        return ended(line, failed);
                    }
                }
            }
        }
    }
}

/// As [`run`], for code that cannot await: the thread waits.
///
/// # Errors
///
/// As [`run`], and where no worker is there now.
pub(super) fn run_blocking(
    pool: &Pool,
    mut request: Map<String, Value>,
    limit: Duration,
) -> Result<Line, BoxError> {
    let process = pool.worker_now()?;
    let number = process.next_number();
    request.insert("id".to_owned(), number.into());
    let line = serde_json::to_vec(&request)?;
    let _room = pool.room_now(line.len())?;
    let (told, comes) = mpsc::channel();
    let waiter = Box::new(move |come| {
        let _ = told.send(come);
    });
    if !process.begin(number, line, waiter) {
        return Err(PythonError::Away("it has just ended".to_owned()).into());
    }
    let running = Running {
        pool,
        process,
        number,
    };
    loop {
        let line = match comes.recv_timeout(limit) {
            Ok(Come::Line(line)) => *line,
            Ok(Come::Dead(reason)) => return Err(PythonError::Died(reason.to_string()).into()),
            Err(_) => return Err(PythonError::Timeout(limit).into()),
        };
        match line.ask {
            Some(ask) if line.error.is_none() => {
                let message = "filters, parsers and variables of prompts cannot ask for anything";
                let reply = json!({"reply": ask, "error": message});
                running.process.send(serde_json::to_vec(&reply)?);
            }
            _ => return ended(line, None),
        }
    }
}

/// The last line of a call, if it is no failure.
fn ended(line: Line, failed: Option<ModelError>) -> Result<Line, BoxError> {
    let Some(error) = &line.error else {
        return Ok(line);
    };
    if let Some(failed) = failed {
        return Err(failed.into());
    }
    tracing::warn!(target: "tower_guardrails::python", %error, "Python raised an exception\n{}", line.traceback.trim_end());
    Err(match error.split_once(": ") {
        // What this crate's own code says quotes nothing.
        Some(("CannotSend", message)) => PythonError::NotSent(message.to_owned()),
        Some((kind, _)) => PythonError::Raised(kind.to_owned()),
        None => PythonError::Raised(error.clone()),
    }
    .into())
}
