//! Answers: tool results, input rails, the main model, tool calls, output rails.

use std::{
    pin::pin,
    sync::Arc,
    time::{Instant, SystemTime},
};

use futures_util::future::{Either, select};

use super::{
    IoRails,
    conversation::Conversation,
    judge::{Judged, Session, Stopped, nothing_to_rewrite},
    log::{Record, log_of},
};
use crate::{
    error::{Error, ModelError, ModelErrorKind, Result},
    llm::{Model, ModelReply, ModelRequest, reasoning},
    message::{Content, Message},
    rails::{
        options::LogOptions,
        response::{GenerationRequest, GenerationResponse},
        turn,
    },
};

/// The main model's answer, with what it is an answer to; or the rail that stopped it.
#[allow(clippy::large_enum_variant, reason = "one a call")]
enum Generated {
    Reply(Box<(ModelReply, Conversation)>),
    Stopped(Stopped),
}

impl IoRails {
    /// Answers a conversation.
    ///
    /// What a reasoning model thought stands before the text, in `<think>` tags. Tool calls of the model are those of the
    /// message, whose content then may be nothing.
    ///
    /// ```no_run
    /// # async fn f(rails: tower_guardrails::IoRails) -> tower_guardrails::Result<()> {
    /// use tower_guardrails::Message;
    ///
    /// let answer = rails.generate([Message::user("What is the capital of France?")]).await?;
    /// println!("{}", answer.content.text());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// Where there is nothing to answer, the main model fails, or the model of a rail answers with an HTTP error. A rail that
    /// fails otherwise is no error: the answer then is a fixed sentence.
    pub async fn generate(&self, request: impl Into<GenerationRequest>) -> Result<Message> {
        let mut message = turn::plain(self.generate_with(request).await?);
        if !message.tool_calls.is_empty() && message.content.text().is_empty() {
            message.content = Content::None;
        }
        Ok(message)
    }

    /// Answers a conversation; everything beside the answer included.
    ///
    /// Of the options these count: `rails` (which are named with their parameters or without), `llm_params` and, of `log`,
    /// `activated_rails` and `llm_calls`.
    ///
    /// ```no_run
    /// # async fn f(rails: tower_guardrails::IoRails) -> tower_guardrails::Result<()> {
    /// use serde_json::json;
    /// use tower_guardrails::rails::{GenerationOptions, GenerationRequest};
    ///
    /// let options = GenerationOptions::from_value(&json!({"llm_params": {"temperature": 0.2}, "log": {"llm_calls": true}}))?;
    /// let response = rails.generate_with(GenerationRequest::prompt("Hi!").options(options)).await?;
    /// println!("{} model calls", response.log.unwrap_or_default().stats.llm_calls_count);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`generate`](Self::generate); and where a state is given, or options ask for variables or events, which only flows have.
    pub async fn generate_with(
        &self,
        request: impl Into<GenerationRequest>,
    ) -> Result<GenerationResponse> {
        let GenerationRequest {
            messages,
            options,
            state,
        } = request.into();
        check_messages(&messages)?;
        if state.is_some() {
            return Err(Error::invalid_input(
                "rails without Colang have no state: give the whole conversation each time",
            ));
        }
        let session = Session::new(&self.inner, options.as_ref())?;
        let clock = Instant::now();
        let mut response = session.answer(Conversation::new(messages)).await?;
        let log = options.map_or_else(LogOptions::default, |options| options.log);
        response.log = log_of(&session.take_records(), log, clock.elapsed());
        Ok(response)
    }
}

pub(super) fn check_messages(messages: &[Message]) -> Result<()> {
    if messages.is_empty() {
        return Err(Error::invalid_input("there are no messages to answer"));
    }
    Ok(())
}

