//! What is wrong with a JSON body.

use crate::wire::Unreadable;

/// Why a body is not JSON that every reader takes the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset}")]
pub struct JsonError {
    /// What is wrong.
    pub kind: JsonErrorKind,
    /// Where, in bytes from the start.
    pub offset: usize,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum JsonErrorKind {
    /// UTF-16, UTF-32, or a byte order mark where none is allowed.
    #[error("an encoding other than plain UTF-8")]
    Encoding,
    /// Bytes that are not UTF-8.
    #[error("invalid UTF-8")]
    Utf8,
    /// An escape for half of a surrogate pair.
    #[error("a lone surrogate")]
    LoneSurrogate,
    /// A backslash with something after it that JSON does not know.
    #[error("an invalid escape")]
    Escape,
    /// A control character inside a string.
    #[error("a control character in a string")]
    ControlCharacter,
    /// The body ends in the middle.
    #[error("an unexpected end")]
    UnexpectedEnd,
    /// Anything else that JSON does not allow here.
    #[error("an unexpected character")]
    UnexpectedCharacter,
    /// A number that JSON does not allow.
    #[error("an invalid number")]
    Number,
    /// Something after the value.
    #[error("more than one value")]
    TrailingData,
    /// Arrays and objects nested deeper than the limit.
    #[error("nesting deeper than allowed")]
    TooDeep,
    /// More values than the limit.
    #[error("more values than allowed")]
    TooManyValues,
}

impl From<JsonError> for Unreadable {
    fn from(error: JsonError) -> Self {
        let code = match error.kind {
            JsonErrorKind::Encoding => "unsupported_encoding",
            JsonErrorKind::TooDeep => "json_too_deep",
            JsonErrorKind::TooManyValues => "json_too_large",
            _ => "invalid_json",
        };
        Self::bad_request(
            code,
            format!("The body could not be read as JSON: {error}."),
        )
    }
}
