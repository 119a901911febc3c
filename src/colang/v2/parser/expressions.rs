//! Where expressions end, and what they are.
//!
//! The tokens say where an expression ends (after `foo $a $b` two begin); its own parser then reads that part of the text.

use std::sync::Arc;

use super::{Parsed, Parser, Spanned, Token};
use crate::colang::{
    expr::{Dialect, Expr},
    v2::{ast::Arguments, expression::Expression},
};

/// How far an expression goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// With `and`, `or`, `not`, comparisons and conditions.
    Test,
    /// Operators of arithmetic only: the arguments of a call without parentheses, where `and` joins calls.
    Operand,
}

/// An argument as it is written.
pub(super) struct ArgumentText {
    pub(super) name: String,
    pub(super) text: String,
    /// Where it stands, in bytes.
    pub(super) place: (usize, usize),
}

const ARITHMETIC: &[&str] = &[
    "|", "^", "&", "<<", ">>", "+", "-", "*", "/", "//", "%", "**",
];
const COMPARISONS: &[&str] = &["<", ">", "==", ">=", "<=", "!="];

impl Parser<'_> {
    /// A whole expression.
    pub(super) fn parse_test(&mut self) -> Parsed<Expression> {
        let first = self.next;
        self.skip_expression(Reach::Test)?;
        self.expression(first)
    }

    /// An expression without comparisons and logic.
    pub(super) fn parse_operand(&mut self) -> Parsed<Expression> {
        let first = self.next;
        self.skip_expression(Reach::Operand)?;
        self.expression(first)
    }

    /// Whether an argument can begin here.
    pub(super) fn begins_operand(&self) -> bool {
        match self.peek() {
            Token::Variable | Token::Number | Token::Text | Token::LongText => true,
            Token::Name => {
                matches!(self.word(0), "None" | "True" | "False")
                    || (self.spanned(1).token == Token::Symbol("(")
                        && !matches!(self.word(0), "and" | "or" | "as"))
            }
            Token::Symbol(symbol) => {
                matches!(symbol, "[" | "{" | "+" | "-" | "~" | "...")
            }
            _ => false,
        }
    }

    /// Arguments in parentheses, which are next.
    pub(super) fn parse_arguments(&mut self) -> Parsed<Arguments> {
        let mut arguments = Arguments::new();
        let mut position = 0_usize;
        self.expect("(")?;
        if self.accept(")") {
            return Ok(arguments);
        }
        loop {
            let at = self.spanned(0);
            let is_named =
                self.peek() == Token::Name && self.spanned(1).token == Token::Symbol("=");
            let name: Arc<str> = if is_named {
                let name = self.word(0).into();
                self.next += 2;
                name
            } else {
                if arguments.len() > position {
                    let message = "an argument without a name cannot follow one with a name";
                    return Err(self.fault(at, message));
                }
                position += 1;
                format!("${}", position - 1).into()
            };
            let value = self.parse_test()?;
            if arguments.insert(Arc::clone(&name), value).is_some() {
                let message = format!("the argument `{name}` is given twice");
                return Err(self.fault(at, message));
            }
            if self.accept(")") {
                return Ok(arguments);
            }
            if !self.accept(",") {
                return Err(self.unexpected("`,` or `)`"));
            }
        }
    }

    /// Arguments in parentheses as they are written, with their places.
    pub(super) fn parse_argument_texts(&mut self) -> Parsed<Vec<ArgumentText>> {
        let mut texts = Vec::new();
        self.expect("(")?;
        while !self.accept(")") {
            let mut name = format!("${}", texts.len());
            if self.peek() == Token::Name && self.spanned(1).token == Token::Symbol("=") {
                name = self.word(0).to_owned();
                self.next += 2;
            }
            let start = self.spanned(0).start;
            self.skip_expression(Reach::Test)?;
            let place = (start, self.last_end());
            let text = self.text.get(place.0..place.1).unwrap_or_default();
            texts.push(ArgumentText {
                name,
                text: text.to_owned(),
                place,
            });
            if !self.is_symbol(")") {
                self.expect(",")?;
            }
        }
        Ok(texts)
    }

    fn skip_expression(&mut self, reach: Reach) -> Parsed<()> {
        loop {
            self.skip_prefixes(reach);
            self.skip_operand()?;
            if reach == Reach::Test && self.accept_word("if") {
                continue;
            }
            if reach == Reach::Test && self.accept_word("else") {
                continue;
            }
            if !self.accept_operator(reach) {
                return Ok(());
            }
        }
    }

    fn skip_prefixes(&mut self, reach: Reach) {
        loop {
            let is_sign = matches!(self.peek(), Token::Symbol("+" | "-" | "~"));
            let is_not = reach == Reach::Test && self.is_word(0, "not");
            if !is_sign && !is_not {
                return;
            }
            self.next += 1;
        }
    }

    fn accept_operator(&mut self, reach: Reach) -> bool {
        let length = match self.peek() {
            Token::Symbol(symbol) => usize::from(
                ARITHMETIC.contains(&symbol)
                    || (reach == Reach::Test && COMPARISONS.contains(&symbol)),
            ),
            Token::Name if reach == Reach::Test => match self.word(0) {
                "and" | "or" | "in" => 1,
                "is" if self.is_word(1, "not") => 2,
                "is" => 1,
                "not" if self.is_word(1, "in") => 2,
                _ => 0,
            },
            _ => 0,
        };
        self.next += length;
        length > 0
    }

    /// Something that operators join.
    fn skip_operand(&mut self) -> Parsed<()> {
        match self.peek() {
            Token::Variable | Token::Number | Token::Text | Token::LongText => self.next += 1,
            Token::Symbol("...")
                if matches!(self.spanned(1).token, Token::Text | Token::LongText) =>
            {
                self.next += 2;
            }
            Token::Symbol("[" | "{" | "(") => self.skip_brackets(),
            Token::Name if matches!(self.word(0), "None" | "True" | "False") => self.next += 1,
            Token::Name
                if self.spanned(1).token == Token::Symbol("(")
                    && !matches!(self.word(0), "and" | "or" | "not" | "in" | "is") =>
            {
                self.next += 1;
                self.skip_brackets();
            }
            _ => return Err(self.unexpected("a value")),
        }
        loop {
            if self.is_symbol("[") {
                self.skip_brackets();
            } else if self.is_symbol(".") && self.spanned(1).token == Token::Name {
                self.next += 2;
                if self.is_symbol("(") {
                    self.skip_brackets();
                }
            } else {
                return Ok(());
            }
        }
    }

    /// Goes behind the bracket that closes the one which is next. The lexer has seen to it that there is one.
    fn skip_brackets(&mut self) {
        let mut open = 0_usize;
        loop {
            match self.peek() {
                Token::Symbol("(" | "[" | "{") => open += 1,
                Token::Symbol(")" | "]" | "}") => open = open.saturating_sub(1),
                Token::End | Token::Newline(_) => return,
                _ => {}
            }
            self.next += 1;
            if open == 0 {
                return;
            }
        }
    }

    /// The expression from the token `first` to the last one read.
    fn expression(&self, first: usize) -> Parsed<Expression> {
        let tokens = self.tokens.get(first..self.next).unwrap_or_default();
        let (Some(begin), Some(end)) = (tokens.first(), tokens.last()) else {
            return Err(self.unexpected("a value"));
        };
        let text = self.on_one_line(tokens);
        let error = match Expr::parse(&text, Dialect::V2) {
            Ok(expr) => return Ok(Expression::Parsed(expr)),
            Err(error) => error,
        };
        let byte = |characters: usize| {
            let found = text.char_indices().nth(characters);
            begin.start + found.map_or(text.len(), |(at, _)| at)
        };
        let (start, stop) = (byte(error.span.start), byte(error.span.end));
        let is_text = |token: &Spanned| {
            matches!(token.token, Token::Text | Token::LongText)
                && token.start < start
                && start < token.end
        };
        let is_generated = tokens
            .iter()
            .any(|token| token.token == Token::Symbol("..."));
        if is_generated || tokens.iter().any(is_text) {
            return Ok(Expression::Invalid {
                text: text.into(),
                error,
            });
        }
        let message = format!("this is no expression: {}", error.message);
        Err(self
            .lines
            .fault(start.min(end.end), stop.max(start), message))
    }

    /// The text of the tokens, with line breaks and comments between them as spaces: each stays where it was.
    fn on_one_line(&self, tokens: &[Spanned]) -> String {
        let mut text = String::new();
        let mut at = tokens.first().map_or(0, |token| token.start);
        for token in tokens {
            let gap = self.text.get(at..token.start).unwrap_or_default();
            text.extend(std::iter::repeat_n(' ', gap.len()));
            text.push_str(self.text.get(token.start..token.end).unwrap_or_default());
            at = token.end;
        }
        text
    }
}
