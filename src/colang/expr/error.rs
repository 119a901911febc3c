//! What is wrong with an expression: before it runs, and while it runs.

use std::sync::Arc;

use crate::value::ValueError;

/// A part of an expression: places of characters, the end not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// The first character.
    pub start: usize,
    /// The character after the last.
    pub end: usize,
}

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// From the start of this one to the end of the other.
    pub(super) fn to(self, other: Self) -> Self {
        Self {
            start: self.start,
            end: other.end.max(self.start),
        }
    }

    pub(super) fn shifted(self, by: usize) -> Self {
        Self {
            start: self.start + by,
            end: self.end + by,
        }
    }
}

/// A text that is no expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExprError {
    /// What is wrong.
    pub message: String,
    /// Where.
    pub span: Span,
}

impl ExprError {
    pub(super) fn new(message: impl Into<String>, span: Span) -> Self {
        Self {
            message: message.into(),
            span,
        }
    }
}

/// An expression that could not be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the expression `{expression}` failed: {source}")]
pub struct EvalError {
    /// The expression's text.
    pub expression: Arc<str>,
    /// The part that failed.
    pub span: Span,
    /// Why.
    pub source: ValueError,
}

/// A failure on its way up, before the expression's text is attached.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) span: Span,
    pub(super) error: ValueError,
}

/// Says where an operation failed.
pub(super) trait At<T> {
    fn at(self, span: Span) -> Result<T, Failure>;
}

impl<T> At<T> for Result<T, ValueError> {
    fn at(self, span: Span) -> Result<T, Failure> {
        self.map_err(|error| Failure { span, error })
    }
}
