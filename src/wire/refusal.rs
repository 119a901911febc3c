//! Making an object of a reply a refusal.

use serde_json::Value as JsonValue;

use super::{
    BodyEdit, Edit,
    json::{Member, Value},
};

/// The edits that make `object` a refusal: the members in `kept` stay as they are, those of `new` stand behind them, and all others go,
/// for what stands beside the text that was blocked may say it, too.
pub(super) fn refused_object(
    object: Value<'_, '_>,
    kept: &[&str],
    new: &[(&str, JsonValue)],
) -> Vec<BodyEdit> {
    let raw = |json: String| Edit::Raw(json.into_bytes().into());
    let added = new
        .iter()
        .map(|(name, value)| format!("{}:{value}", JsonValue::from(*name)));
    let added = added.collect::<Vec<_>>().join(",");
    let is_kept = |member: &Member<'_, '_>| {
        let name = member.key.as_str();
        name.is_some_and(|name| kept.contains(&&*name) && may_be_kept(&name, member.value))
    };
    let members: Vec<_> = object.members().collect();
    let last = members
        .iter()
        .rposition(is_kept)
        .and_then(|last| Some((last, members.get(last)?)));
    let Some((last, last_kept)) = last else {
        return vec![(object.span(), raw(format!("{{{added}}}")))];
    };
    let mut edits = Vec::new();
    for (member, next) in members.iter().zip(members.iter().skip(1)).take(last) {
        if !is_kept(member) {
            let span = member.key.span().start..next.key.span().start;
            edits.push((span, raw(String::new())));
        }
    }
    // Up to the closing bracket.
    let rest = last_kept.value.span().end..object.span().end.saturating_sub(1);
    let comma = if added.is_empty() { "" } else { "," };
    edits.push((rest, raw(format!("{comma}{added}"))));
    edits
}

/// Whether what stands under the key `name` is of the kind that it should be, so that it says nothing: where a number should be, a
/// string may be what was blocked.
pub(super) fn may_be_kept(name: &str, value: Value<'_, '_>) -> bool {
    !value.is_string() || matches!(name, "id" | "object" | "model" | "type" | "role")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::wire::{JsonLimits, json::Document, patch};

    proptest! {
        /// Whatever members there are, those that are kept stay with their values, the new ones are there, and nothing else is.
        #[test]
        fn only_what_is_kept_and_what_is_new_is_left(
            names in prop::collection::vec("[a-d]", 0..7),
            kept in prop::collection::vec(prop::sample::select(vec!["a", "b"]), 0..2),
            has_new in any::<bool>(),
        ) {
            let members = names.iter().enumerate().map(|(n, name)| format!(" \"{name}\" : [{n}]"));
            let body = format!("{{{} }}", members.collect::<Vec<_>>().join(" ,"));
            let document = Document::read(body.as_bytes(), &JsonLimits::default()).unwrap();
            let new = if has_new { vec![("n", json!("x"))] } else { Vec::new() };
            let edits = refused_object(document.root(), &kept, &new);
            let left: JsonValue = serde_json::from_slice(&patch(body.as_bytes(), &edits)).unwrap();
            let mut wanted = serde_json::Map::new();
            for (n, name) in names.iter().enumerate() {
                if kept.contains(&name.as_str()) {
                    wanted.insert(name.clone(), json!([n]));
                }
            }
            if has_new {
                wanted.insert("n".to_owned(), json!("x"));
            }
            prop_assert_eq!(left, JsonValue::Object(wanted));
        }
    }
}
