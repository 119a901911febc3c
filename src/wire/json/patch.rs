//! Changing a body where it is to be changed, and nowhere else.

use std::{borrow::Cow, ops::Range};

use super::push_string;

/// What to put in the place of a range of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit<'a> {
    /// A text, written as a JSON string with its quotes.
    Text(Cow<'a, str>),
    /// Bytes, as they are.
    Raw(Cow<'a, [u8]>),
}

/// An edit of a body, with the range whose place it takes.
pub type BodyEdit = (Range<usize>, Edit<'static>);

/// Applies `edits`, in any order, to `body`; every byte outside their ranges stays as it is.
///
/// Of edits that overlap, the one that begins first wins, and of those the longest, so that replacing a whole choice
/// wins over replacing a text in it. Ranges outside the body are left out.
pub fn patch(body: &[u8], edits: &[(Range<usize>, Edit<'_>)]) -> Vec<u8> {
    let mut order: Vec<_> = edits.iter().collect();
    order.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
    let mut patched = Vec::with_capacity(body.len() + 64);
    let mut at = 0;
    for (range, edit) in order {
        if range.end > body.len() {
            continue;
        }
        let Some(kept) = body.get(at..range.start) else {
            continue;
        };
        if range.end < range.start {
            continue;
        }
        patched.extend_from_slice(kept);
        match edit {
            Edit::Text(text) => push_string(&mut patched, text),
            Edit::Raw(bytes) => patched.extend_from_slice(bytes),
        }
        at = range.end;
    }
    patched.extend_from_slice(body.get(at..).unwrap_or_default());
    patched
}
