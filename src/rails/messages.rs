//! Messages as the events that a turn starts with.

use serde_json::{Map, Value, json};

use super::event::Event;
use crate::{
    error::{Error, Result},
    message::{Content, Message, Role, ToolCall},
};

/// The events of `messages[from..]`, in a conversation of all of `messages`.
///
/// # Errors
///
/// Where a message lacks what its role needs.
pub(crate) fn events_of(
    messages: &[Message],
    from: usize,
    has_tool_input_rails: bool,
) -> Result<Vec<Event>> {
    let mut events = Vec::new();
    for (index, message) in messages.iter().enumerate().skip(from) {
        let is_last = index + 1 == messages.len();
        let says = matches!(
            message.role,
            Role::User | Role::Assistant | Role::System | Role::Developer
        );
        if says && message.has_no_content() {
            return Err(without_content(&message.role));
        }
        match &message.role {
            Role::User => {
                let text = content_value(&message.content);
                events.push(
                    Event::new("UtteranceUserActionFinished")
                        .with("final_transcript", text.clone()),
                );
                if !is_last {
                    events.push(Event::new("UserMessage").with("text", text));
                }
            }
            Role::Assistant if !message.tool_calls.is_empty() => {
                // Calls that the conversation has left behind are nothing to decide on any more.
                let later = messages.get(index + 1..).unwrap_or_default();
                if !later
                    .iter()
                    .any(|message| matches!(message.role, Role::User | Role::Assistant))
                {
                    let calls = tool_calls_value(&message.tool_calls);
                    events.push(Event::new("BotToolCalls").with("tool_calls", calls));
                }
            }
            Role::Assistant if matches!(message.content, Content::None) => {
                return Err(Error::invalid_input(
                    "an assistant message without tool calls has a content",
                ));
            }
            Role::Assistant => {
                let text = content_value(&message.content);
                events.push(Event::new("StartUtteranceBotAction").with("script", text.clone()));
                events.push(
                    Event::new("UtteranceBotActionFinished")
                        .with("final_script", text)
                        .with("is_success", true),
                );
            }
            Role::Context => events.push(Event::context_update(context_of(message)?)),
            Role::Event => events.push(event_of(message)?),
            Role::System | Role::Developer => {
                events.push(
                    Event::new("SystemMessage").with("content", content_value(&message.content)),
                );
            }
            Role::Tool if is_last => {
                events.extend(tool_event(messages, index, has_tool_input_rails)?);
            }
            _ => {}
        }
    }
    Ok(events)
}

/// What happens where the conversation ends with the result of a tool: the user is answered once more.
fn tool_event(
    messages: &[Message],
    index: usize,
    has_tool_input_rails: bool,
) -> Result<Option<Event>> {
    let earlier = messages.get(..index).unwrap_or_default();
    let asked = earlier
        .iter()
        .rev()
        .find(|message| message.role == Role::User)
        .filter(|asked| !asked.content.text().is_empty());
    let Some(asked) = asked else {
        return Ok(None);
    };
    if !has_tool_input_rails {
        let event = Event::new("UserMessage").with("text", content_value(&asked.content));
        return Ok(Some(event));
    }
    let results = messages.iter().filter(|message| message.role == Role::Tool);
    if results.clone().any(Message::has_no_content) {
        return Err(without_content(&Role::Tool));
    }
    let results: Vec<Value> = results
        .map(|message| {
            json!({
                "content": content_value(&message.content),
                "name": message.name.as_deref().unwrap_or("unknown"),
                "tool_call_id": message.tool_call_id.as_deref().unwrap_or_default(),
            })
        })
        .collect();
    Ok(Some(
        Event::new("UserToolMessages").with("tool_messages", results),
    ))
}

fn without_content(role: &Role) -> Error {
    Error::invalid_input(format!(
        "a message of the role `{}` has no `content`",
        role.as_str()
    ))
}

/// The variables of a `context` message.
///
/// # Errors
///
/// Where it holds no object.
pub(crate) fn context_of(message: &Message) -> Result<Map<String, Value>> {
    match &message.content {
        Content::Data(variables) => Ok(variables.clone()),
        _ => Err(Error::invalid_input(
            "the content of a `context` message is an object of variables",
        )),
    }
}

