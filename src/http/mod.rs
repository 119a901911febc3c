//! The one outgoing HTTP client: models, embeddings and the services of rails are called through it.
//!
//! [`Client`] posts JSON with time-outs and [`retry::Policy`], limits what it reads, and keeps keys out of errors
//! and logs: a key is a [`Secret`], and a URL is shown without its query and its user info. Everything is
//! cancelled by dropping the future.

mod client;
mod endpoint;
mod error;
mod request;
mod response;
mod retry;
mod secret;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod tls;

pub(crate) use client::{Client, Limits};
pub(crate) use endpoint::{Endpoint, Environment, Hole, Known};
pub(crate) use error::HttpError;
pub(crate) use request::Request;
pub(crate) use response::{Response, Streaming};
pub(crate) use retry::parse_retry_after;
pub(crate) use secret::{Secret, redact};
pub(crate) use tls::Tls;
