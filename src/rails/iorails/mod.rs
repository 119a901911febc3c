//! [`IoRails`]: the library's rails around a model, without Colang.
//!
//! The rails are those that a layer runs: the compiled plan. The conversation goes to the main model as it is, and the answer
//! comes back as it is, unless a rail blocks or rewrites it. What needs a whole turn (flows of the application, dialog, a
//! knowledge base) is refused when the rails are built.

mod answer;
mod build;
mod check;
mod conversation;
mod judge;
mod log;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use self::build::IoRailsBuilder;
use super::plan::Plan;
use crate::{config::RailsConfig, error::Result, llm::Models};

/// The library's rails of a configuration around its main model. Cheap to clone, safe to use from many tasks.
///
/// Beside [`LlmRails`](super::LlmRails) it is for configurations with nothing but library rails on what comes in and goes out:
/// no instructions, prompts or own refusals take part; what a rail blocks is answered by one fixed sentence.
///
/// ```no_run
/// use tower_guardrails::{IoRails, Message, RailsConfig};
///
/// # async fn f() -> tower_guardrails::Result<()> {
/// let rails = IoRails::new(RailsConfig::from_path("rails")?)?;
/// let answer = rails.generate([Message::user("Hi!")]).await?;
/// println!("{}", answer.content.text());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[doc(alias = "IORails")]
pub struct IoRails {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: Arc<RailsConfig>,
    models: Models,
    plan: Plan,
    /// Whether the answer is generated while the input rails still run.
    speculative: bool,
}

impl IoRails {
    /// The rails of `config`, with the models that it names.
    ///
    /// # Errors
    ///
    /// All that is missing or wrong, and all that needs more than rails around a model, together: flows of the application,
    /// sections under `rails` for dialog, retrieval or actions, rails on the wrong side, models and prompts that are not there.
    pub fn new(config: RailsConfig) -> Result<Self> {
        Self::builder(config).build()
    }

    /// A builder, to register models of your own.
    pub fn builder(config: RailsConfig) -> IoRailsBuilder {
        IoRailsBuilder::new(config)
    }

    /// The configuration.
    pub fn config(&self) -> &RailsConfig {
        &self.inner.config
    }
}