/// The event of an `event` message.
///
/// # Errors
///
/// Where it holds none.
pub(crate) fn event_of(message: &Message) -> Result<Event> {
    match (message.extra.get("event"), &message.content) {
        (Some(event), _) => Event::from_value(event.clone()),
        (None, Content::Data(event)) => Event::from_value(Value::Object(event.clone())),
        _ => Err(Error::invalid_input(
            "an `event` message holds an object with a `type`",
        )),
    }
}

/// A content as events carry it.
pub(crate) fn content_value(content: &Content) -> Value {
    match content {
        Content::None => Value::Null,
        Content::Text(text) => text.as_str().into(),
        Content::Parts(parts) => parts.clone().into(),
        Content::Data(data) => data.clone().into(),
    }
}

/// The reverse of [`content_value`].
pub(crate) fn content_of(value: &Value) -> Content {
    match value {
        Value::Null => Content::None,
        Value::String(text) => Content::Text(text.clone()),
        Value::Array(parts) => Content::Parts(parts.clone()),
        Value::Object(data) => Content::Data(data.clone()),
        other => Content::Text(other.to_string()),
    }
}

/// Tool calls as flows see them: `$tool_calls[0].function.name`.
pub(crate) fn tool_calls_value(calls: &[ToolCall]) -> Value {
    let calls = calls.iter().map(|call| {
        json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}})
    });
    calls.collect()
}

/// The reverse of [`tool_calls_value`]; what is no call is left out.
pub(crate) fn tool_calls_of(value: &Value) -> Vec<ToolCall> {
    let calls = value.as_array().map(Vec::as_slice).unwrap_or_default();
    calls
        .iter()
        .filter_map(|call| {
            let function = call.get("function")?;
            Some(ToolCall {
                id: call.get("id").and_then(Value::as_str).map(str::to_owned),
                name: function.get("name")?.as_str()?.to_owned(),
                arguments: function.get("arguments").cloned().unwrap_or_default(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(messages: &[Message]) -> Vec<String> {
        events_of(messages, 0, false)
            .unwrap()
            .iter()
            .map(|event| event.kind().to_owned())
            .collect()
    }

    #[test]
    fn only_earlier_user_messages_are_answered_already() {
        let messages = [
            Message::user("a"),
            Message::assistant("b"),
            Message::user("c"),
        ];
        assert_eq!(
            kinds(&messages),
            [
                "UtteranceUserActionFinished",
                "UserMessage",
                "StartUtteranceBotAction",
                "UtteranceBotActionFinished",
                "UtteranceUserActionFinished"
            ]
        );
    }

    #[test]
    fn a_tool_result_asks_the_last_question_again() {
        let mut called = Message::assistant(Content::None);
        called.tool_calls = vec![ToolCall {
            id: Some("c".into()),
            name: "f".into(),
            arguments: json!({}),
        }];
        let messages = [Message::user("a"), called, Message::tool("c", "sun")];
        assert_eq!(
            kinds(&messages),
            [
                "UtteranceUserActionFinished",
                "UserMessage",
                "BotToolCalls",
                "UserMessage"
            ]
        );
        let checked = events_of(&messages, 2, true).unwrap();
        assert_eq!(
            checked[0].get("tool_messages").unwrap()[0]["content"],
            "sun"
        );
    }

    #[test]
    fn a_finished_tool_turn_is_left_behind() {
        let mut called = Message::assistant(Content::None);
        called.tool_calls = vec![ToolCall {
            id: Some("c".into()),
            name: "f".into(),
            arguments: json!({}),
        }];
        let messages = [
            Message::user("a"),
            called,
            Message::tool("c", "sun"),
            Message::assistant("Sun."),
            Message::user("b"),
        ];
        assert!(!kinds(&messages).contains(&"BotToolCalls".to_owned()));
    }

    #[test]
    fn unknown_roles_and_context_without_variables() {
        assert!(kinds(&[Message::new(Role::Other("critic".into()), "x")]).is_empty());
        assert!(events_of(&[Message::new(Role::Context, "x")], 0, false).is_err());
        assert!(events_of(&[Message::assistant(Content::None)], 0, false).is_err());
    }
}
