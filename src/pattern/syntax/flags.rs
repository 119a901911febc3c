//! Flags, for the whole pattern and inside groups.

use super::{
    parser::{Fault, Parser},
    tokens::Token,
};

/// The flags in force at a place.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flags {
    pub(super) ignore_case: bool,
    pub(super) multiline: bool,
    pub(super) dot_all: bool,
    pub(super) verbose: bool,
    pub(super) ascii: bool,
    /// Written out; Unicode is in force without it too.
    pub(super) unicode: bool,
}

impl Flags {
    /// Adds flags for the whole pattern.
    pub(super) fn add(&mut self, added: Self) {
        self.ignore_case |= added.ignore_case;
        self.multiline |= added.multiline;
        self.dot_all |= added.dot_all;
        self.verbose |= added.verbose;
        self.ascii |= added.ascii;
        self.unicode |= added.unicode;
    }

    /// The flags inside `(?added-removed:..)`.
    pub(super) fn scoped(self, added: Self, removed: Self) -> Self {
        let kind = added.ascii || added.unicode;
        Self {
            ignore_case: (self.ignore_case || added.ignore_case) && !removed.ignore_case,
            multiline: (self.multiline || added.multiline) && !removed.multiline,
            dot_all: (self.dot_all || added.dot_all) && !removed.dot_all,
            verbose: (self.verbose || added.verbose) && !removed.verbose,
            ascii: if kind { added.ascii } else { self.ascii },
            unicode: if kind { added.unicode } else { self.unicode },
        }
    }

    /// Refuses flags for the whole pattern that exclude each other.
    pub(super) fn check(self) -> Result<(), Fault> {
        if self.ascii && self.unicode {
            let message = "ASCII and UNICODE flags are incompatible";
            return Err(Fault::without_place(message));
        }
        Ok(())
    }

    fn set(&mut self, flag: char) -> bool {
        match flag {
            'i' => self.ignore_case = true,
            'm' => self.multiline = true,
            's' => self.dot_all = true,
            'x' => self.verbose = true,
            'a' => self.ascii = true,
            'u' => self.unicode = true,
            _ => return false,
        }
        true
    }

    fn overlaps(self, other: Self) -> bool {
        self.ignore_case && other.ignore_case
            || self.multiline && other.multiline
            || self.dot_all && other.dot_all
            || self.verbose && other.verbose
    }
}

/// What stands between `(?` and `)` or `:`.
pub(super) enum InlineFlags {
    Global(Flags),
    Scoped { added: Flags, removed: Flags },
}

impl Parser {
    /// Reads flags of which `first` is already taken; `None` where it is no flag.
    pub(super) fn inline_flags(&mut self, first: char) -> Result<Option<InlineFlags>, Fault> {
        let mut added = Flags::default();
        let mut c = first;
        if !matches!(c, 'i' | 'm' | 's' | 'x' | 'a' | 'u' | 'L' | '-') {
            return Ok(None);
        }
        while c != '-' {
            if c == 'L' {
                let message = "bad inline flags: cannot use 'L' flag with a str pattern";
                return Err(self.tokens.fault(message, 0));
            }
            added.set(c);
            if added.ascii && added.unicode {
                let message = "bad inline flags: flags 'a', 'u' and 'L' are incompatible";
                return Err(self.tokens.fault(message, 0));
            }
            match self.required("missing -, : or )")? {
                Token::Char(')') => return Ok(Some(InlineFlags::Global(added))),
                Token::Char(':') => {
                    let removed = Flags::default();
                    return Ok(Some(InlineFlags::Scoped { added, removed }));
                }
                token => c = self.flag(token, "missing -, : or )")?,
            }
        }
        let mut removed = Flags::default();
        let token = self.required("missing flag")?;
        c = match token {
            Token::Char('-') => return Err(self.tokens.fault("missing flag", 1)),
            token => self.flag(token, "missing flag")?,
        };
        loop {
            if matches!(c, 'a' | 'u' | 'L') {
                let message = "bad inline flags: cannot turn off flags 'a', 'u' and 'L'";
                return Err(self.tokens.fault(message, 0));
            }
            removed.set(c);
            c = match self.required("missing :")? {
                Token::Char(':') => break,
                Token::Char('-') => return Err(self.tokens.fault("missing :", 1)),
                token => self.flag(token, "missing :")?,
            };
        }
        if added.overlaps(removed) {
            let message = "bad inline flags: flag turned on and off";
            return Err(self.tokens.fault(message, 1));
        }
        Ok(Some(InlineFlags::Scoped { added, removed }))
    }

    /// The flag, or the dash, that a token is.
    fn flag(&self, token: Token, missing: &str) -> Result<char, Fault> {
        match token {
            Token::Char(c @ ('i' | 'm' | 's' | 'x' | 'a' | 'u' | 'L' | '-')) => Ok(c),
            Token::Char(c) if c.is_alphabetic() => Err(self.tokens.fault("unknown flag", 1)),
            token => Err(self.tokens.fault(missing, token.len())),
        }
    }
}
