//! The rails of one call: which run, what they say, and what is written down of it.

use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value};

use super::{Inner, conversation::Conversation, log::Record};
use crate::{
    config::FlowReference,
    error::{Error, ModelErrorKind, Result},
    library::{AskContext, Subject, Toolset, check_results, validate_calls},
    message::ToolCall,
    rails::{
        check::{Blocked, Checked},
        options::{GenerationOptions, RailSwitch, RailsOptions},
        plan::{CompiledRail, RailSet, ToolRail},
        run::{Ran, Run},
    },
    verdict::{Block, Enforcement, OnRailError, Outcome, Place},
};

/// What stands in the place of an answer that a rail blocks.
pub(super) const REFUSAL: &str = "I'm sorry, I can't respond to that.";
/// What stands there where the rail failed.
const INTERNAL_ERROR: &str = "I'm sorry, an internal error has occurred.";

/// One call.
#[derive(Debug)]
pub(super) struct Session<'a> {
    pub(super) inner: &'a Inner,
    switches: RailsOptions,
    parameters: Map<String, Value>,
    is_logged: bool,
    records: Mutex<Vec<Record>>,
}

/// What the rails of one place make of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Judged {
    Passed,
    Rewritten(String),
    Stopped(Stopped),
}

/// Why a text does not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stopped {
    /// The rail, without its parameters.
    pub(super) rail: String,
    reason: Option<String>,
    failed: bool,
}

impl Stopped {
    /// What stands in the place of the answer.
    pub(super) fn message(&self) -> &'static str {
        if self.failed { INTERNAL_ERROR } else { REFUSAL }
    }

    /// Why, for whom reads a stream.
    pub(super) fn shown_reason(&self) -> &str {
        let reason = self.reason.as_deref().filter(|reason| !reason.is_empty());
        reason.unwrap_or(&self.rail)
    }
}

impl<'a> Session<'a> {
    /// A call with `options`.
    ///
    /// # Errors
    ///
    /// Where they ask for what only a turn of flows has.
    pub(super) fn new(inner: &'a Inner, options: Option<&GenerationOptions>) -> Result<Self> {
        let log = options.map(|options| options.log).unwrap_or_default();
        let asks_for_variables = options
            .and_then(|options| options.output_vars.as_ref())
            .is_some_and(|variables| *variables != crate::rails::OutputVars::All(false));
        if asks_for_variables {
            return Err(Error::invalid_input(
                "`output_vars`: rails without Colang have no variables to return",
            ));
        }
        if log.internal_events || log.colang_history {
            return Err(Error::invalid_input(
                "`log`: rails without Colang have no events and no history to log",
            ));
        }
        Ok(Self::unchecked(inner, options))
    }

    /// As [`new`](Self::new), passing over what is not there.
    pub(super) fn unchecked(inner: &'a Inner, options: Option<&GenerationOptions>) -> Self {
        let parameters = options.and_then(|options| options.llm_params.clone());
        Self {
            inner,
            switches: options
                .map(|options| options.rails.clone())
                .unwrap_or_default(),
            parameters: parameters.unwrap_or_default(),
            is_logged: options
                .is_some_and(|options| options.log.activated_rails || options.log.llm_calls),
            records: Mutex::default(),
        }
    }

    /// The parameters of the main model's request.
    pub(super) fn parameters(&self) -> &Map<String, Value> {
        &self.parameters
    }

    /// Whether a log is asked for.
    pub(super) fn is_logged(&self) -> bool {
        self.is_logged
    }

    pub(super) fn record(&self, record: Record) {
        self.records
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(record);
    }

