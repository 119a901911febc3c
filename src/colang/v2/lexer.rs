//! Text to tokens, with the indentation as tokens of its own.
//!
//! A line break counts as one only outside of brackets, and not before a line that begins with `and` or `or` (but `or when`
//! begins a line). Comments and empty lines change no indentation.

use crate::{
    colang::{diagnostic, source::Source},
    error::Fault,
};

/// A word of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// A name or keyword.
    Name,
    /// `$name`.
    Variable,
    Number,
    /// A text in quotes.
    Text,
    /// A text in three quotes.
    LongText,
    Symbol(&'static str),
    /// The end of a logical line. How far the comments before the next line are indented at most.
    Newline(usize),
    Indent,
    Dedent,
    End,
}

/// A token and its place, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spanned {
    pub(super) token: Token,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// How many columns a tab moves on to, at the beginning of a line.
const TAB: usize = 8;
/// The longest file, in bytes.
const MAX_LENGTH: usize = 4 << 20;

/// Longer symbols before their beginnings.
const SYMBOLS: &[&str] = &[
    "...", "->", "**", "//", "<<", ">>", "<=", ">=", "==", "!=", "<>", "+=", "-=", "(", ")", "[",
    "]", "{", "}", ",", ":", ".", "+", "-", "*", "/", "%", "@", "|", "^", "&", "~", "=", "<", ">",
];

/// Splits a text; the last token is [`Token::End`]. A fault ends the text.
pub(super) fn tokens(source: Source<'_>, lines: &Lines<'_>) -> (Vec<Spanned>, Option<Fault>) {
    let mut lexer = Lexer {
        lines,
        text: source.text,
        at: 0,
        brackets: Vec::new(),
        indents: vec![0],
        tokens: Vec::new(),
    };
    let fault = match source.text.len() > MAX_LENGTH {
        true => Err(lexer.fault(0, 1, "the file is longer than 4 MiB")),
        false => lexer.run(),
    };
    lexer.finish();
    (lexer.tokens, fault.err())
}

/// Where the lines of a text begin.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    source: Source<'a>,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(source: Source<'a>) -> Self {
        let breaks = source.text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            source,
            starts: std::iter::once(0).chain(breaks).collect(),
        }
    }

    /// The line, from 1, of a place in bytes.
    pub(super) fn line(&self, at: usize) -> usize {
        self.starts.partition_point(|start| *start <= at).max(1)
    }

    /// A fault at a place in bytes; `end` is where the marked part ends.
    pub(super) fn fault(&self, start: usize, end: usize, message: impl Into<String>) -> Fault {
        let line = self.line(start);
        let begin = self.starts.get(line - 1).copied().unwrap_or(0);
        let count = |from: usize, to: usize| {
            let part = self.source.text.get(from..to.max(from));
            part.map_or(0, |part| part.chars().count())
        };
        let length = count(start, end).max(1);
        diagnostic::fault_at(
            self.source,
            (line, count(begin, start) + 1),
            length,
            message.into(),
        )
    }
}

struct Lexer<'a> {
    lines: &'a Lines<'a>,
    text: &'a str,
    at: usize,
    /// The brackets that are open, with their places.
    brackets: Vec<(char, usize)>,
    indents: Vec<usize>,
    tokens: Vec<Spanned>,
}

