//! `pangea ai guard input`, `pangea ai guard output`: Pangea's AI Guard judges a text with what stands before it, and may change it.
//!
//! - Service: Pangea's AI Guard, its text endpoint.
//! - Config: `rails.config.pangea`.
//! - Environment: `PANGEA_API_TOKEN`, `PANGEA_BASE_URL_TEMPLATE`.
//! - On block: "I don't know the answer to that.". A service that fails, blocks.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answers, Bound, BuildContext, Built, Call, Check, Finding, Flow, INFORM_ANSWER_UNKNOWN, Key,
    Need, Rail, RailAction, Section, Unusable,
    service::{Service, key},
};
use crate::{config::FlowReference, error::Error, http::Secret, verdict::Place};

const ACTION: &str = "pangea_ai_guard";
const TOKEN: &str = "PANGEA_API_TOKEN";
const TEMPLATE: &str = "PANGEA_BASE_URL_TEMPLATE";

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "pangea",
    about: "Blocks or changes texts as Pangea's AI Guard says",
    flows: &[
        Flow::new("pangea ai guard input", Place::Input, ACTION)
            .arguments(&[("mode", Bound::Literal("input"))])
            .rewrites()
            .says(INFORM_ANSWER_UNKNOWN)
            .exception(
                "PangeaAiGuardRailException",
                "Response not allowed. The response was blocked by the 'pangea ai guard input' flow.",
            ),
        Flow::new("pangea ai guard output", Place::Output, ACTION)
            .arguments(&[("mode", Bound::Literal("output"))])
            .rewrites()
            .says(INFORM_ANSWER_UNKNOWN)
            .exception(
                "PangeaAiGuardRailException",
                "Response not allowed. The response was blocked by the 'pangea ai guard output' flow.",
            ),
    ],
    actions: &[RailAction::system(ACTION).answers(Answers::Metadata)],
    section: Some(Section {
        key: "pangea",
        keys: &[
            Key::new(
                "input.recipe",
                "text",
                "",
                "the recipe for what comes in; none: the service's own",
            ),
            Key::new("output.recipe", "text", "", "the same for what goes out"),
        ],
    }),
    needs: &[
        Need::Service("Pangea's AI Guard", "POST `/v1/text/guard`"),
        Need::Environment(TOKEN, "the key"),
        Need::Environment(
            TEMPLATE,
            "the service's URL, in which `{SERVICE_NAME}` stands for `ai-guard`",
        ),
    ],
    messages: &[],
    build,
};

/// `rails.config.pangea`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Settings {
    input: Option<Options>,
    output: Option<Options>,
}

#[derive(Debug, Deserialize)]
struct Options {
    recipe: String,
}

#[derive(Debug)]
struct Pangea {
    settings: Settings,
    instructions: Vec<String>,
    service: Service,
    url: String,
    token: Option<Secret>,
}

fn build(context: &BuildContext<'_>) -> Built {
    let settings = context.config.rails.section("pangea");
    let template = (context.environment)(TEMPLATE);
    let template = template.as_deref();
    let base = template
        .unwrap_or("https://{SERVICE_NAME}.aws.us.pangea.cloud")
        .replace("{SERVICE_NAME}", "ai-guard");
    let instructions = context.config.instructions.iter();
    Ok(Arc::new(Pangea {
        settings: settings.map_err(|fault| vec![fault])?,
        instructions: instructions
            .map(|instruction| instruction.content.clone())
            .collect(),
        service: Service::new(context),
        url: format!("{}/v1/text/guard", base.trim_end_matches('/')),
        token: key(context, TOKEN),
    }))
}

impl Pangea {
    async fn check(&self, call: &Call<'_>) -> Result<Finding, Error> {
        let token = self.token.as_ref();
        let token = token.ok_or_else(|| call.failed(no_token()))?;
        let mode = call.required("mode")?;
        let (options, role, target) = match &*mode {
            "input" => (&self.settings.input, "user", "user_message"),
            "output" => (&self.settings.output, "assistant", "bot_message"),
            _ => {
                let message = format!("`mode` is `{mode}`, not `input` or `output`");
                return Err(call.failed(message));
            }
        };
        let text = |name: &str| {
            let given = call.text(name).or_else(|| call.variable_text(name));
            given.filter(|text| !text.is_empty())
        };
        let (user_message, bot_message) = (text("user_message"), text("bot_message"));
        if user_message.is_none() && bot_message.is_none() {
            return Err(call.failed("there is no text to guard"));
        }
        let mut messages: Vec<Value> = self
            .instructions
            .iter()
            .map(|content| json!({"role": "system", "content": content}))
            .collect();
        if let Some(text) = &user_message {
            messages.push(json!({"role": "user", "content": text}));
        }
        if let (Some(text), "output") = (&bot_message, &*mode) {
            messages.push(json!({"role": "assistant", "content": text}));
        }
        let mut body = json!({"messages": messages});
        if let Some(options) = options {
            body["recipe"] = json!(options.recipe);
        }
        let answer = self.service.post_as(&self.url, Some(token), &body).await;
        let answer = answer.map_err(|error| call.failed(error))?;
        let verdict =
            Verdict::read(&answer).ok_or_else(|| call.failed("Pangea's answer is no verdict"))?;
        let said = |role: &str| {
            let message = verdict.messages.iter().find(|(by, _)| *by == role);
            message.map(|(_, content)| *content)
        };
        let finding = if verdict.blocked {
            Finding::block()
        } else if verdict.transformed {
            let text = said(role);
            let text =
                text.ok_or_else(|| call.failed("Pangea changed the text, but gives no new one"))?;
            Finding::rewrite(target, text)
        } else {
            Finding::allow()
        };
        let messages = answer.pointer("/result/prompt_messages");
        Ok(finding
            .with("blocked", verdict.blocked)
            .with("transformed", verdict.transformed)
            .with("prompt_messages", messages.cloned())
            .with("user_message", said("user").or(user_message.as_deref()))
            .with("bot_message", said("assistant").or(bot_message.as_deref())))
    }
}

