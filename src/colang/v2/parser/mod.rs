//! Tokens to the tree, by recursive descent.
//!
//! `parse_x` reads an `x` that must be there, `accept` takes a token if it is the next one, `expect` demands it. A fault
//! leaves its statement out; the parser goes on with the next line, so that all faults of a file come at once.

mod define;
mod expressions;
mod specs;
mod statements;
#[cfg(test)]
mod tests;

use super::{
    ast::FlowDef,
    lexer::{self, Lines, Spanned, Token},
};
use crate::{colang::source::Source, error::Fault};

/// How deep statements and groups may be nested.
const MAX_DEPTH: usize = 60;

/// What a file defines.
#[derive(Debug, Clone, Default)]
pub struct Module {
    /// What `import` names, in order.
    pub imports: Vec<Import>,
    /// What does nothing, and so is hardly meant: statements outside of flows.
    pub warnings: Vec<Fault>,
    pub(super) flows: Vec<FlowDef>,
    pub(super) file: String,
    pub(super) text: String,
    pub(super) is_excluded_from_llm: bool,
}

/// An `import`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The path that it names, with `/`: `core`, `nemoguardrails/library/self_check/input_check`.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
}

/// Parses a file; `name` is what faults call it. What is wrong is left out of the module and reported.
pub fn parse(name: &str, text: &str) -> (Module, Vec<Fault>) {
    let source = Source::new(name, text);
    let lines = Lines::new(source);
    let (tokens, fault) = lexer::tokens(source, &lines);
    let mut parser = Parser {
        text,
        lines: &lines,
        tokens,
        next: 0,
        depth: 0,
        faults: Vec::new(),
        warnings: Vec::new(),
        imports: Vec::new(),
    };
    let flows = parser.parse_file();
    let mut faults = parser.faults;
    if let Some(fault) = fault {
        // What the text breaks off in is no fault of its own.
        faults.retain(|known| known.line < fault.line);
        faults.push(fault);
    }
    let module = Module {
        imports: parser.imports,
        warnings: parser.warnings,
        flows,
        file: name.to_owned(),
        text: text.to_owned(),
        is_excluded_from_llm: text
            .lines()
            .any(|line| line.starts_with("# meta: exclude from llm")),
    };
    (module, faults)
}

/// Why a statement is left out.
type Parsed<T> = Result<T, Fault>;

struct Parser<'a> {
    text: &'a str,
    lines: &'a Lines<'a>,
    tokens: Vec<Spanned>,
    next: usize,
    depth: usize,
    faults: Vec<Fault>,
    warnings: Vec<Fault>,
    imports: Vec<Import>,
}

impl<'a> Parser<'a> {
    fn spanned(&self, ahead: usize) -> Spanned {
        let last = self.tokens.len().saturating_sub(1);
        let index = (self.next + ahead).min(last);
        self.tokens.get(index).copied().unwrap_or(Spanned {
            token: Token::End,
            start: self.text.len(),
            end: self.text.len(),
        })
    }

    fn peek(&self) -> Token {
        self.spanned(0).token
    }

    /// The text of the token that many places ahead.
    fn word(&self, ahead: usize) -> &'a str {
        let at = self.spanned(ahead);
        self.text.get(at.start..at.end).unwrap_or_default()
    }

    fn advance(&mut self) -> Spanned {
        let token = self.spanned(0);
        self.next += 1;
        token
    }

    /// Where the last token ended.
    fn last_end(&self) -> usize {
        let before = self.next.checked_sub(1);
        before
            .and_then(|index| self.tokens.get(index))
            .map_or(0, |token| token.end)
    }

    fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.peek(), Token::Symbol(own) if own == symbol)
    }

    fn accept(&mut self, symbol: &str) -> bool {
        let found = self.is_symbol(symbol);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &str) -> Parsed<()> {
        match self.accept(symbol) {
            true => Ok(()),
            false => Err(self.unexpected(&format!("`{symbol}`"))),
        }
    }

    /// Whether the token that many places ahead is this word.
    fn is_word(&self, ahead: usize, word: &str) -> bool {
        self.spanned(ahead).token == Token::Name && self.word(ahead) == word
    }

    fn accept_word(&mut self, word: &str) -> bool {
        let found = self.is_word(0, word);
        self.next += usize::from(found);
        found
    }

    fn fault(&self, at: Spanned, message: impl Into<String>) -> Fault {
        self.lines.fault(at.start, at.end, message)
    }

    /// A fault at the next token.
    fn unexpected(&self, expected: &str) -> Fault {
        let at = self.spanned(0);
        let found = match at.token {
            Token::Newline(_) => "the line ends".to_owned(),
            Token::End => "the file ends".to_owned(),
            Token::Indent => "the line is indented".to_owned(),
            Token::Dedent => "the block ends".to_owned(),
            _ => format!("`{}` is here", self.word(0)),
        };
        self.fault(at, format!("{found} where {expected} is expected"))
    }

    fn expect_newline(&mut self) -> Parsed<()> {
        match self.peek() {
            Token::Newline(_) => {
                self.next += 1;
                Ok(())
            }
            _ => Err(self.unexpected("the end of the line")),
        }
    }

    /// The name of the variable that comes next, without `$`.
    fn expect_variable(&mut self) -> Parsed<&'a str> {
        match self.peek() {
            Token::Variable => {
                let name = self.word(0);
                self.next += 1;
                Ok(name.strip_prefix('$').unwrap_or(name))
            }
            _ => Err(self.unexpected("a variable (`$name`)")),
        }
    }

    /// One level deeper, if that is not too deep.
    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_DEPTH {
            let message = format!("statements are nested deeper than {MAX_DEPTH} levels");
            return Err(self.fault(self.spanned(0), message));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// Goes behind the line that is wrong, and behind the block that is indented under it.
    fn skip_line(&mut self) {
        loop {
            match self.peek() {
                Token::End | Token::Dedent => return,
                Token::Newline(_) => {
                    self.next += 1;
                    break;
                }
                _ => self.next += 1,
            }
        }
        if self.peek() == Token::Indent {
            self.skip_block();
        }
    }

    fn skip_block(&mut self) {
        let mut depth = 0_usize;
        loop {
            match self.peek() {
                Token::End => return,
                Token::Indent => depth += 1,
                Token::Dedent => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.next += 1;
            if depth == 0 {
                return;
            }
        }
    }
}
