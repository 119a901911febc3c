//! Sets in brackets, and the escapes that mean a character.

use std::sync::Arc;

use regex_syntax::hir::ClassUnicode;

use super::{
    ast::Node,
    flags::Flags,
    parser::{Fault, Parser, category, quoted},
    sets,
    tokens::Token,
};

/// A member of a set.
enum Member {
    Point(u32),
    Category(Arc<ClassUnicode>),
}

impl Parser {
    /// A set, after its opening bracket.
    pub(super) fn class(&mut self, flags: Flags) -> Result<Node, Fault> {
        let here = self.tokens.position() - 1;
        let negate = self.tokens.take('^')?;
        let mut cased = ClassUnicode::empty();
        let mut categories = ClassUnicode::empty();
        let mut points: Vec<(u32, u32)> = Vec::new();
        let mut empty = true;
        loop {
            let token = self.class_token(here)?;
            if token == Token::Char(']') && !empty {
                break;
            }
            empty = false;
            let member = self.member(token, flags)?;
            if !self.tokens.take('-')? {
                match member {
                    Member::Point(point) => points.push((point, point)),
                    Member::Category(set) => categories.union(&set),
                }
                continue;
            }
            let end = self.class_token(here)?;
            if end == Token::Char(']') {
                match member {
                    Member::Point(point) => points.push((point, point)),
                    Member::Category(set) => categories.union(&set),
                }
                points.push(('-'.into(), '-'.into()));
                break;
            }
            let last = self.member(end, flags)?;
            match (member, last) {
                (Member::Point(low), Member::Point(high)) if low <= high => {
                    points.push((low, high));
                }
                _ => return Err(self.bad_range(token, end)),
            }
        }
        for (low, high) in points {
            cased.union(&sets::of_points(low, high));
        }
        let mut set = match (flags.ignore_case, sets::only(&cased)) {
            (false, _) => cased,
            // Python takes a set of one character for that character.
            (true, Some(c)) if categories.ranges().is_empty() => sets::fold_literal(c, flags.ascii),
            (true, _) => sets::fold_set(&cased, flags.ascii),
        };
        set.union(&categories);
        if negate {
            set.negate();
        }
        Ok(Node::Set(Arc::new(set)))
    }

    fn class_token(&mut self, here: usize) -> Result<Token, Fault> {
        match self.tokens.get()? {
            Some(token) => Ok(token),
            None => {
                let back = self.tokens.position() - here;
                Err(self.tokens.fault("unterminated character set", back))
            }
        }
    }

    fn bad_range(&self, low: Token, high: Token) -> Fault {
        let show = |token: Token| match token {
            Token::Char(c) => String::from(c),
            Token::Escape(c) => format!("\\{c}"),
        };
        let message = format!("bad character range {}-{}", show(low), show(high));
        self.tokens.fault(message, low.len() + 1 + high.len())
    }

    fn member(&mut self, token: Token, flags: Flags) -> Result<Member, Fault> {
        let c = match token {
            Token::Char(c) => return Ok(Member::Point(c.into())),
            Token::Escape(c) => c,
        };
        if let Some(set) = category(c, flags) {
            return Ok(Member::Category(set));
        }
        match c {
            'b' => Ok(Member::Point(8)),
            '0'..='7' => {
                let mut digits = String::from(c);
                digits.push_str(&self.tokens.get_while(2, |c| matches!(c, '0'..='7'))?);
                let point = u32::from_str_radix(&digits, 8).unwrap_or(u32::MAX);
                if point > 0o377 {
                    let message = format!("octal escape value \\{digits} outside of range 0-0o377");
                    return Err(self.tokens.fault(message, digits.len() + 1));
                }
                Ok(Member::Point(point))
            }
            c => self.character_escape(c).map(Member::Point),
        }
    }

    /// The code point of an escape that means one character, inside and outside of sets.
    pub(super) fn character_escape(&mut self, c: char) -> Result<u32, Fault> {
        let digits = match c {
            'a' => return Ok(7),
            'f' => return Ok(12),
            'n' => return Ok(10),
            'r' => return Ok(13),
            't' => return Ok(9),
            'v' => return Ok(11),
            'x' => 2,
            'u' => 4,
            'U' => 8,
            'N' => return self.named_character(),
            c if c.is_ascii_alphanumeric() => {
                return Err(self.tokens.fault(format!("bad escape \\{c}"), 2));
            }
            c => return Ok(c.into()),
        };
        let taken = self.tokens.get_while(digits, |c| c.is_ascii_hexdigit())?;
        let length = taken.len() + 2;
        if taken.len() != digits {
            let message = format!("incomplete escape \\{c}{taken}");
            return Err(self.tokens.fault(message, length));
        }
        match u32::from_str_radix(&taken, 16) {
            Ok(point) if point <= 0x10_ffff => Ok(point),
            _ => {
                let message = format!("bad escape \\{c}{taken}");
                Err(self.tokens.fault(message, length))
            }
        }
    }

    /// `\N{..}`: this crate holds no table of character names.
    fn named_character(&mut self) -> Result<u32, Fault> {
        if !self.tokens.take('{')? {
            return Err(self.tokens.fault("missing {", 0));
        }
        let name = self.tokens.get_until('}', "character name")?;
        let message = format!(
            "character names are not supported: write {} as \\uXXXX",
            quoted(&name)
        );
        Err(self.tokens.fault(message, name.chars().count() + 4))
    }
}
