//! What parentheses can be: groups, look-around, conditions, flags, comments.

use super::{
    ast::Node,
    flags::{Flags, InlineFlags},
    parser::{Fault, Parser, is_identifier, number, quoted},
    tokens::Token,
};

/// What an opening parenthesis turned out to be.
pub(super) enum Opened {
    Item(Node),
    /// A comment.
    Nothing,
    /// Flags for the whole pattern.
    Flags,
}

impl Parser {
    /// What follows an opening parenthesis.
    pub(super) fn group(&mut self, flags: Flags, may_be_global: bool) -> Result<Opened, Fault> {
        let start = self.tokens.position() - 1;
        if !self.tokens.take('?')? {
            return self.capture(None, start, flags).map(Opened::Item);
        }
        let token = self.required("unexpected end of pattern")?;
        let Token::Char(c) = token else {
            return Err(self.unknown_extension("", token));
        };
        match c {
            'P' => self.python_group(start, flags).map(Opened::Item),
            ':' => self.body(start, flags).map(Opened::Item),
            '#' => loop {
                if self.tokens.peek().is_none() {
                    let back = self.tokens.position() - start;
                    let message = "missing ), unterminated comment";
                    return Err(self.tokens.fault(message, back));
                }
                if self.tokens.get()? == Some(Token::Char(')')) {
                    return Ok(Opened::Nothing);
                }
            },
            '=' | '!' | '<' => self.around(c, start, flags).map(Opened::Item),
            '(' => self.conditional(start, flags).map(Opened::Item),
            '>' => {
                let node = self.body(start, flags)?;
                Ok(Opened::Item(Node::Atomic(Box::new(node))))
            }
            _ => match self.inline_flags(c)? {
                None => Err(self.unknown_extension("", token)),
                Some(InlineFlags::Global(added)) => {
                    if !may_be_global {
                        let message = "global flags not at the start of the expression";
                        let back = self.tokens.position() - start;
                        return Err(self.tokens.fault(message, back));
                    }
                    self.global.add(added);
                    Ok(Opened::Flags)
                }
                Some(InlineFlags::Scoped { added, removed }) => {
                    let scoped = flags.scoped(added, removed);
                    self.body(start, scoped).map(Opened::Item)
                }
            },
        }
    }

    /// `(?P<name>..)` and `(?P=name)`.
    fn python_group(&mut self, start: usize, flags: Flags) -> Result<Node, Fault> {
        if self.tokens.take('<')? {
            let name = self.tokens.get_until('>', "group name")?;
            self.check_name(&name)?;
            return self.capture(Some(name), start, flags);
        }
        if self.tokens.take('=')? {
            let name = self.tokens.get_until(')', "group name")?;
            self.check_name(&name)?;
            let back = name.chars().count() + 1;
            let group = self.named(&name)?;
            return self.backreference(group, back, flags);
        }
        let token = self.required("unexpected end of pattern")?;
        Err(self.unknown_extension("P", token))
    }

    fn check_name(&self, name: &str) -> Result<(), Fault> {
        if is_identifier(name) {
            return Ok(());
        }
        let message = format!("bad character in group name {}", quoted(name));
        Err(self.tokens.fault(message, name.chars().count() + 1))
    }

    fn named(&self, name: &str) -> Result<usize, Fault> {
        self.names.get(name).copied().ok_or_else(|| {
            let message = format!("unknown group name {}", quoted(name));
            self.tokens.fault(message, name.chars().count() + 1)
        })
    }

    /// A capturing group, after its name.
    fn capture(&mut self, name: Option<String>, start: usize, flags: Flags) -> Result<Node, Fault> {
        self.widths.push(None);
        let group = self.widths.len();
        if let Some(name) = name {
            if let Some(earlier) = self.names.get(&name) {
                let message = format!(
                    "redefinition of group name {} as group {group}; was group {earlier}",
                    quoted(&name)
                );
                return Err(self.tokens.fault(message, name.chars().count() + 1));
            }
            self.names.insert(name, group);
        }
        let node = self.body(start, flags)?;
        let width = node.width(&self.widths);
        if let Some(slot) = self.widths.get_mut(group - 1) {
            *slot = Some(width);
        }
        Ok(Node::Capture(Box::new(node)))
    }

    /// The alternatives of a group and its closing parenthesis.
    fn body(&mut self, start: usize, flags: Flags) -> Result<Node, Fault> {
        let node = self.alternatives(flags)?;
        self.close(start)?;
        Ok(node)
    }

    fn close(&mut self, start: usize) -> Result<(), Fault> {
        if self.tokens.take(')')? {
            return Ok(());
        }
        let back = self.tokens.position() - start;
        let message = "missing ), unterminated subpattern";
        Err(self.tokens.fault(message, back))
    }

    /// Look-ahead and look-behind.
    fn around(&mut self, c: char, start: usize, flags: Flags) -> Result<Node, Fault> {
        let ahead = c != '<';
        let sign = if ahead {
            c
        } else {
            let token = self.required("unexpected end of pattern")?;
            match token {
                Token::Char(sign @ ('=' | '!')) => sign,
                token => return Err(self.unknown_extension("<", token)),
            }
        };
        let outer = self.first_behind;
        if !ahead && outer.is_none() {
            self.first_behind = Some(self.widths.len() + 1);
        }
        let node = self.alternatives(flags)?;
        self.first_behind = outer;
        self.close(start)?;
        if !ahead {
            let width = node.width(&self.widths);
            self.bad_behind |= width.max != Some(width.min);
        }
        Ok(Node::Around {
            ahead,
            negate: sign == '!',
            node: Box::new(node),
        })
    }

    /// `(?(1)yes|no)`.
    fn conditional(&mut self, start: usize, flags: Flags) -> Result<Node, Fault> {
        let name = self.tokens.get_until(')', "group name")?;
        let back = name.chars().count() + 1;
        let group = if is_identifier(&name) {
            self.named(&name)?
        } else {
            let group: usize = match name.parse() {
                Ok(group) if name.bytes().all(|b| b.is_ascii_digit()) => group,
                _ if !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit()) => usize::MAX,
                _ => {
                    let message = format!("bad character in group name {}", quoted(&name));
                    return Err(self.tokens.fault(message, back));
                }
            };
            if group == 0 {
                return Err(self.tokens.fault("bad group number", back));
            }
            if u32::try_from(group).is_err() {
                let message = format!("invalid group reference {name}");
                return Err(self.tokens.fault(message, back));
            }
            if !self.conditions.iter().any(|(known, _)| *known == group) {
                self.conditions.push((group, self.tokens.position() - back));
            }
            group
        };
        self.check_behind(group)?;
        self.deeper()?;
        let yes = self.sequence(flags, false)?;
        let no = if self.tokens.take('|')? {
            let no = self.sequence(flags, false)?;
            if self.tokens.next_is('|') {
                let message = "conditional backref with more than two branches";
                return Err(self.tokens.fault(message, 0));
            }
            Some(Box::new(no))
        } else {
            None
        };
        self.depth -= 1;
        self.close(start)?;
        Ok(Node::Conditional {
            group: number(group),
            yes: Box::new(yes),
            no,
        })
    }

    fn unknown_extension(&self, before: &str, token: Token) -> Fault {
        let (text, length) = match token {
            Token::Char(c) => (String::from(c), 1),
            Token::Escape(c) => (format!("\\{c}"), 2),
        };
        let message = format!("unknown extension ?{before}{text}");
        self.tokens.fault(message, length + 1 + before.len())
    }
}
