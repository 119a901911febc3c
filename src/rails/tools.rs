//! The library's rails on tools, compiled: what the flows of a turn read from the conversation is in their subject.

use futures_core::future::BoxFuture;
use serde_json::Value;

use super::messages::{tool_calls_of, tool_calls_value};
use crate::{
    error::Error,
    library::{self, Ask, AskContext, Subject, ToolContext},
    message::ToolCall,
    verdict::{Outcome, Place},
};

/// Validates calls by the tools that the request offers, or results by the calls that they answer.
#[derive(Debug)]
pub(super) struct Validation(pub(super) Place);

impl Ask for Validation {
    fn rewrites(&self) -> bool {
        false
    }

    fn reads_text(&self) -> bool {
        false
    }

    fn ask<'a>(
        &'a self,
        subject: Subject<'a>,
        _: &'a AskContext,
    ) -> BoxFuture<'a, Result<Outcome, Error>> {
        let tool = subject.tool.unwrap_or_default();
        Box::pin(async move {
            let valid = if self.0 == Place::ToolInput {
                tool.fault.map_or(Ok(()), |fault| Err(fault.to_owned()))
            } else {
                validate_calls(subject.text, tool).await
            };
            Ok(valid.map_or_else(Outcome::block, |()| Outcome::Allow))
        })
    }
}

async fn validate_calls(text: &str, tool: ToolContext<'_>) -> Result<(), String> {
    let calls = calls_of_text(text).ok_or("a rail before this one left no list of calls")?;
    library::validate_calls(calls, &library::Toolset::read(tool.offered)?).await
}

/// Calls as the text that rails judge: the list that flows see as `$tool_calls`.
pub(crate) fn calls_text(calls: &[ToolCall]) -> String {
    tool_calls_value(calls).to_string()
}

/// The reverse of [`calls_text`]; none where the text is something else.
pub(crate) fn calls_of_text(text: &str) -> Option<Vec<ToolCall>> {
    let value: Value = serde_json::from_str(text).ok()?;
    let calls = tool_calls_of(&value);
    (value.as_array()?.len() == calls.len()).then_some(calls)
}
