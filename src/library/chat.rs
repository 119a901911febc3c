//! What rails share that ask a chat model for a verdict.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use serde_json::{Map, Value, json};

use super::{BuildContext, Call, Flow, Unusable, call::Question};
use crate::{
    config::FlowReference,
    error::Error,
    llm::{
        ModelReply, Verdict,
        prompt::{PromptError, Prompts, RenderedPrompt},
    },
    message::{Content, Message, Role},
};

/// How many tokens the model may answer where the prompt does not say.
const MOST_TOKENS: u64 = 1024;

/// Of a text that is longer than the prompt may be: how many characters each window repeats of the one before, how few it may have,
/// how many windows are asked about, and how many at a time.
const OVERLAP: usize = 400;
const SMALLEST_WINDOW: usize = 256;
const MOST_WINDOWS: usize = 64;
const TOGETHER: usize = 4;

/// The prompt's limit, where `error` says that it is over it.
fn too_long(error: &Error) -> Option<u64> {
    let Error::Rail { source, .. } = error else {
        return None;
    };
    match source.downcast_ref::<PromptError>()? {
        PromptError::TooLong { limit, .. } => Some(*limit),
        _ => None,
    }
}

/// Cuts `text` into windows of `size` characters, each of which begins with the last `overlap` of the one before.
fn windows(text: &str, size: usize, overlap: usize) -> Vec<&str> {
    let mut windows = Vec::new();
    let mut start = 0;
    while let Some(rest) = text.get(start..) {
        let mut places = rest.char_indices().map(|(place, _)| place);
        let next = places.nth(size.saturating_sub(overlap).max(1));
        // Behind the place of the next window, as many more as it repeats.
        let end = next.and_then(|next| {
            let mut places = rest.get(next..)?.char_indices();
            places.nth(overlap).map(|(place, _)| next + place)
        });
        windows.push(rest.get(..end.unwrap_or(rest.len())).unwrap_or_default());
        match (next, end) {
            (Some(next), Some(_)) => start += next,
            _ => break,
        }
    }
    windows
}

/// The prompts of a configuration, and how questions by them are asked.
#[derive(Debug, Clone)]
pub(super) struct Chat {
    prompts: Arc<Prompts>,
    /// The tasks that the configuration has prompts for, with their parsers.
    tasks: Vec<(String, Option<String>)>,
    /// Those whose prompt is a chat.
    chats: Vec<String>,
    lowest_temperature: Option<f64>,
}

