//! What happened in a turn: the raw log of events, steps and model calls, and what is made of it for the caller.

use std::{
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use serde_json::{Map, Value};

use super::event::Event;
use crate::observe::captures_content;

/// Seconds since 1970.
pub(crate) fn now() -> f64 {
    seconds(SystemTime::now())
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0.0, |elapsed| elapsed.as_secs_f64())
}

/// What is logged while a turn runs, in order.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    /// An event happened.
    Event {
        /// When, in seconds since 1970.
        at: f64,
        /// Which.
        event: Event,
    },
    /// A flow decided what comes next.
    Step {
        /// When, in seconds since 1970.
        at: f64,
        /// The flow.
        flow: String,
        /// What it decided.
        next: Vec<Event>,
    },
    /// A model was called.
    Call {
        /// When it answered, in seconds since 1970.
        at: f64,
        /// The call.
        call: Box<ModelCall>,
    },
}

impl Entry {
    fn at(&self) -> f64 {
        match self {
            Self::Event { at, .. } | Self::Step { at, .. } | Self::Call { at, .. } => *at,
        }
    }
}

/// The target under which turns are traced, as they happen.
pub(crate) const TURN: &str = "tower_guardrails::turn";

/// Fields of events that say nothing to a reader.
const UNTOLD: [&str; 5] = [
    "type",
    "event_created_at",
    "source_uid",
    "action_info_modality",
    "action_info_modality_policy",
];

/// An event on one line, without identifiers and times.
struct Shown<'a>(&'a Event);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.kind())?;
        let told = self.0.fields().iter();
        for (name, value) in
            told.filter(|(name, _)| !UNTOLD.contains(&name.as_str()) && !name.ends_with("uid"))
        {
            write!(f, " {name}={value}")?;
        }
        Ok(())
    }
}

/// The log of one run of the interpreter. Actions write to it while they run.
#[derive(Debug, Default)]
pub(crate) struct ProcessingLog(Mutex<Vec<Entry>>);

impl ProcessingLog {
    pub(crate) fn event(&self, event: &Event) {
        match captures_content() {
            true => tracing::trace!(target: TURN, "event {}", Shown(event)),
            false => tracing::trace!(target: TURN, "event {}", event.kind()),
        }
        self.push(Entry::Event {
            at: now(),
            event: event.clone(),
        });
    }

    pub(crate) fn step(&self, flow: &str, next: &[Event]) {
        tracing::trace!(target: TURN, "flow `{flow}` decides");
        self.push(Entry::Step {
            at: now(),
            flow: flow.to_owned(),
            next: next.to_vec(),
        });
    }

    pub(crate) fn call(&self, call: ModelCall) {
        let (task, model) = (
            call.task.as_deref().unwrap_or_default(),
            &call.llm_model_name,
        );
        match captures_content() {
            true => {
                tracing::trace!(target: TURN, "model `{model}` is asked for {task}:\n{}\nand answers:\n{}", call.prompt, call.completion);
            }
            false => tracing::trace!(target: TURN, "model `{model}` is asked for {task}"),
        }
        self.push(Entry::Call {
            at: now(),
            call: Box::new(call),
        });
    }

    /// Logs a question to a classifier, which counts as a call of a model but has no prompt.
    pub(crate) fn model_call(&self, task: &str, started_at: SystemTime) {
        let (started_at, finished_at) = (seconds(started_at), now());
        self.call(ModelCall {
            task: Some(task.to_owned()),
            llm_model_name: "unknown".to_owned(),
            llm_provider_name: "unknown".to_owned(),
            started_at,
            finished_at,
            duration: finished_at - started_at,
            ..ModelCall::default()
        });
    }

