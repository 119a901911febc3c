//! What a reply, or one record of a streamed reply, says, borrowed from its body.

use std::{
    borrow::Cow,
    hash::{BuildHasher, Hash, RandomState},
    ops::Range,
    sync::LazyLock,
};

use super::{BodyEdit, Edit};

/// The texts of a whole reply or of one record of a streamed one.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ReplyTexts<'a> {
    /// Every text, in the order of the body.
    pub texts: Vec<ReplyText<'a>>,
    /// The choices, in the order of the body.
    pub choices: Vec<ChoiceSpan>,
    /// The calls of tools, or the pieces of them: an entry for each element that stands among the calls. Their names and
    /// arguments are among `texts`, too.
    pub calls: Vec<CallPiece<'a>>,
    /// What the record is.
    pub kind: RecordKind,
    /// Whether readers do not agree on what is said: a key stands twice in one object, or in another letter case than the
    /// format's. All values are among `texts`; of a key that stands twice, the last value is on the channel that it would
    /// be on alone, the others are on channels of their own.
    pub ambiguous: bool,
    /// Of a record: whether one that has the same bytes but for the text of its answer and for its `counters` is read alike, and
    /// reading it leaves the format's state as it was. Such records are not read anew. Default: no.
    pub repeats_alike: bool,
    /// Where numbers lie that only number the records of a stream.
    pub counters: Vec<Range<usize>>,
}

/// What a record of a streamed reply is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum RecordKind {
    /// Part of the reply.
    #[default]
    Data,
    /// The last one: what follows it is none of the client's.
    Done,
    /// An error in the place of the reply.
    Error,
}

/// One text of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyText<'a> {
    /// The running text that it belongs to.
    pub channel: Channel,
    /// How it stands to what was said before.
    pub relation: Relation,
    /// How it is judged, and what may take its place.
    pub class: TextClass,
    /// The text, decoded.
    pub text: Cow<'a, str>,
    /// The token that carries it, quotes included; of a byte list, the list.
    pub span: Range<usize>,
}

/// A running text of a reply: a place whose texts a client puts together, one after the other.
///
/// ```
/// use tower_guardrails::wire::Channel;
///
/// assert_eq!(Channel::new(Some(0), &"content"), Channel::new(Some(0), &"content"));
/// assert_ne!(Channel::new(Some(0), &("arguments", 0)), Channel::new(Some(0), &("arguments", 1)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Channel {
    /// The choice; none for texts outside the choices.
    pub choice: Option<u32>,
    /// The format's own number of the place.
    pub id: u64,
}

impl Channel {
    /// The channel of the place `key`, which is whatever a format tells places by. The number is a hash under a key of this
    /// process, so that no service can make the texts of two places one.
    pub fn new(choice: Option<u32>, key: &impl Hash) -> Self {
        static SECRET: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let id = SECRET.hash_one(key);
        Self { choice, id }
    }
}

/// How a text stands to what was said before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Relation {
    /// A client appends it to what came before on its channel.
    Appends,
    /// It stands alone: each text of its channel is a whole one.
    Alone,
    /// It says again what another channel says: the same piece in a second place, all of it so far, or piece by piece, as
    /// log-probabilities do. Where the other text is rewritten, it is, too.
    Repeats(Channel),
}

/// How a text is judged, and what may take its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TextClass {
    /// Whether rails that ask a model or a service read it; all others are judged by patterns.
    pub asked: bool,
    /// Whether it is JSON itself.
    pub json: HoldsJson,
    /// Whether it is part of a call of a tool: where rails of their own judge calls, it is left to them.
    pub of_call: bool,
    /// What may take its place.
    pub patch: Patch,
}

/// Whether a text is JSON itself, so that a client reads it without its escapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HoldsJson {
    /// Never.
    No,
    /// Where the request asks for it, or the text looks so: an answer.
    Maybe,
    /// Always: a call's arguments.
    Yes,
}

/// What may take the place of a text's token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Patch {
    /// Another text, as a JSON string.
    Text,
    /// `null`.
    Null,
    /// Nothing: a text that is caught there blocks.
    No,
}

impl TextClass {
    /// What the model says to people: the answer, a refusal, what it thought.
    pub const ANSWER: Self = Self {
        json: HoldsJson::Maybe,
        ..Self::TEXT
    };
    /// Any other text that people may read: titles, citations, results of tools.
    pub const TEXT: Self = Self {
        asked: true,
        json: HoldsJson::No,
        of_call: false,
        patch: Patch::Text,
    };
    /// What says where or what something is (ids, the model's name), and what is no text at all (base64, signatures): for
    /// patterns only.
    pub const STRUCTURAL: Self = Self {
        asked: false,
        ..Self::TEXT
    };
    /// An object's key.
    pub const KEY: Self = Self {
        patch: Patch::No,
        ..Self::STRUCTURAL
    };
    /// The name of a tool that is called.
    pub const CALL_NAME: Self = Self {
        of_call: true,
        ..Self::STRUCTURAL
    };
    /// The arguments of a call, as JSON in a string, or as a piece of that.
    pub const ARGUMENTS: Self = Self {
        json: HoldsJson::Yes,
        of_call: true,
        ..Self::TEXT
    };
    /// A string inside arguments that are an object.
    pub const ARGUMENT: Self = Self {
        of_call: true,
        ..Self::TEXT
    };
}

