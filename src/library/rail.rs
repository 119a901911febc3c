//! What a library rail is.

use std::{fmt, sync::Arc, time::Duration};

use futures_core::future::BoxFuture;

use crate::{
    config::{FlowReference, RailsConfig},
    error::{Error, Fault},
    llm::{Model, Models, prompt::Prompts},
    pattern::{HoldProgram, Patterns},
    verdict::{Outcome, Place},
};

/// A built-in rail, declared.
#[derive(Debug)]
#[non_exhaustive]
pub struct Rail {
    /// What it checks, in a line.
    pub about: &'static str,
    /// Its flows, each with the place at which it stands.
    pub flows: &'static [(&'static str, Place)],
    /// The name of its section under `rails.config`, where it has one.
    pub section: Option<&'static str>,
    /// Compiles it for one line of `rails.*.flows`.
    pub compile: fn(&CompileContext<'_>) -> Result<Judge, Vec<Fault>>,
}

/// What a rail is compiled from.
#[derive(Debug)]
#[non_exhaustive]
pub struct CompileContext<'a> {
    /// The whole configuration.
    pub config: &'a RailsConfig,
    /// The models that are configured or registered.
    pub models: &'a Models,
    /// The prompts, with their templates and parsers.
    pub(crate) prompts: &'a Arc<Prompts>,
    /// The flow, with its parameters, as `rails.*.flows` names it.
    pub flow: &'a FlowReference,
    /// Where it stands.
    pub place: Place,
}

/// How a compiled rail judges.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Judge {
    /// By patterns: on the spot, and exactly in streams.
    Patterns(Arc<PatternRail>),
    /// By asking a model or a service.
    Ask(Arc<dyn Ask>),
}

/// The patterns of a rail that blocks what they match.
#[derive(Debug)]
pub struct PatternRail {
    /// The patterns, for whole texts.
    pub patterns: Patterns,
    /// The same, for streams.
    pub hold: Arc<HoldProgram>,
}

/// A rail that asks a model or a service.
pub trait Ask: Send + Sync + fmt::Debug {
    /// Judges `subject`. Dropping the future cancels what it asks.
    ///
    /// # Errors
    ///
    /// Where it comes to no verdict.
    fn ask<'a>(
        &'a self,
        subject: Subject<'a>,
        context: &'a AskContext,
    ) -> BoxFuture<'a, Result<Outcome, Error>>;

    /// Whether the same text gets the same verdict again, so that it may be remembered.
    fn is_steady(&self) -> bool {
        true
    }

    /// What its verdict depends on beside the text: its prompt, its model. Verdicts are remembered under it.
    fn fingerprint(&self) -> String {
        format!("{self:?}")
    }
}

/// The text that a rail judges, with what stands around it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Subject<'a> {
    /// The text itself.
    pub text: &'a str,
    /// The last that the user said: of an input rail, the text itself.
    pub user_message: &'a str,
}

impl<'a> Subject<'a> {
    /// A text that comes in.
    pub fn input(text: &'a str) -> Self {
        Self {
            text,
            user_message: text,
        }
    }

    /// A text that goes out, in answer to `user_message`.
    pub fn output(text: &'a str, user_message: &'a str) -> Self {
        Self { text, user_message }
    }
}

/// What a rail may ask while it judges.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct AskContext {
    /// The main model of this call, where the config names none: the service under the layer.
    pub main: Option<Arc<dyn Model>>,
}

impl AskContext {
    /// A context whose main model is `main`.
    pub fn with_main(main: Arc<dyn Model>) -> Self {
        Self { main: Some(main) }
    }
}

/// How long a rail may take unless its config says otherwise.
pub(crate) const RAIL_TIMEOUT: Duration = Duration::from_secs(30);
