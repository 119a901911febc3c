//! Messages whose content is blocks, as Anthropic's and Bedrock's are.

use std::borrow::Cow;

use serde_json::Value as JsonValue;

use super::{
    RequestMessage, TextKind, Unreadable,
    json::{Kind, Value},
    texts::{Texts, Words},
};
use crate::message::{Role, ToolCall};

/// What tells such formats apart.
pub(super) struct BlockFormat {
    pub(super) words: &'static Words,
    pub(super) invalid: fn(&'static str) -> Unreadable,
    /// Refuses a message that has a key in another letter case.
    pub(super) refuse_folded: fn(Value<'_, '_>) -> Result<(), Unreadable>,
    /// Reads a block into its message, and the result of a tool in it into a message of its own.
    pub(super) block: for<'d, 'a> fn(
        Value<'d, 'a>,
        &mut RequestMessage<'a>,
        &mut Vec<RequestMessage<'a>>,
    ) -> Result<(), Unreadable>,
    /// What is wrong with a content that is neither text nor blocks.
    pub(super) no_content: &'static str,
}

impl BlockFormat {
    /// Reads a message, and the results of tools in it as messages of their own: before it where the user brings them, behind it where
    /// the service ran the tools itself.
    pub(super) fn message<'a>(
        &self,
        message: Value<'_, 'a>,
        out: &mut Vec<RequestMessage<'a>>,
    ) -> Result<(), Unreadable> {
        if !message.is_object() {
            return Err((self.invalid)("A message must be an object."));
        }
        (self.refuse_folded)(message)?;
        let role = message.get("role").and_then(Value::as_str);
        let role = role.ok_or((self.invalid)(
            "A message must have a `role`, which must be a string.",
        ))?;
        let mut own = RequestMessage::new(Role::from_name(&role), message.span());
        let mut results = Vec::new();
        for member in message.members() {
            match member.key.as_str().as_deref().unwrap_or_default() {
                "role" => {}
                "content" => self.content(member.value, &mut own, &mut results)?,
                _ => {
                    let mut texts = Texts::new(&mut own.texts, self.words);
                    texts.member(member.key, member.value, TextKind::Other);
                }
            }
        }
        if own.role == Role::Assistant {
            out.push(own);
            out.append(&mut results);
        } else {
            let only_results = own.texts.is_empty() && !results.is_empty();
            out.append(&mut results);
            if !only_results {
                out.push(own);
            }
        }
        Ok(())
    }

    /// Reads a content: a text, or blocks. Some servers take one block for a list of it.
    pub(super) fn content<'a>(
        &self,
        content: Value<'_, 'a>,
        message: &mut RequestMessage<'a>,
        results: &mut Vec<RequestMessage<'a>>,
    ) -> Result<(), Unreadable> {
        match content.kind() {
            Kind::Null => Ok(()),
            Kind::Array => content
                .elements()
                .try_for_each(|element| self.block(element, message, results)),
            Kind::String | Kind::EscapedString | Kind::Object => {
                self.block(content, message, results)
            }
            Kind::True | Kind::False | Kind::Number => Err((self.invalid)(self.no_content)),
        }
    }

    fn block<'a>(
        &self,
        block: Value<'_, 'a>,
        message: &mut RequestMessage<'a>,
        results: &mut Vec<RequestMessage<'a>>,
    ) -> Result<(), Unreadable> {
        if block.is_string() {
            Texts::new(&mut message.texts, self.words).push(TextKind::Content, block);
            return Ok(());
        }
        if !block.is_object() {
            return Err((self.invalid)("A content block must be an object."));
        }
        (self.block)(block, message, results)
    }
}

/// The neutral form of a call, whose id stands under `id`.
pub(super) fn tool_call(call: Value<'_, '_>, id: &str) -> ToolCall {
    let string = |key| call.get(key).and_then(Value::as_str).map(Cow::into_owned);
    let input = call.get("input");
    ToolCall {
        id: string(id),
        name: string("name").unwrap_or_default(),
        arguments: input.map_or(JsonValue::Null, |input| {
            serde_json::from_str(input.source()).unwrap_or_default()
        }),
    }
}
