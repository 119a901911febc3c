//! Earlier messages that a rail blocks: taken out of what goes in, so that they do not block the conversation for good.

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
    verdict::GuardrailsVerdict,
    wire::{ChatRequest, TextKind},
};

impl Settings {
    /// Whether earlier messages that a rail blocks are taken out.
    pub(super) fn removes_blocked_history(&self) -> bool {
        self.history == History::All && self.blocked_history == BlockedHistory::Remove
    }

    /// The body of a request that a rail blocked, with a note in the place of each earlier message that a rail blocks by itself; none
    /// where there is no such message.
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
        let checks = read
            .take_while(|index| *index < earlier)
            .map(|index| self.blocks(stopped, &request, index));
        let checks: Vec<_> = checks.collect();
        let mut running = stream::iter(checks).buffered(TOGETHER);
        let mut blocked = Vec::new();
        while let Some(found) = running.next().await {
            blocked.extend(found);
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

    /// The index of a message that a rail blocks by itself.
    async fn blocks(
        &self,
        stopped: &Stopped,
        request: &ChatRequest<'_>,
        index: usize,
    ) -> Option<usize> {
        let message = request.messages.get(index)?;
        // Of these checks only the outcome counts: the verdict has the rail already.
        let guard = Guard {
            verdict: GuardrailsVerdict::default(),
            ending: None,
            ..stopped.guard.clone()
        };
        let mut alone = ChatRequest::default();
        let mut history = History::All;
        let has_rails = !guard.rails.plan().results.is_empty();
        if has_rails && is_tool_result(message) {
            // Its rails look at the call that it answers.
            let before = request.messages.get(..=index).unwrap_or_default();
            alone.messages = before.to_vec();
            history = History::LastMessage;
        } else {
            alone.messages = vec![message.clone()];
        }
        let drafting = Drafting {
            guard: &guard,
            ask: &stopped.ask,
            cache: &self.cache,
            hasher: &stopped.hasher,
            history,
        };
        let judged = match drafting.draft(&alone).await {
            Ok(mut draft) => drafting.judge(&mut draft).await.map_err(Stop::Blocked),
            Err(stop) => Err(stop),
        };
        matches!(judged, Err(Stop::Blocked(blocked)) if !blocked.failed).then_some(index)
    }
}
