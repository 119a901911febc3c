//! What every part of a guarded exchange knows.

use std::{sync::Arc, time::Instant};

use serde_json::Value;

use super::{
    encoding::Accepted,
    ending::Ending,
    limits::Limits,
    policy::{BlockResponse, Blocked, OnRailError},
};
use crate::{
    rails::{LlmRails, Policy, Powers},
    verdict::{Enforcement, GuardrailsVerdict},
    wire::{JsonLimits, RequestFacts, WireFormat},
};

/// One guarded request, and the reply to it.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    pub(super) format: Arc<dyn WireFormat>,
    pub(super) rails: LlmRails,
    pub(super) facts: RequestFacts,
    /// What the user said last, for rails that judge an answer by its question.
    pub(super) user_message: String,
    /// The tools that the request offers, where rails judge calls by them.
    pub(super) tools: Option<Arc<Value>>,
    /// The codings in which the client takes a reply.
    pub(super) accepted: Accepted,
    pub(super) verdict: GuardrailsVerdict,
    pub(super) limits: Limits,
    pub(super) on_rail_error: OnRailError,
    pub(super) enforcement: Enforcement,
    pub(super) block_response: BlockResponse,
    /// Where somebody is told of exchanges: this one, for as long as somebody works on it.
    pub(super) ending: Option<Arc<Ending>>,
}

#[cfg(test)]
impl Guard {
    /// An exchange of Chat Completions under `rails`.
    pub(super) fn for_tests(rails: LlmRails) -> Self {
        Self {
            format: Arc::new(crate::wire::OpenAiChat),
            rails,
            facts: RequestFacts::default(),
            user_message: String::new(),
            tools: None,
            accepted: Accepted::default(),
            verdict: GuardrailsVerdict::default(),
            limits: Limits::default(),
            on_rail_error: OnRailError::default(),
            enforcement: Enforcement::default(),
            block_response: BlockResponse::default(),
            ending: None,
        }
    }
}

impl Guard {
    /// What counts for rails on requests where their own options say nothing.
    pub(super) fn policy_in(&self) -> Policy<'_> {
        self.policy(self.powers_in())
    }

    /// The same for rails on replies.
    pub(super) fn policy_out(&self) -> Policy<'_> {
        self.policy(self.powers_out())
    }

    fn policy(&self, powers: Powers) -> Policy<'_> {
        Policy {
            on_error: self.on_rail_error,
            powers,
            verdict: &self.verdict,
        }
    }

    /// What rails may do to a request.
    pub(super) fn powers_in(&self) -> Powers {
        Powers {
            enforcement: self.enforcement,
            on_a_copy: self.only_watches_requests(),
        }
    }

    /// What rails may do to a reply.
    pub(super) fn powers_out(&self) -> Powers {
        Powers {
            enforcement: self.enforcement,
            on_a_copy: self.only_watches_replies(),
        }
    }

    /// Whether rails on requests only monitor: then nothing of a request is held, changed or refused.
    pub(super) fn only_watches_requests(&self) -> bool {
        let (requests, replies) = (self.watch(true), self.watch(false));
        requests.unwrap_or(replies == Some(true))
    }

    /// Whether rails on replies only monitor: then nothing of a reply is held, changed or refused.
    pub(super) fn only_watches_replies(&self) -> bool {
        let (requests, replies) = (self.watch(true), self.watch(false));
        replies.unwrap_or(requests == Some(true))
    }

    /// Whether the rails on requests, or on replies, only monitor; none: there are none.
    fn watch(&self, requests: bool) -> Option<bool> {
        let plan = self.rails.plan();
        let sets = match requests {
            true => [&plan.input, &plan.results],
            false => [&plan.output, &plan.calls],
        };
        let mut filled = sets.iter().filter(|rails| !rails.is_empty()).peekable();
        filled.peek()?;
        Some(filled.all(|rails| rails.only_monitors(self.enforcement)))
    }

    /// Whether a request that cannot be judged passes all the same. One that may not be chat passes only where nothing looks at the
    /// reply either: nobody knows how to read that.
    pub(super) fn lets_pass_unjudged(&self, is_chat: bool) -> bool {
        self.only_watches_requests() && (is_chat || self.only_watches_replies())
    }

    /// Waits for the inner service, and notes how long that took where somebody is told.
    pub(super) async fn timed<T>(&self, waiting: impl Future<Output = T>) -> T {
        let Some(ending) = &self.ending else {
            return waiting.await;
        };
        let began = Instant::now();
        let done = waiting.await;
        ending.inner_took(began.elapsed());
        done
    }

    /// The limits of the JSON reader for requests and texts.
    pub(super) fn json_limits(&self) -> JsonLimits {
        JsonLimits {
            max_depth: self.limits.json_depth,
            ..JsonLimits::default()
        }
    }

    /// Those for replies: the log-probabilities of a long answer are a million values.
    pub(super) fn reply_json_limits(&self) -> JsonLimits {
        JsonLimits {
            max_values: 1 << 22,
            ..self.json_limits()
        }
    }
}

/// Rails stopped a text.
#[derive(Debug)]
pub(super) struct Halt {
    /// The choice that it belongs to; none: the reply as a whole.
    pub(super) choice: Option<u32>,
    pub(super) blocked: Blocked,
}

/// Why a reply does not leave at all.
#[derive(Debug, Clone)]
pub(super) enum Refused {
    /// A rail blocked all of it.
    Blocked(Blocked),
    /// It cannot be read, or is over a limit.
    Unreadable { code: &'static str, message: String },
}
