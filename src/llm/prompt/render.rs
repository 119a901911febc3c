//! From a task to what its model is asked.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::{PromptError, defaults, select};
use crate::{
    config::{ModelConfig, PromptMessage, TaskPrompt},
    llm::{
        parse_output::{OutputParsers, ParseError, Parsed, Verdict},
        template::{TemplateError, Templates, Variables, parse_literal},
    },
    message::{Content, Message, Role},
};

/// How many events a prompt is first tried with.
const FIRST_EVENTS: usize = 64;

/// What of a configuration prompts need.
#[derive(Debug, Clone, Default)]
pub(crate) struct PromptSettings {
    /// The configuration's own prompts, in its order.
    pub(crate) prompts: Vec<TaskPrompt>,
    /// Its models.
    pub(crate) models: Vec<ModelConfig>,
    /// `prompting_mode`; `standard` where there is none.
    pub(crate) prompting_mode: Option<String>,
    /// The first instruction of type `general`.
    pub(crate) general_instructions: String,
    /// `sample_conversation`.
    pub(crate) sample_conversation: Option<String>,
}

/// The prompts of all tasks, with the templates' filters and the answers' parsers.
#[derive(Debug, Clone)]
pub(crate) struct Prompts {
    settings: PromptSettings,
    templates: Templates,
    parsers: OutputParsers,
}

/// What a model is asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RenderedPrompt {
    /// One text.
    Text(String),
    /// Several messages.
    Messages(Vec<Message>),
}

impl RenderedPrompt {
    /// The messages to send; a text is one message of the user.
    pub(crate) fn into_messages(self) -> Vec<Message> {
        match self {
            Self::Text(text) => vec![Message::user(text)],
            Self::Messages(messages) => messages,
        }
    }
}

impl Prompts {
    /// The prompts of `settings` over the default ones.
    pub(crate) fn new(
        settings: PromptSettings,
        templates: Templates,
        parsers: OutputParsers,
    ) -> Self {
        Self {
            settings,
            templates,
            parsers,
        }
    }

    /// The templates' environment.
    pub(crate) fn templates(&self) -> &Templates {
        &self.templates
    }

    /// Whether there is a parser of this name.
    pub(crate) fn has_parser(&self, name: &str) -> bool {
        self.parsers.contains(name)
    }

    /// The prompt of `task`.
    ///
    /// # Errors
    ///
    /// [`PromptError::Missing`] where there is none.
    pub(crate) fn find(&self, task: &str) -> Result<&TaskPrompt, PromptError> {
        let model = select::model_name(select::model_for_task(&self.settings.models, task));
        let mode = self.settings.prompting_mode.as_deref();
        let mode = mode.filter(|mode| !mode.is_empty()).unwrap_or("standard");
        let all = defaults::prompts().iter().chain(&self.settings.prompts);
        select::best(all, task, &model, mode).ok_or_else(|| PromptError::Missing {
            task: task.to_owned(),
            model,
        })
    }

