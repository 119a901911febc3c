//! Why the flows cannot follow an event.

use crate::{
    colang::expr::{EvalError, ExprError},
    error::Error,
};

/// Why the flows cannot follow an event.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// An expression is none.
    #[error("`{expression}` is no expression")]
    Expression {
        /// As written.
        expression: String,
        /// What is wrong with it.
        #[source]
        source: ExprError,
    },
    /// An expression failed.
    #[error("`{expression}` failed")]
    Evaluation {
        /// As written.
        expression: String,
        /// What failed.
        #[source]
        source: EvalError,
    },
    /// A flow calls one that is not there.
    #[error("there is no flow `{0}`")]
    UnknownFlow(String),
    /// An event lacks a field that its type always has.
    #[error("an event `{event}` must have a field `{field}`")]
    MissingField {
        /// The event's type.
        event: String,
        /// The field.
        field: &'static str,
    },
    /// A flow comes to no end without waiting for anything.
    #[error("the flow `{0}` runs in an endless loop")]
    Endless(String),
    /// Flows call each other too deeply.
    #[error("the flow `{0}` is called too deeply")]
    TooDeep(String),
    /// A `check` does not hold.
    #[error("a check of the flow `{0}` does not hold")]
    Check(String),
    /// There is no turn to hide.
    #[error("there is no earlier turn to hide")]
    NothingToHide,
    /// The flow that an event starts is none.
    #[error("the body of the flow `{flow}` is not Colang: {fault}")]
    FlowBody {
        /// Its name.
        flow: String,
        /// What is wrong.
        fault: String,
    },
}

impl From<StateError> for Error {
    fn from(error: StateError) -> Self {
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(source) = cause {
            message.push_str(": ");
            message.push_str(&source.to_string());
            cause = source.source();
        }
        Self::Colang(message)
    }
}
