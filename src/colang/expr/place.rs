//! Attributes, and the places that methods change: a variable, or a list or dictionary inside of one.
//!
//! In the reference variables refer to Python objects, but a dictionary is copied before an expression sees it. So
//! `$list.append(1)` changes the variable in both versions, `$dict.update(…)` in Colang 2.x only (it is written back),
//! `$dict.list.append(1)` in both, and `$dict.inner.update(…)` in neither: dictionaries reached as attributes are copies.
//! Places follow those rules.

use std::sync::Arc;

use super::{
    Dialect, Span,
    ast::{Kind, Node},
    error::{At, Failure},
    eval::{Run, allowed},
};
use crate::value::{Value, ValueError};

/// A variable and the way into it.
pub(super) struct Place {
    variable: Arc<str>,
    steps: Vec<Step>,
}

enum Step {
    Key(Value),
    Attribute(Arc<str>),
}

impl Place {
    /// The place that an expression names, its keys evaluated; none if it is no place.
    pub(super) fn of(run: &mut Run<'_>, node: &Node) -> Result<Option<Self>, Failure> {
        match &node.kind {
            Kind::Variable(name) if !run.is_bound(name) => Ok(Some(Self {
                variable: Arc::clone(name),
                steps: Vec::new(),
            })),
            Kind::Item(of, key) => {
                let Some(mut place) = Self::of(run, of)? else {
                    return Ok(None);
                };
                place.steps.push(Step::Key(run.eval(key)?));
                Ok(Some(place))
            }
            Kind::Attribute(of, name) => {
                let Some(mut place) = Self::of(run, of)? else {
                    return Ok(None);
                };
                place.steps.push(Step::Attribute(Arc::clone(name)));
                Ok(Some(place))
            }
            _ => Ok(None),
        }
    }

    /// The value that stands there.
    pub(super) fn get(&self, run: &mut Run<'_>) -> Result<Value, ValueError> {
        let mut value = run.variable(&self.variable);
        for step in &self.steps {
            value = match step {
                Step::Key(key) => value.item(key)?,
                Step::Attribute(name) => run.attribute(&value, name)?,
            };
        }
        Ok(value)
    }

    /// The object whose attribute the place is, with the attribute's name.
    fn owner(&self, run: &mut Run<'_>) -> Result<Option<(Value, Arc<str>)>, ValueError> {
        let Some((Step::Attribute(name), before)) = self.steps.split_last() else {
            return Ok(None);
        };
        let mut value = run.variable(&self.variable);
        for step in before {
            value = match step {
                Step::Key(key) => value.item(key)?,
                Step::Attribute(name) => run.attribute(&value, name)?,
            };
        }
        Ok(matches!(value, Value::Object(_)).then(|| (value, Arc::clone(name))))
    }

    /// Changes the value that stands there, and so its variable.
    pub(super) fn change(
        &self,
        run: &mut Run<'_>,
        span: Span,
        change: impl FnOnce(&mut Value) -> Result<Value, ValueError>,
    ) -> Result<Value, Failure> {
        let mut root = run.variable(&self.variable);
        let is_copy =
            run.dialect == Dialect::V1 && self.steps.is_empty() && matches!(root, Value::Dict(_));
        let result = match descend(&mut root, &self.steps) {
            Some(value) => change(value).at(span)?,
            None => {
                let mut copy = self.get(run).at(span)?;
                let result = change(&mut copy).at(span)?;
                if let Some((Value::Object(object), name)) = self.owner(run).at(span)? {
                    run.scope().set_attribute(object.as_ref(), &name, &copy);
                }
                return run.made(result, span);
            }
        };
        let root = run.made(root, span)?;
        run.set_variable(&self.variable, root, !is_copy);
        run.made(result, span)
    }
}

/// The value at the end of the steps, in its variable; none where a step leads to a copy.
fn descend<'a>(root: &'a mut Value, steps: &[Step]) -> Option<&'a mut Value> {
    let mut value = root;
    for step in steps {
        value = match (value, step) {
            (Value::List(items), Step::Key(key)) => {
                let index = key.as_int()?;
                let length = items.len();
                let place = if index < 0 {
                    length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?
                } else {
                    usize::try_from(index).ok()?
                };
                Arc::make_mut(items).get_mut(place)?
            }
            (Value::Dict(dict), Step::Key(key)) => dict.get_mut(key)?,
            (Value::Dict(dict), Step::Attribute(name)) => {
                let copies = dict.has_attributes();
                let value = dict.get_mut(&Value::from(&**name))?;
                if copies && is_copied(value) {
                    return None;
                }
                value
            }
            _ => return None,
        };
    }
    Some(value)
}

/// Whether reaching this value as an attribute gives a copy of it.
fn is_copied(value: &Value) -> bool {
    match value {
        Value::Dict(_) => true,
        Value::List(items) => matches!(items.first(), Some(Value::Dict(_))),
        _ => false,
    }
}

/// `value.name`.
pub(super) fn attribute(value: &Value, name: &str) -> Result<Value, ValueError> {
    allowed(name)?;
    if value.has_method(name) {
        return Err(ValueError::type_error(format!(
            "the method `{name}` can only be called"
        )));
    }
    let found = match (value, name) {
        (Value::Dict(dict), _) if dict.has_attributes() => Some(
            dict.get(name)
                .cloned()
                .map(with_attributes)
                .unwrap_or_default(),
        ),
        (Value::Dict(dict), _) => dict.get(name).cloned(),
        (Value::Object(object), _) => object
            .attribute(name)
            .or_else(|| object.item(&Value::from(name))),
        (Value::Float(_), "real") => Some(value.clone()),
        (Value::Float(_), "imag") => Some(Value::Float(0.0)),
        (Value::Bool(_) | Value::Int(_), "real" | "numerator") => value.as_int().map(Value::Int),
        (Value::Bool(_) | Value::Int(_), "imag") => Some(Value::Int(0)),
        (Value::Bool(_) | Value::Int(_), "denominator") => Some(Value::Int(1)),
        _ => None,
    };
    found.ok_or_else(|| {
        ValueError::attribute(format!(
            "a value of type {} has no attribute `{name}`",
            value.type_name()
        ))
    })
}

/// Dictionaries that are reached as attributes have attributes again.
fn with_attributes(value: Value) -> Value {
    match value {
        Value::Dict(dict) => Value::Dict(dict.with_attributes(true)),
        Value::List(items) if matches!(items.first(), Some(Value::Dict(_))) => {
            Value::list(items.iter().map(|item| match item {
                Value::Dict(dict) => Value::Dict(dict.clone().with_attributes(true)),
                other => other.clone(),
            }))
        }
        other => other,
    }
}
