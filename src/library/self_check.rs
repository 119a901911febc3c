//! `self check input`, `self check output`: a chat model says whether the text complies with the prompt's policy.
//!
//! - Service: the model of type `self_check_input` or `self_check_output`, else the main model.
//! - Config: a prompt `self_check_input` or `self_check_output`, by `$variant=x` one called `self_check_input $variant=x`.
//! - On block: the refusal to respond. An empty text, and an answer that is no clear verdict, block.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde_json::{Map, Value};

use super::{Ask, AskContext, CompileContext, Judge, Rail, Subject};
use crate::{
    config::Rails,
    error::{Error, Fault},
    llm::{Model, ModelRequest, prompt::Prompts},
    verdict::{Outcome, Place},
};

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    about: "Asks a model whether a text complies with a policy",
    flows: &[
        ("self check input", Place::Input),
        ("self check output", Place::Output),
    ],
    section: None,
    compile,
};

/// How many tokens the model may answer where the prompt does not say.
const MAX_TOKENS: u64 = 1024;

fn compile(context: &CompileContext<'_>) -> Result<Judge, Vec<Fault>> {
    let base = match context.place {
        Place::Output => "self_check_output",
        _ => "self_check_input",
    };
    let task = match context.flow.parameters.get("variant") {
        Some(variant) => format!("{base} $variant={variant}"),
        None => base.to_owned(),
    };
    let fault = |message: String| vec![Rails::flow_fault(context.place, context.flow, message)];
    let Some(prompt) = context
        .config
        .prompts
        .iter()
        .find(|prompt| prompt.task == task)
    else {
        return Err(fault(format!(
            "the prompt `{task}` is missing, which this rail needs"
        )));
    };
    let parser = prompt.output_parser.as_deref().unwrap_or("is_content_safe");
    if !context.prompts.has_parser(parser) {
        return Err(fault(format!(
            "the prompt `{task}` names the unknown output parser `{parser}`"
        )));
    }
    Ok(Judge::Ask(Arc::new(SelfCheck {
        max_tokens: prompt.max_tokens.unwrap_or(MAX_TOKENS),
        stop: prompt.stop.clone(),
        text_variable: if context.place == Place::Output {
            "bot_response"
        } else {
            "user_input"
        },
        model: context.models.for_task(base),
        prompts: Arc::clone(context.prompts),
        temperature: context.config.lowest_temperature,
        task,
    })))
}

#[derive(Debug)]
struct SelfCheck {
    task: String,
    /// The template's name of the text that is judged.
    text_variable: &'static str,
    /// None: the main model of the call.
    model: Option<Arc<dyn Model>>,
    prompts: Arc<Prompts>,
    temperature: f64,
    max_tokens: u64,
    stop: Option<Vec<String>>,
}

impl Ask for SelfCheck {
    fn ask<'a>(
        &'a self,
        subject: Subject<'a>,
        context: &'a AskContext,
    ) -> BoxFuture<'a, Result<Outcome, Error>> {
        Box::pin(async move {
            if subject.text.is_empty() {
                return Ok(Outcome::block("there is no text to judge"));
            }
            let failed = |source: crate::error::BoxError| Error::Rail {
                rail: self.task.clone(),
                source,
            };
            let Some(model) = self.model.as_ref().or(context.main.as_ref()) else {
                return Err(failed("there is no model to ask".into()));
            };
            let variables = |name: &str| match name {
                name if name == self.text_variable => Some(Value::from(subject.text)),
                "user_input" => Some(Value::from(subject.user_message)),
                _ => None,
            };
            let rendered = self
                .prompts
                .render(&self.task, &variables, &[])
                .map_err(|error| failed(error.into()))?;
            let mut request = ModelRequest::new(rendered.into_messages());
            request.parameters = self.parameters();
            let reply = model.complete(request).await?;
            // A model that was cut off may not have come to its verdict.
            let verdict = self
                .prompts
                .parse_verdict(&self.task, &reply.content)
                .map_err(|error| failed(error.into()))?;
            if verdict.is_safe() {
                Ok(Outcome::Allow)
            } else {
                Ok(Outcome::block(
                    "the model says that the text violates the policy",
                ))
            }
        })
    }

    fn fingerprint(&self) -> String {
        let prompt = self
            .prompts
            .find(&self.task)
            .map(|prompt| format!("{prompt:?}"))
            .unwrap_or_default();
        format!("{}\0{prompt}\0{:?}", self.task, self.model)
    }
}

impl SelfCheck {
    fn parameters(&self) -> Map<String, Value> {
        let mut parameters = Map::new();
        parameters.insert("temperature".to_owned(), self.temperature.into());
        parameters.insert("max_tokens".to_owned(), self.max_tokens.into());
        if let Some(stop) = &self.stop {
            parameters.insert("stop".to_owned(), stop.clone().into());
        }
        parameters
    }
}
