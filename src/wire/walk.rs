//! Walking a reply: every string of a body becomes a text, also where no rule of the format is about it.

use std::{
    borrow::Cow,
    hash::{Hash, Hasher},
};

use super::{
    Channel, Patch, Relation, ReplyText, TextClass, Unreadable,
    json::{Kind, Member, Value},
    keys,
    packed::{self, Packed},
};

/// What a format's keys and words mean where no rule is about their place.
#[derive(Debug)]
pub(super) struct Vocabulary {
    /// Whether the strings under a key say where or what something is, in the objects that the format defines.
    pub(super) is_structural: fn(&str) -> bool,
    /// The same, in any object.
    pub(super) is_structural_anywhere: fn(&str) -> bool,
    /// Whether what stands under a key is sealed or packed bytes: signatures, encrypted text, sounds.
    pub(super) is_opaque: fn(&str) -> bool,
    /// Whether readers that fold letters take a key for one of the format's.
    pub(super) is_folded: fn(Value<'_, '_>) -> bool,
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

/// The digits of a number that may say who or what somebody is; what counts or measures has fewer.
const LONG_NUMBER: usize = 7;

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

    fn numbered(&'p self, index: u64) -> Path<'p> {
        Path {
            outer: Some(self),
            step: Step::At(index),
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
    /// Whether the object that is being read says that it holds text: then nothing in it is opaque.
    holds_text: bool,
    /// Whether an object that the format defines has a key twice, or in another letter case.
    pub(super) is_ambiguous: bool,
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
            holds_text: false,
            is_ambiguous: false,
            twin: Vec::new(),
        }
    }

    /// Visits the members of an object that the format defines: readers have to agree on its keys.
    pub(super) fn fields<'d>(
        &mut self,
        object: Value<'d, 'a>,
        visit: impl FnMut(&mut Self, &str, Member<'d, 'a>) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        self.is_ambiguous |= (self.repeated && object.repeated_key().is_some())
            || object
                .members()
                .any(|member| (self.vocabulary.is_folded)(member.key));
        self.members(object, visit)
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
        self.related(value, key, Relation::Appends, class, path);
    }

    /// The same, with its relation to what was said before.
    #[inline]
    pub(super) fn related(
        &mut self,
        value: Value<'_, 'a>,
        key: &impl Hash,
        relation: Relation,
        class: TextClass,
        path: Path<'_>,
    ) {
        if value.is_string() {
            let channel = self.channel(key);
            self.push(value, channel, relation, class);
        } else {
            self.other(value, path);
        }
    }

    /// A string that may be packed or sealed bytes, which say nothing to anybody: no rail is asked about these. False: it is
    /// text, and not taken in.
    fn packed(&mut self, value: Value<'_, 'a>, path: Path<'_>, is_opaque: bool) -> bool {
        /// Shorter ones may be text all the same.
        const SHORTEST: usize = 256;
        let source = value.source();
        if source.len() < SHORTEST {
            if is_opaque && is_base64(value) {
                let channel = self.channel(&path);
                self.push(value, channel, Relation::Alone, TextClass::STRUCTURAL);
                return true;
            }
            return false;
        }
        if !is_opaque && !may_be_packed(source) {
            return false;
        }
        let Some(text) = value.as_str() else {
            return false;
        };
        match packed::unpack_data_url(&text) {
            Packed::Binary => true,
            Packed::Text(unpacked) => {
                self.unpacked(value, unpacked, path);
                true
            }
            Packed::Perhaps(unpacked) => {
                self.unpacked(value, unpacked, path);
                false
            }
            Packed::No => match packed::unpack_base64(&text, "") {
                Packed::Binary => true,
                Packed::Text(unpacked) => {
                    self.unpacked(value, unpacked, path);
                    true
                }
                // It may be meant as it stands.
                Packed::Perhaps(unpacked) => {
                    self.unpacked(value, unpacked, path);
                    false
                }
                Packed::No => false,
            },
        }
    }

    fn unpacked(&mut self, value: Value<'_, 'a>, text: String, path: Path<'_>) {
        let channel = self.channel(&(path, "unpacked"));
        let class = TextClass {
            patch: Patch::No,
            ..TextClass::TEXT
        };
        self.push_text(value, text.into(), channel, Relation::Alone, class);
    }

