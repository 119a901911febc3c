//! Texts in expressions: escapes, and the expressions inside of them.

use std::sync::Arc;

use super::{
    ExprError, Span,
    ast::{Node, Piece},
    parser::Parser,
};

/// A text literal, not yet decoded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct RawText {
    /// What stands between the quotes.
    pub(super) body: Span,
    pub(super) raw: bool,
    pub(super) bytes: bool,
    /// An f-string of Python.
    pub(super) formatted: bool,
    /// A text of Colang 2.x, with `{expression}` in it.
    pub(super) interpolated: bool,
}

impl RawText {
    /// The pieces of the text. A text without expressions has one literal piece, or none if it is empty.
    pub(super) fn pieces(&self, parser: &mut Parser<'_>) -> Result<Vec<Piece>, ExprError> {
        let mut reader = Reader::new(self.raw, parser.offset());
        if self.formatted {
            let end = reader.formatted(parser, self.body, 0)?;
            if end < self.body.end {
                return Err(reader.error("a single `}` in an f-string", end, end + 1));
            }
        } else if self.interpolated {
            reader.interpolated(parser, self.body)?;
        } else {
            reader.unescape(parser.text(self.body), self.body.start)?;
        }
        reader.flush();
        Ok(reader.pieces)
    }
}

struct Reader {
    raw: bool,
    /// Where the parser's text begins in the whole expression.
    offset: usize,
    literal: String,
    pieces: Vec<Piece>,
}

impl Reader {
    fn new(raw: bool, offset: usize) -> Self {
        Self {
            raw,
            offset,
            literal: String::new(),
            pieces: Vec::new(),
        }
    }

    fn error(&self, message: &str, start: usize, end: usize) -> ExprError {
        ExprError::new(message, Span::new(start, end).shifted(self.offset))
    }

    fn flush(&mut self) {
        if !self.literal.is_empty() {
            self.pieces
                .push(Piece::Literal(Arc::from(std::mem::take(&mut self.literal))));
        }
    }

    fn insert(&mut self, node: Node, spec: Option<Vec<Piece>>) {
        self.flush();
        self.pieces.push(Piece::Inserted { node, spec });
    }

    /// Colang 2.x: `{expression}`, if the brace stands alone on both sides and no brace is inside; then `{{` and `}}`
    /// are single braces.
    fn interpolated(&mut self, parser: &mut Parser<'_>, body: Span) -> Result<(), ExprError> {
        let text = parser.text(body);
        let mut at = 0;
        let mut literal = 0;
        while at < text.len() {
            match inserted_end(text, at) {
                Some(end) => {
                    self.literal_braces(
                        text.get(literal..at).unwrap_or_default(),
                        body.start + literal,
                    )?;
                    let inner = Span::new(body.start + at + 1, body.start + end);
                    let node = parser.nested(inner)?;
                    self.insert(node, None);
                    at = end + 1;
                    literal = at;
                }
                None => at += 1,
            }
        }
        self.literal_braces(
            text.get(literal..).unwrap_or_default(),
            body.start + literal,
        )
    }

    fn literal_braces(&mut self, text: &[char], start: usize) -> Result<(), ExprError> {
        let text: String = text.iter().collect();
        let text: Vec<char> = text.replace("{{", "{").replace("}}", "}").chars().collect();
        self.unescape(&text, start)
    }

    /// Python's f-strings. Reads to the end, or to a single `}`, and answers where it stopped.
    fn formatted(
        &mut self,
        parser: &mut Parser<'_>,
        body: Span,
        depth: usize,
    ) -> Result<usize, ExprError> {
        let mut at = body.start;
        let mut literal = at;
        while at < body.end {
            let (here, next) = (
                parser.character(at),
                parser.character(at + 1).filter(|_| at + 1 < body.end),
            );
            match here {
                Some('{' | '}') if depth == 0 && next == here => {
                    self.unescape(parser.text(Span::new(literal, at + 1)), literal)?;
                    at += 2;
                    literal = at;
                }
                Some('{') => {
                    self.unescape(parser.text(Span::new(literal, at)), literal)?;
                    at = self.replacement(parser, Span::new(at, body.end), depth)?;
                    literal = at;
                }
                Some('}') => break,
                _ => at += 1,
            }
        }
        self.unescape(parser.text(Span::new(literal, at)), literal)?;
        Ok(at)
    }