    /// What the model of `task` is asked. Where that is longer than the prompt's `max_length` in characters,
    /// events are left out from the front of `events` until it fits.
    ///
    /// # Errors
    ///
    /// Any [`PromptError`].
    pub(crate) fn render(
        &self,
        task: &str,
        variables: Variables<'_>,
        events: &[Value],
    ) -> Result<RenderedPrompt, PromptError> {
        let prompt = self.find(task)?;
        let last = |kept: usize| {
            let events = events.get(events.len() - kept..).unwrap_or_default();
            let rendered = self.render_once(prompt, variables, events)?;
            let fits = prompt
                .max_length
                .is_none_or(|limit| length(&rendered) <= limit);
            Ok::<_, PromptError>(fits.then_some(rendered))
        };
        // What of a long history fits is sought from its end, so that the cost depends on the limit rather than on
        // the history: twice as many events each time, as long as they fit.
        let mut fitting = None;
        let mut kept = events.len().min(FIRST_EVENTS);
        let mut too_many = loop {
            match last(kept) {
                Ok(None) => break kept,
                Ok(Some(rendered)) if kept == events.len() => return Ok(rendered),
                Ok(Some(rendered)) => fitting = Some((kept, rendered)),
                Err(error) if kept == events.len() => return Err(error),
                // A template may need the events that are still left out.
                Err(_) => {}
            }
            kept = kept.saturating_mul(2).min(events.len());
        };
        // Then between what fits and what does not.
        let too_long = || PromptError::TooLong {
            task: prompt.task.clone(),
            limit: prompt.max_length.unwrap_or_default(),
        };
        let (mut most, mut rendered) = match fitting {
            Some(fitting) => fitting,
            None => (0, last(0)?.filter(|_| too_many > 0).ok_or_else(too_long)?),
        };
        while too_many - most > 1 {
            let middle = most + (too_many - most) / 2;
            match last(middle)? {
                Some(fitting) => (most, rendered) = (middle, fitting),
                None => too_many = middle,
            }
        }
        Ok(rendered)
    }

    /// What the parser of the prompt of `task` makes of `answer`: the text itself where it names none, or none that is
    /// known. A verdict is not read so: see [`parse_verdict`](Self::parse_verdict).
    ///
    /// # Errors
    ///
    /// The parser's error.
    pub(crate) fn parse(&self, task: &str, answer: &str) -> Result<Parsed, ParseError> {
        match self
            .find(task)
            .ok()
            .and_then(|prompt| prompt.output_parser.as_deref())
        {
            Some(name) if self.has_parser(name) => self.parsers.parse(name, answer),
            _ => Ok(Parsed::Text(answer.to_owned())),
        }
    }

    /// The verdict in `answer`, read by the parser that the prompt of `task` names, else by `is_content_safe`.
    ///
    /// # Errors
    ///
    /// The parser's error: an answer that cannot be read, or no such parser. Neither is safe.
    pub(crate) fn parse_verdict(&self, task: &str, answer: &str) -> Result<Verdict, ParseError> {
        let prompt = self.find(task).ok();
        let parser = prompt.and_then(|prompt| prompt.output_parser.as_deref());
        self.parsers
            .parse_verdict(parser.unwrap_or("is_content_safe"), answer)
    }

    fn render_once(
        &self,
        prompt: &TaskPrompt,
        variables: Variables<'_>,
        events: &[Value],
    ) -> Result<RenderedPrompt, PromptError> {
        if let Some(content) = prompt
            .content
            .as_deref()
            .filter(|content| !content.is_empty())
        {
            return Ok(RenderedPrompt::Text(
                self.render_text(prompt, content, variables, events)?,
            ));
        }
        let mut messages = Vec::new();
        for template in prompt.messages.iter().flatten() {
            match template {
                PromptMessage::Expanding(source) => {
                    let text = self.render_text(prompt, source, variables, events)?;
                    messages.extend(expand(prompt, &text)?);
                }
                PromptMessage::Typed(template) => {
                    let content = self.content(prompt, &template.content, variables, events)?;
                    let says_nothing = match &content {
                        Content::Text(text) => text.trim().is_empty(),
                        Content::Parts(parts) => parts.is_empty(),
                        Content::None | Content::Data(_) => true,
                    };
                    if !says_nothing {
                        messages.push(Message::new(role(prompt, &template.kind)?, content));
                    }
                }
            }
        }
        Ok(RenderedPrompt::Messages(messages))
    }

    fn render_text(
        &self,
        prompt: &TaskPrompt,
        source: &str,
        variables: Variables<'_>,
        events: &[Value],
    ) -> Result<String, PromptError> {
        let conversation = || Some(self.settings.sample_conversation.clone().into());
        let lookup = |name: &str| {
            variables(name).or_else(|| match name {
                "history" => Some(Value::Array(events.to_vec())),
                "general_instructions" => Some(self.settings.general_instructions.clone().into()),
                "sample_conversation" | "sample_conversation_two_turns" => conversation(),
                _ => None,
            })
        };
        self.templates
            .render(source, &lookup)
            .map_err(|source| PromptError::Template {
                task: prompt.task.clone(),
                source,
            })
    }

