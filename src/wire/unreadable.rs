//! Why a body was not read.

use std::borrow::Cow;

/// A body that cannot be read with the meaning that its reader will give it.
///
/// The message is made of our own words only and may be shown to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Unreadable {
    /// The status to refuse a request with.
    pub status: u16,
    /// A word for programs, such as `invalid_json`.
    pub code: &'static str,
    /// A sentence for people.
    pub message: Cow<'static, str>,
}

impl Unreadable {
    /// A body that is refused with status 400.
    pub(crate) fn bad_request(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status: 400,
            code,
            message: message.into(),
        }
    }
}