    pub(crate) fn push(&self, entry: Entry) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(entry);
    }

    pub(crate) fn extend(&self, entries: impl IntoIterator<Item = Entry>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(entries);
    }

    /// Takes all entries out.
    pub(crate) fn take(&self) -> Vec<Entry> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One call of a model.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ModelCall {
    /// What the model was asked for: `general`, `generate_user_intent`, `self_check_input` …
    pub task: Option<String>,
    /// The model's name.
    pub llm_model_name: String,
    /// The provider's name.
    pub llm_provider_name: String,
    /// The prompt, its messages one after the other.
    pub prompt: String,
    /// The answer's text.
    pub completion: String,
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Tokens of the answer.
    pub completion_tokens: u64,
    /// Tokens of both.
    pub total_tokens: u64,
    /// Whether the answer came from the cache.
    pub from_cache: bool,
    /// When the call started, in seconds since 1970.
    pub started_at: f64,
    /// When it ended, in seconds since 1970.
    pub finished_at: f64,
    /// How long it took, in seconds.
    pub duration: f64,
}

/// What the last call of a task did: the model calls, and the conversation in Colang's notation.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ExplainInfo {
    /// The model calls, in order.
    pub llm_calls: Vec<ModelCall>,
    /// The conversation in Colang's notation.
    pub colang_history: String,
}

/// What is logged of a call for which the options ask for it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GenerationLog {
    /// The rails that ran.
    pub activated_rails: Vec<ActivatedRail>,
    /// Counts and times.
    pub stats: GenerationStats,
    /// The model calls.
    pub llm_calls: Option<Vec<ModelCall>>,
    /// Every event of the turn.
    pub internal_events: Option<Vec<Value>>,
    /// The conversation in Colang's notation.
    pub colang_history: Option<String>,
}

/// A rail that ran.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ActivatedRail {
    /// `input`, `output`, `dialog`, `generation`, `tool_input` or `tool_output`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The rail's flow.
    pub name: String,
    /// What it decided, in order.
    pub decisions: Vec<String>,
    /// The actions that it ran, in order.
    pub executed_actions: Vec<ExecutedAction>,
    /// Whether it ended the turn.
    pub stop: bool,
    /// When it started, in seconds since 1970.
    pub started_at: f64,
    /// When it ended, in seconds since 1970.
    pub finished_at: Option<f64>,
    /// How long it took, in seconds.
    pub duration: Option<f64>,
}

impl ActivatedRail {
    fn new(kind: &str, name: &str, started_at: f64) -> Self {
        Self {
            kind: kind.to_owned(),
            name: name.to_owned(),
            started_at,
            ..Self::default()
        }
    }

    fn finish(&mut self, at: f64) {
        self.finished_at = Some(at);
        self.duration = Some(at - self.started_at);
    }

    fn is_checking(&self) -> bool {
        matches!(
            self.kind.as_str(),
            "input" | "output" | "tool_output" | "tool_input"
        )
    }

    fn stop(&mut self) {
        self.stop = true;
        if !self.decisions.iter().any(|decision| decision == "stop") {
            self.decisions.push("stop".to_owned());
        }
    }
}

/// An action that ran.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ExecutedAction {
    /// The action's name.
    pub action_name: String,
    /// What it was called with.
    pub action_params: Map<String, Value>,
    /// What it gave back.
    pub return_value: Value,
    /// The model calls that it made.
    pub llm_calls: Vec<ModelCall>,
    /// When it started, in seconds since 1970.
    pub started_at: f64,
    /// When it ended, in seconds since 1970.
    pub finished_at: Option<f64>,
    /// How long it took, in seconds.
    pub duration: Option<f64>,
}

/// Counts and times of a call. Times are in seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GenerationStats {
    /// The time of the input rails.
    pub input_rails_duration: Option<f64>,
    /// The time of the dialog rails.
    pub dialog_rails_duration: Option<f64>,
    /// The time of the generation.
    pub generation_rails_duration: Option<f64>,
    /// The time of the output rails.
    pub output_rails_duration: Option<f64>,
    /// The whole time.
    pub total_duration: f64,
    /// The time of the model calls.
    pub llm_calls_duration: f64,
    /// How many model calls.
    pub llm_calls_count: u64,
    /// The tokens of their prompts.
    pub llm_calls_total_prompt_tokens: u64,
    /// The tokens of their answers.
    pub llm_calls_total_completion_tokens: u64,
    /// The tokens of both.
    pub llm_calls_total_tokens: u64,
}

