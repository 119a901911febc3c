//! The tree: a flat list of nodes, and handles that walk it.

use std::{borrow::Cow, collections::HashSet, ops::Range};

use super::string::decode;

/// A JSON body that has been read.
#[derive(Debug, Clone)]
pub struct Document<'a> {
    text: &'a str,
    /// Depth first; an object's keys and values alternate. Never empty.
    nodes: Vec<Node>,
}

/// One value or key. The reader has made sure that bodies are shorter than 4 GiB.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    start: u32,
    end: u32,
    /// The index of the first node that does not lie in this one.
    after: u32,
    kind: Kind,
}

impl Node {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the reader refuses bodies of 4 GiB"
    )]
    #[inline]
    pub(super) fn new(kind: Kind, start: usize, end: usize, after: usize) -> Self {
        Self {
            start: start as u32,
            end: end as u32,
            after: after as u32,
            kind,
        }
    }

    /// The index of the first node that does not lie in it; of the container around it, while it is read.
    pub(super) fn after(&self) -> usize {
        self.after as usize
    }

    pub(super) fn is_object(&self) -> bool {
        self.kind == Kind::Object
    }

    pub(super) fn close(&mut self, end: usize, after: usize) {
        *self = Self::new(self.kind, self.start as usize, end, after);
    }
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `null`
    Null,
    /// `true`
    True,
    /// `false`
    False,
    /// A number.
    Number,
    /// A string that is spelled as it reads.
    String,
    /// A string with escapes in it.
    EscapedString,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl<'a> Document<'a> {
    pub(super) fn new(text: &'a str, nodes: Vec<Node>) -> Self {
        Self { text, nodes }
    }

    /// The outermost value.
    pub fn root(&self) -> Value<'_, 'a> {
        Value {
            document: self,
            index: 0,
        }
    }

    /// A key that an object has twice, after decoding, anywhere in the body.
    pub fn repeated_key(&self) -> Option<Value<'_, 'a>> {
        let mut values = self.objects();
        values.find_map(Value::repeated_key)
    }

    /// Every key of every object, in order of the objects.
    pub fn keys(&self) -> impl Iterator<Item = Value<'_, 'a>> {
        self.objects()
            .flat_map(|object| object.members().map(|member| member.key))
    }

    fn objects(&self) -> impl Iterator<Item = Value<'_, 'a>> {
        let nodes = self.nodes.iter().enumerate();
        let objects = nodes.filter(|(_, node)| node.kind == Kind::Object);
        objects.map(|(index, _)| Value {
            document: self,
            index,
        })
    }

    /// Every string of the body, keys included, in order.
    pub fn strings(&self) -> impl Iterator<Item = Value<'_, 'a>> {
        self.values().filter(|value| value.is_string())
    }

    /// Every value of the body, keys included, in order.
    pub fn values(&self) -> impl Iterator<Item = Value<'_, 'a>> {
        (0..self.nodes.len()).map(|index| Value {
            document: self,
            index,
        })
    }

    fn node(&self, index: usize) -> Node {
        const NULL: Node = Node {
            start: 0,
            end: 0,
            after: u32::MAX,
            kind: Kind::Null,
        };
        self.nodes.get(index).copied().unwrap_or(NULL)
    }
}

/// A value of a [`Document`], or a key.
#[derive(Debug, Clone, Copy)]
pub struct Value<'d, 'a> {
    document: &'d Document<'a>,
    index: usize,
}

impl<'d, 'a> Value<'d, 'a> {
    #[inline]
    fn node(self) -> Node {
        self.document.node(self.index)
    }

    /// What it is.
    pub fn kind(self) -> Kind {
        self.node().kind
    }

    /// Whether it is `null`.
    pub fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    /// Whether it is a string.
    pub fn is_string(self) -> bool {
        matches!(self.kind(), Kind::String | Kind::EscapedString)
    }

    /// Whether it is an object.
    pub fn is_object(self) -> bool {
        self.kind() == Kind::Object
    }

    /// Whether it is an array.
    pub fn is_array(self) -> bool {
        self.kind() == Kind::Array
    }

    /// Its bytes in the body; of a string, with the quotes.
    pub fn span(self) -> Range<usize> {
        let node = self.node();
        node.start as usize..node.end as usize
    }

