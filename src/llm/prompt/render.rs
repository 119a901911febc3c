//! From a task to what its model is asked.

use std::sync::{Arc, LazyLock};

use regex::Regex;
use serde_json::Value;

use super::{PromptError, cut, defaults, select};
use crate::{
    config::{ModelConfig, PromptMessage, TaskPrompt},
    llm::{
        parse_output::{OutputParsers, ParseError, Parsed, Verdict},
        template::{SharedEvent, TemplateError, Templates, Variables, parse_literal},
    },
    message::{Content, Message, Role},
};

/// Which events of a history are counted and given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All of them.
    All,
    /// Those that [`is_told`](crate::llm::is_told).
    Told,
}

/// The events of a conversation, read from the end.
pub(crate) trait History {
    /// How many there are.
    fn count(&self, scope: Scope) -> usize;

    /// The last `count`, oldest first.
    fn last(&self, scope: Scope, count: usize) -> Vec<SharedEvent>;
}

/// A list has all that a template asks for.
impl History for Vec<SharedEvent> {
    fn count(&self, _: Scope) -> usize {
        self.len()
    }

    fn last(&self, _: Scope, count: usize) -> Vec<SharedEvent> {
        self.iter().rev().take(count).rev().cloned().collect()
    }
}

/// What of a configuration prompts need.
#[derive(Debug, Clone, Default)]
pub(crate) struct PromptSettings {
    /// Prompts for every configuration, over the default ones.
    pub(crate) shared: Vec<TaskPrompt>,
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
    pub(super) settings: PromptSettings,
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
        let settings = &self.settings;
        let shared = defaults::prompts().iter().chain(&settings.shared);
        let all = shared.chain(&settings.prompts);
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
        let events = events.iter().filter_map(Value::as_object);
        let events: Vec<SharedEvent> = events.cloned().map(Arc::new).collect();
        self.render_history(task, variables, &events)
    }

    /// As [`render`](Self::render), for a history that is read from its end, as far as it is needed.
    ///
    /// # Errors
    ///
    /// Any [`PromptError`].
    pub(crate) fn render_history(
        &self,
        task: &str,
        variables: Variables<'_>,
        history: &dyn History,
    ) -> Result<RenderedPrompt, PromptError> {
        let prompt = self.find(task)?;
        let scope = match self.only_tells(prompt) {
            true => Scope::Told,
            false => Scope::All,
        };
        // That many of the last events.
        let last = |kept: usize| {
            let events = history.last(scope, kept);
            let rendered = self.render_once(prompt, variables, &events)?;
            let length = match prompt.max_length {
                Some(_) => length(&rendered),
                None => 0,
            };
            Ok::<_, PromptError>((length, rendered))
        };
        let limit = prompt.max_length.unwrap_or(u64::MAX);
        cut::longest_that_fits(history.count(scope), limit, last, || PromptError::TooLong {
            task: prompt.task.clone(),
            limit,
        })
    }

    /// Whether all that `prompt` shows of a history is what was said and done.
    fn only_tells(&self, prompt: &TaskPrompt) -> bool {
        let messages = prompt.messages.iter().flatten();
        let messages = messages.map(|message| match message {
            PromptMessage::Expanding(source) => source.as_str(),
            PromptMessage::Typed(template) => template.content.as_str(),
        });
        let mut sources = prompt.content.as_deref().into_iter().chain(messages);
        sources.all(|source| self.templates.only_tells(source))
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

    /// What the parser `name` makes of `answer`: the text itself where there is no such parser.
    ///
    /// # Errors
    ///
    /// The parser's error.
    pub(crate) fn parse_by(&self, name: &str, answer: &str) -> Result<Parsed, ParseError> {
        match self.has_parser(name) {
            true => self.parsers.parse(name, answer),
            false => Ok(Parsed::Text(answer.to_owned())),
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
        events: &[SharedEvent],
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
        events: &[SharedEvent],
    ) -> Result<String, PromptError> {
        let conversation = || Some(self.settings.sample_conversation.clone().into());
        let lookup = |name: &str| {
            variables(name).or_else(|| match name {
                "general_instructions" => Some(self.settings.general_instructions.clone().into()),
                "sample_conversation" | "sample_conversation_two_turns" => conversation(),
                _ => None,
            })
        };
        self.templates
            .render_with(source, &lookup, Some(events))
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
        events: &[SharedEvent],
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
pub(super) fn role(prompt: &TaskPrompt, kind: &str) -> Result<Role, PromptError> {
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