/// One choice of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChoiceSpan {
    /// The choice's index, as the reply says, or else its position.
    pub index: u32,
    /// Where the choice's object lies in the body.
    pub span: Range<usize>,
    /// Whether the choice ends here: it has a finish reason.
    pub finish: bool,
}

/// The edits that take the `blocked` ones of `choices`, which are neighbours in one list, out of a body, each with a comma; none
/// where none of them is left. For [`StreamFormat::without`](super::StreamFormat::without).
pub fn without_choices(
    choices: &[ChoiceSpan],
    blocked: &dyn Fn(u32) -> bool,
) -> Option<Vec<BodyEdit>> {
    let last_kept = choices.iter().rposition(|choice| !blocked(choice.index))?;
    let nothing = || Edit::Raw(Cow::Borrowed(b"".as_slice()));
    let mut edits = Vec::new();
    let before = choices.iter().zip(choices.iter().skip(1)).take(last_kept);
    for (one, next) in before {
        if blocked(one.index) {
            edits.push((one.span.start..next.span.start, nothing()));
        }
    }
    // Behind the last that stays, the comma is the one before.
    if let (Some(kept), Some(last)) = (choices.get(last_kept), choices.last())
        && kept.span.end < last.span.end
    {
        edits.push((kept.span.end..last.span.end, nothing()));
    }
    Some(edits)
}

/// A call of a tool; of a streamed reply, a piece of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CallPiece<'a> {
    /// The choice that it belongs to.
    pub choice: Option<u32>,
    /// The format's own number of the call, in the order in which a client has the calls.
    pub call: u64,
    /// Where its object lies among those of a list, and where that list does; none: it cannot be taken out.
    pub element: Option<ListElement>,
    /// The value by which a client numbers the call, which changes where calls before it are taken out.
    pub index_span: Option<Range<usize>>,
    /// The call's id.
    pub id: Option<Cow<'a, str>>,
    /// The tool's name, or a piece of it.
    pub name: Option<CallText<'a>>,
    /// The arguments, or a piece of them.
    pub arguments: Option<CallText<'a>>,
    /// Whether it says a call again, whole, that a stream said before.
    pub is_again: bool,
    /// Whether it is no call as the format defines it: readers may not agree on what is called.
    pub is_malformed: bool,
}

/// A name or arguments in a [`CallPiece`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallText<'a> {
    /// The text, decoded; of a value that is no string, its JSON.
    pub text: Cow<'a, str>,
    /// The value that carries it.
    pub span: Range<usize>,
    /// Whether that is a string.
    pub is_string: bool,
}

/// A place in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListElement {
    /// Where the element lies.
    pub span: Range<usize>,
    /// Where the list lies that holds it.
    pub list: Range<usize>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::patch;

    proptest! {
        /// Of any list of choices, those that are blocked go, with one comma each, and nothing else changes.
        #[test]
        fn blocked_choices_are_taken_out(blocked in prop::collection::vec(any::<bool>(), 1..6), space in any::<bool>()) {
            let comma = if space { " , " } else { "," };
            let objects: Vec<String> = (0..blocked.len()).map(|n| format!("{{\"index\":{n},\"a\":[{n}]}}")).collect();
            let body = format!("{{\"choices\":[{}],\"x\":1}}", objects.join(comma));
            let mut choices = Vec::new();
            for (index, object) in objects.iter().enumerate() {
                let start = body.find(object.as_str()).unwrap_or_default();
                choices.push(ChoiceSpan {
                    index: u32::try_from(index).unwrap_or_default(),
                    span: start..start + object.len(),
                    finish: false,
                });
            }
            let is_blocked = |index: u32| blocked[index as usize];
            let kept: Vec<serde_json::Value> = (0..blocked.len())
                .filter(|index| !blocked[*index])
                .map(|n| serde_json::json!({"index": n, "a": [n]}))
                .collect();
            match without_choices(&choices, &is_blocked) {
                None => prop_assert!(kept.is_empty()),
                Some(edits) => {
                    let left: serde_json::Value = serde_json::from_slice(&patch(body.as_bytes(), &edits)).unwrap();
                    prop_assert_eq!(left, serde_json::json!({"choices": kept, "x": 1}));
                    if kept.len() == blocked.len() {
                        prop_assert!(edits.is_empty());
                    }
                }
            }
        }
    }
}
