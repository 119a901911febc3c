//! Parses what stands in brackets and quotes: texts, tuples, lists, dictionaries, sets and comprehensions.

use std::sync::Arc;

use super::{
    ExprError, Span,
    ast::{Kind, Loop, Node, Piece, Target},
    lexer::Token,
    parser::{Parser, tallest},
};
use crate::value::Value;

impl Parser<'_> {
    /// One or more texts in a row, which are one text.
    pub(super) fn parse_texts(&mut self, start: Span) -> Result<Node, ExprError> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut bytes = false;
        while let Token::Text(text) = self.peek().clone() {
            self.advance();
            bytes |= text.bytes;
            pieces.extend(text.pieces(self)?);
        }
        if bytes {
            return self.unavailable("bytes", start);
        }
        let literal: Option<String> = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Literal(text) => Some(&**text),
                Piece::Inserted { .. } => None,
            })
            .collect();
        let kind = match literal {
            Some(text) => Kind::Constant(Value::from(text)),
            None => Kind::Text(pieces),
        };
        let below = match &kind {
            Kind::Text(pieces) => tallest_piece(pieces),
            _ => 0,
        };
        self.node(kind, start, below)
    }

    pub(super) fn parse_parenthesis(&mut self, start: Span) -> Result<Node, ExprError> {
        if self.accept(")") {
            return self.only_v2(Kind::Tuple(Vec::new()), "tuples", start, 0);
        }
        let inside = self.span();
        let (starred, first) = self.parse_maybe_starred()?;
        let node = if matches!(self.peek(), Token::Keyword("for")) && !starred {
            self.parse_loops_of(first, inside)?
        } else if starred || self.peek() == &Token::Symbol(",") {
            self.finish_tuple(first, starred, inside)?
        } else {
            first
        };
        self.expect(")")?;
        Ok(node)
    }

    pub(super) fn parse_list(&mut self, start: Span) -> Result<Node, ExprError> {
        let mut items: Vec<(bool, Node)> = Vec::new();
        while !self.accept("]") {
            let (starred, item) = self.parse_maybe_starred()?;
            if items.is_empty() && !starred && matches!(self.peek(), Token::Keyword("for")) {
                let node = self.parse_loops_of(item, start)?;
                self.expect("]")?;
                return Ok(node);
            }
            items.push((starred, item));
            if !self.accept(",") {
                self.expect("]")?;
                break;
            }
        }
        let below = items.iter().map(|(_, node)| node.height).max().unwrap_or(0);
        self.only_v2(Kind::List(items), "lists", start, below)
    }

    /// A dictionary, a set, or a comprehension of one.
    pub(super) fn parse_braces(&mut self, start: Span) -> Result<Node, ExprError> {
        let mut entries: Vec<(Option<Node>, Node)> = Vec::new();
        let mut elements: Vec<Node> = Vec::new();
        let mut starred = false;
        while !self.accept("}") {
            if self.accept("**") {
                entries.push((None, self.parse_binary(0)?));
            } else {
                let (star, first) = self.parse_maybe_starred()?;
                starred |= star;
                if !star && self.accept(":") {
                    let value = self.parse_expression()?;
                    if entries.is_empty() && matches!(self.peek(), Token::Keyword("for")) {
                        return self.parse_dict_loops(first, value, start);
                    }
                    entries.push((Some(first), value));
                } else {
                    if elements.is_empty() && matches!(self.peek(), Token::Keyword("for")) {
                        self.parse_loops()?;
                        self.expect("}")?;
                        return self.unavailable("set comprehensions", start);
                    }
                    elements.push(first);
                }
            }
            if !elements.is_empty() && !entries.is_empty() {
                return self.fail("a set has no keys, and every entry of a dictionary has one");
            }
            if !self.accept(",") {
                self.expect("}")?;
                break;
            }
        }
        if starred {
            return self.unavailable("`*` in sets", start);
        }
        if elements.is_empty() {
            let heights = entries
                .iter()
                .map(|(key, value)| value.height.max(key.as_ref().map_or(0, |key| key.height)));
            let below = heights.max().unwrap_or(0);
            return self.only_v2(Kind::Dict(entries), "dictionaries", start, below);
        }
        let below = tallest(&elements);
        self.only_v2(Kind::Set(elements), "sets", start, below)
    }

    fn parse_dict_loops(&mut self, key: Node, value: Node, start: Span) -> Result<Node, ExprError> {
        let loops = self.parse_loops()?;
        self.expect("}")?;
        let below = tallest_loop(&loops).max(key.height).max(value.height);
        let kind = Kind::DictOf {
            key: key.into(),
            value: value.into(),
            loops,
        };
        self.only_v2(kind, "comprehensions", start, below)
    }

    pub(super) fn parse_loops_of(&mut self, element: Node, start: Span) -> Result<Node, ExprError> {
        let loops = self.parse_loops()?;
        let below = tallest_loop(&loops).max(element.height);
        let kind = Kind::ListOf {
            element: element.into(),
            loops,
        };
        self.only_v2(kind, "comprehensions", start, below)
    }

    fn parse_loops(&mut self) -> Result<Vec<Loop>, ExprError> {
        let mut loops = Vec::new();
        while self.accept_keyword("for") {
            let target = self.parse_target()?;
            self.expect_keyword("in")?;
            let iterable = self.parse_or()?;
            let mut conditions = Vec::new();
            while self.accept_keyword("if") {
                conditions.push(self.parse_or()?);
            }
            loops.push(Loop {
                target,
                iterable,
                conditions,
            });
        }
        Ok(loops)
    }

    fn parse_target(&mut self) -> Result<Target, ExprError> {
        let first = self.parse_single_target()?;
        if self.peek() != &Token::Symbol(",") {
            return Ok(first);
        }
        let mut targets = vec![first];
        while self.accept(",") {
            if matches!(self.peek(), Token::Keyword("in") | Token::Symbol(")" | "]")) {
                break;
            }
            targets.push(self.parse_single_target()?);
        }
        Ok(Target::Unpack(targets))
    }

    fn parse_single_target(&mut self) -> Result<Target, ExprError> {
        match self.peek().clone() {
            Token::Name(name) => {
                self.advance();
                Ok(Target::Name(name))
            }
            // `$x` as a loop's name works in the reference too: it is a name like any other there.
            Token::Variable(name) => {
                self.advance();
                Ok(Target::Name(Arc::from(format!("${name}"))))
            }
            Token::Symbol(open @ ("(" | "[")) => {
                self.advance();
                let target = self.deeper(Self::parse_target)?;
                self.expect(if open == "(" { ")" } else { "]" })?;
                Ok(target)
            }
            _ => self.fail("a name for the element is expected"),
        }
    }
}

fn tallest_piece(pieces: &[Piece]) -> usize {
    let heights = pieces.iter().map(|piece| match piece {
        Piece::Literal(_) => 0,
        Piece::Inserted { node, spec } => node.height.max(spec.as_deref().map_or(0, tallest_piece)),
    });
    heights.max().unwrap_or(0)
}

fn tallest_loop(loops: &[Loop]) -> usize {
    loops
        .iter()
        .map(|one| one.iterable.height.max(tallest(&one.conditions)))
        .max()
        .unwrap_or(0)
}
