//! The conversation as an action sees it: as it is in the moment in which the action starts.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde_json::{Map, Value};

use super::{
    super::{
        Called, Conversation, Turn,
        actions::{Settled, settle},
    },
    Flows, generation,
};
use crate::{
    colang::v2::State,
    error::Result,
    rails::{event::Event, events::Events},
};

/// The conversation in the moment in which an action starts. What happens meanwhile does not change it.
#[derive(Debug)]
pub(super) struct Moment {
    pub(super) flows: Arc<Flows>,
    pub(super) state: State,
    events: Events,
    variables: Arc<Map<String, Value>>,
}

impl Moment {
    pub(super) fn new(flows: &Arc<Flows>, state: &State) -> Self {
        let events = state
            .history()
            .filter_map(|event| Event::from_fields(event.to_json()));
        let variables = state.context().iter_str();
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_json()));
        Self {
            flows: Arc::clone(flows),
            events: events.collect(),
            variables: Arc::new(variables.collect()),
            state: state.clone(),
        }
    }
}

impl Conversation for Moment {
    fn events(&self) -> &Events {
        &self.events
    }

    fn variables(&self) -> &Arc<Map<String, Value>> {
        &self.variables
    }

    fn variable(&self, name: &str) -> Option<Value> {
        self.variables.get(name).cloned()
    }

    fn all_variables(&self) -> Map<String, Value> {
        (*self.variables).clone()
    }

    fn built_in<'a>(
        &'a self,
        turn: &'a Turn,
        called: Called<'a>,
    ) -> BoxFuture<'a, Result<Option<Settled>>> {
        Box::pin(async move {
            match generation::run(turn, self, called).await {
                Some(result) => settle(called.action, result).map(Some),
                None => Ok(None),
            }
        })
    }
}