/// Actions that are no decision of a rail.
const MACHINERY_ACTIONS: [&str; 4] = [
    "create_event",
    "run_input_rails_in_parallel",
    "run_output_rails_in_parallel",
    "run_flows_in_parallel",
];

/// Flows that only call rails.
const MACHINERY_FLOWS: [&str; 9] = [
    "process user input",
    "run input rails",
    "run dialog rails",
    "process bot message",
    "run output rails",
    "process bot tool call",
    "process user tool messages",
    "run tool output rails",
    "run tool input rails",
];

const GENERATION_FLOW: &str = "generate bot message";

/// Reads the rails that ran, what they decided and what it cost off the raw log.
pub(crate) fn generation_log(entries: &[Entry]) -> GenerationLog {
    let mut reading = Reading::default();
    for entry in entries {
        reading.read(entry);
    }
    reading.finish(entries)
}

#[derive(Default)]
struct Reading {
    rails: Vec<ActivatedRail>,
    /// Whether the last of `rails` still runs.
    active: bool,
    action: Option<ExecutedAction>,
    /// The rail that the running action belongs to.
    action_of: Option<usize>,
    input: (Option<f64>, Option<f64>),
    output: (Option<f64>, Option<f64>),
}

impl Reading {
    fn read(&mut self, entry: &Entry) {
        match entry {
            Entry::Step { at, flow, next } => self.read_step(*at, flow, next),
            Entry::Event { at, event } => self.read_event(*at, event),
            Entry::Call { call, .. } => {
                if let Some(action) = &mut self.action {
                    action.llm_calls.push((**call).clone());
                }
            }
        }
    }

    fn current(&mut self) -> Option<&mut ActivatedRail> {
        if self.active {
            self.rails.last_mut()
        } else {
            None
        }
    }

    fn start(&mut self, kind: &str, name: &str, at: f64) {
        self.rails.push(ActivatedRail::new(kind, name, at));
        self.active = true;
    }

    fn read_step(&mut self, at: f64, flow: &str, next: &[Event]) {
        let starts = self
            .current()
            .is_none_or(|rail| rail.kind == "dialog" && rail.name != flow);
        if starts {
            if MACHINERY_FLOWS.contains(&flow) {
                return;
            }
            let kind = if flow == GENERATION_FLOW {
                "generation"
            } else {
                "dialog"
            };
            self.start(kind, flow, at);
        }
        let Some(rail) = self.current() else { return };
        for step in next {
            match step.kind() {
                "StartInternalSystemAction" => {
                    let action = step.text("action_name").unwrap_or_default();
                    if !MACHINERY_ACTIONS.contains(&action) {
                        rail.decisions.push(format!("execute {action}"));
                    }
                }
                "BotIntent" => rail
                    .decisions
                    .push(step.text("intent").unwrap_or_default().to_owned()),
                _ => {}
            }
        }
    }

    fn read_event(&mut self, at: f64, event: &Event) {
        let flow = || event.text("flow_id").unwrap_or_default();
        match event.kind() {
            "StartInputRails" => self.input.0 = Some(at),
            "InputRailsFinished" => self.input.1 = Some(at),
            "StartOutputRails" => self.output.0 = Some(at),
            "OutputRailsFinished" => self.output.1 = Some(at),
            "StartInputRail" => self.start("input", flow(), at),
            "StartOutputRail" => self.start("output", flow(), at),
            "StartToolOutputRail" => self.start("tool_output", flow(), at),
            "StartToolInputRail" => self.start("tool_input", flow(), at),
            "InputRailFinished"
            | "OutputRailFinished"
            | "ToolOutputRailFinished"
            | "ToolInputRailFinished" => {
                if let Some(rail) = self.current() {
                    rail.finish(at);
                }
                self.active = false;
            }
            "StartInternalSystemAction" => self.start_action(at, event),
            "InternalSystemActionFinished" => self.finish_action(at, event),
            kind if kind.ends_with("Exception") => {
                if let Some(rail) = self.current().filter(|rail| rail.is_checking()) {
                    rail.stop();
                }
            }
            _ => {}
        }
    }

