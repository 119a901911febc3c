//! The loop of a turn: the flows decide, actions are awaited, until nothing more is to be done.

use futures_core::future::BoxFuture;

use super::{
    super::{Conversation as _, Turn},
    Run,
    flows::Decision,
};
use crate::{
    error::{Error, Result},
    rails::{event::Event, log::ProcessingLog},
};

/// The most events of a turn: more are an endless loop.
const MOST_EVENTS: usize = 300;

impl Turn {
    /// Adds `events` to the conversation and runs its flows until they wait for the next event. Gives the new events.
    ///
    /// # Errors
    ///
    /// Where a model fails, an expression of a flow fails, or the flows come to no end.
    pub(crate) async fn run(
        &self,
        run: &mut Run,
        events: Vec<Event>,
        log: &ProcessingLog,
    ) -> Result<Vec<Event>> {
        let before = run.clone();
        let given = events.clone();
        let decision = run.extend(events)?;
        let new = self.follow(run, decision, log).await?;
        if !new.iter().any(|event| event.kind() == "EventHistoryUpdate") {
            return Ok(new);
        }
        // What ran beside the conversation becomes part of it, as if it had run in it.
        let unpacked: Vec<Event> = new.iter().flat_map(unpack).collect();
        *run = before;
        run.extend(given.into_iter().chain(unpacked.iter().cloned()))?;
        Ok(unpacked)
    }

    /// As [`run`](Self::run), for a branch of the conversation that is thrown away: boxed, since a branch may hold branches.
    pub(super) fn run_branch<'a>(
        &'a self,
        run: &'a mut Run,
        event: Event,
        log: &'a ProcessingLog,
    ) -> BoxFuture<'a, Result<Vec<Event>>> {
        Box::pin(async move {
            let decision = run.push(event)?;
            let new = self.follow(run, decision, log).await?;
            Ok(new.iter().flat_map(unpack).collect())
        })
    }

    async fn follow(
        &self,
        run: &mut Run,
        mut decision: Decision,
        log: &ProcessingLog,
    ) -> Result<Vec<Event>> {
        let Some(last) = run.events().last() else {
            return Err(Error::invalid_input("there is no message to answer"));
        };
        log.event(last);
        let mut new = Vec::new();
        loop {
            let Some(last) = run.events().last().cloned() else {
                return Ok(new);
            };
            let next = match last.kind() {
                "StartInternalSystemAction" => self.start_action(run, &last, log).await?,
                _ => {
                    let Decision { flow, next } = std::mem::take(&mut decision);
                    let next: Vec<Event> = next
                        .into_iter()
                        .map(|event| self.mark_system(event))
                        .collect();
                    if let Some(flow) = flow.filter(|_| !next.is_empty()) {
                        log.step(&flow, &next);
                    }
                    if next.is_empty() {
                        vec![Event::new("Listen")]
                    } else {
                        next
                    }
                }
            };
            for event in next {
                if event.kind() != "EventHistoryUpdate" {
                    log.event(&event);
                }
                decision = run.push(event.clone())?;
                new.push(event);
            }
            if new.last().is_some_and(|event| event.kind() == "Listen") {
                return Ok(new);
            }
            if new.len() > MOST_EVENTS {
                return Err(Error::Colang("Too many events.".to_owned()));
            }
        }
    }

    fn mark_system(&self, event: Event) -> Event {
        if event.kind() != "StartInternalSystemAction" {
            return event;
        }
        let is_system = event
            .text("action_name")
            .is_some_and(|name| self.engine.is_system(name));
        event.with("is_system_action", is_system)
    }
}

fn unpack(event: &Event) -> Vec<Event> {
    if event.kind() != "EventHistoryUpdate" {
        return vec![event.clone()];
    }
    let inner = event
        .object("data")
        .and_then(|data| data.get("events")?.as_array());
    let inner = inner
        .into_iter()
        .flatten()
        .cloned()
        .filter_map(|event| Event::from_value(event).ok());
    inner.filter(|event| event.kind() != "Listen").collect()
}
