//! Which heads an event concerns: an index from event names, and from one argument where it must be a certain text.
//!
//! So an event costs what waits for it, not what waits for anything.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{instance::HeadId, signal::Signal};

/// Where a head waits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) event: Arc<str>,
    /// An argument, and the text that it must be.
    pub(super) filter: Option<(Arc<str>, Arc<str>)>,
}

/// A head of an instance.
pub(super) type HeadRef = (Arc<str>, HeadId);

#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    buckets: HashMap<Key, BTreeMap<u64, HeadRef>>,
    places: HashMap<HeadId, (Key, u64)>,
}

impl Index {
    pub(super) fn insert(&mut self, head: HeadRef, key: Key, arrival: u64) {
        self.remove(head.1);
        self.places.insert(head.1, (key.clone(), arrival));
        self.buckets.entry(key).or_default().insert(arrival, head);
    }

    pub(super) fn remove(&mut self, head: HeadId) {
        let Some((key, arrival)) = self.places.remove(&head) else {
            return;
        };
        if let Some(bucket) = self.buckets.get_mut(&key) {
            bucket.remove(&arrival);
            if bucket.is_empty() {
                self.buckets.remove(&key);
            }
        }
    }

    /// Whether the head waits for an event.
    pub(super) fn has(&self, head: HeadId) -> bool {
        self.places.contains_key(&head)
    }

    /// The heads that wait for an event of this name and may match `signal`, in the order in which they came.
    pub(super) fn waiting(&self, event: &str, signal: &Signal) -> Vec<HeadRef> {
        let event: Arc<str> = event.into();
        let mut keys = vec![Key {
            event: Arc::clone(&event),
            filter: None,
        }];
        let texts = signal
            .arguments
            .iter_str()
            .filter_map(|(name, value)| Some((name, value.as_str()?)));
        let action = match signal.arguments.contains_key("action_uid") {
            true => None,
            false => signal.action.as_deref(),
        };
        let action = action.map(|uid| ("action_uid", uid));
        keys.extend(texts.chain(action).map(|(name, text)| Key {
            event: Arc::clone(&event),
            filter: Some((name.into(), text.into())),
        }));
        let mut found: Vec<(u64, HeadRef)> = Vec::new();
        for key in keys {
            let bucket = self.buckets.get(&key).into_iter().flatten();
            found.extend(bucket.map(|(arrival, head)| (*arrival, head.clone())));
        }
        found.sort_by_key(|(arrival, _)| *arrival);
        found.into_iter().map(|(_, head)| head).collect()
    }

    /// All heads that wait, in the order in which they came.
    pub(super) fn all(&self) -> Vec<HeadRef> {
        let mut found: Vec<(u64, HeadRef)> = self
            .buckets
            .values()
            .flatten()
            .map(|(arrival, head)| (*arrival, head.clone()))
            .collect();
        found.sort_by_key(|(arrival, _)| *arrival);
        found.into_iter().map(|(_, head)| head).collect()
    }
}
