//! Log-probabilities: they say the text again, token by token, with what else it might have been.

use std::borrow::Cow;

use super::reply::{Place, Site};
use crate::wire::{
    Patch, Relation, ReplyText, TextClass, Unreadable,
    json::{Kind, Member, Value},
    walk::{Path, Walk},
};

/// The log-probabilities of a choice.
pub(super) fn logprobs<'a>(
    walk: &mut Walk<'a, '_>,
    logprobs: Value<'_, 'a>,
) -> Result<(), Unreadable> {
    let path = Path::ROOT.key("logprobs");
    walk.members(logprobs, |walk, name, Member { key, value }| {
        match name {
            "content" | "refusal" if value.is_array() => {
                let list = u8::from(name == "refusal");
                return Tokens::of(list).read(walk, value, path.key(name));
            }
            // The older form: a list of strings.
            "tokens" if value.is_array() => {
                for token in value.elements() {
                    Tokens::of(2).text(walk, token, 0, path.key(name));
                }
            }
            _ => walk.unknown(key, value, path),
        }
        Ok(())
    })
}

/// A list of tokens.
struct Tokens {
    list: u8,
    /// The bytes of each rank, joined: those of a character may be cut between tokens.
    bytes: Vec<Vec<u8>>,
}

impl Tokens {
    fn of(list: u8) -> Self {
        Self {
            list,
            bytes: Vec::new(),
        }
    }

    fn relation(&self, walk: &Walk<'_, '_>) -> Relation {
        let said = match self.list {
            1 => Place::Refusal(Site::Delta),
            _ => Place::Content(Site::Delta),
        };
        Relation::Repeats(walk.channel(&said))
    }

    fn read<'a>(
        mut self,
        walk: &mut Walk<'a, '_>,
        tokens: Value<'_, 'a>,
        path: Path<'_>,
    ) -> Result<(), Unreadable> {
        for token in tokens.elements() {
            self.token(walk, token, 0, path)?;
        }
        let relation = self.relation(walk);
        for (rank, bytes) in self.bytes.into_iter().enumerate() {
            if !bytes.is_empty() {
                walk.texts.push(ReplyText {
                    channel: walk.channel(&Place::TokenBytes(self.list, rank)),
                    relation,
                    class: TextClass {
                        patch: Patch::Null,
                        ..TextClass::STRUCTURAL
                    },
                    text: Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
                    span: tokens.span(),
                });
            }
        }
        Ok(())
    }

    fn text<'a>(&self, walk: &mut Walk<'a, '_>, value: Value<'_, 'a>, rank: usize, path: Path<'_>) {
        if !value.is_string() {
            return walk.other(value, path);
        }
        let channel = walk.channel(&Place::Tokens(self.list, rank));
        walk.push(value, channel, self.relation(walk), TextClass::STRUCTURAL);
    }

    fn token<'a>(
        &mut self,
        walk: &mut Walk<'a, '_>,
        token: Value<'_, 'a>,
        rank: usize,
        path: Path<'_>,
    ) -> Result<(), Unreadable> {
        let path = path.at(rank);
        if !token.is_object() {
            walk.other(token, path);
            return Ok(());
        }
        walk.members(token, |walk, name, Member { key, value }| {
            match name {
                "token" => self.text(walk, value, rank, path.key(name)),
                "bytes" if value.is_array() => {
                    if self.bytes.len() <= rank {
                        self.bytes.resize(rank + 1, Vec::new());
                    }
                    if let Some(bytes) = self.bytes.get_mut(rank) {
                        let numbers = value.elements().filter_map(Value::as_u64);
                        bytes.extend(numbers.filter_map(|number| u8::try_from(number).ok()));
                    }
                    value.elements().for_each(|element| {
                        if element.kind() != Kind::Number {
                            walk.other(element, path.key(name));
                        }
                    });
                }
                "top_logprobs" if value.is_array() && rank == 0 => {
                    for (alternative, token) in value.elements().enumerate() {
                        self.token(walk, token, alternative + 1, path)?;
                    }
                }
                _ => walk.unknown(key, value, path),
            }
            Ok(())
        })
    }
}