/// What a prompt may use, by its names.
type Variables<'v> = Vec<(&'v str, Value)>;

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
        let chats = context.config.prompts.iter();
        let chats = chats.filter(|prompt| prompt.messages.is_some());
        Self {
            chats: chats.map(|prompt| prompt.task.clone()).collect(),
            prompts: Arc::clone(context.prompts),
            tasks: tasks.collect(),
            lowest_temperature: context.config.lowest_temperature,
        }
    }

    /// The temperature of rails that want none.
    pub(super) fn lowest_temperature(&self) -> Option<f64> {
        self.lowest_temperature
    }

    /// Whether the prompt for `task` is a chat, whose model is shown pictures and files.
    pub(super) fn is_chat(&self, task: &str) -> bool {
        self.chats.iter().any(|chat| chat == task)
    }

    /// Whether the configuration has a prompt for `task`.
    pub(super) fn has_prompt(&self, task: &str) -> bool {
        self.tasks.iter().any(|(known, _)| known == task)
    }

    /// That there is a prompt for `task`.
    ///
    /// # Errors
    ///
    /// Where the configuration has none.
    pub(super) fn has(&self, task: &str) -> Result<(), Unusable> {
        if self.has_prompt(task) {
            return Ok(());
        }
        let message = format!("the prompt `{task}` is missing, which this rail needs");
        Err(Unusable::Invalid(vec![message]))
    }

    /// Whether `task` can be asked about.
    ///
    /// # Errors
    ///
    /// Where the configuration has no prompt for it, or one with an unknown parser.
    pub(super) fn accept(&self, task: &str) -> Result<(), Unusable> {
        self.has(task)?;
        let prompt = self.tasks.iter().find(|(known, _)| known == task);
        match prompt.and_then(|(_, parser)| parser.as_deref()) {
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

    /// As [`verdict`](Self::verdict), for a text of any length: where the prompt with the variable `judged` is longer than its
    /// `max_length`, the text is asked about in windows that fit, each with the end of the one before it. The first that is not
    /// safe is the answer.
    ///
    /// # Errors
    ///
    /// As [`verdict`](Self::verdict); and a text of more windows than are asked about.
    pub(super) async fn verdict_of(
        &self,
        call: &Call<'_>,
        task: &str,
        kinds: &[&str],
        variables: &[(&str, Value)],
        judged: &str,
        temperature: Option<f64>,
    ) -> Result<Answer, Error> {
        let asked = self
            .verdict(call, task, kinds, temperature, variables)
            .await;
        let Err(error) = &asked else { return asked };
        let Some(windows) = self.windows_of(call, task, variables, judged, error)? else {
            return asked;
        };
        let questions: Vec<_> = windows
            .into_iter()
            .map(|variables| async move {
                self.verdict(call, task, kinds, temperature, &variables)
                    .await
            })
            .collect();
        let mut asking = stream::iter(questions).buffered(TOGETHER);
        let mut last = None;
        while let Some(answer) = asking.next().await {
            let answer = answer?;
            if !answer.verdict.is_safe() {
                return Ok(answer);
            }
            last = Some(answer);
        }
        last.map_or(asked, Ok)
    }

    /// The variables of a prompt for each window of the text `judged` that fits, where it failed with `error` since all of the text
    /// does not; none: it failed otherwise, or because of something else.
    ///
    /// # Errors
    ///
    /// Where the prompt is too long whatever the text is, and for a text of more windows than are asked about.
    pub(super) fn windows_of<'v>(
        &self,
        call: &Call<'_>,
        task: &str,
        variables: &[(&'v str, Value)],
        judged: &str,
        error: &Error,
    ) -> Result<Option<Vec<Variables<'v>>>, Error> {
        let text = variables.iter().find(|(name, _)| *name == judged);
        let (Some(limit), Some((_, Value::String(text)))) = (too_long(error), text) else {
            return Ok(None);
        };
        let with = |window: &str| -> Variables<'v> {
            let variables = variables.iter();
            let variables = variables.map(|(name, value)| match *name == judged {
                true => (*name, window.into()),
                false => (*name, value.clone()),
            });
            variables.collect()
        };
        // The rest of the prompt takes some of it.
        let mut size = usize::try_from(limit).unwrap_or(usize::MAX).min(text.len());
        loop {
            size -= size / 8;
            let first: String = text.chars().take(size).collect();
            match self.render(call, task, &with(&first)) {
                Ok(_) => break,
                Err(error) if too_long(&error).is_some() && size > SMALLEST_WINDOW => {}
                Err(error) => return Err(error),
            }
        }
        let windows = windows(text, size, OVERLAP.min(size / 4));
        if windows.len() > MOST_WINDOWS {
            return Err(call.failed(format!(
                "the text is too long: {} windows of the prompt's `max_length`, which is {limit}; at most {MOST_WINDOWS} are asked about",
                windows.len()
            )));
        }
        Ok(Some(windows.into_iter().map(with).collect()))
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
        let most_tokens = self.most_tokens(call, task)?.unwrap_or(MOST_TOKENS);
        let messages = self.render(call, task, variables)?.into_messages();
        let inquiry = Inquiry {
            task,
            shown_as: task,
            kinds,
            temperature,
            most_tokens: Some(most_tokens),
        };
        let reply = self.ask(call, inquiry, messages).await?;
        let is_truncated =
            reply.content.is_empty() && reply.finish_reason.as_deref() == Some("length");
        Ok((reply.content, is_truncated))
    }

    /// The most tokens of an answer, where the prompt of `task` says so.
    ///
    /// # Errors
    ///
    /// Where there is no such prompt.
    pub(super) fn most_tokens(&self, call: &Call<'_>, task: &str) -> Result<Option<u64>, Error> {
        let prompt = self.prompts.find(task);
        let prompt = prompt.map_err(|error| call.failed(error))?;
        Ok(prompt.max_tokens.filter(|most| *most > 0))
    }

    /// The prompt of `task`. It sees no conversation; a variable that is nothing it sees as "None", one that is not among
    /// `variables` as an empty text.
    ///
    /// # Errors
    ///
    /// Where there is no such prompt, or it cannot be rendered.
    pub(super) fn render(
        &self,
        call: &Call<'_>,
        task: &str,
        variables: &[(&str, Value)],
    ) -> Result<RenderedPrompt, Error> {
        let lookup = |name: &str| match name {
            "history" => Some(Value::Null),
            _ => {
                let given = variables.iter().find(|(known, _)| *known == name);
                given.map(|(_, value)| value.clone())
            }
        };
        let rendered = self.prompts.render(task, &lookup, &[]);
        let mut rendered = rendered.map_err(|error| call.failed(error))?;
        if let RenderedPrompt::Messages(messages) = &mut rendered {
            show_media(messages, call.media());
        }
        Ok(rendered)
    }

    /// Asks `messages`.
    ///
    /// # Errors
    ///
    /// Where there is no such prompt, or the model fails.
    pub(super) async fn ask(
        &self,
        call: &Call<'_>,
        inquiry: Inquiry<'_>,
        messages: Vec<Message>,
    ) -> Result<ModelReply, Error> {
        let prompt = self.prompts.find(inquiry.task);
        let prompt = prompt.map_err(|error| call.failed(error))?;
        let mut parameters = Map::new();
        parameters.insert("temperature".to_owned(), json!(inquiry.temperature));
        if let Some(most_tokens) = inquiry.most_tokens {
            parameters.insert("max_tokens".to_owned(), json!(most_tokens));
        }
        if let Some(stop) = &prompt.stop {
            parameters.insert("stop".to_owned(), json!(stop));
        }
        let question = Question {
            task: inquiry.shown_as,
            kinds: inquiry.kinds,
            messages,
            parameters,
        };
        let mut reply = call.ask(question).await?;
        if reply.is_unclear {
            // Nothing that it says is a verdict.
            reply.content.clear();
        }
        Ok(reply)
    }
}

