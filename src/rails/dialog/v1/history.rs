//! What earlier turns of a conversation left behind, found again by the messages.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use lru::LruCache;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{super::Conversation as _, Flows, Run};
use crate::{
    error::Result,
    message::{Content, Message, Role},
    rails::events::Events,
};

/// How many turns are remembered; the ones not used for longest are forgotten first.
const REMEMBERED_TURNS: std::num::NonZeroUsize =
    std::num::NonZeroUsize::new(1_000).expect("it is not zero");

/// The key of a sequence of messages.
pub(crate) type Key = [u8; 32];

/// The turns that this instance answered.
#[derive(Debug)]
pub(crate) struct History(Mutex<LruCache<Key, Arc<Run>>>);

impl Default for History {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(REMEMBERED_TURNS)))
    }
}

impl History {
    /// The longest start of the messages that `keys` are of, short of all of them, after which a turn is remembered: how
    /// many messages, and the turn.
    pub(crate) fn longest(&self, keys: &Keys) -> Option<(usize, Arc<Run>)> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The last message is what is new.
        let mut starts = keys.after_each.iter().enumerate().rev().skip(1);
        starts.find_map(|(at, key)| Some((at + 1, Arc::clone(turns.get(key)?))))
    }

    /// Remembers what is left after the messages of `key`.
    pub(crate) fn remember(&self, key: Key, run: Arc<Run>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .put(key, run);
    }
}

/// The conversations whose events come back with the next turn: in a state, or as a history of events.
///
/// Their beginnings are compared, which is far cheaper than to run them again.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<VecDeque<Arc<Run>>>);

/// How many conversations are remembered; the oldest are forgotten first.
const RECENT_RUNS: usize = 64;

impl Recent {
    /// The conversation that `events` are of.
    ///
    /// # Errors
    ///
    /// Where it is not remembered, and a flow fails while it is run again.
    pub(crate) fn run_after(&self, flows: &Flows, events: &Events) -> Result<Run> {
        let mut run = self.longest(flows, |known| known.is_start_of(events));
        let known = run.events().len();
        run.extend(events.from(known).cloned())?;
        Ok(run)
    }

    /// The conversation that `events` go on from with at least one new event; one without events, if there is none.
    pub(crate) fn run_before_the_last(&self, flows: &Flows, events: &[Value]) -> Run {
        self.longest(flows, |known| {
            known.len() < events.len() && known.is_start_of_values(events)
        })
    }

    fn longest(&self, flows: &Flows, is_start: impl Fn(&Events) -> bool) -> Run {
        let runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut runs: Vec<Arc<Run>> = runs.iter().cloned().collect();
        runs.sort_by_key(|run| std::cmp::Reverse(run.events().len()));
        match runs.iter().find(|run| is_start(run.events())) {
            Some(run) => (**run).clone(),
            None => Run::new(flows),
        }
    }

    /// Remembers a conversation.
    pub(crate) fn remember(&self, run: Arc<Run>) {
        let mut runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if runs.len() == RECENT_RUNS {
            runs.pop_front();
        }
        runs.push_back(run);
    }
}

/// The key after each of some messages.
#[derive(Debug)]
pub(crate) struct Keys {
    after_each: Vec<Key>,
    chain: Chain,
}

impl Keys {
    /// The key after all messages and `answer`.
    pub(crate) fn after(mut self, answer: &Message) -> Key {
        self.chain.add(answer);
        self.chain.key()
    }
}

/// A hash that grows with each message, so that all starts of a conversation cost one pass.
#[derive(Debug, Default)]
pub(crate) struct Chain(Key);

impl Chain {
    /// The keys after each of `messages`.
    pub(crate) fn keys(mut self, messages: &[Message]) -> Keys {
        let after = messages.iter().map(|message| {
            self.add(message);
            self.key()
        });
        Keys {
            after_each: after.collect(),
            chain: self,
        }
    }

    pub(crate) fn add(&mut self, message: &Message) {
        #[cfg(test)]
        crate::rails::work::count(|work| work.hashed += 1);
        let text: String = match (&message.role, &message.content) {
            // Messages of the system and of tools, and exceptions, make no difference, as in the reference.
            (Role::User, Content::Parts(parts)) => parts
                .iter()
                .filter_map(|part| part.get("text")?.as_str())
                .collect::<Vec<_>>()
                .join(" "),
            (Role::User | Role::Assistant, content) => content.text().into_owned(),
            (Role::Context | Role::Event, content) => match message.extra.get("event") {
                Some(event) => event.to_string(),
                None => serde_json::to_value(content)
                    .as_ref()
                    .map(Value::to_string)
                    .unwrap_or_default(),
            },
            _ => return,
        };
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(message.role.as_str());
        hash.update([0]);
        hash.update(text);
        self.0 = hash.finalize().into();
    }

    fn key(&self) -> Key {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(messages: &[Message]) -> Vec<Key> {
        Chain::default().keys(messages).after_each
    }

    #[test]
    fn keys_tell_who_said_what() {
        let one = keys(&[Message::user("a:b")]);
        let two = keys(&[Message::user("a"), Message::assistant("b")]);
        assert_ne!(one.last(), two.last());
        assert_eq!(keys(&[Message::user("a"), Message::assistant("b")]), two);
    }

    #[test]
    fn instructions_of_the_application_are_no_part_of_a_key() {
        let with = keys(&[Message::system("be kind"), Message::user("a")]);
        assert_eq!(with.last(), keys(&[Message::user("a")]).last());
    }
}
