//! Results of tools against the calls that they answer.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::message::{Content, Message, Role, ToolCall};

/// The calls of one message of the assistant, with the results that follow it.
#[derive(Default)]
struct Exchange<'a> {
    calls: &'a [ToolCall],
    /// Each with its index in the conversation.
    results: Vec<(usize, &'a Message)>,
}

/// Validates the results of tools in a conversation.
///
/// Each message is taken with the calls of the assistant's message right before it, so that ids may come again in later turns.
///
/// # Errors
///
/// Why the first result that does not pass does not.
pub(crate) fn check_results(messages: &[Message]) -> Result<(), String> {
    exchanges(messages).iter().try_for_each(Exchange::check)
}

/// What is wrong with each message of a conversation, where it is a result: as [`check_results`], for a client that is told of
/// single results.
///
/// In the older spelling a function's result names its function, and answers the call right before it.
pub(crate) fn result_faults(messages: &[Message]) -> Vec<Option<String>> {
    let mut faults = vec![None; messages.len()];
    for exchange in exchanges(messages) {
        let calls = exchange.calls_by_id();
        for (index, result) in &exchange.results {
            let checked = match &calls {
                Ok(calls) => check_result(result, calls),
                Err(reason) => Err(reason.clone()),
            };
            if let (Err(reason), Some(fault)) = (checked, faults.get_mut(*index)) {
                *fault = Some(reason);
            }
        }
    }
    let functions = messages.iter().zip(&mut faults).enumerate();
    for (index, (message, fault)) in functions.filter(|(_, (m, _))| m.role == Role::Function) {
        let asked = index.checked_sub(1).and_then(|before| messages.get(before));
        let calls = asked.map_or(&[][..], |asked| &asked.tool_calls);
        let name = message.name.as_deref().unwrap_or_default();
        if name.is_empty()
            || !calls
                .iter()
                .any(|call| call.id.is_none() && call.name == name)
        {
            *fault = Some(format!(
                "the result of function '{name}' does not follow a call of it"
            ));
        }
    }
    faults
}

fn exchanges(messages: &[Message]) -> Vec<Exchange<'_>> {
    let mut exchanges: Vec<Exchange<'_>> = Vec::new();
    let mut is_open = false;
    for (index, message) in messages.iter().enumerate() {
        match &message.role {
            Role::Tool => {
                if !is_open {
                    exchanges.push(Exchange::default());
                    is_open = true;
                }
                exchanges
                    .last_mut()
                    .into_iter()
                    .for_each(|exchange| exchange.results.push((index, message)));
            }
            Role::Assistant if !message.tool_calls.is_empty() => {
                exchanges.push(Exchange {
                    calls: &message.tool_calls,
                    results: Vec::new(),
                });
                is_open = true;
            }
            _ => is_open = false,
        }
    }
    exchanges
}

fn id(id: Option<&String>) -> Option<&str> {
    id.map(String::as_str).filter(|id| !id.is_empty())
}

impl<'a> Exchange<'a> {
    fn check(&self) -> Result<(), String> {
        if self.results.is_empty() {
            return Ok(());
        }
        let calls = self.calls_by_id()?;
        let mut results = self.results.iter();
        results.try_for_each(|(_, result)| check_result(result, &calls))
    }

    /// The calls, where an id says which one a result answers, and each is answered once.
    fn calls_by_id(&self) -> Result<HashMap<&'a str, &'a ToolCall>, String> {
        let mut calls: HashMap<&'a str, &'a ToolCall> = HashMap::new();
        for call in self.calls {
            if let Some(id) = id(call.id.as_ref())
                && calls.insert(id, call).is_some()
            {
                return Err(format!(
                    "duplicate prior tool call id '{id}' makes tool-result linkage ambiguous"
                ));
            }
        }
        let mut seen = HashSet::new();
        for (_, result) in &self.results {
            if let Some(id) = id(result.tool_call_id.as_ref())
                && !seen.insert(id)
            {
                return Err(format!(
                    "duplicate tool result for call_id '{id}': each tool call must have exactly one result"
                ));
            }
        }
        Ok(calls)
    }
}

fn check_result(result: &Message, calls: &HashMap<&str, &ToolCall>) -> Result<(), String> {
    let Some(id) = id(result.tool_call_id.as_ref()) else {
        return Err("tool result is missing a call_id".to_owned());
    };
    let Some(call) = calls.get(id) else {
        return Err(format!(
            "tool result for call_id '{id}' does not correspond to a prior tool call"
        ));
    };
    // OpenAI's clients send no name: the id alone says which call is answered.
    if let Some(name) = result.name.as_deref().filter(|name| !name.is_empty())
        && !call.name.is_empty()
        && name != call.name
    {
        return Err(format!(
            "tool result name '{name}' does not match the called tool '{}' for call_id '{id}'",
            call.name
        ));
    }
    let is_well_formed = match &result.content {
        Content::None | Content::Text(_) => true,
        Content::Parts(parts) => parts.iter().all(Value::is_object),
        Content::Data(_) => false,
    };
    if is_well_formed {
        Ok(())
    } else {
        Err(format!(
            "tool result for call_id '{id}' has malformed content"
        ))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn conversation(given: Value) -> Vec<Message> {
        serde_json::from_value(given).unwrap()
    }

    #[test]
    fn a_result_answers_the_call_before_it() {
        let call = json!({"role": "assistant", "tool_calls": [{"id": "c1", "name": "ping"}]});
        let result = |extra: Value| {
            let mut result = json!({"role": "tool", "tool_call_id": "c1", "content": "pong"});
            result
                .as_object_mut()
                .unwrap()
                .extend(extra.as_object().unwrap().clone());
            result
        };
        let check = |messages: &[&Value]| check_results(&conversation(json!(messages)));
        let plain = result(json!({}));
        let between = json!({"role": "user", "content": "and?"});
        for passing in [
            vec![&call, &plain],
            vec![
                &call,
                &result(json!({"name": "ping", "content": [{"type": "text"}]})),
            ],
            vec![&call, &result(json!({"content": null}))],
            vec![&call, &plain, &between, &call, &plain],
            vec![&between],
        ] {
            assert_eq!(check(&passing), Ok(()), "{passing:?}");
        }
        for (blocked, reason) in [
            (vec![&plain], "does not correspond"),
            (vec![&call, &between, &plain], "does not correspond"),
            (vec![&call, &plain, &plain], "exactly one result"),
            (
                vec![&call, &result(json!({"name": "pong"}))],
                "does not match",
            ),
            (
                vec![&call, &result(json!({"tool_call_id": ""}))],
                "missing a call_id",
            ),
            (vec![&call, &result(json!({"content": [1]}))], "malformed"),
            (
                vec![&call, &result(json!({"content": {"a": 1}}))],
                "malformed",
            ),
        ] {
            let found = check(&blocked).unwrap_err();
            assert!(found.contains(reason), "{found}");
        }
        let twice = json!({"role": "assistant", "tool_calls": [{"id": "c1", "name": "a"}, {"id": "c1", "name": "b"}]});
        assert!(check(&[&twice, &plain]).unwrap_err().contains("ambiguous"));
    }
}
