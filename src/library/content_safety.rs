//! `content safety check input $model=x`, `content safety check output $model=x`: a model trained for it names what a text violates.
//!
//! - Service: the model of the type that the parameter names.
//! - Config: a prompt `content_safety_check_input $model=x`; `rails.config.content_safety`.
//! - On block: the refusal to respond, or one in the user's language.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;

use super::{
    Bound, BuildContext, Built, Call, Check, Finding, Flow, Key, Need, Rail, RailAction, Section,
    Unusable,
    chat::{Chat, template_variable},
};
use crate::{config::FlowReference, error::Error, verdict::Place};

/// The temperature that the models are asked with: practically none.
const TEMPERATURE: f64 = 1e-20;

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "content_safety",
    about: "Asks a model trained for it whether a text is safe, and what it violates",
    flows: &[
        Flow::new("content safety check input", Place::Input, "content_safety_check_input")
            .arguments(&[("model_name", Bound::Parameter("model"))])
            .exception(
                "ContentSafetyCheckInputException",
                "Input not allowed. The input was blocked by the 'content safety check input $model='{$model}'' flow.",
            )
            .colang1(include_str!("content_safety_input.co")),
        Flow::new("content safety check output", Place::Output, "content_safety_check_output")
            .arguments(&[("model_name", Bound::Parameter("model"))])
            .exception(
                "ContentSafetyCheckOuputException",
                "Output not allowed. The output was blocked by the 'content safety check output $model='{$model}'' flow.",
            )
            .colang1(include_str!("content_safety_output.co")),
    ],
    actions: &[
        RailAction::new("content_safety_check_input"),
        RailAction::new("content_safety_check_output"),
    ],
    section: Some(Section {
        key: "content_safety",
        keys: &[Key::new(
            "reasoning.enabled",
            "bool",
            "false",
            "whether the model may reason before it answers; the prompt sees it as `reasoning_enabled`",
        )],
    }),
    needs: &[
        Need::Model("the type that `$model=` names"),
        Need::Prompt("content_safety_check_input $model=..., content_safety_check_output $model=..."),
    ],
    messages: &[],
    build,
};

/// `rails.config.content_safety`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Settings {
    reasoning: Reasoning,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reasoning {
    enabled: bool,
}

#[derive(Debug)]
struct ContentSafety {
    chat: Chat,
    settings: Settings,
    models: Vec<String>,
}

fn build(context: &BuildContext<'_>) -> Built {
    let settings = context.config.rails.section("content_safety");
    Ok(Arc::new(ContentSafety {
        chat: Chat::new(context),
        settings: settings.map_err(|fault| vec![fault])?,
        models: context
            .models
            .kinds()
            .into_iter()
            .map(str::to_owned)
            .collect(),
    }))
}

impl ContentSafety {
    async fn check(&self, call: &Call<'_>) -> Result<Finding, Error> {
        let model = match call.text("model_name") {
            Some(name) => name.into_owned(),
            None => call
                .variable_text("model")
                .ok_or_else(|| call.failed("content safety needs a model: `$model=...`"))?
                .into_owned(),
        };
        if !call.has_model(&model) {
            return Err(call.failed(format!("there is no model of the type `{model}`")));
        }
        let task = format!("{} $model={model}", call.action());
        let variables = [
            ("user_input", template_variable(call, "user_message")),
            ("bot_response", template_variable(call, "bot_message")),
            ("reasoning_enabled", json!(self.settings.reasoning.enabled)),
        ];
        let answer = self
            .chat
            .verdict(call, &task, &[&model], Some(TEMPERATURE), &variables)
            .await?;
        let violations = answer.verdict.categories().to_vec();
        Ok(Finding::block_if(!answer.verdict.is_safe()).with("policy_violations", violations))
    }
}

impl Check for ContentSafety {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move { self.check(&call).await })
    }

    fn accept(&self, flow: &Flow, line: &FlowReference) -> Result<(), Unusable> {
        let Some(model) = line.parameter("model") else {
            let message = format!("`{}` needs a model: `$model=...`", flow.name);
            return Err(Unusable::Invalid(vec![message]));
        };
        if !self.models.iter().any(|kind| kind == model) {
            let message = format!("there is no model of the type `{model}`");
            return Err(Unusable::Invalid(vec![message]));
        }
        self.chat.accept(&format!("{} $model={model}", flow.action))
    }
}
