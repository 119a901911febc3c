//! Answers that are remembered: `models[].cache`.
//!
//! The least frequently asked goes first; of those, the one that was asked longest ago.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{ModelReply, python_json};
use crate::{
    config::ModelCache,
    message::{Content, Message, Role},
};

/// The cache of one model's answers.
pub(crate) struct AnswerCache {
    state: Mutex<State>,
    maxsize: usize,
    log_interval: Option<Duration>,
}

/// What a cache knows an answer by: a digest, so that no prompt is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct CacheKey([u8; 32]);

/// How often a cache was asked, and with which luck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct CacheCounts {
    /// Answers that were there.
    pub(crate) hits: u64,
    /// Answers that were not.
    pub(crate) misses: u64,
    /// Answers that had to go.
    pub(crate) evictions: u64,
}

#[derive(Default)]
struct State {
    entries: HashMap<CacheKey, Entry>,
    /// The entries by how soon they have to go.
    order: BTreeMap<Rank, CacheKey>,
    /// Grows with each use.
    clock: u64,
    counts: CacheCounts,
    logged: Option<Instant>,
}

struct Entry {
    reply: ModelReply,
    rank: Rank,
}

/// How often an entry was used, and when last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    uses: u64,
    last: u64,
}

impl CacheKey {
    /// The key of a prompt. Prompts that differ in white space alone have the same key.
    pub(crate) fn new(prompt: &[Message]) -> Self {
        let text = match prompt {
            [
                Message {
                    role: Role::User,
                    content: Content::Text(text),
                    ..
                },
            ] => text.clone(),
            // Images and all else that a message holds count too.
            many => {
                let many = many.iter().map(
                    |message| json!({"content": message.content, "type": message.role.as_str()}),
                );
                python_json::dumps(&many.collect::<Value>())
            }
        };
        let mut digest = Sha256::new();
        for word in text.split_whitespace() {
            digest.update(word);
            digest.update(" ");
        }
        Self(digest.finalize().into())
    }
}

impl AnswerCache {
    /// The cache that `config` asks for; none where it is not enabled.
    pub(crate) fn new(config: &ModelCache) -> Option<Self> {
        let interval = config.stats.log_interval.filter(|_| config.stats.enabled);
        config.enabled.then(|| Self {
            state: Mutex::default(),
            maxsize: config.maxsize,
            log_interval: interval.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        })
    }

    /// The answer to the prompt of `key`, if it is remembered.
    pub(crate) fn get(&self, key: &CacheKey) -> Option<ModelReply> {
        let mut state = self.lock();
        self.log(&mut state);
        let reply = state.touch(key);
        crate::observe::cache_asked("answers", reply.is_some());
        let count = match &reply {
            Some(_) => &mut state.counts.hits,
            None => &mut state.counts.misses,
        };
        *count += 1;
        reply
    }

    /// Remembers the answer to the prompt of `key`.
    pub(crate) fn put(&self, key: CacheKey, reply: ModelReply) {
        if self.maxsize == 0 {
            return;
        }
        let mut state = self.lock();
        if state.touch(&key).is_some() {
            if let Some(entry) = state.entries.get_mut(&key) {
                entry.reply = reply;
            }
            return;
        }
        if state.entries.len() >= self.maxsize
            && let Some((_, evicted)) = state.order.pop_first()
        {
            state.entries.remove(&evicted);
            state.counts.evictions += 1;
        }
        let last = state.tick();
        let rank = Rank { uses: 1, last };
        state.order.insert(rank, key);
        state.entries.insert(key, Entry { reply, rank });
    }

    /// How often the cache was asked so far.
    pub(crate) fn counts(&self) -> CacheCounts {
        self.lock().counts
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under the lock panics between the two maps' changes.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self, state: &mut State) {
        let Some(interval) = self.log_interval else {
            return;
        };
        let logged = *state.logged.get_or_insert_with(Instant::now);
        if logged.elapsed() >= interval {
            state.logged = Some(Instant::now());
            let CacheCounts {
                hits,
                misses,
                evictions,
            } = state.counts;
            let size = state.entries.len();
            tracing::info!(
                size,
                maxsize = self.maxsize,
                hits,
                misses,
                evictions,
                "answers remembered"
            );
        }
    }
}

impl State {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// The answer of `key`, used once more.
    fn touch(&mut self, key: &CacheKey) -> Option<ModelReply> {
        let last = self.tick();
        let entry = self.entries.get_mut(key)?;
        self.order.remove(&entry.rank);
        entry.rank = Rank {
            uses: entry.rank.uses + 1,
            last,
        };
        self.order.insert(entry.rank, *key);
        Some(entry.reply.clone())
    }
}

impl fmt::Debug for AnswerCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerCache")
            .field("maxsize", &self.maxsize)
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(maxsize: usize) -> AnswerCache {
        let config = json!({"enabled": true, "maxsize": maxsize, "stats": {"enabled": true, "log_interval": 0.0}});
        AnswerCache::new(&serde_json::from_value(config).unwrap()).unwrap()
    }

    fn key(text: &str) -> CacheKey {
        CacheKey::new(&[Message::user(text)])
    }

    fn reply(text: &str) -> ModelReply {
        ModelReply {
            content: text.into(),
            ..ModelReply::default()
        }
    }

    #[test]
    fn the_least_used_goes_first() {
        let cache = cache(2);
        assert_eq!(cache.get(&key("a")), None);
        cache.put(key("a"), reply("1"));
        cache.put(key("b"), reply("2"));
        assert_eq!(cache.get(&key("a")), Some(reply("1")));
        cache.put(key("c"), reply("3"));
        assert_eq!(cache.get(&key("b")), None);
        assert_eq!(cache.get(&key("a")), Some(reply("1")));
        // Of c, used once, and d, the older goes.
        cache.put(key("d"), reply("4"));
        assert_eq!(cache.get(&key("c")), None);
        assert_eq!(cache.get(&key("d")), Some(reply("4")));
        assert_eq!(
            cache.counts(),
            CacheCounts {
                hits: 3,
                misses: 3,
                evictions: 2
            }
        );
    }

    #[test]
    fn an_answer_can_be_replaced() {
        let cache = cache(1);
        cache.put(key("a"), reply("1"));
        cache.put(key("a"), reply("2"));
        assert_eq!(cache.get(&key("a")), Some(reply("2")));
        assert_eq!(cache.lock().order.len(), 1);
    }

    #[test]
    fn no_room_and_no_cache() {
        let cache = cache(0);
        cache.put(key("a"), reply("1"));
        assert_eq!(cache.get(&key("a")), None);
        assert!(AnswerCache::new(&ModelCache::default()).is_none());
    }

    #[test]
    fn white_space_does_not_count() {
        assert_eq!(key("a  b\n"), key(" a\tb"));
        assert_ne!(key("a b"), key("A b"));
        assert_ne!(key("a b"), key("ab"));
        assert_ne!(key("a b"), CacheKey::new(&[Message::system("a b")]));
        let two = |text: &str| CacheKey::new(&[Message::system(text), Message::user("b")]);
        assert_eq!(two("a  b"), two("a b"));
        assert_ne!(two("a b"), two("a c"));
    }
}