impl Session<'_> {
    async fn answer(&self, conversation: Conversation) -> Result<GenerationResponse> {
        if let Judged::Stopped(stopped) = self.judge_tool_results(&conversation) {
            return Ok(refusal(&stopped));
        }
        let generated = if self.inner.speculative {
            self.generate_meanwhile(conversation).await?
        } else {
            self.generate_after(conversation).await?
        };
        let (mut reply, conversation) = match generated {
            Generated::Reply(generated) => *generated,
            Generated::Stopped(stopped) => return Ok(refusal(&stopped)),
        };
        if reply.reasoning.as_deref().is_none_or(str::is_empty) {
            reply.reasoning = None;
            if let Some((thoughts, rest)) = reasoning::split(&reply.content) {
                reply.reasoning = Some(thoughts).filter(|thoughts| !thoughts.is_empty());
                reply.content = rest;
            }
        }
        if let Judged::Stopped(stopped) = self.judge_tool_calls(&reply.tool_calls).await {
            return Ok(refusal(&stopped));
        }
        // Calls of tools without a word have been judged.
        if reply.tool_calls.is_empty() || !reply.content.is_empty() {
            match self.judge_output(&conversation, &reply.content).await? {
                Judged::Passed => {}
                Judged::Rewritten(text) => reply.content = text,
                Judged::Stopped(stopped) => return Ok(refusal(&stopped)),
            }
        }
        Ok(GenerationResponse {
            message: Message::assistant(reply.content),
            tool_calls: reply.tool_calls,
            reasoning_content: reply.reasoning,
            output_data: None,
            log: None,
            state: None,
        })
    }

    /// The input rails, then the main model.
    async fn generate_after(&self, mut conversation: Conversation) -> Result<Generated> {
        match self.judge_input(&conversation).await? {
            Judged::Passed => {}
            Judged::Rewritten(text) => {
                if !conversation.rewrite(text) {
                    return Ok(Generated::Stopped(nothing_to_rewrite()));
                }
            }
            Judged::Stopped(stopped) => return Ok(Generated::Stopped(stopped)),
        }
        let (reply, record) = self.ask_main(&conversation).await?;
        self.note(record);
        Ok(Generated::Reply(Box::new((reply, conversation))))
    }

    /// The input rails and the main model side by side. Its answer waits for their verdict; a block cancels it.
    async fn generate_meanwhile(&self, conversation: Conversation) -> Result<Generated> {
        let (judged, (reply, record)) = {
            let rails = pin!(self.judge_input(&conversation));
            let main = pin!(self.ask_main(&conversation));
            match select(rails, main).await {
                Either::Left((judged, main)) => match judged? {
                    Judged::Stopped(stopped) => return Ok(Generated::Stopped(stopped)),
                    judged => (judged, main.await?),
                },
                Either::Right((answered, rails)) => {
                    let answered = answered?;
                    (rails.await?, answered)
                }
            }
        };
        self.note(record);
        match judged {
            Judged::Passed => Ok(Generated::Reply(Box::new((reply, conversation)))),
            // None of these rails rewrites, or the answer would have waited: what it answers is not what they made of it.
            Judged::Rewritten(_) => Ok(Generated::Stopped(nothing_to_rewrite())),
            Judged::Stopped(stopped) => Ok(Generated::Stopped(stopped)),
        }
    }

    async fn ask_main(&self, conversation: &Conversation) -> Result<(ModelReply, Option<Record>)> {
        let model = self.main()?;
        let (started, clock) = (SystemTime::now(), Instant::now());
        let reply = crate::llm::ask(&*model, self.request(conversation)).await?;
        let record = self.is_logged().then(|| {
            let messages = conversation.messages();
            Record::of_generation(&*model, messages, &reply, started, clock.elapsed())
        });
        Ok((reply, record))
    }

    fn note(&self, record: Option<Record>) {
        if let Some(record) = record {
            self.record(record);
        }
    }

    /// The main model.
    ///
    /// # Errors
    ///
    /// Where there is none.
    pub(super) fn main(&self) -> Result<Arc<dyn Model>, ModelError> {
        self.inner.models.main().ok_or_else(|| {
            ModelError::new(
                ModelErrorKind::Configuration,
                "main",
                "the configuration has no main model, and none was registered",
            )
        })
    }

    /// The main model's request: the conversation as it is.
    pub(super) fn request(&self, conversation: &Conversation) -> ModelRequest {
        let mut request = ModelRequest::new(conversation.messages().to_vec());
        request.parameters = self.parameters().clone();
        request
    }
}

fn refusal(stopped: &Stopped) -> GenerationResponse {
    GenerationResponse {
        message: Message::assistant(stopped.message()),
        tool_calls: Vec::new(),
        reasoning_content: None,
        output_data: None,
        log: None,
        state: None,
    }
}
