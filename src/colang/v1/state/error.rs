//! Why the flows cannot follow an event.

use std::sync::Arc;

use super::super::program::Flow;
use crate::{
    colang::expr::{EvalError, ExprError},
    error::Error,
};

/// Why the flows cannot follow an event.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// A step of a flow fails.
    #[error("the flow `{flow}` fails{}", place(file.as_deref(), *line))]
    InFlow {
        /// The flow.
        flow: String,
        /// The file that it stands in.
        file: Option<Arc<str>>,
        /// The step's line, from 1.
        line: Option<usize>,
        /// Why.
        #[source]
        source: Box<StateError>,
    },
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
    #[error("{source}")]
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
    /// The flows take too many steps at one event: they loop or call each other without waiting for anything.
    #[error("the flows take too many steps at once, the last of them in the flow `{0}`")]
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
    /// A stored state is none of these flows, or of another version.
    #[error("the stored state cannot be used: {0}")]
    Stored(String),
}

impl StateError {
    /// With the place where it happened, unless one is known: in flows that call each other, the innermost.
    pub(super) fn at(self, flow: &Flow, head: isize) -> Self {
        if matches!(self, Self::InFlow { .. }) {
            return self;
        }
        let origin = flow
            .element(head)
            .and_then(|element| element.origin.as_ref());
        Self::InFlow {
            flow: flow.id.clone(),
            file: flow.file.clone(),
            line: origin.map(|origin| origin.line),
            source: Box::new(self),
        }
    }
}

/// ` at main.co:7`, as far as it is known.
fn place(file: Option<&str>, line: Option<usize>) -> String {
    match (file, line) {
        (Some(file), Some(line)) => format!(" at {file}:{line}"),
        (Some(file), None) => format!(" in {file}"),
        (None, Some(line)) => format!(" at line {line}"),
        (None, None) => String::new(),
    }
}

impl From<StateError> for Error {
    fn from(error: StateError) -> Self {
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(source) = cause {
            let text = source.to_string();
            // Some errors tell their cause themselves.
            if !message.ends_with(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = source.source();
        }
        Self::Colang(message)
    }
}
