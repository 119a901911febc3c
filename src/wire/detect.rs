//! What a path is for: the guard must take a path as the most lenient server behind it would.

use std::sync::Arc;

use super::{
    Claim, NormalPath, WireFormat,
    endpoints::{Known, known},
};

/// What a path is for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Endpoint {
    /// Chat in a format that is read.
    Chat(Arc<dyn WireFormat>),
    /// A reply that was given earlier, in a format that is read.
    Stored(Arc<dyn WireFormat>),
    /// It makes a model run on text that is not read.
    Unread {
        /// What it is, for people.
        name: &'static str,
    },
    /// The same, if the body has a text for a model: other services have such paths, too. [`shape_of`](super::shape_of) tells.
    UnreadText {
        /// What it is, for people.
        name: &'static str,
    },
    /// A provider's endpoint that runs no chat: models, embeddings. A body that is sent there may be chat all the same.
    Plain,
    /// The same, of pictures and films that are made by a `prompt`.
    Pictures,
    /// The same, where files are uploaded, some with requests for a model in them.
    Uploads,
    /// Anything else. Whether it is chat shows in the body: [`shape_of`](super::shape_of).
    Unknown,
}

/// What `path` is for, where `formats` are read.
pub fn classify(path: &NormalPath<'_>, formats: &[Arc<dyn WireFormat>]) -> Endpoint {
    for format in formats {
        match format.claims(path) {
            Claim::Chat => return Endpoint::Chat(Arc::clone(format)),
            Claim::Stored => return Endpoint::Stored(Arc::clone(format)),
            Claim::No => {}
        }
    }
    match known(path) {
        Some(Known::Unread(name)) => Endpoint::Unread { name },
        Some(Known::UnreadText(name)) => Endpoint::UnreadText { name },
        Some(Known::Plain) => Endpoint::Plain,
        Some(Known::Pictures) => Endpoint::Pictures,
        Some(Known::Uploads) => Endpoint::Uploads,
        None => Endpoint::Unknown,
    }
}
