//! What is wrong with arguments, in the words of Python's `jsonschema`, which clients of the reference know.

use boon::{ErrorKind, ValidationError};
use serde_json::Value;

/// The fault that says most: the one that lies nearest to the root, and there the first.
///
/// `instance` is what `schema` does not let pass.
pub(super) fn said(error: &ValidationError<'_, '_>, instance: &Value, schema: &Value) -> String {
    let mut faults = Vec::new();
    collect(error, &mut faults);
    let depth =
        |error: &ValidationError<'_, '_>| error.instance_location.to_string().matches('/').count();
    let best = faults.into_iter().min_by_key(|fault| depth(fault));
    best.map_or_else(|| error.to_string(), |fault| words(fault, instance, schema))
}

/// The faults themselves, without what only leads to them; of alternatives only that none fits.
fn collect<'e>(error: &'e ValidationError<'e, 'e>, faults: &mut Vec<&'e ValidationError<'e, 'e>>) {
    let is_whole = matches!(
        error.kind,
        ErrorKind::AnyOf | ErrorKind::OneOf(_) | ErrorKind::Not | ErrorKind::Contains
    );
    if error.causes.is_empty() || is_whole {
        faults.push(error);
        return;
    }
    for cause in &error.causes {
        collect(cause, faults);
    }
}

fn words(fault: &ValidationError<'_, '_>, instance: &Value, schema: &Value) -> String {
    let pointer = fault.instance_location.to_string();
    let at = instance.pointer(&pointer).unwrap_or(instance);
    let it = shown(at);
    match &fault.kind {
        ErrorKind::Required { want } => {
            let missing = want.first().copied().unwrap_or_default();
            format!("{} is a required property", quoted(missing))
        }
        ErrorKind::Type { want, .. } => {
            // The schema has them in the order in which they were written.
            let written = fault.schema_url.split_once('#');
            let written = written.and_then(|(_, pointer)| schema.pointer(pointer)?.get("type"));
            let types: Vec<String> = match written {
                Some(Value::Array(types)) => types.iter().map(shown).collect(),
                Some(kind) => vec![shown(kind)],
                None => want.iter().map(|kind| quoted(&kind.to_string())).collect(),
            };
            format!("{it} is not of type {}", types.join(", "))
        }
        ErrorKind::AdditionalProperties { got } => {
            let mut extra: Vec<&str> = got.iter().map(|name| &**name).collect();
            extra.sort_unstable();
            let verb = if extra.len() == 1 { "was" } else { "were" };
            let extra: Vec<String> = extra.into_iter().map(quoted).collect();
            format!(
                "Additional properties are not allowed ({} {verb} unexpected)",
                extra.join(", ")
            )
        }
        ErrorKind::Enum { want } => {
            let want: Vec<String> = want.iter().map(shown).collect();
            format!("{it} is not one of [{}]", want.join(", "))
        }
        ErrorKind::Const { want } => format!("{} was expected", shown(want)),
        ErrorKind::Minimum { want, .. } => format!("{it} is less than the minimum of {want}"),
        ErrorKind::Maximum { want, .. } => format!("{it} is greater than the maximum of {want}"),
        ErrorKind::ExclusiveMinimum { want, .. } => {
            format!("{it} is less than or equal to the minimum of {want}")
        }
        ErrorKind::ExclusiveMaximum { want, .. } => {
            format!("{it} is greater than or equal to the maximum of {want}")
        }
        ErrorKind::MultipleOf { want, .. } => format!("{it} is not a multiple of {want}"),
        ErrorKind::MinLength { want, .. } | ErrorKind::MinItems { want, .. } if *want == 1 => {
            format!("{it} should be non-empty")
        }
        ErrorKind::MinLength { .. } | ErrorKind::MinItems { .. } => format!("{it} is too short"),
        ErrorKind::MaxItems { want: 0, .. } => format!("{it} is expected to be empty"),
        ErrorKind::MaxLength { .. } | ErrorKind::MaxItems { .. } => format!("{it} is too long"),
        ErrorKind::Pattern { want, .. } => format!("{it} does not match {}", quoted(want)),
        ErrorKind::UniqueItems { .. } => format!("{it} has non-unique elements"),
        ErrorKind::MinProperties { .. } => format!("{it} does not have enough properties"),
        ErrorKind::MaxProperties { .. } => format!("{it} has too many properties"),
        ErrorKind::AnyOf => format!("{it} is not valid under any of the given schemas"),
        ErrorKind::OneOf(None) => format!("{it} is not valid under any of the given schemas"),
        ErrorKind::Contains => {
            format!("{it} does not contain items matching the given schema")
        }
        ErrorKind::FalseSchema => format!("False schema does not allow {it}"),
        ErrorKind::DependentRequired { prop, missing }
        | ErrorKind::Dependency { prop, missing } => {
            let missing = missing.first().copied().unwrap_or_default();
            format!("{} is a dependency of {}", quoted(missing), quoted(prop))
        }
        other => other.to_string(),
    }
}

/// A list of texts as Python shows it.
pub(super) fn list(texts: &[&str]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(", "))
}

fn shown(value: &Value) -> String {
    crate::value::Value::from_json(value).repr()
}

fn quoted(text: &str) -> String {
    shown(&text.into())
}
