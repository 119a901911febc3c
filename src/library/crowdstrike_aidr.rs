//! `crowdstrike aidr guard input`, `crowdstrike aidr guard output`: CrowdStrike AIDR blocks or rewrites what is said.
//!
//! - Service: POST to `/v1/guard_chat_completions` of its service `aiguard`, with the instructions of the config and both messages.
//! - Config: `rails.config.crowdstrike_aidr`.
//! - Environment: `CS_AIDR_TOKEN`; `CS_AIDR_BASE_URL_TEMPLATE` for another address.
//! - On block: "I don't know the answer to that."; else the text may be rewritten. A service that fails, blocks.

use std::{borrow::Cow, sync::Arc};

use futures_core::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answers, Bound, BuildContext, Built, Call, Check, Finding, Flow, INFORM_ANSWER_UNKNOWN, Key,
    Need, Rail, RailAction, Section, Unusable,
    call::target_of,
    service::{RequiredKey, Service, bearer, time_limit},
};
use crate::{config::FlowReference, error::Error, verdict::Place};

const GUARD: &str = "crowdstrike_aidr_guard";
const TOKEN: &str = "CS_AIDR_TOKEN";
const TEMPLATE: &str = "CS_AIDR_BASE_URL_TEMPLATE";
const DEFAULT_TEMPLATE: &str = "https://api.crowdstrike.com/aidr/{SERVICE_NAME}";
const EXCEPTION: &str = "CrowdStrikeAidrGuardRailException";

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "crowdstrike_aidr",
    about: "Blocks or rewrites what CrowdStrike AIDR objects to",
    flows: &[
        Flow::new("crowdstrike aidr guard input", Place::Input, GUARD)
            .arguments(&[("mode", Bound::Literal("input"))])
            .rewrites()
            .says(INFORM_ANSWER_UNKNOWN)
            .exception(
                EXCEPTION,
                "Response not allowed. The response was blocked by the 'crowdstrike aidr guard input' flow.",
            ),
        Flow::new("crowdstrike aidr guard output", Place::Output, GUARD)
            .arguments(&[("mode", Bound::Literal("output"))])
            .rewrites()
            .says(INFORM_ANSWER_UNKNOWN)
            .exception(
                EXCEPTION,
                "Response not allowed. The response was blocked by the 'crowdstrike aidr guard output' flow.",
            ),
    ],
    actions: &[RailAction::system(GUARD).answers(Answers::Metadata)],
    section: Some(Section {
        key: "crowdstrike_aidr",
        keys: &[Key::new(
            "timeout",
            "seconds",
            "30",
            "how long the service may take",
        )],
    }),
    needs: &[
        Need::Service("CrowdStrike AIDR", "POST to `/v1/guard_chat_completions`"),
        Need::Environment(TOKEN, "the token"),
        Need::Environment(TEMPLATE, "the address, with `{SERVICE_NAME}` in it"),
    ],
    messages: &[],
    build,
};

/// `rails.config.crowdstrike_aidr`.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Settings {
    timeout: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { timeout: 30.0 }
    }
}

#[derive(Debug)]
struct Aidr {
    service: Service,
    url: String,
    /// What the config tells the bot.
    instructions: Vec<String>,
    token: RequiredKey,
}

fn build(context: &BuildContext<'_>) -> Built {
    let settings = context.config.rails.section("crowdstrike_aidr");
    let settings: Settings = settings.map_err(|fault| vec![fault])?;
    let timeout = time_limit(context, "crowdstrike_aidr.timeout", settings.timeout);
    let template = (context.environment)(TEMPLATE).filter(|template| !template.is_empty());
    let template = template.unwrap_or_else(|| DEFAULT_TEMPLATE.to_owned());
    let base = template.replace("{SERVICE_NAME}", "aiguard");
    let instructions = context.config.instructions.iter();
    Ok(Arc::new(Aidr {
        service: Service::new(context).timeout(timeout.map_err(|fault| vec![fault])?),
        url: format!("{}/v1/guard_chat_completions", base.trim_end_matches('/')),
        instructions: instructions
            .map(|instruction| instruction.content.clone())
            .collect(),
        token: RequiredKey::new(context, TOKEN),
    }))
}

/// What the service says, as far as it is looked at.
#[derive(Debug, Deserialize)]
struct Answer {
    result: Verdict,
}

#[derive(Debug, Deserialize)]
struct Verdict {
    blocked: Option<bool>,
    transformed: Option<bool>,
    guard_output: Option<Conversation>,
}

#[derive(Debug, Deserialize)]
struct Conversation {
    #[serde(default)]
    messages: Vec<Said>,
}

#[derive(Debug, Deserialize)]
struct Said {
    role: String,
    content: String,
}

impl Verdict {
    /// What `role` says in the rewritten conversation.
    fn said_by(&self, role: &str) -> Option<&str> {
        let messages = &self.guard_output.as_ref()?.messages;
        let said = messages.iter().find(|said| said.role == role);
        said.map(|said| said.content.as_str())
    }
}

/// The text `name`, as an argument or else from the context.
fn text<'a>(call: &Call<'a>, name: &str) -> Option<Cow<'a, str>> {
    let given = call.text(name).filter(|text| !text.is_empty());
    given
        .or_else(|| call.variable_text(name))
        .filter(|text| !text.is_empty())
}

