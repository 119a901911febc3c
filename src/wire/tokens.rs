//! Log-probabilities: they say a text again, token by token, with what else each token might have been.

use std::{borrow::Cow, hash::Hash};

use super::{
    Patch, Relation, ReplyText, TextClass, Unreadable,
    json::{Kind, Member, Value},
    walk::{Path, Walk},
};

/// A list of tokens, each with a `token`, perhaps its `bytes`, and the tokens that might have stood there (`top_logprobs`).
pub(super) struct TokenList<'p, K> {
    /// The list's place: what the ranks of its tokens are told by.
    place: &'p K,
    said: Relation,
    /// The bytes of each rank, joined: those of a character may be cut between tokens.
    bytes: Vec<Vec<u8>>,
}

impl<'p, K: Hash> TokenList<'p, K> {
    /// A list at `place` that says again what `said` relates it to.
    pub(super) fn new(place: &'p K, said: Relation) -> Self {
        Self {
            place,
            said,
            bytes: Vec::new(),
        }
    }

    /// Takes in the tokens.
    pub(super) fn read<'a>(
        mut self,
        walk: &mut Walk<'a, '_>,
        tokens: Value<'_, 'a>,
        path: Path<'_>,
    ) -> Result<(), Unreadable> {
        for token in tokens.elements() {
            self.token(walk, token, 0, path)?;
        }
        for (rank, bytes) in self.bytes.into_iter().enumerate() {
            if !bytes.is_empty() {
                walk.texts.push(ReplyText {
                    channel: walk.channel(&(self.place, "bytes", rank)),
                    relation: self.said,
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

    /// Takes in one token's text; 0 is the rank of the chosen one, 1 that of the first alternative.
    pub(super) fn text<'a>(
        &self,
        walk: &mut Walk<'a, '_>,
        value: Value<'_, 'a>,
        rank: usize,
        path: Path<'_>,
    ) {
        if !value.is_string() {
            return walk.other(value, path);
        }
        let channel = walk.channel(&(self.place, "token", rank));
        walk.push(value, channel, self.said, TextClass::STRUCTURAL);
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
                "bytes" if value.is_array() => self.take_bytes(walk, value, rank, path.key(name)),
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

    fn take_bytes<'a>(
        &mut self,
        walk: &mut Walk<'a, '_>,
        value: Value<'_, 'a>,
        rank: usize,
        path: Path<'_>,
    ) {
        if self.bytes.len() <= rank {
            self.bytes.resize(rank + 1, Vec::new());
        }
        if let Some(bytes) = self.bytes.get_mut(rank) {
            let numbers = value.elements().filter_map(Value::as_u64);
            bytes.extend(numbers.filter_map(|number| u8::try_from(number).ok()));
        }
        for element in value.elements() {
            if element.kind() != Kind::Number {
                walk.other(element, path);
            }
        }
    }
}
