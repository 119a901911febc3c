//! What an expression can reach.

use std::collections::HashMap;

use indexmap::IndexMap;

use crate::value::{Arguments, Dict, Object, Value, ValueError};

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

    /// The attribute of an object that stands for something in the scope; `None` leaves it to the object.
    fn attribute(&self, object: &dyn Object, name: &str) -> Option<Value> {
        let _ = (object, name);
        None
    }

    /// Takes over a change of what an object's attribute holds (`$flow.context.update(…)`); `false` if it cannot be
    /// changed: the change is lost, as with anything that is a copy.
    fn set_attribute(&self, object: &dyn Object, name: &str, value: &Value) -> bool {
        let _ = (object, name, value);
        false
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
