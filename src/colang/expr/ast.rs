//! The parsed expression.

use std::sync::Arc;

use super::Span;
use crate::value::{Binary, Order, Value};

/// An expression and its place in the text.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) span: Span,
    /// How many nodes lie above each other at most.
    pub(super) height: usize,
}

/// The kinds of expressions.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    Constant(Value),
    /// What Python has but the dialect has not: it fails when it is evaluated, and only then.
    Unavailable(&'static str),
    /// A text with expressions in it.
    Text(Vec<Piece>),
    /// `$name`.
    Variable(Arc<str>),
    /// A name without `$`: bound by a comprehension.
    Name(Arc<str>),
    Unary(Unary, Box<Node>),
    Binary(Binary, Box<Node>, Box<Node>),
    /// `and`, `or`.
    Logic(Logic, Vec<Node>),
    /// `a < b <= c`.
    Compare(Box<Node>, Vec<(Comparator, Node)>),
    Conditional {
        test: Box<Node>,
        then: Box<Node>,
        otherwise: Box<Node>,
    },
    Item(Box<Node>, Box<Node>),
    Slice {
        of: Box<Node>,
        lower: Option<Box<Node>>,
        upper: Option<Box<Node>>,
        step: Option<Box<Node>>,
    },
    Attribute(Box<Node>, Arc<str>),
    Method {
        receiver: Box<Node>,
        name: Arc<str>,
        call: Call,
    },
    Function {
        name: Arc<str>,
        call: Call,
    },
    /// A list display; `true` marks `*items`.
    List(Vec<(bool, Node)>),
    Tuple(Vec<Node>),
    Set(Vec<Node>),
    /// A dictionary display; no key for `**entries`.
    Dict(Vec<(Option<Node>, Node)>),
    /// A list comprehension, or a generator, which yields a list too.
    ListOf {
        element: Box<Node>,
        loops: Vec<Loop>,
    },
    DictOf {
        key: Box<Node>,
        value: Box<Node>,
        loops: Vec<Loop>,
    },
}

/// A part of a text with expressions in it.
#[derive(Debug, Clone)]
pub(super) enum Piece {
    Literal(Arc<str>),
    Inserted {
        node: Node,
        spec: Option<Vec<Piece>>,
    },
}

#[derive(Debug, Clone, Default)]
pub(super) struct Call {
    pub(super) positional: Vec<Node>,
    pub(super) named: Vec<(Arc<str>, Node)>,
}

/// One `for target in iterable if …` of a comprehension.
#[derive(Debug, Clone)]
pub(super) struct Loop {
    pub(super) target: Target,
    pub(super) iterable: Node,
    pub(super) conditions: Vec<Node>,
}

/// What a comprehension assigns to.
#[derive(Debug, Clone)]
pub(super) enum Target {
    Name(Arc<str>),
    Unpack(Vec<Target>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unary {
    Not,
    Negate,
    Positive,
    Invert,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Logic {
    And,
    Or,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparator {
    Equal,
    NotEqual,
    Ordered(Order),
    In,
    NotIn,
    Is,
    IsNot,
}

impl Node {
    /// Shows each node of the expression, outermost first.
    pub(super) fn visit<'a>(&'a self, see: &mut impl FnMut(&'a Node)) {
        see(self);
        match &self.kind {
            Kind::Constant(_) | Kind::Unavailable(_) | Kind::Variable(_) | Kind::Name(_) => {}
            Kind::Text(pieces) => visit_pieces(pieces, see),
            Kind::Unary(_, operand) | Kind::Attribute(operand, _) => operand.visit(see),
            Kind::Binary(_, left, right) | Kind::Item(left, right) => {
                left.visit(see);
                right.visit(see);
            }
            Kind::Logic(_, nodes) | Kind::Tuple(nodes) | Kind::Set(nodes) => {
                nodes.iter().for_each(|node| node.visit(see));
            }
            Kind::Compare(first, rest) => {
                first.visit(see);
                rest.iter().for_each(|(_, node)| node.visit(see));
            }
            Kind::Conditional {
                test,
                then,
                otherwise,
            } => {
                test.visit(see);
                then.visit(see);
                otherwise.visit(see);
            }
            Kind::Slice {
                of,
                lower,
                upper,
                step,
            } => {
                of.visit(see);
                [lower, upper, step]
                    .into_iter()
                    .flatten()
                    .for_each(|node| node.visit(see));
            }
            Kind::Method { receiver, call, .. } => {
                receiver.visit(see);
                call.visit(see);
            }
            Kind::Function { call, .. } => call.visit(see),
            Kind::List(items) => items.iter().for_each(|(_, node)| node.visit(see)),
            Kind::Dict(entries) => entries.iter().for_each(|(key, value)| {
                key.iter().for_each(|node| node.visit(see));
                value.visit(see);
            }),
            Kind::ListOf { element, loops } => {
                element.visit(see);
                visit_loops(loops, see);
            }
            Kind::DictOf { key, value, loops } => {
                key.visit(see);
                value.visit(see);
                visit_loops(loops, see);
            }
        }
    }
}

impl Call {
    fn visit<'a>(&'a self, see: &mut impl FnMut(&'a Node)) {
        self.positional.iter().for_each(|node| node.visit(see));
        self.named.iter().for_each(|(_, node)| node.visit(see));
    }
}

fn visit_pieces<'a>(pieces: &'a [Piece], see: &mut impl FnMut(&'a Node)) {
    for piece in pieces {
        if let Piece::Inserted { node, spec } = piece {
            node.visit(see);
            visit_pieces(spec.as_deref().unwrap_or_default(), see);
        }
    }
}

fn visit_loops<'a>(loops: &'a [Loop], see: &mut impl FnMut(&'a Node)) {
    for one in loops {
        one.iterable.visit(see);
        one.conditions.iter().for_each(|node| node.visit(see));
    }
}
