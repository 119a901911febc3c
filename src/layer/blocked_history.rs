//! Earlier messages that a rail blocks: taken out of what goes in, so that they do not block the conversation for good.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};

use super::{
    draft::{Draft, Drafting, Stop, TOGETHER},
    exchange::{Stopped, head_of},
    guard::Guard,
    layer::Settings,
    policy::{BlockedHistory, History},
    select::{before_last_turn, is_tool_result, selected},
};
use crate::{
    message::Role,
    verdict::GuardrailsVerdict,
    wire::{ChatRequest, RequestMessage, TextKind},
};

impl Settings {
    /// Whether earlier messages that a rail blocks are taken out.
    pub(super) fn removes_blocked_history(&self) -> bool {
        self.history == History::All && self.blocked_history == BlockedHistory::Remove
    }

    /// The body of a request that a rail blocked, with a note in the place of each earlier message that a rail blocks by itself; none
    /// where there is no such message, or where more would have to be asked to find it than about a request.
    ///
    /// What is not text of the message (names of tools, keys, ids) stays: where that is why it is blocked, so is the request.
    pub(super) async fn without_blocked(&self, stopped: &Stopped) -> Option<Bytes> {
        let body = &stopped.read.decoded;
        let guard = &stopped.guard;
        let limits = guard.json_limits();
        let request = guard
            .format
            .read_request(&head_of(&stopped.parts), body, &limits)
            .ok()?;
        let earlier = before_last_turn(&request.messages);
        let read = selected(&request.messages, self.history).into_iter();
        let read = read.map(|(index, _)| index);
        // Rails of results look at the calls that these answer.
        let callers = match guard.rails.plan().results.is_empty() {
            false => callers(&request.messages),
            true => HashMap::new(),
        };
        let asked = AtomicUsize::new(0);
        let checks = read.take_while(|index| *index < earlier).map(|index| {
            let message = request.messages.get(index);
            let caller = callers.get(&index);
            let asked = &asked;
            async move {
                let alone: Vec<_> = caller.into_iter().chain(message).cloned().collect();
                let blocks = self.blocks(stopped, alone, asked).await;
                blocks.map(|blocks| (index, blocks))
            }
        });
        let checks: Vec<_> = checks.collect();
        let mut running = stream::iter(checks).buffered(TOGETHER);
        let mut blocked = Vec::new();
        while let Some(checked) = running.next().await {
            let (index, blocks) = checked.ok()?;
            if blocks {
                blocked.push(index);
            }
        }
        drop(running);
        let mut draft = Draft::default();
        for index in blocked {
            let texts = request.messages.get(index).map(|message| &message.texts);
            for text in texts.into_iter().flatten() {
                let note = self.removed_note.to_string();
                match text.kind {
                    TextKind::Content
                    | TextKind::PartText
                    | TextKind::Refusal
                    | TextKind::Reasoning => draft.edit_text(text.span.clone(), note),
                    TextKind::File => draft.edit_file(text.span.clone(), note),
                    TextKind::ToolArguments => draft.edit_text(text.span.clone(), "{}".to_owned()),
                    _ => {}
                }
            }
        }
        draft.body(body)
    }

    /// Whether a rail blocks `alone`. `asked` is how much was asked about messages before.
    ///
    /// # Errors
    ///
    /// Where that is more than may be asked about a request.
    async fn blocks(
        &self,
        stopped: &Stopped,
        alone: Vec<RequestMessage<'_>>,
        asked: &AtomicUsize,
    ) -> Result<bool, TooManyQuestions> {
        // Of these checks only the outcome counts: the verdict has the rail already.
        let guard = Guard {
            verdict: GuardrailsVerdict::default(),
            ending: None,
            ..stopped.guard.clone()
        };
        let drafting = Drafting {
            guard: &guard,
            ask: &stopped.ask,
            cache: &self.cache,
            hasher: &stopped.hasher,
            history: History::All,
        };
        let request = ChatRequest {
            messages: alone,
            ..ChatRequest::default()
        };
        let judged = match drafting.draft(&request).await {
            Ok(mut draft) => {
                let questions = draft.asked();
                let before = asked.fetch_add(questions, Ordering::Relaxed);
                if before + questions > guard.limits.questions {
                    return Err(TooManyQuestions);
                }
                drafting.judge(&mut draft).await.map_err(Stop::Blocked)
            }
            Err(stop) => Err(stop),
        };
        Ok(matches!(judged, Err(Stop::Blocked(blocked)) if !blocked.failed))
    }
}

/// There is more to ask than may be asked about a request.
#[derive(Debug)]
struct TooManyQuestions;

/// For each result of a tool, by its index, the message that made the call, with that call only: whole ones would be copied for each of
/// their results.
fn callers<'a>(messages: &[RequestMessage<'a>]) -> HashMap<usize, RequestMessage<'a>> {
    let mut found = HashMap::new();
    let mut calls = HashMap::new();
    let mut span = 0..0;
    for (index, message) in messages.iter().enumerate() {
        if message.role == Role::Assistant && !message.tool_calls.is_empty() {
            span = message.span.clone();
            let made = message.tool_calls.iter();
            calls = made.map(|call| (call.id.as_deref(), call)).collect();
        }
        let id = message.tool_call_id.as_deref();
        let call = calls.get(&id).filter(|_| is_tool_result(message));
        if let Some(call) = call {
            let mut caller = RequestMessage::new(Role::Assistant, span.clone());
            caller.tool_calls.push((*call).clone());
            found.insert(index, caller);
        }
    }
    found
}
