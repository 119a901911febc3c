//! What the code of an action may ask while it runs: models, prompts, the knowledge base.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::call::{Answers, Unanswered};
use crate::{
    actions::ActionContext,
    llm::{
        Model, ModelRequest, Parsed, Verdict, ask,
        prompt::{Prompts, RenderedPrompt},
    },
    message::Message,
};

/// Answers by the context of an action.
pub(super) struct Host<'a> {
    context: &'a ActionContext,
}

#[derive(Deserialize)]
struct Complete {
    kind: String,
    messages: Vec<Message>,
    parameters: Map<String, Value>,
}

#[derive(Deserialize)]
struct Render {
    task: String,
    context: Map<String, Value>,
    events: Vec<Value>,
    as_message: bool,
}

#[derive(Deserialize)]
struct Parse {
    task: String,
    output: String,
    parser: Option<String>,
}

#[derive(Deserialize)]
struct Task {
    task: String,
}

#[derive(Deserialize)]
struct Search {
    text: String,
    max_results: usize,
}

fn read<T: serde::de::DeserializeOwned>(question: Map<String, Value>) -> Result<T, Unanswered> {
    serde_json::from_value(Value::Object(question)).map_err(other)
}

fn other(error: impl std::fmt::Display) -> Unanswered {
    Unanswered::Other(error.to_string())
}

/// With all its causes: the code that asked shows it in its own log.
fn whole(error: &dyn std::error::Error) -> Unanswered {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        cause = error.source();
    }
    Unanswered::Other(message)
}

impl<'a> Host<'a> {
    pub(super) fn new(context: &'a ActionContext) -> Self {
        Self { context }
    }

    fn prompts(&self) -> Result<&Arc<Prompts>, Unanswered> {
        let services = self.context.services.as_ref();
        services
            .map(|services| &services.prompts)
            .ok_or_else(|| other("there are no prompts here"))
    }

    fn model(&self, kind: &str) -> Result<Arc<dyn Model>, Unanswered> {
        let model = match kind {
            "" => self.context.llm.clone(),
            kind => self.context.model(kind),
        };
        model.ok_or_else(|| match kind {
            "" | "main" => other("the configuration has no main model, and none was registered"),
            kind => other(format!("there is no model of the type `{kind}`")),
        })
    }

    async fn complete(&self, question: Complete) -> Result<Value, Unanswered> {
        let model = self.model(&question.kind)?;
        let mut request = ModelRequest::new(question.messages);
        request.parameters = question.parameters;
        let reply = ask(&*model, request).await.map_err(Unanswered::Model)?;
        let usage = reply.usage.map(|usage| {
            json!({
                "input_tokens": usage.prompt_tokens,
                "output_tokens": usage.completion_tokens,
                "total_tokens": usage.total_tokens,
            })
        });
        Ok(json!({
            "content": reply.content,
            "reasoning": reply.reasoning,
            "tool_calls": reply.tool_calls,
            "finish_reason": reply.finish_reason,
            "model": model.name(),
            "usage": usage,
        }))
    }

    fn render(&self, question: Render) -> Result<Value, Unanswered> {
        let variables = |name: &str| question.context.get(name).cloned();
        let rendered = self
            .prompts()?
            .render(&question.task, &variables, &question.events);
        let typed =
            |message: &Message| json!({"type": message.role.as_str(), "content": message.content});
        Ok(match rendered.map_err(|error| whole(&error))? {
            RenderedPrompt::Text(text) if !question.as_message => text.into(),
            rendered => rendered.into_messages().iter().map(typed).collect(),
        })
    }

    fn parse(&self, question: &Parse) -> Result<Value, Unanswered> {
        let prompts = self.prompts()?;
        let parsed = match &question.parser {
            Some(parser) => prompts.parse_by(parser, &question.output),
            None => prompts.parse(&question.task, &question.output),
        };
        Ok(match parsed.map_err(|error| whole(&error))? {
            Parsed::Text(text) => text.into(),
            Parsed::Verdict(verdict) => verdict_value(verdict)?,
        })
    }

    fn task(&self, question: &Task) -> Result<Value, Unanswered> {
        let prompt = self.prompts()?.find(&question.task);
        let prompt = prompt.map_err(|error| whole(&error))?;
        Ok(json!({
            "stop": prompt.stop,
            "max_tokens": prompt.max_tokens,
            "output_parser": prompt.output_parser,
        }))
    }

    async fn search(&self, question: Search) -> Result<Value, Unanswered> {
        let services = self.context.services.as_ref();
        let search = services.and_then(|services| services.search.as_ref());
        let search = search.ok_or_else(|| other("there is no knowledge base"))?;
        let chunks = search(question.text, question.max_results).await;
        Ok(chunks.map_err(|error| whole(&*error))?.into())
    }
}

/// A verdict as the reference's parsers give it.
fn verdict_value(verdict: Verdict) -> Result<Value, Unanswered> {
    match verdict {
        Verdict::Safe => Ok(json!([true])),
        Verdict::Unsafe { categories } => {
            let categories = categories.into_iter().map(Value::String);
            Ok(std::iter::once(Value::Bool(false))
                .chain(categories)
                .collect())
        }
        Verdict::Unclear => Err(other(
            "the model's answer says neither that it is safe nor that it is not",
        )),
    }
}

impl Answers for Host<'_> {
    fn answer(&self, question: Map<String, Value>) -> BoxFuture<'_, Result<Value, Unanswered>> {
        Box::pin(async move {
            match question.get("do").and_then(Value::as_str) {
                Some("complete") => self.complete(read(question)?).await,
                Some("render") => self.render(read(question)?),
                Some("parse") => self.parse(&read(question)?),
                Some("task") => self.task(&read(question)?),
                Some("search") => self.search(read(question)?).await,
                _ => Err(other("this cannot be asked")),
            }
        })
    }
}
