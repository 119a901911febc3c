//! The calls of tools in a reply.

use std::borrow::Cow;

use super::reply::{Place, Site};
use crate::wire::{
    CallPiece, CallText, ListElement, TextClass, Unreadable,
    json::{Member, Value},
    walk::{Path, Walk},
};

/// The number of the one call of a function in the older spelling: behind all others.
pub(super) const FUNCTION: u64 = u64::MAX;

/// The texts of a tool call or a function call.
pub(super) fn texts<'a>(
    walk: &mut Walk<'a, '_>,
    call: Value<'_, 'a>,
    site: Site,
    number: u64,
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
            "function" | "custom" if value.is_object() => {
                texts(walk, value, site, number, path.key(name))?;
            }
            "name" => {
                let place = Place::CallName(site, number);
                walk.known(value, &place, TextClass::CALL_NAME, path.key(name));
            }
            "arguments" | "input" => {
                let place = Place::CallArguments(site, number);
                walk.known(value, &place, TextClass::ARGUMENTS, path.key(name));
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
