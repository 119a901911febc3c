//! What actions may know of the conversation that they run in.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde_json::{Map, Value};

use super::{Called, Turn, actions::Settled};
use crate::{
    error::Result,
    rails::{event::Event, events::Events},
};

/// The conversation that an action runs in, in whichever version of Colang.
pub(crate) trait Conversation: Send + Sync {
    /// All events, oldest first.
    fn events(&self) -> &Events;

    /// The variables, without `event`.
    fn variables(&self) -> &Arc<Map<String, Value>>;

    /// A variable; `event` is the last event.
    fn variable(&self, name: &str) -> Option<Value>;

    /// All variables, the last event among them.
    fn all_variables(&self) -> Map<String, Value>;

    /// The last event of type `kind`.
    fn last(&self, kind: &str) -> Option<&Event> {
        self.events()
            .iter()
            .rev()
            .find(|event| event.kind() == kind)
    }

    /// Runs an action that is part of the language; none where there is no such action.
    ///
    /// # Errors
    ///
    /// Where the turn cannot go on. The failure of the action alone is its result.
    fn built_in<'a>(
        &'a self,
        turn: &'a Turn,
        called: Called<'a>,
    ) -> BoxFuture<'a, Result<Option<Settled>>>;
}
