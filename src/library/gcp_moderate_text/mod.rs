//! `gcpnlp moderation`, `gcpnlp moderation detailed`: Google's text moderation gives a text a score in each of its categories.
//!
//! - Service: Google Cloud's Natural Language API, version 2.
//! - Config: `rails.config.gcp_moderate_text`.
//! - Environment: `GOOGLE_APPLICATION_CREDENTIALS`, the path of a service account's key file.
//! - On block: the refusal to respond, which of the detailed rail depends on the category. A service that fails, blocks.

mod categories;
mod token;

use std::{sync::Arc, time::Duration};

use futures_core::future::BoxFuture;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Answers, Bound, BuildContext, Built, Call, Check, Finding, Flow, Key, Need, Part,
    REFUSE_TO_RESPOND, Rail, RailAction, Section, Unusable, service::Service,
};
use crate::{
    config::FlowReference,
    error::{BoxError, Error},
    verdict::Place,
};
use categories::{ABUSIVE, INAPPROPRIATE, SENSITIVE, SIMPLE_THRESHOLD};
use token::{ServiceAccount, TokenSource};

const ACTION: &str = "call_gcpnlp_api";
const CREDENTIALS: &str = "GOOGLE_APPLICATION_CREDENTIALS";

/// How long a token may take, and how long a verdict: together no longer than any rail.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(20);

/// The declaration.
pub(super) static RAIL: Rail = Rail {
    name: "gcp_moderate_text",
    about: "Blocks messages that Google's text moderation gives too high a score",
    flows: &[
        Flow::new("gcpnlp moderation", Place::Input, ACTION)
            .arguments(&[("threshold_mode", Bound::Literal("simple"))])
            .result("result"),
        Flow::new("gcpnlp moderation detailed", Place::Input, ACTION)
            .arguments(&[("threshold_mode", Bound::Literal("detailed"))])
            .result("result")
            .says_by(refusal)
            .colang1(include_str!("detailed.co")),
    ],
    actions: &[RailAction::system(ACTION)
        .earlier("call gcpnlp api")
        .answers(Answers::Mapping(&[
            ("max_risk_score", Part::Metadata),
            ("violations", Part::Metadata),
        ]))],
    section: Some(Section {
        key: "gcp_moderate_text",
        keys: &[
            Key::new(
                "endpoint",
                "URL",
                "https://language.googleapis.com",
                "the API's URL, such as that of a region",
            ),
            Key::new(
                "token_uri",
                "URL",
                "",
                "where tokens are asked for, instead of what the key file says",
            ),
        ],
    }),
    needs: &[
        Need::Service(
            "Google Cloud Natural Language",
            "POST `/v2/documents:moderateText`",
        ),
        Need::Environment(CREDENTIALS, "the path of a service account's key file"),
    ],
    messages: &[
        (
            ABUSIVE,
            "I will not engage in any abusive or harmful behavior.",
        ),
        (
            INAPPROPRIATE,
            "I will not engage with inappropriate content.",
        ),
        (SENSITIVE, "I will not engage with sensitive content."),
    ],
    build,
};

/// The intent of the refusal for the category that the verdict rests on.
fn refusal(finding: &Finding) -> &'static str {
    let category = finding.metadata.get("triggered_violation");
    category
        .and_then(Value::as_str)
        .and_then(categories::refusal)
        .unwrap_or(REFUSE_TO_RESPOND)
}

/// `rails.config.gcp_moderate_text`: keys of this crate.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    endpoint: String,
    token_uri: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            endpoint: "https://language.googleapis.com".to_owned(),
            token_uri: None,
        }
    }
}

#[derive(Debug)]
struct ModerateText {
    url: String,
    service: Service,
    /// Else why there are no tokens to be had.
    tokens: Result<TokenSource, String>,
}

