//! What `LlmRails` answers: the reference's Python API, in Rust's terms.

use serde_json::Value;

use super::{
    LlmRails,
    dialog::{Attachments, Flows},
    flows::judge,
    log::ExplainInfo,
    options::{GenerationOptions, LogOptions, RailsOptions},
    plan::REFUSAL,
    response::{GenerationRequest, GenerationResponse, RailStatus, RailType, RailsResult},
    state::State,
    streaming::{ChunkStream, StreamRequest, stream},
    turn,
};
use crate::{
    error::{Error, Result},
    library::Subject,
    message::{Content, Message, Role},
    verdict::Outcome,
};

impl LlmRails {
    /// Answers a conversation.
    ///
    /// With a message that only rails can give, the answer's role is [`Role::Exception`]. What a reasoning model thought stands
    /// before the text, in `<think>` tags.
    ///
    /// ```no_run
    /// # async fn f(rails: tower_guardrails::LlmRails) -> tower_guardrails::Result<()> {
    /// use tower_guardrails::Message;
    ///
    /// let answer = rails.generate([Message::user("What is the capital of France?")]).await?;
    /// println!("{}", answer.content.text());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// Where there is nothing to answer, a model fails, or a flow cannot go on. An action that fails is no error: the answer then
    /// is a fixed sentence.
    pub async fn generate(&self, request: impl Into<GenerationRequest>) -> Result<Message> {
        self.generate_with(request).await.map(turn::plain)
    }

    /// Answers a conversation; options, state and everything beside the answer included.
    ///
    /// # Errors
    ///
    /// As [`generate`](Self::generate).
    pub async fn generate_with(
        &self,
        request: impl Into<GenerationRequest>,
    ) -> Result<GenerationResponse> {
        turn::generate(self.engine(), request.into(), Attachments::default()).await
    }

    /// Answers a conversation piece by piece, or checks a stream of the caller's.
    ///
    /// Output rails read the stream in windows, as `rails.output.streaming` says. A piece that is a JSON object with the key `error`
    /// ends the stream where a rail blocks or a model fails.
    pub fn stream(&self, request: impl Into<StreamRequest>) -> ChunkStream {
        stream(self.engine(), request.into())
    }

    /// Runs the input rails on what the user says and the output rails on what the assistant says, whichever there are; no
    /// answer is made.
    ///
    /// # Errors
    ///
    /// As [`generate`](Self::generate).
    pub async fn check(&self, messages: impl IntoIterator<Item = Message>) -> Result<RailsResult> {
        let messages: Vec<Message> = messages.into_iter().collect();
        let has = |role: Role| messages.iter().any(|message| message.role == role);
        let rails: &[RailType] = match (has(Role::User), has(Role::Assistant)) {
            (true, true) => &[RailType::Input, RailType::Output],
            (true, false) => &[RailType::Input],
            (false, true) => &[RailType::Output],
            (false, false) => {
                tracing::warn!("there is no message of the user or the assistant to check");
                let content = messages
                    .last()
                    .map(|message| message.content.text().into_owned());
                return Ok(RailsResult {
                    status: RailStatus::Passed,
                    content: content.unwrap_or_default(),
                    rail: None,
                });
            }
        };
        self.run_check(messages, rails).await
    }

    /// As [`check`](Self::check), with these rails only.
    ///
    /// # Errors
    ///
    /// Where the configuration has no rails of a type; else as [`generate`](Self::generate).
    pub async fn check_rails(
        &self,
        messages: impl IntoIterator<Item = Message>,
        rails: &[RailType],
    ) -> Result<RailsResult> {
        let engine = self.engine();
        for rail in rails {
            if engine.flows.rails(&engine.config, rail.place()).is_empty() {
                return Err(Error::InvalidInput(format!(
                    "the configuration has no {} rails",
                    rail.as_str()
                )));
            }
        }
        self.run_check(messages.into_iter().collect(), rails).await
    }

    async fn run_check(
        &self,
        mut messages: Vec<Message>,
        rails: &[RailType],
    ) -> Result<RailsResult> {
        if let Flows::V2(_) = &self.engine().flows {
            return self.judge_all(&messages, rails).await;
        }
        let checked = if rails.contains(&RailType::Output) {
            Role::Assistant
        } else {
            Role::User
        };
        let original = messages
            .iter()
            .rev()
            .find(|message| message.role == checked);
        let original = original
            .map(|message| message.content.clone())
            .unwrap_or_else(|| Content::Text(String::new()));
        if rails == [RailType::Output] && !messages.iter().any(|message| message.role == Role::User)
        {
            messages.insert(0, Message::user(""));
        }
        let options = GenerationOptions {
            rails: RailsOptions::only(rails.iter().map(|rail| rail.as_str())),
            log: LogOptions {
                activated_rails: true,
                ..LogOptions::default()
            },
            ..GenerationOptions::default()
        };
        let response = self
            .generate_with(GenerationRequest::new(messages).options(options))
            .await?;
        if response.message.role == Role::Exception {
            return Err(Error::InvalidInput(
                "a check gives no exceptions: switch `enable_rails_exceptions` off".to_owned(),
            ));
        }
        let log = response.log.unwrap_or_default();
        let blocking = log
            .activated_rails
            .into_iter()
            .find(|rail| rail.stop)
            .map(|rail| rail.name);
        let content = response.message.content.text().into_owned();
        let status = match &blocking {
            Some(_) => RailStatus::Blocked,
            None if content == original.text() => RailStatus::Passed,
            None => RailStatus::Modified,
        };
        Ok(RailsResult {
            status,
            content,
            rail: blocking,
        })
    }