/// What the service decided.
struct Verdict<'a> {
    blocked: bool,
    transformed: bool,
    /// Who says what, as it is to be.
    messages: Vec<(&'a str, &'a str)>,
}

impl<'a> Verdict<'a> {
    /// The verdict of `answer`; none where it says neither whether the text is blocked nor whether it is changed.
    fn read(answer: &'a Value) -> Option<Self> {
        let result = answer.get("result")?;
        let flag = |name: &str| match result.get(name) {
            None | Some(Value::Null) => Some(None),
            Some(Value::Bool(is_set)) => Some(Some(*is_set)),
            Some(_) => None,
        };
        let (blocked, transformed) = (flag("blocked")?, flag("transformed")?);
        if blocked.is_none() && transformed.is_none() {
            return None;
        }
        let messages = match result.get("prompt_messages") {
            None | Some(Value::Null) => Vec::new(),
            Some(messages) => {
                let messages = messages.as_array()?.iter();
                let said = messages.map(|message| {
                    let field = |name: &str| message.get(name)?.as_str();
                    field("role").zip(field("content"))
                });
                said.collect::<Option<_>>()?
            }
        };
        Some(Self {
            blocked: blocked == Some(true),
            transformed: transformed == Some(true),
            messages,
        })
    }
}

fn no_token() -> String {
    format!("Pangea needs a key: the environment variable `{TOKEN}` is not set")
}

impl Check for Pangea {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move { self.check(&call).await })
    }

    fn accept(&self, _: &Flow, _: &FlowReference) -> Result<(), Unusable> {
        match self.token {
            Some(_) => Ok(()),
            None => Err(Unusable::Unready(vec![no_token()])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Trial, *};
    use crate::{http::testing::json as answer, verdict::Outcome};

    const CONFIG: &str = "instructions: [{type: general, content: Be quiet.}]\nrails: {config: {pangea: {output: {recipe: mine}}}}";
    const ENVIRONMENT: &[(&str, &str)] = &[(TOKEN, "secret"), (TEMPLATE, "URL/{SERVICE_NAME}/")];

    async fn trial(status: u16, body: Value) -> Trial {
        Trial::new(&RAIL, CONFIG, ENVIRONMENT, vec![answer(status, &body)]).await
    }

    #[tokio::test]
    async fn texts_are_blocked_changed_or_passed() {
        let blocks = trial(200, json!({"result": {"blocked": true}})).await;
        let verdict = blocks.judge("pangea ai guard input", "evil").await;
        assert!(matches!(verdict, Ok(Outcome::Block(_))));
        let received = blocks.received();
        assert!(
            received[0]
                .head
                .starts_with("POST /ai-guard/v1/text/guard ")
        );
        assert!(received[0].head.contains("authorization: Bearer secret"));
        assert_eq!(
            received[0].json(),
            json!({"messages": [
                {"role": "system", "content": "Be quiet."},
                {"role": "user", "content": "evil"},
            ]})
        );

        let changed = json!({"result": {"blocked": false, "transformed": true, "prompt_messages": [
            {"role": "user", "content": "who?"},
            {"role": "assistant", "content": "<NAME>"},
        ]}});
        let changes = trial(200, changed).await;
        let verdict = changes
            .judge_answer("pangea ai guard output", "Ann", "who?")
            .await;
        assert_eq!(verdict.unwrap(), Outcome::Transform("<NAME>".to_owned()));
        let sent = changes.received()[0].json();
        assert_eq!(sent["recipe"], "mine");
        assert_eq!(
            sent["messages"][2],
            json!({"role": "assistant", "content": "Ann"})
        );

        let passes = trial(
            200,
            json!({"result": {"blocked": false, "transformed": false}}),
        )
        .await;
        let verdict = passes.judge("pangea ai guard input", "Hello").await;
        assert_eq!(verdict.unwrap(), Outcome::Allow);
    }

    #[tokio::test]
    async fn failures_and_unclear_answers_are_no_verdict() {
        for (status, body) in [
            (503, json!({"result": {"blocked": false}})),
            (200, json!({})),
            (200, json!({"result": {}})),
            (200, json!({"result": {"blocked": "no"}})),
            (
                200,
                json!({"result": {"transformed": true, "prompt_messages": []}}),
            ),
            (
                200,
                json!({"result": {"blocked": false, "prompt_messages": [3]}}),
            ),
        ] {
            let trial = trial(status, body.clone()).await;
            assert!(
                trial.judge("pangea ai guard input", "x").await.is_err(),
                "{body}"
            );
        }
        let trial = Trial::new(&RAIL, CONFIG, &[], vec![]).await;
        assert!(trial.accept("pangea ai guard input").is_err());
    }
}