fn build(context: &BuildContext<'_>) -> Built {
    let settings = context.config.rails.section::<Settings>(RAIL.name);
    let settings = settings.map_err(|fault| vec![fault])?;
    let path = (context.environment)(CREDENTIALS).filter(|path| !path.is_empty());
    let account = match path {
        Some(path) => read_account(&path, settings.token_uri),
        None => Err(format!(
            "Google's text moderation needs a service account: the environment variable `{CREDENTIALS}` is not set"
        )),
    };
    Ok(Arc::new(ModerateText {
        url: format!(
            "{}/v2/documents:moderateText",
            settings.endpoint.trim_end_matches('/')
        ),
        service: Service::new(context).timeout(TIMEOUT),
        tokens: account
            .map(|account| TokenSource::new(account, Service::new(context).timeout(TOKEN_TIMEOUT))),
    }))
}

fn read_account(path: &str, token_uri: Option<String>) -> Result<ServiceAccount, String> {
    let wrong = |error: BoxError| format!("`{CREDENTIALS}`: `{path}` cannot be used: {error}");
    let json = std::fs::read(path).map_err(|error| wrong(error.into()))?;
    ServiceAccount::from_json(&json, token_uri).map_err(|error| wrong(error.into()))
}

impl ModerateText {
    async fn check(&self, call: &Call<'_>) -> Result<Finding, Error> {
        let text = call
            .text("user_message")
            .or_else(|| call.variable_text("user_message"));
        let text = text.unwrap_or_default();
        let mode = call.text("threshold_mode");
        let mode = mode.as_deref().unwrap_or("simple");
        let answer = self.ask(&text).await;
        let answer = answer.map_err(|error| call.failed(error))?;
        let scores = scores(&answer)
            .ok_or_else(|| call.failed("Google's answer has no `moderationCategories`"))?;
        Ok(judge(&scores, mode))
    }

    async fn ask(&self, text: &str) -> Result<Value, BoxError> {
        let tokens = self.tokens.as_ref().map_err(String::as_str)?;
        let token = tokens.get().await?;
        let body = json!({"document": {"type": "PLAIN_TEXT", "content": text}});
        let answer = self.service.post_as(&self.url, Some(&token), &body).await;
        if let Err(error) = &answer
            && error.status() == Some(StatusCode::UNAUTHORIZED)
        {
            tokens.forget().await;
        }
        Ok(answer?)
    }
}

/// The score of each category, from 0 to 1; none where the answer has none.
fn scores(answer: &Value) -> Option<Vec<(&str, f64)>> {
    let categories = answer.get("moderationCategories")?.as_array()?;
    let scores = categories.iter().map(|category| {
        let name = category.get("name")?.as_str()?;
        let score = match category.get("confidence") {
            // Zeros are left out.
            None => 0.0,
            Some(score) => score.as_f64()?,
        };
        // The service counts in single precision, and so do the thresholds.
        #[allow(clippy::cast_possible_truncation, reason = "that is the point")]
        let score = f64::from(score as f32);
        Some((name, score))
    });
    let scores: Vec<_> = scores.collect::<Option<_>>()?;
    (!scores.is_empty()).then_some(scores)
}

fn judge(scores: &[(&str, f64)], mode: &str) -> Finding {
    let highest = scores.iter().map(|(_, score)| *score).fold(0.0, f64::max);
    let triggered = if mode == "detailed" {
        categories::triggered(scores)
    } else {
        None
    };
    let finding = match triggered {
        Some(category) => Finding::block().because(format!(
            "GCP text moderation triggered. {category} exceeded the threshold."
        )),
        None if mode != "detailed" && highest > SIMPLE_THRESHOLD => Finding::block().because(
            "GCP text moderation triggered. The maximum risk score exceeded the threshold.",
        ),
        None => Finding::allow(),
    };
    let violations: Map<String, Value> = scores
        .iter()
        .map(|(name, score)| ((*name).to_owned(), json!(score)))
        .collect();
    finding
        .with("max_risk_score", highest)
        .with("violations", violations)
        .with("threshold_mode", mode)
        .with("triggered_violation", triggered)
}

impl Check for ModerateText {
    fn run<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Finding, Error>> {
        Box::pin(async move { self.check(&call).await })
    }

    fn accept(&self, _: &Flow, _: &FlowReference) -> Result<(), Unusable> {
        match &self.tokens {
            Ok(_) => Ok(()),
            Err(message) => Err(Unusable::Unready(vec![message.clone()])),
        }
    }
}

#[cfg(test)]
mod tests;