impl Lexer<'_> {
    fn fault(&self, at: usize, length: usize, message: &str) -> Fault {
        self.lines.fault(at, at + length, message)
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn push(&mut self, token: Token, start: usize) {
        self.tokens.push(Spanned {
            token,
            start,
            end: self.at,
        });
    }

    fn run(&mut self) -> Result<(), Fault> {
        self.begin_line(true)?;
        while self.at < self.text.len() {
            self.step()?;
        }
        match self.brackets.first() {
            Some((bracket, at)) => {
                let message = format!("the bracket `{bracket}` is not closed");
                Err(self.fault(*at, 1, &message))
            }
            None => Ok(()),
        }
    }

    /// Ends the last line and closes what is indented.
    fn finish(&mut self) {
        self.at = self.text.len();
        if !matches!(
            self.tokens.last().map(|last| last.token),
            None | Some(Token::Newline(_) | Token::Dedent)
        ) {
            self.push(Token::Newline(0), self.at);
        }
        while self.indents.len() > 1 {
            self.indents.pop();
            self.push(Token::Dedent, self.at);
        }
        self.push(Token::End, self.at);
    }

    fn step(&mut self) -> Result<(), Fault> {
        let start = self.at;
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return Ok(());
        };
        match first {
            ' ' | '\t' | '\r' | '\u{feff}' => self.at += first.len_utf8(),
            '#' => self.skip_comment(),
            '\\' if rest[1..].trim_start_matches([' ', '\r']).starts_with('\n') => {
                self.at += rest.find('\n').unwrap_or(0) + 1;
            }
            '\n' if !self.brackets.is_empty() => self.at += 1,
            '\n' => return self.begin_line(false),
            '"' | '\'' => return self.quoted(first),
            '$' => {
                self.at += 1 + word_length(&rest[1..]);
                if self.at == start + 1 {
                    return Err(self.fault(start, 1, "a variable's name must follow `$`"));
                }
                self.push(Token::Variable, start);
            }
            c if c.is_ascii_digit() => self.number(),
            '.' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => self.number(),
            _ if word_length(rest) > 0 => {
                self.at += word_length(rest);
                self.push(Token::Name, start);
            }
            _ => return self.symbol(first),
        }
        Ok(())
    }

    fn skip_comment(&mut self) {
        let rest = self.rest();
        self.at += rest.find('\n').unwrap_or(rest.len());
    }

    fn symbol(&mut self, first: char) -> Result<(), Fault> {
        let start = self.at;
        let found = SYMBOLS
            .iter()
            .find(|symbol| self.rest().starts_with(**symbol));
        let Some(symbol) = found else {
            let message = format!("`{first}` has no meaning here");
            return Err(self.fault(start, 1, &message));
        };
        match first {
            '(' | '[' | '{' => self.brackets.push((first, start)),
            ')' | ']' | '}' => {
                let closes = match first {
                    ')' => '(',
                    ']' => '[',
                    _ => '{',
                };
                if self.brackets.pop().map(|(open, _)| open) != Some(closes) {
                    let message = format!("`{first}` closes no bracket");
                    return Err(self.fault(start, 1, &message));
                }
            }
            _ => {}
        }
        self.at += symbol.len();
        self.push(Token::Symbol(symbol), start);
        Ok(())
    }

    fn number(&mut self) {
        let start = self.at;
        let rest = self.rest();
        let mut length = 0;
        let mut previous = ' ';
        for character in rest.chars() {
            let signed = matches!(character, '+' | '-') && matches!(previous, 'e' | 'E');
            let is_part = character == '_' || character.is_ascii_alphanumeric();
            if !(is_part || character == '.' || signed) {
                break;
            }
            length += character.len_utf8();
            previous = character;
        }
        self.at += length;
        self.push(Token::Number, start);
    }

    fn quoted(&mut self, quote: char) -> Result<(), Fault> {
        let start = self.at;
        let rest = self.rest();
        let is_long = rest.chars().take(3).filter(|c| *c == quote).count() == 3;
        let ends = if is_long { 3 } else { 1 };
        let mut at = ends;
        loop {
            let inside = rest.get(at..).unwrap_or_default();
            match inside.chars().next() {
                None => return Err(self.fault(start, ends, "the text is not closed")),
                Some('\n') if !is_long => {
                    return Err(self.fault(start, at, "the text is not closed on its line"));
                }
                Some('\\') => at += 1 + inside[1..].chars().next().map_or(0, char::len_utf8),
                Some(c) if c == quote && inside.chars().take(ends).all(|c| c == quote) => {
                    break;
                }
                Some(c) => at += c.len_utf8(),
            }
        }
        self.at += at + ends;
        let token = if is_long {
            Token::LongText
        } else {
            Token::Text
        };
        self.push(token, start);
        Ok(())
    }

    /// Goes on to the next line that is not empty, and compares its indentation.
    fn begin_line(&mut self, is_first: bool) -> Result<(), Fault> {
        let end = self.at;
        self.at += usize::from(!is_first);
        let mut comments = 0;
        let width = loop {
            let width = self.skip_indentation();
            match self.rest().chars().next() {
                Some('#') => {
                    comments = comments.max(width);
                    self.skip_comment();
                }
                Some('\n') => {}
                _ => break width,
            }
            if self.at >= self.text.len() {
                break 0;
            }
            self.at += 1;
        };
        if !is_first && self.goes_on() {
            return Ok(());
        }
        if !is_first {
            let start = self.at;
            self.at = end;
            self.push(Token::Newline(comments), end);
            self.at = start;
        }
        if self.at >= self.text.len() {
            return Ok(());
        }
        if is_first {
            // A file may be indented as a whole.
            self.indents = vec![width];
            return Ok(());
        }
        self.indent(width)
    }

    /// Skips the space that a line begins with; gives its width.
    fn skip_indentation(&mut self) -> usize {
        let mut width = 0;
        let mut length = 0;
        for character in self.rest().chars() {
            match character {
                ' ' => width += 1,
                '\t' => width += TAB,
                '\r' | '\u{feff}' => {}
                _ => break,
            }
            length += character.len_utf8();
        }
        self.at += length;
        width
    }

    fn indent(&mut self, width: usize) -> Result<(), Fault> {
        let start = self.at;
        let current = self.indents.last().copied().unwrap_or(0);
        if width > current {
            self.indents.push(width);
            self.push(Token::Indent, start);
        }
        while self.indents.last().is_some_and(|current| *current > width) {
            self.indents.pop();
            self.push(Token::Dedent, start);
        }
        match self.indents.last() == Some(&width) {
            true => Ok(()),
            false => Err(self.fault(
                start,
                1,
                "the line is indented less than the one before, but as far as no earlier one",
            )),
        }
    }

    /// Whether the line goes on the one before.
    fn goes_on(&self) -> bool {
        let rest = self.rest();
        let word = rest.get(..word_length(rest)).unwrap_or_default();
        let behind = rest.get(word.len()..).unwrap_or_default();
        if !behind.starts_with([' ', '\t']) {
            return false;
        }
        let next = behind.trim_start_matches([' ', '\t']);
        let is_when = next.get(..word_length(next)) == Some("when");
        word == "and" || (word == "or" && !is_when)
    }
}

/// How many bytes the name at the beginning takes.
fn word_length(text: &str) -> usize {
    let starts = text
        .chars()
        .next()
        .is_some_and(|c| c == '_' || c.is_alphabetic());
    if !starts {
        return 0;
    }
    text.chars()
        .take_while(|c| *c == '_' || c.is_alphanumeric())
        .map(char::len_utf8)
        .sum()
}
