//! One conversation's events, and all that is computed from them step by step.

use std::sync::Arc;

use serde_json::{Map, Value};

use futures_core::future::BoxFuture;

use super::{
    super::{Called, Conversation, Turn, actions::Settled},
    flows::{Decision, FlowState, Flows},
    start_action,
};
use crate::{
    error::{Error, Result},
    rails::{event::Event, events::Events},
};

/// The events of a conversation so far, with the state of its flows and its variables. Each event costs only itself.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    events: Events,
    flows: FlowState,
    variables: Arc<Map<String, Value>>,
}

impl Run {
    /// A conversation without events.
    pub(crate) fn new(flows: &Flows) -> Self {
        let variables = [
            ("last_user_message", Value::Null),
            ("last_bot_message", Value::Null),
        ];
        let variables = variables
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        Self {
            events: Events::default(),
            flows: flows.start(),
            variables: Arc::new(variables),
        }
    }

    /// Adds `event`, and says what the flows make of it.
    ///
    /// # Errors
    ///
    /// Where an expression of a flow fails.
    pub(crate) fn push(&mut self, event: Event) -> Result<Decision> {
        #[cfg(test)]
        crate::rails::work::count(|work| work.fed += 1);
        let variables = Arc::make_mut(&mut self.variables);
        match event.kind() {
            "ContextUpdate" => {
                if let Some(data) = event.object("data") {
                    variables.extend(
                        data.iter()
                            .map(|(name, value)| (name.clone(), value.clone())),
                    );
                }
            }
            "UserMessage" => {
                variables.insert(
                    "last_user_message".to_owned(),
                    event.get("text").cloned().unwrap_or_default(),
                );
            }
            "StartUtteranceBotAction" => {
                variables.insert(
                    "last_bot_message".to_owned(),
                    event.get("script").cloned().unwrap_or_default(),
                );
            }
            _ => {}
        }
        self.events.push(event.clone());
        if event.kind() == "hide_prev_turn" && !self.flows.can_hide_turn() {
            return self.read_again();
        }
        self.flows.feed(&event)
    }

    /// Computes the flows' state anew from the events that are not hidden. Only for turns further back than states are kept.
    fn read_again(&mut self) -> Result<Decision> {
        let mut visible: Vec<&Event> = Vec::new();
        for event in self.events.iter() {
            if event.kind() != "hide_prev_turn" {
                visible.push(event);
                continue;
            }
            let turn = visible
                .iter()
                .rposition(|event| event.kind() == "UtteranceUserActionFinished");
            let turn =
                turn.ok_or_else(|| Error::Colang("there is no earlier turn to hide".to_owned()))?;
            visible.truncate(turn);
        }
        let mut flows = self.flows.fresh();
        let mut decision = Decision::default();
        for event in visible {
            decision = flows.feed(event)?;
        }
        self.flows = flows;
        Ok(decision)
    }

    /// Adds several events, of which only the last one's decision counts.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub(crate) fn extend(&mut self, events: impl IntoIterator<Item = Event>) -> Result<Decision> {
        events
            .into_iter()
            .try_fold(Decision::default(), |_, event| self.push(event))
    }

    /// Ends all flows, so that the next one runs alone. The conversation itself stays as it is.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub(crate) fn end_flows(&mut self) -> Result<()> {
        self.flows
            .feed(&Event::new("BotIntent").with("intent", "stop"))
            .map(|_| ())
    }

    /// Whether the flow that was started by its name has come to its end.
    pub(crate) fn has_ended(&self) -> bool {
        self.flows.has_ended()
    }
}

impl Conversation for Run {
    fn events(&self) -> &Events {
        &self.events
    }

    fn variables(&self) -> &Arc<Map<String, Value>> {
        &self.variables
    }

    fn variable(&self, name: &str) -> Option<Value> {
        match name {
            "event" => self.events.last().map(Event::to_value),
            _ => self.variables.get(name).cloned(),
        }
    }

    fn all_variables(&self) -> Map<String, Value> {
        let mut variables = (*self.variables).clone();
        if let Some(event) = self.events.last() {
            variables.insert("event".to_owned(), event.to_value());
        }
        variables
    }

    fn built_in<'a>(
        &'a self,
        turn: &'a Turn,
        called: Called<'a>,
    ) -> BoxFuture<'a, Result<Option<Settled>>> {
        Box::pin(start_action::built_in(turn, self, called))
    }
}
