//! Keys that some readers take for others.

use std::{borrow::Cow, collections::HashMap};

use super::{
    Unreadable,
    json::{Document, Value},
    path::fold,
};

/// Whether `key` is not `known` itself, but is to readers that fold letters.
pub(super) fn is_only_folded(key: &str, known: &[&str]) -> bool {
    // Folding changes nothing about most keys.
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit();
    if key.bytes().all(is_plain) {
        return false;
    }
    let folded = folded(key);
    folded != key && known.contains(&folded.as_str())
}

/// The same, where `known` are in `camelCase`.
pub(super) fn is_folded_camel(key: &str, known: &[&str]) -> bool {
    if known.contains(&key) {
        return false;
    }
    let folded = folded(key);
    known
        .iter()
        .any(|known| known.eq_ignore_ascii_case(&folded))
}

/// The key as readers that fold letters compare it.
pub(super) fn folded(key: &str) -> String {
    key.chars().flat_map(fold).collect()
}

/// An error if an object has a key twice, anywhere.
pub(super) fn refuse_repeated(document: &Document<'_>) -> Result<(), Unreadable> {
    match document.repeated_key() {
        None => Ok(()),
        Some(key) => Err(Unreadable::bad_request(
            "duplicate_key",
            format!(
                "The body has a key twice in one object (byte {}).",
                key.span().start
            ),
        )),
    }
}

/// An error if `object` has a key that only readers that fold letters take for one of `known`.
pub(super) fn refuse_folded(object: Value<'_, '_>, known: &[&str]) -> Result<(), Unreadable> {
    for member in object.members() {
        let Some(key) = member.key.as_str() else {
            continue;
        };
        if is_only_folded(&key, known) {
            return Err(Unreadable::bad_request(
                "ambiguous_key",
                format!(
                    "The body has a key in another letter case than the format's (byte {}).",
                    member.key.span().start
                ),
            ));
        }
    }
    Ok(())
}

/// For each member of `object`: how many later members have its key.
pub(super) fn later_twins(object: Value<'_, '_>) -> Vec<usize> {
    let mut later: Vec<usize> = Vec::new();
    let mut seen: HashMap<Cow<'_, str>, usize> = HashMap::new();
    let keys: Vec<_> = object.members().map(|member| member.key).collect();
    for key in keys.into_iter().rev() {
        let count = seen.entry(key.as_str().unwrap_or_default()).or_default();
        later.push(*count);
        *count += 1;
    }
    later.reverse();
    later
}
