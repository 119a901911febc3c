//! What earlier turns of a conversation left behind, found again by the messages.

use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::dialog::Run;
use crate::message::{Content, Message, Role};

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
    /// The longest start of `messages`, short of all of them, after which a turn is remembered: how many messages, and the turn.
    pub(crate) fn longest(&self, messages: &[Message]) -> Option<(usize, Arc<Run>)> {
        let keys = keys(messages);
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // `keys[n]` is of the first `n + 1` messages; the last one is what is new.
        (0..messages.len().saturating_sub(1))
            .rev()
            .find_map(|at| Some((at + 1, Arc::clone(turns.get(keys.get(at)?)?))))
    }

    /// Remembers what is left after `messages` and `answer`.
    pub(crate) fn remember(&self, messages: &[Message], answer: &Message, run: Arc<Run>) {
        let mut chain = Chain::default();
        messages.iter().for_each(|message| chain.add(message));
        chain.add(answer);
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .put(chain.key(), run);
    }
}

/// The key after each message.
fn keys(messages: &[Message]) -> Vec<Key> {
    let mut chain = Chain::default();
    messages
        .iter()
        .map(|message| {
            chain.add(message);
            chain.key()
        })
        .collect()
}

/// A hash that grows with each message, so that all starts of a conversation cost one pass.
#[derive(Default)]
struct Chain(Key);

impl Chain {
    fn add(&mut self, message: &Message) {
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
