//! Objects of the host that expressions may look into.

use std::{any::Any, fmt, sync::Arc};

use super::{Arguments, Key, Value, ValueError};

/// Something of the host's that an expression can hold and look into: a configuration, a flow, a compiled pattern.
///
/// An expression sees what these methods give it and nothing else. All but the type's name have defaults: an object
/// without attributes or methods, always true, equal to itself only.
pub trait Object: Any + fmt::Debug + Send + Sync {
    /// The name that `type($x)` answers.
    fn type_name(&self) -> &str;

    /// The value that the object is in everything but its attributes: its truth, its text, its elements and methods, how it
    /// compares and counts. `None` where it is only itself.
    fn stands_for(&self) -> Option<&Value> {
        None
    }

    /// The attribute `name`, `None` where there is no such attribute.
    fn attribute(&self, name: &str) -> Option<Value> {
        let _ = name;
        None
    }

    /// The names of the attributes, for reports and for JSON.
    fn attribute_names(&self) -> Vec<String> {
        Vec::new()
    }

    /// Calls the method `name`; `None` where there is no such method.
    fn call(&self, name: &str, arguments: &Arguments) -> Option<Result<Value, ValueError>> {
        let _ = (name, arguments);
        None
    }

    /// The element `[key]`, `None` where the object has no elements or none under this key.
    fn item(&self, key: &Value) -> Option<Value> {
        let _ = key;
        None
    }

    /// The text of `str(x)`.
    fn text(&self) -> String {
        format!("<{}>", self.type_name())
    }

    /// The text of `repr(x)`, and of the object inside a list.
    fn repr(&self) -> String {
        self.text()
    }

    /// Whether the object counts as true.
    fn is_truthy(&self) -> bool {
        true
    }

    /// Whether this object equals another one that is not the same.
    fn equals(&self, other: &dyn Object) -> bool {
        let _ = other;
        false
    }

    /// The object as JSON; by default an object of its attributes, or its text where it names none.
    fn to_json(&self) -> serde_json::Value {
        let names = self.attribute_names();
        if names.is_empty() {
            return serde_json::Value::String(self.text());
        }
        names
            .into_iter()
            .map(|name| {
                let value = self.attribute(&name).unwrap_or(Value::None).to_json();
                (name, value)
            })
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

impl dyn Object {
    /// The object as the type that it is, if it is a `T`.
    pub fn downcast_ref<T: Object>(&self) -> Option<&T> {
        (self as &dyn Any).downcast_ref()
    }
}

impl<T: Object> From<Arc<T>> for Value {
    fn from(object: Arc<T>) -> Self {
        Self::Object(object)
    }
}

/// The identity of a shared object, for hashing.
pub(super) fn address(object: &Arc<dyn Object>) -> usize {
    Arc::as_ptr(object).cast::<()>() as usize
}

impl From<Key> for Value {
    fn from(key: Key) -> Self {
        key.into_value()
    }
}
