//! Strict JSON that keeps its place: where each string lies in the body, so that it can be replaced there and nothing
//! else changes.
//!
//! What any reader could take in another way is an error: a byte order mark, comments, a trailing comma, `NaN`, raw
//! control characters, lone surrogates, bad UTF-8, a second value. Duplicate keys are kept, both, in order: a request
//! is refused for them ([`Value::repeated_key`]), of a reply both values are read.
//!
//! ```
//! use tower_guardrails::wire::json::{Document, Edit, JsonLimits, patch};
//!
//! let body = br#"{"say": "h\u0069", "n": 1.0}"#;
//! let document = Document::read(body, &JsonLimits::default())?;
//! let say = document.root().get("say").unwrap();
//! assert_eq!(say.as_str().unwrap(), "hi");
//! assert_eq!(patch(body, &[(say.span(), Edit::Text("ho".into()))]), br#"{"say": "ho", "n": 1.0}"#);
//! # Ok::<(), tower_guardrails::wire::json::JsonError>(())
//! ```

mod error;
mod halves;
mod patch;
mod read;
mod string;
mod value;

pub use self::{
    error::{JsonError, JsonErrorKind},
    patch::{BodyEdit, Edit, patch},
    read::JsonLimits,
    value::{Document, Elements, Kind, Member, Members, Value},
};
pub(crate) use self::{
    halves::Halves,
    string::{decode_string, push_string, scan_string, unescape_leniently},
};

#[cfg(test)]
mod tests;
