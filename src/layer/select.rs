//! Which messages of a request the rails read.

use super::policy::History;
use crate::{message::Role, wire::RequestMessage};

/// Whether a message is the result of a tool, in whatever word its sender has for that.
pub(super) fn is_tool_result(message: &RequestMessage<'_>) -> bool {
    const WORDS: &[&str] = &[
        "tool",
        "function",
        "ipython",
        "tool_result",
        "tool_results",
        "tool_response",
        "tool_responses",
        "tool_output",
        "tool_outputs",
        "function_response",
        "function_result",
        "function_call_output",
        "observation",
        "available_tools",
    ];
    match &message.role {
        Role::Tool | Role::Function => true,
        Role::Other(word) => WORDS.contains(&word.trim().to_lowercase().as_str()),
        _ => false,
    }
}

/// How many messages stand before the last turn: it begins after the last answer, which one that the client wants continued is not.
pub(super) fn before_last_turn(messages: &[RequestMessage<'_>]) -> usize {
    let last = messages.len().saturating_sub(1);
    messages
        .iter()
        .enumerate()
        .rposition(|(index, message)| message.role == Role::Assistant && index != last)
        .map_or(0, |index| index + 1)
}

/// Which messages the rails read, each with its index.
pub(super) fn selected<'r, 'a>(
    messages: &'r [RequestMessage<'a>],
    history: History,
) -> Vec<(usize, &'r RequestMessage<'a>)> {
    let is_own = |message: &RequestMessage<'_>| {
        matches!(
            message.role,
            Role::System | Role::Developer | Role::Assistant
        )
    };
    let last = messages.len().saturating_sub(1);
    // An assistant message that stands last is one that the client wants continued.
    let is_prefill = |index: usize, message: &RequestMessage<'_>| {
        index == last && message.role == Role::Assistant
    };
    match history {
        History::LastMessage => messages
            .iter()
            .enumerate()
            .rfind(|(_, message)| message.role == Role::User)
            .into_iter()
            .collect(),
        History::All | History::LastTurn => {
            let from = match history {
                History::LastTurn => before_last_turn(messages),
                _ => 0,
            };
            let all = messages.iter().enumerate().skip(from);
            all.filter(|(index, message)| !is_own(message) || is_prefill(*index, message))
                .collect()
        }
    }
}