    fn start_action(&mut self, at: f64, event: &Event) {
        let name = event.text("action_name").unwrap_or_default();
        if MACHINERY_ACTIONS.contains(&name) {
            return;
        }
        self.store_action();
        self.action = Some(ExecutedAction {
            action_name: name.to_owned(),
            action_params: event.object("action_params").cloned().unwrap_or_default(),
            started_at: at,
            ..ExecutedAction::default()
        });
        self.action_of = if self.active {
            self.rails.len().checked_sub(1)
        } else {
            None
        };
    }

    fn finish_action(&mut self, at: f64, event: &Event) {
        if MACHINERY_ACTIONS.contains(&event.text("action_name").unwrap_or_default()) {
            return;
        }
        if let Some(action) = &mut self.action {
            action.finished_at = Some(at);
            action.duration = Some(at - action.started_at);
            action.return_value = event.get("return_value").cloned().unwrap_or_default();
        }
        self.store_action();
    }

    fn store_action(&mut self) {
        if let Some(action) = self.action.take()
            && let Some(rail) = self.action_of.and_then(|index| self.rails.get_mut(index))
        {
            rail.executed_actions.push(action);
        }
    }

    fn finish(mut self, entries: &[Entry]) -> GenerationLog {
        self.store_action();
        let last = entries.last().map_or(0.0, Entry::at);
        // A rail that still runs at the end was stopped.
        if let Some(rail) = self.current() {
            rail.finish(last);
            if rail.is_checking() {
                rail.stop();
            }
        }
        let span = |(start, end): (Option<f64>, Option<f64>)| {
            start.map(|start| end.unwrap_or(last) - start)
        };
        let mut stats = GenerationStats {
            input_rails_duration: span(self.input),
            output_rails_duration: span(self.output),
            total_duration: last - entries.first().map_or(last, Entry::at),
            ..GenerationStats::default()
        };
        let starts: Vec<f64> = self
            .rails
            .iter()
            .skip(1)
            .map(|rail| rail.started_at)
            .collect();
        for (rail, next) in self.rails.iter_mut().zip(starts) {
            if !rail.is_checking() {
                rail.finish(next);
            }
        }
        for rail in &mut self.rails {
            count(rail, &mut stats);
        }
        GenerationLog {
            activated_rails: self.rails,
            stats,
            ..GenerationLog::default()
        }
    }
}

fn count(rail: &mut ActivatedRail, stats: &mut GenerationStats) {
    // Without user messages the answer itself is made where else the intent is.
    if rail.name == "generate user intent"
        && let [action] = rail.executed_actions.as_slice()
        && let [call] = action.llm_calls.as_slice()
        && call.task.as_deref() == Some("general")
    {
        rail.kind = "generation".to_owned();
    }
    let total = match rail.kind.as_str() {
        "dialog" => Some(&mut stats.dialog_rails_duration),
        "generation" => Some(&mut stats.generation_rails_duration),
        _ => None,
    };
    if let (Some(total), Some(duration)) = (total, rail.duration) {
        *total = Some(total.unwrap_or(0.0) + duration);
    }
    for call in rail
        .executed_actions
        .iter()
        .flat_map(|action| &action.llm_calls)
    {
        stats.llm_calls_count += 1;
        stats.llm_calls_duration += call.duration;
        stats.llm_calls_total_prompt_tokens += call.prompt_tokens;
        stats.llm_calls_total_completion_tokens += call.completion_tokens;
        stats.llm_calls_total_tokens += call.total_tokens;
    }
}
