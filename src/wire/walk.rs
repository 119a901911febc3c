//! Walking a reply: every string of a body becomes a text, also where no rule of the format is about it.

use std::{
    borrow::Cow,
    hash::{Hash, Hasher},
};

use super::{
    Channel, Relation, ReplyText, TextClass, Unreadable,
    json::{Kind, Member, Value},
    keys,
};

/// What a format's keys and words mean where no rule is about their place.
#[derive(Debug)]
pub(super) struct Vocabulary {
    /// Whether the strings under a key say where or what something is.
    pub(super) is_structural: fn(&str) -> bool,
    /// Whether a key is one that replies have, and says nothing itself.
    pub(super) is_usual_key: fn(&str) -> bool,
    /// Whether a string is one that the protocol defines, and says nothing.
    pub(super) is_usual: fn(&str) -> bool,
}

/// Where a value lies: the names and positions on the way to it. Nothing is computed before a text is found there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path<'p> {
    outer: Option<&'p Path<'p>>,
    step: Step<'p>,
}

#[derive(Debug, Clone, Copy, Hash)]
enum Step<'p> {
    Key(&'p str),
    At(u64),
}

/// The elements of a list that are told apart; those behind share a place.
const TOLD_APART: usize = 32;

impl<'p> Path<'p> {
    /// The outermost value's.
    pub(super) const ROOT: Path<'static> = Path {
        outer: None,
        step: Step::Key(""),
    };

    pub(super) fn key(&'p self, key: &'p str) -> Path<'p> {
        Path {
            outer: Some(self),
            step: Step::Key(key),
        }
    }

    pub(super) fn at(&'p self, position: usize) -> Path<'p> {
        Path {
            outer: Some(self),
            step: Step::At(position.min(TOLD_APART) as u64),
        }
    }
}

impl Hash for Path<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.step.hash(state);
        if let Some(outer) = self.outer {
            outer.hash(state);
        }
    }
}

/// Collects texts.
pub(super) struct Walk<'a, 't> {
    pub(super) texts: &'t mut Vec<ReplyText<'a>>,
    pub(super) vocabulary: &'static Vocabulary,
    /// The choice that is being read.
    pub(super) choice: Option<u32>,
    /// Whether an object of the body has a key twice.
    pub(super) repeated: bool,
    /// Whether all strings belong to a call of a tool.
    pub(super) of_call: bool,
    /// Not empty inside values that a later member of the same name replaces: which of them each is.
    twin: Vec<usize>,
}

impl<'a, 't> Walk<'a, 't> {
    pub(super) fn new(
        texts: &'t mut Vec<ReplyText<'a>>,
        vocabulary: &'static Vocabulary,
        repeated: bool,
    ) -> Self {
        Self {
            texts,
            vocabulary,
            choice: None,
            repeated,
            of_call: false,
            twin: Vec::new(),
        }
    }

    /// Visits an object's members. Of those that a later one replaces, the texts go to channels of their own.
    pub(super) fn members<'d>(
        &mut self,
        object: Value<'d, 'a>,
        mut visit: impl FnMut(&mut Self, &str, Member<'d, 'a>) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        if !self.repeated {
            for member in object.members() {
                let name = member.key.as_str().unwrap_or_default();
                visit(self, &name, member)?;
            }
            return Ok(());
        }
        for (member, later) in object.members().zip(keys::later_twins(object)) {
            let name = member.key.as_str().unwrap_or_default();
            let outer = self.twin.len();
            if later > 0 {
                self.twin.push(later);
            }
            let visited = visit(self, &name, member);
            self.twin.truncate(outer);
            visited?;
        }
        Ok(())
    }

    /// The channel of the place `key`.
    pub(super) fn channel(&self, key: &impl Hash) -> Channel {
        Channel::new(self.choice, &(key, &self.twin))
    }

    /// Takes in a string; nothing for other values.
    pub(super) fn push(
        &mut self,
        value: Value<'_, 'a>,
        channel: Channel,
        relation: Relation,
        class: TextClass,
    ) {
        if let Some(text) = value.as_str()
            && !text.is_empty()
        {
            self.push_text(value, text, channel, relation, class);
        }
    }

    fn push_text(
        &mut self,
        value: Value<'_, 'a>,
        text: Cow<'a, str>,
        channel: Channel,
        relation: Relation,
        class: TextClass,
    ) {
        self.texts.push(ReplyText {
            channel,
            relation,
            class: TextClass {
                of_call: class.of_call || self.of_call,
                ..class
            },
            text,
            span: value.span(),
        });
    }

    /// A value that should be a string of the place `key`.
    #[inline]
    pub(super) fn known(
        &mut self,
        value: Value<'_, 'a>,
        key: &impl Hash,
        class: TextClass,
        path: Path<'_>,
    ) {
        if value.is_string() {
            let channel = self.channel(key);
            self.push(value, channel, Relation::Appends, class);
        } else {
            self.other(value, path);
        }
    }

    /// A value that says where or what something is: each stands alone.
    pub(super) fn structural(&mut self, value: Value<'_, 'a>, path: Path<'_>) {
        if !value.is_string() {
            return self.other(value, path);
        }
        if !(self.vocabulary.is_usual)(value.source()) {
            let channel = self.channel(&path);
            self.push(value, channel, Relation::Alone, TextClass::STRUCTURAL);
        }
    }

    /// A member that no rule is about.
    pub(super) fn unknown(&mut self, key: Value<'_, 'a>, value: Value<'_, 'a>, path: Path<'_>) {
        let source = key.source();
        let name = key.as_str().unwrap_or_default();
        if (self.vocabulary.is_structural)(source) {
            return self.structural(value, path.key(&name));
        }
        if !(self.vocabulary.is_usual_key)(source) {
            let channel = self.channel(&(&path, "its keys"));
            self.push(key, channel, Relation::Alone, TextClass::KEY);
        }
        self.other(value, path.key(&name));
    }

    /// Every string in `value`, and every key.
    pub(super) fn other(&mut self, value: Value<'_, 'a>, path: Path<'_>) {
        match value.kind() {
            Kind::String | Kind::EscapedString => {
                let channel = self.channel(&path);
                self.push(value, channel, Relation::Appends, TextClass::TEXT);
            }
            Kind::Array => {
                for (position, element) in value.elements().enumerate() {
                    self.other(element, path.at(position));
                }
            }
            Kind::Object => {
                // Nothing fails in here.
                let _ = self.members(value, |walk, _, Member { key, value }| {
                    walk.unknown(key, value, path);
                    Ok(())
                });
            }
            Kind::Null | Kind::True | Kind::False | Kind::Number => {}
        }
    }
}
