//! The results of tools in a request, for the tool input rails.

use std::{collections::HashMap, ops::Range};

use super::{
    policy::History,
    select::{is_tool_result, selected},
};
use crate::{
    library::{ToolContext, result_faults},
    message::{Content, Message, Role, ToolCall},
    wire::{ChatRequest, TextKind},
};

/// The result of a tool.
#[derive(Debug)]
pub(super) struct ToolResult {
    /// Every text of it: the content, and then the others, a line each.
    pub(super) text: String,
    /// What stands behind the content in `text`.
    others: String,
    /// Where the content's texts lie.
    pub(super) contents: Vec<Range<usize>>,
    name: Option<String>,
    call_id: Option<String>,
    /// The call that it answers.
    call: Option<ToolCall>,
    fault: Option<String>,
}

impl ToolResult {
    /// The content in a text that rails made of `text`; none where they changed more.
    pub(super) fn content_of(&self, rewritten: String) -> Option<String> {
        match self.others.is_empty() {
            true => Some(rewritten),
            false => rewritten.strip_suffix(&self.others).map(str::to_owned),
        }
    }

    /// What rails know of it beside its text.
    pub(super) fn context(&self) -> ToolContext<'_> {
        ToolContext {
            call: self.call.as_ref(),
            name: self.name.as_deref(),
            call_id: self.call_id.as_deref(),
            fault: self.fault.as_deref(),
            ..ToolContext::default()
        }
    }
}

/// The results of tools that the rails read. Of [`History::LastMessage`] these are those at the conversation's end.
pub(super) fn tool_results(request: &ChatRequest<'_>, history: History) -> Vec<ToolResult> {
    let messages = &request.messages;
    let from = match history {
        History::LastMessage => {
            let before = messages
                .iter()
                .rposition(|message| !is_tool_result(message));
            before.map_or(0, |index| index + 1)
        }
        _ => {
            let read = selected(messages, history);
            read.first().map_or(messages.len(), |(index, _)| *index)
        }
    };
    let is_read = |index: usize| index >= from && messages.get(index).is_some_and(is_tool_result);
    if !(from..messages.len()).any(is_read) {
        return Vec::new();
    }
    // Only calls and results matter here; of the rest that it stands between them.
    let conversation: Vec<Message> = messages
        .iter()
        .map(|message| match message.role {
            Role::Tool | Role::Function | Role::Assistant => message.to_message(),
            _ if is_tool_result(message) => {
                let mut result = message.to_message();
                result.role = Role::Tool;
                result
            }
            _ => Message::new(message.role.clone(), Content::None),
        })
        .collect();
    let mut faults = result_faults(&conversation);
    let mut results = Vec::new();
    let mut calls: HashMap<Option<&str>, &ToolCall> = HashMap::new();
    for (index, message) in conversation.iter().enumerate() {
        if !message.tool_calls.is_empty() && message.role == Role::Assistant {
            let made = message.tool_calls.iter();
            calls = made.map(|call| (call.id.as_deref(), call)).collect();
        }
        let Some(read) = messages.get(index).filter(|_| is_read(index)) else {
            continue;
        };
        let fault = faults.get_mut(index).and_then(Option::take);
        let call = calls.get(&message.tool_call_id.as_deref()).copied();
        let call = call.filter(|_| fault.is_none());
        let contents = read
            .texts
            .iter()
            .filter(|text| text.kind == TextKind::Content);
        let mut others = String::new();
        for text in &read.texts {
            if text.kind != TextKind::Content && text.says_something() {
                others.push('\n');
                others.push_str(&text.text);
            }
        }
        results.push(ToolResult {
            text: format!("{}{others}", read.content()),
            others,
            contents: contents.map(|text| text.span.clone()).collect(),
            // OpenAI's clients send no name: the call has it.
            name: message
                .name
                .clone()
                .or_else(|| call.map(|call| call.name.clone())),
            call_id: message.tool_call_id.clone(),
            call: call.cloned(),
            fault,
        });
    }
    results
}