    /// A number, in case it is one that says who or what somebody is.
    fn number(&mut self, value: Value<'_, 'a>, path: Path<'_>) {
        /// Seconds and milliseconds since 1970 are shorter, or no longer.
        const VERY_LONG: usize = 14;
        let source = value.source();
        let digits = source.bytes().filter(u8::is_ascii_digit).count();
        let class = match () {
            () if self.of_call => TextClass::TEXT,
            () if source.contains(['.', 'e', 'E']) => return,
            () if digits >= VERY_LONG => TextClass::TEXT,
            () if digits >= LONG_NUMBER => TextClass::STRUCTURAL,
            () => return,
        };
        let channel = self.channel(&path);
        let relation = match class.asked {
            true => Relation::Appends,
            false => Relation::Alone,
        };
        self.push_text(value, source.into(), channel, relation, class);
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
        self.member(key, value, path, self.vocabulary.is_structural);
    }

    fn member(
        &mut self,
        key: Value<'_, 'a>,
        value: Value<'_, 'a>,
        path: Path<'_>,
        is_structural: fn(&str) -> bool,
    ) {
        let name = key.as_str().unwrap_or_default();
        self.named(key, value, (path, path.key(&name)), is_structural);
    }

    /// A member, the object's path and its own.
    fn named(
        &mut self,
        key: Value<'_, 'a>,
        value: Value<'_, 'a>,
        (path, inner): (Path<'_>, Path<'_>),
        is_structural: fn(&str) -> bool,
    ) {
        let source = key.source();
        if is_structural(source) {
            return self.structural(value, inner);
        }
        let is_usual = (self.vocabulary.is_usual_key)(source);
        if !is_usual && !is_small_number(source) {
            let channel = self.channel(&(&path, "its keys"));
            self.push(key, channel, Relation::Alone, TextClass::KEY);
        }
        let is_opaque = !self.holds_text && (self.vocabulary.is_opaque)(source);
        if value.is_string() && self.packed(value, inner, is_opaque) {
            return;
        }
        // What the format counts and measures says nothing.
        if value.kind() != Kind::Number || !is_usual || self.of_call {
            self.other(value, inner);
        }
    }

    /// Every string in `value`, and every key.
    pub(super) fn other(&mut self, value: Value<'_, 'a>, path: Path<'_>) {
        match value.kind() {
            Kind::String | Kind::EscapedString => {
                if (self.vocabulary.is_usual)(value.source()) || self.packed(value, path, false) {
                    return;
                }
                let channel = self.channel(&path);
                self.push(value, channel, Relation::Appends, TextClass::TEXT);
            }
            Kind::Array => {
                for (position, element) in value.elements().enumerate() {
                    // Clients put the elements of several records together by their index, where they have one, else by
                    // their position.
                    let index = element.get("index").and_then(Value::as_u64);
                    match index {
                        Some(index) => self.other(element, path.key("[]").numbered(index)),
                        None => self.other(element, path.at(position)),
                    }
                }
            }
            Kind::Object => {
                let says_text = value.get("type").is_some_and(|kind| kind.is("text"));
                let outer = std::mem::replace(&mut self.holds_text, says_text);
                let mut numbers = 0;
                let numbered = path.key("{}");
                // Nothing fails in here.
                let _ = self.members(value, |walk, name, Member { key, value }| {
                    let is_structural = walk.vocabulary.is_structural_anywhere;
                    // A number for a key counts, as a position does: each of its own, they were places without end.
                    let inner = match is_number(name) {
                        true => numbered.at(numbers),
                        false => path.key(name),
                    };
                    numbers += usize::from(is_number(name));
                    walk.named(key, value, (path, inner), is_structural);
                    Ok(())
                });
                self.holds_text = outer;
            }
            Kind::Number => self.number(value, path),
            Kind::Null | Kind::True | Kind::False => {}
        }
    }
}

fn is_number(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a key, as it is written, is a number that is too short to say who or what somebody is.
fn is_small_number(source: &str) -> bool {
    let inside = source.trim_matches('"');
    inside.len() < LONG_NUMBER && is_number(inside)
}

/// Whether a token, with its quotes, may hold packed bytes: it has no space, or is a data URL.
fn may_be_packed(source: &str) -> bool {
    let inside = source.trim_start_matches('"');
    let start = inside.get(..64).unwrap_or(inside);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte);
    start.starts_with("data:") || start.bytes().all(is_plain)
}

/// Whether a string is written in an alphabet of base64.
pub(super) fn is_base64(value: Value<'_, '_>) -> bool {
    let inside = value.source().trim_matches('"');
    value.is_string()
        && inside
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte))
}