impl Aidr {
    async fn guard(&self, call: &Call<'_>) -> Result<Finding, Error> {
        let authorization = bearer(self.token.get(call)?);
        let mode = call.required("mode")?;
        let (user_message, bot_message) = (text(call, "user_message"), text(call, "bot_message"));
        let (target, role, own) = match (&*mode, target_of(&mode)) {
            ("input", Some(target)) => (target, "user", &user_message),
            ("output", Some(target)) => (target, "assistant", &bot_message),
            _ => {
                let message = format!("`mode` is `{mode}`, not `input` or `output`");
                return Err(call.failed(message));
            }
        };
        if user_message.is_none() && bot_message.is_none() {
            return Err(call.failed("there is neither a user's nor a bot's message"));
        }
        let message = |role: &str, content: &str| json!({"role": role, "content": content});
        let instructions = self.instructions.iter();
        let mut messages: Vec<Value> = instructions
            .map(|instruction| message("system", instruction))
            .collect();
        messages.extend(user_message.as_deref().map(|text| message("user", text)));
        if role == "assistant" {
            messages.extend(own.as_deref().map(|text| message(role, text)));
        }
        let headers = [("Authorization", &*authorization)];
        let body = json!({"guard_input": {"messages": messages}});
        let answer = self.service.post(&self.url, &headers, &body).await;
        let answer = answer.map_err(|error| call.failed(error))?;
        let guard_output = answer.pointer("/result/guard_output").cloned();
        let answer = serde_json::from_value::<Answer>(answer);
        let verdict = answer.map_err(|error| call.failed(error))?.result;
        let finding = match (verdict.blocked, verdict.transformed) {
            (Some(true), _) => Finding::block(),
            (_, Some(true)) => {
                let new = verdict.said_by(role);
                let new =
                    new.ok_or_else(|| call.failed("AIDR's answer lacks the rewritten text"))?;
                if own.as_deref() == Some(new) {
                    Finding::allow()
                } else {
                    Finding::rewrite(target, new)
                }
            }
            (None, None) => return Err(call.failed("AIDR's answer has no verdict")),
            _ => Finding::allow(),
        };
        let shown = |role: &str, message: Option<Cow<'_, str>>| {
            let rewritten = verdict.said_by(role).map(str::to_owned);
            rewritten.or_else(|| message.map(Cow::into_owned))
        };
        Ok(finding
            .with("blocked", verdict.blocked == Some(true))
            .with("transformed", verdict.transformed == Some(true))
            .with("guard_output", guard_output)
            .with("user_message", shown("user", user_message.clone()))
            .with("bot_message", shown("assistant", bot_message.clone())))
    }
}

impl Check for Aidr {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move { self.guard(&call).await })
    }

    fn accept(&self, _: &Flow, _: &FlowReference) -> Result<(), Unusable> {
        self.token.accept()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Trial, *};
    use crate::{http::testing::json as answer, verdict::Outcome};

    const ENVIRONMENT: &[(&str, &str)] =
        &[(TOKEN, "secret"), (TEMPLATE, "URL/aidr/{SERVICE_NAME}/")];
    const CONFIG: &str = "instructions: [{type: general, content: Be quiet.}]";

    #[tokio::test]
    async fn a_text_passes_is_rewritten_or_blocked() {
        let said = |role: &str| json!({"messages": [{"role": role, "content": "new"}]});
        let rewritten = Some(Outcome::Transform("new".to_owned()));
        for (body, expected) in [
            (json!({"result": {"blocked": false}}), Some(Outcome::Allow)),
            (
                json!({"result": {"blocked": null, "transformed": false}}),
                Some(Outcome::Allow),
            ),
            (
                json!({"result": {"transformed": true, "guard_output": said("assistant")}}),
                rewritten,
            ),
            (
                json!({"result": {"transformed": true, "guard_output": said("user")}}),
                None,
            ),
            (json!({"result": {"transformed": true}}), None),
            (json!({"result": {"blocked": "no"}}), None),
            (json!({"result": {}}), None),
            (json!({}), None),
        ] {
            let trial = Trial::new(&RAIL, CONFIG, ENVIRONMENT, vec![answer(200, &body)]).await;
            let line = "crowdstrike aidr guard output";
            let outcome = trial.judge_answer(line, "old", "asked").await;
            assert_eq!(outcome.ok(), expected, "{body}");
            let received = trial.received();
            let head = &received[0].head;
            assert!(head.starts_with("POST /aidr/aiguard/v1/guard_chat_completions "));
            assert!(head.contains("authorization: Bearer secret"), "{head}");
            assert_eq!(
                received[0].json()["guard_input"]["messages"],
                json!([
                    {"role": "system", "content": "Be quiet."},
                    {"role": "user", "content": "asked"},
                    {"role": "assistant", "content": "old"},
                ])
            );
        }
    }

    #[tokio::test]
    async fn a_block_goes_before_a_rewriting_and_a_failure_is_no_verdict() {
        let both = json!({"result": {"blocked": true, "transformed": true}});
        let answers = vec![answer(200, &both), answer(500, &json!({}))];
        let trial = Trial::new(&RAIL, CONFIG, ENVIRONMENT, answers).await;
        let line = "crowdstrike aidr guard input";
        let Outcome::Block(block) = trial.judge(line, "x").await.unwrap() else {
            panic!("it passes");
        };
        assert_eq!(
            block.message.as_deref(),
            Some("I don't know the answer to that.")
        );
        assert!(trial.judge(line, "x").await.is_err());
    }
}