    /// Its bytes, as text.
    pub fn source(self) -> &'a str {
        self.document.text.get(self.span()).unwrap_or_default()
    }

    fn inside(self) -> &'a str {
        let source = self.source();
        source
            .get(1..source.len().saturating_sub(1))
            .unwrap_or_default()
    }

    /// The string, decoded; borrowed where it has no escapes.
    pub fn as_str(self) -> Option<Cow<'a, str>> {
        match self.kind() {
            Kind::String => Some(Cow::Borrowed(self.inside())),
            Kind::EscapedString => Some(Cow::Owned(decode(self.inside()))),
            _ => None,
        }
    }

    /// Whether it is the string `text`.
    pub fn is(self, text: &str) -> bool {
        match self.kind() {
            Kind::String => self.inside() == text,
            Kind::EscapedString => decode(self.inside()) == text,
            _ => false,
        }
    }

    /// The number, where it is a whole one that fits.
    pub fn as_u64(self) -> Option<u64> {
        match self.kind() {
            Kind::Number => self.source().parse().ok(),
            _ => None,
        }
    }

    /// The truth value.
    pub fn as_bool(self) -> Option<bool> {
        match self.kind() {
            Kind::True => Some(true),
            Kind::False => Some(false),
            _ => None,
        }
    }

    /// An object's members, in order, repeated keys included; nothing for other values.
    pub fn members(self) -> Members<'d, 'a> {
        Members(self.children(Kind::Object))
    }

    /// An array's elements, in order; nothing for other values.
    pub fn elements(self) -> Elements<'d, 'a> {
        self.children(Kind::Array)
    }

    fn children(self, kind: Kind) -> Elements<'d, 'a> {
        let node = self.node();
        let next = self.index + 1;
        let end = match node.kind == kind {
            true => node.after as usize,
            false => next,
        };
        Elements {
            document: self.document,
            next,
            end,
        }
    }

    /// The value of an object's last member of that name: what most readers take where a key is repeated.
    pub fn get(self, name: &str) -> Option<Value<'d, 'a>> {
        let members = self.members().filter(|member| member.key.is(name));
        members.last().map(|member| member.value)
    }

    /// A key that the object has twice, after decoding.
    pub fn repeated_key(self) -> Option<Value<'d, 'a>> {
        const FEW: usize = 16;
        let count = self.members().take(FEW + 1).count();
        if count > FEW {
            let mut seen = HashSet::new();
            let mut keys = self.members().map(|member| member.key);
            return keys.find(|key| !key.as_str().is_none_or(|name| seen.insert(name)));
        }
        let mut keys = self.members().map(|member| member.key).enumerate();
        keys.find_map(|(position, key)| {
            let mut earlier = self.members().take(position);
            earlier
                .any(|member| member.key.same_string(key))
                .then_some(key)
        })
    }

    fn same_string(self, other: Value<'_, '_>) -> bool {
        match (self.kind(), other.kind()) {
            (Kind::String, Kind::String) => self.inside() == other.inside(),
            _ => self.as_str() == other.as_str(),
        }
    }
}

/// A key and its value.
#[derive(Debug, Clone, Copy)]
pub struct Member<'d, 'a> {
    /// The key, a string.
    pub key: Value<'d, 'a>,
    /// The value.
    pub value: Value<'d, 'a>,
}

/// The members of an object: see [`Value::members`].
#[derive(Debug, Clone)]
pub struct Members<'d, 'a>(Elements<'d, 'a>);

impl<'d, 'a> Iterator for Members<'d, 'a> {
    type Item = Member<'d, 'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let key = self.0.next()?;
        let value = self.0.next()?;
        Some(Member { key, value })
    }
}

/// The elements of an array: see [`Value::elements`].
#[derive(Debug, Clone)]
pub struct Elements<'d, 'a> {
    document: &'d Document<'a>,
    next: usize,
    end: usize,
}

impl<'d, 'a> Iterator for Elements<'d, 'a> {
    type Item = Value<'d, 'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let value = Value {
            document: self.document,
            index: self.next,
        };
        self.next = value.node().after as usize;
        Some(value)
    }
}
