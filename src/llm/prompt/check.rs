//! What is odd about a configuration's prompts, before any is rendered.

use super::{Prompts, render::role};
use crate::{
    config::{PromptMessage, TaskPrompt},
    error::Fault,
};

impl Prompts {
    /// Templates that cannot be parsed, messages of unknown types, and parsers that are not known, with their places.
    ///
    /// Each fails its task when it is asked for, but not the configuration.
    pub(crate) fn warnings(&self) -> Vec<Fault> {
        let mut warnings = Vec::new();
        for prompt in &self.settings.prompts {
            self.check(prompt, &mut warnings);
        }
        warnings
    }

    fn check(&self, prompt: &TaskPrompt, warnings: &mut Vec<Fault>) {
        let task = &prompt.task;
        let template = |source: &str, key: &str| {
            let error = self.templates().check(source).err()?;
            let message = format!("the prompt of the task `{task}` cannot be rendered: {error}");
            Some(prompt.fault(key, message))
        };
        if let Some(content) = &prompt.content {
            warnings.extend(template(content, "content"));
        }
        for message in prompt.messages.iter().flatten() {
            match message {
                PromptMessage::Expanding(source) => warnings.extend(template(source, "messages")),
                PromptMessage::Typed(message) => {
                    warnings.extend(template(&message.content, "messages"));
                    if let Err(error) = role(prompt, &message.kind) {
                        warnings.push(prompt.fault("messages", error.to_string()));
                    }
                }
            }
        }
        if let Some(parser) = &prompt.output_parser
            && !self.has_parser(parser)
        {
            let message = format!(
                "the prompt of the task `{task}` names the unknown output parser `{parser}`"
            );
            warnings.push(prompt.fault("output_parser", message));
        }
    }
}
