//! Streams of text under rails: what may leave when.
//!
//! A [`Track`] follows one text as it comes (a choice's content, a tool call's arguments) and knows how much of it is
//! cleared. It is pure: text goes in, a cleared offset comes out, and what has to be asked of a model comes out as a
//! [`Window`] whose verdict is given back.
//!
//! - Rails by patterns clear exactly: all but the tail that could still become a match.
//! - A rail that rewrites and says how far a text is settled clears as far, where it is the only one; any other rail that
//!   rewrites clears at the end.
//! - Rails that ask clear by windows: `chunk_size` new tokens, judged with the `context_size` tokens before them.
//!   Where a rail looks for something that stands in the text, that context stays behind until the next window has passed.
//! - A rail that judges a text as a whole, or rewrites it and needs all of it for that, clears it at its end.

mod growing;
mod tokens;
mod track;

pub(crate) use growing::Growing;
pub(crate) use track::{Stop, Track, TrackPlan};
