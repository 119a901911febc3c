//! The events of a conversation, in pieces that its copies share.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::event::Event;
use crate::llm::{self, History, Scope, SharedEvent};

/// How many events a shared piece has.
const PIECE: usize = 128;

/// A list of events that only grows. A clone copies no event but the few of the last piece, and those by reference.
#[derive(Debug, Clone, Default)]
pub(crate) struct Events {
    all: Pieces,
    /// Those that tell what was said and done.
    told: Pieces,
}

#[derive(Debug, Clone, Default)]
struct Pieces {
    full: Arc<Vec<Arc<[Event]>>>,
    rest: Vec<Event>,
}

impl Pieces {
    fn push(&mut self, event: Event) {
        self.rest.push(event);
        if self.rest.len() == PIECE {
            let piece = std::mem::take(&mut self.rest).into();
            Arc::make_mut(&mut self.full).push(piece);
        }
    }

    fn len(&self) -> usize {
        self.full.len() * PIECE + self.rest.len()
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = &Event> {
        let full = self.full.iter().flat_map(|piece| piece.iter());
        full.chain(&self.rest)
    }

    /// The events from `start` on.
    fn from(&self, start: usize) -> impl Iterator<Item = &Event> {
        let (first, within) = (start / PIECE, start % PIECE);
        let full = self.full.get(first..).unwrap_or_default();
        let full = full.iter().flat_map(|piece| piece.iter());
        full.chain(self.rest.iter())
            .skip(if first <= self.full.len() {
                within
            } else {
                PIECE
            })
    }
}

impl Events {
    pub(crate) fn push(&mut self, event: Event) {
        if llm::is_told(event.shared()) {
            self.told.push(event.clone());
        }
        self.all.push(event);
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// The last event.
    pub(crate) fn last(&self) -> Option<&Event> {
        self.iter().next_back()
    }

    /// All events, oldest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Event> {
        self.all.iter()
    }

    /// The events that tell what was said and done, oldest first.
    pub(crate) fn told(&self) -> impl DoubleEndedIterator<Item = &Event> {
        self.told.iter()
    }

    /// Whether both lists begin with the very same pieces: then they are of the same conversation.
    fn shares(&self, other: &Self) -> usize {
        let pieces = self.all.full.iter().zip(other.all.full.iter());
        let shared = pieces.take_while(|(one, two)| Arc::ptr_eq(one, two));
        shared.count() * PIECE
    }

    /// The events from `start` on.
    pub(crate) fn from(&self, start: usize) -> impl Iterator<Item = &Event> {
        self.all.from(start)
    }

    /// Whether `values` begin with these events.
    pub(crate) fn is_start_of_values(&self, values: &[Value]) -> bool {
        let mut pairs = self.iter().zip(values);
        #[cfg(test)]
        super::work::count(|work| work.compared += self.len());
        self.len() <= values.len()
            && pairs.all(|(event, value)| value.as_object().is_some_and(|fields| event.has(fields)))
    }

    /// Whether the events of `other` begin with these.
    pub(crate) fn is_start_of(&self, other: &Self) -> bool {
        if self.len() > other.len() {
            return false;
        }
        let shared = self.shares(other);
        #[cfg(test)]
        super::work::count(|work| work.compared += self.len() - shared);
        let mut pairs = self.all.from(shared).zip(other.all.from(shared));
        pairs.all(|(one, two)| one.is_like(two))
    }
}

impl History for Events {
    fn count(&self, scope: Scope) -> usize {
        self.of(scope).len()
    }

    fn last(&self, scope: Scope, count: usize) -> Vec<SharedEvent> {
        let pieces = self.of(scope);
        let events = pieces.from(pieces.len().saturating_sub(count));
        #[cfg(test)]
        super::work::count(|work| work.read += count);
        events.map(|event| Arc::clone(event.shared())).collect()
    }
}

impl Events {
    fn of(&self, scope: Scope) -> &Pieces {
        match scope {
            Scope::All => &self.all,
            Scope::Told => &self.told,
        }
    }
}

impl FromIterator<Event> for Events {
    fn from_iter<T: IntoIterator<Item = Event>>(events: T) -> Self {
        let mut all = Self::default();
        events.into_iter().for_each(|event| all.push(event));
        all
    }
}

impl PartialEq for Events {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.is_start_of(other)
    }
}

impl Serialize for Events {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(count: usize) -> Events {
        (0..count)
            .map(|number| match number % 3 {
                0 => Event::new("UserMessage").with("text", number),
                _ => Event::new("Other").with("number", number),
            })
            .collect()
    }

    #[test]
    fn all_events_are_there_in_order() {
        for count in [0, 1, 127, 128, 129, 500] {
            let events = numbered(count);
            assert_eq!(events.len(), count);
            let numbers = events.iter().map(|event| {
                let number = event.get("text").or_else(|| event.get("number"));
                number.and_then(Value::as_u64)
            });
            assert!(numbers.eq((0..count).map(|number| Some(number as u64))));
            assert_eq!(events.told().count(), count.div_ceil(3));
            for kept in [0, 1, 127, 128, 129, 400] {
                let last = History::last(&events, Scope::All, kept);
                let expected: Vec<_> = events.iter().rev().take(kept).collect();
                assert!(
                    last.iter()
                        .rev()
                        .eq(expected.iter().map(|event| event.shared()))
                );
            }
        }
    }

    #[test]
    fn starts_are_told_from_others() {
        let (short, long) = (numbered(300), numbered(400));
        assert!(short.is_start_of(&long) && !long.is_start_of(&short));
        let mut grown = short.clone();
        grown.push(Event::new("Other"));
        assert!(short.is_start_of(&grown) && !grown.is_start_of(&long));
        assert_ne!(short, grown);
        assert!(Events::default().is_start_of(&short));
    }
}
