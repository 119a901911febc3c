//! Expression text to tokens. Places are counted in characters.

use std::sync::Arc;

use super::{Dialect, ExprError, Span, literal::RawText};
use crate::value::{Value, parse_float};

/// The longest expression, in characters.
const MAX_CHARACTERS: usize = 200_000;

/// A word of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Number(Value),
    /// A number that values cannot hold.
    Unavailable(&'static str),
    Text(RawText),
    /// `$name`.
    Variable(Arc<str>),
    Name(Arc<str>),
    Keyword(&'static str),
    Symbol(&'static str),
    End,
}

/// The words that are no names. Those that stand only in statements are no part of any expression.
const KEYWORDS: &[&str] = &[
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue",
    "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import",
    "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while",
    "with", "yield",
];

/// Longer symbols before their beginnings.
const SYMBOLS: &[&str] = &[
    "**", "//", "<<", ">>", "<=", ">=", "==", "!=", ":=", "(", ")", "[", "]", "{", "}", ",", ":",
    ".", "+", "-", "*", "/", "%", "<", ">", "|", "^", "&", "~", "=",
];

/// Splits an expression into tokens; the last one is [`Token::End`].
pub(super) fn tokens(text: &[char], dialect: Dialect) -> Result<Vec<(Token, Span)>, ExprError> {
    if text.len() > MAX_CHARACTERS {
        return Err(ExprError::new(
            "the expression is longer than 200000 characters",
            Span::new(0, text.len()),
        ));
    }
    let mut lexer = Lexer {
        text,
        at: 0,
        dialect,
        brackets: 0,
    };
    let mut tokens = Vec::new();
    loop {
        let (token, span) = lexer.next()?;
        let done = token == Token::End;
        tokens.push((token, span));
        if done {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    text: &'a [char],
    at: usize,
    dialect: Dialect,
    brackets: usize,
}

impl Lexer<'_> {
    fn next(&mut self) -> Result<(Token, Span), ExprError> {
        self.skip_blank()?;
        let start = self.at;
        let token = match self.peek(0) {
            None => Token::End,
            Some('$') => self.variable()?,
            Some(c) if c.is_ascii_digit() => self.number()?,
            Some('.') if self.peek(1).is_some_and(|c| c.is_ascii_digit()) => self.number()?,
            Some('"' | '\'') => Token::Text(self.text_literal(0)?),
            Some(c) if c == '_' || c.is_alphabetic() => match self.prefix_length() {
                Some(length) => Token::Text(self.text_literal(length)?),
                None => self.word(),
            },
            Some(_) => self.symbol()?,
        };
        Ok((token, Span::new(start, self.at)))
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.text.get(self.at + ahead).copied()
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> String {
        let start = self.at;
        while self.peek(0).is_some_and(&accept) {
            self.at += 1;
        }
        self.text
            .get(start..self.at)
            .unwrap_or_default()
            .iter()
            .collect()
    }

    fn fail<T>(&self, message: impl Into<String>, start: usize) -> Result<T, ExprError> {
        Err(ExprError::new(
            message,
            Span::new(
                start,
                self.at.max(start + 1).min(self.text.len().max(start)),
            ),
        ))
    }

    /// Skips spaces and comments, and line breaks where Python allows them.
    fn skip_blank(&mut self) -> Result<(), ExprError> {
        let start = self.at;
        let mut line_break = None;
        while let Some(character) = self.peek(0) {
            match character {
                '\n' | '\r' => {
                    if self.brackets == 0 && start > 0 {
                        line_break.get_or_insert(self.at);
                    }
                    self.at += 1;
                }
                '\\' if self.peek(1) == Some('\n') => self.at += 2,
                '#' => {
                    self.take_while(|c| c != '\n');
                }
                c if c.is_whitespace() => self.at += 1,
                _ => break,
            }
        }
        match line_break {
            Some(place) if self.at < self.text.len() => self.fail(
                "an expression ends with its line, unless a bracket is open",
                place,
            ),
            _ => Ok(()),
        }
    }

    fn variable(&mut self) -> Result<Token, ExprError> {
        let start = self.at;
        self.at += 1;
        let name = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return self.fail("a variable's name must follow `$`", start);
        }
        Ok(Token::Variable(name.into()))
    }

    fn word(&mut self) -> Token {
        let word = self.take_while(|c| c == '_' || c.is_alphanumeric());
        match KEYWORDS.iter().find(|keyword| **keyword == word) {
            Some(keyword) => Token::Keyword(keyword),
            None => Token::Name(word.into()),
        }
    }

    fn symbol(&mut self) -> Result<Token, ExprError> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let found = SYMBOLS.iter().find(|symbol| {
            symbol
                .chars()
                .enumerate()
                .all(|(index, c)| rest.get(index) == Some(&c))
        });
        let Some(symbol) = found else {
            let character = rest.first().copied().unwrap_or(' ');
            return self.fail(
                format!("`{character}` has no meaning in an expression"),
                self.at,
            );
        };
        self.at += symbol.len();
        match *symbol {
            "(" | "[" | "{" => self.brackets += 1,
            ")" | "]" | "}" => self.brackets = self.brackets.saturating_sub(1),
            _ => {}
        }
        Ok(Token::Symbol(symbol))
    }

    fn number(&mut self) -> Result<Token, ExprError> {
        let start = self.at;
        let radix = match (self.peek(0), self.peek(1)) {
            (Some('0'), Some('x' | 'X')) => Some(16),
            (Some('0'), Some('o' | 'O')) => Some(8),
            (Some('0'), Some('b' | 'B')) => Some(2),
            _ => None,
        };
        let token = match radix {
            Some(radix) => {
                self.at += 2;
                let digits = self
                    .take_while(|c| c.is_ascii_alphanumeric() || c == '_')
                    .replace('_', "");
                match i64::from_str_radix(&digits, radix) {
                    Ok(number) => Token::Number(Value::Int(number)),
                    Err(_) if !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix)) => {
                        TOO_LARGE
                    }
                    Err(_) => return self.fail("this is no number", start),
                }
            }
            None => self.decimal(start)?,
        };
        if matches!(self.peek(0), Some('j' | 'J')) {
            self.at += 1;
            return Ok(Token::Unavailable("imaginary numbers"));
        }
        if self
            .peek(0)
            .is_some_and(|c| c == '_' || c.is_alphanumeric())
        {
            return self.fail("a number cannot be followed by a letter", start);
        }
        Ok(token)
    }

    fn decimal(&mut self, start: usize) -> Result<Token, ExprError> {
        let is_digit = |c: char| c.is_ascii_digit() || c == '_';
        let mut digits = self.take_while(is_digit);
        let mut floating = false;
        if self.peek(0) == Some('.') {
            floating = true;
            self.at += 1;
            digits.push('.');
            digits += &self.take_while(is_digit);
        }
        let exponent_digit = match self.peek(1) {
            Some('+' | '-') => self.peek(2),
            next => next,
        };
        if matches!(self.peek(0), Some('e' | 'E'))
            && exponent_digit.is_some_and(|c| c.is_ascii_digit())
        {
            floating = true;
            digits.push('e');
            self.at += 1;
            if let Some(sign @ ('+' | '-')) = self.peek(0) {
                digits.push(sign);
                self.at += 1;
            }
            digits += &self.take_while(is_digit);
        }
        if floating {
            return match parse_float(&digits) {
                Some(number) => Ok(Token::Number(Value::Float(number))),
                None => self.fail("this is no number", start),
            };
        }
        let misplaced = digits.ends_with('_') || digits.contains("__");
        let plain = digits.replace('_', "");
        if misplaced || (plain.starts_with('0') && plain.chars().any(|c| c != '0')) {
            return self.fail("this is no number", start);
        }
        Ok(plain
            .parse()
            .map_or(TOO_LARGE, |number| Token::Number(Value::Int(number))))
    }

    /// The length of a text's prefix (`r`, `f`, …), if a quote follows it.
    fn prefix_length(&self) -> Option<usize> {
        let letters =
            (0..3).take_while(|ahead| self.peek(*ahead).is_some_and(|c| c.is_ascii_alphabetic()));
        let length = letters.count();
        let prefix: String = (0..length).filter_map(|ahead| self.peek(ahead)).collect();
        let known = matches!(
            prefix.to_ascii_lowercase().as_str(),
            "r" | "u" | "b" | "f" | "rb" | "br" | "rf" | "fr"
        );
        (known && matches!(self.peek(length), Some('"' | '\''))).then_some(length)
    }

    fn text_literal(&mut self, prefix_length: usize) -> Result<RawText, ExprError> {
        let start = self.at;
        let prefix: Vec<char> = (0..prefix_length)
            .filter_map(|ahead| self.peek(ahead))
            .map(|c| c.to_ascii_lowercase())
            .collect();
        self.at += prefix_length;
        let quote = self.peek(0);
        let length = if self.peek(1) == quote && self.peek(2) == quote {
            3
        } else {
            1
        };
        self.at += length;
        let body = self.at;
        loop {
            match self.peek(0) {
                None => return self.fail("the text is not closed", start),
                Some('\n') if length == 1 => {
                    return self.fail("the text is not closed on its line", start);
                }
                Some('\\') => self.at += if self.peek(1).is_some() { 2 } else { 1 },
                character
                    if character == quote && (1..length).all(|ahead| self.peek(ahead) == quote) =>
                {
                    break;
                }
                Some(_) => self.at += 1,
            }
        }
        let text = RawText {
            body: Span::new(body, self.at),
            raw: prefix.contains(&'r'),
            bytes: prefix.contains(&'b'),
            formatted: prefix.contains(&'f'),
            interpolated: self.dialect == Dialect::V2 && !prefix.contains(&'f'),
        };
        self.at += length;
        Ok(text)
    }
}

const TOO_LARGE: Token = Token::Unavailable("whole numbers beyond 64 bits");
