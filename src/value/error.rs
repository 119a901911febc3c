//! Why an operation on values failed.

/// An operation that the values do not support, or that went out of its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ValueError {
    /// Which of Python's exceptions this would be.
    pub kind: ErrorKind,
    /// What went wrong, for the author of the expression.
    pub message: String,
}

/// The kinds of [`ValueError`]: Python's exceptions, and the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Operands or arguments of types that do not go together.
    Type,
    /// The right type, but not a value that the operation takes.
    Value,
    /// An index outside its sequence.
    Index,
    /// A key that its dictionary or set does not hold.
    Key,
    /// An attribute or method that its object does not have.
    Attribute,
    /// Division by zero.
    ZeroDivision,
    /// A number too large for its type.
    Overflow,
    /// A limit on sizes or on work was reached.
    Limit,
}

macro_rules! constructors {
    ($($name:ident => $kind:ident),* $(,)?) => {
        impl ValueError {
            $(
                #[doc = concat!("An error of kind [`ErrorKind::", stringify!($kind), "`].")]
                pub fn $name(message: impl Into<String>) -> Self {
                    Self { kind: ErrorKind::$kind, message: message.into() }
                }
            )*
        }
    };
}

constructors! {
    type_error => Type,
    invalid => Value,
    index => Index,
    key => Key,
    attribute => Attribute,
    zero_division => ZeroDivision,
    overflow => Overflow,
    limit => Limit,
}
