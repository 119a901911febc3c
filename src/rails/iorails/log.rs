//! What a call did, as its options ask to log it.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use crate::{
    library::{Asked, Seen},
    llm::ModelReply,
    message::Message,
    rails::{
        check::Checked,
        log::{ActivatedRail, ExecutedAction, GenerationLog, GenerationStats, ModelCall},
        options::LogOptions,
        plan::{CompiledRail, ToolRail},
        run::Ran,
    },
    verdict::{Outcome, Place},
};

/// A rail that ran, or the answer's generation.
#[derive(Debug)]
pub(super) struct Record {
    kind: &'static str,
    name: String,
    action: String,
    stop: bool,
    result: Value,
    call: Option<ModelCall>,
    started: f64,
    duration: f64,
}

impl Record {
    /// Of a rail on a text.
    pub(super) fn of_rail(rail: &CompiledRail, ran: &Ran, checked: &Checked) -> Self {
        let stop = matches!(checked, Checked::Block(_));
        // What the rail came to, also where it is to change nothing.
        let (allowed, failed) = match &ran.outcome {
            Ok(Outcome::Block(block)) => (false, block.failed),
            Ok(_) => (true, false),
            Err(_) => (false, true),
        };
        let seen = ran.seen.as_ref();
        let mut result = seen.map_or_else(Map::new, |seen: &Seen| seen.metadata.clone());
        result.insert("allowed".to_owned(), allowed.into());
        result.insert("failed".to_owned(), failed.into());
        let action = rail.flow.replace(' ', "_");
        let model = crate::config::FlowReference::parse(&rail.name);
        let task = match model.parameter("model") {
            Some(model) => format!("{action} $model={model}"),
            None => action.clone(),
        };
        // A rail asks once; of several answers its verdict rests on the last.
        let asked = seen.and_then(|seen| seen.calls.last());
        Self {
            kind: kind_of(rail.place),
            name: rail.name.to_string(),
            action,
            stop,
            result: result.into(),
            call: asked.map(|asked| call_of_rail(asked, task)),
            started: seconds(ran.started),
            duration: ran.duration.as_secs_f64(),
        }
    }

    /// Of a rail on tools.
    pub(super) fn of_tool_rail(rail: &ToolRail, place: Place, is_valid: bool) -> Self {
        Self {
            kind: kind_of(place),
            name: rail.name.to_string(),
            action: rail.flow.replace(' ', "_"),
            stop: !is_valid,
            result: json!({"allowed": is_valid, "failed": false}),
            call: None,
            started: seconds(SystemTime::now()),
            duration: 0.0,
        }
    }

    /// Of the main model's answer.
    pub(super) fn of_generation(
        model: &dyn crate::llm::Model,
        messages: &[Message],
        reply: &ModelReply,
        started: SystemTime,
        duration: Duration,
    ) -> Self {
        let call = ModelCall {
            task: Some("general".to_owned()),
            llm_model_name: model.name().to_owned(),
            llm_provider_name: model.provider().to_owned(),
            prompt: shown(messages),
            ..call_of(reply, started, duration)
        };
        Self {
            kind: "generation",
            name: "generation".to_owned(),
            action: "generate_bot_message".to_owned(),
            stop: false,
            result: json!({"allowed": true, "failed": false}),
            call: Some(call),
            started: seconds(started),
            duration: duration.as_secs_f64(),
        }
    }

    fn activated(&self) -> ActivatedRail {
        let action = ExecutedAction {
            action_name: self.action.clone(),
            return_value: self.result.clone(),
            llm_calls: self.call.iter().cloned().collect(),
            started_at: self.started,
            finished_at: Some(self.started + self.duration),
            duration: Some(self.duration),
            ..ExecutedAction::default()
        };
        ActivatedRail {
            kind: self.kind.to_owned(),
            name: self.name.clone(),
            executed_actions: vec![action],
            stop: self.stop,
            started_at: self.started,
            finished_at: Some(self.started + self.duration),
            duration: Some(self.duration),
            ..ActivatedRail::default()
        }
    }
}

/// The log of what `records` hold; none where it is not asked for.
pub(super) fn log_of(
    records: &[Record],
    options: LogOptions,
    total: Duration,
) -> Option<GenerationLog> {
    if !options.activated_rails && !options.llm_calls {
        return None;
    }
    let mut log = GenerationLog {
        stats: stats_of(records, total),
        ..GenerationLog::default()
    };
    if options.activated_rails {
        log.activated_rails = records.iter().map(Record::activated).collect();
    }
    if options.llm_calls {
        let calls = records.iter().filter_map(|record| record.call.clone());
        log.llm_calls = Some(calls.collect());
    }
    Some(log)
}

fn stats_of(records: &[Record], total: Duration) -> GenerationStats {
    let of = |kinds: &[&str]| {
        let records = records.iter().filter(|record| kinds.contains(&record.kind));
        let sum: f64 = records.map(|record| record.duration).sum();
        (sum > 0.0).then_some(sum)
    };
    let calls: Vec<&ModelCall> = records
        .iter()
        .filter_map(|record| record.call.as_ref())
        .collect();
    let tokens = |count: fn(&ModelCall) -> u64| calls.iter().map(|call| count(call)).sum();
    GenerationStats {
        input_rails_duration: of(&["input", "tool_input"]),
        output_rails_duration: of(&["output", "tool_output"]),
        generation_rails_duration: of(&["generation"]),
        total_duration: total.as_secs_f64(),
        llm_calls_duration: calls.iter().map(|call| call.duration).sum(),
        llm_calls_count: calls.len() as u64,
        llm_calls_total_prompt_tokens: tokens(|call| call.prompt_tokens),
        llm_calls_total_completion_tokens: tokens(|call| call.completion_tokens),
        llm_calls_total_tokens: tokens(|call| call.total_tokens),
        ..GenerationStats::default()
    }
}

fn kind_of(place: Place) -> &'static str {
    match place {
        Place::Input => "input",
        Place::Output => "output",
        Place::Retrieval => "retrieval",
        Place::ToolInput => "tool_input",
        Place::ToolOutput => "tool_output",
    }
}

fn call_of_rail(asked: &Asked, task: String) -> ModelCall {
    ModelCall {
        task: Some(task),
        llm_model_name: asked.model.clone(),
        llm_provider_name: asked.provider.clone(),
        prompt: shown(&asked.messages),
        ..call_of(&asked.reply, asked.started, asked.duration)
    }
}

fn call_of(reply: &ModelReply, started: SystemTime, duration: Duration) -> ModelCall {
    let usage = reply.usage.unwrap_or_default();
    let started_at = seconds(started);
    ModelCall {
        completion: reply.content.clone(),
        prompt_tokens: usage.prompt_tokens,
        completion_tokens: usage.completion_tokens,
        total_tokens: usage.total_tokens,
        started_at,
        finished_at: started_at + duration.as_secs_f64(),
        duration: duration.as_secs_f64(),
        ..ModelCall::default()
    }
}

/// The messages of a request, one after the other.
fn shown(messages: &[Message]) -> String {
    let lines = messages.iter().map(|message| {
        let mut line = format!("{}: {}", message.role.as_str(), message.content.text());
        if message.content.is_none() && !message.tool_calls.is_empty() {
            let names: Vec<&str> = message.tool_calls.iter().map(|call| &*call.name).collect();
            line.push_str(&format!("[calls {}]", names.join(", ")));
        }
        line
    });
    lines.collect::<Vec<_>>().join("\n\n")
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}
