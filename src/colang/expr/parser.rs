//! Tokens to the parsed expression, by recursive descent and, for operators, by precedence.
//!
//! `parse_x` reads an `x` that must be there; `accept` takes a token if it is the next one; `expect` demands it.

use super::{
    Dialect, ExprError, Span,
    ast::{Call, Comparator, Kind, Logic, Node, Unary},
    lexer::{Token, tokens},
};
use crate::value::{Binary, Order, Value};

/// How deep brackets, operators and texts may be nested.
const MAX_DEPTH: usize = 60;
/// How many nodes may lie above each other.
const MAX_HEIGHT: usize = 200;

/// Parses a whole expression.
pub(super) fn parse(text: &str, dialect: Dialect) -> Result<Node, ExprError> {
    let text: Vec<char> = text.chars().collect();
    let mut parser = Parser::new(&text, 0, dialect, 0)?;
    parser.parse_whole()
}

pub(super) struct Parser<'a> {
    text: &'a [char],
    /// Where the text begins in the whole expression.
    offset: usize,
    dialect: Dialect,
    tokens: Vec<(Token, Span)>,
    next: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn new(
        text: &'a [char],
        offset: usize,
        dialect: Dialect,
        depth: usize,
    ) -> Result<Self, ExprError> {
        let tokens = tokens(text, dialect).map_err(|error| ExprError {
            span: error.span.shifted(offset),
            ..error
        })?;
        Ok(Self {
            text,
            offset,
            dialect,
            tokens,
            next: 0,
            depth,
        })
    }

    /// The characters of a span of this parser's own text.
    pub(super) fn text(&self, span: Span) -> &'a [char] {
        self.text.get(span.start..span.end).unwrap_or_default()
    }

    /// Where this parser's text begins in the whole expression.
    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    pub(super) fn character(&self, at: usize) -> Option<char> {
        self.text.get(at).copied()
    }

    /// Parses an expression inside of a text.
    pub(super) fn nested(&mut self, span: Span) -> Result<Node, ExprError> {
        self.deeper(|parser| {
            let inner = parser.text(span);
            let mut nested = Parser::new(
                inner,
                parser.offset + span.start,
                parser.dialect,
                parser.depth,
            )?;
            nested.parse_whole()
        })
    }

    fn parse_whole(&mut self) -> Result<Node, ExprError> {
        if self.peek() == &Token::End {
            return self.fail("an expression is missing");
        }
        let node = self.parse_tuple_or_expression()?;
        match self.peek() {
            Token::End => Ok(node),
            Token::Symbol("=") => {
                self.fail("an expression assigns nothing; to compare, write `==`")
            }
            _ => self.fail("the expression should end here"),
        }
    }

    pub(super) fn peek(&self) -> &Token {
        self.tokens
            .get(self.next)
            .map_or(&Token::End, |(token, _)| token)
    }

    pub(super) fn peek_second(&self) -> &Token {
        self.tokens
            .get(self.next + 1)
            .map_or(&Token::End, |(token, _)| token)
    }

    /// The next token's place in the whole expression.
    pub(super) fn span(&self) -> Span {
        let end = Span::new(self.text.len(), self.text.len());
        self.tokens
            .get(self.next)
            .map_or(end, |(_, span)| *span)
            .shifted(self.offset)
    }

    fn last_span(&self) -> Span {
        let last = self
            .next
            .checked_sub(1)
            .and_then(|last| self.tokens.get(last));
        last.map_or(Span::default(), |(_, span)| *span)
            .shifted(self.offset)
    }

    pub(super) fn advance(&mut self) {
        self.next += 1;
    }

    pub(super) fn accept(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Token::Symbol(own) if *own == symbol);
        self.next += usize::from(found);
        found
    }

    pub(super) fn accept_keyword(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Token::Keyword(own) if *own == word);
        self.next += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, symbol: &str) -> Result<(), ExprError> {
        if self.accept(symbol) {
            Ok(())
        } else {
            self.fail(format!("`{symbol}` is expected"))
        }
    }

    pub(super) fn expect_keyword(&mut self, word: &str) -> Result<(), ExprError> {
        if self.accept_keyword(word) {
            Ok(())
        } else {
            self.fail(format!("`{word}` is expected"))
        }
    }

    pub(super) fn fail<T>(&self, message: impl Into<String>) -> Result<T, ExprError> {
        let message = message.into();
        let message = match self.peek() {
            Token::End => format!("{message}, but the expression ends"),
            _ => message,
        };
        Err(ExprError::new(message, self.span()))
    }

    pub(super) fn deeper<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, ExprError>,
    ) -> Result<T, ExprError> {
        if self.depth >= MAX_DEPTH {
            return self.fail("the expression is nested too deep");
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// A node that lies above nodes of at most this height.
    pub(super) fn node(&self, kind: Kind, start: Span, below: usize) -> Result<Node, ExprError> {
        let span = start.to(self.last_span());
        if below >= MAX_HEIGHT {
            return Err(ExprError::new(
                "the expression has too many operations in a row",
                span,
            ));
        }
        Ok(Node {
            kind,
            span,
            height: below + 1,
        })
    }

    pub(super) fn unavailable(&self, what: &'static str, start: Span) -> Result<Node, ExprError> {
        self.node(Kind::Unavailable(what), start, 0)
    }

    /// A kind that only Colang 2.x has.
    pub(super) fn only_v2(
        &self,
        kind: Kind,
        what: &'static str,
        start: Span,
        below: usize,
    ) -> Result<Node, ExprError> {
        match self.dialect {
            Dialect::V1 => self.unavailable(what, start),
            Dialect::V2 => self.node(kind, start, below),
        }
    }

    fn parse_tuple_or_expression(&mut self) -> Result<Node, ExprError> {
        let start = self.span();
        let (starred, first) = self.parse_maybe_starred()?;
        if !starred && self.peek() != &Token::Symbol(",") {
            return Ok(first);
        }
        self.finish_tuple(first, starred, start)
    }

    /// The rest of a tuple, from its first comma on.
    pub(super) fn finish_tuple(
        &mut self,
        first: Node,
        mut starred: bool,
        start: Span,
    ) -> Result<Node, ExprError> {
        let mut items = vec![first];
        while self.accept(",") {
            if matches!(self.peek(), Token::End | Token::Symbol(")" | "]")) {
                break;
            }
            let (star, item) = self.parse_maybe_starred()?;
            starred |= star;
            items.push(item);
        }
        if starred {
            return self.unavailable("`*` in tuples", start);
        }
        let below = tallest(&items);
        self.only_v2(Kind::Tuple(items), "tuples", start, below)
    }

    pub(super) fn parse_maybe_starred(&mut self) -> Result<(bool, Node), ExprError> {
        let starred = self.accept("*");
        let node = self.parse_expression()?;
        Ok((starred, node))
    }

    pub(super) fn parse_expression(&mut self) -> Result<Node, ExprError> {
        self.deeper(|parser| {
            let start = parser.span();
            if matches!(parser.peek(), Token::Keyword("lambda" | "await" | "yield")) {
                return parser.fail("functions cannot be written in expressions");
            }
            let then = parser.parse_or()?;
            if !parser.accept_keyword("if") {
                return Ok(then);
            }
            let test = parser.parse_or()?;
            parser.expect_keyword("else")?;
            let otherwise = parser.parse_expression()?;
            let below = then.height.max(test.height).max(otherwise.height);
            let kind = Kind::Conditional {
                test: test.into(),
                then: then.into(),
                otherwise: otherwise.into(),
            };
            parser.node(kind, start, below)
        })
    }

    pub(super) fn parse_or(&mut self) -> Result<Node, ExprError> {
        self.parse_logic("or", Logic::Or, |parser| {
            parser.parse_logic("and", Logic::And, Self::parse_not)
        })
    }

    fn parse_logic(
        &mut self,
        word: &str,
        logic: Logic,
        operand: impl Fn(&mut Self) -> Result<Node, ExprError>,
    ) -> Result<Node, ExprError> {
        let start = self.span();
        let first = operand(self)?;
        if !matches!(self.peek(), Token::Keyword(own) if *own == word) {
            return Ok(first);
        }
        let mut operands = vec![first];
        while self.accept_keyword(word) {
            operands.push(operand(self)?);
        }
        let below = tallest(&operands);
        self.node(Kind::Logic(logic, operands), start, below)
    }

    fn parse_not(&mut self) -> Result<Node, ExprError> {
        let start = self.span();
        if self.accept_keyword("not") {
            let operand = self.deeper(Self::parse_not)?;
            let below = operand.height;
            return self.node(Kind::Unary(Unary::Not, operand.into()), start, below);
        }
        self.parse_comparison()
    }

    fn parse_comparison(&mut self) -> Result<Node, ExprError> {
        let start = self.span();
        let first = self.parse_binary(0)?;
        let mut rest = Vec::new();
        while let Some(comparator) = self.accept_comparator() {
            rest.push((comparator, self.parse_binary(0)?));
        }
        if rest.is_empty() {
            return Ok(first);
        }
        let below = rest
            .iter()
            .map(|(_, node)| node.height)
            .max()
            .unwrap_or(0)
            .max(first.height);
        self.node(Kind::Compare(first.into(), rest), start, below)
    }

    fn accept_comparator(&mut self) -> Option<Comparator> {
        let (comparator, words) = match (self.peek(), self.peek_second()) {
            (Token::Symbol("=="), _) => (Comparator::Equal, 1),
            (Token::Symbol("!="), _) => (Comparator::NotEqual, 1),
            (Token::Symbol("<"), _) => (Comparator::Ordered(Order::Less), 1),
            (Token::Symbol("<="), _) => (Comparator::Ordered(Order::LessOrEqual), 1),
            (Token::Symbol(">"), _) => (Comparator::Ordered(Order::Greater), 1),
            (Token::Symbol(">="), _) => (Comparator::Ordered(Order::GreaterOrEqual), 1),
            (Token::Keyword("in"), _) => (Comparator::In, 1),
            (Token::Keyword("not"), Token::Keyword("in")) => (Comparator::NotIn, 2),
            (Token::Keyword("is"), Token::Keyword("not")) => (Comparator::IsNot, 2),
            (Token::Keyword("is"), _) => (Comparator::Is, 1),
            _ => return None,
        };
        self.next += words;
        Some(comparator)
    }

    /// Operators that bind at least as strongly as `level`; all of them group to the left.
    pub(super) fn parse_binary(&mut self, level: usize) -> Result<Node, ExprError> {
        let start = self.span();
        let mut left = self.parse_unary()?;
        while let Some((operator, own)) = self.peek_binary().filter(|(_, own)| *own >= level) {
            self.advance();
            let right = self.deeper(|parser| parser.parse_binary(own + 1))?;
            let below = left.height.max(right.height);
            left = self.node(
                Kind::Binary(operator, left.into(), right.into()),
                start,
                below,
            )?;
        }
        Ok(left)
    }

    fn peek_binary(&self) -> Option<(Binary, usize)> {
        let Token::Symbol(symbol) = self.peek() else {
            return None;
        };
        Some(match *symbol {
            "|" => (Binary::Or, 0),
            "^" => (Binary::Xor, 1),
            "&" => (Binary::And, 2),
            "<<" => (Binary::ShiftLeft, 3),
            ">>" => (Binary::ShiftRight, 3),
            "+" => (Binary::Add, 4),
            "-" => (Binary::Subtract, 4),
            "*" => (Binary::Multiply, 5),
            "/" => (Binary::Divide, 5),
            "//" => (Binary::FloorDivide, 5),
            "%" => (Binary::Modulo, 5),
            _ => return None,
        })
    }

    fn parse_unary(&mut self) -> Result<Node, ExprError> {
        let start = self.span();
        let operator = match self.peek() {
            Token::Symbol("-") => Unary::Negate,
            Token::Symbol("+") => Unary::Positive,
            Token::Symbol("~") => Unary::Invert,
            _ => return self.parse_power(),
        };
        self.advance();
        let operand = self.deeper(Self::parse_unary)?;
        let below = operand.height;
        self.node(Kind::Unary(operator, operand.into()), start, below)
    }

    fn parse_power(&mut self) -> Result<Node, ExprError> {
        let start = self.span();
        let base = self.parse_postfix()?;
        if !self.accept("**") {
            return Ok(base);
        }
        let exponent = self.deeper(Self::parse_unary)?;
        let below = base.height.max(exponent.height);
        self.node(
            Kind::Binary(Binary::Power, base.into(), exponent.into()),
            start,
            below,
        )
    }

    fn parse_postfix(&mut self) -> Result<Node, ExprError> {
        let start = self.span();
        let mut node = self.parse_atom()?;
        loop {
            node = if self.accept(".") {
                let Token::Name(name) = self.peek().clone() else {
                    return self.fail("a name must follow the dot");
                };
                self.advance();
                let below = node.height;
                self.node(Kind::Attribute(node.into(), name), start, below)?
            } else if self.accept("(") {
                self.parse_call(node, start)?
            } else if self.accept("[") {
                self.parse_subscript(node, start)?
            } else {
                return Ok(node);
            };
        }
    }

    fn parse_call(&mut self, of: Node, start: Span) -> Result<Node, ExprError> {
        let mut call = Call::default();
        // The call takes the place of the name or attribute that is called.
        let mut below = of.height.saturating_sub(1);
        let mut starred = false;
        while !self.accept(")") {
            let first = self.span();
            if let (Token::Name(name), Token::Symbol("=")) =
                (self.peek().clone(), self.peek_second())
            {
                self.next += 2;
                let value = self.parse_expression()?;
                below = below.max(value.height);
                if call.named.iter().any(|(own, _)| *own == name) {
                    return Err(ExprError::new(
                        format!("the argument `{name}` is given twice"),
                        first,
                    ));
                }
                call.named.push((name, value));
            } else {
                let star = self.accept("*") || self.accept("**");
                starred |= star;
                let mut value = self.parse_expression()?;
                if matches!(self.peek(), Token::Keyword("for")) {
                    value = self.parse_loops_of(value, first)?;
                }
                if !star && !call.named.is_empty() {
                    return Err(ExprError::new(
                        "positional arguments stand before named ones",
                        first,
                    ));
                }
                below = below.max(value.height);
                call.positional.push(value);
            }
            if !self.accept(",") {
                self.expect(")")?;
                break;
            }
        }
        if starred {
            return self.unavailable("`*` in calls", start);
        }
        let kind = match of.kind {
            Kind::Attribute(receiver, name) => Kind::Method {
                receiver,
                name,
                call,
            },
            Kind::Name(name) => Kind::Function { name, call },
            _ => return self.unavailable("calls of values", start),
        };
        self.node(kind, start, below)
    }

    fn parse_subscript(&mut self, of: Node, start: Span) -> Result<Node, ExprError> {
        let inside = self.span();
        let mut lower = None;
        if self.peek() != &Token::Symbol(":") {
            let key = self.parse_expression()?;
            if self.peek() == &Token::Symbol(",") {
                let key = self.finish_tuple(key, false, inside)?;
                self.expect("]")?;
                let below = of.height.max(key.height);
                return self.node(Kind::Item(of.into(), key.into()), start, below);
            }
            if self.accept("]") {
                let below = of.height.max(key.height);
                return self.node(Kind::Item(of.into(), key.into()), start, below);
            }
            lower = Some(key);
        }
        self.expect(":")?;
        let upper = self.parse_bound()?;
        let step = if self.accept(":") {
            self.parse_bound()?
        } else {
            None
        };
        self.expect("]")?;
        let bounds = [&lower, &upper, &step].into_iter().flatten();
        let below = bounds
            .map(|node| node.height)
            .max()
            .unwrap_or(0)
            .max(of.height);
        let kind = Kind::Slice {
            of: of.into(),
            lower: lower.map(Into::into),
            upper: upper.map(Into::into),
            step: step.map(Into::into),
        };
        self.node(kind, start, below)
    }

    fn parse_bound(&mut self) -> Result<Option<Node>, ExprError> {
        match self.peek() {
            Token::Symbol(":" | "]") => Ok(None),
            _ => self.parse_expression().map(Some),
        }
    }

    fn parse_atom(&mut self) -> Result<Node, ExprError> {
        let start = self.span();
        let token = self.peek().clone();
        if let Token::Text(_) = token {
            return self.parse_texts(start);
        }
        self.advance();
        let kind = match token {
            Token::Number(value) => Kind::Constant(value),
            Token::Unavailable(what) => Kind::Unavailable(what),
            Token::Keyword("None") => Kind::Constant(Value::None),
            Token::Keyword("True") => Kind::Constant(Value::Bool(true)),
            Token::Keyword("False") => Kind::Constant(Value::Bool(false)),
            Token::Variable(name) => Kind::Variable(name),
            Token::Name(name) => Kind::Name(name),
            Token::Symbol("(") => return self.parse_parenthesis(start),
            Token::Symbol("[") => return self.parse_list(start),
            Token::Symbol("{") => return self.parse_braces(start),
            _ => {
                self.next -= 1;
                return self.fail("a value is expected");
            }
        };
        self.node(kind, start, 0)
    }
}

pub(super) fn tallest(nodes: &[Node]) -> usize {
    nodes.iter().map(|node| node.height).max().unwrap_or(0)
}
