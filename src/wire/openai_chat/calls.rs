//! The calls of tools in a reply.

use std::{borrow::Cow, collections::HashMap};

use super::reply::{Body, Place, Site};
use crate::wire::{
    CallPiece, CallText, ListElement, TextClass, Unreadable,
    json::{Member, Value},
    walk::{Path, Walk},
};

/// The number of the one call of a function in the older spelling: behind all others.
pub(super) const FUNCTION: u64 = u64::MAX;

/// Tells the calls of a stream apart: by their index, and by their ids where services give all calls the same index, or none.
#[derive(Debug, Default)]
pub(super) struct CallNumbers {
    /// The call that goes on at an index, with its id.
    current: HashMap<(Option<u32>, u32), (String, u64)>,
    /// How many calls have begun at an index where one was before.
    more: u32,
}

impl CallNumbers {
    /// The number of the call that a piece at `index` belongs to.
    pub(super) fn number(&mut self, choice: Option<u32>, index: u32, call: Value<'_, '_>) -> u64 {
        let id = call.get("id").and_then(Value::as_str).unwrap_or_default();
        let (current, number) = self
            .current
            .entry((choice, index))
            .or_insert_with(|| (String::new(), index.into()));
        let is_other = !id.is_empty() && !current.is_empty() && *current != *id;
        if is_other && has_name(call) {
            // Behind all that an index alone can number.
            *number = u64::from(u32::MAX) + 1 + u64::from(self.more);
            self.more = self.more.saturating_add(1);
        }
        if current.is_empty() || is_other {
            current.clear();
            current.push_str(&id);
        }
        *number
    }
}

/// Whether a part of the content is a call of a tool, as other formats have them.
pub(super) fn is_part(part: Value<'_, '_>) -> bool {
    let kind = part.get("type").and_then(Value::as_str);
    kind.is_some_and(|kind| {
        kind.ends_with("tool_use") || kind.ends_with("_call") || kind == "functionCall"
    })
}

/// The number of a call that is a part of the content: behind all that services number.
pub(super) fn number_of_part(position: usize) -> u64 {
    let position = u64::try_from(position).unwrap_or(u64::MAX);
    (FUNCTION - 1).saturating_sub(position)
}

fn has_name(call: Value<'_, '_>) -> bool {
    let body = ["function", "custom"].iter().find_map(|key| call.get(key));
    let name = body.unwrap_or(call).get("name");
    name.is_some_and(|name| name.is_string() && !name.is(""))
}

/// The texts of a tool call or a function call.
pub(super) fn texts<'a>(
    walk: &mut Walk<'a, '_>,
    call: Value<'_, 'a>,
    site: Site,
    number: u64,
    body: Body,
    path: Path<'_>,
) -> Result<(), Unreadable> {
    if !call.is_object() {
        walk.other(call, path);
        return Ok(());
    }
    let position = usize::try_from(number).unwrap_or(usize::MAX);
    let path = path.at(position);
    walk.members(call, |walk, name, Member { key, value }| {
        match name {
            "function" if value.is_object() => {
                texts(walk, value, site, number, Body::Function, path.key(name))?;
            }
            "custom" if value.is_object() => {
                texts(walk, value, site, number, Body::Custom, path.key(name))?;
            }
            "name" => {
                let place = Place::CallName(site, number, body);
                walk.known(value, &place, TextClass::CALL_NAME, path.key(name));
            }
            "arguments" | "input" => {
                let place = Place::CallArguments(site, number, body);
                let outer = std::mem::replace(&mut walk.of_call, true);
                walk.known(value, &place, TextClass::ARGUMENTS, path.key(name));
                walk.of_call = outer;
            }
            _ => walk.unknown(key, value, path),
        }
        Ok(())
    })
}

/// A tool call, a function call, or a piece of one.
pub(super) fn piece<'a>(call: Value<'_, 'a>, list: Option<Value<'_, 'a>>) -> CallPiece<'a> {
    let body = |key| call.get(key).filter(|value| !value.is_null());
    let (function, custom) = (body("function"), body("custom"));
    let body = function.or(custom).unwrap_or(call);
    let text = |value: Value<'_, 'a>| CallText {
        text: value.as_str().unwrap_or(Cow::Borrowed(value.source())),
        span: value.span(),
        is_string: value.is_string(),
    };
    let given = |key| body.get(key).filter(|value| !value.is_null()).map(text);
    let (arguments, input) = (given("arguments"), given("input"));
    let name = given("name");
    CallPiece {
        is_malformed: !body.is_object()
            || (function.is_some() && custom.is_some())
            || (arguments.is_some() && input.is_some())
            || name.as_ref().is_some_and(|name| !name.is_string),
        element: list.map(|list| ListElement {
            span: call.span(),
            list: list.span(),
        }),
        index_span: call.get("index").map(|index| index.span()),
        id: call.get("id").and_then(Value::as_str),
        name,
        arguments: arguments.or(input),
        ..CallPiece::default()
    }
}
