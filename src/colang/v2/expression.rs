//! Expressions as they stand in flows.

use std::sync::Arc;

use crate::{
    colang::expr::{Dialect, Expr, ExprError},
    value::Value,
};

/// Something that has a value when a flow comes to it.
#[derive(Debug, Clone)]
pub(super) enum Expression {
    /// As written.
    Parsed(Expr),
    /// What stands in a text's braces is no expression: fails when a flow comes to it, like in the reference.
    Invalid {
        text: Arc<str>,
        error: ExprError,
    },
    Constant(Value),
    /// A variable, and attributes of it.
    Path(Arc<str>, &'static [&'static str]),
    /// A new identifier for an instance of this flow.
    InstanceUid(Arc<str>),
    /// The variables of the flow itself, to be shared.
    OwnVariables,
    /// A list of what iterating yields.
    Listed(Box<Expression>),
    /// The first element of the list in a hidden variable.
    FirstOf(Arc<str>),
    /// The list in a hidden variable without its first element.
    RestOf(Arc<str>),
}

impl Expression {
    pub(super) fn text(value: impl AsRef<str>) -> Self {
        Self::Constant(Value::str(value))
    }

    pub(super) fn variable(name: &Arc<str>) -> Self {
        Self::Path(Arc::clone(name), &[])
    }

    /// Parses what this file itself writes; the text is known to be an expression.
    pub(super) fn known(text: &str) -> Self {
        match Expr::parse(text, Dialect::V2) {
            Ok(expr) => Self::Parsed(expr),
            Err(error) => Self::Invalid {
                text: text.into(),
                error,
            },
        }
    }

    /// As written, where it was.
    pub(super) fn source(&self) -> &str {
        match self {
            Self::Parsed(expr) => expr.text(),
            Self::Invalid { text, .. } => text,
            _ => "",
        }
    }

    /// Whether it is nothing but this variable.
    pub(super) fn is_variable(&self, name: &str) -> bool {
        match self {
            Self::Path(own, []) => &**own == name,
            Self::Parsed(expr) => expr.as_variable() == Some(name),
            _ => false,
        }
    }
}