    /// `{expression!r:spec}`, from its first brace; answers the place behind its last one.
    fn replacement(
        &mut self,
        parser: &mut Parser<'_>,
        rest: Span,
        depth: usize,
    ) -> Result<usize, ExprError> {
        let offset = self.offset;
        let fail = |message: &str, at: usize| {
            Err(ExprError::new(
                message,
                Span::new(at, at + 1).shifted(offset),
            ))
        };
        if depth > 1 {
            return fail("format specifications are nested too deep", rest.start);
        }
        let mut at = expression_end(parser, Span::new(rest.start + 1, rest.end));
        let inner = Span::new(rest.start + 1, at);
        if parser.text(inner).iter().all(|c| c.is_whitespace()) {
            return fail("an expression is missing between the braces", rest.start);
        }
        let node = parser.nested(inner)?;
        if parser.character(at) == Some('!') && at < rest.end {
            // The reference takes no notice of the conversion.
            if !matches!(parser.character(at + 1), Some('r' | 's' | 'a')) {
                return fail("`r`, `s` or `a` must follow `!`", at);
            }
            at += 2;
        }
        let mut spec = None;
        if parser.character(at) == Some(':') && at < rest.end {
            let mut reader = Self::new(self.raw, self.offset);
            at = reader.formatted(parser, Span::new(at + 1, rest.end), depth + 1)?;
            reader.flush();
            spec = Some(reader.pieces);
        }
        if parser.character(at) != Some('}') || at >= rest.end {
            return fail("`}` is missing", rest.start);
        }
        self.insert(node, spec);
        Ok(at + 1)
    }

    /// Appends a literal part, its escapes resolved unless the text is raw.
    fn unescape(&mut self, text: &[char], start: usize) -> Result<(), ExprError> {
        if self.raw {
            self.literal.extend(text);
            return Ok(());
        }
        let mut at = 0;
        while let Some(character) = text.get(at) {
            at += 1;
            if *character != '\\' {
                self.literal.push(*character);
                continue;
            }
            let span = Span::new(start + at - 1, start + at + 1).shifted(self.offset);
            let fail = || ExprError::new("the escape is not complete", span);
            let escaped = text.get(at).copied().ok_or_else(fail)?;
            at += 1;
            let simple = match escaped {
                '\n' => continue,
                '\\' | '\'' | '"' => escaped,
                'a' => '\x07',
                'b' => '\x08',
                'f' => '\x0c',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'v' => '\x0b',
                '0'..='7' => {
                    at -= 1;
                    let length = text
                        .iter()
                        .skip(at)
                        .take(3)
                        .take_while(|c| c.is_digit(8))
                        .count();
                    let code = number(text, at, length, 8).ok_or_else(fail)?;
                    at += length;
                    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
                }
                'x' | 'u' | 'U' => {
                    let length = match escaped {
                        'x' => 2,
                        'u' => 4,
                        _ => 8,
                    };
                    let code = number(text, at, length, 16).ok_or_else(fail)?;
                    at += length;
                    match char::from_u32(code) {
                        Some(character) => character,
                        None if code <= 0x10_ffff => char::REPLACEMENT_CHARACTER,
                        None => return Err(fail()),
                    }
                }
                'N' => {
                    return Err(ExprError::new("characters cannot be written by name", span));
                }
                other => {
                    self.literal.push('\\');
                    other
                }
            };
            self.literal.push(simple);
        }
        Ok(())
    }
}

/// The number that exactly `length` digits make.
fn number(text: &[char], at: usize, length: usize, radix: u32) -> Option<u32> {
    let digits = text
        .get(at..at + length)
        .filter(|digits| !digits.is_empty())?;
    digits.iter().try_fold(0_u32, |sum, c| {
        sum.checked_mul(radix)?.checked_add(c.to_digit(radix)?)
    })
}

/// Where the expression that begins with the brace at `start` ends; none if the brace begins no expression.
fn inserted_end(text: &[char], start: usize) -> Option<usize> {
    if text.get(start) != Some(&'{') {
        return None;
    }
    let inside = text.get(start + 1..)?;
    let length = inside.iter().position(|c| matches!(c, '{' | '}'))?;
    let closes = inside.get(length) == Some(&'}') && inside.get(length + 1) != Some(&'}');
    (length > 0 && closes).then_some(start + 1 + length)
}

/// Where the expression of an f-string's replacement ends: at `}`, `:` or `!` outside of brackets and texts.
fn expression_end(parser: &Parser<'_>, rest: Span) -> usize {
    let mut brackets = 0_usize;
    let mut quote = None;
    let mut at = rest.start;
    while at < rest.end {
        let character = parser.character(at);
        match (quote, character) {
            (Some(_), _) if character == quote => quote = None,
            (Some(_), _) => {}
            (None, Some('"' | '\'')) => quote = character,
            (None, Some('(' | '[' | '{')) => brackets += 1,
            (None, Some(')' | ']')) => brackets = brackets.saturating_sub(1),
            (None, Some('}')) if brackets > 0 => brackets -= 1,
            (None, Some('!')) if parser.character(at + 1) == Some('=') => at += 1,
            (None, Some('}' | ':' | '!')) if brackets == 0 => return at,
            _ => {}
        }
        at += 1;
    }
    rest.end
}
