//! Prompts: which one a task has, and what it renders to.

mod check;
mod cut;
mod defaults;
mod render;
mod select;
#[cfg(test)]
mod tests;

pub(crate) use render::{History, PromptSettings, Prompts, RenderedPrompt, Scope};

use super::template::TemplateError;

/// Why a task has no prompt, or its prompt cannot be rendered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PromptError {
    /// The task has no prompt.
    #[error("there is no prompt for the task `{task}` and the model `{model}`")]
    Missing {
        /// The task.
        task: String,
        /// The model as `engine/model`.
        model: String,
    },
    /// The template fails.
    #[error("the prompt of the task `{task}` cannot be rendered")]
    Template {
        /// The task.
        task: String,
        /// Why.
        #[source]
        source: TemplateError,
    },
    /// Without any history left, the prompt is still too long.
    #[error(
        "the prompt of the task `{task}` is longer than {limit} characters, even without history"
    )]
    TooLong {
        /// The task.
        task: String,
        /// `max_length` of the prompt.
        limit: u64,
    },
    /// A message of the prompt has a type that is none.
    #[error("the prompt of the task `{task}` has a message of the unknown type `{kind}`")]
    MessageType {
        /// The task.
        task: String,
        /// The type.
        kind: String,
    },
}
