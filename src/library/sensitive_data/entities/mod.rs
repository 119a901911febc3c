//! The entities that patterns find, by region.
//!
//! To add one, add its entry to the file of its region. Their formats, scores and words follow the recognizers of Presidio
//! 2.2, whose scores users set thresholds by.

mod africa;
mod america;
mod asia_pacific;
mod europe;
mod generic;
mod germany;

use super::entity::Entity;

/// The entity `name`.
pub(super) fn find(name: &str) -> Option<&'static Entity> {
    all().find(|entity| entity.name == name)
}

/// Every entity that patterns find.
pub(super) fn all() -> impl Iterator<Item = &'static Entity> {
    [
        generic::ENTITIES,
        america::ENTITIES,
        europe::ENTITIES,
        germany::ENTITIES,
        asia_pacific::ENTITIES,
        africa::ENTITIES,
    ]
    .into_iter()
    .flatten()
}
