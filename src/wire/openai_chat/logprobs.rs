//! Log-probabilities of a choice.

use super::reply::{Place, Site};
use crate::wire::{
    Relation, Unreadable,
    json::{Member, Value},
    tokens::TokenList,
    walk::{Path, Walk},
};

/// The log-probabilities of a choice.
pub(super) fn logprobs<'a>(
    walk: &mut Walk<'a, '_>,
    logprobs: Value<'_, 'a>,
) -> Result<(), Unreadable> {
    let path = Path::ROOT.key("logprobs");
    let content = Relation::Repeats(walk.channel(&Place::Content(Site::Delta)));
    let refusal = Relation::Repeats(walk.channel(&Place::Refusal(Site::Delta)));
    walk.members(logprobs, |walk, name, Member { key, value }| {
        match name {
            "content" if value.is_array() => {
                TokenList::new(&Place::Tokens(0), content).read(walk, value, path.key(name))?;
            }
            "refusal" if value.is_array() => {
                TokenList::new(&Place::Tokens(1), refusal).read(walk, value, path.key(name))?;
            }
            // The older form: a list of strings.
            "tokens" if value.is_array() => {
                let place = Place::Tokens(2);
                let list = TokenList::new(&place, content);
                for token in value.elements() {
                    list.text(walk, token, 0, path.key(name));
                }
            }
            _ => walk.unknown(key, value, path),
        }
        Ok(())
    })
}
