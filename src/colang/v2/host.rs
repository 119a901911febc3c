//! What the state machine needs of the outside while it runs.

use std::{
    hash::{BuildHasher, RandomState},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::value::{Arguments, Value, ValueError};

/// Identifiers, the clock, chance and functions: what makes a run differ from another one.
pub trait Host: Send + Sync {
    /// A new identifier: of an action, of a flow's instance, and what `uid()` answers.
    fn uid(&self) -> String;

    /// The present time, in milliseconds since 1970.
    fn now(&self) -> u64;

    /// A number below `among`: which of several equal matches wins.
    fn choose(&self, among: usize) -> usize;

    /// Calls a function that expressions may use beyond those of the language; `None` where there is no such function.
    fn call(&self, name: &str, arguments: &Arguments) -> Option<Result<Value, ValueError>> {
        let _ = (name, arguments);
        None
    }
}

/// The host of a real run: random identifiers, the system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemHost;

impl Host for SystemHost {
    fn uid(&self) -> String {
        crate::colang::expr::uid()
    }

    fn now(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
    }

    fn choose(&self, among: usize) -> usize {
        let bits = usize::try_from(RandomState::new().hash_one(0) >> 33).unwrap_or(0);
        bits.checked_rem(among).unwrap_or(0)
    }
}