    /// Runs the rails one after the other on the last texts: in Colang 2.x each rail judges without a turn around it.
    async fn judge_all(&self, messages: &[Message], rails: &[RailType]) -> Result<RailsResult> {
        let engine = self.engine();
        let last = |role: Role| {
            let message = messages.iter().rev().find(|message| message.role == role);
            message.map(|message| message.content.text().into_owned())
        };
        let (mut asked, mut answered) = (last(Role::User), last(Role::Assistant));
        let original = match rails.contains(&RailType::Output) {
            true => answered.clone(),
            false => asked.clone(),
        };
        for rail in rails {
            let place = rail.place();
            for line in engine.flows.rails(&engine.config, place) {
                let user = asked.clone().unwrap_or_default();
                let text = match rail {
                    RailType::Input => &mut asked,
                    RailType::Output => &mut answered,
                };
                let judged = text.clone().unwrap_or_default();
                let subject = match rail {
                    RailType::Input => Subject::input(&judged),
                    RailType::Output => Subject::output(&judged, &user),
                };
                match judge(engine, place, &line.text, subject, None).await? {
                    Outcome::Allow => {}
                    Outcome::Transform(new) => *text = Some(new),
                    Outcome::Block(block) => {
                        let said = block.message.unwrap_or_else(|| REFUSAL.to_owned());
                        return Ok(RailsResult {
                            status: RailStatus::Blocked,
                            content: said,
                            rail: Some(line.text),
                        });
                    }
                }
            }
        }
        let checked = match rails.contains(&RailType::Output) {
            true => answered,
            false => asked,
        };
        Ok(RailsResult {
            status: match checked == original {
                true => RailStatus::Passed,
                false => RailStatus::Modified,
            },
            content: checked.unwrap_or_default(),
            rail: None,
        })
    }

    /// Runs the flows on a history of events, and gives the new ones. The history is read anew each time.
    ///
    /// # Errors
    ///
    /// Where the history is empty or holds what is no event, a model fails, or a flow cannot go on.
    pub async fn generate_events(&self, history: &[Value]) -> Result<Vec<Value>> {
        turn::generate_events(self.engine(), history).await
    }

    /// Feeds `events` to a conversation in Colang 2.x, and gives the events that leave it, with the state after them.
    ///
    /// An empty state begins a conversation. Actions that are registered, built in or on the actions server run until they end;
    /// every other one leaves as an event `Start…Action`, what the bot says among them (`StartUtteranceBotAction`), and its end is
    /// to be fed as `…ActionFinished` with its `action_uid`. Dropping the future cancels what runs.
    ///
    /// ```
    /// use serde_json::json;
    /// use tower_guardrails::{LlmRails, RailsConfig, rails::State};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let flows = r#"
    /// import core
    ///
    /// flow main
    ///   user said "ping"
    ///   bot say "pong"
    /// "#;
    /// let config = RailsConfig::from_content("colang_version: 2.x\nmodels: []\n", flows)?;
    /// let rails = LlmRails::new(config)?;
    /// let said = json!({"type": "UtteranceUserActionFinished", "final_transcript": "ping"});
    /// let (events, state) = rails.process_events(&[said], State::default()).await?;
    /// assert_eq!(events[0]["script"], "pong");
    ///
    /// // The state can be stored as JSON until the bot has spoken.
    /// let state = State::from_value(&serde_json::to_value(&state)?)?;
    /// let spoken = json!({"type": "UtteranceBotActionFinished", "action_uid": events[0]["action_uid"], "is_success": true});
    /// let (events, _) = rails.process_events(&[spoken], state).await?;
    /// assert!(events.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Where an event is none, the state is of other flows, a model fails, or the flows come to no end; where the flows are of
    /// Colang 1.0.
    pub async fn process_events(
        &self,
        events: &[Value],
        state: State,
    ) -> Result<(Vec<Value>, State)> {
        turn::process_events(self.engine(), events, state).await
    }

    /// What the last call did. With several calls at once, the last one to end.
    pub fn explain(&self) -> ExplainInfo {
        self.engine().explain()
    }
}
