//! The characters of a pattern, one ahead, with an escaped character as one token.

use super::parser::Fault;

/// One character, or a backslash with the character after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Char(char),
    Escape(char),
}

impl Token {
    /// Its length in characters.
    pub(super) fn len(self) -> usize {
        match self {
            Self::Char(_) => 1,
            Self::Escape(_) => 2,
        }
    }

    fn push_to(self, text: &mut String) {
        match self {
            Self::Char(c) => text.push(c),
            Self::Escape(c) => text.extend(['\\', c]),
        }
    }
}

pub(super) struct Tokens {
    chars: Vec<char>,
    /// Where the token after `next` begins.
    index: usize,
    next: Option<Token>,
}

impl Tokens {
    pub(super) fn new(pattern: &str) -> Result<Self, Fault> {
        let mut tokens = Self {
            chars: pattern.chars().collect(),
            index: 0,
            next: None,
        };
        tokens.advance()?;
        Ok(tokens)
    }

    fn advance(&mut self) -> Result<(), Fault> {
        self.next = match self.chars.get(self.index) {
            None => None,
            Some('\\') => {
                let Some(escaped) = self.chars.get(self.index + 1) else {
                    return Err(Fault::at(
                        "bad escape (end of pattern)",
                        self.chars.len() - 1,
                    ));
                };
                self.index += 2;
                Some(Token::Escape(*escaped))
            }
            Some(c) => {
                self.index += 1;
                Some(Token::Char(*c))
            }
        };
        Ok(())
    }

    pub(super) fn peek(&self) -> Option<Token> {
        self.next
    }

    pub(super) fn next_is(&self, c: char) -> bool {
        self.next == Some(Token::Char(c))
    }

    pub(super) fn get(&mut self) -> Result<Option<Token>, Fault> {
        let token = self.next;
        self.advance()?;
        Ok(token)
    }

    /// Takes `c` if it comes next.
    pub(super) fn take(&mut self, c: char) -> Result<bool, Fault> {
        let taken = self.next_is(c);
        if taken {
            self.advance()?;
        }
        Ok(taken)
    }

    /// Takes up to `most` characters that `accept` accepts.
    pub(super) fn get_while(
        &mut self,
        most: usize,
        accept: impl Fn(char) -> bool,
    ) -> Result<String, Fault> {
        let mut taken = String::new();
        for _ in 0..most {
            match self.next {
                Some(Token::Char(c)) if accept(c) => taken.push(c),
                _ => break,
            }
            self.advance()?;
        }
        Ok(taken)
    }

    /// Takes what comes before `terminator`, and the terminator. `what` names it in errors.
    pub(super) fn get_until(&mut self, terminator: char, what: &str) -> Result<String, Fault> {
        let mut taken = String::new();
        loop {
            let token = self.get()?;
            match token {
                None if taken.is_empty() => return Err(self.fault(format!("missing {what}"), 0)),
                None => {
                    let message = format!("missing {terminator}, unterminated name");
                    return Err(self.fault(message, taken.chars().count()));
                }
                Some(Token::Char(c)) if c == terminator => {
                    if taken.is_empty() {
                        return Err(self.fault(format!("missing {what}"), 1));
                    }
                    return Ok(taken);
                }
                Some(token) => token.push_to(&mut taken),
            }
        }
    }

    /// The position of the next token, in characters from 0.
    pub(super) fn position(&self) -> usize {
        self.index - self.next.map_or(0, Token::len)
    }

    /// Goes back to a position that [`position`](Self::position) gave.
    pub(super) fn seek(&mut self, position: usize) -> Result<(), Fault> {
        self.index = position;
        self.advance()
    }

    /// A fault `back` characters before the next token.
    pub(super) fn fault(&self, message: impl Into<String>, back: usize) -> Fault {
        Fault::at(message, self.position().saturating_sub(back))
    }
}
