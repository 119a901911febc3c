//! Checks: the rails alone, no answer is made.

use super::{
    IoRails,
    conversation::Conversation,
    judge::{Judged, Session, Stopped, nothing_to_rewrite},
};
use crate::{
    error::{Error, Result},
    message::{Content, Message, Role},
    rails::response::{RailStatus, RailType, RailsResult},
};

impl IoRails {
    /// Runs the input rails on what the user said last and the output rails on what the assistant said last, whichever there
    /// are; no answer is made. Where there is nothing to check, it passes.
    ///
    /// ```no_run
    /// # async fn f(rails: tower_guardrails::IoRails) -> tower_guardrails::Result<()> {
    /// use tower_guardrails::{Message, rails::RailStatus};
    ///
    /// let result = rails.check([Message::user("Hi!"), Message::assistant("Hello.")]).await?;
    /// assert_eq!(result.status, RailStatus::Passed);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// Where the model of a rail answers with an HTTP error.
    pub async fn check(&self, messages: impl IntoIterator<Item = Message>) -> Result<RailsResult> {
        let messages: Vec<Message> = messages.into_iter().collect();
        let has = |role: Role| messages.iter().any(|message| message.role == role);
        let rails: &[RailType] = match (has(Role::User), has(Role::Assistant)) {
            (true, true) => &[RailType::Input, RailType::Output],
            (true, false) => &[RailType::Input],
            (false, true) => &[RailType::Output],
            (false, false) => {
                tracing::warn!("there is no message of the user or the assistant to check");
                return Ok(passed(messages.last().map(text_of).unwrap_or_default()));
            }
        };
        self.run_check(messages, rails).await
    }

    /// As [`check`](Self::check), with these rails only.
    ///
    /// # Errors
    ///
    /// Where the configuration has no rails of a type; else as [`check`](Self::check).
    pub async fn check_rails(
        &self,
        messages: impl IntoIterator<Item = Message>,
        rails: &[RailType],
    ) -> Result<RailsResult> {
        for rail in rails {
            let configured = match rail {
                RailType::Input => &self.inner.plan.input,
                RailType::Output => &self.inner.plan.output,
            };
            if configured.is_empty() {
                return Err(Error::InvalidInput(format!(
                    "the configuration has no {} rails",
                    rail.as_str()
                )));
            }
        }
        self.run_check(messages.into_iter().collect(), rails).await
    }

    async fn run_check(&self, messages: Vec<Message>, rails: &[RailType]) -> Result<RailsResult> {
        let shows_output = rails.contains(&RailType::Output);
        let shown = if shows_output {
            Role::Assistant
        } else {
            Role::User
        };
        let original = last(&messages, &shown);
        let answer = last(&messages, &Role::Assistant);
        let asked = last(&messages, &Role::User);
        let session = Session::unchecked(&self.inner, None);
        let mut conversation = Conversation::new(messages);
        let mut content = original.clone();
        if rails.contains(&RailType::Input) && !asked.is_empty() {
            match session.judge_input(&conversation).await? {
                Judged::Passed => {}
                Judged::Rewritten(text) => {
                    if !conversation.rewrite(text.clone()) {
                        return Ok(blocked(&nothing_to_rewrite()));
                    }
                    if !shows_output {
                        content = text;
                    }
                }
                Judged::Stopped(stopped) => return Ok(blocked(&stopped)),
            }
        }
        if shows_output && !answer.is_empty() {
            match session.judge_output(&conversation, &answer).await? {
                Judged::Passed => {}
                Judged::Rewritten(text) => content = text,
                Judged::Stopped(stopped) => return Ok(blocked(&stopped)),
            }
        }
        let status = if content == original {
            RailStatus::Passed
        } else {
            RailStatus::Modified
        };
        Ok(RailsResult {
            status,
            content,
            rail: None,
        })
    }
}

fn last(messages: &[Message], role: &Role) -> String {
    let last = messages.iter().rev().find(|message| message.role == *role);
    last.map(text_of).unwrap_or_default()
}

fn text_of(message: &Message) -> String {
    match &message.content {
        Content::Data(_) => String::new(),
        content => content.text().into_owned(),
    }
}

fn passed(content: String) -> RailsResult {
    RailsResult {
        status: RailStatus::Passed,
        content,
        rail: None,
    }
}

fn blocked(stopped: &Stopped) -> RailsResult {
    RailsResult {
        status: RailStatus::Blocked,
        content: stopped.message().to_owned(),
        rail: Some(stopped.rail.clone()),
    }
}