/// Adds `media` to what the user says last. A prompt that shows the user's words to the system alone gets a message for them.
fn show_media(messages: &mut Vec<Message>, media: &[Value]) {
    if media.is_empty() {
        return;
    }
    let said = messages
        .iter()
        .rposition(|message| message.role == Role::User);
    let said = said.unwrap_or_else(|| {
        messages.push(Message::user(Content::None));
        messages.len() - 1
    });
    if let Some(message) = messages.get_mut(said) {
        let mut parts = match std::mem::take(&mut message.content) {
            Content::Parts(parts) => parts,
            Content::Text(text) if !text.is_empty() => vec![json!({"type": "text", "text": text})],
            _ => Vec::new(),
        };
        parts.extend(media.iter().cloned());
        message.content = Content::Parts(parts);
    }
}

/// How a question is put.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inquiry<'a> {
    /// The task whose prompt it is.
    pub(super) task: &'a str,
    /// The task that logs show.
    pub(super) shown_as: &'a str,
    /// The types of models that may answer, the best first; after them all the main one.
    pub(super) kinds: &'a [&'a str],
    /// The temperature.
    pub(super) temperature: Option<f64>,
    /// How many tokens the answer may have.
    pub(super) most_tokens: Option<u64>,
}

/// Whether a variable holds nothing to check: nothing at all, an empty text, an empty list.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// The variable `name` of the call as a template sees it.
pub(super) fn template_variable(call: &Call<'_>, name: &str) -> Value {
    call.variable(name)
        .map(std::borrow::Cow::into_owned)
        .unwrap_or_default()
}

/// The argument `name`, else the variable of that name.
pub(super) fn given(call: &Call<'_>, name: &str) -> Value {
    match call.argument(name) {
        Some(value) => value.into_owned(),
        None => template_variable(call, name),
    }
}

/// The types of models that there are.
pub(super) fn kinds(context: &BuildContext<'_>) -> Vec<String> {
    let kinds = context.models.kinds().into_iter();
    kinds.map(str::to_owned).collect()
}

/// The type of the model that a call names: its argument `model_name`, else the line's `$model`.
///
/// # Errors
///
/// Where it names none, or one that is not there.
pub(super) fn named_model(call: &Call<'_>) -> Result<String, Error> {
    let given = call.text("model_name").filter(|name| !name.is_empty());
    let model = given.or_else(|| call.variable_text("model"));
    let model = model.ok_or_else(|| call.failed("the rail needs a model: `$model=...`"))?;
    present_model(call, &model)
}

fn present_model(call: &Call<'_>, model: &str) -> Result<String, Error> {
    if call.has_model(model) {
        Ok(model.to_owned())
    } else {
        Err(call.failed(format!("there is no model of the type `{model}`")))
    }
}

/// The type of the model that the argument `model_name` names, else `default`: flows of versions before 0.24 gave none.
///
/// # Errors
///
/// Where there is no such model.
pub(super) fn model_or(call: &Call<'_>, default: &str) -> Result<String, Error> {
    if call.argument("model_name").is_some() {
        return named_model(call);
    }
    present_model(call, default)
}

/// What a message with the text `value` says: a text, or parts.
pub(super) fn content(value: &Value) -> Content {
    match value {
        Value::Null => Content::None,
        Value::Array(parts) => Content::Parts(parts.clone()),
        Value::String(text) => Content::Text(text.clone()),
        other => Content::Text(other.to_string()),
    }
}

/// The type of the model that `line` names with `$model=`.
///
/// # Errors
///
/// Where it names none, or one that is not among `models`.
pub(super) fn accepted_model<'a>(
    flow: &Flow,
    line: &'a FlowReference,
    models: &[String],
) -> Result<&'a str, Unusable> {
    let Some(model) = line.parameter("model") else {
        let message = format!("`{}` needs a model: `$model=...`", flow.name);
        return Err(Unusable::Invalid(vec![message]));
    };
    if models.iter().any(|kind| kind == model) {
        Ok(model)
    } else {
        let message = format!("there is no model of the type `{model}`");
        Err(Unusable::Invalid(vec![message]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_repeat_the_end_of_the_one_before() {
        assert_eq!(windows("abcdefgh", 4, 2), ["abcd", "cdef", "efgh"]);
        assert_eq!(windows("äbcdé", 3, 1), ["äbc", "cdé"]);
        assert_eq!(windows("abc", 4, 1), ["abc"]);
        assert_eq!(windows("", 4, 1), [""]);
        let text = "0123456789".repeat(100);
        let all = windows(&text, 64, 16);
        let mut joined = all[0].to_owned();
        for window in &all[1..] {
            assert!(joined.ends_with(&window[..16]));
            joined.push_str(&window[16..]);
        }
        assert_eq!(joined, text);
    }
}
