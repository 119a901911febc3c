//! Rails that run beside each other: each on its own branch of the conversation.

use futures_util::{
    future::FutureExt as _,
    stream::{FuturesUnordered, StreamExt},
};
use serde_json::{Map, Value, json};

use super::{
    super::{
        Turn,
        reference::{flow_name, flow_parameters},
    },
    Run,
};
use crate::{
    actions::ActionResult,
    error::Result,
    rails::{
        event::Event,
        log::{Entry, ProcessingLog, now},
    },
};

/// Which rails run beside each other.
#[derive(Debug, Clone, Copy)]
pub(super) enum Beside {
    Input,
    Output,
}

impl Beside {
    fn events(self, flow: &str) -> (Event, Event) {
        let (start, end) = match self {
            Self::Input => ("StartInputRail", "InputRailFinished"),
            Self::Output => ("StartOutputRail", "OutputRailFinished"),
        };
        (
            Event::new(start).with("flow_id", flow),
            Event::new(end).with("flow_id", flow),
        )
    }
}

/// What became of one rail.
struct Branch {
    events: Vec<Event>,
    log: Vec<Entry>,
    stopped: bool,
}

impl Turn {
    /// Runs the flows of `arguments` beside each other. The first that stops cancels the others, and the turn goes on with
    /// what it did; else all that they did becomes part of the conversation, in the order of the config.
    ///
    /// # Errors
    ///
    /// Where a model fails or an expression of a flow fails.
    pub(super) async fn run_beside(
        &self,
        run: &Run,
        beside: Beside,
        arguments: &Map<String, Value>,
        log: &ProcessingLog,
    ) -> Result<ActionResult> {
        let flows = arguments
            .get("flows")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let switch = self.options.as_ref().map(|options| match beside {
            Beside::Input => &options.rails.input,
            Beside::Output => &options.rails.output,
        });
        let flows = flows.iter().filter_map(Value::as_str);
        let flows: Vec<&str> = flows
            .filter(|flow| switch.is_none_or(|switch| switch.includes(flow)))
            .collect();
        let mut running: FuturesUnordered<_> = flows
            .iter()
            .enumerate()
            .map(|(index, flow)| async move { (index, self.run_rail(run, beside, flow).await) })
            .collect();
        let mut done: Vec<Option<Branch>> = flows.iter().map(|_| None).collect();
        let mut stopped = None;
        while let Some((index, branch)) = running.next().await {
            let branch = branch?;
            if branch.stopped {
                stopped = Some(branch);
                break;
            }
            if let Some(slot) = done.get_mut(index) {
                *slot = Some(branch);
            }
        }
        // What is done by now, too, is in the log; the conversation only knows that it started. What fails now no longer
        // matters.
        while let Some(Some((index, branch))) = running.next().now_or_never() {
            if let Ok(mut branch) = branch
                && !branch.stopped
                && let Some(slot) = done.get_mut(index)
            {
                branch.events.truncate(1);
                *slot = Some(branch);
            }
        }
        // Dropping what still runs cancels it: its model calls, too.
        drop(running);
        Ok(join(done, stopped, log))
    }

    /// Starts `flow`, with the parameters that it names, on a branch of the conversation, and gives the new events.
    ///
    /// # Errors
    ///
    /// Where a model fails or the flow cannot go on.
    pub(crate) async fn run_rail_flow(
        &self,
        branch: &mut Run,
        flow: &str,
        log: &ProcessingLog,
    ) -> Result<Vec<Event>> {
        let mut trigger = Event::new("start_flow").with("flow_id", flow_name(flow));
        let parameters = flow_parameters(flow);
        if !parameters.is_empty() {
            trigger = trigger.with("params", parameters);
        }
        self.run_branch(branch, trigger, log).await
    }

    async fn run_rail(&self, run: &Run, beside: Beside, flow: &str) -> Result<Branch> {
        let (start, end) = beside.events(flow);
        let log = ProcessingLog::default();
        log.event(&start);
        let mut branch = run.clone();
        // Without this, a rail that does nothing would let the flow go on that runs the rails: without end.
        branch.end_flows()?;
        let new = self.run_rail_flow(&mut branch, flow, &log).await?;
        let stopped = new.iter().any(Event::is_stop);
        let mut events = vec![start];
        events.extend(new);
        if !stopped {
            log.push(Entry::Event {
                at: now(),
                event: end.clone(),
            });
            events.push(end);
        }
        let log = log.take().into_iter().filter(
            |entry| !matches!(entry, Entry::Event { event, .. } if event.kind() == "start_flow"),
        );
        Ok(Branch {
            events,
            log: log.collect(),
            stopped,
        })
    }
}

/// What comes of all branches: the finished ones as one packed event, the stopped one as if it had run in the conversation.
fn join(done: Vec<Option<Branch>>, stopped: Option<Branch>, log: &ProcessingLog) -> ActionResult {
    let mut history = Vec::new();
    let mut context_updates = Map::new();
    for branch in done.into_iter().flatten() {
        for event in &branch.events {
            if let Some(data) = event
                .object("data")
                .filter(|_| event.kind() == "ContextUpdate")
            {
                context_updates.extend(data.clone());
            }
        }
        history.extend(branch.events.iter().map(Event::to_value));
        log.extend(branch.log);
    }
    let mut events = vec![json!({"type": "EventHistoryUpdate", "data": {"events": history}})];
    if let Some(branch) = stopped {
        events.extend(branch.events.iter().map(Event::to_value));
    }
    ActionResult {
        events,
        context_updates,
        ..ActionResult::default()
    }
}