    pub(super) fn take_records(&self) -> Vec<Record> {
        std::mem::take(&mut self.records.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs the input rails on what the user says.
    ///
    /// # Errors
    ///
    /// Where a rail's model answers with an HTTP error.
    pub(super) async fn judge_input(&self, conversation: &Conversation) -> Result<Judged> {
        let text = conversation.user_text();
        let subject = conversation.input(&text);
        self.judge(&self.inner.plan.input, &self.switches.input, subject)
            .await
    }

    /// Runs the output rails on `text`.
    ///
    /// # Errors
    ///
    /// As [`judge_input`](Self::judge_input).
    pub(super) async fn judge_output(
        &self,
        conversation: &Conversation,
        text: &str,
    ) -> Result<Judged> {
        let user_text = conversation.user_text();
        let subject = conversation.output(text, &user_text);
        self.judge(&self.inner.plan.output, &self.switches.output, subject)
            .await
    }

    async fn judge(
        &self,
        rails: &RailSet,
        switch: &RailSwitch,
        subject: Subject<'_>,
    ) -> Result<Judged> {
        let run = Run {
            rails: rails
                .rails
                .iter()
                .filter(|rail| is_on(switch, &rail.flow))
                .collect(),
            parallel: rails.parallel,
            patterns_have_read: false,
            watched: self.is_logged,
        };
        let raised: Mutex<Option<Error>> = Mutex::default();
        let settle = |rail: &CompiledRail, ran: Ran| {
            let (checked, error) = self.settle(rail, ran);
            if let Some(error) = error {
                raised
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .get_or_insert(error);
            }
            checked
        };
        let checked = run.check(subject, &AskContext::default(), &settle).await;
        if let Some(error) = raised.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        Ok(match checked {
            Checked::Allow => Judged::Passed,
            Checked::Transform(text) => Judged::Rewritten(text),
            Checked::Block(blocked) => Judged::Stopped(Stopped {
                rail: FlowReference::parse(&blocked.rail).name,
                reason: blocked.reason,
                failed: blocked.failed,
            }),
        })
    }

    /// Writes down what a rail came to; the error that ends the call, where it is one that the caller can act upon.
    fn settle(&self, rail: &CompiledRail, ran: Ran) -> (Checked, Option<Error>) {
        let is_enforced = rail.is_enforced(Enforcement::Enforce);
        let passes_failures = !is_enforced || rail.options.on_error == Some(OnRailError::Pass);
        let (checked, error) = match &ran.outcome {
            Ok(Outcome::Block(block)) if !is_enforced || (block.failed && passes_failures) => {
                tracing::info!(rail = %rail.name, reason = ?block.reason, "a rail would block");
                (Checked::Allow, None)
            }
            Ok(Outcome::Transform(_)) if !is_enforced => (Checked::Allow, None),
            Err(error) if passes_failures => {
                tracing::warn!(rail = %rail.name, error = error.for_log(), "a rail failed, and the text passes");
                (Checked::Allow, None)
            }
            Ok(Outcome::Allow) => (Checked::Allow, None),
            Ok(Outcome::Transform(text)) => (Checked::Transform(text.clone()), None),
            Ok(Outcome::Block(block)) => (Checked::Block(blocked(rail, block)), None),
            Err(error) => {
                tracing::warn!(rail = %rail.name, error = error.for_log(), "a rail failed");
                let block = Block {
                    reason: Some(format!("{} error: {}", rail.flow, plain_words(error))),
                    message: None,
                    failed: true,
                };
                (Checked::Block(blocked(rail, &block)), status_of(error))
            }
        };
        if self.is_logged && error.is_none() {
            self.record(Record::of_rail(rail, &ran, &checked));
        }
        // The error itself ends the call.
        let error = error.and_then(|_| ran.outcome.err());
        (checked, error)
    }

    /// Validates the results of tools in the conversation.
    pub(super) fn judge_tool_results(&self, conversation: &Conversation) -> Judged {
        let messages = conversation.messages();
        if !messages
            .iter()
            .any(|message| message.role == crate::message::Role::Tool)
        {
            return Judged::Passed;
        }
        let rails = &self.inner.plan.tool_input;
        let checked = check_results(messages);
        self.judge_tools(rails, &self.switches.tool_input, Place::ToolInput, &checked)
    }

    /// Validates the calls of tools that the model asks for.
    pub(super) async fn judge_tool_calls(&self, calls: &[ToolCall]) -> Judged {
        if calls.is_empty() {
            return Judged::Passed;
        }
        let models = &self.inner.config.models;
        let main = models.iter().rfind(|model| model.kind == "main");
        let configured = main.and_then(|model| model.parameters.get("tools"));
        let tools = self.parameters.get("tools").or(configured);
        let rails = &self.inner.plan.tool_output;
        let tools = match Toolset::read(tools) {
            Ok(tools) => tools,
            // Such a block is none of a rail's, and no log shows it.
            Err(reason) => {
                let on = rails
                    .iter()
                    .find(|rail| is_on(&self.switches.tool_output, rail.flow));
                return on.map_or(Judged::Passed, |rail| {
                    Judged::Stopped(Stopped {
                        rail: rail.flow.to_owned(),
                        reason: Some(reason),
                        failed: false,
                    })
                });
            }
        };
        if !rails
            .iter()
            .any(|rail| is_on(&self.switches.tool_output, rail.flow))
        {
            return Judged::Passed;
        }
        let checked = validate_calls(calls.to_vec(), &tools).await;
        self.judge_tools(
            rails,
            &self.switches.tool_output,
            Place::ToolOutput,
            &checked,
        )
    }

    fn judge_tools(
        &self,
        rails: &[ToolRail],
        switch: &RailSwitch,
        place: Place,
        checked: &std::result::Result<(), String>,
    ) -> Judged {
        for rail in rails.iter().filter(|rail| is_on(switch, rail.flow)) {
            if self.is_logged {
                self.record(Record::of_tool_rail(rail, place, checked.is_ok()));
            }
            if let Err(reason) = checked {
                return Judged::Stopped(Stopped {
                    rail: rail.flow.to_owned(),
                    reason: Some(reason.clone()),
                    failed: false,
                });
            }
        }
        Judged::Passed
    }
}

/// The block of a turn in which a rail rewrote what nobody said.
pub(super) fn nothing_to_rewrite() -> Stopped {
    Stopped {
        rail: String::new(),
        reason: Some("a rail rewrote a message this request does not have".to_owned()),
        failed: false,
    }
}

fn blocked(rail: &CompiledRail, block: &Block) -> Blocked {
    let mut blocked = rail.blocked(block.reason.clone());
    blocked.failed = block.failed;
    blocked
}

/// Whether a rail runs: it may be named with its parameters or without.
fn is_on(switch: &RailSwitch, flow: &str) -> bool {
    match switch {
        RailSwitch::All(on) => *on,
        RailSwitch::Only(names) => names
            .iter()
            .any(|name| FlowReference::parse(name).name == flow),
    }
}

/// The HTTP status of a model that a rail asked: the caller is told of it rather than refused.
fn status_of(error: &Error) -> Option<u16> {
    match error {
        Error::Model(error) => error.status,
        _ => None,
    }
}

/// What is said of a failure to whom reads a stream: neither a model's name nor its address.
fn plain_words(error: &Error) -> String {
    match error {
        Error::Model(error) => match error.kind {
            ModelErrorKind::Connection => "Connection error.".to_owned(),
            ModelErrorKind::Timeout => "Request timed out.".to_owned(),
            ModelErrorKind::InvalidResponse => "Request failed.".to_owned(),
            _ => error.message.clone(),
        },
        Error::Rail { source, .. } | Error::Action { source, .. } => {
            without_addresses(&source.to_string())
        }
        other => without_addresses(&other.to_string()),
    }
}

/// `text` with `the service` in the place of each URL.
fn without_addresses(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        if word.contains("http://") || word.contains("https://") {
            "the service"
        } else {
            word
        }
    });
    words.collect::<Vec<_>>().join(" ")
}
