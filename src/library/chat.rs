//! What rails share that ask a chat model for a verdict.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{BuildContext, Call, Unusable, call::Question};
use crate::{
    error::Error,
    llm::{Verdict, prompt::Prompts},
};

/// How many tokens the model may answer where the prompt does not say.
const MOST_TOKENS: u64 = 1024;

/// The prompts of a configuration, and how questions by them are asked.
#[derive(Debug, Clone)]
pub(super) struct Chat {
    prompts: Arc<Prompts>,
    /// The tasks that the configuration has prompts for, with their parsers.
    tasks: Vec<(String, Option<String>)>,
    lowest_temperature: Option<f64>,
}

/// What a model answered.
#[derive(Debug)]
pub(super) struct Answer {
    /// As the prompt's parser reads it.
    pub(super) verdict: Verdict,
    /// Whether the answer broke off before it said anything.
    pub(super) is_truncated: bool,
}

impl Chat {
    pub(super) fn new(context: &BuildContext<'_>) -> Self {
        let prompts = context.config.prompts.iter();
        let tasks = prompts.map(|prompt| (prompt.task.clone(), prompt.output_parser.clone()));
        Self {
            prompts: Arc::clone(context.prompts),
            tasks: tasks.collect(),
            lowest_temperature: context.config.lowest_temperature,
        }
    }

    /// The temperature of rails that want none.
    pub(super) fn lowest_temperature(&self) -> Option<f64> {
        self.lowest_temperature
    }

    /// Whether the configuration has a prompt for `task`.
    pub(super) fn has_prompt(&self, task: &str) -> bool {
        self.tasks.iter().any(|(known, _)| known == task)
    }

    /// Whether `task` can be asked about.
    ///
    /// # Errors
    ///
    /// Where the configuration has no prompt for it, or one with an unknown parser.
    pub(super) fn accept(&self, task: &str) -> Result<(), Unusable> {
        let Some((_, parser)) = self.tasks.iter().find(|(known, _)| known == task) else {
            let message = format!("the prompt `{task}` is missing, which this rail needs");
            return Err(Unusable::Invalid(vec![message]));
        };
        match parser {
            Some(parser) if !self.prompts.has_parser(parser) => {
                let message =
                    format!("the prompt `{task}` names the unknown output parser `{parser}`");
                Err(Unusable::Unready(vec![message]))
            }
            _ => Ok(()),
        }
    }

    /// Asks the first model of `kinds` that there is, else the main one, for `task`, and reads its answer by the prompt's parser.
    ///
    /// # Errors
    ///
    /// Where there is no such prompt, the model fails, or the parser does.
    pub(super) async fn verdict(
        &self,
        call: &Call<'_>,
        task: &str,
        kinds: &[&str],
        temperature: Option<f64>,
        variables: &[(&str, Value)],
    ) -> Result<Answer, Error> {
        let (content, is_truncated) = self.text(call, task, kinds, temperature, variables).await?;
        let verdict = self.prompts.parse_verdict(task, &content);
        Ok(Answer {
            verdict: verdict.map_err(|error| call.failed(error))?,
            is_truncated,
        })
    }

    /// As [`verdict`](Self::verdict), but gives the answer as it came, and whether it broke off before it said anything.
    ///
    /// # Errors
    ///
    /// Where there is no such prompt, or the model fails.
    pub(super) async fn text(
        &self,
        call: &Call<'_>,
        task: &str,
        kinds: &[&str],
        temperature: Option<f64>,
        variables: &[(&str, Value)],
    ) -> Result<(String, bool), Error> {
        let prompt = self
            .prompts
            .find(task)
            .map_err(|error| call.failed(error))?;
        // Such a prompt sees no conversation, and what is not there as an empty text.
        let lookup = |name: &str| match name {
            "history" => Some(Value::Null),
            _ => {
                let given = variables.iter().find(|(known, _)| *known == name);
                given
                    .map(|(_, value)| value.clone())
                    .filter(|value| !value.is_null())
            }
        };
        let rendered = self.prompts.render(task, &lookup, &[]);
        let messages = rendered
            .map_err(|error| call.failed(error))?
            .into_messages();
        let most_tokens = prompt
            .max_tokens
            .filter(|most| *most > 0)
            .unwrap_or(MOST_TOKENS);
        let mut parameters = Map::new();
        parameters.insert("temperature".to_owned(), json!(temperature));
        parameters.insert("max_tokens".to_owned(), json!(most_tokens));
        if let Some(stop) = &prompt.stop {
            parameters.insert("stop".to_owned(), json!(stop));
        }
        let question = Question {
            task,
            kinds,
            messages,
            parameters,
        };
        let reply = call.ask(question).await?;
        let is_truncated =
            reply.content.is_empty() && reply.finish_reason.as_deref() == Some("length");
        Ok((reply.content, is_truncated))
    }
}

/// The variable `name` of the call as a template sees it.
pub(super) fn template_variable(call: &Call<'_>, name: &str) -> Value {
    call.variable(name)
        .map(std::borrow::Cow::into_owned)
        .unwrap_or_default()
}
