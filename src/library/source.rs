//! What the rails share that stand on what comes in, what goes out and what is retrieved, each with settings of its own.

use super::{Bound, Call, call::target_of};
use crate::error::Error;

/// The arguments of actions on what comes in.
pub(super) const INPUT: &[(&str, Bound)] = &[
    ("source", Bound::Literal("input")),
    ("text", Bound::Variable("user_message")),
];

/// The arguments of actions on what goes out.
pub(super) const OUTPUT: &[(&str, Bound)] = &[
    ("source", Bound::Literal("output")),
    ("text", Bound::Variable("bot_message")),
];

/// The arguments of actions on chunks.
pub(super) const RETRIEVAL: &[(&str, Bound)] = &[
    ("source", Bound::Literal("retrieval")),
    ("text", Bound::Variable("relevant_chunks")),
];

/// That of the source `name` of what there is for `input`, `output` and `retrieval`.
pub(super) fn by_name<'a, T>(name: &str, [input, output, retrieval]: [&'a T; 3]) -> Option<&'a T> {
    Some(match name {
        "input" => input,
        "output" => output,
        "retrieval" => retrieval,
        _ => return None,
    })
}

/// That of the source that `call` is about, with the variable that holds its text.
///
/// # Errors
///
/// Where its `source` is none of them.
pub(super) fn of_source<'a, T>(
    call: &Call<'_>,
    each: [&'a T; 3],
) -> Result<(&'a T, &'static str), Error> {
    let source = call.required("source")?;
    by_name(&source, each)
        .zip(target_of(&source))
        .ok_or_else(|| {
            call.failed(format!(
                "`source` is `{source}`, not `input`, `output` or `retrieval`"
            ))
        })
}
