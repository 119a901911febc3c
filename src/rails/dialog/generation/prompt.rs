//! Prompts and answers of the tasks here.

use serde_json::{Map, Value};

use super::Asked;
use crate::{
    error::BoxError,
    llm::Parsed,
    message::{Message, Role},
    rails::messages,
};

impl Asked<'_> {
    /// What the model is asked for `task`.
    ///
    /// # Errors
    ///
    /// Where the task has no prompt, or its template fails.
    pub(in crate::rails::dialog) fn render(
        self,
        task: &str,
        context: &[(&str, Value)],
    ) -> Result<Vec<Message>, BoxError> {
        let lookup = |name: &str| {
            context
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.clone())
        };
        Ok(self
            .turn
            .engine
            .prompts
            .render_history(task, &lookup, self.run.events())?
            .into_messages())
    }

    /// The model's answer to `task`, read by the task's parser.
    ///
    /// # Errors
    ///
    /// Where the parser cannot read it, or gives no text.
    pub(in crate::rails::dialog) fn parse(
        self,
        task: &str,
        answer: &str,
    ) -> Result<String, BoxError> {
        match self.turn.engine.prompts.parse(task, answer)? {
            Parsed::Text(text) => Ok(text),
            Parsed::Verdict(_) => {
                Err(format!("the output parser of `{task}` gives a verdict, not a text").into())
            }
        }
    }

    /// The caller's parameters for the request that makes the answer.
    pub(in crate::rails::dialog) fn llm_params(self) -> Map<String, Value> {
        self.turn
            .options
            .as_ref()
            .and_then(|options| options.llm_params.clone())
            .unwrap_or_default()
    }

    /// The caller's own messages, the user's last one as the input rails left it.
    ///
    /// With `any`, that is the last message of the user wherever it stands; else only where it stands last.
    pub(in crate::rails::dialog) fn raw_prompt(
        self,
        user_message: Option<&Value>,
        any: bool,
    ) -> Result<Vec<Message>, BoxError> {
        let content = messages::content_of(user_message.unwrap_or(&Value::Null));
        let Some(raw) = &self.turn.raw else {
            return Ok(vec![Message::user(content)]);
        };
        let mut prompt = (**raw).clone();
        let last = if any {
            prompt
                .iter_mut()
                .rev()
                .find(|message| message.role == Role::User)
        } else {
            prompt.last_mut()
        };
        if let Some(last) = last.filter(|message| message.role == Role::User) {
            last.content = content;
        }
        // The reference sends no key for a content that says nothing.
        for message in &mut prompt {
            message.leave_out_empty_content();
        }
        let sendable = [
            Role::System,
            Role::Developer,
            Role::User,
            Role::Assistant,
            Role::Tool,
            Role::Function,
        ];
        match prompt
            .iter()
            .find(|message| !sendable.contains(&message.role))
        {
            Some(message) => Err(format!(
                "a message of the role `{}` is not for a model",
                message.role.as_str()
            )
            .into()),
            None => Ok(prompt),
        }
    }
}
