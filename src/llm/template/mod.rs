//! Templates of prompts and bot messages: Jinja2's language, with Python's output.

mod environment;
mod filters;
mod history;
mod history_v2;
mod literal;
mod methods;
mod outcome;
mod python;
mod shared;
mod syntax;
#[cfg(test)]
mod tests;

pub(crate) use environment::{Templates, Variables};
pub(crate) use history::{SharedEvent, colang as colang_history, is_told};
pub(crate) use literal::parse_literal;

/// Why a template gave no text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// It cannot be parsed, or fails while it is rendered.
    #[error("the template fails: {0}")]
    Render(#[from] minijinja::Error),
    /// What it rendered is not the list of messages that it should be.
    #[error("the template does not give a list of messages: {0}")]
    NoMessages(String),
}