    /// The content of a message: the list itself where the template is a single variable that holds one.
    fn content(
        &self,
        prompt: &TaskPrompt,
        source: &str,
        variables: Variables<'_>,
        events: &[Value],
    ) -> Result<Content, PromptError> {
        let single = SINGLE_VARIABLE
            .captures(source.trim())
            .and_then(|found| found.get(1));
        if let Some(name) = single.map(|name| name.as_str()) {
            let registered = self.templates.list_context(name);
            let given = || match variables(name) {
                Some(Value::Array(items)) => Some(items),
                _ => None,
            };
            if let Some(parts) = registered.or_else(given) {
                return Ok(Content::Parts(parts));
            }
        }
        Ok(Content::Text(
            self.render_text(prompt, source, variables, events)?,
        ))
    }
}

/// The messages that a rendered text lists as a Python literal.
fn expand(prompt: &TaskPrompt, text: &str) -> Result<Vec<Message>, PromptError> {
    let error = || PromptError::Template {
        task: prompt.task.clone(),
        source: TemplateError::NoMessages(
            "it is no Python list of dicts with `type` and `content`".into(),
        ),
    };
    let Some(Value::Array(items)) = parse_literal(text) else {
        return Err(error());
    };
    let messages = items.into_iter().map(|item| {
        let Value::Object(mut item) = item else {
            return Err(error());
        };
        let named = |key| {
            item.get(key)
                .and_then(Value::as_str)
                .filter(|kind| !kind.is_empty())
        };
        let kind = named("role").or_else(|| named("type")).ok_or_else(error)?;
        let role = role(prompt, kind)?;
        let content = match item.remove("content") {
            Some(Value::String(text)) => Content::Text(text),
            Some(Value::Array(parts)) => Content::Parts(parts),
            Some(Value::Null) | None => Content::None,
            Some(_) => return Err(error()),
        };
        Ok(Message::new(role, content))
    });
    messages.collect()
}

/// `{{ name }}` and nothing else.
static SINGLE_VARIABLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\{\{\s*(\w+)\s*\}\}$").expect("a constant pattern that the tests compile")
});

/// The role of a message's type.
fn role(prompt: &TaskPrompt, kind: &str) -> Result<Role, PromptError> {
    match kind {
        "user" | "human" => Ok(Role::User),
        "assistant" | "bot" => Ok(Role::Assistant),
        "system" | "developer" => Ok(Role::System),
        "tool" => Ok(Role::Tool),
        _ => Err(PromptError::MessageType {
            task: prompt.task.clone(),
            kind: kind.to_owned(),
        }),
    }
}

/// The characters of a prompt, plus one for each message; an image counts as a short word.
fn length(rendered: &RenderedPrompt) -> u64 {
    const IMAGE: &str = "[IMAGE_CONTENT]";
    let length = match rendered {
        RenderedPrompt::Text(text) => text.chars().count(),
        RenderedPrompt::Messages(messages) => {
            let lengths = messages.iter().map(|message| match &message.content {
                Content::Text(text) => INLINE_IMAGE.replace_all(text, IMAGE).chars().count() + 1,
                Content::Parts(parts) => parts
                    .iter()
                    .map(|part| match part.get("type").and_then(Value::as_str) {
                        Some("text") => {
                            let text = part.get("text").and_then(Value::as_str);
                            text.unwrap_or_default().chars().count() + 1
                        }
                        Some("image_url") => IMAGE.len() + 1,
                        _ => 0,
                    })
                    .sum(),
                Content::None | Content::Data(_) => 0,
            });
            lengths.sum()
        }
    };
    length as u64
}

static INLINE_IMAGE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"data:image/[^;]+;base64,[A-Za-z0-9+/=]+")
        .expect("a constant pattern that the tests compile")
});
