//! What an expression can reach.

use std::collections::HashMap;

use indexmap::IndexMap;

use crate::value::{Arguments, Dict, Value, ValueError};

/// The variables and functions of an expression.
pub trait Scope {
    /// The value of `$name`. A variable that is not set counts as `None`.
    fn variable(&self, name: &str) -> Option<Value>;

    /// Calls the function `name`; `None` where there is no such function.
    ///
    /// Asked before the dialect's own functions (`len`, and in Colang 2.x many more), so a scope can replace them.
    fn call(&self, name: &str, arguments: &Arguments) -> Option<Result<Value, ValueError>> {
        let _ = (name, arguments);
        None
    }
}

/// No variables and no functions but the dialect's own: for constants and defaults.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoScope;

impl Scope for NoScope {
    fn variable(&self, _name: &str) -> Option<Value> {
        None
    }
}

impl Scope for Dict {
    fn variable(&self, name: &str) -> Option<Value> {
        self.get(name).cloned()
    }
}

impl Scope for HashMap<String, Value> {
    fn variable(&self, name: &str) -> Option<Value> {
        self.get(name).cloned()
    }
}

impl Scope for IndexMap<String, Value> {
    fn variable(&self, name: &str) -> Option<Value> {
        self.get(name).cloned()
    }
}
